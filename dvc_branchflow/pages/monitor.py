"""The page of a check: what was judged, what was found, and how it went over time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from dvc_branchflow.drift.judging import Effect, FeatureDrift
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
from dvc_branchflow.pages.svg import over_time, reliability, two_distributions
from dvc_branchflow.watch.alerts import Alert
from dvc_branchflow.watch.verdicts import Check, Plot, ReleaseCheck

_MEASURES = ("psi", "js", "wasserstein", "missing", "novel", "auc")
_HEADER = ("feature", "kind", "rows", *_MEASURES, "p", "")
_NUMERIC = frozenset(range(2, 3 + len(_MEASURES) + 1))
_SHOWN_CHECKS = 30


def check_page(check: Check, history: Sequence[Check], alerts: Sequence[Alert]) -> str:
    """Return the page of a check.

    Args:
        history: checks of the branch, for the lines over time.
        alerts: of the branch.
    """
    title = f"{check.branch}: {check.window}"
    verdict = state("beyond limits", is_good=False) if check.has_findings else ""
    body = [
        f"<h1>{escape(title)} {verdict or state('quiet', is_good=True)}</h1>",
        facts(
            [
                ("rows, labels", f"{check.rows:,}, {check.labels:,}"),
                ("data commit", code(check.data_commit)),
                (
                    "check",
                    f"{code(check.id)} by branchflow {escape(check.judge)}, {escape(check.when)}",
                ),
                ("earlier verdicts", ", ".join(code(one) for one in check.earlier) or "none"),
            ]
        ),
        *_open_alerts(alerts),
    ]
    for release in check.releases:
        body += _release(release, history)
    body.append(
        '<p class="dim">Grey: what the release was trained on. Coloured: this window. A value is '
        "marked where it is beyond its limit and what chance adds; p is information only.</p>"
    )
    return document(title, body)


def _open_alerts(alerts: Sequence[Alert]) -> Iterator[str]:
    held = [alert for alert in alerts if alert.is_open]
    if not held:
        return
    yield "<h2>Open alerts</h2>"
    rows = [
        (
            code(alert.id), escape(alert.tag), escape(alert.kind), escape(alert.opened),
            f"{len(alert.seen)}",
            escape(", ".join(sorted({f.subject for one in alert.seen[-1:] for f in one.findings}))),
        )
        for alert in held
    ]  # fmt: skip
    yield table(("alert", "release", "kind", "opened", "seen", "in"), rows, frozenset({4}))


def _release(release: ReleaseCheck, history: Sequence[Check]) -> Iterator[str]:
    yield f"<h2>{escape(release.tag)}</h2>"
    rows = [("commit", code(release.commit)), ("rows in the window", f"{release.rows:,}")]
    if release.baseline:
        pins = ", ".join(f"{escape(k)} {code(v[:10])}" for k, v in release.baseline.pins.items())
        rows.append(("trained on", f"{release.baseline.rows:,} rows of {pins}"))
        rows.append(
            ("baseline", f"{code(release.baseline.oid)}, sha256 {code(release.baseline.sha256)}")
        )
    if release.outliers:
        rows.append(("rows unlike the baseline", _cell(release.outliers)))
    yield facts(rows)
    yield from (f'<p class="dim">{escape(note)}</p>' for note in release.notes)
    if release.features:
        yield "<h3>Features</h3>"
        yield table(_HEADER, [_feature(one) for one in release.features], _NUMERIC)
    if release.predictions:
        yield f"<h3>Predictions, against {escape(release.reference or '')}</h3>"
        yield table(_HEADER, [_feature(one) for one in release.predictions], _NUMERIC)
    yield from _quality(release)
    yield '<div class="plots">'
    for name, plot in release.plots.items():
        yield from _figures(release.tag, name, plot, history)
    yield "</div>"


def _feature(drift: FeatureDrift) -> tuple[str, ...]:
    by_measure = {effect.measure: effect for effect in drift.effects}
    cells = [_cell(by_measure[name]) if name in by_measure else "" for name in _MEASURES]
    p = "" if drift.p is None else number(drift.p, 2)
    return (escape(drift.name), drift.kind, f"{drift.n:,}", *cells, p, escape(drift.note))


def _cell(effect: Effect) -> str:
    is_share = effect.measure in {"missing", "novel", "outliers"}
    text = percent(effect.value) if is_share else number(effect.value)
    bound = effect.limit + effect.noise
    tip = f"limit {number(effect.limit)}, with chance {number(bound)}"
    colour = ' class="bad"' if effect.is_beyond else ""
    return f'<span title="{tip}"{colour}>{text}</span>'


def _quality(release: ReleaseCheck) -> Iterator[str]:
    quality = release.quality
    if quality is None:
        return
    yield f"<h3>With {quality.labels:,} labels</h3>"
    effects = {effect.measure: effect for effect in quality.effects}
    rows = [
        (
            escape(name), number(one.estimate), between(one.low, one.high),
            number(quality.released.get(name)),
            _cell(effects[name]) if name in effects else "",
        )
        for name, one in quality.metrics.items()
    ]  # fmt: skip
    if quality.brier:
        brier = quality.brier
        rows.append(("brier", number(brier.estimate), between(brier.low, brier.high), "", ""))
    if quality.calibration_error is not None:
        rows.append(("calibration error", number(quality.calibration_error), "", "", ""))
    header = ("metric", "now", "95 % interval", "at the release", "worse by")
    yield table(header, rows, frozenset({1, 2, 3, 4}))
    if quality.reliability:
        plot = reliability(quality.reliability, "chances and outcomes")
        yield f'<div class="plots">{figure(plot, "chance and truth")}</div>'


def _figures(tag: str, name: str, plot: Plot, history: Sequence[Check]) -> Iterator[str]:
    bars = two_distributions(plot.labels, plot.baseline, plot.window, f"distribution of {name}")
    yield figure(bars, name)
    series = _series(tag, name, history)
    if len(series) > 1:
        line = over_time([e.value for e in series], series[-1].limit, f"{name} over time")
        yield figure(line, f"{name}: psi, window by window")


def _series(tag: str, name: str, history: Sequence[Check]) -> list[Effect]:
    """The stability index of a feature by window; of a window judged twice, the later verdict."""
    found: dict[str, Effect] = {}
    for check in history:
        for release in check.releases:
            if release.tag != tag:
                continue
            for drift in (*release.features, *release.predictions):
                psi = [effect for effect in drift.effects if effect.measure == "psi"]
                if drift.name == name and psi:
                    found[check.window] = psi[0]
    return [found[window] for window in sorted(found)][-_SHOWN_CHECKS:]
