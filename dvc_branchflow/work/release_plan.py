"""Works out what the next release of a stable branch is: its version, its pins, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dvc_branchflow.errors import FlowError
from dvc_branchflow.flow import BranchSpec
from dvc_branchflow.model import Branch, Role, Sha, TagName
from dvc_branchflow.project import Project, Tip
from dvc_branchflow.versions import FIRST, Bump, latest_version, release_tag
from dvc_branchflow.work.code import code_digest
from dvc_branchflow.work.commits import CommitData, read_commit
from dvc_branchflow.work.pinning import PinPlan, pinned_outs, plan_pins
from dvc_branchflow.work.staleness import is_current


@dataclass(frozen=True, slots=True)
class ReleasePlan:
    """What a release is going to be. `reason` says why the version moves as it does."""

    branch: Branch
    model: str
    tag: TagName
    previous: TagName | None
    reason: str
    tip: Tip
    pins: PinPlan


def plan_release(
    project: Project,
    spec: BranchSpec,
    wanted: Mapping[Branch, Sha],
    bump: Bump | None,
) -> ReleasePlan | None:
    """Work out the next release of a stable branch; None where nothing is new.

    Args:
        wanted: upstream → commit to train on.
        bump: the kind of version asked for; None: by what changed.
    Raises: FlowError: no stable branch.
    """
    if spec.role is not Role.STABLE:
        raise FlowError(
            f"'{spec.branch}' is a {spec.role} branch; only stable branches are released",
            hint=f"git branchflow promote {spec.branch}" if spec.role is Role.DEV else None,
        )
    tip = project.tip(spec.branch)
    current = read_commit(project.git, tip.sha)
    pins = plan_pins(project, spec, current, wanted)
    last = latest_version(project.tags, spec.model)
    if last is None:
        return ReleasePlan(
            spec.branch,
            spec.model,
            release_tag(spec.model, FIRST),
            None,
            "first release",
            tip,
            pins,
        )
    previous = release_tag(spec.model, last)
    kind, reason = _what_changed(project, spec, previous, current, pins)
    chosen = bump or kind
    if chosen is None:
        return None
    tag = release_tag(spec.model, last.bumped(chosen))
    return ReleasePlan(spec.branch, spec.model, tag, previous, reason, tip, pins)


def current_pins(project: Project, spec: BranchSpec) -> dict[Branch, Sha]:
    """Return the upstream commits that a branch pins now."""
    data = read_commit(project.git, project.tip(spec.branch).sha)
    return {name: sha for name, sha in data.pins.commits.items() if name in spec.upstreams}


def _what_changed(
    project: Project, spec: BranchSpec, previous: TagName, current: CommitData, pins: PinPlan
) -> tuple[Bump | None, str]:
    """The kind of version that the changes since the last release ask for, and why."""
    released = read_commit(project.git, project.tags[previous].commit)
    if code_digest(project, spec, released) != code_digest(project, spec, current):
        return "minor", "new code"
    if pinned_outs(project, spec, released) != pins.outs:
        return "patch", "new data"
    is_release = project.tags[previous].commit == current.sha  # made by what it holds, and proven
    if not is_release and not is_current(project, current, may_fetch=True):
        return "patch", "results were not made from what is committed"
    return None, "nothing changed"
