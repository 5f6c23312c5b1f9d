"""The targets that this project set itself, beside what was measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

_KINDS: tuple[Literal["least", "most", "over"], ...] = ("least", "most", "over")
_SAYS = {
    "least": "at least {} times as fast",
    "most": "at most {} times as long",
    "over": "at most {} s longer",
}


@dataclass(frozen=True, slots=True)
class Target:
    """What one way is to take at most, or another one at least, beside the other.

    Attributes:
        kind: `least` and `most` are ratios of `way` to `of`, or, where `of` is empty, an amount;
            `over` is how many seconds `way` may take more than `of`.
        size: the label of the size in `params.yaml`.
        why: what keeps it from being met.
    """

    work: str
    beside: str
    benchmark: str
    size: str
    kind: Literal["least", "most", "over"]
    wanted: float
    way: str
    of: str
    why: str

    @property
    def own_way(self) -> str:
        """The way that is ours, whose growth counts."""
        return self.of if self.kind == "least" else self.way

    def is_met(self, found: float) -> bool:
        """Whether what was found is what is wanted."""
        return found >= self.wanted if self.kind == "least" else found <= self.wanted


def _read(path: Path) -> Iterator[Target]:
    for group in yaml.safe_load(path.read_text(encoding="utf-8")):
        benchmark, _, size = group["size"].partition("/")
        for row in group["rows"]:
            (kind,) = (kind for kind in _KINDS if kind in row)
            yield Target(
                group["work"], row["beside"], benchmark, size, kind, row[kind], row["way"],
                row.get("of", ""), row.get("why", ""),
            )  # fmt: skip


TARGETS = tuple(_read(Path(__file__).with_suffix(".yaml")))


def table(benchmarks: Mapping[str, Any]) -> Iterator[str]:
    """Yield a table in Markdown of what was measured, and below it why some of it is missed."""
    rows = [
        (target, case, found)
        for target in TARGETS
        if (case := _case(target, benchmarks)) and (found := _found(target, case))
    ]
    verdicts = [_verdict(target, *found) for target, _, found in rows]
    yield f"{verdicts.count(_MET)} of {len(rows)} targets are met."
    yield ""
    yield "| what branchflow does | beside | target | measured | | growth |"
    yield "|---|---|---|---|---|---|"
    for (target, case, (value, is_bound)), verdict in zip(rows, verdicts, strict=True):
        sign = "more than " if is_bound else ""
        cells = [_says(target, case), f"{sign}{_number(value)}{_unit(target, case)}", verdict]
        growth = _growth(target, benchmarks[target.benchmark]["sizes"])
        yield f"| {target.work} | {target.beside} | {' | '.join(cells)} | {growth} |"
    yield ""
    yield (
        "Growth: ours takes so many times as long (or as much memory) where there is so many times "
        "as much."
    )
    missed = [row[0] for row, verdict in zip(rows, verdicts, strict=True) if verdict == _MISSED]
    reasons = [f"- {one.work}, beside {one.beside}: {one.why.strip()}" for one in missed if one.why]
    yield from ("", "Why the missed ones are missed:", "", *reasons) if reasons else ()


_MET, _MISSED, _OPEN = "met", "**missed**", "**open**"


def _verdict(target: Target, value: float, is_bound: bool) -> str:  # noqa: FBT001
    if target.is_met(value):
        return _MET
    return _OPEN if is_bound else _MISSED


def _case(target: Target, benchmarks: Mapping[str, Any]) -> Mapping[str, Any] | None:
    sizes = benchmarks.get(target.benchmark, {"sizes": {}})["sizes"]
    found: Mapping[str, Any] | None = sizes.get(target.size)
    return found


def _says(target: Target, case: Mapping[str, Any]) -> str:
    if not target.of:
        return f"at most {target.wanted:g}{_unit(target, case)}"
    return _SAYS[target.kind].format(f"{target.wanted:g}")


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _unit(target: Target, case: Mapping[str, Any]) -> str:
    if target.of and target.kind != "over":
        return " times"
    return " MiB" if case["unit"] == "mib" else " s"


def _found(target: Target, case: Mapping[str, Any]) -> tuple[float, bool] | None:
    """What was found, and whether that is a lower bound; None: it was not measured."""
    ways = case["contenders"]
    if target.way not in ways or (target.of and target.of not in ways):
        return None
    value, is_bound = _median(case, target.way), ways[target.way]["is_over"]
    if target.kind == "over":
        return value - _median(case, target.of), is_bound
    return value / _median(case, target.of) if target.of else value, is_bound


def _median(case: Mapping[str, Any], way: str) -> float:
    found: float = case["contenders"][way][f"median_{case['unit']}"]
    return found


def _growth(target: Target, sizes: Mapping[str, Any]) -> str:
    """How many times as much ours takes as at the size before, and how many times that is less."""
    here = sizes[target.size]
    earlier = list(sizes.values())[: list(sizes).index(target.size)]
    smaller = [case for case in earlier if _is_smaller(case["size"], here["size"])]
    if not smaller or target.own_way not in smaller[-1]["contenders"]:
        return ""
    times = _median(here, target.own_way) / _median(smaller[-1], target.own_way)
    sized = max(here["size"][key] / n for key, n in smaller[-1]["size"].items() if n)
    return f"{times:.2g} for {sized:.3g}"


def _is_smaller(one: Mapping[str, int], other: Mapping[str, int]) -> bool:
    is_alike = one.keys() == other.keys() and one.get("s3") == other.get("s3")
    return is_alike and all(n <= other[key] for key, n in one.items())
