"""The targets that this project set itself, beside what was measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Target:
    """A ratio, or where `of` is empty an amount, that is to be at least or at most `wanted`.

    `size`: the label of the size in `params.yaml`.
    """

    says: str
    benchmark: str
    size: str
    way: str
    of: str
    wanted: float
    is_least: bool


_INGEST, _MOVE, _PLACE = "ingest", "transfer", "place"
_COPY, _LOOK = "floor: copy and hash", "floor: look at all, link 100"
_CHECKOUT = "git switch + dvc checkout"
_ROWS: tuple[tuple[str, str, str, str, str, str, float], ...] = (
    (
        "least",
        "append 100: `dvc add PATHS` + push",
        _INGEST,
        "large",
        "dvc add PATHS + push",
        "ours",
        100,
    ),
    (
        "least",
        "append 100: `dvc add DIR` + push",
        _INGEST,
        "large",
        "dvc add DIR + push",
        "ours",
        15,
    ),
    ("most", "append 100: floor", _INGEST, "ours_only", "ours", "floor", 3),
    ("least", "re-pin: `dvc update`", "pin", "large", "dvc update", "ours, one process", 100),
    ("most", "re-pin 20 branches: floor", "pin", "ours_only", "ours, one process", "floor", 3),
    ("most", "`status`, 200 branches: batch read", "status", "large", "ours", "floor", 2),
    ("most", "`status`, 200 branches", "status", "large", "ours", "", 0.3),
    ("most", "`status`, small repository", "status", "small", "ours", "", 0.1),
    (
        "least",
        "`status`, small repository: `dvc status`",
        "status",
        "small",
        "dvc status",
        "ours",
        5,
    ),
    ("most", "hook, one commit", "judge", "large", "ours, one commit", "", 0.15),
    ("most", "hook, 1,000 commits", "judge", "large", "ours", "", 3),
    ("least", "verify on S3: `dvc status -c`", "verify", "large", "dvc status -c", "ours", 5),
    ("most", "verify on S3: listing", "verify", "large", "ours", "floor: list", 1.5),
    ("least", "push to S3: `dvc push`", _MOVE, "s3_large", "dvc push", "ours push", 4),
    ("least", "fetch from S3: `dvc fetch`", _MOVE, "s3_large", "dvc fetch", "ours fetch", 4),
    ("least", "push to S3: s5cmd", _MOVE, "s3_large", "s5cmd push", "ours push", 0.9),
    ("least", "fetch from S3: s5cmd", _MOVE, "s3_large", "s5cmd fetch", "ours fetch", 0.9),
    ("least", "push to a directory: `dvc push`", _MOVE, "large", "dvc push", "ours push", 4),
    ("least", "fetch from a directory: `dvc fetch`", _MOVE, "large", "dvc fetch", "ours fetch", 4),
    ("most", "push to a directory: copy and hash", _MOVE, "large", "ours push", _COPY, 1.5),
    ("least", "push 2 GiB to a directory: `dvc push`", _MOVE, "big", "dvc push", "ours push", 1),
    ("least", "push 512 MiB to S3: `dvc push`", _MOVE, "s3_big", "dvc push", "ours push", 1),
    ("least", "put in place: `dvc checkout`", _PLACE, "large", _CHECKOUT, "ours", 10),
    ("most", "put in place: floor", _PLACE, "large", "ours", _LOOK, 2),
    ("most", "memory at 1,000,000 entries: ingest", "memory", "large", "ingest 100 files", "", 500),
    ("most", "memory at 1,000,000 entries: check", "memory", "large", "check split", "", 500),
    ("most", "memory, 2,000,000 missing: verify", "memory", "large", "storage verify", "", 500),
)
TARGETS = tuple(Target(*row[1:], is_least=row[0] == "least") for row in _ROWS)


def table(benchmarks: Mapping[str, Any]) -> Iterator[str]:
    """Yield the rows of a table in Markdown, for what was measured."""
    yield "| what, and against what | target | measured |"
    yield "|---|---:|---:|"
    for target in TARGETS:
        case = benchmarks.get(target.benchmark, {"sizes": {}})["sizes"].get(target.size)
        found = _found(target, case) if case else None
        if found is not None:
            sign = "≥" if target.is_least else "≤"
            unit = " times" if target.of else " MiB" if case["unit"] == "mib" else " s"
            yield f"| {target.says} | {sign} {target.wanted:g}{unit} | {found:.3g}{unit} |"


def _found(target: Target, case: Mapping[str, Any]) -> float | None:
    medians = {name: seen[f"median_{case['unit']}"] for name, seen in case["contenders"].items()}
    if target.way not in medians or (target.of and target.of not in medians):
        return None
    value: float = medians[target.way]
    return value / medians[target.of] if target.of else value
