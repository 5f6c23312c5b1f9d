"""Decides on which side of the split a sample belongs."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import UTC, datetime
from hashlib import sha256
from itertools import accumulate, pairwise
from math import isclose
from typing import Any


class Refused(Exception):  # noqa: N818 - it is what the scripts end with, in one line
    """Data or `params.yaml` can't be split as they are."""


class Rule:
    """Looks at nothing but a sample's group and time, so that growth never moves a sample."""

    def __init__(self, params: dict[str, Any]) -> None:
        self.salt = str(params["salt"])
        self.shards: int = params["shards"]
        self.time: dict[str, Any] = params.get("time") or {}
        if self.time:
            self.sides, self.dates = bounds(self.time["bounds"])
            return
        self.sides = list(params["sides"])
        fractions = list(params["sides"].values())
        if not isclose(sum(fractions), 1) or min(fractions) < 0:
            raise Refused(f"split.sides add up to {sum(fractions)}, not to 1")
        self.edges = list(accumulate(fractions))[:-1]

    def place(self, group: Iterable[str], time: datetime | None = None) -> tuple[str, int]:
        """Return side and shard, from two independent halves of one salted hash of the group."""
        digest = sha256(json.dumps([self.salt, *group]).encode()).digest()
        shard = int.from_bytes(digest[16:], "big") % self.shards
        if self.time:
            return self.side_at(time), shard
        position = int.from_bytes(digest[:16], "big") / 2**128
        return self.sides[sum(position >= edge for edge in self.edges)], shard

    def side_at(self, time: datetime | None) -> str:
        """Return the first side whose bound lies after this time."""
        for side, date in zip(self.sides, self.dates, strict=True):
            if time is not None and (date is None or time < date):
                return side
        raise Refused(f"split.time: {time} lies on no side; give the last side the bound null")


def bounds(declared: dict[str, Any]) -> tuple[list[str], list[datetime | None]]:
    """Return sides and bounds in the order of time."""
    dates = [None if text is None else moment(str(text)) for text in declared.values()]
    known = [date or datetime.max.replace(tzinfo=UTC) for date in dates]
    if None in dates[:-1] or any(first >= second for first, second in pairwise(known)):
        raise Refused("split.time.bounds have to grow, and only the last one may be null")
    return list(declared), dates


def moment(text: str, form: str = "") -> datetime:
    """Return the time that a text stands for: ISO 8601 or `form`; without a zone, in UTC.

    Raises: ValueError: it stands for none.
    """
    if form:
        time = datetime.strptime(text, form)  # noqa: DTZ007 - the zone follows
    else:
        time = datetime.fromisoformat(f"{text}-01" if len(text) == len("2013-04") else text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def number_of(identity: list[Any]) -> int:
    """Return a number that stands for this id and content, and for no other."""
    return int.from_bytes(sha256(json.dumps(identity).encode()).digest(), "big")
