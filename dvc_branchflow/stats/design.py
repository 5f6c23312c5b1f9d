"""How many rows an experiment needs, what it can see, and whether its groups fit the plan."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from dvc_branchflow.lazy import np, special
from dvc_branchflow.stats.intervals import normal_quantile

_MOST_ROWS = 1 << 50


def power_of_means(
    effect: float, deviation: float, n: float, *, ratio: float = 1.0, alpha: float = 0.05
) -> float:
    """Return the chance that a true difference of means is found, two-sided.

    Args:
        effect: the difference; `deviation`: the standard deviation of a row; the same unit.
        n: rows of the first group; `ratio`: rows of the other one for each of these.
    Source: Chow, Shao and Wang 2008, 3.2.2, normal approximation.
    """
    shift = abs(effect) / deviation * (n / (1 + 1 / ratio)) ** 0.5
    return _two_sided(shift, normal_quantile(alpha))


def power_of_rates(
    rate: float, effect: float, n: float, *, ratio: float = 1.0, alpha: float = 0.05
) -> float:
    """Return the chance that a true difference of rates is found, two-sided.

    Args:
        rate: of the first group; `effect`: what the other one's is more or less.
        n: rows of the first group; `ratio`: rows of the other one for each of these.
    Source: Fleiss, Levin and Paik 2003, 4.2 (pooled variance under "none").
    """
    other = rate + effect
    pooled = (rate + ratio * other) / (1 + ratio)
    under_none = (pooled * (1 - pooled) * (1 + 1 / ratio)) ** 0.5
    under_some = (rate * (1 - rate) + other * (1 - other) / ratio) ** 0.5
    if under_some == 0:
        return 1.0
    shift = abs(effect) * n**0.5 / under_some
    return _two_sided(shift, normal_quantile(alpha) * under_none / under_some)


def rows_needed(power_at: Callable[[float], float], power: float = 0.8) -> int:
    """Return the smallest number of rows of the first group that reaches a power.

    Args:
        power_at: rows → power, growing.
    Raises: ValueError: no number of rows does.
    """
    high = 2
    while power_at(high) < power:
        high *= 2
        if high > _MOST_ROWS:
            raise ValueError("no number of rows reaches this power")
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power_at(middle) >= power else (middle, high)
    return high


def mismatch_p(counts: Sequence[int], shares: Sequence[float]) -> float:
    """Return how likely group sizes so far from the plan's shares are by chance.

    A small value means that rows were lost or assigned wrongly, and no effect can be trusted.

    Args:
        counts: units seen in each group; `shares`: the plan's, each > 0, sum 1.
    Source: Fabijan et al. 2019 (sample ratio mismatch); Pearson 1900 (chi-squared).
    """
    total = sum(counts)
    if total == 0 or len(counts) < 2:  # noqa: PLR2004  nothing to compare
        return 1.0
    expected = np.asarray(shares, float) * total
    statistic = float(np.sum((np.asarray(counts, float) - expected) ** 2 / expected))
    return float(special.chdtrc(len(counts) - 1, statistic))


def _two_sided(shift: float, reach: float) -> float:
    return _tail(reach - shift) + _tail(reach + shift)


def _tail(z: float) -> float:
    return math.erfc(z / math.sqrt(2)) / 2
