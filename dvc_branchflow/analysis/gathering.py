"""Reads an experiment's rows from a monitor log: groups, units, and what is measured of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dvc_branchflow.experiment.plan import COMPUTED, Metric, Plan
from dvc_branchflow.experiment.verdict import Units
from dvc_branchflow.lazy import np, pa, pc
from dvc_branchflow.values import dataclass, field
from dvc_branchflow.watch.columns import as_number, as_text
from dvc_branchflow.watch.fingerprints import hash_texts
from dvc_branchflow.watch.windows import Span
from dvc_branchflow.work.environments import Environment
from dvc_branchflow.work.labels import Labels, read_labels
from dvc_branchflow.work.logbook import ROWS, read_log
from dvc_branchflow.work.transfer import Report

_NEEDS_LABEL = COMPUTED | {"label"}
_SEGMENT_VALUES = 8


@dataclass
class _Rows:
    """Columns of the rows so far; parts to be put together."""

    units: list[Any] = field(default_factory=list)
    groups: list[Any] = field(default_factory=list)
    values: dict[str, list[Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Gathered:
    """An experiment's rows.

    Attributes:
        rows: those that count; `too_early` were logged before the plan was committed.
        crossed: units that were seen in more than one group; their rows don't count.
        groups: number of each row's group in the plan; shape (rows,). `unit`: its unit's hash.
        columns: name → values; numbers NaN where missing, segments texts.
    """

    plan: Plan
    rows: int
    too_early: int
    without_unit: int
    crossed: int
    groups: Any
    unit: Any
    columns: dict[str, Any]

    def units_by_group(self) -> dict[str, int]:
        """Return group → units."""
        return {
            name: int(np.unique(self.unit[self.groups == at]).size)
            for at, name in enumerate(self.plan.groups)
        }

    def units(self, metric: Metric, group: str, where: Any = None) -> Units:
        """Return a metric in a group, summed by unit.

        Args:
            where: which rows count, shape (rows,); None: all.
        """
        number = list(self.plan.groups).index(group)
        top, bottom = self.columns[_top(metric)], self.columns[_bottom(metric)]
        counts = (self.groups == number) & np.isfinite(top) & np.isfinite(bottom)
        counts = counts if where is None else counts & where
        _, place = np.unique(self.unit[counts], return_inverse=True)
        sums = [np.bincount(place, weights=values[counts]) for values in (top, bottom)]
        return Units(*(one.astype(float) for one in sums))

    def segments(self) -> Iterator[tuple[str, str, Any]]:
        """Yield column, value and which rows have it, for the most frequent values."""
        for column in self.plan.segments:
            values = self.columns[f"segment {column}"]
            names, sizes = np.unique(values, return_counts=True)
            for at in np.argsort(-sizes, kind="stable")[:_SEGMENT_VALUES]:
                yield column, str(names[at]), values == names[at]


def gather(env: Environment, plan: Plan, planned_at: int, report: Report) -> Gathered:
    """Read the rows of an experiment.

    Args:
        planned_at: when the plan was committed, microseconds; earlier rows count in a backtest
            alone, which asks of old logs.
    """
    metrics = (plan.metric, *plan.guardrails)
    wanted = [m.column for m in metrics] + [m.per for m in metrics if m.per] + list(plan.segments)
    fixed = ["request_id", "time", "tag", "prediction", "experiment", "group", plan.unit]
    columns = list(dict.fromkeys([*fixed, *wanted]))
    is_labelled = any(m.column in _NEEDS_LABEL for m in metrics)
    labels = read_labels(env, plan.horizon if is_labelled else Span(0, 1), report)
    rows = _Rows(values={name: [] for name in _names(plan)})
    too_early = without_unit = 0
    for table in read_log(env, ROWS, plan.horizon, columns, report):
        group = _groups(plan, table)
        early = table["time"].cast(pa.int64()).to_numpy() < planned_at
        early &= plan.kind != "backtest"
        texts = as_text(_column(table, plan.unit))[0]
        named = texts.is_valid().to_numpy(zero_copy_only=False)
        too_early += int(np.sum(early & (group >= 0)))
        without_unit += int(np.sum(~named & ~early & (group >= 0)))
        kept = np.flatnonzero(named & ~early & (group >= 0))
        part = table.take(kept)
        rows.units.append(hash_texts(texts.take(pa.array(kept))))
        rows.groups.append(group[kept])
        for name, values in _measured(plan, part, labels).items():
            rows.values[name].append(values)
    return _without_crossed(plan, rows, too_early, without_unit)


def _names(plan: Plan) -> list[str]:
    metrics = (plan.metric, *plan.guardrails)
    names = [name for m in metrics for name in (_top(m), _bottom(m))]
    return [*dict.fromkeys(names), *(f"segment {column}" for column in plan.segments)]


def _top(metric: Metric) -> str:
    return f"top {metric.column} {metric.equals or ''}"


def _bottom(metric: Metric) -> str:
    return f"bottom {metric.per or ''}"


def _groups(plan: Plan, table: Any) -> Any:
    """The number of each row's group, -1 where it is of none; shape (rows,).

    A row that names the experiment is in the group that it names; one that names none is in the
    group of its release.
    """
    names = list(plan.groups)
    by_tag = {tag: at for at, tag in enumerate(plan.groups.values())}
    is_told_by_tag = len(by_tag) == len(names)
    experiment = as_text(_column(table, "experiment"))[0]
    named = as_text(_column(table, "group"))[0]
    is_ours = pc.fill_null(pc.equal(experiment, plan.name), fill_value=False)
    by_name = pc.fill_null(pc.index_in(named, pa.array(names)), -1)
    tagged = pc.fill_null(pc.index_in(table["tag"].combine_chunks(), pa.array(list(by_tag))), -1)
    other = tagged if is_told_by_tag else pa.array(np.full(table.num_rows, -1, np.int32))
    other = pc.if_else(pc.is_valid(experiment), -1, other)
    return pc.if_else(is_ours, by_name, other).to_numpy(zero_copy_only=False)


def _measured(plan: Plan, table: Any, labels: Labels) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for metric in (plan.metric, *plan.guardrails):
        found[_top(metric)] = _values(metric, table, labels)
        ones = np.ones(table.num_rows)
        found[_bottom(metric)] = _number(table, metric.per) if metric.per else ones
    for column in plan.segments:
        texts = pc.fill_null(as_text(_column(table, column))[0], "none")
        found[f"segment {column}"] = texts.to_numpy(zero_copy_only=False)
    return found


def _values(metric: Metric, table: Any, labels: Labels) -> Any:
    """What is measured of each row, NaN where it can't be; shape (rows,)."""
    if metric.column not in _NEEDS_LABEL:
        if metric.equals is None:
            return _number(table, metric.column)
        texts = as_text(_column(table, metric.column))[0]
        return _floats(pc.equal(texts, metric.equals).cast(pa.float64()))
    hit, actual = labels.of(table)
    found = np.full(table.num_rows, np.nan)
    predicted = table["prediction"].to_numpy()[hit]
    if metric.column == "correct":
        found[hit] = predicted == actual
    elif metric.column == "error":
        found[hit] = np.abs(predicted - actual)
    elif metric.equals is not None:
        found[hit] = [str(value) == metric.equals for value in actual]
    else:
        found[hit] = actual.astype(float)
    return found


def _number(table: Any, name: str) -> Any:
    return _floats(as_number(_column(table, name))[0])


def _floats(values: Any) -> Any:
    return np.asarray(values.to_numpy(zero_copy_only=False), float)


def _column(table: Any, name: str) -> Any:
    if name not in table.column_names:
        return pa.nulls(table.num_rows, pa.string())
    return table[name].combine_chunks()


def _without_crossed(plan: Plan, rows: _Rows, too_early: int, without_unit: int) -> Gathered:
    """Leave out the units that were seen in more than one group."""
    unit = np.concatenate([np.empty(0, np.uint64), *rows.units])
    group = np.concatenate([np.empty(0, int), *rows.groups])
    pairs = np.unique(np.column_stack([unit, group.astype(np.uint64)]), axis=0)
    units, times = np.unique(pairs[:, 0], return_counts=True)
    crossed = units[times > 1]
    kept = ~np.isin(unit, crossed)
    empty = np.empty(0)
    columns = {
        name: np.concatenate(parts)[kept] if parts else empty for name, parts in rows.values.items()
    }
    return Gathered(
        plan=plan,
        rows=int(kept.sum()),
        too_early=too_early,
        without_unit=without_unit,
        crossed=int(crossed.size),
        groups=group[kept],
        unit=unit[kept],
        columns=columns,
    )
