"""The page of an experiment: the verdict, the reason for it, and the effects with intervals."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape

from dvc_branchflow.experiment.findings import Findings
from dvc_branchflow.experiment.verdict import MISMATCH, Effect
from dvc_branchflow.pages.parts import (
    between,
    code,
    document,
    facts,
    figure,
    number,
    percent,
    state,
    table,
)
from dvc_branchflow.pages.svg import intervals

_HEADER = ("metric", "group", "control", "treated", "effect", "fixed horizon", "any time", "units")


def report_page(found: Findings) -> str:
    """Return the page of an experiment's report."""
    words = ", ".join(f"{one.group}: {one.word}" for one in found.verdicts)
    body = [
        f"<h1>{escape(found.name)} {_coloured(found, words)}</h1>",
        f"<p>{escape(found.question)}</p>",
        *(f"<p>{escape(one.group)}: {escape(one.reason)}</p>" for one in found.verdicts),
        facts(_facts(found)),
        *(f'<p class="dim">{escape(note)}</p>' for note in found.notes),
        "<h2>Effect</h2>",
        *_effects(found.effects, "effects on the metric"),
    ]
    if found.guardrails:
        body += ["<h2>Guardrails</h2>", *_effects(found.guardrails, "effects on guardrails")]
    if found.segments:
        rows = [
            (escape(one.column), escape(one.value), *_row(one.effect)[1:]) for one in found.segments
        ]
        header = ("column", "value", *_HEADER[1:])
        body += ["<h2>Segments</h2>", table(header, rows, frozenset(range(3, 9)))]
        lines = [(f"{one.value} {one.effect.group}", one.effect.effect) for one in found.segments]
        body.append(f'<div class="plots">{figure(intervals(lines, "segments"), "segments")}</div>')
    body.append(
        '<p class="dim">The fixed-horizon interval is valid once, at the end; the other one may be '
        "looked at at any time. Levels are shared among groups and among segments.</p>"
    )
    return document(f"{found.name}: {words}", body)


def _coloured(found: Findings, words: str) -> str:
    return state(words, is_good=all(one.word in {"ship", "not yet"} for one in found.verdicts))


def _facts(found: Findings) -> Iterator[tuple[str, str]]:
    sizes = (
        f"{escape(group)} {n:,} of {found.needed.get(group, 0):,}"
        for group, n in found.units.items()
    )
    over = "over" if found.is_over else "not over"
    yield "horizon", f"{escape(found.horizon)}, {over}"
    yield "units, of those needed", ", ".join(sizes)
    if found.mismatch_p is not None:
        fits = found.mismatch_p >= MISMATCH
        said = "fit" if fits else "don't fit"
        p = number(found.mismatch_p, 2)
        yield "group sizes", f"{state(said, is_good=fits)} the plan, p = {p}"
    power = ", ".join(f"{escape(group)} {percent(value)}" for group, value in found.power.items())
    yield "power reached", power
    yield (
        "left out",
        (
            f"{found.crossed:,} units in two groups; {found.too_early:,} rows before the plan; "
            f"{found.without_unit:,} rows without a unit"
        ),
    )
    yield "plan, data", f"{code(found.plan_commit[:10])}, {code(found.data_commit[:10])}"


def _effects(effects: Sequence[Effect], title: str) -> Iterable[str]:
    yield table(_HEADER, [_row(effect) for effect in effects], frozenset(range(2, 8)))
    rows = [(f"{one.metric} {one.group}", one.effect) for one in effects]
    later = [(f"{one.metric} {one.group}", one.sequential) for one in effects]
    yield '<div class="plots">'
    yield figure(intervals(rows, title), "fixed horizon")
    yield figure(intervals(later, title), "any time")
    yield "</div>"


def _row(one: Effect) -> tuple[str, ...]:
    fixed = between(one.effect.low, one.effect.high)
    if one.resampled:
        fixed += f" (bootstrap {between(one.resampled.low, one.resampled.high)})"
    return (
        escape(one.metric),
        escape(one.group),
        number(one.control.estimate),
        number(one.treated.estimate),
        number(one.effect.estimate),
        fixed,
        between(one.sequential.low, one.sequential.high),
        f"{one.units[0]:,}, {one.units[1]:,}",
    )
