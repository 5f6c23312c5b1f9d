"""Intervals of rates, means and ratios, of one group and of the difference between two."""

from __future__ import annotations

from dvc_branchflow.lazy import Floats, np, special
from dvc_branchflow.stats.moments import Moments, PairMoments
from dvc_branchflow.values import dataclass

_MIN_RATIO_MEAN = 1e-300


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate, and the range that holds the truth with the level that was asked for."""

    estimate: float
    low: float
    high: float


def wilson(hits: float, n: float, *, alpha: float = 0.05) -> Interval:
    """Return the score interval of a rate; the whole of [0, 1] without rows.

    Args:
        hits: rows that count, 0 <= hits <= n.
        alpha: how often the interval may miss.
    Source: Wilson 1927.
    """
    if n <= 0:
        return Interval(float("nan"), 0.0, 1.0)
    z2 = normal_quantile(alpha) ** 2
    rate = hits / n
    centre = (rate + z2 / (2 * n)) / (1 + z2 / n)
    half = (z2 * (rate * (1 - rate) + z2 / (4 * n)) / n) ** 0.5 / (1 + z2 / n)
    return Interval(rate, max(0.0, centre - half), min(1.0, centre + half))


def newcombe(
    hits: float, n: float, other_hits: float, other_n: float, *, alpha: float = 0.05
) -> Interval:
    """Return the interval of a difference of rates, the other group's minus the first one's.

    Source: Newcombe 1998, method 10 (hybrid of two Wilson intervals).
    """
    one, two = wilson(hits, n, alpha=alpha), wilson(other_hits, other_n, alpha=alpha)
    gap = two.estimate - one.estimate
    below = ((two.estimate - two.low) ** 2 + (one.high - one.estimate) ** 2) ** 0.5
    above = ((two.high - two.estimate) ** 2 + (one.estimate - one.low) ** 2) ** 0.5
    if n <= 0 or other_n <= 0:
        return Interval(float("nan"), -1.0, 1.0)
    return Interval(gap, gap - below, gap + above)


def mean(values: Moments, *, alpha: float = 0.05) -> Interval:
    """Return Student's interval of a mean; unbounded below two rows. Source: Student 1908."""
    if values.n < 2:  # noqa: PLR2004  one row has no spread
        return _unbounded(values.mean if values.n else float("nan"))
    half = _t_quantile(values.n - 1, alpha) * values.error
    return Interval(values.mean, values.mean - half, values.mean + half)


def welch(one: Moments, other: Moments, *, alpha: float = 0.05) -> Interval:
    """Return the interval of a difference of means, the other's minus the first one's.

    Source: Welch 1947, with Satterthwaite's degrees of freedom.
    """
    gap = other.mean - one.mean
    if min(one.n, other.n) < 2:  # noqa: PLR2004
        return _unbounded(gap if min(one.n, other.n) else float("nan"))
    parts = one.variance / one.n, other.variance / other.n
    total = sum(parts)
    if total == 0:
        return Interval(gap, gap, gap)
    freedom = total**2 / (parts[0] ** 2 / (one.n - 1) + parts[1] ** 2 / (other.n - 1))
    half = _t_quantile(freedom, alpha) * total**0.5
    return Interval(gap, gap - half, gap + half)


def ratio_moments(pairs: PairMoments) -> Moments:
    """Return a ratio of sums as moments: its value, and the spread that gives its error.

    The unit of analysis is a pair (say a user: clicks, views), so that rows of one unit may
    depend on each other. Source: Deng, Knoblich and Lu 2018, the delta method.
    """
    n, bottom = pairs.top.n, pairs.bottom.mean
    if n == 0 or abs(bottom) < _MIN_RATIO_MEAN:
        return Moments()
    ratio = pairs.top.mean / bottom
    spread = pairs.top.variance - 2 * ratio * pairs.covariance + ratio**2 * pairs.bottom.variance
    return Moments(n, ratio, max(spread, 0.0) / bottom**2 * (n - 1))


def bootstrap(
    one: Floats, other: Floats, *, alpha: float = 0.05, draws: int = 2000, seed: int = 0
) -> Interval:
    """Return the studentised bootstrap interval of a difference of means.

    It leans less on the normal law than Welch's where values are skewed and groups small.

    Args:
        one, other: values, shapes (rows,); work and memory grow with rows, so thousands.
    Source: Hall 1988; Efron and Tibshirani 1993, chapter 12.
    """
    whole = [Moments.of(one), Moments.of(other)]
    gap = whole[1].mean - whole[0].mean
    error = (whole[0].error ** 2 + whole[1].error ** 2) ** 0.5
    if min(one.size, other.size) < 2 or error == 0:  # noqa: PLR2004
        return welch(*whole, alpha=alpha)
    generator = np.random.default_rng(seed)
    means, squares = zip(*(_resampled(v, draws, generator) for v in (one, other)), strict=True)
    spread = np.sqrt(np.maximum(squares[0] + squares[1], np.finfo(float).tiny))
    scores = (means[1] - means[0] - gap) / spread
    low, high = np.quantile(scores, [alpha / 2, 1 - alpha / 2])
    return Interval(gap, float(gap - high * error), float(gap - low * error))


def normal_quantile(alpha: float) -> float:
    """Return how many standard errors a two-sided interval of level `alpha` reaches."""
    return float(-special.ndtri(alpha / 2))


def _resampled(values: Floats, draws: int, generator: np.random.Generator) -> tuple[Floats, Floats]:
    """The mean and squared standard error of each resample, shapes (draws,)."""
    n = values.size
    step = max(1, 2_000_000 // n)
    means, squares = np.empty(draws), np.empty(draws)
    for start in range(0, draws, step):
        stop = min(draws, start + step)
        drawn = values[generator.integers(0, n, (stop - start, n))]
        means[start:stop] = drawn.mean(axis=1)
        squares[start:stop] = drawn.var(axis=1, ddof=1) / n
    return means, squares


def _t_quantile(freedom: float, alpha: float) -> float:
    return float(-special.stdtrit(freedom, alpha / 2))


def _unbounded(estimate: float) -> Interval:
    return Interval(estimate, -float("inf"), float("inf"))
