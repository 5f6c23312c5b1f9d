"""Decides how the rows of a partition are counted, and how the rejects table looks."""

from __future__ import annotations

import csv
from collections import Counter
from typing import TextIO


class Tally:
    """What became of every file and row; the rejects table is written on the way."""

    def __init__(self, rejects: TextIO) -> None:
        self.table = csv.writer(rejects, lineterminator="\n")
        self.table.writerow(["file", "row", "reason", "original"])
        self.rows = self.kept = self.files = self.files_kept = 0
        self.row_reasons: Counter[str] = Counter()
        self.file_reasons: Counter[str] = Counter()

    def reject_row(self, name: str, number: int, reason: str, original: str) -> None:
        """Leave out one row."""
        self.row_reasons[kind(reason)] += 1
        self.table.writerow([name, number, reason, original.rstrip("\r\n").replace("\0", r"\x00")])

    def reject_file(self, name: str, reason: str) -> None:
        """Leave out a whole file: it is row 0 of the table, and its rows don't count."""
        self.file_reasons[kind(reason)] += 1
        self.table.writerow([name, 0, reason, ""])

    def report(self) -> dict[str, int | dict[str, int]]:
        """Return the counts. They add up, or nothing is published."""
        rejected, files_rejected = self.row_reasons.total(), self.file_reasons.total()
        if (self.rows, self.files) != (self.kept + rejected, self.files_kept + files_rejected):
            raise AssertionError(f"counts don't add up: {vars(self)}")
        return {
            "rows": self.rows,
            "kept": self.kept,
            "rejected": rejected,
            "files": self.files,
            "files_kept": self.files_kept,
            "files_rejected": files_rejected,
            "reasons": dict(sorted((self.row_reasons + self.file_reasons).items())),
        }


def kind(reason: str) -> str:
    """Return what is counted: how many duplicates there are, not of what."""
    return "duplicate" if reason.startswith("duplicate of ") else reason
