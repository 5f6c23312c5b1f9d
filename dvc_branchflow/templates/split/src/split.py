"""Decides how a clean partition is laid out on disk, side by side and shard by shard."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import yaml

from rule import Rule

CLEAN = Path("@CLEAN_DATA@")
SPLIT = Path("@SPLIT_DATA@")


def read(folder: Path) -> Iterator[list[str]]:
    """Yield the header of the partition, then the rows of all its files."""
    header: list[str] = []
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open(encoding="utf-8", newline="") as handle:
            rows = csv.reader(handle)
            own = next(rows)
            if not header:
                yield own
            elif own != header:
                raise ValueError(f"{path}: other columns than in the files before it")
            header = own
            yield from rows


class Shards(ExitStack):
    """The CSV files of a partition, each opened when its first row comes."""

    def __init__(self, folder: Path, header: list[str]) -> None:
        super().__init__()
        self.folder, self.header, self.tables = folder, header, {}

    def write(self, side: str, shard: int, *rows: list[str]) -> None:
        """Append rows to a shard; a new one starts with the header."""
        if (side, shard) not in self.tables:
            path = self.folder / side / f"{shard:02d}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = self.enter_context(path.open("w", encoding="utf-8", newline=""))
            self.tables[side, shard] = csv.writer(handle, lineterminator="\n")
            self.tables[side, shard].writerow(self.header)
        self.tables[side, shard].writerows(rows)


def split(rows: Iterator[list[str]], out: Path, params: dict[str, Any]) -> dict[str, Any]:
    """Write all shards; return the number of rows on each side, and a digest of them.

    The digest is the sum modulo 2**256 of the rows' own digests: it depends neither on their order
    nor on their partition, and those of partitions add up to that of the whole.
    """
    count, total = dict.fromkeys(params["sides"], 0), dict.fromkeys(params["sides"], 0)
    if header := next(rows, None):
        rule = Rule(params, header)
        with Shards(out, header) as shards:
            for row in rows:
                side, shard = rule.place(row)
                shards.write(side, shard, row)
                count[side] += 1
                total[side] += rule.sample(row)
            for side in (side for side in rule.sides if not count[side]):
                shards.write(side, 0)
    return {side: {"rows": count[side], "digest": f"{total[side] % 2**256:064x}"} for side in count}


def main(partition: str) -> None:
    """Split one partition, and report what went where."""
    out, report = SPLIT / partition, Path("reports/split", f"{partition}.json")
    for folder in (out, report.parent):
        folder.mkdir(parents=True, exist_ok=True)
    params = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))["split"]
    sides = split(read(CLEAN / partition), out, params)
    report.write_text(json.dumps(sides, indent=2) + "\n", encoding="utf-8")
    print(
        f"{partition}: " + ", ".join(f"{side} {counts['rows']}" for side, counts in sides.items())
    )


if __name__ == "__main__":
    main(sys.argv[1])
