"""Whether chances come true: reliability bins that can be merged, and what follows from them."""

from __future__ import annotations

from typing import Self

from dvc_branchflow.lazy import Floats, Ints, np
from dvc_branchflow.stats.intervals import Interval, mean, wilson
from dvc_branchflow.stats.moments import Moments
from dvc_branchflow.values import dataclass

BINS = 10


@dataclass(frozen=True, slots=True)
class Bin:
    """Rows of about the same chance: how many, the mean of it, and how often it came true."""

    n: int
    chance: float
    came_true: Interval


@dataclass(frozen=True, slots=True)
class Reliability:
    """Counts of ten equal bins of chances.

    Attributes:
        counts, hits: rows, and those that came true, shape (10,).
        chances: sums of the chances, shape (10,).
        losses: moments of the squared difference between chance and outcome.
    """

    counts: Ints
    hits: Ints
    chances: Floats
    losses: Moments

    @classmethod
    def of(cls, chances: Floats, outcomes: Floats) -> Self:
        """Return the bins of chances in [0, 1] and outcomes 0 or 1, both of shape (rows,)."""
        at = np.minimum((chances * BINS).astype(int), BINS - 1)
        return cls(
            counts=np.bincount(at, minlength=BINS),
            hits=np.bincount(at, weights=outcomes, minlength=BINS).astype(int),
            chances=np.bincount(at, weights=chances, minlength=BINS).astype(float),
            losses=Moments.of((chances - outcomes) ** 2),
        )

    def __add__(self, other: Reliability) -> Reliability:
        return Reliability(
            self.counts + other.counts,
            self.hits + other.hits,
            self.chances + other.chances,
            self.losses + other.losses,
        )

    def bins(self, *, alpha: float = 0.05) -> list[Bin]:
        """Return the bins that hold rows, each with Wilson's interval of how often it came true."""
        rows = zip(self.counts, self.hits, self.chances, strict=True)
        return [
            Bin(int(n), float(total / n), wilson(int(hits), int(n), alpha=alpha))
            for n, hits, total in rows
            if n
        ]

    def expected_error(self) -> float:
        """Return the mean gap between chance and outcome over the bins, weighted by rows.

        Biased upwards by about the noise of a bin. Source: Naeini, Cooper and Hauskrecht 2015.
        """
        total = int(self.counts.sum())
        gaps = np.abs(self.chances - self.hits).sum()
        return float(gaps / total) if total else float("nan")

    def brier(self, *, alpha: float = 0.05) -> Interval:
        """Return the mean squared difference between chance and outcome. Source: Brier 1950."""
        return mean(self.losses, alpha=alpha)
