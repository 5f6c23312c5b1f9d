"""Rows of a monitor log as a table for training: those of a span that a filter lets through."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dvc_branchflow.lazy import csv, np, pa
from dvc_branchflow.query import Condition, require_known
from dvc_branchflow.values import dataclass
from dvc_branchflow.watch.rows import OPTIONAL, REQUIRED
from dvc_branchflow.watch.windows import Span, compact
from dvc_branchflow.work.environments import Environment
from dvc_branchflow.work.labels import Labels, read_labels
from dvc_branchflow.work.logbook import ROWS, read_log
from dvc_branchflow.work.transfer import Report


@dataclass(frozen=True, slots=True)
class Filter:
    """Which rows go: all of `wanted` hold, and none of `unwanted`; labelled ones if so asked."""

    wanted: Sequence[Condition] = ()
    unwanted: Sequence[Condition] = ()
    labelled: bool = True

    def __str__(self) -> str:
        parts = [f"where {one.name}{one.operator}{one.wanted}" for one in self.wanted]
        parts += [f"except {one.name}{one.operator}{one.wanted}" for one in self.unwanted]
        return "; ".join(parts)


def export_rows(
    env: Environment, span: Span, rows: Filter, folder: Path, report: Report
) -> tuple[Path, int]:
    """Write the rows of a span with their labels as CSV; return the file, and how many they are.

    Raises: UsageError: a condition on a column that is not logged.
    """
    schema = env.schema
    columns = [*REQUIRED, *OPTIONAL, *(schema.columns if schema else ())]
    for one in (*rows.wanted, *rows.unwanted):
        require_known(one.name, [*columns, "label"], "column of the log")
    labels = read_labels(env, span, report)
    name = f"{env.spec.branch.replace('/', '-')}-{compact(span.start)}-{compact(span.end)}.csv"
    path, count = folder / name, 0
    shape = pa.schema([*((name, _type(env, name)) for name in columns), ("label", _label(env))])
    with csv.CSVWriter(path, shape) as writer:
        for table in read_log(env, ROWS, span, columns, report):
            whole = _with_labels(table, labels, shape)
            kept = np.flatnonzero(_kept(whole, rows))
            writer.write_table(whole.take(kept))
            count += int(kept.size)
    return path, count


def _with_labels(table: Any, labels: Labels, shape: Any) -> Any:
    """The columns of a file in one order, those that it lacks empty, and the labels."""
    hit, actual = labels.of(table)
    values = np.full(table.num_rows, None, object)
    values[hit] = actual
    moments = table["time"].cast(pa.int64()).to_numpy().astype("datetime64[us]")
    texts = pa.array([f"{moment}Z" for moment in moments.astype(str)])
    table = table.set_column(table.column_names.index("time"), "time", texts)
    there = table.column_names
    columns = [
        table[item.name] if item.name in there else pa.nulls(table.num_rows, item.type)
        for item in list(shape)[:-1]
    ]
    return pa.table([*columns, pa.array(values, shape.field("label").type)], schema=shape)


def _kept(table: Any, rows: Filter) -> Any:
    named = list(dict.fromkeys(one.name for one in (*rows.wanted, *rows.unwanted)))
    kept = table["label"].is_valid().to_numpy() if rows.labelled else np.ones(table.num_rows, bool)
    if not named:
        return kept
    for at, values in enumerate(table.select(named).to_pylist()):
        is_wanted = all(one.holds(values) for one in rows.wanted)
        kept[at] &= is_wanted and not any(one.holds(values) for one in rows.unwanted)
    return kept


def _type(env: Environment, name: str) -> Any:
    if name in {"request_id", "time", "tag"}:
        return pa.string()
    kind = env.schema.kind(name) if env.schema else "text"
    is_hashed = env.schema is not None and env.schema.private.get(name) == "hash"
    return pa.float64() if kind == "number" and not is_hashed else pa.string()


def _label(env: Environment) -> Any:
    is_number = env.schema is not None and env.schema.prediction == "number"
    return pa.float64() if is_number else pa.string()
