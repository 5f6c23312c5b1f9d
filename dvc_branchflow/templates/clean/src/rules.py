"""Decides which tables and rows are good, each looked at by itself. Add your own rules here."""

from __future__ import annotations

import re
from typing import Any

# NUL, bytes that are not UTF-8, and a carriage return alone: readers disagree on what they mean.
BROKEN = re.compile("[\0\ud800-\udfff]|\r(?!\n)")


class Rules:
    """The rules of `params.yaml`. The header is all they remember of a partition."""

    def __init__(self, params: dict[str, Any], described: set[str]) -> None:
        self.header: list[str] = params["columns"]
        self.target: str = params["target"]
        self.key = [name for entry in params["key"] for name in entry.split(",") if name]
        self.missing = frozenset(params["missing"])
        self.needed = {*self.key, *described}

    def header_fault(self, header: list[str] | None) -> str:
        """Why a file with this header is rejected, or ''. The first good one sets the header."""
        if not header or is_broken(header) or len(set(header)) < len(header):
            return "unreadable header"
        if not {self.target or header[-1], *self.needed} <= set(header):
            return "missing column"
        self.header = self.header or header
        return "" if header == self.header else "other header"

    def row_fault(self, fields: list[str] | None) -> str:
        """Why this row is rejected, or ''. Duplicates and `schema.yaml` are looked at elsewhere."""
        if fields is None or is_broken(fields):
            return "unreadable row"
        if len(fields) != len(self.header):
            return "wrong number of fields"
        row = dict(zip(self.header, fields, strict=True))
        if row[self.target or self.header[-1]] in self.missing:
            return "missing target"
        if any(row[name] in self.missing for name in self.key):
            return "missing key"
        return ""


def is_broken(fields: list[str]) -> bool:
    """Whether any field holds characters that don't survive a trip through CSV."""
    return BROKEN.search(",".join(fields)) is not None
