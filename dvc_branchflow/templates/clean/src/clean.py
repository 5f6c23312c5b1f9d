"""Decides how a partition is published: what is good, unchanged; the rest, with its reason."""

from __future__ import annotations

import csv
import json
import shutil
import sys
from pathlib import Path

from src.places import CLEAN, INNER, REPEATS, SCANNED, raw_files, settings, table
from src.tables import opened
from src.tally import Tally

Reasons = dict[tuple[str, int], str]


def reasons(partition: str) -> Reasons:
    """Return (file, row) → why it is left out; row 0 is the whole file."""
    found: Reasons = {}
    for path in (SCANNED / partition / "faults.csv", REPEATS / f"{partition}.csv"):
        with path.open(**INNER) as handle:
            rows = csv.reader(handle)
            next(rows)
            found |= {(name, int(row)): reason for name, row, reason in rows}
    return found


def clean_table(source: Path, name: str, out: Path, left_out: Reasons, tally: Tally) -> None:
    """Write the good rows of a file, in order."""
    with opened(source) as rows, out.open("w", encoding="utf-8", newline="") as kept:
        writer = csv.writer(kept, lineterminator="\n")
        writer.writerow(next(rows)[0] or [])
        for number, (fields, original) in enumerate(rows, start=1):
            tally.rows += 1
            if reason := left_out.get((name, number)):
                tally.reject_row(name, number, reason, original)
            else:
                tally.kept += 1
                writer.writerow(fields or [])


def main(partition: str) -> None:
    """Clean one partition: write what is good, the rejects and the report."""
    params, out, left_out = settings(), CLEAN / partition, reasons(partition)
    shutil.rmtree(out, ignore_errors=True)  # as DVC does: what was good before need not be now
    out.mkdir(parents=True)
    rejects = table(Path("rejects", f"{partition}.csv"))
    with rejects.open("w", encoding="utf-8", errors="backslashreplace", newline="") as handle:
        tally = Tally(handle)
        for name, path in raw_files(partition):
            tally.files += 1
            if reason := left_out.get((name, 0)):
                tally.reject_file(name, reason)
                continue
            tally.files_kept += 1
            if params["kind"] == "files":
                shutil.copyfile(path, table(out / name))
            else:
                clean_table(path, name, table(out / name), left_out, tally)
    counts = tally.report()
    report = table(Path("reports/clean", f"{partition}.json"))
    report.write_text(json.dumps(counts, indent=2) + "\n", encoding="utf-8")
    whole, kept = ("files", "files_kept") if params["kind"] == "files" else ("rows", "kept")
    print(f"{partition}: kept {counts[kept]} of {counts[whole]} {whole}")


if __name__ == "__main__":
    main(sys.argv[1])
