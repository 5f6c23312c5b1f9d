"""Decides what a sample is where the data are tables: a row of a CSV file."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime
from hashlib import blake2b
from pathlib import Path
from typing import Any, NamedTuple

from src.rule import Refused, moment

csv.field_size_limit(sys.maxsize)  # a long text is a value as well


class Row(NamedTuple):
    """A row, and where it stands."""

    path: str
    line: int
    values: list[str]


class Table:
    """The rows of a partition, as `params.yaml` reads them."""

    def __init__(self, params: dict[str, Any]) -> None:
        self.split, self.leaks = params["split"], params.get("leaks") or {}
        self.key = [name for entry in self.split["key"] for name in entry.split(",") if name]
        self.header: list[str] = []
        self.has_groups = bool(self.key)

    def read(self, folder: Path) -> Iterator[Row]:
        """Yield the rows of all files below a folder, in order."""
        self.header = []
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            with path.open(encoding="utf-8", newline="") as handle:
                rows = csv.reader(handle)
                header = next(rows, [])
                if not header:
                    continue
                if not self.header:
                    self.begin(header)
                if header != self.header:
                    raise Refused(f"{path}: other columns than in the files before it")
                name = path.relative_to(folder).as_posix()
                yield from (Row(name, rows.line_num, values) for values in rows)

    def begin(self, header: list[str]) -> None:
        """Find the columns that `params.yaml` names."""
        self.header = header
        time, near = self.split.get("time") or {}, self.leaks.get("near") or {}
        target = self.split.get("target") or header[-1]
        bare = {target, *self.leaks.get("ignore", [])}
        named = {"split.key": self.key, "split.target": [target]}
        self.time_at = self.find("split.time.column", [time["column"]] if time else [])
        self.strata_at = self.find("split.strata", [self.split.get("strata")])
        self.text_at = self.find("leaks.near.column", [near.get("column")])
        for what, names in named.items():
            self.find(what, names)
        self.find("leaks.ignore", self.leaks.get("ignore", []))
        self.bare_at = [at for at, name in enumerate(header) if name not in bare]
        others = [at for at, name in enumerate(header) if name != target]
        self.key_at = self.find("split.key", self.key) or others

    def find(self, what: str, names: list[str | None]) -> list[int]:
        """Return where columns stand. Raises: Refused: the data lack one."""
        wanted = [name for name in names if name]
        if unknown := set(wanted) - set(self.header):
            raise Refused(f"{what} names columns that the data lack: {sorted(unknown)}")
        return [self.header.index(name) for name in wanted]

    def group(self, row: Row) -> list[str]:
        """Return what rows that stay together have in common."""
        return [row.values[at] for at in self.key_at]

    def identity(self, row: Row) -> list[Any]:
        """Return id and content: what the certificate covers."""
        return [self.group(row), row.values]

    def time(self, row: Row) -> datetime | None:
        """Return when the row was true. Raises: Refused: it does not say."""
        for at in self.time_at:
            try:
                return moment(row.values[at], self.split["time"].get("format", ""))
            except ValueError as error:
                where = f"row {self.name(row)} (file {row.path}, line {row.line})"
                raise Refused(f"split.time: {where} has no time: {row.values[at]!r}") from error
        return None

    def stratum(self, row: Row) -> str:
        """Return what the row counts as in the report."""
        return row.values[self.strata_at[0]]

    def name(self, row: Row) -> str:
        """Return how reports call the row, wherever it stands."""
        content = blake2b(json.dumps(row.values).encode(), digest_size=8).hexdigest()
        return ",".join(self.group(row) if self.key else []) + f"#{content}"

    @staticmethod
    def place(row: Row) -> str:
        """Return where the row stands on its side."""
        return f"{row.path}:{row.line}"

    def fingerprint(self, row: Row) -> str:
        """Return what stands for all of the row but its target, in 32 hex digits."""
        bare = [row.values[at] for at in self.bare_at]
        return blake2b(json.dumps(bare).encode(), digest_size=16).hexdigest()

    def text(self, row: Row) -> str:
        """Return the text that is compared with others."""
        if not self.text_at:
            raise Refused("leaks.near.column has to name the column with the text")
        return row.values[self.text_at[0]]

    def picture(self, row: Row) -> Path:
        """Refuse: a row is none."""
        raise Refused("leaks.near.kind: image is for files, not for tables")

    def layout(self, out: Path) -> Shards:
        """Return what writes the split."""
        return Shards(out, self)


class Shards(ExitStack):
    """The CSV files of a partition, each opened when its first row comes."""

    def __init__(self, folder: Path, table: Table) -> None:
        super().__init__()
        self.folder, self.table, self.files = folder, table, {}

    def write(self, side: str, shard: int, *rows: Row) -> None:
        """Append rows to a shard; a new one starts with the header."""
        if (side, shard) not in self.files:
            path = self.folder / side / f"{shard:02d}.csv"
            path.parent.mkdir(parents=True, exist_ok=True)
            handle = self.enter_context(path.open("w", encoding="utf-8", newline=""))
            self.files[side, shard] = csv.writer(handle, lineterminator="\n")
            self.files[side, shard].writerow(self.table.header)
        self.files[side, shard].writerows(row.values for row in rows)

    def close_side(self, side: str) -> None:
        """Leave a header where a side got no row, so that readers find a table."""
        if self.table.header and not any(used == side for used, _ in self.files):
            self.write(side, 0)
