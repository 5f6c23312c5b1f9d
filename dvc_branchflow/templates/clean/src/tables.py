"""Decides how a CSV file is read, and what is judged of it: its header, then its rows."""

from __future__ import annotations

import csv
import json
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

from src.rules import Rules
from src.schema import Schema

Row = tuple[list[str] | None, str]  # fields (None: can't be parsed), text as it stood
Verdict = tuple[int, str, bytes]  # row (0: the whole file), fault or '', digest of what is good
CHUNK = 20_000


class Lines:
    """The lines of a file; those taken since `start` can be put back."""

    def __init__(self, source: TextIO) -> None:
        self.source, self.waiting, self.taken = source, deque[str](), list[str]()

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self.waiting.popleft() if self.waiting else self.source.readline()
        if not line:
            raise StopIteration
        self.taken.append(line)
        return line

    def start(self) -> None:
        """Begin a row."""
        self.taken = []

    def put_back(self) -> None:
        """Leave only the first line taken."""
        self.waiting.extendleft(reversed(self.taken[1:]))
        del self.taken[1:]


def read(source: TextIO) -> Iterator[Row]:
    """Yield each row of a CSV file; blank lines are no rows."""
    lines = Lines(source)
    # Strict: a quote left open would otherwise swallow the rows after it without a word.
    reader = csv.reader(lines, strict=True)
    while True:
        lines.start()
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error:
            fields = None
            lines.put_back()
        if fields != []:
            yield fields, "".join(lines.taken)


@contextmanager
def opened(path: Path) -> Iterator[Iterator[Row]]:
    """Open a CSV file: the first row is the header."""
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as handle:
        yield read(handle)


class Tables:
    """Judges the files of one partition, in the order of their names."""

    def __init__(self, params: dict[str, Any]) -> None:
        self.schema = Schema(frozenset(params["missing"]))
        self.rules = Rules(params, set(self.schema.columns))
        self.keeps_duplicates = params["duplicates"] == "keep"
        self.seen: dict[str, dict[bytes, bytes]] = {name: {} for name in self.schema.unique}

    def judge(self, path: Path) -> Iterator[Verdict]:
        """Yield row 0 with the file's fault, or each row with its own."""
        if path.suffix.lower() != ".csv":
            yield 0, "not a csv", b""
            return
        with opened(path) as rows:
            header, first = next(rows, None), next(rows, None)
            fault = self.rules.header_fault(header[0]) if header else "empty file"
            if fault or not first:
                yield 0, fault or "no rows", b""
                return
            chunk = [first[0], *(fields for fields, _ in islice(rows, CHUNK - 1))]
            number = 1
            while chunk:
                yield from self._rows(chunk, number)
                number += len(chunk)
                chunk = [fields for fields, _ in islice(rows, CHUNK)]

    def _rows(self, chunk: list[list[str] | None], start: int) -> Iterator[Verdict]:
        faults = {place: self.rules.row_fault(fields) for place, fields in enumerate(chunk)}
        good = [place for place, fault in faults.items() if not fault]
        misfits = self.schema.faults(self.rules.header, [chunk[place] or [] for place in good])
        faults |= {good[at]: reason for at, reason in misfits.items()}
        columns = json.dumps(self.rules.header)
        for place, fields in enumerate(chunk):
            fault = faults[place]
            text = f"{columns}{json.dumps(fields)}"
            digest = b"" if fault else blake2b(text.encode(), digest_size=16).digest()
            if not fault and fields and self.schema.unique:
                fault = self._repeated(dict(zip(self.rules.header, fields, strict=True)), digest)
            yield start + place, fault, digest

    def _repeated(self, row: dict[str, str], digest: bytes) -> str:
        """Name a column that must be unique and isn't; equal rows are left to `duplicates`."""
        for name, seen in self.seen.items():
            if row[name] in self.rules.missing:
                continue
            value = blake2b(row[name].encode(), digest_size=16).digest()
            if value in seen and (self.keeps_duplicates or seen[value] != digest):
                return f"schema: {name} is not unique"
            seen[value] = digest
        return ""
