"""Runs one branch: new pins, its pipeline in a worktree, the judge, and the commit that results."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

from dvc_branchflow.errors import FlowError, RunError
from dvc_branchflow.flow import BranchSpec
from dvc_branchflow.git import Change, NewCommit
from dvc_branchflow.model import CONFIG_FILE, DVC_CONFIG, Branch, Role, Sha
from dvc_branchflow.project import Project, Tip
from dvc_branchflow.values import dataclass
from dvc_branchflow.work.commits import CommitData, read_commit
from dvc_branchflow.work.looks import require_look
from dvc_branchflow.work.pinning import PinPlan, pinned_outs, plan_pins
from dvc_branchflow.work.pipeline import RunResult, needed_outs, reproduce
from dvc_branchflow.work.publish import Move, publish, require_movable
from dvc_branchflow.work.races import until_won
from dvc_branchflow.work.records import certificate_of
from dvc_branchflow.work.redirecting import (
    pipeline_changes,
    remote_of,
    settings_changes,
    to_be_sent,
)
from dvc_branchflow.work.staleness import is_current, stages_to_run
from dvc_branchflow.work.transfer import Report
from dvc_branchflow.work.worktrees import branch_lock, lay_worktree, log_path, park_worktree


@dataclass(frozen=True, slots=True)
class RunPlan:
    """What a run is going to do: the pins that it moves, and whether its pipeline is behind."""

    branch: Branch
    tip: Tip
    pins: PinPlan
    is_current: bool

    @property
    def is_needed(self) -> bool:
        """Whether anything is behind at all."""
        return bool(self.pins.changes) or not self.is_current


@dataclass(frozen=True, slots=True)
class RunOutcome:
    """What a run did. `commit` is None where there was nothing to do."""

    branch: Branch
    moved: tuple[Branch, ...]
    stages: tuple[str, ...]
    strays: tuple[str, ...]
    commit: Sha | None
    seconds: float
    log: Path | None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A commit that no ref points at yet, and the run that made it."""

    commit: NewCommit
    sha: Sha
    data: CommitData
    result: RunResult
    worktree: Path
    seconds: float


def plan_run(project: Project, branch: str, wanted: Mapping[Branch, Sha] | None = None) -> RunPlan:
    """Work out what running a branch means now."""
    spec = project.spec(branch)
    tip = project.tip(branch)
    current = read_commit(project.git, tip.sha)
    pins = plan_pins(project, spec, current, wanted)
    return RunPlan(spec.branch, tip, pins, is_current(project, current, may_fetch=True))


def run_branch(
    project: Project,
    branch: str,
    wanted: Mapping[Branch, Sha] | None,
    report: Report,
    *,
    always: bool = True,
    reason: str | None = None,
) -> RunOutcome:
    """Re-pin a branch, reproduce its pipeline, judge it, store its data, and move the ref.

    Args:
        always: ask `dvc repro` even where nothing looks behind.
        reason: why the test side may be looked at once more than the model's limit.
    Raises: RunError, RejectedError, StorageError, …: nothing moved.
    """

    def attempt() -> RunOutcome:
        spec = project.spec(branch)
        require_movable(project, [branch])
        plan = plan_run(project, branch, wanted)
        if not (plan.is_needed or always):
            return RunOutcome(spec.branch, (), (), (), None, 0.0, None)
        if plan.is_needed:
            certificate = certificate_of(project, plan.pins.pins.commits)
            require_look(project, spec, certificate, reason)
        made = execute(project, spec, plan.tip, plan.pins, {}, report, reason)
        moved = made.sha != plan.tip.sha
        if moved:
            move = Move(spec.branch, plan.tip, made.sha)
            publish(project, [move], reason=f"branchflow run {branch}", report=report)
        return RunOutcome(
            branch=spec.branch,
            moved=plan.pins.moved,
            stages=made.result.stages,
            strays=made.result.strays,
            commit=made.sha if moved else None,
            seconds=made.seconds,
            log=made.result.log,
        )

    with branch_lock(project, Branch(branch), report):
        return until_won(project, attempt, report)


def execute(
    project: Project,
    spec: BranchSpec,
    tip: Tip,
    pins: PinPlan,
    env: Mapping[str, str],
    report: Report,
    reason: str | None = None,
) -> Candidate:
    """Run a branch's pipeline on its (new) pins and write the commit; no ref moves.

    The candidate is the tip itself where nothing changed. The caller holds the branch's lock.
    """
    started = time.monotonic()
    parents = [tip.sha, *(sha for sha in pins.upstreams if sha != tip.sha)]
    message = _message(spec, pins, (), reason)
    base = tip.sha
    planned = (*pins.changes, *_sent(project, spec, tip.sha, pins))
    if planned:
        base = project.git.write_commits([NewCommit(parents, message, planned)])[0]
    data = read_commit(project.git, base)
    to_run = stages_to_run(project, data)
    needed = needed_outs(data, pinned_outs(project, spec, data), to_run)
    worktree = lay_worktree(project, spec.branch, base, [out.path for out in needed])
    log = log_path(project, spec.branch, "repro")
    result = reproduce(
        project, worktree, data, needed, log,
        env={"BRANCHFLOW_BRANCH": spec.branch, **env}, report=report,
    )  # fmt: skip
    if spec.role is Role.STABLE and result.described:
        path = result.described[0]
        raise RunError(
            f"a stage changed '{path}', which is code, and comes to '{spec.branch}' from dev",
            hint=f"git branchflow run {spec.code}; git branchflow promote {spec.code}",
            log=str(log),
        )
    changes = (*planned, *result.changes)
    commit = NewCommit(parents, _message(spec, pins, result.stages, reason), changes)
    sha = project.git.write_commits([commit])[0] if changes else tip.sha
    park_worktree(project, spec.branch, sha)
    project.git.put_back(worktree, sha, result.strays)
    made = read_commit(project.git, sha)
    return Candidate(commit, sha, made, result, worktree, time.monotonic() - started)


def _sent(project: Project, spec: BranchSpec, tip: Sha, pins: PinPlan) -> tuple[Change, ...]:
    """What sends the branch's outs to the DVC remote that the config names for it, if any.

    And what tells DVC there of the DVC remotes that its outs and its pins name.

    Raises: FlowError: what it has made so far lies elsewhere.
    """
    remote = remote_of(spec)
    named = {remote, *(out.remote for out in pins.outs.values())}
    if named == {None}:
        return ()
    data = read_commit(project.git, tip)
    settings = tuple(settings_changes(project, data.files.get(DVC_CONFIG), named))
    if not remote:
        return settings
    instead_of = to_be_sent(project, spec)
    changes = tuple(pipeline_changes(project.git, data.files, remote, instead_of))
    pointed = {out.path for out in data.pointers.values()}
    made = (out for path, out in data.outs.items() if path not in pointed)
    if changes and any(out.remote in instead_of for out in made):
        raise FlowError(
            f"'{spec.branch}' has data on another DVC remote than '{remote}', "
            f"which {CONFIG_FILE} names",
            hint=f"git branchflow storage move '{spec.rule.pattern}' {remote}",
        )
    return (*changes, *settings)


def _message(spec: BranchSpec, pins: PinPlan, stages: tuple[str, ...], reason: str | None) -> str:
    if pins.moved:
        what = f"Pin {', '.join(pins.moved)}"
        subject = f"{what} and run {len(stages)} stages" if stages else what
    else:
        subject = f"Run {len(stages)} stages of {spec.branch}"
    trailers = "\n".join([*pins.trailers, *reason_trailer(reason)])
    return f"{subject}\n\n{trailers}\n" if trailers else f"{subject}\n"


def reason_trailer(reason: str | None) -> list[str]:
    """Return the trailer line of a reason, on one line whatever was typed."""
    return [f"Reason: {' '.join(reason.split())}"] if reason and reason.strip() else []
