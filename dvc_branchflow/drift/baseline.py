"""What a release was trained on, as far as drift is judged by it: streamed twice, kept small."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from dvc_branchflow.drift.judging import (
    Effect,
    FeatureDrift,
    Pair,
    TextPair,
    Thresholds,
    judge_feature,
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
from dvc_branchflow.lazy import np

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
    return Baseline(profile.rows, sketches, texts, is_open, fit_shape(sample, sketches))


def see_window(chunks: Iterable[Chunk], baseline: Baseline) -> Window:
    """Return what is kept of a window's rows, which hold the baseline's columns."""
    sketches = {name: _blank(sketch) for name, sketch in baseline.sketches.items()}
    sample = Sample.seeded(MOST_TEXTS)
    missing = dict.fromkeys(baseline.open, 0)
    rows = outliers = 0
    for chunk in chunks:
        rows += _length(chunk)
        for name, known in baseline.sketches.items():
            sketches[name] = sketches[name] + _sketched(known, chunk[name])  # type: ignore[operator]
        for name in missing:
            missing[name] += chunk[name].null_count
        if baseline.texts:
            sample.add({name: chunk[name] for name in baseline.texts}, _length(chunk))
        if baseline.shape is not None:
            outliers += baseline.shape.outliers(chunk, baseline.sketches)
    texts = {name: _hashes(sample.columns.get(name, ())) for name in baseline.texts}
    return Window(rows, sketches, texts, missing, outliers)


def judge_window(
    baseline: Baseline, window: Window, limits: Thresholds
) -> tuple[list[FeatureDrift], Effect | None]:
    """Return what became of each feature, and the share of outliers (None: not judged)."""
    questions = len(baseline.sketches) + len(baseline.texts) + 1
    found = [
        judge_feature(Pair(name, sketch, window.sketches[name]), limits, questions)
        for name, sketch in baseline.sketches.items()
    ]
    found += [
        judge_text(TextPair(name, texts, window.texts[name]), limits, questions)
        for name, texts in baseline.texts.items()
    ]
    if baseline.shape is None or window.rows < limits.min_rows:
        return found, None
    alpha = limits.level / questions
    return found, share_beyond(window.outliers, window.rows, "outliers", limits.outliers, alpha)


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
