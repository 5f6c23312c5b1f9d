"""What `experiment.yaml` may say: the question, before there is an answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, get_args

from dvc_branchflow.assignment import Assignment
from dvc_branchflow.errors import ConfigError, UsageError
from dvc_branchflow.model import PLAN_FILE
from dvc_branchflow.plain import nearest
from dvc_branchflow.stats.design import power_of_means, power_of_rates, rows_needed
from dvc_branchflow.values import dataclass, field
from dvc_branchflow.watch.windows import Span, parse_span

Kind = Literal["ab", "forward", "backtest"]
Scale = Literal["rate", "mean"]
Better = Literal["higher", "lower"]
COMPUTED = frozenset({"correct", "error"})
"""Metrics that come from prediction and label: whether they agree, and how far they are apart."""
_KEYS = (
    "question", "kind", "environment", "unit", "groups", "shares", "ramp", "metric", "effect",
    "expected", "horizon", "level", "power", "guardrails", "segments",
)  # fmt: skip
_METRIC_KEYS = ("column", "scale", "better", "equals", "per", "margin")
_GROUP = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")
_GROUPS = range(2, 11)


@dataclass(frozen=True, slots=True)
class Metric:
    """What is measured, row by row.

    Attributes:
        column: a logged column, `label`, `correct` or `error`.
        scale: a rate of rows, or a mean in the column's unit.
        equals: the text that counts, for a rate of a text column.
        per: a column whose sum the metric is divided by, for ratios; None: by rows.
        margin: of a guardrail: how much worse is still borne.
    """

    column: str
    scale: Scale
    better: Better = "higher"
    equals: str | None = None
    per: str | None = None
    margin: float = 0.0

    @property
    def name(self) -> str:
        """What to call it."""
        name = self.column if self.equals is None else f"{self.column}={self.equals}"
        return f"{name}/{self.per}" if self.per else name

    @property
    def sign(self) -> int:
        """1 where more is better, -1 where less is."""
        return 1 if self.better == "higher" else -1


@dataclass(frozen=True, slots=True)
class Expected:
    """What the metric is without any effect; for a mean, the deviation of a unit as well."""

    value: float
    deviation: float | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """An experiment, as it was planned.

    Attributes:
        groups: name → release; the first one is what the others are compared with.
        steps: shares of the groups, oldest first; the last ones count.
        effect: the smallest one of interest, in the metric's unit.
        horizon: when rows count; the verdict of the fixed horizon is given at its end.
    """

    name: str
    question: str
    kind: Kind
    environment: str
    unit: str
    groups: Mapping[str, str]
    steps: Sequence[Mapping[str, float]]
    metric: Metric
    effect: float
    expected: Expected
    horizon: Span
    level: float = 0.05
    power: float = 0.8
    guardrails: tuple[Metric, ...] = ()
    segments: tuple[str, ...] = field(default_factory=tuple)

    @property
    def control(self) -> str:
        """The group that the others are compared with."""
        return next(iter(self.groups))

    @property
    def assignment(self) -> Assignment:
        """How units get their groups."""
        return Assignment(self.name, self.steps)

    def rows_needed(self) -> dict[str, int]:
        """Return the units that each group needs, for the smallest effect at the wanted power."""
        shares = self.steps[-1]
        needed: dict[str, int] = {}
        for group in list(self.groups)[1:]:
            ratio = shares[group] / shares[self.control]
            least = rows_needed(partial(self.power_at, ratio=ratio), self.power)
            needed[self.control] = max(needed.get(self.control, 0), least)
            needed[group] = int(-(-least * ratio // 1))
        return needed

    def power_at(self, n: float, ratio: float) -> float:
        """Return the chance to find the smallest effect.

        Args:
            n: units of the control; `ratio`: units of the other group for each of these.
        """
        value, effect = self.expected.value, self.effect * self.metric.sign
        if self.metric.scale == "rate":
            other = min(max(value + effect, 0.0), 1.0)
            return power_of_rates(value, other - value, n, ratio=ratio, alpha=self.level)
        deviation = self.expected.deviation or 1.0
        return power_of_means(effect, deviation, n, ratio=ratio, alpha=self.level)


def parse_plan(name: str, document: Mapping[str, Any]) -> Plan:
    """Return the plan in a parsed `experiment.yaml`. Raises: ConfigError: it is none."""
    _known(document, _KEYS, "")
    groups = _groups(document)
    plan = Plan(
        name=name,
        question=_text(document, "question"),
        kind=_choice(document, "kind", get_args(Kind), "ab"),
        environment=_text(document, "environment"),
        unit=_text(document, "unit", "unit"),
        groups=groups,
        steps=[*_ramp(document, groups), _shares("shares", document.get("shares"), groups)],
        metric=_metric("metric", document.get("metric")),
        effect=_number(document, "effect", lambda value: value > 0),
        expected=_expected(document),
        horizon=_horizon(document),
        level=_number(document, "level", lambda value: 0 < value < 1, 0.05),
        power=_number(document, "power", lambda value: 0 < value < 1, 0.8),
        guardrails=tuple(_listed(document, "guardrails", _metric)),
        segments=tuple(_listed(document, "segments", _column)),
    )
    try:
        _ = plan.assignment.slots
    except ValueError as error:
        raise _wrong("shares", str(error)) from error
    if plan.metric.scale == "mean" and plan.expected.deviation is None:
        raise _wrong("expected", "needs the 'deviation' of a unit, for a mean")
    if plan.metric.scale == "rate" and not 0 < plan.expected.value < 1:
        raise _wrong("expected", "has to be a rate between 0 and 1")
    return plan


def _groups(document: Mapping[str, Any]) -> dict[str, str]:
    groups = document.get("groups")
    if not isinstance(groups, dict) or len(groups) not in _GROUPS:
        raise _wrong("groups", "has to map two to ten groups to releases or branches")
    for name, tag in groups.items():
        if not isinstance(name, str) or not _GROUP.fullmatch(name) or not isinstance(tag, str):
            raise _wrong(f"groups.{name}", "is no plain name with a release")
    return groups


def _ramp(document: Mapping[str, Any], groups: Mapping[str, str]) -> list[dict[str, float]]:
    body = document.get("ramp", [])
    if not isinstance(body, list):
        raise _wrong("ramp", "has to list the shares that there were before, oldest first")
    return [_shares(f"ramp[{n}]", step, groups, may_lack=True) for n, step in enumerate(body)]


def _shares(
    where: str, body: object, groups: Mapping[str, str], *, may_lack: bool = False
) -> dict[str, float]:
    if not isinstance(body, dict) or any(name not in groups for name in body):
        raise _wrong(where, "has to give groups of the plan their shares")
    if any(not _is_number(share) or not 0 <= share <= 1 for share in body.values()):
        raise _wrong(where, "has shares that are no numbers from 0 to 1")
    if not may_lack and (set(body) != set(groups) or not all(body.values())):
        raise _wrong(where, "has to give each group a share above 0")
    return {name: float(share) for name, share in body.items()}


def _metric(where: str, body: object) -> Metric:
    if not isinstance(body, dict):
        raise _wrong(where, "has to be a mapping with 'column' and 'scale'")
    _known(body, _METRIC_KEYS, f"{where}.")
    margin = body.get("margin", 0.0)
    if not _is_number(margin) or margin < 0:
        raise _wrong(f"{where}.margin", "is no number from 0 up")
    for key in ("equals", "per"):
        if not isinstance(body.get(key, ""), str):
            raise _wrong(f"{where}.{key}", "has to be text")
    return Metric(
        column=_column(f"{where}.column", body.get("column")),
        scale=_choice(body, "scale", get_args(Scale), "", f"{where}."),
        better=_choice(body, "better", get_args(Better), "higher", f"{where}."),
        equals=body.get("equals"),
        per=body.get("per"),
        margin=float(margin),
    )


def _expected(document: Mapping[str, Any]) -> Expected:
    body = document.get("expected")
    body = {"value": body} if _is_number(body) else body
    if not isinstance(body, dict) or not _is_number(body.get("value")):
        raise _wrong("expected", "has to be a number, or {value: …, deviation: …}")
    _known(body, ("value", "deviation"), "expected.")
    deviation = body.get("deviation")
    if deviation is not None and (not _is_number(deviation) or deviation <= 0):
        raise _wrong("expected.deviation", "is no number above 0")
    return Expected(float(body["value"]), deviation and float(deviation))


def _horizon(document: Mapping[str, Any]) -> Span:
    try:
        return parse_span(_text(document, "horizon"))
    except UsageError as error:
        raise _wrong("horizon", error.message) from None


def _listed(
    document: Mapping[str, Any], key: str, parse: Callable[[str, object], Any]
) -> list[Any]:
    body = document.get(key, [])
    if not isinstance(body, list):
        raise _wrong(key, "has to be a list")
    return [parse(f"{key}[{n}]", item) for n, item in enumerate(body)]


def _column(where: str, body: object) -> str:
    if not isinstance(body, str) or not body:
        raise _wrong(where, "has to name a column")
    return body


def _choice(
    body: Mapping[str, Any], key: str, known: Sequence[str], default: str, where: str = ""
) -> Any:
    value = body.get(key, default)
    if value not in known:
        raise _wrong(f"{where}{key}", f"is none of: {', '.join(known)}")
    return value


def _text(document: Mapping[str, Any], key: str, default: str | None = None) -> str:
    value = document.get(key, default)
    if not isinstance(value, str) or not value.strip():
        raise _wrong(key, "has to be text")
    return value


def _number(
    document: Mapping[str, Any],
    key: str,
    is_good: Callable[[float], bool],
    default: float | None = None,
) -> float:
    value: Any = document.get(key, default)
    if not _is_number(value) or not is_good(float(value)):
        raise _wrong(key, f"{value!r} can't be")
    return float(value)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _known(body: Mapping[Any, Any], keys: Sequence[str], where: str) -> None:
    for key in body:
        if key not in keys:
            raise _wrong(f"{where}{key}", f"is no key that we know{nearest(str(key), keys)}")


def _wrong(where: str, why: str) -> ConfigError:
    return ConfigError(f"'{PLAN_FILE}': '{where}' {why}")
