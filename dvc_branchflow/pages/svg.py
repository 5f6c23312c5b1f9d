"""Plots as SVG text: two distributions, a line over time, chances against outcomes, intervals."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from dvc_branchflow.stats.calibration import Bin
from dvc_branchflow.stats.intervals import Interval

_W, _H, _PAD = 280, 130, 18


def two_distributions(
    labels: Sequence[str], one: Sequence[float], two: Sequence[float], title: str
) -> str:
    """Return bars of a baseline (grey) with a window (coloured) on top."""
    most = max([*one, *two, 1e-9])
    width = (_W - 2 * _PAD) / max(len(labels), 1)
    parts = []
    for at, (label, first, second) in enumerate(zip(labels, one, two, strict=False)):
        x = _PAD + at * width
        tip = f"<title>{escape(label)}: {first:.1%} before, {second:.1%} now</title>"
        parts.append(
            f"<g>{tip}{_bar(x + width * 0.08, width * 0.84, first / most, 'var(--one)')}"
            f"{_bar(x + width * 0.28, width * 0.44, second / most, 'var(--two)')}</g>"
        )
    ends = (labels[0], labels[-1]) if labels else ("", "")
    parts.append(_text(_PAD, _H - 4, ends[0]))
    parts.append(_text(_W - _PAD, _H - 4, ends[1], anchor="end"))
    return _svg(parts, title)


def over_time(values: Sequence[float], limit: float, title: str) -> str:
    """Return a line of a measure by window, and its limit."""
    held = [value if math.isfinite(value) else 0.0 for value in values]
    most = max([*held, limit * 1.25, 1e-9])
    step = (_W - 2 * _PAD) / max(len(held) - 1, 1)
    spots = [(_PAD + n * step, _y(value / most)) for n, value in enumerate(held)]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in spots)
    parts = [
        _line(_PAD, _y(limit / most), _W - _PAD, _y(limit / most), "var(--bad)", dash="4 3"),
        f'<polyline points="{line}" fill="none" stroke="var(--two)" stroke-width="1.5"/>',
    ]
    for (x, y), value in zip(spots, held, strict=True):
        colour = "var(--bad)" if value > limit else "var(--two)"
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5" fill="{colour}">'
            f"<title>{value:.4g}</title></circle>"
        )
    return _svg(parts, title)


def reliability(bins: Sequence[Bin], title: str) -> str:
    """Return how often it came true by chance, with intervals; the diagonal is honest."""
    parts = [_line(_PAD, _y(0), _W - _PAD, _y(1), "var(--line)")]
    for one in bins:
        x = _PAD + (_W - 2 * _PAD) * _unit(one.chance)
        truth = one.came_true
        parts.append(_line(x, _y(_unit(truth.low)), x, _y(_unit(truth.high)), "var(--one)"))
        said = f"chance {one.chance:.2f}, came true {truth.estimate:.2f}, {one.n:,} rows"
        parts.append(
            f'<circle cx="{x:.1f}" cy="{_y(_unit(truth.estimate)):.1f}" r="3" '
            f'fill="var(--two)"><title>{said}</title></circle>'
        )
    return _svg(parts, title)


def intervals(rows: Sequence[tuple[str, Interval]], title: str) -> str:
    """Return estimates with their intervals, one a line, around a line at zero."""
    ends = [end for _, one in rows for end in (one.low, one.high, one.estimate)]
    held = [*(end for end in ends if math.isfinite(end)), 0.0]
    low, high = min(held), max(held)
    left, step = 110, (_H - 24) / max(len(rows), 1)

    def x(value: float, otherwise: float = 0.0) -> float:
        kept = value if math.isfinite(value) else otherwise
        return left + (_W - left - _PAD) * (kept - low) / ((high - low) or 1.0)

    parts = [_line(x(0), 6, x(0), _H - 16, "var(--line)")]
    for at, (label, one) in enumerate(rows):
        y = 12 + at * step
        parts += [
            _text(left - 8, y + 3, label[:22], anchor="end"),
            _line(x(one.low, low), y, x(one.high, high), y, "var(--two)"),
            f'<circle cx="{x(one.estimate):.1f}" cy="{y:.1f}" r="3" fill="var(--two)"/>',
        ]
    ends_at = (
        _text(left, _H - 4, f"{low:.3g}"),
        _text(_W - _PAD, _H - 4, f"{high:.3g}", anchor="end"),
    )
    return _svg([*parts, *ends_at], title)


def _svg(parts: Sequence[str], title: str) -> str:
    head = f'<svg viewBox="0 0 {_W} {_H}" role="img" aria-label="{escape(title)}">'
    return "".join([head, *parts, "</svg>"])


def _bar(x: float, width: float, height: float, colour: str) -> str:
    top = _y(height)
    return (
        f'<rect x="{x:.1f}" y="{top:.1f}" width="{width:.1f}" height="{_y(0) - top:.1f}" '
        f'fill="{colour}"/>'
    )


def _line(x1: float, y1: float, x2: float, y2: float, colour: str, *, dash: str = "") -> str:
    dashed = f' stroke-dasharray="{dash}"' if dash else ""
    return (
        f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"{dashed}/>'
    )


def _text(x: float, y: float, text: str, *, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text[:30])}</text>'


def _y(share: float) -> float:
    """Where a share of the height lies, from the bottom."""
    return _H - 16 - (_H - 24) * share


def _unit(value: float) -> float:
    return min(max(value, 0.0), 1.0) if math.isfinite(value) else 0.0
