"""Decides on which side of the split a row belongs."""

from __future__ import annotations

import json
from hashlib import sha256
from itertools import accumulate
from math import isclose
from typing import Any


class Rule:
    """Looks at nothing but a row's key, so that growth never moves a sample."""

    def __init__(self, params: dict[str, Any], header: list[str]) -> None:
        key = [name for entry in params["key"] for name in entry.split(",") if name]
        if unknown := set(key) - set(header):
            raise ValueError(f"split.key names columns that the data lacks: {sorted(unknown)}")
        self.key_at = [header.index(name) for name in key or header]
        self.salt = str(params["salt"])
        self.shards: int = params["shards"]
        self.sides = list(params["sides"])
        self.bounds = list(accumulate(params["sides"].values()))
        if not isclose(self.bounds[-1], 1):
            raise ValueError(f"split.sides add up to {self.bounds[-1]}, not to 1")

    def place(self, row: list[str]) -> tuple[str, int]:
        """Return side and shard, from two independent halves of one salted hash of the key."""
        digest = sha256(json.dumps([self.salt, *self.key(row)]).encode()).digest()
        position = int.from_bytes(digest[:16], "big") / 2**128
        side = sum(position >= bound for bound in self.bounds[:-1])
        return self.sides[side], int.from_bytes(digest[16:], "big") % self.shards

    def sample(self, row: list[str]) -> int:
        """Return a number that stands for this key and content, and for no other."""
        return int.from_bytes(sha256(json.dumps([self.key(row), row]).encode()).digest(), "big")

    def key(self, row: list[str]) -> list[str]:
        """Return what rows of one group have in common."""
        return [row[at] for at in self.key_at]
