"""Releases a stable branch: train, evaluate, judge, check, tag and record together; or nothing."""

from __future__ import annotations

from collections.abc import Mapping

from dvc_branchflow.flow import BranchSpec
from dvc_branchflow.git import Change, NewCommit
from dvc_branchflow.model import CARD_FILE, Branch, Sha, TagName
from dvc_branchflow.project import Project
from dvc_branchflow.values import asdict, dataclass, replace
from dvc_branchflow.versions import Bump
from dvc_branchflow.work.card import model_card, what_is_stated
from dvc_branchflow.work.checks import run_checks
from dvc_branchflow.work.drafting import draft_record
from dvc_branchflow.work.looks import require_look
from dvc_branchflow.work.publish import Move, NewTag, publish, require_movable
from dvc_branchflow.work.races import until_won
from dvc_branchflow.work.records import RunRecord
from dvc_branchflow.work.refusing import (
    Refusal,
    as_recorded,
    hold_against,
    keep_refused,
    refusal_error,
)
from dvc_branchflow.work.release_plan import (
    ReleasePlan,
    current_pins,
    foresee,
    plan_lines,
    plan_release,
)
from dvc_branchflow.work.running import Candidate, execute, reason_trailer
from dvc_branchflow.work.transfer import Report
from dvc_branchflow.work.worktrees import branch_lock, settle_worktree

_SHOWN = 8


@dataclass(frozen=True, slots=True)
class ReleaseOutcome:
    """What a release did; `record` is None where there was nothing to release."""

    branch: Branch
    tag: TagName | None
    record: RunRecord | None


@dataclass(frozen=True, slots=True)
class Override:
    """Why a release may go past the limit of looks, and with `allow_worse` past its gates."""

    reason: str | None = None
    allow_worse: bool = False


def release_branch(
    project: Project,
    branch: str,
    wanted: Mapping[Branch, Sha] | None,
    bump: Bump | None,
    report: Report,
    override: Override | None = None,
) -> ReleaseOutcome:
    """Train, evaluate, fit finally, check, and publish branch, tag and record together.

    A candidate that a gate refuses moves nothing but the tracking branch, to its record there.

    Args:
        wanted: upstream → commit to train on; None: what the branch pins now.
    Raises: RunError: a stage failed; nothing moved. RejectedError: a gate, a check or the limit of
        looks said no. Others as in `publish`.
    """
    past = override or Override()

    def attempt() -> ReleaseOutcome:
        spec = project.spec(branch)
        require_movable(project, [branch])
        if project.git_remote is None:
            require_movable(project, [project.config.tracking])
        targets = wanted if wanted is not None else current_pins(project, spec)
        plan = plan_release(project, spec, targets, bump)
        if plan is None:
            return ReleaseOutcome(spec.branch, None, None)
        if plan.refusal and not past.allow_worse:
            raise refusal_error(plan.branch, plan.tag, plan.refusal, is_known=True)
        return _release(project, spec, foresee(project, spec, plan), report, past)

    with branch_lock(project, Branch(branch), report):
        return until_won(project, attempt, report)


def _release(
    project: Project, spec: BranchSpec, plan: ReleasePlan, report: Report, past: Override
) -> ReleaseOutcome:
    report(f"release {plan.tag} ({plan.reason}) from {plan.branch}")
    for line in plan_lines(plan):
        report(f"  {line}")
    require_look(project, spec, plan.certificate, past.reason)
    env = {
        "BRANCHFLOW_MODEL": plan.model,
        "BRANCHFLOW_TAG": plan.tag,
        "BRANCHFLOW_BRANCH": plan.branch,
    }
    made = execute(project, spec, plan.tip, plan.pins, env, report, past.reason)
    draft = _judged(project, spec, plan, made, report, past)
    sha = _commit(project, spec, plan, made, draft)
    settle_worktree(project, made.worktree, sha, made.result.strays)
    for path in made.result.strays[:_SHOWN]:
        report(f"left out, no stage declares it: {path}")
    checks = run_checks(project, spec.branch, plan.checks, made.worktree, env, report)
    record = replace(draft, commit=sha, checks=checks)
    _publish(project, plan, record, report)
    return ReleaseOutcome(plan.branch, plan.tag, record)


def _judged(
    project: Project,
    spec: BranchSpec,
    plan: ReleasePlan,
    made: Candidate,
    report: Report,
    past: Override,
) -> RunRecord:
    """The draft of the record with what the gates say; a refused one is kept, and ends it.

    Raises: RejectedError: a gate refuses the candidate, and nothing overrides it.
    """
    draft = replace(draft_record(project, spec, plan, made), reason=past.reason)
    results = hold_against(spec, draft, plan.current)
    draft = replace(draft, gates=as_recorded(results, draft, plan.current))
    failed = tuple(result for result in results if not result.has_passed)
    if failed and not past.allow_worse:
        refused = replace(draft, refused=[asdict(result) for result in failed], checks={})
        keep_refused(project, refused, report)
        raise refusal_error(plan.branch, plan.tag, Refusal(draft.when, failed), is_known=False)
    return draft


def _commit(
    project: Project, spec: BranchSpec, plan: ReleasePlan, made: Candidate, draft: RunRecord
) -> Sha:
    """Write the commit of a release, with its card; no ref moves."""
    stated = what_is_stated(project, spec, made.data)
    card = model_card(draft, stated, project.config.tracking)
    lines = [*plan.pins.trailers, *reason_trailer(draft.reason), f"Release: {plan.tag}"]
    trailers = "\n".join(lines)
    commit = NewCommit(
        made.commit.parents,
        f"Release {plan.tag}: {plan.reason}\n\n{trailers}\n",
        [*made.commit.changes, Change(CARD_FILE, card.encode("utf-8", "replace"))],
    )
    return project.git.write_commits([commit])[0]


def _publish(project: Project, plan: ReleasePlan, record: RunRecord, report: Report) -> None:
    tracking = project.tracking.as_published()  # nobody's unpushed documents go out with it
    collected = NewCommit(
        [tracking.sha], f"Record {plan.tag}\n\nRelease: {plan.tag}\n",
        [Change(record.path, record.to_json().encode())],
    )  # fmt: skip
    sha = Sha(record.commit)
    message = f"Release {plan.model} {record.version}\n\n{record.to_json()}"
    tag = NewTag(f"refs/tags/{plan.tag}", project.git.write_tag(plan.tag, sha, message), sha)
    main = project.git.write_commits([collected])[0]
    publish(
        project,
        [Move(plan.branch, plan.tip, sha), Move(tracking.branch, tracking, main)],
        tags=[tag], complete=[sha], reason=f"branchflow release {plan.tag}", report=report,
    )  # fmt: skip
