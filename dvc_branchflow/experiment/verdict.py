"""Which verdict an experiment's data allow: ship, hold, stop, or not yet, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from dvc_branchflow.experiment.plan import Metric, Plan
from dvc_branchflow.lazy import Floats
from dvc_branchflow.stats.design import mismatch_p
from dvc_branchflow.stats.intervals import (
    Interval,
    bootstrap,
    mean,
    newcombe,
    ratio_moments,
    welch,
    wilson,
)
from dvc_branchflow.stats.moments import Moments, PairMoments
from dvc_branchflow.stats.sequential import always_valid, guarded_rate
from dvc_branchflow.values import dataclass

Word = Literal["ship", "hold", "stop", "not yet"]
MISMATCH = 0.001
"""The chance below which group sizes are held to be wrong, as is usual for this test."""
_BOOTSTRAP_UNITS = 20_000


@dataclass(frozen=True, slots=True)
class Units:
    """A metric in one group: each unit's sum and what it is divided by; shapes (units,)."""

    tops: Floats
    bottoms: Floats

    @property
    def is_plain(self) -> bool:
        """Whether each unit is one row, or one thing that the metric is divided by."""
        return bool((self.bottoms == 1).all())

    @property
    def moments(self) -> Moments:
        """The metric's value and spread, by units."""
        if self.is_plain:
            return Moments.of(self.tops)
        return ratio_moments(PairMoments.of(self.tops, self.bottoms))


@dataclass(frozen=True, slots=True)
class Effect:
    """A metric of a group against the control.

    Attributes:
        control, treated: the metric in the two groups.
        effect: the fixed-horizon interval of the difference, treated minus control; valid once.
        sequential: the always-valid one, which may be looked at at any time.
        resampled: the bootstrap's, for means of few units; None else.
        units: of the two groups.
    """

    metric: str
    group: str
    control: Interval
    treated: Interval
    effect: Interval
    sequential: Interval
    resampled: Interval | None
    units: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The answer for one group, and the reason for it."""

    group: str
    word: Word
    reason: str


def measure(
    plan: Plan, metric: Metric, group: str, control: Units, treated: Units, *, alpha: float
) -> Effect:
    """Return a metric's effect: Newcombe for rates of rows, Welch or the delta method else."""
    both = (control, treated)
    moments = [units.moments for units in both]
    is_rate = metric.scale == "rate" and all(units.is_plain for units in both)
    resampled = None
    if is_rate:
        hits = [(int(units.tops.sum()), int(units.tops.size)) for units in both]
        effect = newcombe(*hits[0], *hits[1], alpha=alpha)
        single = [wilson(*one, alpha=alpha) for one in hits]
        moments = [guarded_rate(*one) for one in hits]
    else:
        effect = welch(moments[0], moments[1], alpha=alpha)
        single = [mean(one, alpha=alpha) for one in moments]
        few = min(units.tops.size for units in both) > 1
        few = few and max(units.tops.size for units in both) <= _BOOTSTRAP_UNITS
        if few and all(units.is_plain for units in both):
            resampled = bootstrap(control.tops, treated.tops, alpha=alpha)
    return Effect(
        metric=metric.name,
        group=group,
        control=single[0],
        treated=single[1],
        effect=effect,
        sequential=always_valid(moments[0], moments[1], scale=plan.effect, alpha=alpha),
        resampled=resampled,
        units=(int(control.tops.size), int(treated.tops.size)),
    )


def mismatch(plan: Plan, units: Mapping[str, int]) -> float | None:
    """Return the p-value of "the groups have the shares of the plan"; None after a ramp."""
    if len(plan.steps) > 1:
        return None
    shares = plan.steps[-1]
    return mismatch_p([units[group] for group in plan.groups], [shares[g] for g in plan.groups])


def decide(
    plan: Plan,
    primary: Effect,
    guardrails: Sequence[tuple[Metric, Effect]],
    *,
    mismatch_p: float | None,
    is_over: bool,
) -> Verdict:
    """Return the verdict for one group.

    Args:
        mismatch_p: of the group sizes; first of all, since nothing else can be trusted then.
        is_over: whether the horizon has passed, so that the fixed interval counts.
    """
    if mismatch_p is not None and mismatch_p < MISMATCH:
        reason = f"group sizes don't fit the plan (p = {mismatch_p:.2g}): find out what was lost"
        return Verdict(primary.group, "hold", reason)
    bent = [m.name for m, e in guardrails if _gain(m, e.effect).estimate < -m.margin]
    word, reason = _at_any_time(plan, primary, guardrails, bent)
    if word == "not yet" and is_over:
        word, reason = _at_the_end(plan, primary, bent)
    return Verdict(primary.group, word, reason)


def _at_any_time(
    plan: Plan, primary: Effect, guardrails: Sequence[tuple[Metric, Effect]], bent: Sequence[str]
) -> tuple[Word, str]:
    for metric, effect in guardrails:
        if _gain(metric, effect.sequential).high < -metric.margin:
            return "stop", f"guardrail {metric.name} is worse than its margin"
    gain = _gain(plan.metric, primary.sequential)
    if gain.high < 0:
        return "stop", f"{primary.metric} is worse, at any time of looking"
    if gain.low > 0 and not bent:
        return "ship", f"{primary.metric} is better, at any time of looking"
    return "not yet", "the horizon is not over, and nothing is clear before"


def _at_the_end(plan: Plan, primary: Effect, bent: Sequence[str]) -> tuple[Word, str]:
    gain = _gain(plan.metric, primary.effect)
    if gain.high < 0:
        return "stop", f"{primary.metric} is worse at the end of the horizon"
    if bent:
        return "hold", f"guardrails look worse: {', '.join(bent)}"
    if gain.low > 0:
        return "ship", f"{primary.metric} is better at the end of the horizon"
    if gain.high < plan.effect:
        return "hold", "an effect of the size of interest is ruled out"
    return "hold", "no effect was found, and one of interest is not ruled out"


def _gain(metric: Metric, effect: Interval) -> Interval:
    """The effect turned so that more is better."""
    if metric.sign > 0:
        return effect
    return Interval(-effect.estimate, -effect.high, -effect.low)
