"""Judges a window of a monitor branch: each release in it, held to what it was trained on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from dvc_branchflow.drift.baseline import (
    Baseline,
    Kinds,
    Watcher,
    Window,
    judge_window,
    questions_of,
)
from dvc_branchflow.drift.sketches import Chunk, Numbers
from dvc_branchflow.errors import BranchflowError
from dvc_branchflow.lazy import pa, pc
from dvc_branchflow.values import dataclass, field
from dvc_branchflow.versions import parse_tag
from dvc_branchflow.watch.quality import Outcomes
from dvc_branchflow.watch.rows import LogSchema
from dvc_branchflow.watch.verdicts import BaselineRef, Plot, ReleaseCheck, plot_of
from dvc_branchflow.watch.windows import Span
from dvc_branchflow.work.baselines import HeldBaseline, prediction_baseline, training_baseline
from dvc_branchflow.work.environments import Environment, Served, served
from dvc_branchflow.work.labels import Labels, read_labels
from dvc_branchflow.work.logbook import ROWS, read_log
from dvc_branchflow.work.records import FOLDER, read_record
from dvc_branchflow.work.tables import as_chunk
from dvc_branchflow.work.transfer import Report

_PLOTS = 40


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of the releases in a window, and the baselines that are new.

    `baselines`: name → content, to be kept on the branch.
    """

    releases: tuple[ReleaseCheck, ...]
    rows: int
    labels: int
    baselines: Mapping[str, bytes]


@dataclass
class _Release:
    """A release while its rows stream by."""

    served: Served
    rows: int
    pins: Mapping[str, str]
    trained: HeldBaseline | None
    predicted: HeldBaseline | None
    features: Watcher | None
    predictions: Watcher | None
    outcomes: Outcomes = field(default_factory=Outcomes)


def judge(env: Environment, span: Span, report: Report) -> Judged:
    """Judge all releases that have rows in a window.

    Raises: StorageError: rows or training data can't be had.
    """
    return _Judging(env, span, report).run()


class _Judging:
    def __init__(self, env: Environment, span: Span, report: Report) -> None:
        self._env = env
        self._span = span
        self._report = report
        self._schema = env.schema or LogSchema()
        self._limits = env.spec.rule.watch.limits
        known = self._schema.prediction
        self._kinds: Kinds = {"prediction": known, "score": "number"}

    def run(self) -> Judged:
        found: dict[str, _Release] = {}
        unknown: list[ReleaseCheck] = []
        tags = self._tags()
        for tag, rows in sorted(tags.items()):
            try:
                found[tag] = self._begin(tag, rows)
            except KeyError:
                unknown.append(ReleaseCheck(tag, "", rows, notes=("there is no such release",)))
        labels = read_labels(self._env, self._span, self._report)
        wanted = ["request_id", "tag", *self._kinds, *self._schema.columns]
        for table in read_log(self._env, ROWS, self._span, wanted, self._report):
            for tag, release in found.items():
                part = table.filter(pc.equal(table["tag"], tag))
                if part.num_rows:
                    self._take(release, part, labels)
        held = [h for r in found.values() for h in (r.trained, r.predicted) if h is not None]
        return Judged(
            releases=(*(self._judged(release) for release in found.values()), *unknown),
            rows=sum(tags.values()),
            labels=int(labels.ids.size),
            baselines={one.name: one.new for one in held if one.new is not None},
        )

    def _tags(self) -> dict[str, int]:
        """Release → rows in the window."""
        counts: dict[str, int] = {}
        for table in read_log(self._env, ROWS, self._span, ["tag"], self._report):
            for item in table["tag"].combine_chunks().value_counts().to_pylist():
                counts[item["values"]] = counts.get(item["values"], 0) + item["counts"]
        return counts

    def _begin(self, tag: str, rows: int) -> _Release:
        """Find the baselines of a release."""
        one = served(self._env.releases, tag)
        trained, pins = training_baseline(self._env, one, self._report)
        predicted = None
        if rows >= self._limits.min_rows:
            predicted = prediction_baseline(
                self._env, tag, self._rows_of(tag), self._kinds, str(self._span), self._report
            )
        is_reference = predicted is None or predicted.window == str(self._span)
        return _Release(
            served=one,
            rows=rows,
            pins=pins,
            trained=trained,
            predicted=predicted,
            features=Watcher(trained.baseline) if trained else None,
            predictions=Watcher(predicted.baseline) if predicted and not is_reference else None,
        )

    def _rows_of(self, tag: str) -> Callable[[], Iterator[Chunk]]:
        def rows() -> Iterator[Chunk]:
            wanted = ["tag", *self._kinds]
            for table in read_log(self._env, ROWS, self._span, wanted, self._report):
                part = table.filter(pc.equal(table["tag"], tag))
                yield as_chunk(_columns(part, self._kinds), self._kinds)

        return rows

    def _take(self, release: _Release, table: Any, labels: Labels) -> None:
        recipe = release.served.recipe
        if release.features is not None and release.trained is not None:
            kinds = _kinds_of(release.trained.baseline)
            missing = recipe.missing if recipe else ("",)
            release.features.add(as_chunk(_columns(table, kinds), kinds, missing))
        predictions = as_chunk(_columns(table, self._kinds), self._kinds)
        if release.predictions is not None:
            release.predictions.add(predictions)
        hit, actual = labels.of(table)
        if not hit.any():
            return
        if self._schema.prediction == "number":
            numbers = predictions["prediction"][hit]
            release.outcomes = release.outcomes.with_numbers(numbers, actual)
        else:
            texts = predictions["prediction"].to_numpy(zero_copy_only=False)[hit]
            scores = predictions["score"][hit]
            release.outcomes = release.outcomes.with_labels(texts == actual, scores)

    def _judged(self, release: _Release) -> ReleaseCheck:
        notes: list[str] = []
        trained, predicted, limits = release.trained, release.predicted, self._limits
        if trained is None:
            notes.append(_without_baseline(release.served))
        if predicted is not None and release.predictions is None:
            notes.append("later predictions are compared with those of this window")
        asked = questions_of(trained.baseline) if trained else 0
        asked += questions_of(predicted.baseline) if release.predictions and predicted else 0
        seen = release.features.window() if release.features else None
        features, outliers = (
            judge_window(trained.baseline, seen, limits, asked) if trained and seen else ([], None)
        )
        answered = release.predictions.window() if release.predictions else None
        predictions = (
            judge_window(predicted.baseline, answered, limits, asked)[0]
            if predicted and answered
            else []
        )
        quality = None
        if release.outcomes.labels:
            quality = release.outcomes.judged(self._released(release.served, notes), limits)
        plots = _plots(trained, seen) | _plots(predicted, answered)
        return ReleaseCheck(
            tag=release.served.tag,
            commit=release.served.commit,
            rows=release.rows,
            baseline=_reference(trained, release.pins) if trained else None,
            features=tuple(features),
            outliers=outliers,
            predictions=tuple(predictions),
            reference=predicted.window if predicted and answered else None,
            quality=quality,
            plots=plots,
            notes=tuple(notes),
        )

    def _released(self, release: Served, notes: list[str]) -> dict[str, float]:
        """The release's own metrics by name; none where there is no record of them."""
        parsed = parse_tag(release.tag)
        path = f"{FOLDER}/{parsed[0]}/{parsed[1]}.json" if parsed else ""
        try:
            record = read_record(self._env.releases, path)
        except BranchflowError as error:
            notes.append(f"no metrics of the release: {error.message}")
            return {}
        return record.flat_metrics() if record else {}


def _without_baseline(served: Served) -> str:
    if served.recipe and not served.recipe.features:
        return "it reads whole files: predictions and labels are judged, but no features"
    return "what it was trained on holds no table with its features"


def _reference(held: HeldBaseline, pins: Mapping[str, str]) -> BaselineRef:
    return BaselineRef(held.oid, held.sha256, held.baseline.rows, pins)


def _kinds_of(baseline: Baseline) -> Kinds:
    texts: Kinds = dict.fromkeys((*baseline.texts, *baseline.open), "text")
    counted: Kinds = {
        name: "number" if isinstance(sketch, Numbers) else "text"
        for name, sketch in baseline.sketches.items()
    }
    return {**counted, **texts}


def _columns(table: Any, kinds: Kinds) -> dict[str, Any]:
    """Columns of rows; what was not logged yet is missing."""
    types = {"number": pa.float64(), "text": pa.string()}
    found = {}
    for name, kind in kinds.items():
        there = name in table.column_names
        nothing = pa.nulls(table.num_rows, types[kind])
        found[name] = table[name].combine_chunks() if there else nothing
    return found


def _plots(held: HeldBaseline | None, seen: Window | None) -> dict[str, Plot]:
    if held is None or seen is None:
        return {}
    sketches = held.baseline.sketches
    both = {name: plot_of(sketch, seen.sketches[name]) for name, sketch in sketches.items()}
    return {name: plot for name, plot in list(both.items())[:_PLOTS] if plot is not None}
