"""Draws a benchmark as bars on a logarithmic scale: a plain SVG that loads nothing."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

_WIDTH, _LABELS, _BAR, _GAP, _HEAD = 760, 330, 16, 5, 24
_OURS, _OTHERS = "#2f6fb2", "#b9b9b9"


def bars(body: Mapping[str, Any]) -> str:
    """Return the medians of each size, ours in colour."""
    rows = list(_rows(body))
    values = [value for _, _, value, _ in rows if value > 0]
    low, high = math.log10(min(values)) - 0.3, math.log10(max(values))
    drawn = []
    for place, (label, is_ours, value, text) in enumerate(rows):
        top = _HEAD + place * (_BAR + _GAP)
        share = (math.log10(value) - low) / max(high - low, 0.3) if value > 0 else 0.0
        width = max(2, round(share * (_WIDTH - _LABELS - 80)))
        colour = _OURS if is_ours else _OTHERS
        drawn += [
            f'<text x="{_LABELS - 8}" y="{top + 12}" text-anchor="end">{escape(label)}</text>',
            f'<rect x="{_LABELS}" y="{top}" width="{width}" height="{_BAR}" fill="{colour}"/>',
            f'<text x="{_LABELS + width + 6}" y="{top + 12}">{text}</text>',
        ]
    height = _HEAD + len(rows) * (_BAR + _GAP)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        'font-family="sans-serif" font-size="12" fill="#333">\n'
        '<text x="4" y="14">median, logarithmic scale</text>\n' + "\n".join(drawn) + "\n</svg>\n"
    )


def _rows(body: Mapping[str, Any]) -> Iterator[tuple[str, bool, float, str]]:
    """Label, whether it is ours, value, and the value as text."""
    for case in body["sizes"].values():
        size = ", ".join(f"{value:,} {key}" for key, value in case["size"].items())
        for way, found in case["contenders"].items():
            value = found[f"median_{case['unit']}"]
            is_ours = way.startswith("ours") or case["unit"] == "mib"
            text = f"{value:,.0f} MiB" if case["unit"] == "mib" else f"{value:.3g} s"
            yield f"{way} ({size})", is_ours, value, text
