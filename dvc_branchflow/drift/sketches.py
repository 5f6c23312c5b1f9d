"""What is kept of a column: counts in fixed bins, which can be merged, so that rows are streamed.

The bins come from the baseline, the same ones count its rows and every window's. A number's outer
two bins are what lies below and above all that the baseline ever saw.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from dvc_branchflow.lazy import Floats, Ints, np, pa, pc
from dvc_branchflow.values import dataclass, field

BINS = 128
MAX_CATEGORIES = 1_000
_EXAMPLES = 5
Chunk = Mapping[str, Any]
"""Some rows: column → floats of shape (rows,) with NaN where missing, or an Arrow array of text."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """A column of numbers.

    Attributes:
        edges: ascending, shape (bins - 1,); bin i holds edges[i-1] <= value < edges[i].
        counts: rows in each bin, shape (bins,).
        centres: where the baseline's rows of a bin lie on average, shape (bins,); in the column's
            unit. A window is placed by them as well, so that one wild value weighs one row.
        missing: rows without a finite number.
    """

    edges: Floats
    counts: Ints
    centres: Floats
    missing: int = 0

    @property
    def n(self) -> int:
        """Rows with a value."""
        return int(self.counts.sum())

    def counted(self, values: Floats) -> Numbers:
        """Return a sketch of other rows in the same bins; shape (rows,), NaN where missing."""
        held = values[np.isfinite(values)]
        counts = np.bincount(
            np.searchsorted(self.edges, held, side="right"), minlength=self.counts.size
        )
        return Numbers(self.edges, counts, self.centres, int(values.size - held.size))

    def __add__(self, other: Numbers) -> Numbers:
        return Numbers(
            self.edges, self.counts + other.counts, self.centres, self.missing + other.missing
        )


@dataclass(frozen=True, slots=True)
class Categories:
    """A column of text whose values repeat.

    Attributes:
        counts: value → rows, of the baseline's values.
        novel: rows with a value that the baseline does not know.
        examples: a few of those.
    """

    counts: Mapping[str, int]
    missing: int = 0
    novel: int = 0
    examples: tuple[str, ...] = ()

    @property
    def n(self) -> int:
        """Rows with a value."""
        return sum(self.counts.values()) + self.novel

    def counted(self, values: Mapping[str | None, int]) -> Categories:
        """Return a sketch of other rows, given as value → rows (None: missing)."""
        known = {value: values.get(value, 0) for value in self.counts}
        strange = {v: n for v, n in values.items() if v is not None and v not in self.counts}
        examples = tuple(sorted(strange, key=lambda v: (-strange[v], v))[:_EXAMPLES])
        return Categories(known, values.get(None, 0), sum(strange.values()), examples)

    def __add__(self, other: Categories) -> Categories:
        counts = {value: n + other.counts.get(value, 0) for value, n in self.counts.items()}
        examples = tuple(dict.fromkeys((*self.examples, *other.examples)))[:_EXAMPLES]
        return Categories(counts, self.missing + other.missing, self.novel + other.novel, examples)


Sketch = Numbers | Categories


@dataclass
class Sample:
    """An even sample of streamed rows, at most `size`, whatever the chunks were.

    Each row draws a number; the rows with the least numbers stay (bottom-k sampling).
    """

    size: int
    _generator: np.random.Generator
    columns: dict[str, Any] = field(default_factory=dict)
    _drawn: Floats | None = None

    @classmethod
    def seeded(cls, size: int, seed: int = 0) -> Sample:
        """Return an empty sample."""
        return cls(size, np.random.default_rng(seed))

    def add(self, chunk: Chunk, rows: int) -> None:
        """Take in a chunk of so many rows."""
        drawn = self._generator.random(rows)
        if self._drawn is None:
            self._drawn = np.empty(0)
            self.columns = {name: _plain(values[:0]) for name, values in chunk.items()}
        worst = self._drawn.max() if self._drawn.size == self.size else np.inf
        near = np.flatnonzero(drawn < worst)
        both = np.concatenate([self._drawn, drawn[near]])
        kept = np.sort(np.argsort(both, kind="stable")[: self.size])
        self._drawn = both[kept]
        for name, values in chunk.items():
            more = np.concatenate([self.columns[name], _plain(values.take(near))])
            self.columns[name] = more[kept]


def number_bins(sample: Floats, low: float, high: float) -> Numbers:
    """Return empty bins for a column of numbers.

    Args:
        sample: some of its values, shape (rows,), NaN where missing; few distinct ones get a bin
            each, else the bins are equally full.
        low, high: its smallest and largest value; NaN where it has none.
    """
    held = np.unique(sample[np.isfinite(sample)])
    if held.size == 0:
        return Numbers(np.empty(0), np.zeros(1, int), np.zeros(1))
    if held.size <= BINS:
        inner = (held[1:] + held[:-1]) / 2
    else:
        inner = np.quantile(sample[np.isfinite(sample)], np.linspace(0, 1, BINS + 1)[1:-1])
    above = np.nextafter(high, np.inf)
    edges = np.unique(np.concatenate([[low], inner[(inner > low) & (inner < above)], [above]]))
    return Numbers(edges, np.zeros(edges.size + 1, int), np.zeros(edges.size + 1))


def centred(bins: Numbers, totals: Floats) -> Numbers:
    """Return the baseline's sketch with its centres, from the sums of values in each bin.

    An inner bin without rows lies in its middle, an outer one at its edge.
    """
    if bins.edges.size == 0:
        return bins
    outer = np.concatenate([bins.edges[:1], bins.edges, bins.edges[-1:]])
    middle = (outer[:-1] + outer[1:]) / 2
    held = bins.counts > 0
    centres = np.where(held, totals / np.maximum(bins.counts, 1), middle)
    return Numbers(bins.edges, bins.counts, np.maximum.accumulate(centres), bins.missing)


def bin_totals(bins: Numbers, values: Floats) -> Floats:
    """Return the sum of the values in each bin, shape (bins,)."""
    held = values[np.isfinite(values)]
    at = np.searchsorted(bins.edges, held, side="right")
    return np.bincount(at, weights=held, minlength=bins.counts.size).astype(float)


def categories_of(values: Mapping[str | None, int]) -> Categories | None:
    """Return the baseline's sketch of a column, None where it has too many values to count."""
    if len(values) > MAX_CATEGORIES:
        return None
    counts = dict(sorted(_known(values.items())))
    return Categories(counts, values.get(None, 0))


def tally(values: pa.Array) -> dict[str | None, int]:
    """Return value → rows of a column of text (None: missing)."""
    counted = pc.value_counts(values)
    names, counts = counted.field("values").to_pylist(), counted.field("counts").to_pylist()
    return dict(zip(names, counts, strict=True))


def _known(items: Iterable[tuple[str | None, int]]) -> Iterable[tuple[str, int]]:
    return ((value, n) for value, n in items if value is not None)


def _plain(values: Any) -> Any:
    """A column as a numpy array: floats, or texts and None."""
    return values.to_numpy(zero_copy_only=False) if isinstance(values, pa.Array) else values
