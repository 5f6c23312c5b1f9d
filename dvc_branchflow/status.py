"""One look at the whole flow: what is newest, who is behind it, what is released, what is next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dvc_branchflow.channels import Event, in_channels
from dvc_branchflow.errors import UsageError
from dvc_branchflow.flow import BranchSpec
from dvc_branchflow.model import PIPELINE_ROLES, Branch, Out, Role, Sha
from dvc_branchflow.project import Project
from dvc_branchflow.values import dataclass
from dvc_branchflow.versions import Version, latest_versions, release_tag
from dvc_branchflow.work.commits import CommitData, read_commits
from dvc_branchflow.work.environments import environment
from dvc_branchflow.work.records import certificate_of
from dvc_branchflow.work.registry import events_of
from dvc_branchflow.work.staleness import is_current
from dvc_branchflow.work.watchbook import count_open


@dataclass(frozen=True, slots=True)
class Lag:
    """How far a pin is behind its upstream: commits, outs, files and bytes that are new there."""

    upstream: Branch
    commits: int
    outs: int
    files: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class BranchStatus:
    """Where one branch stands.

    Attributes:
        behind: upstreams with newer data than is pinned.
        unpinned: upstreams that it pins nothing of yet.
        is_current: whether its pipeline's results were made from what it holds.
        unpushed: commits here that the git remote lacks.
        release: its newest release (stable branches).
        channels: channel → the version of its model that is in it (stable branches).
        next_command: what brings it up to date, None where nothing does.
        alerts: that are open (monitor branches).
    """

    branch: Branch
    role: Role
    tip: Sha
    seconds: int
    outs: int
    files: int
    size_bytes: int
    behind: tuple[Lag, ...]
    unpinned: tuple[Branch, ...]
    is_current: bool
    unpushed: int
    release: str | None
    channels: Mapping[str, str]
    certificate: str | None
    next_command: str | None
    alerts: int = 0


@dataclass(frozen=True, slots=True)
class FlowStatus:
    """The whole flow, upstream first, and the branches that have no role."""

    branches: tuple[BranchStatus, ...]
    without_role: tuple[Branch, ...]
    diverged: tuple[Branch, ...]


def status(project: Project) -> FlowStatus:
    """Return where the flow stands, from local refs and Git objects alone."""
    specs = project.specs
    tips = {name: project.tip(name) for name in specs}
    data = read_commits(project.git, [tip.sha for tip in tips.values()])
    pinned = [sha for d in data.values() for sha in d.pins.commits.values()]
    data |= read_commits(project.git, [sha for sha in pinned if _is_here(project, sha, data)])
    counts: dict[tuple[Sha, Sha], int] = {}
    tags = project.tags
    events, latest = events_of(tags), latest_versions(tags)
    rows = tuple(_row(project, spec, data, counts, events, latest) for spec in specs.values())
    return FlowStatus(
        branches=rows,
        without_role=tuple(name for name in project.tips if name not in specs and name != "HEAD"),
        diverged=tuple(name for name, tip in tips.items() if tip.is_diverged),
    )


def _is_here(project: Project, sha: Sha, data: dict[Sha, CommitData]) -> bool:
    """Whether a pinned commit can be read; in a shallow clone it may not be there."""
    return sha not in data and (not project.git.is_shallow or project.git.has(sha))


def _row(
    project: Project,
    spec: BranchSpec,
    data: dict[Sha, CommitData],
    counts: dict[tuple[Sha, Sha], int],
    events: Mapping[str, Sequence[Event]],
    latest: Mapping[str, Version],
) -> BranchStatus:
    tip = project.tip(spec.branch)
    mine = data[tip.sha]
    owned = list((mine.snapshot(spec.data) if spec.data else mine.outs).values())
    behind, unpinned = _lags(project, spec, mine, data, counts)
    is_up = spec.role not in PIPELINE_ROLES or is_current(project, mine)
    model = _model(spec)
    alerts = count_open(environment(project, spec.branch)) if spec.role is Role.MONITOR else 0
    last = latest.get(model) if model else None
    command = _next(spec, mine, behind, unpinned, is_up=is_up, is_released=last is not None)
    return BranchStatus(
        branch=spec.branch,
        role=spec.role,
        tip=tip.sha,
        seconds=project.git.commits([tip.sha])[tip.sha].seconds,
        outs=len(owned),
        files=_files(owned),
        size_bytes=_bytes(owned),
        behind=behind,
        unpinned=unpinned,
        is_current=is_up,
        unpushed=_unpushed(project, spec),
        release=release_tag(model, last) if model and last else None,
        channels=_channels(events.get(model or "", ())),
        certificate=_certificate(project, spec, mine),
        next_command="git branchflow monitor alerts" if alerts else command,
        alerts=alerts,
    )


def _model(spec: BranchSpec) -> str | None:
    """The model that a stable branch releases; None where its name can be none."""
    try:
        return spec.model if spec.role is Role.STABLE else None
    except UsageError:
        return None


def _channels(events: Sequence[Event]) -> dict[str, str]:
    held = in_channels(events)
    return {name: held[name].version or held[name].commit for name in sorted(held)}


def _lags(
    project: Project,
    spec: BranchSpec,
    mine: CommitData,
    data: dict[Sha, CommitData],
    counts: dict[tuple[Sha, Sha], int],
) -> tuple[tuple[Lag, ...], tuple[Branch, ...]]:
    lags: list[Lag] = []
    unpinned: list[Branch] = []
    for name in spec.upstreams:
        if name not in project.tips:
            unpinned.append(name)  # the config names a branch that is not there
            continue
        tip = project.tip(name).sha
        pin = mine.pins.commits.get(name)
        if pin is None:
            unpinned.append(name)
        elif pin != tip and pin in data and tip in data:
            lag = _lag(project, name, data[pin], data[tip], counts)
            if lag is not None:
                lags.append(lag)
    return tuple(lags), tuple(unpinned)


def _lag(
    project: Project,
    name: Branch,
    pin: CommitData,
    tip: CommitData,
    counts: dict[tuple[Sha, Sha], int],
) -> Lag | None:
    owned = project.spec(name).data or ""
    old, new = pin.snapshot(owned), tip.snapshot(owned)
    changed = [path for path, out in new.items() if old.get(path) != out]
    if old == new:
        return None
    before = [old[path] for path in changed if path in old]
    after = [new[path] for path in changed]
    if (pin.sha, tip.sha) not in counts:  # many branches share the same pin
        counts[pin.sha, tip.sha] = _commits_between(project, pin.sha, tip.sha)
    return Lag(
        upstream=name,
        commits=counts[pin.sha, tip.sha],
        outs=len(changed),
        files=max(_files(after) - _files(before), 0),
        size_bytes=max(_bytes(after) - _bytes(before), 0),
    )


def _commits_between(project: Project, old: Sha, new: Sha) -> int:
    """How many commits a branch has gone on, along first parents."""
    line = project.git.line_between(old, new)
    if line is not None:
        return len(line)
    counted = project.git.text("rev-list", "--count", "--first-parent", f"{old}..{new}")
    return int(counted)


def _next(
    spec: BranchSpec,
    mine: CommitData,
    behind: Sequence[Lag],
    unpinned: Sequence[Branch],
    *,
    is_up: bool,
    is_released: bool,
) -> str | None:
    if spec.role is Role.RAW and not mine.outs:
        return f"git branchflow ingest --branch {spec.branch} --source WHERE_FROM FILES"
    if spec.role is Role.STABLE:
        if behind:
            return f"git branchflow sync {spec.branch}"
        return None if is_released and is_up else f"git branchflow release {spec.branch}"
    if spec.role in PIPELINE_ROLES and (behind or unpinned or not is_up):
        return f"git branchflow run {spec.branch}"
    return None


def _unpushed(project: Project, spec: BranchSpec) -> int:
    tip = project.tip(spec.branch)
    if project.git_remote is None or tip.local is None or tip.local == tip.published:
        return 0
    line = project.git.line_between(tip.published, tip.local) if tip.published else None
    if line is not None and all(len(commit.parents) == 1 for commit in line):
        return len(line)
    base = [f"^{tip.published}"] if tip.published else ["--not", f"--remotes={project.git_remote}"]
    return int(project.git.text("rev-list", "--count", tip.local, *base))


def _certificate(project: Project, spec: BranchSpec, mine: CommitData) -> str | None:
    if spec.role is Role.SPLIT:
        return certificate_of(project, {spec.branch: mine.sha})
    return None


def _files(outs: Sequence[Out]) -> int:
    return sum(out.nfiles or 1 for out in outs)


def _bytes(outs: Sequence[Out]) -> int:
    return sum(out.size_bytes or 0 for out in outs)
