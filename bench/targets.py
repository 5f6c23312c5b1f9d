"""The targets that this project set itself, beside what was measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Target:
    """What one way is to take at most, or another one at least, beside the other.

    Attributes:
        kind: `least` and `most` are ratios of `way` to `of`, or, where `of` is empty, an amount;
            `over` is how many seconds `way` may take more than `of`.
        size: the label of the size in `params.yaml`.
    """

    kind: Literal["least", "most", "over"]
    says: str
    benchmark: str
    size: str
    way: str
    of: str
    wanted: float

    @property
    def unit(self) -> str:
        """What `wanted` counts, for what is measured in seconds."""
        return " times" if self.of and self.kind != "over" else " s"

    @property
    def own_way(self) -> str:
        """The way that is ours, whose growth counts."""
        return self.of if self.kind == "least" else self.way

    def is_met(self, found: float) -> bool:
        """Whether what was found is what is wanted."""
        return found >= self.wanted if self.kind == "least" else found <= self.wanted


_INGEST, _MOVE, _PLACE = "ingest", "transfer", "place"
_COPY, _LOOK = "floor: copy and hash", "floor: look at all, link 100"
_CHECKOUT = "git switch + dvc checkout"
_AFTER = ("dvc status after ours", "dvc status after dvc checkout")
_ROWS: tuple[tuple[Literal["least", "most", "over"], str, str, str, str, str, float], ...] = (
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
    ("least", "re-pin: `dvc update`", "pin", "large", "dvc update", "ours", 100),
    ("most", "re-pin 20 branches: floor", "pin", "ours_only", "ours", "floor", 3),
    ("most", "`status`, 200 branches: batch read", "status", "large", "ours", "floor", 2),
    ("most", "`status`, 200 branches", "status", "large", "ours", "", 0.3),
    ("most", "`status`, small repository", "status", "small", "ours", "", 0.1),
    (
        "least",
        "`status`, 40 branches: `dvc exp show -A`",
        "status",
        "exp_show",
        "dvc exp show -A --csv",
        "ours",
        20,
    ),
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
    ("least", "gc's plan: `dvc gc -A --dry`", "storage", "small", "dvc gc -A --dry", "ours", 100),
    ("most", "gc's plan, 2,000 commits: floor", "storage", "large", "ours", "floor", 3),
    ("least", "verify on S3: `dvc status -c`", "verify", "large", "dvc status -c", "ours", 5),
    ("most", "verify on S3: listing", "verify", "large", "ours", "floor: list", 1.5),
    ("least", "push to S3: `dvc push`", _MOVE, "s3_large", "dvc push", "ours push", 4),
    ("least", "fetch from S3: `dvc fetch`", _MOVE, "s3_large", "dvc fetch", "ours fetch", 4),
    ("least", "push to S3: s5cmd", _MOVE, "s3_large", "s5cmd push", "ours push", 0.9),
    ("least", "fetch from S3: s5cmd", _MOVE, "s3_large", "s5cmd fetch", "ours fetch", 0.9),
    ("least", "push to a directory: `dvc push`", _MOVE, "large", "dvc push", "ours push", 4),
    ("least", "fetch from a directory: `dvc fetch`", _MOVE, "large", "dvc fetch", "ours fetch", 4),
    ("most", "push to a directory: copy and hash", _MOVE, "large", "ours push", _COPY, 1.5),
    ("most", "fetch from a directory: copy and hash", _MOVE, "large", "ours fetch", _COPY, 1.5),
    ("least", "push 2 GiB to a directory: `dvc push`", _MOVE, "big", "dvc push", "ours push", 1),
    (
        "least",
        "fetch 2 GiB from a directory: `dvc fetch`",
        _MOVE,
        "big",
        "dvc fetch",
        "ours fetch",
        1,
    ),
    ("least", "push 2 GiB to a directory: copy and hash", _MOVE, "big", _COPY, "ours push", 0.9),
    ("least", "push 512 MiB to S3: `dvc push`", _MOVE, "s3_big", "dvc push", "ours push", 1),
    ("least", "fetch 512 MiB from S3: `dvc fetch`", _MOVE, "s3_big", "dvc fetch", "ours fetch", 1),
    ("least", "put in place: `dvc checkout`", _PLACE, "large", _CHECKOUT, "ours", 10),
    ("most", "put in place: floor", _PLACE, "large", "ours", _LOOK, 2),
    ("most", "`dvc status` after ours: after `dvc checkout`", _PLACE, "large", *_AFTER, 1.1),
    ("over", "`run`: over bare `dvc repro`", "run", "large", "ours", "dvc repro", 1.5),
    ("most", "memory at 1,000,000 entries: ingest", "memory", "large", "ingest 100 files", "", 500),
    ("most", "memory at 1,000,000 entries: check", "memory", "large", "check split", "", 500),
    ("most", "memory, 2,000,000 missing: verify", "memory", "large", "storage verify", "", 500),
)
TARGETS = tuple(Target(*row) for row in _ROWS)


def table(benchmarks: Mapping[str, Any]) -> Iterator[str]:
    """Yield the rows of a table in Markdown, for what was measured."""
    yield "| what, and against what | target | measured | | ours grows, while the size does |"
    yield "|---|---:|---:|---|---:|"
    for target in TARGETS:
        sizes = benchmarks.get(target.benchmark, {"sizes": {}})["sizes"]
        found = _found(target, sizes[target.size]) if target.size in sizes else None
        if found is not None:
            sign = "≥" if target.kind == "least" else "≤"
            unit = " MiB" if sizes[target.size]["unit"] == "mib" else target.unit
            verdict = "met" if target.is_met(found) else "**missed**"
            cells = (f"{sign} {target.wanted:g}{unit}", f"{found:.3g}{unit}", verdict)
            yield f"| {target.says} | {' | '.join(cells)} | {_growth(target, sizes)} |"


def _found(target: Target, case: Mapping[str, Any]) -> float | None:
    medians = _medians(case)
    if target.way not in medians or (target.of and target.of not in medians):
        return None
    if target.kind == "over":
        return medians[target.way] - medians[target.of]
    return medians[target.way] / medians[target.of] if target.of else medians[target.way]


def _medians(case: Mapping[str, Any]) -> dict[str, float]:
    return {name: seen[f"median_{case['unit']}"] for name, seen in case["contenders"].items()}


def _growth(target: Target, sizes: Mapping[str, Any]) -> str:
    """How many times as much ours takes as at the size before, and how many times that is less."""
    here = sizes[target.size]
    earlier = list(sizes.values())[: list(sizes).index(target.size)]
    smaller = [case for case in earlier if _is_smaller(case["size"], here["size"])]
    if not smaller or target.own_way not in _medians(smaller[-1]):
        return "-"
    times = _medians(here)[target.own_way] / _medians(smaller[-1])[target.own_way]
    sized = max(here["size"][key] / n for key, n in smaller[-1]["size"].items() if n)
    return f"{times:.2g} of {sized:.3g}"


def _is_smaller(one: Mapping[str, int], other: Mapping[str, int]) -> bool:
    return all(n <= other.get(key, n) for key, n in one.items())
