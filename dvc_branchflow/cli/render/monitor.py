"""Logs, labels, checks and alerts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from dvc_branchflow.cli.text import colour, count, local_time, number, short, table
from dvc_branchflow.monitor.check import CheckOutcome
from dvc_branchflow.monitor.label import LabelOutcome
from dvc_branchflow.monitor.log import LogOutcome
from dvc_branchflow.watch.alerts import Alert
from dvc_branchflow.watch.verdicts import Check, ReleaseCheck


def logged(outcome: LogOutcome, *, applied: bool) -> str:
    """What a log added, or would add."""
    if not outcome.rows:
        return f"nothing new: {count(outcome.present, 'row')} are on {outcome.branch} already"
    verb = "logged" if applied else "would log"
    rows = count(outcome.rows, "row")
    lines = [f"{verb} {rows} to {outcome.branch} {short(outcome.commit)}".rstrip()]
    lines.append(f"  {outcome.span}")
    lines.append(table((f"  {tag}", f"{n:,}") for tag, n in outcome.tags.items()))
    if outcome.present:
        lines.append(f"  {count(outcome.present, 'row')} left out: there already")
    return "\n".join(lines)


def labelled(outcome: LabelOutcome, *, applied: bool) -> str:
    """What labels were added, or would be."""
    if not outcome.labels:
        return f"nothing new: {count(outcome.present, 'label')} are on {outcome.branch} already"
    verb = "labelled" if applied else "would label"
    rows = count(outcome.labels, "row")
    return f"{verb} {rows} of {outcome.branch}, {outcome.span} {short(outcome.commit)}".rstrip()


def checked(outcome: CheckOutcome) -> str:
    """What a check found, a window after the other."""
    lines = [line for one in outcome.checks for line in _window(one)]
    for alert in (*outcome.opened, *outcome.joined):
        word = "opened" if alert in outcome.opened else "seen again"
        lines.append(f"alert {alert.id} {word}: {alert.kind} of {alert.tag}")
    if outcome.commit:
        lines.append(f"committed to {outcome.branch} {short(outcome.commit)}; page: report.html")
    return "\n".join(lines)


def _window(one: Check) -> Iterator[str]:
    found = sum(len(hits) for release in one.releases for hits in release.findings().values())
    word = colour(f"{found} beyond limits", "bad") if found else colour("quiet", "good")
    again = " (judged again)" if one.earlier else ""
    yield f"{one.window}  {count(one.rows, 'row')}, {count(one.labels, 'label')}: {word}{again}"
    for release in one.releases:
        yield from _release(release)


def _release(release: ReleaseCheck) -> Iterator[str]:
    trained = f"{release.baseline.rows:,}" if release.baseline else "none"
    yield f"{release.tag}  {count(release.rows, 'row')}, baseline {trained}"
    rows = [
        (f"  {subject}", effect.measure, number(effect.value), f"limit {number(effect.limit)}")
        for hits in release.findings().values()
        for subject, effect in hits
    ]
    if rows:
        yield table(rows)
    yield from (f"  {note}" for note in release.notes)


def alerts(found: Sequence[Alert]) -> str:
    """Alerts, one a line."""
    if not found:
        return "no alerts"
    rows = [
        (
            alert.id, local_time(alert.opened), alert.branch, alert.tag, alert.kind,
            f"{len(alert.seen)}x",
            ", ".join(dict.fromkeys(f.subject for one in alert.seen[-1:] for f in one.findings)),
            alert.acknowledged.reason if alert.acknowledged else "open",
        )
        for alert in found
    ]  # fmt: skip
    return table(rows, ("alert", "opened", "branch", "release", "kind", "seen", "in", "answer"))


def acknowledged(alert: Alert, *, applied: bool) -> str:
    """What was answered."""
    verb = "answered" if applied else "would answer"
    return f"{verb} {alert.id}: {alert.kind} of {alert.tag}"
