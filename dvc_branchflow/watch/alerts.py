"""An alert: one release in one environment, one kind of finding, open until somebody answers."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Literal

from dvc_branchflow.values import dataclass, replace
from dvc_branchflow.watch import ALERTS
from dvc_branchflow.watch.verdicts import Check, Kind, ReleaseCheck

SCHEMA: Literal["branchflow/alert/1"] = "branchflow/alert/1"


@dataclass(frozen=True, slots=True)
class Finding:
    """One measure beyond its limit. `subject` is a feature, a metric, or `rows`."""

    subject: str
    measure: str
    value: float
    limit: float


@dataclass(frozen=True, slots=True)
class Seen:
    """A check that found it: which, in which window, and what."""

    check: str
    window: str
    data_commit: str
    judge: str
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """Who acknowledged an alert, when, and why."""

    who: str
    when: str
    reason: str


@dataclass(frozen=True, slots=True)
class Alert:
    """Something is beyond its limits.

    Attributes:
        tag, commit, pins: the release, its commit, and the data that it was trained on.
        seen: the checks that found it, oldest first; repeated ones join.
        notified: when the hook or URL took it; None: not yet, or there is none.
        acknowledged: None while it is open.
    """

    id: str
    branch: str
    tag: str
    commit: str
    pins: Mapping[str, str]
    kind: Kind
    opened: str
    seen: tuple[Seen, ...]
    notified: str | None = None
    acknowledged: Answer | None = None
    schema: Literal["branchflow/alert/1"] = SCHEMA

    @property
    def path(self) -> str:
        """Where the alert lies on its branch."""
        return alert_path(self.id)

    @property
    def is_open(self) -> bool:
        """Whether nobody has answered yet."""
        return self.acknowledged is None


def alert_path(alert_id: str) -> str:
    """Return where an alert lies on its branch."""
    return f"{ALERTS}/{alert_id}.json"


def raised(check: Check, alerts: Iterable[Alert]) -> list[Alert]:
    """Return the alerts that a check opens or joins, as they are afterwards.

    Args:
        alerts: those of the branch; a finding joins the open one of its release and kind.
    """
    is_open = {(alert.tag, alert.kind): alert for alert in alerts if alert.is_open}
    changed = []
    for release in check.releases:
        for kind, hits in release.findings().items():
            findings = tuple(Finding(name, e.measure, e.value, e.limit) for name, e in hits)
            seen = Seen(check.id, check.window, check.data_commit, check.judge, findings)
            old = is_open.get((release.tag, kind))
            if old is None:
                changed.append(_opened(check, release, kind, seen))
            elif all(one.check != check.id for one in old.seen):
                changed.append(replace(old, seen=(*old.seen, seen)))
    return changed


def _opened(check: Check, release: ReleaseCheck, kind: Kind, seen: Seen) -> Alert:
    text = f"{check.branch}\n{release.tag}\n{kind}\n{check.id}"
    return Alert(
        id=hashlib.sha256(text.encode()).hexdigest()[:10],
        branch=check.branch,
        tag=release.tag,
        commit=release.commit,
        pins=release.baseline.pins if release.baseline else {},
        kind=kind,
        opened=check.when,
        seen=(seen,),
    )
