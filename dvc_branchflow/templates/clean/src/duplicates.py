"""Decides which one of equal rows or files is kept: the first by partition, path and row."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from heapq import merge
from pathlib import Path

import yaml

from src.places import INNER, REASONS, REPEATS, SCANNED, table

SIZE = 24  # digest 16, file 4, row 4


def prints(partition: str, number: int) -> Iterator[bytes]:
    """Yield the fingerprints of a partition, with its number behind the digest."""
    mark = number.to_bytes(4)
    with (SCANNED / partition / "prints").open("rb") as handle:
        while piece := handle.read(SIZE * 1024):
            for at in range(0, len(piece), SIZE):
                yield piece[at : at + 16] + mark + piece[at + 16 : at + SIZE]


def main() -> None:
    """Write for each partition what repeats something that comes before it, and where that is."""
    pinned = yaml.safe_load(Path("partitions.yaml").read_text(encoding="utf-8"))
    partitions = sorted(map(str, pinned["partitions"]["@RAW_ID@"]))
    if missing := [part for part in partitions if not (SCANNED / part).is_dir()]:
        sys.exit(f"{SCANNED / missing[0]} is not here, and this stage compares all: dvc pull first")
    names = [json.loads((SCANNED / part / "names.json").read_text("utf-8")) for part in partitions]
    digest, first, count = b"", "", 0
    with ExitStack() as stack:
        tables = [
            csv.writer(
                stack.enter_context(table(REPEATS / f"{part}.csv").open("w", **INNER)),
                lineterminator="\n",
            )
            for part in partitions
        ]
        for writer in tables:
            writer.writerow(REASONS)
        for found in merge(*(prints(part, number) for number, part in enumerate(partitions))):
            number, file, row = (int.from_bytes(found[at : at + 4]) for at in (16, 20, 24))
            name = names[number][file]
            if found[:16] == digest:
                tables[number].writerow([name, row, f"duplicate of {first}"])
                count += 1
            else:
                digest = found[:16]
                first = f"{partitions[number]}/{name}" + (f":{row}" if row else "")
    print(f"{count} duplicates in {len(partitions)} partitions")


if __name__ == "__main__":
    main()
