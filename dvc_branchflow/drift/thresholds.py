"""What is too much drift: apart, since every config may name it and few commands judge by it."""

from __future__ import annotations

from dvc_branchflow.values import dataclass


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What is too much. The defaults are calm.

    Attributes:
        min_rows: rows with a value below which a feature is not judged.
        psi: population stability index, nats; `js`: Jensen-Shannon divergence, nats.
        wasserstein: in standard deviations of the baseline.
        missing: what the share of missing values may rise by.
        novel: the share of rows outside of the baseline's range or categories.
        auc: area under the curve of the classifier that tells texts apart.
        outliers: the share of rows more isolated than 99 % of the baseline.
        worse: how much worse than at the release a metric may be, as a part of its value.
        level: the chance of a false alarm in a whole check, where nothing has changed.
    """

    min_rows: int = 200
    psi: float = 0.2
    js: float = 0.025
    wasserstein: float = 0.25
    missing: float = 0.05
    novel: float = 0.02
    auc: float = 0.7
    outliers: float = 0.05
    worse: float = 0.2
    level: float = 0.01
