"""Lists the runs on record and puts releases side by side; ranks only what can be compared."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from dvc_branchflow.errors import ConfigError, FlowError
from dvc_branchflow.git.lines import line_changes
from dvc_branchflow.model import Branch, Sha, parse_sha
from dvc_branchflow.project import Project
from dvc_branchflow.query import Condition, ordered, parse_condition, parse_order, require_known
from dvc_branchflow.values import dataclass, field, replace
from dvc_branchflow.work.code import CodeBoundary, code_at
from dvc_branchflow.work.commits import CommitData, read_commits
from dvc_branchflow.work.erasures import erasures_of_runs
from dvc_branchflow.work.experiments import find_experiment, homes
from dvc_branchflow.work.imported import imported_metrics
from dvc_branchflow.work.looks import Look, all_looks
from dvc_branchflow.work.ranking import Choice, best, chosen, why_not_comparable
from dvc_branchflow.work.records import RunRecord, read_records, read_refused
from dvc_branchflow.work.reproductions import Reproductions, read_reproductions
from dvc_branchflow.work.staleness import is_current
from dvc_branchflow.work.views import (
    RunView,
    Wanted,
    model_of,
    view_of_record,
    views_of_commits,
)

_SECTIONS = ("metrics", "mlflow", "pins", "split", "code", "params", "outs")


@dataclass(frozen=True, slots=True)
class CodeChange:
    """How the code of a run differs from that of the first one: files, and lines of them."""

    files: int
    added: int
    removed: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """Runs side by side.

    Attributes:
        rows: section and name → one value a run, None where a run has none. Of outs md5 and size in
            bytes, under `code`, `changed` a CodeChange.
        best: metric → the runs that are best by it, where it is known which way is better.
        not_ranked: why the runs can't be ranked; empty where they can.
        notes: what a reader should know besides.
    """

    runs: tuple[RunView, ...]
    rows: Mapping[tuple[str, str], tuple[object, ...]]
    best: Mapping[str, tuple[str, ...]]
    not_ranked: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RunsRequest:
    """Which runs, and in what order.

    Attributes:
        where: conditions that all have to hold, as `metrics.mae<25`.
        sort: a value's name, `:desc` behind it for the largest first; None: oldest first.
        refused: the candidates that a gate refused, not the releases.
    """

    model: str | None = None
    where: Sequence[str] = ()
    sort: str | None = None
    refused: bool = False

    def names(self) -> list[str]:
        """Return the names of the values that are asked for."""
        found = [parse_condition(text).name for text in self.where]
        return found + ([parse_order(self.sort).name] if self.sort else [])


@dataclass(frozen=True, slots=True)
class RunList:
    """The runs on record that were asked for, and what is wrong with records that can't be read.

    Attributes:
        reproduced: release → what its last reproduction came to.
        mlflow: release → the metrics that were imported for it.
        erased: release, or the path of a refused one's record → the erasures of data behind it.
    """

    records: tuple[RunRecord, ...]
    unreadable: tuple[ConfigError, ...]
    reproduced: Mapping[str, str] = field(default_factory=dict)
    mlflow: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    erased: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def erasures(self, record: RunRecord) -> tuple[str, ...]:
        """Return the erasures of data that a run was made from."""
        return self.erased.get(record.path if record.refused else record.tag, ())

    def values(self, record: RunRecord) -> dict[str, object]:
        """Return what a reader may ask for by name: the record's own values, and `mlflow.NAME`."""
        logged = {} if record.refused else self.mlflow.get(record.tag, {})
        return record.values() | {f"mlflow.{name}": value for name, value in logged.items()}


def runs(project: Project, request: RunsRequest | None = None) -> RunList:
    """Return the runs on record, those that only a tag carries as well.

    Raises: UsageError: a condition that is none, or a name that no run has.
    """
    request = request or RunsRequest()
    conditions = [parse_condition(text) for text in request.where]
    there = read_refused(project) if request.refused else read_records(project)
    records = [record for record in there.found if request.model in {None, record.model}]
    again = read_reproductions(project)
    logged, broken = imported_metrics(project)
    verdicts = {r.tag: again.last(r.tag, r.commit) for r in records if not r.refused}
    found = RunList(
        records=tuple(records),
        unreadable=(*there.unreadable, *again.unreadable, *broken),
        reproduced={tag: verdict for tag, verdict in verdicts.items() if verdict},
        mlflow={tag: logged[tag] for tag in verdicts if tag in logged},
        erased=erasures_of_runs(project),
    )
    return _chosen(found, request, conditions) if records and request.names() else found


def _chosen(found: RunList, request: RunsRequest, conditions: Sequence[Condition]) -> RunList:
    rows = [(found.values(record), record) for record in found.records]
    known = {name: None for values, _ in rows for name in values}
    for name in request.names():
        require_known(name, known, "run")
    rows = [row for row in rows if all(one.holds(row[0]) for one in conditions)]
    if request.sort:
        rows = ordered(rows, parse_order(request.sort), lambda row: row[0])
    tags = {record.tag for _, record in rows}
    return replace(
        found,
        records=tuple(record for _, record in rows),
        reproduced={tag: verdict for tag, verdict in found.reproduced.items() if tag in tags},
        mlflow={tag: metrics for tag, metrics in found.mlflow.items() if tag in tags},
    )


def looks(project: Project, model: str | None = None) -> list[Look]:
    """Return every look at a test side, oldest first: by which code, on which split."""
    project.require_history("runs --test-looks")
    return all_looks(project, model)


def compare(project: Project, refs: Sequence[str] = (), choice: Choice | None = None) -> Comparison:
    """Put runs side by side: releases, branches, experiments by name, any commits.

    Args:
        refs: none: the last two releases of the model that was released last.
        choice: by which metric to rank; None: by each of which a gate says what is better.
    Raises: GitError: no such thing. FlowError: there are no two to compare. UsageError: no such
        metric, or nothing says which way it is better.
    """
    records = {record.tag: record for record in read_records(project).found}
    again = read_reproductions(project)
    views, data = _views(project, list(refs) or _last_two(records.values()), records)
    if len(views) < 2:  # noqa: PLR2004  two sides
        raise FlowError("there are no two releases to compare", hint="git branchflow runs")
    why_not = why_not_comparable(views)
    return Comparison(
        runs=tuple(views),
        rows=_rows(views, list(_code_changes(project, [view.commit for view in views], data)))
        | _reproduced(views, again),
        best={} if why_not else _best(project, views, choice or Choice()),
        not_ranked=why_not,
        notes=tuple(_notes(project, views, data)),
    )


def _last_two(records: Iterable[RunRecord]) -> list[str]:
    found = list(records)
    return [record.tag for record in found if record.model == found[-1].model][-2:]


def _views(
    project: Project, refs: Sequence[str], records: Mapping[str, RunRecord]
) -> tuple[list[RunView], dict[Sha, CommitData]]:
    """What the refs name, in their order, and what those commits hold that are here."""
    wanted = [_wanted(project, ref, records) for ref in dict.fromkeys(refs)]
    kinds = project.git.kinds(one.commit for one in wanted)
    data = read_commits(project.git, [sha for sha, kind in kinds.items() if kind == "commit"])
    read = [one for one in wanted if one.kind != "release"]
    views = {view.name: view for view in views_of_commits(project, read, data)}
    views |= {
        one.name: view_of_record(project, records[one.name], one.commit)
        for one in wanted
        if one.kind == "release"
    }
    return [views[one.name] for one in wanted], data


def _wanted(project: Project, ref: str, records: Mapping[str, RunRecord]) -> Wanted:
    if ref in records:
        tag = project.tags.get(ref)
        return Wanted(ref, "release", tag.commit if tag else parse_sha(records[ref].commit))
    if ref in project.tips:
        model = model_of(project.specs.get(Branch(ref)))
        return Wanted(ref, "branch", project.tip(ref).sha, model)
    experiment = find_experiment(project.git, ref)
    if experiment is not None:
        home = homes(project, [experiment.baseline]).get(experiment.baseline)
        return experiment.wanted(home)
    return Wanted(ref, "commit", project.git.resolve(ref))


def _rows(
    views: Sequence[RunView], changes: Sequence[CodeChange | None]
) -> dict[tuple[str, str], tuple[object, ...]]:
    sides = [
        {**_cells(view), ("code", "changed"): change}
        for view, change in zip(views, changes, strict=True)
    ]
    keys = dict.fromkeys(key for cells in sides for key in cells)
    rows = {key: tuple(cells.get(key) for cells in sides) for key in keys}
    rows = {key: values for key, values in rows.items() if any(v is not None for v in values)}
    return {key: rows[key] for section in _SECTIONS for key in rows if key[0] == section}


def _reproduced(
    views: Sequence[RunView], again: Reproductions
) -> dict[tuple[str, str], tuple[object, ...]]:
    """What the last reproduction of each came to, where one of them was reproduced."""
    last = tuple(again.last(view.name, view.commit) for view in views)
    return {("reproduced", "last"): last} if any(last) else {}


def _cells(view: RunView) -> dict[tuple[str, str], object]:
    cells: dict[tuple[str, str], object] = {
        ("split", "certificate"): view.certificate,
        ("code", "promoted"): view.code,
        ("code", "baseline"): view.baseline,
    }
    named: dict[str, Mapping[str, object]] = {
        "metrics": view.metrics,
        "mlflow": view.logged,
        "pins": view.pins,
        "params": view.params,
        "outs": view.outs,
    }
    for section, values in named.items():
        cells |= {(section, name): value for name, value in values.items()}
    return cells | {("split", f"sample of {name}"): part for name, part in view.samples.items()}


def _code_changes(
    project: Project, commits: Sequence[Sha], data: Mapping[Sha, CommitData]
) -> Iterator[CodeChange | None]:
    """How the code of each commit differs from that of the first."""
    trees = {sha: commit.tree for sha, commit in project.git.commits(data).items()}
    first = commits[0]
    pairs = {sha: (trees[first], trees[sha]) for sha in commits if sha in trees and first in trees}
    lines = line_changes(project.git, pairs.values())
    owned = [spec.data for spec in project.specs.values() if spec.data]
    boundary = {
        sha: CodeBoundary({"": held.pipeline}, held.stages, owned) for sha, held in data.items()
    }
    for sha in commits:
        if sha not in pairs:
            yield None
            continue
        counted = lines.get(pairs[sha], {})
        old, new = (code_at(project.git, data[one], boundary[one], counted) for one in (first, sha))
        changed = [counts for path, counts in counted.items() if old.get(path) != new.get(path)]
        yield CodeChange(len(changed), *map(sum, zip((0, 0), *changed, strict=True)))


def _best(project: Project, views: Sequence[RunView], choice: Choice) -> dict[str, tuple[str, ...]]:
    found = {
        metric: best(views, metric, is_lower=is_lower)
        for metric, is_lower in chosen(project, views, choice).items()
    }
    return {
        metric: tuple(views[n].name for n in places) for metric, places in found.items() if places
    }


def _notes(
    project: Project, views: Sequence[RunView], data: Mapping[Sha, CommitData]
) -> Iterator[str]:
    erased = erasures_of_runs(project)
    for view in views:
        for name in erased.get(view.name, ()):
            yield f"{view.name}: data that it was made from was erased since (erasure {name})"
        yield from (f"{view.name}: {problem}" for problem in view.problems)
        if view.kind in {"branch", "commit"} and not is_current(project, data[view.commit]):
            yield f"{view.name}: its results were not made from what is committed"
        if view.commit not in data:
            yield f"{view.name}: its commit is not here, so that its code can't be compared"
