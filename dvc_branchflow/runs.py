"""Runs branches: one of them, or all that are behind, upstream first."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from dvc_branchflow.errors import BranchflowError, FlowError, RejectedError
from dvc_branchflow.flow import BranchSpec
from dvc_branchflow.model import PIPELINE_ROLES, Branch, Role, Sha
from dvc_branchflow.project import Project
from dvc_branchflow.values import dataclass
from dvc_branchflow.work.commits import read_commit
from dvc_branchflow.work.refusing import refusal_error
from dvc_branchflow.work.release_plan import plan_release
from dvc_branchflow.work.releasing import release_branch
from dvc_branchflow.work.running import RunOutcome, RunPlan, plan_run, run_branch
from dvc_branchflow.work.transfer import Report
from dvc_branchflow.work.watchbook import waits_for_alert

_DATA_ROLES = frozenset({Role.CLEAN, Role.SPLIT})
Verdict = Literal[
    "run",
    "released",
    "refused",
    "current",
    "behind",
    "waiting",
    "failed",
    "below a failure",
    "empty",
]


@dataclass(frozen=True, slots=True)
class SyncStep:
    """What became of one branch in a sync. `error` says why where it failed or was refused.

    Refused: it ran, now or before, and a rule, a gate, a check or a limit said no. Waiting: there
    is new data for a watched model, and no alert that asks for it.
    """

    branch: Branch
    verdict: Verdict
    commit: Sha | None = None
    tag: str | None = None
    error: BranchflowError | None = None


def run(project: Project, branch: str, report: Report, *, reason: str | None = None) -> RunOutcome:
    """Re-pin a branch at its upstreams' tips, reproduce its pipeline, judge, store, move the ref.

    Args:
        reason: why the test side may be looked at once more than the model's limit.
    Raises: RunError: a stage failed; no ref moved, its log is kept.
    """
    _check_role(project.spec(branch))
    project.require_history("run")
    return run_branch(project, branch, None, report, reason=reason)


def plan(project: Project, branch: str) -> RunPlan:
    """Return what `run` would do, on fresh refs."""
    _check_role(project.spec(branch))
    project.require_history("run")
    project.refresh()
    return plan_run(project, branch)


def sync(
    project: Project,
    branches: Sequence[str],
    report: Report,
    *,
    every: bool = False,
    dry_run: bool = False,
) -> Iterator[SyncStep]:
    """Bring what is behind up to date, upstream first; yield each branch's step as it is done.

    Data branches are run, stable ones retrained and released. A branch below a failure is left
    alone, and the others go on.

    Args:
        branches: only these; empty: all data and stable branches.
        every: dev branches as well, which otherwise are their developers' business.
    """
    project.require_history("sync")
    project.refresh()
    for name in branches:
        _check_role(project.spec(name))
    order = [spec for spec in project.specs.values() if spec.role in PIPELINE_ROLES]
    failed: set[Branch] = set()
    waiting: set[Branch] = set()
    for spec in order:
        wanted = spec.branch in branches if branches else every or spec.role is not Role.DEV
        if not wanted:
            continue
        if failed & set(spec.upstreams):
            failed.add(spec.branch)
            yield SyncStep(spec.branch, "below a failure")
            continue
        if dry_run:
            step = _foresee(project, spec, waiting)
            if step.verdict == "behind":
                waiting.add(spec.branch)
        else:
            report(f"looking at {spec.branch}")
            step = _bring_up(project, spec, report)
        if step.error:
            failed.add(spec.branch)
        yield step


def _check_role(spec: BranchSpec) -> None:
    if spec.role not in PIPELINE_ROLES:
        raise FlowError(f"'{spec.branch}' is a {spec.role} branch, which has no pipeline to run")


def _is_empty(project: Project, spec: BranchSpec) -> bool:
    """Whether an upstream publishes nothing yet, so that there is nothing to do."""
    for name in spec.upstreams:
        owned = project.spec(name).data or ""
        if not read_commit(project.git, project.tip(name).sha).snapshot(owned):
            return True
    return False


def _bring_up(project: Project, spec: BranchSpec, report: Report) -> SyncStep:
    try:
        if _is_empty(project, spec):
            return SyncStep(spec.branch, "empty")
        if spec.role is Role.STABLE:
            if waits_for_alert(project, spec.model) and _is_for_data(project, spec):
                return SyncStep(spec.branch, "waiting")
            done = release_branch(project, spec.branch, _tips(project, spec), None, report)
            if done.record is None:
                return SyncStep(spec.branch, "current")
            return SyncStep(spec.branch, "released", Sha(done.record.commit), done.record.tag)
        outcome = run_branch(project, spec.branch, None, report, always=False)
    except BranchflowError as error:
        return _stopped(spec, error)
    verdict: Verdict = "run" if outcome.commit else "current"
    return SyncStep(spec.branch, verdict, outcome.commit)


def _foresee(project: Project, spec: BranchSpec, waiting: set[Branch]) -> SyncStep:
    try:
        if waiting & set(spec.upstreams):
            return SyncStep(spec.branch, "behind")
        if _is_empty(project, spec):
            return SyncStep(spec.branch, "empty")
        if spec.role is Role.STABLE:
            planned = plan_release(project, spec, _tips(project, spec), None)
            if planned and planned.refusal:
                refusal = planned.refusal
                raise refusal_error(spec.branch, planned.tag, refusal, is_known=True)
            if planned and planned.is_for_data and waits_for_alert(project, spec.model):
                return SyncStep(spec.branch, "waiting")
            is_behind = planned is not None
        else:
            is_behind = plan_run(project, spec.branch).is_needed
    except BranchflowError as error:
        return _stopped(spec, error)
    return SyncStep(spec.branch, "behind" if is_behind else "current")


def _is_for_data(project: Project, spec: BranchSpec) -> bool:
    planned = plan_release(project, spec, _tips(project, spec), None)
    return planned is not None and planned.is_for_data


def _stopped(spec: BranchSpec, error: BranchflowError) -> SyncStep:
    verdict: Verdict = "refused" if isinstance(error, RejectedError) else "failed"
    return SyncStep(spec.branch, verdict, error=error)


def _tips(project: Project, spec: BranchSpec) -> Mapping[Branch, Sha]:
    return {name: project.tip(name).sha for name in spec.upstreams}
