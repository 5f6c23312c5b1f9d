"""Verdicts that stay valid however often somebody looks while the rows come in.

The mixture sequential probability ratio test with a normal prior on the effect: at every moment the
likelihood ratio of "some effect of about this size" against "none" is a martingale under "none",
so that it ever reaches 1/alpha with a chance of at most alpha (Ville 1939).
Sources: Robbins 1970; Johari, Koomen, Pekelis and Walsh 2017; with estimated variances its
asymptotic version, Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas 2024.
"""

from __future__ import annotations

import math

from dvc_branchflow.stats.intervals import Interval
from dvc_branchflow.stats.moments import Moments

MIN_ROWS = 100
"""Rows in each group below which an estimated variance is no ground for a verdict."""


def always_valid(one: Moments, other: Moments, *, scale: float, alpha: float = 0.05) -> Interval:
    """Return the interval of a difference of means that may be looked at after every row.

    Args:
        scale: the size of effect that it is tuned for, in the unit of the values, > 0: there it
            is shortest; it is valid whatever the truth is.
    Returns: the other's mean minus the first one's; unbounded while there are too few rows.
    """
    gap = other.mean - one.mean
    if min(one.n, other.n) < MIN_ROWS:
        return Interval(gap, -math.inf, math.inf)
    noise = one.error**2 + other.error**2
    if noise == 0:
        return Interval(gap, -math.inf, math.inf)
    prior = scale * scale
    reach = noise * (noise + prior) / prior * (math.log1p(prior / noise) - 2 * math.log(alpha))
    return Interval(gap, gap - reach**0.5, gap + reach**0.5)


def always_valid_p(one: Moments, other: Moments, *, scale: float) -> float:
    """Return the p-value of "no difference" now; the least one so far stays valid for ever.

    Args:
        scale: as for `always_valid`.
    """
    noise = one.error**2 + other.error**2
    if min(one.n, other.n) < MIN_ROWS or noise == 0:
        return 1.0
    gap, prior = other.mean - one.mean, scale * scale
    log_ratio = prior * gap * gap / (2 * noise * (noise + prior)) - math.log1p(prior / noise) / 2
    return min(1.0, math.exp(-log_ratio)) if log_ratio > 0 else 1.0


def guarded_rate(hits: int, n: int) -> Moments:
    """Return a rate as moments whose variance does not vanish where all rows are alike.

    A row of each kind is added for the variance (Agresti and Caffo 2000); the mean stays as it is.
    """
    if n == 0:
        return Moments()
    guarded = (hits + 1) / (n + 2)
    return Moments(n, hits / n, guarded * (1 - guarded) * (n - 1))
