"""Rows unlike those that a model was trained on, though each value may be usual: as plain numbers.

Each value is turned into the normal score of its rank in the baseline; how far a row of scores
lies from the middle is measured along the baseline's own correlations. The model is a matrix and a
limit: it holds no code that loading could run, and no library's version changes its answer.
Sources: van der Waerden 1952 (normal scores); Mahalanobis 1936; Liu, Lafferty and Wasserman 2009.
"""

from __future__ import annotations

from collections.abc import Mapping

from dvc_branchflow.drift.sketches import Chunk, Numbers, Sketch
from dvc_branchflow.lazy import Floats, np, special
from dvc_branchflow.values import dataclass

TAIL = 0.01
"""The share of baseline rows that count as outliers: those beyond `Shape.limit`."""
_RIDGE = 0.05  # of a score's variance, so that columns that follow each other don't weigh endlessly


@dataclass(frozen=True, slots=True)
class Shape:
    """How the baseline's numbers go together.

    Attributes:
        columns: names of the features, in order.
        weights: inverse of the scores' covariance, shape (features, features).
        limit: the squared distance that a share `TAIL` of the baseline's rows exceeds.
    """

    columns: tuple[str, ...]
    weights: Floats
    limit: float

    def outliers(self, chunk: Chunk, sketches: Mapping[str, Sketch]) -> int:
        """Return how many rows lie beyond the limit.

        Args:
            sketches: the baseline's, by whose ranks values are scored.
        """
        return int(np.sum(self.distances(chunk, sketches) > self.limit))

    def distances(self, chunk: Chunk, sketches: Mapping[str, Sketch]) -> Floats:
        """Return each row's squared distance from the middle, shape (rows,)."""
        scores = _scores(self.columns, chunk, sketches)
        return np.asarray(np.einsum("ij,jk,ik->i", scores, self.weights, scores))


def fit_shape(sample: Chunk, sketches: Mapping[str, Sketch]) -> Shape | None:
    """Return the shape of a sample of the baseline, None where there are no numbers to judge by."""
    columns = tuple(
        name for name, sketch in sketches.items() if isinstance(sketch, Numbers) and sketch.n > 1
    )
    if not columns:
        return None
    scores = _scores(columns, sample, sketches)
    spread = scores.T @ scores / len(scores) + _RIDGE * np.eye(len(columns))
    shape = Shape(columns, np.asarray(np.linalg.inv(spread), np.float64), 0.0)
    limit = float(np.quantile(shape.distances(sample, sketches), 1 - TAIL))
    return Shape(columns, shape.weights, limit)


def _scores(columns: tuple[str, ...], chunk: Chunk, sketches: Mapping[str, Sketch]) -> Floats:
    """The normal scores of rows, shape (rows, features); a missing value is in the middle."""
    found = []
    for name in columns:
        sketch, values = sketches[name], chunk[name]
        assert isinstance(sketch, Numbers)  # noqa: S101  columns are those with such sketches
        by_bin = _bin_scores(sketch)
        at = np.searchsorted(sketch.edges, values, side="right")  # NaN comes last
        found.append(np.where(np.isfinite(values), by_bin[np.minimum(at, by_bin.size - 1)], 0.0))
    return np.column_stack(found)


def _bin_scores(sketch: Numbers) -> Floats:
    """The normal score of each bin's middle rank; half a row stands for an empty outer bin."""
    padded = np.maximum(sketch.counts, 0.5)
    ranks = (np.cumsum(padded) - padded / 2) / padded.sum()
    return np.asarray(special.ndtri(ranks))
