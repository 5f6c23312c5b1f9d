"""P-values of many questions asked at once, corrected for how many they are."""

from __future__ import annotations

from collections.abc import Sequence

from dvc_branchflow.lazy import Floats, Ints, np


def holm(values: Sequence[float]) -> list[float]:
    """Return p-values that keep the chance of any false alarm. Source: Holm 1979."""
    p = np.asarray(values, float)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1))
    return _placed(np.minimum(stepped, 1.0), order)


def benjamini_hochberg(values: Sequence[float]) -> list[float]:
    """Return p-values that keep the share of false alarms among the alarms.

    Source: Benjamini and Hochberg 1995.
    """
    p = np.asarray(values, float)
    order = np.argsort(p, kind="stable")
    scaled = p[order] * p.size / np.arange(1, p.size + 1)
    stepped = np.minimum.accumulate(scaled[::-1])[::-1]
    return _placed(np.minimum(stepped, 1.0), order)


def _placed(sorted_values: Floats, order: Ints) -> list[float]:
    placed = np.empty(order.size)
    placed[order] = sorted_values
    return [float(value) for value in placed]
