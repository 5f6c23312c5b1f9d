"""Rules of main, dev, stable and analysis branches: who may hold code, outs and plans."""

from __future__ import annotations

from collections.abc import Iterator

from dvc_branchflow.flow import BranchSpec
from dvc_branchflow.model import PLAN_FILE, Violation
from dvc_branchflow.policy.facts import CommitFacts, is_below
from dvc_branchflow.policy.pinned import Owners

_NAMED = 10


def judge_home(spec: BranchSpec, facts: CommitFacts, owners: Owners) -> Iterator[Violation]:
    """Judge whether the outs that a commit brings lie where no other branch publishes."""
    pinnable = {owners[name] for name in spec.upstreams if name in owners}
    foreign = {
        data: name for name, data in owners.items() if data != spec.data and data not in pinnable
    }
    for path, out in facts.held.outs.items():
        before = facts.before.outs.get(path)
        if facts.follows and before is not None and before.oid == out.oid:
            continue
        at = next((d for d in foreign if is_below(path, d) or is_below(d, path)), None)
        made_here = path not in facts.held.pointed and any(is_below(path, d) for d in pinnable)
        if at is not None or made_here:
            owner = foreign[at] if at else "an upstream branch"
            found = f"lies where {owner if not at else repr(str(owner))} publishes"
            yield Violation("outs-at-home", spec.branch, found, "", path=path, commit=facts.sha)


def judge_main(spec: BranchSpec, facts: CommitFacts) -> Iterator[Violation]:
    """Judge a commit on the main branch."""
    for path, out in facts.held.outs.items():
        before = facts.before.outs.get(path)
        if before is None or before.oid != out.oid:
            yield Violation(
                "main-no-outs", spec.branch, "is an out of DVC's", "", path=path, commit=facts.sha
            )


def judge_dev(spec: BranchSpec, facts: CommitFacts) -> Iterator[Violation]:
    """Judge the files of its own that a dev branch has where its stable branch makes outs."""
    for path, out in facts.held.pointed.items():
        before = facts.before.pointed.get(path)
        if path in facts.stable_outs and (before is None or before.oid != out.oid):
            found = "is an out of the stable branch's pipeline, held here as a file of its own"
            yield Violation("dev-stable-outs", spec.branch, found, "", path=path, commit=facts.sha)


def judge_stable(spec: BranchSpec, facts: CommitFacts) -> Iterator[Violation]:
    """Judge whether a stable commit's code is that of the promoted dev commit."""
    promoted = facts.promoted
    if promoted is None:
        found = "no commit so far has a 'Promoted-from:' trailer, so that no code belongs here"
        yield _foreign_code(spec, facts, "", found)
        return
    if not promoted.is_known:
        found = f"names {promoted.commit[:10]}, which is no commit of '{spec.code}'"
        yield _foreign_code(spec, facts, "", f"'Promoted-from:' {found}")
        return
    for path in promoted.differs[:_NAMED]:
        found = f"is code, and not as in the promoted commit {promoted.commit[:10]}"
        yield _foreign_code(spec, facts, path, found)
    if len(promoted.differs) > _NAMED:
        more = len(promoted.differs) - _NAMED
        yield _foreign_code(spec, facts, "", f"{more} more files of code differ")
    for path in promoted.odd:
        yield _foreign_code(spec, facts, path, "is no plain file")


def judge_analysis(spec: BranchSpec, facts: CommitFacts) -> Iterator[Violation]:
    """Judge whether the plan came before the data, and stayed."""
    data = bool(facts.held.outs)
    had_data = bool(facts.before.outs)
    changes_plan = any(change.path == PLAN_FILE for change in facts.changed)
    found = ""
    if data and not facts.before.has_plan and facts.held.outs != facts.before.outs:
        found = "was not committed before the data"
    elif had_data and facts.before.has_plan and changes_plan and not facts.trailers["Reason"]:
        found = "was changed after the data came, without a 'Reason:' trailer"
    if found:
        yield Violation("analysis-plan", spec.branch, found, "", path=PLAN_FILE, commit=facts.sha)


def _foreign_code(spec: BranchSpec, facts: CommitFacts, path: str, found: str) -> Violation:
    repair = f"git branchflow promote {spec.code}"
    return Violation("stable-code", spec.branch, found, repair, path=path, commit=facts.sha)
