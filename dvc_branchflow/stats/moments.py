"""Means, variances and covariances that can be merged, so that rows are streamed."""

from __future__ import annotations

from typing import Self

from dvc_branchflow.lazy import Floats, np
from dvc_branchflow.values import dataclass


@dataclass(frozen=True, slots=True)
class Moments:
    """What a sample's mean needs: rows, their mean, and the sum of squared deviations from it.

    `mean` is in the unit of the values, `squares` in its square.
    Source: Chan, Golub and LeVeque 1979, the pairwise update.
    """

    n: int = 0
    mean: float = 0.0
    squares: float = 0.0

    @classmethod
    def of(cls, values: Floats) -> Self:
        """Return the moments of an array of any shape without missing values."""
        if values.size == 0:
            return cls()
        mean = float(np.mean(values))
        return cls(values.size, mean, float(np.sum((values - mean) ** 2)))

    def __add__(self, other: Moments) -> Moments:
        n = self.n + other.n
        if n == 0:
            return self
        gap = other.mean - self.mean
        squares = self.squares + other.squares + gap * gap * self.n * other.n / n
        return Moments(n, self.mean + gap * other.n / n, squares)

    @property
    def variance(self) -> float:
        """The unbiased variance of the values; 0 below two rows."""
        return self.squares / (self.n - 1) if self.n > 1 else 0.0

    @property
    def error(self) -> float:
        """The standard error of the mean; infinite without rows."""
        return float((self.variance / self.n) ** 0.5) if self.n else float("inf")


@dataclass(frozen=True, slots=True)
class PairMoments:
    """What a ratio of two sums needs: the moments of both, and their cross products.

    `cross` is the sum of (top - mean) · (bottom - mean).
    """

    top: Moments = Moments()
    bottom: Moments = Moments()
    cross: float = 0.0

    @classmethod
    def of(cls, top: Floats, bottom: Floats) -> Self:
        """Return the moments of pairs: two arrays of shape (units,)."""
        if top.size == 0:
            return cls()
        cross = float(np.sum((top - np.mean(top)) * (bottom - np.mean(bottom))))
        return cls(Moments.of(top), Moments.of(bottom), cross)

    def __add__(self, other: PairMoments) -> PairMoments:
        n = self.top.n + other.top.n
        if n == 0:
            return self
        gaps = (other.top.mean - self.top.mean) * (other.bottom.mean - self.bottom.mean)
        cross = self.cross + other.cross + gaps * self.top.n * other.top.n / n
        return PairMoments(self.top + other.top, self.bottom + other.bottom, cross)

    @property
    def covariance(self) -> float:
        """The unbiased covariance; 0 below two units."""
        return self.cross / (self.top.n - 1) if self.top.n > 1 else 0.0
