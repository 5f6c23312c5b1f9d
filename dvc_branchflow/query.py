"""Chooses and orders things by their named values: `metrics.mae<25`, `params.kind=linear`."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Any, TypeGuard, TypeVar

from dvc_branchflow.errors import UsageError
from dvc_branchflow.values import dataclass

Values = Mapping[str, object]
_T = TypeVar("_T")
_CONDITION = r"\s*([^<>=!]*[^<>=!\s])\s*(<=|>=|!=|==|=|<|>)\s*(.*?)\s*"
_ID = re.compile(r"[0-9a-f]{32,64}")
_DIGITS = re.compile(r"([0-9]{1,18})")
_LEAST_ID = 4
_NEAR = 3
_ORDERS: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True, slots=True)
class Condition:
    """A comparison of a named value with a given one; what lacks the value does not meet it."""

    name: str
    operator: str
    wanted: str

    def holds(self, values: Values) -> bool:
        """Whether the values meet it: numbers by size, ids by their first digits, else text."""
        found = values.get(self.name)
        ours, theirs = _key(found), _key(_typed(self.wanted, found))
        if ours is None or theirs is None:
            return False
        if self.operator in _ORDERS:
            return ours[0] == theirs[0] and _ORDERS[self.operator](ours, theirs)
        return self._equals(found) is (self.operator != "!=")

    def _equals(self, found: object) -> bool:
        if is_number(found):
            return found == _typed(self.wanted, found)
        text = as_text(found)
        is_start = len(self.wanted) >= _LEAST_ID and text.startswith(self.wanted)
        return text == self.wanted or (is_start and _ID.fullmatch(text) is not None)


@dataclass(frozen=True, slots=True)
class Order:
    """By which named value to sort; what lacks it comes last either way."""

    name: str
    is_descending: bool = False


def parse_condition(text: str) -> Condition:
    """Return the condition in `NAME<VALUE`, with one of `= != < <= > >=`.

    Raises: UsageError: it is none.
    """
    match = re.fullmatch(_CONDITION, text, re.DOTALL)
    if match is None:
        raise UsageError(
            f"'{text[:80]}' is no condition: a name, one of = != < <= > >=, and a value",
            hint="--where 'metrics.mae<25' --where params.model.kind=linear",
        )
    return Condition(match[1], match[2].replace("==", "="), match[3])


def parse_order(text: str) -> Order:
    """Return the order in `NAME`, `NAME:asc` or `NAME:desc`."""
    name, _, way = text.rpartition(":")
    return Order(name, way == "desc") if name and way in {"asc", "desc"} else Order(text)


def ordered(items: Iterable[_T], order: Order, values: Callable[[_T], Values]) -> list[_T]:
    """Return the items sorted; those that are equal stay as they were."""
    rows = [(_key(values(item).get(order.name)), item) for item in items]
    having = [row for row in rows if row[0] is not None]
    having.sort(key=operator.itemgetter(0), reverse=order.is_descending)
    return [item for _, item in having] + [item for key, item in rows if key is None]


def require_known(name: str, known: Collection[str], what: str) -> None:
    """Raise UsageError, with the nearest names, where `name` is none of those that there are."""
    if name in known:
        return
    import difflib

    near = difflib.get_close_matches(name, known, n=_NEAR, cutoff=0.4)
    others = near or sorted(known)[:_NEAR]
    raise UsageError(
        f"no {what} has a value called '{name[:80]}'",
        hint=f"one of: {', '.join(others)}" if others else None,
    )


def flat(values: object) -> dict[str, object]:
    """Return the leaves of nested mappings by dotted name; without recursion, however deep."""
    found: dict[str, object] = {}
    waiting: list[tuple[str, object]] = [("", values)]
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, Mapping):
            start = f"{name}." if name else ""
            waiting += [(f"{start}{key}", value[key]) for key in reversed(list(value))]
        else:
            found[name] = value
    return found


def as_text(value: object) -> str:
    """Return a value as it stands in YAML."""
    if isinstance(value, bool):
        return str(value).lower()
    return "null" if value is None else str(value)


def is_number(value: object) -> TypeGuard[float]:
    """Whether a value is a number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _typed(wanted: str, like: object) -> object:
    if is_number(like):
        try:
            return float(wanted)
        except ValueError:
            return wanted
    return wanted


def _key(value: object) -> tuple[bool, Any] | None:
    """Numbers before texts, texts so that `v1.9.0` comes before `v1.10.0`; None where is none."""
    if value is None or value != value:  # noqa: PLR0124  NaN
        return None
    if is_number(value):
        return False, value
    parts = _DIGITS.split(as_text(value))
    return True, [int(part) if at % 2 else part for at, part in enumerate(parts)]
