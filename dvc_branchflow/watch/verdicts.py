"""What a check found, as the file that it leaves on the branch."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from dvc_branchflow.drift.judging import Effect, FeatureDrift
from dvc_branchflow.drift.sketches import Categories, Numbers, Sketch
from dvc_branchflow.drift.thresholds import Thresholds
from dvc_branchflow.lazy import np
from dvc_branchflow.typed import encode
from dvc_branchflow.values import dataclass, field
from dvc_branchflow.watch import CHECKS
from dvc_branchflow.watch.quality import Quality
from dvc_branchflow.watch.windows import Span, compact, parse_span

PAGE = "report.html"
SCHEMA: Literal["branchflow/monitor-check/1"] = "branchflow/monitor-check/1"
_PLOT_BINS = 24
_PLOT_CATEGORIES = 12
Kind = Literal["data", "outliers", "predictions", "quality"]


@dataclass(frozen=True, slots=True)
class Plot:
    """Two distributions side by side.

    `labels` are categories, or the middles of equal bins between the baseline's 1 % and 99 %
    quantiles, the outer ones holding all beyond; the shares are of each, sum 1.
    """

    labels: tuple[str, ...]
    baseline: tuple[float, ...]
    window: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class BaselineRef:
    """The baseline that a release was held to.

    Attributes:
        oid: of the stored baseline; `sha256` of its bytes.
        rows: that the release was trained on.
        pins: upstream → commit that these rows were published at.
    """

    oid: str
    sha256: str
    rows: int
    pins: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ReleaseCheck:
    """What became of one release in a window.

    Attributes:
        commit: that the tag names.
        baseline: None where the release has no training rows that hold its features.
        features, outliers, predictions, quality: what was judged.
        reference: the window that predictions are compared with; None in that very window.
        plots: feature → both distributions.
        notes: what was not judged, and why.
    """

    tag: str
    commit: str
    rows: int
    baseline: BaselineRef | None = None
    features: tuple[FeatureDrift, ...] = ()
    outliers: Effect | None = None
    predictions: tuple[FeatureDrift, ...] = ()
    reference: str | None = None
    quality: Quality | None = None
    plots: Mapping[str, Plot] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def findings(self) -> dict[Kind, list[tuple[str, Effect]]]:
        """Return what is beyond its limits: kind → (feature or metric, effect)."""
        outliers = [("rows", self.outliers)] if self.outliers and self.outliers.is_beyond else []
        worse = self.quality.effects if self.quality else ()
        found: dict[Kind, list[tuple[str, Effect]]] = {
            "data": [(f.name, effect) for f in self.features for effect in f.findings],
            "outliers": outliers,
            "predictions": [(f.name, effect) for f in self.predictions for effect in f.findings],
            "quality": [(effect.measure, effect) for effect in worse if effect.is_beyond],
        }
        return {kind: hits for kind, hits in found.items() if hits}


@dataclass(frozen=True, slots=True)
class Check:
    """A window of a monitor branch, judged.

    Attributes:
        id: digest over all that the verdict follows from; the same question has the same id.
        window: `FROM..TO`, UTC.
        data_commit: the commit of the branch whose rows were judged.
        inputs: digest over the files of rows and labels in the window.
        earlier: ids of checks of the same window on less data, which stay as they are.
        judge: the version of branchflow that judged.
    """

    id: str
    branch: str
    window: str
    data_commit: str
    inputs: str
    rows: int
    labels: int
    limits: Thresholds
    releases: tuple[ReleaseCheck, ...]
    judge: str
    when: str
    earlier: tuple[str, ...] = ()
    schema: Literal["branchflow/monitor-check/1"] = SCHEMA

    @property
    def path(self) -> str:
        """Where the check lies on its branch; names sort by time."""
        return check_path(parse_span(self.window), self.id)

    @property
    def has_findings(self) -> bool:
        """Whether anything is beyond its limits."""
        return any(release.findings() for release in self.releases)


def check_path(span: Span, check_id: str) -> str:
    """Return where a check of a window lies on its branch."""
    return f"{CHECKS}/{compact(span.start)}-{compact(span.end)}-{check_id}.json"


def check_id(span: Span, inputs: str, question: Mapping[str, Any]) -> str:
    """Return the id of a check, from what it judges and how."""
    body = encode({"window": str(span), "inputs": inputs, **question})
    return hashlib.sha256(body).hexdigest()[:12]


def inputs_digest(files: Sequence[tuple[str, str]]) -> str:
    """Return a digest over files, given as paths and oids."""
    return hashlib.sha256(encode(sorted(files))).hexdigest()


def plot_of(baseline: Sketch, window: Sketch) -> Plot | None:
    """Return both distributions for a picture, None where one has no rows."""
    if not (baseline.n and window.n):
        return None
    if isinstance(baseline, Numbers) and isinstance(window, Numbers):
        return _number_plot(baseline, window)
    if isinstance(baseline, Categories) and isinstance(window, Categories):
        return _category_plot(baseline, window)
    return None


def _number_plot(baseline: Numbers, window: Numbers) -> Plot:
    below = np.cumsum(baseline.counts) / baseline.n
    low, high = (
        float(baseline.centres[min(int(np.searchsorted(below, q)), below.size - 1)])
        for q in (0.01, 0.99)
    )
    edges = np.linspace(low, high, _PLOT_BINS + 1)
    at = np.clip(np.searchsorted(edges, baseline.centres, side="right") - 1, 0, _PLOT_BINS - 1)
    both = [
        np.bincount(at, weights=sketch.counts, minlength=_PLOT_BINS) / sketch.n
        for sketch in (baseline, window)
    ]
    middles = (edges[1:] + edges[:-1]) / 2
    labels = tuple(f"{middle:.4g}" for middle in middles)
    return Plot(labels, *(tuple(round(float(share), 6) for share in one) for one in both))


def _category_plot(baseline: Categories, window: Categories) -> Plot:
    usual = sorted(baseline.counts, key=lambda value: -baseline.counts[value])[:_PLOT_CATEGORIES]
    shares = []
    for sketch in (baseline, window):
        known = [sketch.counts[value] / sketch.n for value in usual]
        shares.append(tuple(round(share, 6) for share in (*known, max(0.0, 1 - sum(known)))))
    return Plot((*usual, "all others"), *shares)
