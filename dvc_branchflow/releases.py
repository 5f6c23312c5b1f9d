"""Moves code from dev to stable, and releases what stable makes of it."""

from __future__ import annotations

from collections.abc import Mapping

from dvc_branchflow.errors import FlowError, UsageError
from dvc_branchflow.flow import BranchSpec, describe
from dvc_branchflow.git import Change, NewCommit
from dvc_branchflow.gitobjects import Entry, blob_id
from dvc_branchflow.model import DVC_CONFIG, Branch, Role, Sha
from dvc_branchflow.project import Project
from dvc_branchflow.values import dataclass
from dvc_branchflow.versions import Bump
from dvc_branchflow.work.checks import run_checks
from dvc_branchflow.work.code import code_files
from dvc_branchflow.work.commits import CommitData, read_commit
from dvc_branchflow.work.pinning import PinPlan, plan_pins
from dvc_branchflow.work.publish import Move, publish, require_movable
from dvc_branchflow.work.races import until_won
from dvc_branchflow.work.redirecting import (
    pipeline_changes,
    remote_of,
    settings_changes,
    to_be_sent,
)
from dvc_branchflow.work.release_plan import ReleasePlan, current_pins, foresee, plan_release
from dvc_branchflow.work.releasing import Override, ReleaseOutcome, release_branch
from dvc_branchflow.work.transfer import Report
from dvc_branchflow.work.worktrees import branch_lock, lay_worktree


@dataclass(frozen=True, slots=True)
class PromoteOutcome:
    """What `promote` did: the files of code that changed on stable, and the commit (None: none)."""

    source: Branch
    target: Branch
    code: tuple[str, ...]
    pins: Mapping[Branch, Sha]
    checks: tuple[str, ...]
    commit: Sha | None


def promote(project: Project, dev: str, report: Report, *, dry_run: bool = False) -> PromoteOutcome:
    """Move a dev branch's code (not its data, not its outs) to its stable branch.

    The dev branch's own checks pass on the exact tree first. The stable branch is made if there
    is none; its pins move up to at least those that the code was written on, unsampled.

    Raises: RunError: a check failed; nothing moved.
    """
    project.require_history("promote")

    def attempt() -> PromoteOutcome:
        source = project.spec(dev)
        if source.role is not Role.DEV:
            raise FlowError(
                f"'{dev}' is a {source.role} branch; code is promoted from dev branches"
            )
        target = stable_for(project, source)
        if target.branch in project.tips:
            require_movable(project, [target.branch])
        return _promote(project, source, target, report, dry_run=dry_run)

    with branch_lock(project, Branch(dev), report):
        return until_won(project, attempt, report)


def release(
    project: Project,
    branch: str,
    bump: Bump | None,
    report: Report,
    *,
    reason: str | None = None,
    allow_worse: bool = False,
) -> ReleaseOutcome:
    """Train, evaluate, fit finally and publish a stable branch: branch, tag and record, or none.

    Args:
        reason: why it may go past the limit of looks at the test side, or past its gates.
        allow_worse: release what a gate refuses; needs a reason.
    Raises: RejectedError: a gate, a check or the limit of looks says no.
    """
    if allow_worse and not (reason and reason.strip()):
        raise UsageError("a release that may be worse needs a reason", hint="--reason WHY")
    project.require_history("release")
    override = Override(reason, allow_worse=allow_worse)
    return release_branch(project, branch, None, bump, report, override)


def plan(project: Project, branch: str, bump: Bump | None) -> ReleasePlan | None:
    """Return what `release` would do, on fresh refs."""
    project.require_history("release")
    project.refresh()
    spec = project.spec(branch)
    planned = plan_release(project, spec, current_pins(project, spec), bump)
    return foresee(project, spec, planned) if planned else None


def stable_for(project: Project, source: BranchSpec) -> BranchSpec:
    """Return the stable branch (it may not exist yet) whose code comes from a dev branch.

    Raises: FlowError: none, or more than one.
    """
    found: list[BranchSpec] = []
    for rule in project.config.with_role(Role.STABLE):
        name = rule.pattern.replace("*", source.star) if source.star else rule.pattern
        if "*" in name:
            continue
        spec = describe(project.config, name, project.tips)
        if spec.code == source.branch:
            found.append(spec)
    if len(found) != 1:
        names = ", ".join(spec.branch for spec in found) or "none"
        raise FlowError(
            f"'{source.branch}' needs one stable branch that takes its code; found: {names}",
            hint=f"set 'code: {source.branch}' on one stable branch in branchflow.yaml",
        )
    return found[0]


def _promote(
    project: Project, source: BranchSpec, target: BranchSpec, report: Report, *, dry_run: bool
) -> PromoteOutcome:
    dev = read_commit(project.git, project.tip(source.branch).sha)
    tip = project.tips.get(target.branch)
    stable = read_commit(project.git, tip.sha) if tip else None
    changes = _code_changes(project, source, target, dev, stable)
    pins = _pins(project, target, dev, stable)
    outcome = PromoteOutcome(
        source=source.branch,
        target=target.branch,
        code=tuple(change.path for change in changes),
        pins=pins.pins.commits,
        checks=tuple(source.rule.checks),
        commit=None,
    )
    if dry_run or (stable and not changes and not pins.changes):
        return outcome
    if source.rule.checks:
        worktree = lay_worktree(project, source.branch, dev.sha)
        env = {"BRANCHFLOW_BRANCH": source.branch}
        run_checks(project, source.branch, source.rule.checks, worktree, env, report)
    sha = project.git.write_commits(_commits(source, dev, stable, changes, pins))[-1]
    publish(
        project, [Move(target.branch, tip, sha)],
        reason=f"branchflow promote {source.branch}", report=report,
    )  # fmt: skip
    return PromoteOutcome(
        outcome.source, outcome.target, outcome.code, outcome.pins, outcome.checks, sha
    )


def _commits(
    source: BranchSpec,
    dev: CommitData,
    stable: CommitData | None,
    changes: list[Change],
    pins: PinPlan,
) -> list[NewCommit]:
    """The merge that brings the code, and where pins move, the merge that sets them."""
    parents = [stable.sha, dev.sha] if stable else [dev.sha]
    message = f"Promote {source.branch} to stable\n\nPromoted-from: {source.branch}@{dev.sha}\n"
    commits = [NewCommit(parents, message, changes)]
    if pins.changes:
        trailers = "\n".join(pins.trailers)
        subject = f"Pin {', '.join(pins.moved)}\n\n{trailers}\n"
        commits.append(NewCommit([0, *pins.upstreams], subject, pins.changes))
    return commits


def _code_changes(
    project: Project,
    source: BranchSpec,
    target: BranchSpec,
    dev: CommitData,
    stable: CommitData | None,
) -> list[Change]:
    """What makes the stable branch's code that of dev; for a new branch, dev without the rest.

    Its outs go where the config has the stable branch's go.
    """
    wanted = code_files(project, source, dev)
    to_send = to_be_sent(project, target)
    instead_of = to_send if remote_of(target) else to_send - {None}
    held = stable.outs.values() if stable else ()
    named = [remote_of(target), *(out.remote for out in held)]
    sent = {
        change.path: change
        for change in (
            *pipeline_changes(project.git, wanted, remote_of(target), instead_of),
            *settings_changes(project, wanted.get(DVC_CONFIG), named),
        )
    }
    if stable is None:
        gone = [Change(path) for path in sorted(dev.files.keys() - wanted.keys())]
        return gone + list(sent.values())
    wanted |= {p: Entry(c.mode, blob_id(c.content or b"")) for p, c in sent.items()}
    there: Mapping[str, Entry] = code_files(project, target, stable)
    gone = [Change(path) for path in sorted(there.keys() - wanted.keys())]
    new = [
        sent.get(path, Change(path, entry=entry))
        for path, entry in sorted(wanted.items())
        if there.get(path) != entry
    ]
    return gone + new


def _pins(
    project: Project, target: BranchSpec, dev: CommitData, stable: CommitData | None
) -> PinPlan:
    """The stable branch's pins, moved up to at least those of dev."""
    wanted: dict[Branch, Sha] = {}
    for name in target.upstreams:
        theirs = dev.pins.commits.get(name)
        ours = stable.pins.commits.get(name) if stable else None
        if theirs is None or (ours and project.git.is_ancestor(theirs, ours)):
            theirs = ours
        if theirs is not None:
            wanted[name] = theirs
    return plan_pins(project, target, stable, wanted)
