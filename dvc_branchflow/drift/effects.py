"""How far two samples lie apart, and how far they would by chance alone.

P-values answer "is there any difference", and among ten million rows there always is one. So what
is judged are effect sizes; what chance adds to them is known in closed form, and small samples have
to exceed a threshold by that much.
"""

from __future__ import annotations

from dvc_branchflow.lazy import Floats, Ints, np, special

_SPREAD = 0.5  # rows added to each cell, so that an empty one has a logarithm
_CELLS = 10


def shares(counts: Ints) -> Floats:
    """Return the share of each cell, all > 0, shape (cells,), sum 1.

    Half a row is added to each cell. Source: Jeffreys' prior for a multinomial.
    """
    padded = np.asarray(counts, float) + _SPREAD
    return np.asarray(padded / padded.sum())


def population_stability(expected: Floats, observed: Floats) -> float:
    """Return the population stability index of two binned samples.

    Args:
        expected, observed: share of each cell, shape (cells,), sum 1, all > 0.
    Returns: PSI in nats, >= 0; 0.1 is usually read as "look", 0.25 as "act". Two normal laws half
        a standard deviation apart have 0.25.
    Raises: ValueError: a share is 0 or shapes differ.
    Source: Jeffreys 1946; Kullback and Leibler 1951, the symmetric divergence J.
    """
    _require_shares(expected, observed)
    return float(np.sum((observed - expected) * np.log(observed / expected)))


def jensen_shannon(expected: Floats, observed: Floats) -> float:
    """Return the Jensen-Shannon divergence of two binned samples, in nats, 0 to log 2.

    Args:
        expected, observed: share of each cell, shape (cells,), sum 1, all > 0.
    Source: Lin 1991. Near equality it is an eighth of the population stability index.
    """
    _require_shares(expected, observed)
    middle = (expected + observed) / 2
    terms = expected * np.log(expected / middle) + observed * np.log(observed / middle)
    return float(np.sum(terms) / 2)


def wasserstein(expected: Floats, observed: Floats, places: Floats) -> float:
    """Return the normalised Wasserstein distance: how far rows moved, in standard deviations.

    Args:
        expected, observed: share of each bin, shape (bins,), sum 1.
        places: where the bins lie, shape (bins,), ascending.
    Returns: the first distance over the baseline's standard deviation; 0 where that is 0.
    Source: Vallender 1974, as the area between the distribution functions.
    """
    deviation = _deviation(expected, places)
    if deviation == 0:
        return 0.0
    gaps = np.abs(np.cumsum(observed - expected))[:-1]
    return float(np.sum(gaps * np.diff(places)) / deviation)


def divergence_noise(n: int, m: int, cells: int, alpha: float) -> float:
    """Return what the population stability index of equal populations exceeds with chance alpha.

    Args:
        n, m: rows of the two samples, > 0.
        cells: of the binning.
    Source: Yurdakul and Naranjo 2020: (1/n + 1/m) times a chi-squared law with cells - 1 degrees.
    """
    if cells < 2:  # noqa: PLR2004  one cell can't differ
        return 0.0
    return float((1 / n + 1 / m) * special.chdtri(cells - 1, alpha))


def wasserstein_noise(expected: Floats, places: Floats, n: int, m: int, alpha: float) -> float:
    """Return a bound on what the distance of equal populations exceeds with chance alpha.

    The difference of the distribution functions is near a Brownian bridge B(F): its area has the
    mean sqrt(2/pi) times the integral of sqrt(F(1-F)), and around it the tail of a normal law with
    the variance of the values (Borell 1975; Tsirelson, Ibragimov and Sudakov 1976).
    """
    deviation = _deviation(expected, places)
    if deviation == 0:
        return 0.0
    below = np.clip(np.cumsum(expected)[:-1], 0, 1)
    area = np.sum(np.sqrt(below * (1 - below)) * np.diff(places)) / deviation
    reach = np.sqrt(2 / np.pi) * area + np.sqrt(2 * np.log(1 / alpha))
    return float(reach * (1 / n + 1 / m) ** 0.5)


def same_law_p(expected: Ints, observed: Ints) -> float:
    """Return the p-value of "one law", for information: with many rows it is always small.

    Args:
        expected, observed: rows in each cell, shape (cells,).
    Source: Pearson 1900, the chi-squared test of homogeneity.
    """
    table = np.array([expected, observed], float)
    table = table[:, table.sum(axis=0) > 0]
    if table.shape[1] < 2 or not table.sum(axis=1).all():  # noqa: PLR2004
        return 1.0
    wanted = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / table.sum()
    return float(special.chdtrc(table.shape[1] - 1, np.sum((table - wanted) ** 2 / wanted)))


def coarse(expected: Ints, observed: Ints) -> tuple[Ints, Ints]:
    """Return both samples in about ten cells that are equally full in the baseline.

    Neighbouring bins are put together; the order of the bins has a meaning.
    """
    total = expected.sum()
    if total == 0:
        return expected[:1], observed[:1]
    middles = (np.cumsum(expected) - expected / 2) / total
    cell = np.minimum((middles * _CELLS).astype(int), _CELLS - 1)
    both = [np.bincount(cell, weights=counts).astype(int) for counts in (expected, observed)]
    held = np.unique(cell)
    return both[0][held], both[1][held]


def _deviation(expected: Floats, places: Floats) -> float:
    size = np.max(np.abs(places)) or 1.0  # squares of huge values would overflow
    mean = np.sum(expected * (places / size))
    return float(np.sqrt(np.sum(expected * (places / size - mean) ** 2)) * size)


def _require_shares(expected: Floats, observed: Floats) -> None:
    if expected.shape != observed.shape:
        raise ValueError("the two samples have different cells")
    if not (np.all(expected > 0) and np.all(observed > 0)):
        raise ValueError("a share is 0")
