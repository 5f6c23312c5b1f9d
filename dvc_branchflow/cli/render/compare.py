"""The runs on record, and what they say side by side."""

from __future__ import annotations

import csv as csv_format
import io
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from dvc_branchflow.cli.text import (
    Column,
    cell,
    colour,
    count,
    fitted,
    local_time,
    printable,
    short,
    size,
    table,
)
from dvc_branchflow.compare import CodeChange, Comparison, RunList
from dvc_branchflow.experiments import ExperimentGroup, ExperimentList
from dvc_branchflow.query import as_text, is_number
from dvc_branchflow.work.looks import Look
from dvc_branchflow.work.records import RunRecord

_METRICS = 4
_PARAMS = 2
_PARAMS_OF_EXPERIMENTS = 4
_SHORT = 7
_ID_SHORT = 10
_ID = re.compile(r"\b[0-9a-f]{32,64}\b")
_ALWAYS = frozenset({"metrics", "split"})
_SHOWN = frozenset({"tag", "when", "certificate", "commit", "pins"})


def run_list(found: RunList, asked: Sequence[str] = ()) -> str:
    """The runs, a line each: what was asked for by name, the main metrics, params that differ."""
    records = found.records
    if not records:
        return "no such runs on record"
    values = [found.values(record) for record in records]
    names = list(dict.fromkeys([name for row in values for name in row] + list(asked)))
    differing = _differing(values)
    wanted = [name for name in asked if name.partition(".")[0] not in _SHOWN]
    wanted += _first(names, "metrics.", _METRICS) + _first(differing, "params.", _PARAMS)
    named = sorted(dict.fromkeys(wanted), key=names.index)
    pins = [" ".join(f"{name}@{sha[:_SHORT]}" for name, sha in r.pins.items()) for r in records]
    columns = [
        Column("release", [record.tag for record in records]),
        Column("when", [local_time(record.when) for record in records], rank=len(named) + 1),
        *(
            Column(
                name.partition(".")[2] or name,
                [row.get(name) for row in values],
                rank=0 if name in asked else rank,
            )
            for rank, name in enumerate(named, 1)
        ),
        Column("split", [(r.certificate or "-")[:_SHORT] for r in records], rank=len(named) + 2),
        Column("pins", pins, rank=len(named) + 3),
        Column("commit", [short(r.commit) or None for r in records], rank=len(named) + 4),
    ]
    if found.reproduced:
        again = [found.reproduced.get(record.tag) for record in records]
        columns.insert(-1, Column("reproduced", again, rank=len(named) + 5))
    if any(found.erasures(record) for record in records):
        gone = [", ".join(found.erasures(record)) or None for record in records]
        columns.insert(-1, Column("data erased", gone))
    if any(record.refused for record in records):
        columns[-1] = Column("refused by", [_refusal(record) for record in records])
    return fitted(columns)


def _differing(rows: Sequence[Mapping[str, object]]) -> list[str]:
    """The names under which not all of the rows have the same value."""
    names = dict.fromkeys(name for row in rows for name in row)
    return [name for name in names if len({as_text(row.get(name)) for row in rows}) > 1]


def _refusal(record: RunRecord) -> str:
    return "; ".join(f"{one.get('gate')}: {one.get('reason')}" for one in record.refused)


def _first(names: Iterable[str], start: str, most: int) -> list[str]:
    return [name for name in names if name.startswith(start)][:most]


def csv(found: RunList) -> str:
    """The runs with all their values, as CSV, a line each."""
    rows = [{printable(k): _plain(v) for k, v in found.values(r).items()} for r in found.records]
    file = io.StringIO()
    names = dict.fromkeys(name for row in rows for name in row)
    writer = csv_format.DictWriter(file, list(names), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue().rstrip("\n")


def _plain(value: object) -> object:
    return value if is_number(value) or value is None else printable(as_text(value))


def experiments(found: ExperimentList) -> str:
    """The experiments, those that may be ranked together in one table."""
    if not found.groups:
        return "no experiments here; dvc exp run makes one, dvc exp pull brings a colleague's"
    lines: list[str] = []
    for group in found.groups:
        lines += [_group(group, found.by), ""]
    best = [run for group in found.groups for run in group.runs if run.commit in group.best]
    if best:
        way = "lowest" if found.is_lower else "highest"
        lines.append(f"* {way} {cell(found.by)}: {', '.join(cell(run.name) for run in best)}")
    if len(found.groups) > 1:
        note = "ranked apart" if found.by else "apart"
        lines.append(colour(f"{note}: evaluated on different splits, samples or pins", "warn"))
    lines += [colour(printable(note), "warn") for note in found.notes]
    if len(best) == 1 and best[0].baseline:
        lines.append(f"next: git branchflow promote --experiment {cell(best[0].name)}")
    return "\n".join(lines).rstrip()


def _group(group: ExperimentGroup, by: str | None) -> str:
    runs = group.runs
    measured = {name for run in runs for name in run.test_side}
    every = dict.fromkeys(name for run in runs for name in run.metrics)
    unspent_first = sorted(every, key=lambda name: (name != by, name in measured))
    metrics = unspent_first[:_METRICS]
    params = _differing([run.params for run in runs])[:_PARAMS_OF_EXPERIMENTS]
    names = [run.name if run.baseline else f"{run.name} (baseline)" for run in runs]
    columns = [Column("run", names)]
    if sum(not run.baseline for run in runs) > 1:
        columns.append(Column("on", [short(run.baseline) or None for run in runs], rank=2))
    for rank, name in enumerate(metrics, 1):
        stars = ["*" * (name == by and run.commit in group.best) for run in runs]
        values = [cell(run.metrics.get(name)) + star for run, star in zip(runs, stars, strict=True)]
        columns.append(Column(name, values, rank=0 if name == by else rank + 2))
    columns += [Column(name, [run.params.get(name) for run in runs], rank=1) for name in params]
    return fitted(columns)


def looks(found: Sequence[Look]) -> str:
    """The looks at each test side, a split's certificate after the other."""
    if not found:
        return "no stage marked with 'meta: {side: test}' has run yet"
    counts = Counter((look.certificate, look.model) for look in found)
    rows = []
    seen: Counter[tuple[str | None, str]] = Counter()
    for look in sorted(found, key=lambda one: (str(one.certificate), one.model)):
        key = (look.certificate, look.model)
        seen[key] += 1
        rows.append(
            (
                (look.certificate or "-")[:10], look.model, f"{seen[key]} of {counts[key]}",
                local_time(look.when), look.branch, short(look.commit), ", ".join(look.stages),
                look.reason or "",
            )
        )  # fmt: skip
    header = ("split", "model", "look", "when", "branch", "commit", "stage", "reason")
    return table(rows, header)


def comparison(found: Comparison) -> str:
    """Runs side by side: what differs, and what to make of it."""
    names = [run.name for run in found.runs]
    rows: list[list[str]] = []
    last = ""
    for (section, name), values in found.rows.items():
        if section not in _ALWAYS and len({as_text(value) for value in values}) == 1:
            continue
        best = found.best.get(name, ()) if section == "metrics" else ()
        sides = [
            _side(value) + "*" * (run in best) for run, value in zip(names, values, strict=True)
        ]
        rows.append(["" if section == last else section, cell(name), *sides])
        last = section
    lines = [table(rows, ("", "", *map(cell, names)))]
    if found.best:
        lines.append("* best")
    if found.not_ranked:
        lines.append(colour(f"not ranked: {found.not_ranked}", "warn"))
    lines += [colour(printable(note), "warn") for note in found.notes]
    return "\n".join(lines)


def _side(value: object) -> str:
    """A value of one run: an out by its size and the start of its id, other ids short as well."""
    if isinstance(value, CodeChange):
        lines = f"+{value.added} -{value.removed}"
        return f"{count(value.files, 'file')} {lines}" if value.files else "-"
    if isinstance(value, Mapping):
        size_bytes = value.get("size")
        parts = [size(size_bytes)] if is_number(size_bytes) else []
        return " ".join([*parts, cell(value.get("md5"))[:_SHORT]])
    short_value = (
        _ID.sub(lambda id_: id_[0][:_ID_SHORT], value) if isinstance(value, str) else value
    )
    return cell(short_value)
