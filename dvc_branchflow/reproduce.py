"""Makes a release once more from its tag, compares what comes out, and puts that on record."""

from __future__ import annotations

import math
import secrets
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dvc_branchflow.channels import parse_gto_tag
from dvc_branchflow.errors import FlowError, RunError, UsageError
from dvc_branchflow.git import Change, NewCommit
from dvc_branchflow.metafiles import parse_lock
from dvc_branchflow.model import LOCK_FILE, Branch, LockedStage, Oid, Out, Role, Sha
from dvc_branchflow.project import Project
from dvc_branchflow.values import dataclass, replace
from dvc_branchflow.work.commits import CommitData, read_commit
from dvc_branchflow.work.observed import environment, metrics_in
from dvc_branchflow.work.pipeline import run_anew
from dvc_branchflow.work.placing import put_in_place
from dvc_branchflow.work.publish import Move, publish, require_movable
from dvc_branchflow.work.races import until_won
from dvc_branchflow.work.records import as_json
from dvc_branchflow.work.registry import Release, find_release, shared_tags
from dvc_branchflow.work.reproductions import (
    Pair,
    Reproduction,
    judge_reproduction,
    metric_pairs,
    pairs,
)
from dvc_branchflow.work.transfer import Report
from dvc_branchflow.work.views import model_of
from dvc_branchflow.work.worktrees import branch_lock, lay_worktree, log_path


@dataclass(frozen=True, slots=True)
class ReproducePlan:
    """What a reproduction is going to do.

    Attributes:
        stages: those that run.
        frozen: those that DVC doesn't run; their outs are taken as they are.
        pins: upstream branch → commit.
        outs, size_bytes: what has to lie ready before the stages run.
    """

    tag: str
    commit: Sha
    stages: tuple[str, ...]
    frozen: tuple[str, ...]
    pins: Mapping[Branch, Sha]
    outs: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class ReproduceOutcome:
    """What came of a reproduction; `path` and `commit` say where it is on record, if it is."""

    reproduction: Reproduction
    path: str | None
    commit: Sha | None
    log: Path


def plan(project: Project, tag: str) -> ReproducePlan:
    """Return what `reproduce` would do, on fresh refs."""
    release, data = _release(project, tag)
    inputs = _inputs(data)
    return ReproducePlan(
        tag=release.tag,
        commit=release.commit,
        stages=tuple(stage.name for stage in _stages(data, is_frozen=False)),
        frozen=tuple(stage.name for stage in _stages(data, is_frozen=True)),
        pins=data.pins.commits,
        outs=len(inputs),
        size_bytes=sum(out.size_bytes or 0 for out in inputs),
    )


def reproduce(
    project: Project, tag: str, report: Report, *, tolerance: float = 0.0, record: bool = True
) -> ReproduceOutcome:
    """Run every stage of a release once more on the pinned data, and compare what comes out.

    The branch, the tag, the checkout and DVC's cache stay as they are; of the refs only the
    tracking branch moves, by the record.

    Args:
        tolerance: by how much metrics may differ, of the larger value, where outs do.
        record: put it on record, whatever came of it.
    Raises: UsageError: a tolerance that is none. FlowError: no release that the team has.
        StorageError: its data can't be had.
    """
    if not (math.isfinite(tolerance) and 0 <= tolerance < 1):
        raise UsageError(f"{tolerance} is no tolerance: give a number from 0 to 1, such as 0.01")
    release, data = _release(project, tag)
    if record and project.git_remote is None:
        require_movable(project, [project.config.tracking])
    place = Branch(f"reproduce:{release.model}")  # no branch can be called so
    log = log_path(project, place, "repro")
    with branch_lock(project, place, report):
        found = _reproduce(project, release, data, place, log, tolerance, report)
    if not record:
        return ReproduceOutcome(found, None, None, log)
    path, commit = until_won(project, lambda: _record(project, found, report), report)
    return ReproduceOutcome(found, path, commit, log)


def _release(project: Project, tag: str) -> tuple[Release, CommitData]:
    project.require_history("reproduce")
    project.refresh()
    parsed = parse_gto_tag(tag)
    tags = shared_tags(project, parsed.model if parsed else "")
    release = find_release(project, tags, tag)
    data = read_commit(project.git, release.commit)
    if not _stages(data, is_frozen=False):
        raise FlowError(f"'{tag}' has no stage to run")
    return release, data


def _stages(data: CommitData, *, is_frozen: bool) -> list[LockedStage]:
    """What the release's lock says was run, of the stages that DVC runs, or of the others."""
    declared = data.pipeline.stages
    locked = [(declared.get(stage.name.partition("@")[0]), stage) for stage in data.stages]
    return [stage for one, stage in locked if one is not None and one.is_frozen is is_frozen]


def _inputs(data: CommitData) -> list[Out]:
    """What stages read that no stage of theirs makes: the pins, and outs of frozen stages."""
    frozen = {path for stage in _stages(data, is_frozen=True) for path in stage.outs}
    kept = [data.outs[path] for path in sorted(frozen & data.outs.keys())]
    return [*data.pointers.values(), *kept]


def _reproduce(
    project: Project,
    release: Release,
    data: CommitData,
    place: Branch,
    log: Path,
    tolerance: float,
    report: Report,
) -> Reproduction:
    draft = _draft(project, release, data, tolerance)
    worktree = lay_worktree(project, place, release.commit)
    put_in_place(project, worktree, _inputs(data), report)
    env = _environment(project, release)
    started = time.monotonic()
    try:
        ran = run_anew(project, worktree, data, log, env=env, report=report)
    except RunError as error:
        return replace(draft, reason=error.message, seconds=_seconds_since(started))
    outs = _outs(_stages(data, is_frozen=False), _made(worktree, ran))
    metrics = metric_pairs(release.record.metrics, _metrics(worktree))
    verdict = judge_reproduction(outs, metrics, tolerance)
    return replace(
        draft, verdict=verdict, outs=outs, metrics=metrics, seconds=_seconds_since(started)
    )


def _draft(project: Project, release: Release, data: CommitData, tolerance: float) -> Reproduction:
    """What is known before the stages run: who, when, with what."""
    return Reproduction(
        tag=release.tag,
        model=release.record.model,
        version=release.version,
        commit=release.commit,
        verdict="failed",
        tolerance=tolerance,
        outs={},
        metrics={},
        environment=pairs(release.record.environment, environment(project.git, data)),
        seconds=0.0,
        who=project.git.identity(),
        when=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        id=secrets.token_hex(8),
    )


def _seconds_since(started: float) -> float:
    return round(time.monotonic() - started, 1)


def _environment(project: Project, release: Release) -> dict[str, str]:
    """What the stages were told at the release, so that they are told the same."""
    made = {"BRANCHFLOW_MODEL": release.record.model, "BRANCHFLOW_TAG": str(release.tag)}
    for spec in project.specs.values():
        if spec.role is Role.STABLE and model_of(spec) == release.record.model:
            made["BRANCHFLOW_BRANCH"] = spec.branch
    return made


def _made(worktree: Path, ran: Iterable[str]) -> dict[str, Oid]:
    """What the stages that ran have made: path → oid."""
    names = set(ran)
    stages = parse_lock((worktree / LOCK_FILE).read_bytes())
    return {
        path: out.oid for stage in stages if stage.name in names for path, out in stage.outs.items()
    }


def _outs(stages: Iterable[LockedStage], made: Mapping[str, Oid]) -> dict[str, Pair]:
    recorded = {path: out.oid for stage in stages for path, out in stage.outs.items()}
    return {path: Pair(oid, made.get(path)) for path, oid in sorted(recorded.items())}


def _metrics(worktree: Path) -> Mapping[str, Any]:
    try:
        found: Mapping[str, Any] = as_json(metrics_in(worktree))
    except ValueError:  # nested too deeply to be compared
        return {}
    return found


def _record(project: Project, found: Reproduction, report: Report) -> tuple[str, Sha]:
    tracking = project.tracking.as_published()  # nobody's unpushed documents go out with it
    files = project.git.files(tracking.sha)
    path = next(path for path in found.paths() if path not in files)
    message = (
        f"Record that {found.tag} was reproduced: {found.verdict}\n\nReproduced: {found.tag}\n"
    )
    change = Change(path, found.to_json().encode())
    commit = project.git.write_commits([NewCommit([tracking.sha], message, [change])])[0]
    move = Move(tracking.branch, tracking, commit)
    publish(project, [move], reason=f"branchflow reproduce {found.tag}", report=report)
    return path, commit
