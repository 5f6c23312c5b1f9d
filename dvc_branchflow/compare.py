"""Lists the runs on record and puts releases side by side; ranks only what can be compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dvc_branchflow.errors import ConfigError, FlowError
from dvc_branchflow.project import Project
from dvc_branchflow.query import flat, ordered, parse_condition, parse_order, require_known
from dvc_branchflow.work.imported import logged_metrics, read_imported
from dvc_branchflow.work.looks import Look, all_looks
from dvc_branchflow.work.records import RunRecord, read_records, read_refused


@dataclass(frozen=True, slots=True)
class Comparison:
    """Records side by side.

    Attributes:
        rows: section and name → one value a record, None where a record has none.
        is_comparable: whether all were evaluated on the same split certificate.
    """

    records: tuple[RunRecord, ...]
    rows: dict[tuple[str, str], tuple[object, ...]]
    is_comparable: bool


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
    """The runs on record that were asked for, and what is wrong with records that can't be read."""

    records: tuple[RunRecord, ...]
    unreadable: tuple[ConfigError, ...]


def runs(project: Project, request: RunsRequest | None = None) -> RunList:
    """Return the runs on record, those that only a tag carries as well.

    Raises: UsageError: a condition that is none, or a name that no run has.
    """
    request = request or RunsRequest()
    conditions = [parse_condition(text) for text in request.where]
    there = read_refused(project) if request.refused else read_records(project)
    rows = [(r.values(), r) for r in there.found if request.model in {None, r.model}]
    known = {name: None for values, _ in rows for name in values}
    for name in request.names() if rows else ():
        require_known(name, known, "run")
    chosen = [row for row in rows if all(one.holds(row[0]) for one in conditions)]
    if request.sort:
        chosen = ordered(chosen, parse_order(request.sort), lambda row: row[0])
    return RunList(tuple(record for _, record in chosen), there.unreadable)


def looks(project: Project, model: str | None = None) -> list[Look]:
    """Return every look at a test side, oldest first: by which code, on which split."""
    project.require_history("runs --test-looks")
    return all_looks(project, model)


def compare(project: Project, tags: Sequence[str]) -> Comparison:
    """Put releases side by side; with no tag, the last two of the only model.

    Raises: FlowError: a tag without a record, or no two releases to compare.
    """
    known = {record.tag: record for record in runs(project).records}
    if not tags:
        tags = list(known)[-2:]
    if len(tags) < 2:  # noqa: PLR2004  two sides
        raise FlowError("there are no two releases to compare", hint="git branchflow runs")
    for tag in tags:
        if tag not in known:
            names = ", ".join(known) or "none"
            raise FlowError(f"'{tag}' has no run record; there are: {names}")
    records = tuple(known[tag] for tag in tags)
    logged = [logged_metrics(read_imported(project, record)) for record in records]
    return Comparison(records, _rows(records, logged), len({r.certificate for r in records}) == 1)


def _rows(
    records: Sequence[RunRecord], logged: Sequence[Mapping[str, object]]
) -> dict[tuple[str, str], tuple[object, ...]]:
    sides: list[dict[tuple[str, str], object]] = []
    for record, in_mlflow in zip(records, logged, strict=True):
        cells: dict[tuple[str, str], object] = {
            ("metrics", name): value for name, value in record.flat_metrics().items()
        }
        cells |= {("mlflow", name): value for name, value in in_mlflow.items()}
        cells |= {("pins", name): sha[:10] for name, sha in record.pins.items()}
        cells["split", "certificate"] = (record.certificate or "")[:10] or None
        cells["code", "promoted"] = _short(record.code.get("promoted"))
        cells |= {("params", name): value for name, value in flat(record.params).items()}
        cells |= {("outs", path): fields.get("size") for path, fields in record.outs.items()}
        sides.append(cells)
    keys = dict.fromkeys(key for cells in sides for key in cells)
    return {key: tuple(cells.get(key) for cells in sides) for key in keys}


def _short(promoted: object) -> str | None:
    name, _, sha = str(promoted or "").partition("@")
    return f"{name}@{sha[:10]}" if name else None
