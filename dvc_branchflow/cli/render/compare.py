"""The runs on record, and what they say side by side."""

from __future__ import annotations

import csv as csv_format
import io
from collections import Counter
from collections.abc import Iterable, Sequence

from dvc_branchflow.cli.text import (
    Column,
    cell,
    colour,
    fitted,
    local_time,
    printable,
    short,
    table,
)
from dvc_branchflow.compare import Comparison, RunList
from dvc_branchflow.query import as_text, is_number
from dvc_branchflow.work.looks import Look
from dvc_branchflow.work.records import RunRecord

_METRICS = 4
_PARAMS = 2
_SHORT = 7
_SHOWN = frozenset({"tag", "when", "certificate", "commit", "pins"})


def run_list(found: RunList, asked: Sequence[str] = ()) -> str:
    """The runs, a line each: what was asked for by name, the main metrics, params that differ."""
    records = found.records
    if not records:
        return "no such run on record" if asked else "no runs on record yet"
    values = [record.values() for record in records]
    names = list(dict.fromkeys(name for row in values for name in row))
    differing = [name for name in names if len({as_text(row.get(name)) for row in values}) > 1]
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
    if any(record.refused for record in records):
        columns[-1] = Column("refused by", [_refusal(record) for record in records])
    return fitted(columns)


def _refusal(record: RunRecord) -> str:
    return "; ".join(f"{one.get('gate')}: {one.get('reason')}" for one in record.refused)


def _first(names: Iterable[str], start: str, most: int) -> list[str]:
    return [name for name in names if name.startswith(start)][:most]


def csv(found: RunList) -> str:
    """The runs with all their values, as CSV, a line each."""
    rows = [{printable(k): _plain(v) for k, v in r.values().items()} for r in found.records]
    file = io.StringIO()
    names = dict.fromkeys(name for row in rows for name in row)
    writer = csv_format.DictWriter(file, list(names), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return file.getvalue().rstrip("\n")


def _plain(value: object) -> object:
    return value if is_number(value) or value is None else printable(as_text(value))


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
    """Releases side by side: what differs, and what to make of it."""
    rows: list[tuple[str, ...]] = []
    last = ""
    for (section, name), values in found.rows.items():
        if section not in {"metrics", "split"} and len(set(map(str, values))) == 1:
            continue
        rows.append((section if section != last else "", cell(name), *map(cell, values)))
        last = section
    text = table(rows, ("", "", *(record.tag for record in found.records)))
    if not found.is_comparable:
        note = "not ranked: the releases were evaluated on different split certificates"
        text += "\n" + colour(note, "warn")
    return text
