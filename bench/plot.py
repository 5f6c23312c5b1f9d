"""Draws a benchmark as bars on a logarithmic scale: a plain SVG that loads nothing."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

_WIDTH, _LABELS, _VALUES, _BAR, _GAP, _HEAD = 760, 220, 90, 16, 5, 24
_OURS, _OTHERS = "#2f6fb2", "#b9b9b9"


def bars(sizes: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the medians, size by size, ours in colour.

    Args:
        sizes: cases by what their size is in words.
    """
    values = [value for case in sizes.values() for *_, value, _ in _rows(case) if value > 0]
    low, high = math.log10(min(values)) - 0.3, math.log10(max(values))
    drawn = []
    top = _HEAD
    for size, case in sizes.items():
        drawn.append(f'<text x="4" y="{top + 14}" font-weight="bold">{escape(size)}</text>')
        top += _BAR + _GAP
        for label, is_ours, value, text in _rows(case):
            share = (math.log10(value) - low) / max(high - low, 0.3) if value > 0 else 0.0
            width = max(2, round(share * (_WIDTH - _LABELS - _VALUES)))
            colour = _OURS if is_ours else _OTHERS
            drawn += [
                f'<text x="{_LABELS - 8}" y="{top + 12}" text-anchor="end">{escape(label)}</text>',
                f'<rect x="{_LABELS}" y="{top}" width="{width}" height="{_BAR}" fill="{colour}"/>',
                f'<text x="{_LABELS + width + 6}" y="{top + 12}">{escape(text)}</text>',
            ]
            top += _BAR + _GAP
        top += 2 * _GAP
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {top}" '
        'font-family="sans-serif" font-size="12" fill="#333">\n'
        f'<rect width="{_WIDTH}" height="{top}" fill="#fff"/>\n'
        '<text x="4" y="14">medians, ours in blue; each doubling of a time adds the same length'
        "</text>\n" + "\n".join(drawn) + "\n</svg>\n"
    )


def _rows(case: Mapping[str, Any]) -> Iterator[tuple[str, bool, float, str]]:
    """Label, whether it is ours, value, and the value as text."""
    for way, found in case["contenders"].items():
        value = found[f"median_{case['unit']}"]
        is_ours = way.startswith("ours") or case["unit"] == "mib"
        text = f"{value:,.0f} MiB" if case["unit"] == "mib" else f"{value:.3g} s"
        yield way, is_ours, value, f"> {text}" if found["is_over"] else text
