"""A run as a reader compares it: from a release's record, or read from any commit alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Literal

from dvc_branchflow.errors import ConfigError, UsageError
from dvc_branchflow.flow import BranchSpec
from dvc_branchflow.gitobjects import EXECUTABLE_MODE, FILE_MODE
from dvc_branchflow.model import Branch, Role, Sha
from dvc_branchflow.plain import load_values
from dvc_branchflow.policy.facts import is_below
from dvc_branchflow.project import Project
from dvc_branchflow.query import flat
from dvc_branchflow.values import dataclass, field
from dvc_branchflow.work.commits import CommitData
from dvc_branchflow.work.imported import logged_metrics, read_imported
from dvc_branchflow.work.looks import evaluations
from dvc_branchflow.work.records import RunRecord, certificate_of, named_metrics

_MAX_BYTES = 4 * 1024 * 1024  # of a commit's metrics; YAML takes a second a MiB
Kind = Literal["release", "branch", "experiment", "commit"]


@dataclass(frozen=True, slots=True)
class RunView:
    """What a run was made on, and what came of it.

    Attributes:
        name: what the user calls it: a tag, a branch, an experiment, a rev.
        model: None where no branch of the flow says which.
        pins: upstream branch → commit.
        samples: upstream branch → the part of its data that was used, where it was not all.
        certificate: digest of the split that it was evaluated on, None where there is none.
        params: as `dvc.lock` says that they were read, by dotted name.
        metrics: by the name that `runs` shows.
        outs: path → md5 and, where known, size in bytes.
        logged: the metrics that were imported from MLflow for a release.
        code: where a release's code was promoted from.
        test_side: the metrics that were measured on the test side.
        baseline: the commit that an experiment was run on.
        problems: why some of the metrics can't be read.
    """

    name: str
    kind: Kind
    commit: Sha
    model: str | None
    pins: Mapping[str, str]
    samples: Mapping[str, str]
    certificate: str | None
    params: Mapping[str, object]
    metrics: Mapping[str, float]
    outs: Mapping[str, Mapping[str, object]]
    logged: Mapping[str, object] = field(default_factory=dict)
    code: str | None = None
    test_side: tuple[str, ...] = ()
    baseline: Sha | None = None
    problems: tuple[str, ...] = ()

    @property
    def evaluated_on(self) -> object:
        """What has to be equal for two runs to be comparable; None: nothing is known of it."""
        place = self.certificate or tuple(sorted(self.pins.items()))
        return (place, tuple(sorted(self.samples.items()))) if place else None


@dataclass(frozen=True, slots=True)
class _Metrics:
    """Metrics file → what it holds, and why some can't be read."""

    values: Mapping[str, object]
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A commit that is to be viewed, and as what."""

    name: str
    kind: Kind
    commit: Sha
    model: str | None = None
    baseline: Sha | None = None


def model_of(spec: BranchSpec | None) -> str | None:
    """Return the model that a branch makes; None where it makes none, or one without a name."""
    if spec is None or spec.role not in {Role.DEV, Role.STABLE}:
        return None
    try:
        return spec.model
    except UsageError:
        return None


def view_of_record(project: Project, record: RunRecord, commit: Sha) -> RunView:
    """Return a release as its record tells it, with what was imported for it.

    Args:
        commit: the one that the release's tag points at.
    """
    promoted = record.code.get("promoted")
    logged: dict[str, float | None] = {}
    problems: tuple[str, ...] = ()
    try:
        logged = logged_metrics(read_imported(project, record))
    except ConfigError as error:
        problems = (error.message,)
    return RunView(
        name=record.tag,
        kind="release",
        commit=commit,
        model=record.model,
        pins=record.pins,
        samples={},
        certificate=record.certificate,
        params=flat(record.params),
        metrics=record.flat_metrics(),
        outs=record.outs,
        logged=logged,
        problems=problems,
        code=str(promoted) if promoted else None,
    )


def views_of_commits(
    project: Project, wanted: Sequence[Wanted], data: Mapping[Sha, CommitData]
) -> list[RunView]:
    """Return runs as their commits hold them: pins, `dvc.lock` and the metrics files.

    Args:
        data: what each of the commits says about data.
    """
    metrics = _read_metrics(project, {one.commit: data[one.commit] for one in wanted})
    certificates: dict[tuple[tuple[Branch, Sha], ...], str | None] = {}
    views: list[RunView] = []
    for one in wanted:
        pins = tuple(sorted(data[one.commit].pins.commits.items()))
        if pins not in certificates:
            certificates[pins] = _certificate(project, dict(pins))
        views.append(_view(one, data[one.commit], metrics[one.commit], certificates[pins]))
    return views


def run_params(data: CommitData) -> dict[str, object]:
    """Return the params that a commit's stages were run with, as its `dvc.lock` has them."""
    params: dict[str, object] = {}
    for stage in data.stages:
        for values in stage.params.values():
            params |= values
    return params


def _view(one: Wanted, held: CommitData, metrics: _Metrics, certificate: str | None) -> RunView:
    looked = {p for stage in evaluations(held.pipeline, held.stages).values() for p in stage.outs}
    named = list(named_metrics(metrics.values))
    outs = {
        path: {"md5": out.oid} | ({} if out.size_bytes is None else {"size": out.size_bytes})
        for path, out in sorted(held.outs.items())
    }
    return RunView(
        name=one.name,
        kind=one.kind,
        commit=one.commit,
        model=one.model,
        pins={str(name): str(sha) for name, sha in held.pins.commits.items()},
        samples={str(n): f"{s.fraction:g} {s.key}".strip() for n, s in held.pins.samples.items()},
        certificate=certificate,
        params=flat(run_params(held)),
        metrics={name: value for name, _, value in named},
        outs=outs,
        test_side=tuple(name for name, file, _ in named if any(is_below(file, p) for p in looked)),
        baseline=one.baseline,
        problems=metrics.problems,
    )


def _read_metrics(project: Project, commits: Mapping[Sha, CommitData]) -> dict[Sha, _Metrics]:
    """The metrics of commits; all blobs in one batch."""
    files = {sha: _metrics_files(data) for sha, data in commits.items()}
    blobs = {
        data.files[path].sha
        for sha, data in commits.items()
        for path in files[sha]
        if path in data.files
    }
    sizes = project.git.sizes(blobs)
    contents = project.git.read_blobs(blob for blob, size in sizes.items() if size <= _MAX_BYTES)
    return {sha: _parsed(project, commits[sha], paths, contents) for sha, paths in files.items()}


def _parsed(
    project: Project, data: CommitData, paths: Iterable[str], blobs: Mapping[Sha, bytes]
) -> _Metrics:
    values: dict[str, object] = {}
    problems: list[str] = []
    left_bytes = _MAX_BYTES
    for path in paths:
        content = _content(project, data, path, blobs)
        left_bytes -= len(content or b"")
        if content is None or left_bytes < 0:
            problems.append(f"'{path}' is not here, or too large")
            continue
        try:
            values[path] = load_values(content, path)
        except ConfigError as error:
            problems.append(error.message)
    return _Metrics(values, tuple(problems))


def _metrics_files(data: CommitData) -> list[str]:
    """The paths of a commit's metrics, as far as they were made."""
    outs = [out for stage in data.pipeline.stages.values() for out in stage.outs]
    declared = [out.pattern for out in outs if out.is_metric]
    made = [path for stage in data.stages for path in stage.outs]
    found = [path for path in made if any(pattern.matches(path) for pattern in declared)]
    beside = [path for path in data.files if any(is_below(path, p) for p in data.pipeline.metrics)]
    return sorted(
        path
        for path in {*found, *beside}
        if path not in data.files or data.files[path].mode in {FILE_MODE, EXECUTABLE_MODE}
    )


def _content(
    project: Project, data: CommitData, path: str, blobs: Mapping[Sha, bytes]
) -> bytes | None:
    """What lies at the path of a metrics file: in Git, or else in the cache, if it is there."""
    if path in data.files:
        return blobs.get(data.files[path].sha)
    out = data.outs.get(path)
    if out is None or out.is_dir or not project.cache.has(out.oid):
        return None
    file = project.cache.path(out.oid)
    return file.read_bytes() if file.stat().st_size <= _MAX_BYTES else None


def _certificate(project: Project, pins: Mapping[Branch, Sha]) -> str | None:
    """The certificate at pinned commits; None where they are not here, as in a shallow clone."""
    kinds = project.git.kinds(pins.values())
    is_here = all(kinds.get(sha) == "commit" for sha in pins.values())
    return certificate_of(project, pins) if is_here else None
