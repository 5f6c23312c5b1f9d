"""What pages are made of: the document, tables, and words for numbers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape

_STYLE = """
:root { color-scheme: light dark; --ink: #1c2530; --dim: #667; --line: #d5dae1; --paper: #fff;
  --one: #8a94a6; --two: #2f6fb3; --bad: #b3372f; --good: #2d7a4b; }
@media (prefers-color-scheme: dark) { :root { --ink: #e3e7ec; --dim: #99a; --line: #39424e;
  --paper: #161b22; --one: #78839a; --two: #6aa5e6; --bad: #ef7d74; --good: #6cc391; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper);
  max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.15rem; margin-top: 2rem; } h3 { font-size: 1rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid var(--line); }
td.n, th.n { text-align: right; } .dim { color: var(--dim); } code { font-size: .92em; }
.bad { color: var(--bad); font-weight: 600; } .good { color: var(--good); font-weight: 600; }
.plots { display: grid; grid-template-columns: repeat(auto-fill, minmax(17rem, 1fr)); gap: 1rem; }
figure { margin: 0; } figcaption { font-size: .85rem; } svg { width: 100%; height: auto; }
svg text { font: 10px system-ui, sans-serif; fill: var(--dim); }
"""


def document(title: str, body: Iterable[str]) -> str:
    """Return a page: no script, no link to anything outside; bad content can't add any."""
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(title)}</title><style>{_STYLE}</style></head><body>",
            *body,
            "</body></html>\n",
        ]
    )


def table(header: Sequence[str], rows: Iterable[Sequence[str]], numeric: frozenset[int]) -> str:
    """Return a table; cells are HTML already.

    Args:
        numeric: the columns that are set to the right.
    """
    mark = {True: ' class="n"', False: ""}
    head = "".join(f"<th{mark[n in numeric]}>{escape(name)}</th>" for n, name in enumerate(header))
    lines = [f"<table><thead><tr>{head}</tr></thead><tbody>"]
    for row in rows:
        cells = "".join(f"<td{mark[n in numeric]}>{cell}</td>" for n, cell in enumerate(row))
        lines.append(f"<tr>{cells}</tr>")
    return "\n".join([*lines, "</tbody></table>"])


def facts(rows: Iterable[tuple[str, str]]) -> str:
    """Return names and values, one a line; values are HTML already."""
    lines = "".join(f'<tr><td class="dim">{escape(k)}</td><td>{v}</td></tr>' for k, v in rows)
    return f"<table>{lines}</table>"


def number(value: float | None, digits: int = 3) -> str:
    """Return a number as people read it."""
    if value is None or not math.isfinite(value):
        return "-"
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:.{digits}g}"


def percent(share: float) -> str:
    """Return a share as a percentage."""
    return f"{100 * share:.1f} %" if math.isfinite(share) else "-"


def between(low: float, high: float) -> str:
    """Return the ends of an interval."""
    return f"{number(low)} to {number(high)}"


def figure(plot: str, caption: str) -> str:
    """Return a plot with what it shows; the caption is text."""
    return f"<figure>{plot}<figcaption>{escape(caption)}</figcaption></figure>"


def state(text: str, *, is_good: bool) -> str:
    """Return a word in the colour of its state."""
    return f'<span class="{"good" if is_good else "bad"}">{escape(text)}</span>'


def code(text: str) -> str:
    """Return an id or a name in a fixed width."""
    return f"<code>{escape(text)}</code>"
