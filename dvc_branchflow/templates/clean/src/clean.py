"""Decides where each row of a raw partition goes: into clean, or into the rejects table."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import TextIO

import yaml

from rules import Rules
from tally import Tally

Row = tuple[list[str] | None, str]  # fields (None: can't be parsed), text as it stood

RAW = Path("@RAW_DATA@")
CLEAN = Path("@CLEAN_DATA@")


def read(source: TextIO) -> Iterator[Row]:
    """Yield each row of a CSV file; blank lines are no rows."""
    taken: list[str] = []

    def lines() -> Iterator[str]:
        for line in source:
            taken.append(line)
            yield line

    # Strict: a quote left open would otherwise swallow the rows after it without a word.
    reader = csv.reader(lines(), strict=True)
    while True:
        taken.clear()
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error:
            fields = None
        if fields != []:
            yield fields, "".join(taken)


def clean_rows(rows: Iterable[Row], name: str, out: TextIO, rules: Rules, tally: Tally) -> None:
    """Write the good rows, unchanged and in order."""
    table = csv.writer(out, lineterminator="\n")
    table.writerow(rules.header)
    for number, (fields, original) in enumerate(rows, start=1):
        tally.rows += 1
        if fault := rules.row_fault(fields):
            tally.reject_row(name, number, fault, original)
        else:
            tally.kept += 1
            table.writerow(fields or [])


def clean_file(source: Path, name: str, out: Path, rules: Rules, tally: Tally) -> None:
    """Judge a file by its name and header, then its rows."""
    tally.files += 1
    if source.suffix.lower() != ".csv":
        tally.reject_file(name, "not a csv")
        return
    with source.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as handle:
        rows = read(handle)
        header, first = next(rows, None), next(rows, None)
        fault = rules.header_fault(header[0]) if header else "empty file"
        if fault or not first:
            tally.reject_file(name, fault or "no rows")
            return
        tally.files_kept += 1
        out.parent.mkdir(parents=True, exist_ok=True)
        with out.open("w", encoding="utf-8", newline="") as kept:
            clean_rows(chain([first], rows), name, kept, rules, tally)


def main(partition: str) -> None:
    """Clean one partition: write its rows, its rejects and its report."""
    source, out = RAW / partition, CLEAN / partition
    rejects = Path("rejects", f"{partition}.csv")
    report = Path("reports/clean", f"{partition}.json")
    for folder in (out, rejects.parent, report.parent):
        folder.mkdir(parents=True, exist_ok=True)
    rules = Rules(yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))["clean"])
    with rejects.open("w", encoding="utf-8", errors="backslashreplace", newline="") as table:
        tally = Tally(table)
        for path in sorted(path for path in source.rglob("*") if path.is_file()):
            relative = path.relative_to(source)
            clean_file(path, relative.as_posix(), out / relative, rules, tally)
    counts = tally.report()
    report.write_text(json.dumps(counts, indent=2) + "\n", encoding="utf-8")
    print(f"{partition}: kept {counts['kept']} of {counts['rows']} rows")


if __name__ == "__main__":
    main(sys.argv[1])
