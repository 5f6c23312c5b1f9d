"""Decides how a clean partition is laid out on disk, side by side."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import yaml

from src.rule import Refused, Rule, number_of
from src.table import Table
from src.tree import Tree

CLEAN = Path("@CLEAN_DATA@")
SPLIT = Path("@SPLIT_DATA@")
STRATA = 100  # a report with more of them is for nobody


def kind_of(params: dict[str, Any]) -> Table | Tree:
    """Return what knows this kind of data."""
    kind = params["split"]["kind"]
    if kind not in {"table", "files"}:
        raise Refused(f"split.kind is {kind!r}: it can be 'table' or 'files'")
    return Table(params) if kind == "table" else Tree(params)


def split(samples: Iterable[Any], kind: Table | Tree, out: Path, rule: Rule) -> dict[str, Any]:
    """Write all samples; return the number of them on each side, and a digest.

    The digest is the sum modulo 2**256 of the samples' own: it depends neither on their order nor
    on their partition, and those of partitions add up to that of the whole.
    """
    count, total = dict.fromkeys(rule.sides, 0), dict.fromkeys(rule.sides, 0)
    strata: dict[str, Counter[str]] = {side: Counter() for side in rule.sides}
    with kind.layout(out) as layout:
        for sample in samples:
            side, shard = rule.place(kind.group(sample), kind.time(sample))
            layout.write(side, shard, sample)
            count[side] += 1
            total[side] += number_of(kind.identity(sample))
            if kind.split.get("strata"):
                strata[side][kind.stratum(sample)] += 1
                if len(strata[side]) > STRATA:
                    raise Refused(f"split.strata finds over {STRATA} strata: name something coarse")
        for side in rule.sides:
            layout.close_side(side)
    sides: dict[str, Any] = {}
    for side in rule.sides:
        sides[side] = {"rows": count[side], "digest": f"{total[side] % 2**256:064x}"}
        if kind.split.get("strata"):
            sides[side]["strata"] = dict(sorted(strata[side].items()))
    return sides


def main(partition: str) -> None:
    """Split one partition, and report what went where."""
    params = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    out, report = SPLIT / partition, Path("reports/split", f"{partition}.json")
    for folder in (out, report.parent):
        folder.mkdir(parents=True, exist_ok=True)
    kind = kind_of(params)
    sides = split(kind.read(CLEAN / partition), kind, out, Rule(params["split"]))
    report.write_text(json.dumps(sides, indent=2) + "\n", encoding="utf-8")
    print(
        f"{partition}: " + ", ".join(f"{side} {counts['rows']}" for side, counts in sides.items())
    )


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except Refused as error:
        sys.exit(f"error: {error}")
