"""When a feature has drifted: effects against thresholds, chance and how many were asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from dvc_branchflow.drift.effects import (
    coarse,
    divergence_noise,
    jensen_shannon,
    population_stability,
    same_law_p,
    shares,
    wasserstein,
    wasserstein_noise,
)
from dvc_branchflow.drift.sketches import Categories, Numbers, Sketch
from dvc_branchflow.drift.texts import Hashes, area_noise, separability
from dvc_branchflow.drift.thresholds import Thresholds
from dvc_branchflow.lazy import Ints, np
from dvc_branchflow.stats.intervals import newcombe, normal_quantile, wilson
from dvc_branchflow.values import dataclass

_RARE = 0.01  # a share of the baseline below which categories are counted together
_MIN_TEXTS = 20
Kind = Literal["number", "category", "text"]


@dataclass(frozen=True, slots=True)
class Effect:
    """One measure of one feature.

    `limit` is the threshold and `noise` what chance adds; beyond both together it is a finding.
    """

    measure: str
    value: float
    limit: float
    noise: float = 0.0

    @property
    def is_beyond(self) -> bool:
        """Whether it is more than the threshold and chance explain."""
        return self.value > self.limit + self.noise


@dataclass(frozen=True, slots=True)
class FeatureDrift:
    """What became of a feature.

    Attributes:
        n: rows of the window with a value; `baseline_n`: those of the baseline.
        p: of "one law", corrected for the number of features, for information; None: not asked.
        note: why it was not judged, or what was seen.
    """

    name: str
    kind: Kind
    n: int
    baseline_n: int
    effects: tuple[Effect, ...] = ()
    p: float | None = None
    note: str = ""

    @property
    def findings(self) -> tuple[Effect, ...]:
        """The effects that are beyond their limits."""
        return tuple(effect for effect in self.effects if effect.is_beyond)


@dataclass(frozen=True, slots=True)
class Pair:
    """A feature's baseline and window."""

    name: str
    baseline: Sketch
    window: Sketch


@dataclass(frozen=True, slots=True)
class TextPair:
    """A text feature's baseline and window, as samples of hashed texts."""

    name: str
    baseline: Sequence[Hashes]
    window: Sequence[Hashes]


def judge_feature(pair: Pair, limits: Thresholds, questions: int) -> FeatureDrift:
    """Return what became of a feature.

    Args:
        questions: how many are asked in the whole check; the level is shared among them.
    """
    baseline, window = pair.baseline, pair.window
    kind: Kind = "number" if isinstance(baseline, Numbers) else "category"
    alpha = limits.level / max(questions, 1)
    effects = [_missing(baseline, window, limits, alpha)]
    if min(window.n, baseline.n) < limits.min_rows:
        total = window.n + window.missing
        enough = min(total, baseline.n + baseline.missing) >= limits.min_rows
        note = f"{window.n} rows with a value, {limits.min_rows} are needed"
        return FeatureDrift(
            pair.name, kind, window.n, baseline.n, tuple(effects if enough else ()), note=note
        )
    if isinstance(baseline, Numbers) and isinstance(window, Numbers):
        cells = coarse(baseline.counts, window.counts)
        effects += _number_effects(baseline, window, limits, alpha)
        outside = int(window.counts[0] + window.counts[-1]) if baseline.edges.size else 0
        note = ""
    elif isinstance(baseline, Categories) and isinstance(window, Categories):
        cells = category_cells(baseline, window)
        outside = window.novel
        note = f"new: {', '.join(map(repr, window.examples))}" if window.novel else ""
    else:
        raise TypeError(f"'{pair.name}' is a number in one sample only")
    effects += _divergences(cells, limits, alpha)
    effects.append(_novel(outside, window.n, limits, alpha))
    return FeatureDrift(
        pair.name, kind, window.n, baseline.n, tuple(effects), same_law_p(*cells), note
    )


def judge_text(pair: TextPair, limits: Thresholds, questions: int) -> FeatureDrift:
    """Return what became of a feature of free text."""
    n, m = len(pair.window), len(pair.baseline)
    if min(n, m) < max(limits.min_rows, _MIN_TEXTS):
        return FeatureDrift(
            pair.name, "text", n, m, note=f"{n} texts, {limits.min_rows} are needed"
        )
    z = normal_quantile(2 * limits.level / max(questions, 1))
    area = separability(pair.baseline, pair.window)
    effect = Effect("auc", area, limits.auc, area_noise(n, m, z))
    return FeatureDrift(pair.name, "text", n, m, (effect,))


def judge_open(
    name: str,
    missing: tuple[int, int],
    rows: tuple[int, int],
    limits: Thresholds,
    questions: int,
) -> FeatureDrift:
    """Return what became of a text column with too many values to count: only missing is judged.

    Args:
        missing, rows: of the baseline, and of the window.
    """
    n, m = rows[1] - missing[1], rows[0] - missing[0]
    effects: tuple[Effect, ...] = ()
    if min(rows) >= limits.min_rows:
        effects = (_rise(missing, rows, limits, limits.level / max(questions, 1)),)
    return FeatureDrift(name, "category", n, m, effects, note="too many values to compare")


def share_beyond(hits: int, n: int, measure: str, limit: float, alpha: float) -> Effect:
    """Return a share as an effect; its noise is the reach of Wilson's interval below it."""
    found = wilson(hits, n, alpha=2 * alpha)
    value = found.estimate if n else 0.0
    return Effect(measure, value, limit, value - found.low if n else 0.0)


def category_cells(baseline: Categories, window: Categories) -> tuple[Ints, Ints]:
    """Return both samples by category, shape (cells,): the rare ones and the new ones are one."""
    total = sum(baseline.counts.values())
    usual = [value for value, n in baseline.counts.items() if n >= _RARE * total]
    both = []
    for sketch in (baseline, window):
        known = [sketch.counts[value] for value in usual]
        both.append(np.array([*known, sketch.n - sum(known)], int))
    if both[0][-1] == both[1][-1] == 0:
        return both[0][:-1], both[1][:-1]
    return both[0], both[1]


def _number_effects(
    baseline: Numbers, window: Numbers, limits: Thresholds, alpha: float
) -> list[Effect]:
    expected, observed = baseline.counts / baseline.n, window.counts / window.n
    noise = wasserstein_noise(expected, baseline.centres, window.n, baseline.n, alpha)
    value = wasserstein(expected, observed, baseline.centres)
    return [Effect("wasserstein", value, limits.wasserstein, noise)]


def _divergences(cells: tuple[Ints, Ints], limits: Thresholds, alpha: float) -> list[Effect]:
    expected, observed = shares(cells[0]), shares(cells[1])
    n, m = int(cells[1].sum()), int(cells[0].sum())
    noise = divergence_noise(n, m, expected.size, alpha)
    return [
        Effect("psi", population_stability(expected, observed), limits.psi, noise),
        Effect("js", jensen_shannon(expected, observed), limits.js, noise / 8),
    ]


def _missing(baseline: Sketch, window: Sketch, limits: Thresholds, alpha: float) -> Effect:
    both = (baseline, window)
    missing = (baseline.missing, window.missing)
    return _rise(missing, tuple(s.n + s.missing for s in both), limits, alpha)


def _rise(
    missing: tuple[int, ...], rows: tuple[int, ...], limits: Thresholds, alpha: float
) -> Effect:
    if not all(rows):
        return Effect("missing", 0.0, limits.missing)
    found = newcombe(missing[0], rows[0], missing[1], rows[1], alpha=2 * alpha)
    return Effect("missing", found.estimate, limits.missing, found.estimate - found.low)


def _novel(outside: int, n: int, limits: Thresholds, alpha: float) -> Effect:
    return share_beyond(outside, n, "novel", limits.novel, alpha)
