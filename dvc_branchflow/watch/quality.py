"""How good predictions were, once labels are there, held to the metrics of the release."""

from __future__ import annotations

from collections.abc import Mapping

from dvc_branchflow.drift.judging import Effect
from dvc_branchflow.drift.thresholds import Thresholds
from dvc_branchflow.lazy import Bools, Floats, np
from dvc_branchflow.stats.calibration import Bin, Reliability
from dvc_branchflow.stats.intervals import Interval, mean, wilson
from dvc_branchflow.stats.moments import Moments
from dvc_branchflow.values import dataclass, field, replace

_LOWER_IS_BETTER = frozenset({"mae", "rmse"})


@dataclass(frozen=True, slots=True)
class Quality:
    """What labels say of a release in a window.

    Attributes:
        labels: rows that have one.
        metrics: name → value with its interval.
        released: name → value at the release, where it says so.
        effects: how much worse each is, as a part of the value at the release.
        reliability: bins of the scores, and how often the prediction was right.
        calibration_error: expected calibration error of the scores; None without scores.
        brier: of the scores; None without scores.
    """

    labels: int
    metrics: Mapping[str, Interval] = field(default_factory=dict)
    released: Mapping[str, float] = field(default_factory=dict)
    effects: tuple[Effect, ...] = ()
    reliability: tuple[Bin, ...] = ()
    calibration_error: float | None = None
    brier: Interval | None = None


@dataclass(frozen=True, slots=True)
class Outcomes:
    """Labelled rows, merged. `errors` are of numbers, `hits` of labels that were met."""

    errors: Moments = field(default_factory=Moments)
    sizes: Moments = field(default_factory=Moments)
    squares: Moments = field(default_factory=Moments)
    hits: int = 0
    labels: int = 0
    scored: Reliability | None = None

    def with_numbers(self, predicted: Floats, actual: Floats) -> Outcomes:
        """Return the outcomes with predictions of numbers added; shapes (rows,), same unit."""
        held = np.isfinite(predicted) & np.isfinite(actual)
        errors = (predicted - actual)[held]
        return replace(
            self,
            errors=self.errors + Moments.of(errors),
            sizes=self.sizes + Moments.of(np.abs(errors)),
            squares=self.squares + Moments.of(errors**2),
            labels=self.labels + errors.size,
        )

    def with_labels(self, is_hit: Bools, scores: Floats) -> Outcomes:
        """Return the outcomes with predicted labels added.

        Args:
            is_hit: whether the prediction was the label, shape (rows,).
            scores: the chance that the model gave its prediction, NaN where it gave none.
        """
        held = (scores >= 0) & (scores <= 1)
        more = Reliability.of(scores[held], is_hit[held].astype(float)) if held.any() else None
        both = [part for part in (self.scored, more) if part is not None]
        return replace(
            self,
            hits=self.hits + int(is_hit.sum()),
            labels=self.labels + is_hit.size,
            scored=both[0] + both[1] if len(both) > 1 else next(iter(both), None),
        )

    def judged(self, released: Mapping[str, float], limits: Thresholds) -> Quality:
        """Return what the outcomes say, held to the release's own metrics.

        Args:
            released: metrics of the release by name; `mae`, `rmse` and `accuracy` are compared.
        """
        alpha = limits.level
        metrics = self._metrics(2 * alpha)
        known = {name: released[name] for name in metrics if released.get(name, 0) > 0}
        enough = self.labels >= limits.min_rows
        effects = [_worse(name, metrics[name], known[name], limits) for name in known if enough]
        scored = self.scored
        return Quality(
            labels=self.labels,
            metrics=self._metrics(0.05),
            released=known,
            effects=tuple(effects),
            reliability=tuple(scored.bins()) if scored else (),
            calibration_error=scored.expected_error() if scored else None,
            brier=scored.brier() if scored else None,
        )

    def _metrics(self, alpha: float) -> dict[str, Interval]:
        if self.sizes.n:
            squared = mean(self.squares, alpha=alpha)
            roots = (max(x, 0.0) ** 0.5 for x in (squared.estimate, squared.low, squared.high))
            return {
                "mae": mean(self.sizes, alpha=alpha),
                "rmse": Interval(*roots),
                "bias": mean(self.errors, alpha=alpha),
            }
        return {"accuracy": wilson(self.hits, self.labels, alpha=alpha)} if self.labels else {}


def _worse(name: str, now: Interval, then: float, limits: Thresholds) -> Effect:
    if name in _LOWER_IS_BETTER:
        return Effect(name, now.estimate / then - 1, limits.worse, (now.estimate - now.low) / then)
    return Effect(name, 1 - now.estimate / then, limits.worse, (now.high - now.estimate) / then)
