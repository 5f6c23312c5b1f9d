"""Spans of time that are judged as one, and the names of files by the span that they hold.

Times are whole microseconds since 1970 in UTC, as Arrow keeps them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from dvc_branchflow.errors import ConfigError, UsageError
from dvc_branchflow.lazy import np
from dvc_branchflow.values import dataclass

SECOND = 1_000_000
_LENGTH = re.compile(r"([1-9]\d{0,4})\s*([hd])")
_SECONDS = {"h": 3600, "d": 24 * 3600}
_STAMP = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):?(\d\d)(?::?(\d\d)(?:\.\d+)?)?)?(?:Z|\+00:?00)?"
)
_NAME = re.compile(r"(\d{8}T\d{6})-(\d{8}T\d{6})-[0-9a-f]{12}\.parquet")


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """From `start` (in it) to `end` (no more in it), in microseconds."""

    start: int
    end: int

    def __str__(self) -> str:
        return f"{stamp(self.start)}..{stamp(self.end)}"

    def overlaps(self, other: Span) -> bool:
        """Whether there is a moment in both."""
        return self.start < other.end and other.start < self.end


def parse_length(text: str) -> int:
    """Return the seconds that `24h` or `7d` means. Raises: ConfigError."""
    match = _LENGTH.fullmatch(text.strip())
    if match is None:
        raise ConfigError(f"'{text[:40]}' is no length of a window, such as '24h' or '7d'")
    return int(match[1]) * _SECONDS[match[2]]


def parse_span(text: str) -> Span:
    """Return the span `FROM..TO`, both ISO 8601 in UTC. Raises: UsageError."""
    start, dots, end = text.partition("..")
    if dots:
        span = Span(parse_stamp(start), parse_stamp(end))
        if span.start < span.end:
            return span
    raise UsageError(f"'{text[:60]}' is no window, such as '2026-11-01..2026-11-08' or '7d'")


def parse_stamp(text: str) -> int:
    """Return an ISO 8601 moment in UTC as microseconds, cut to the second. Raises: UsageError."""
    match = _STAMP.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"'{text[:40]}' is no moment in UTC, such as '2026-11-01T12:00:00Z'")
    return _moment_of(int(part or 0) for part in match.groups())


def _moment_of(parts: Iterable[int]) -> int:
    from calendar import timegm  # 3 ms, and every command reads how long windows are

    return timegm(tuple(parts)) * SECOND


def window_before(moment: int, seconds: int) -> Span:
    """Return the last whole window that has ended by a moment; windows are laid from 1970 on."""
    length = seconds * SECOND
    end = moment // length * length
    return Span(end - length, end)


def window_around(moment: int, seconds: int) -> Span:
    """Return the window that a moment is in."""
    length = seconds * SECOND
    start = moment // length * length
    return Span(start, start + length)


def stamp(moment: int) -> str:
    """Return a moment as people read it: ISO 8601 in UTC, to the second."""
    return f"{np.datetime64(moment // SECOND, 's')}Z"


def month(moment: int) -> str:
    """Return the month of a moment: `2026-11`."""
    return stamp(moment)[:7]


def file_name(first: int, last: int, digest: str) -> str:
    """Return the name of a file of rows, by its first and last moment and its content."""
    return f"{compact(first)}-{compact(last)}-{digest[:12]}.parquet"


def span_of(name: str) -> Span | None:
    """Return the span of a file of rows by its name, None for any other file."""
    match = _NAME.fullmatch(name)
    if match is None:
        return None
    first, last = (_moment(part) for part in match.groups())
    return Span(first, last + SECOND)


def _moment(compact: str) -> int:
    numbers = re.fullmatch(r"(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)", compact)
    return _moment_of(int(part) for part in numbers.groups()) if numbers else 0


def compact(moment: int) -> str:
    """Return a moment as it stands in names of files."""
    return re.sub(r"[-:Z]", "", stamp(moment))
