"""Reads the YAML that DVC and we write, and most of what people do, line by line.

Importing PyYAML alone takes a seventh of what `status` takes. What is read here reads there as the
same (a property test holds the two side by side): mappings and lists in blocks, texts and numbers
on one line, `[…]` and `{…}` on one. Of all else, and of what is wrong, nothing is said.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

INT = r"[-+]?[0-9]+"
FLOAT = r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
WORDS = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("null", "Null", "NULL"), None),
}
_START = r"(?:[$/\w]|[.+-][\w./])"
_SIGN = r"[\w./@*+=-]"
_QUOTED = r"""'([^']*)'|"([^"\\]*)\""""
_LINE = re.compile(
    rf"( *)((?:- )*)(?:(?:({_START}[\w./@*+={{}}$-]*)|{_QUOTED}):(?: +|$))?(.*)", re.ASCII
)
_VALUE = re.compile(rf"{_START}(?:[^#:]|:(?=[^ ]))*|{_QUOTED}", re.ASCII)
_IN_FLOW = re.compile(rf"({_START}{_SIGN}*(?: +{_SIGN}+)*)|{_QUOTED}", re.ASCII)
_SIGNS = re.compile(r"[\n -~]*")
_COMMENT = re.compile(r"(?: +#.*)?")
_MOST_LINE = 1000  # characters; YAML takes 1,024 of a key
_MOST_DEPTH = 20


class _OtherError(Exception):
    """It is no simple YAML."""


class _Waiting(NamedTuple):
    """A place whose value may stand on the lines after: as yet it is None."""

    column: int
    holder: Any
    key: Any

    def takes(self, column: int, kind: type) -> bool:
        """Whether a collection that starts in a column is its value."""
        is_list_below_key = kind is list and type(self.holder) is dict
        return column > self.column or (column == self.column and is_list_below_key)


def read_simple(data: bytes) -> dict[str, Any] | list[Any] | None:
    """Return the values in a YAML document; None where it is another kind of YAML, or wrong."""
    try:
        text = data.decode("ascii")
        return _Blocks().read(text) if _SIGNS.fullmatch(text) else None
    except (UnicodeDecodeError, IndexError, _OtherError):
        return None


class _Blocks:
    """The collections that are open at a line, the outermost first, each with its column."""

    def __init__(self) -> None:
        self._root: list[Any] = [None]
        self._open: list[tuple[int, Any]] = []
        self._waiting: _Waiting | None = _Waiting(-1, self._root, 0)

    def read(self, text: str) -> Any:
        """Return the document."""
        for line in text.split("\n"):
            content = line.strip(" ")
            if content and content[0] != "#":
                self._line(line.rstrip(" "))
        return self._root[0]

    def _line(self, line: str) -> None:
        match = _LINE.fullmatch(line)
        if match is None or len(line) > _MOST_LINE:
            raise _OtherError
        indent, items, word, *quoted, value = match.groups()
        has_key = word is not None or quoted != [None, None]
        column = len(indent)
        if value == "-" and not has_key:
            items, value = f"{items}- ", ""
        for _ in range(len(items) // 2):
            found = self._at(column, list)
            found.append(None)
            self._waiting = _Waiting(column, found, -1)
            column += 2
        if has_key:
            found = self._at(column, dict)
            key = _text(quoted) if word is None else _resolved(word)
            _add(found, key, None)
            self._waiting = _Waiting(column, found, key)
        if value and value[0] != "#":
            if self._waiting is None or not (items or has_key):
                raise _OtherError
            self._waiting.holder[self._waiting.key] = _value(value)
            self._waiting = None

    def _at(self, column: int, kind: type) -> Any:
        """The collection that a line goes on with, or opens."""
        if self._waiting is not None and self._waiting.takes(column, kind):
            new = self._waiting.holder[self._waiting.key] = kind()
            self._open.append((column, new))
            if len(self._open) > _MOST_DEPTH:
                raise _OtherError
            return new
        while self._open[-1][0] > column or (
            self._open[-1][0] == column and kind is dict and type(self._open[-1][1]) is list
        ):
            self._open.pop()
        at, found = self._open[-1]
        if at != column or type(found) is not kind:
            raise _OtherError
        return found


def _value(text: str) -> Any:
    """A value that stands on its line alone, or with a comment."""
    if text[0] in "[{":
        value, end = _flow(text, 0, 0)
        if _COMMENT.fullmatch(text, end):
            return value
    elif text[0] in "'\"":
        quoted = _VALUE.match(text)
        if quoted and _COMMENT.fullmatch(text, quoted.end()):
            return _text(quoted.groups())
    else:
        plain = text.partition(" #")[0].rstrip(" ")
        if _VALUE.fullmatch(plain):
            return _resolved(plain)
    raise _OtherError


def _text(quoted: Sequence[str | None]) -> str | None:
    return quoted[1] if quoted[0] is None else quoted[0]


def _flow(text: str, at: int, depth: int) -> tuple[Any, int]:
    """A value within brackets, or in brackets itself, and the place after it."""
    if depth > _MOST_DEPTH:
        raise _OtherError
    if text[at] not in "[{":
        match = _IN_FLOW.match(text, at)
        if match is None:
            raise _OtherError
        word, *quoted = match.groups()
        return _text(quoted) if word is None else _resolved(word), match.end()
    found: Any = [] if text[at] == "[" else {}
    end = "]" if text[at] == "[" else "}"
    at = _after(text[at], text, at)
    while text[at] != end:
        at = _after(",", text, at) if found else at
        value, at = _flow(text, at, depth + 1)
        if end == "}":
            key = value
            value, at = _flow(text, _after(": ", text, at), depth + 1)
            _add(found, key, value)
        else:
            found.append(value)
        at = _after("", text, at)
    return found, at + 1


def _after(sign: str, text: str, at: int) -> int:
    """The place after a sign that has to stand there, and after spaces."""
    if not text.startswith(sign, at):
        raise _OtherError
    at += len(sign)
    while text[at] == " ":
        at += 1
    return at


def _add(mapping: dict[str, Any], key: Any, value: Any) -> None:
    if type(key) is not str or key in mapping:
        raise _OtherError
    mapping[key] = value


def _resolved(text: str) -> Any:
    if text in WORDS:
        return WORDS[text]
    if text[0] not in "+-.0123456789":
        return text
    if re.fullmatch(INT, text):
        return int(text)
    if re.fullmatch(FLOAT, text):
        return float(text)
    if text[-1] in "fFnN" and "." in text:  # .inf, .nan
        raise _OtherError
    return text
