"""Which rules bind which role; the severities; and the order in which violations are told."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from dvc_branchflow.errors import ConfigError
from dvc_branchflow.flow import BranchSpec
from dvc_branchflow.model import APPEND_ONLY, Oid, Out, Role, Severity, Violation
from dvc_branchflow.policy import appended, code_branches, derived, erased, pinned
from dvc_branchflow.policy.any_branch import judge_metadata, judge_paths
from dvc_branchflow.policy.catalog import RULES
from dvc_branchflow.policy.facts import CommitFacts
from dvc_branchflow.policy.pinned import Owners
from dvc_branchflow.values import replace


def needed_manifests(
    spec: BranchSpec, facts: CommitFacts, owners: Owners
) -> Iterator[tuple[str, Out]]:
    """Yield the directories whose manifests the rules have to see, with the rule that asks."""
    asked = [pinned.needed(spec, facts, owners), erased.needed(facts)]
    if spec.role in APPEND_ONLY:
        asked.append(appended.needed(spec, facts))
    if spec.role is Role.SPLIT:
        asked.append(derived.needed(spec, facts))
    for wanted in asked:
        yield from (
            (code, out) for code, out in wanted if severity_of(spec, code) is not Severity.OFF
        )


def judge_commit(
    spec: BranchSpec, facts: CommitFacts, owners: Owners, manifests: Mapping[Oid, bytes]
) -> list[Violation]:
    """Judge a commit by the rules of its branch's role.

    Args:
        owners: data branch → the path that it publishes, over the whole flow.
        manifests: oid → content, of what `needed_manifests` named; what is missing is not judged.
    """
    found = [*judge_paths(facts.changed), *judge_metadata(facts.held, facts.changed)]
    try:
        found += _by_role(spec, facts, owners, manifests)
    except ConfigError as error:
        found.append(Violation("bad-metadata", spec.branch, error.message, ""))
    return [replace(one, ref=spec.branch, commit=facts.sha) for one in found]


def settle(violations: Iterable[Violation], specs: Mapping[str, BranchSpec]) -> list[Violation]:
    """Give violations their severity and repair; leave out those of rules that are off.

    Of one that stays from commit to commit, only the first is told.

    Args:
        specs: ref as violations name it → the branch whose config counts for it.
    """
    settled: dict[tuple[str, ...], Violation] = {}
    for one in violations:
        severity = one.severity  # of what is unproven: that of the rule that asked
        if one.code != "unproven":
            severity = severity_of(specs.get(one.ref), one.code)
        key = (one.code, one.ref, one.path, one.found)
        if severity is not Severity.OFF and key not in settled:
            repair = one.repair or RULES[one.code].repair
            repair = repair.replace("BRANCH", one.ref) if one.ref in specs else repair
            settled[key] = replace(one, severity=severity, repair=repair)
    return sorted(settled.values(), key=lambda one: one.ref)


def severity_of(spec: BranchSpec | None, code: str) -> Severity:
    """Return how much a broken rule weighs on a branch, by the config."""
    if spec is None or RULES[code].is_fixed:
        return Severity.ERROR
    return spec.rule.severities.get(code, Severity.ERROR)


def _by_role(
    spec: BranchSpec, facts: CommitFacts, owners: Owners, manifests: Mapping[Oid, bytes]
) -> Iterator[Violation]:
    yield from code_branches.judge_home(spec, facts, owners)
    yield from pinned.judge(spec, facts, owners, manifests)
    yield from erased.judge(spec, facts, manifests)
    if spec.role in APPEND_ONLY:
        yield from appended.judge(spec, facts, manifests)
    elif spec.role is Role.CLEAN:
        yield from derived.judge_clean(spec, facts)
    elif spec.role is Role.SPLIT:
        yield from derived.judge_split(spec, facts, manifests)
    elif spec.role is Role.STABLE:
        yield from code_branches.judge_stable(spec, facts)
    elif spec.role is Role.DEV:
        yield from code_branches.judge_dev(spec, facts)
    elif spec.role is Role.MAIN:
        yield from code_branches.judge_main(spec, facts)
    elif spec.role is Role.ANALYSIS:
        yield from code_branches.judge_analysis(spec, facts)
