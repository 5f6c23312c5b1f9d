"""Whether a candidate's metrics let it take the place of the current release."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Literal

from dvc_branchflow.query import is_number
from dvc_branchflow.values import dataclass

if TYPE_CHECKING:
    from decimal import Decimal

Better = Literal["lower", "higher"]
BETTER: tuple[Better, ...] = ("lower", "higher")
_PERCENT = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*%")
_SHOWN = 60


@dataclass(frozen=True, slots=True)
class Gate:
    """By how much one metric of a candidate may be worse than the current release's.

    Attributes:
        metric: its name, as `runs` shows it, or `FILE:NAME`.
        better: which way it is better.
        margin: how much worse is let through: a number, or a share of the current value as `2%`.
    """

    metric: str
    better: Better
    margin: str = "0"


@dataclass(frozen=True, slots=True)
class Bound:
    """What a gate asks of the next release. `current` is None where there is nothing to beat."""

    gate: str
    better: Better
    margin: str
    current: float | None
    wanted: str


@dataclass(frozen=True, slots=True)
class GateResult:
    """What a gate says of a candidate.

    Attributes:
        found: the candidate's value; text where it is no finite number, None where it is missing.
        current: the current release's value; None where it has none.
        reason: why the candidate is refused; empty where it passes.
    """

    gate: str
    found: float | str | None
    current: float | None
    wanted: str
    reason: str = ""

    @property
    def has_passed(self) -> bool:
        """Whether the gate lets the candidate through."""
        return not self.reason


def parse_margin(value: object) -> str | None:
    """Return a margin as a gate holds it, or None for what is none."""
    if is_number(value):
        return str(value) if value >= 0 and is_finite(value) else None
    match = _PERCENT.fullmatch(value) if isinstance(value, str) else None
    return f"{match[1]}%" if match else None


def bound(gate: Gate, current: object) -> Bound:
    """Return what a gate asks of the next release.

    Args:
        current: what the current release has under the metric's name.
    """
    value = _number(current)
    return Bound(gate.metric, gate.better, gate.margin, value, _wanted(gate, value))


def judge(gate: Gate, found: object, current: object) -> GateResult:
    """Return what a gate says of a candidate; what is missing or no finite number is refused.

    A metric that the current release lacks has nothing to be worse than. Numbers are compared as
    they are written, so that 0.7 and a margin of 0.1 make 0.8.

    Args:
        found: what the candidate has under the metric's name.
        current: what the current release has there.
    """
    value, before = _number(found), _number(current)
    wanted = _wanted(gate, before)
    if value is None:
        shown = None if found is None else str(found)[:_SHOWN]
        reason = "is missing" if found is None else "is no finite number"
        return GateResult(gate.metric, shown, before, wanted, reason)
    limit = _limit(gate, before)
    is_worse = limit is not None and _worth(gate, value) < _worth(gate, limit)
    reason = f"is worse than {text(before or 0)} by more than {gate.margin}" if is_worse else ""
    return GateResult(gate.metric, value, before, wanted, reason)


def text(number: Decimal | float) -> str:
    """Return a number as people read it."""
    return f"{float(number):.6g}"


def is_finite(number: float) -> bool:
    """Whether a number is a finite float, or an integer that fits into one."""
    try:
        return math.isfinite(number)
    except OverflowError:
        return False


def _number(value: object) -> float | None:
    return value if is_number(value) and is_finite(value) else None


def _worth(gate: Gate, value: Decimal | float) -> Decimal:
    """The value as a number that is larger the better."""
    from decimal import Decimal  # 1 ms

    exact = Decimal(str(value))
    return exact if gate.better == "higher" else -exact


def _limit(gate: Gate, current: float | None) -> Decimal | None:
    """The worst value that is let through; None: every finite one is."""
    from decimal import Decimal

    if current is None:
        return None
    exact = Decimal(str(current))
    margin = Decimal(gate.margin.removesuffix("%"))
    if gate.margin.endswith("%"):
        margin = abs(exact) * margin / 100
    return exact + margin if gate.better == "lower" else exact - margin


def _wanted(gate: Gate, current: float | None) -> str:
    limit = _limit(gate, current)
    if limit is None:
        return "a number"
    return f"{'at most' if gate.better == 'lower' else 'at least'} {text(limit)}"
