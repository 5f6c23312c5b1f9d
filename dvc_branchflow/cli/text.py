"""How values look on a terminal: aligned columns, short ids, sizes in powers of 1024."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from operator import itemgetter

from dvc_branchflow.errors import BranchflowError
from dvc_branchflow.values import dataclass

_COLOURS = {"good": "32", "warn": "33", "bad": "31", "dim": "2"}
_STEP = 1024
_CELL = 60
_WIDTH = 80  # of what is no terminal


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table, of anything out of commits; the higher its rank, the less it is used."""

    title: str
    values: Sequence[object]
    rank: int = 0

    def cells(self) -> list[str]:
        """Return the title and the values as they look."""
        return [cell(value) for value in (self.title, *self.values)]


def table(rows: Iterable[Sequence[object]], header: Sequence[str] = ()) -> str:
    """Return rows as columns that line up, two spaces between them."""
    lines = [[str(cell) for cell in row] for row in rows]
    if not lines:
        return ""
    if header:
        lines.insert(0, list(header))
    widths = [max(len(row[n]) for row in lines if n < len(row)) for n in range(len(lines[0]))]
    padded = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip()
        for row in lines
    )
    return "\n".join(padded)


def size(size_bytes: float) -> str:
    """Return a size with its unit, in powers of 1024."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size_bytes < _STEP:
            return f"{size_bytes:.0f} {unit}" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= _STEP
    return f"{size_bytes:.1f} TiB"


def count(number: int, word: str) -> str:
    """Return a number with its word: `1 file`, `2 files`, `2 branches`."""
    if number == 1:
        return f"1 {word}"
    return f"{number:,} {word}{'es' if word.endswith('ch') else 's'}"


def short(sha: str | None) -> str:
    """Return a commit as people read it."""
    return (sha or "")[:10]


def local_time(iso: str) -> str:
    """Return a UTC time stamp in the user's zone, to the minute."""
    from datetime import datetime  # 1 ms

    try:
        moment = datetime.fromisoformat(iso)
    except ValueError:
        return iso
    return moment.astimezone().strftime("%Y-%m-%d %H:%M")


def colour(text: str, kind: str) -> str:
    """Return text in the colour of a state, on a terminal that wants it."""
    if os.environ.get("NO_COLOR") or not sys.stdout.isatty():
        return text
    return f"\x1b[{_COLOURS[kind]}m{text}\x1b[0m"


def number(value: object) -> str:
    """Return a metric's value to six digits, anything else as it is."""
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def printable(text: str) -> str:
    """Return text out of a commit without what a terminal would act on."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "surrogatepass").decode()
        for char in text
    )


def told(error: BranchflowError) -> str:
    """Return an error as a row of a table tells it, with the command that repairs it."""
    return printable(f"{error.message}; try: {error.hint}" if error.hint else error.message)


def cell(value: object) -> str:
    """Return a value out of a commit as a cell of a table: `-` where there is none."""
    text = "-" if value is None else printable(number(value))
    return text if len(text) <= _CELL else f"{text[: _CELL - 1]}…"


def width() -> int:
    """Return how wide the terminal is; as `shutil` finds it, whose import takes 2 ms."""
    told = os.environ.get("COLUMNS", "")
    if told.isdecimal() and int(told):
        return int(told)
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or _WIDTH
    except (ValueError, OSError):
        return _WIDTH


def fitted(columns: Sequence[Column]) -> str:
    """Return columns as a table; where a terminal is narrow those that are used least go."""
    left = [(column.rank, column.cells()) for column in columns]
    room = width() if sys.stdout.isatty() else None
    while room is not None and _width(left) > room:
        least = max(left, key=itemgetter(0))
        if least[0] == 0:
            break
        left.remove(least)
    return table(zip(*(cells for _, cells in left), strict=True))


def _width(columns: Sequence[tuple[int, list[str]]]) -> int:
    return sum(max(map(len, cells)) + 2 for _, cells in columns) - 2
