"""What a release was trained on, as far as drift is judged by it: streamed twice, kept small."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal

from dvc_branchflow.drift.judging import (
    Effect,
    FeatureDrift,
    Pair,
    TextPair,
    judge_feature,
    judge_open,
    judge_text,
    share_beyond,
)
from dvc_branchflow.drift.outliers import Shape, fit_shape
from dvc_branchflow.drift.sketches import (
    MAX_CATEGORIES,
    Chunk,
    Numbers,
    Sample,
    Sketch,
    bin_totals,
    categories_of,
    centred,
    number_bins,
    tally,
)
from dvc_branchflow.drift.texts import MOST_TEXTS, Hashes, hashed
from dvc_branchflow.drift.thresholds import Thresholds
from dvc_branchflow.lazy import np
from dvc_branchflow.stats.multiple import holm
from dvc_branchflow.values import dataclass, field, replace

ColumnKind = Literal["number", "text"]
Kinds = Mapping[str, ColumnKind]
"""The features of a release: column → number or text."""

SAMPLE_ROWS = 20_000
_WORDS = 4  # from so many words on average a column of many values is free text
Rows = Callable[[], Iterable[Chunk]]


@dataclass(frozen=True, slots=True)
class Baseline:
    """What is kept of the rows that a release was trained on.

    Attributes:
        sketches: of numbers, and of text columns whose values repeat.
        texts: hashed samples of columns of free text.
        open: text columns with too many values to count, such as ids: only missing is judged.
        shape: what tells outliers; None where there is no number.
    """

    rows: int
    sketches: Mapping[str, Sketch]
    texts: Mapping[str, Sequence[Hashes]] = field(default_factory=dict)
    open: Mapping[str, int] = field(default_factory=dict)
    shape: Shape | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """What is kept of the rows that a release saw in a window; as in its baseline."""

    rows: int
    sketches: Mapping[str, Sketch]
    texts: Mapping[str, Sequence[Hashes]] = field(default_factory=dict)
    open: Mapping[str, int] = field(default_factory=dict)
    outliers: int = 0


@dataclass
class _Profile:
    """The first look at the baseline: ranges, categories, and a sample to lay bins by."""

    sample: Sample
    rows: int = 0
    low: dict[str, float] = field(default_factory=dict)
    high: dict[str, float] = field(default_factory=dict)
    values: dict[str, dict[str | None, int]] = field(default_factory=dict)

    def add(self, chunk: Chunk, kinds: Kinds) -> None:
        rows = _length(chunk)
        self.rows += rows
        self.sample.add({name: chunk[name] for name in kinds}, rows)
        for name, kind in kinds.items():
            if kind == "text":
                self._count(name, chunk[name])
                continue
            held = chunk[name][np.isfinite(chunk[name])]
            if held.size:
                self.low[name] = min(self.low.get(name, np.inf), float(held.min()))
                self.high[name] = max(self.high.get(name, -np.inf), float(held.max()))

    def _count(self, name: str, values: Any) -> None:
        """Count values; of a column that has too many, the missing ones alone."""
        held = self.values.setdefault(name, {})
        found = tally(values)
        is_full = len(held) > MAX_CATEGORIES
        for value, n in found.items():
            if value is None or value in held or not is_full:
                held[value] = held.get(value, 0) + n


def fit_baseline(rows: Rows, kinds: Kinds) -> Baseline:
    """Return what is kept of a release's training rows.

    Args:
        rows: called twice, gives the same chunks each time; all hold the columns of `kinds`.
    """
    kinds = dict(sorted(kinds.items()))  # a stored baseline has them in this order
    profile = _Profile(Sample.seeded(SAMPLE_ROWS))
    for chunk in rows():
        profile.add(chunk, kinds)
    numbers = [name for name, kind in kinds.items() if kind == "number"]
    sample = profile.sample.columns
    nan = float("nan")
    empty = {
        name: number_bins(
            sample.get(name, np.empty(0)), profile.low.get(name, nan), profile.high.get(name, nan)
        )
        for name in numbers
    }
    sketches: dict[str, Sketch] = dict(_counted(rows, empty))
    texts: dict[str, Sequence[Hashes]] = {}
    is_open: dict[str, int] = {}
    for name, values in profile.values.items():
        sketch = categories_of(values)
        if sketch is not None:
            sketches[name] = sketch
        elif _is_free_text(sample[name]):
            texts[name] = _hashes(sample[name])
        else:
            is_open[name] = values.get(None, 0)
    sketches = dict(sorted(sketches.items()))
    return Baseline(profile.rows, sketches, texts, is_open, fit_shape(sample, sketches))


class Watcher:
    """Counts a window's rows, a chunk after the other, in the bins of a baseline."""

    def __init__(self, baseline: Baseline) -> None:
        self._baseline = baseline
        self._sketches = {name: _blank(sketch) for name, sketch in baseline.sketches.items()}
        self._sample = Sample.seeded(MOST_TEXTS)
        self._open = dict.fromkeys(baseline.open, 0)
        self._rows = self._outliers = 0

    def add(self, chunk: Chunk) -> None:
        """Take in some rows, which hold the baseline's columns."""
        baseline, rows = self._baseline, _length(chunk)
        self._rows += rows
        for name, known in baseline.sketches.items():
            self._sketches[name] = self._sketches[name] + _sketched(known, chunk[name])  # type: ignore[operator]
        for name in self._open:
            self._open[name] += chunk[name].null_count
        if baseline.texts:
            self._sample.add({name: chunk[name] for name in baseline.texts}, rows)
        if baseline.shape is not None:
            self._outliers += baseline.shape.outliers(chunk, baseline.sketches)

    def window(self) -> Window:
        """Return what is kept of the rows so far."""
        held = self._sample.columns
        texts = {name: _hashes(held.get(name, ())) for name in self._baseline.texts}
        return Window(self._rows, dict(self._sketches), texts, dict(self._open), self._outliers)


def see_window(chunks: Iterable[Chunk], baseline: Baseline) -> Window:
    """Return what is kept of a window's rows, which hold the baseline's columns."""
    watcher = Watcher(baseline)
    for chunk in chunks:
        watcher.add(chunk)
    return watcher.window()


def questions_of(baseline: Baseline) -> int:
    """Return how many questions a check asks of a baseline: each column, and the outliers."""
    return len(baseline.sketches) + len(baseline.texts) + len(baseline.open) + 1


def judge_window(
    baseline: Baseline, window: Window, limits: Thresholds, questions: int | None = None
) -> tuple[list[FeatureDrift], Effect | None]:
    """Return what became of each feature, and the share of outliers (None: not judged).

    Args:
        questions: that share the level; None: as many as this baseline asks.
    """
    questions = questions or questions_of(baseline)
    found = [
        judge_feature(Pair(name, sketch, window.sketches[name]), limits, questions)
        for name, sketch in baseline.sketches.items()
    ]
    found += [
        judge_text(TextPair(name, texts, window.texts[name]), limits, questions)
        for name, texts in baseline.texts.items()
    ]
    rows = (baseline.rows, window.rows)
    found += [
        judge_open(name, (missing, window.open[name]), rows, limits, questions)
        for name, missing in baseline.open.items()
    ]
    if baseline.shape is None or min(baseline.rows, window.rows) < limits.min_rows:
        return _corrected(found), None
    alpha = limits.level / questions
    beyond = share_beyond(window.outliers, window.rows, "outliers", limits.outliers, alpha)
    return _corrected(found), beyond


def _corrected(found: Sequence[FeatureDrift]) -> list[FeatureDrift]:
    """The same with p-values that know how many there are."""
    asked = [feature for feature in found if feature.p is not None]
    values = iter(holm([feature.p for feature in asked if feature.p is not None]))
    return [f if f.p is None else replace(f, p=next(values)) for f in found]


def _counted(rows: Rows, empty: Mapping[str, Numbers]) -> dict[str, Numbers]:
    """The second look: exact counts in the bins that the first one laid."""
    if not empty:
        return {}
    sketches = dict(empty)
    totals = {name: np.zeros(bins.counts.size) for name, bins in empty.items()}
    for chunk in rows():
        for name, bins in empty.items():
            sketches[name] = sketches[name] + bins.counted(chunk[name])
            totals[name] += bin_totals(bins, chunk[name])
    return {name: centred(sketch, totals[name]) for name, sketch in sketches.items()}


def _blank(sketch: Sketch) -> Sketch:
    if isinstance(sketch, Numbers):
        return replace(sketch, counts=np.zeros_like(sketch.counts), missing=0)
    return sketch.counted({})


def _sketched(known: Sketch, values: Any) -> Sketch:
    if isinstance(known, Numbers):
        return known.counted(values)
    return known.counted(tally(values))


def _hashes(values: Iterable[str | None]) -> list[Hashes]:
    held = [value for value in values if value is not None]
    return [hashed(value) for value in held[:MOST_TEXTS]]


def _is_free_text(values: Iterable[str | None]) -> bool:
    held = [value for value in values if value is not None]
    return sum(len(value.split()) for value in held) >= _WORDS * max(len(held), 1)


def _length(chunk: Chunk) -> int:
    return len(next(iter(chunk.values()), ()))
