"""Checks a monitor branch: a window judged, its verdict and alerts committed, somebody told."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from dvc_branchflow import __version__
from dvc_branchflow.errors import FlowError, RunError
from dvc_branchflow.git import Change
from dvc_branchflow.model import Branch, Sha
from dvc_branchflow.monitor.judging import Judged, judge
from dvc_branchflow.pages.monitor import check_page
from dvc_branchflow.project import Project
from dvc_branchflow.typed import decode, encode
from dvc_branchflow.values import asdict, dataclass, replace
from dvc_branchflow.watch.alerts import Alert, raised
from dvc_branchflow.watch.verdicts import PAGE, Check, check_id, check_path, inputs_digest
from dvc_branchflow.watch.windows import (
    SECOND,
    Span,
    parse_length,
    parse_span,
    window_before,
)
from dvc_branchflow.work.environments import Environment
from dvc_branchflow.work.logbook import BASELINES, LABELS, ROWS, log_files
from dvc_branchflow.work.staging import commit_to, on_environment, staging
from dvc_branchflow.work.telling import tell
from dvc_branchflow.work.transfer import Report
from dvc_branchflow.work.watchbook import all_alerts, recent_checks


@dataclass(frozen=True, slots=True)
class CheckOutcome:
    """What a check found.

    Attributes:
        checks: the window that was asked for, then those judged again since their data changed.
        opened: alerts that are new; `joined`: open ones that were seen once more.
        commit: None where all was judged before, or nothing was to be changed.
    """

    branch: Branch
    checks: tuple[Check, ...]
    opened: tuple[Alert, ...]
    joined: tuple[Alert, ...]
    commit: Sha | None

    @property
    def has_findings(self) -> bool:
        """Whether anything is beyond its limits."""
        return any(check.has_findings for check in self.checks)


def check(
    project: Project,
    env_name: str | None,
    window: str | None,
    report: Report,
    *,
    dry_run: bool = False,
) -> CheckOutcome:
    """Judge a window of a monitor branch, and those judged before whose data have changed.

    Args:
        window: `24h`, `7d` (the last whole one that has ended) or `FROM..TO`; None: by the config.
    Raises: FlowError: nothing is logged. UsageError: a window that is none.
    """
    project.require_history("monitor check")
    project.refresh()

    def act(env: Environment) -> CheckOutcome:
        return _check(env, window, report, dry_run=dry_run)

    outcome = on_environment(project, env_name, report, act)
    if not dry_run:
        on_environment(project, env_name, report, lambda env: _notify(env, report))
    return outcome


def _check(env: Environment, window: str | None, report: Report, *, dry_run: bool) -> CheckOutcome:
    if env.tip is None or env.schema is None:
        raise FlowError(
            f"nothing is logged on '{env.spec.branch}' yet", hint="git branchflow monitor log FILE"
        )
    watch = env.spec.rule.watch
    span = _span(window, watch.window_seconds)
    before = recent_checks(env)
    again = [parse_span(text) for text in dict.fromkeys(check.window for check in before)]
    checks: list[Check] = []
    judged: list[Judged] = []
    for one in [span, *(other for other in again if other != span)]:
        earlier = [check for check in before if check.window == str(one)]
        inputs = _inputs(env, one)
        question = {"branch": env.spec.branch, "limits": asdict(watch.limits), "by": __version__}
        wanted = check_id(one, inputs, question)
        there = env.file(check_path(one, wanted))
        if one != span and any(check.inputs == inputs for check in earlier):
            continue
        if there is not None:
            checks.append(decode(Check, there, check_path(one, wanted)))
            continue
        report(f"judging {one}")
        judged.append(judge(env, one, report))
        if one == span and not judged[-1].rows:
            raise FlowError(
                f"nothing was logged on '{env.spec.branch}' in {one}",
                hint="git branchflow monitor check --window FROM..TO",
            )
        checks.append(_verdict(env, one, wanted, inputs, judged[-1], earlier))
    return _applied(env, checks, judged, before, report, dry_run=dry_run)


def _span(window: str | None, seconds: int) -> Span:
    now = int(time.time()) * SECOND
    if window is None:
        return window_before(now, seconds)
    return parse_span(window) if ".." in window else window_before(now, parse_length(window))


def _inputs(env: Environment, span: Span) -> str:
    """A digest over the files that hold rows and labels of a window."""
    files = [file for kind in (ROWS, LABELS) for file in log_files(env, kind, span)]
    return inputs_digest([(f"{file.out.path}/{file.relpath}", file.oid) for file in files])


def _verdict(
    env: Environment,
    span: Span,
    wanted: str,
    inputs: str,
    judged: Judged,
    earlier: Sequence[Check],
) -> Check:
    return Check(
        id=wanted,
        branch=env.spec.branch,
        window=str(span),
        data_commit=env.tip.sha if env.tip else "",
        inputs=inputs,
        rows=judged.rows,
        labels=judged.labels,
        limits=env.spec.rule.watch.limits,
        releases=judged.releases,
        judge=__version__,
        when=_now(),
        earlier=tuple(check.id for check in earlier),
    )


def _applied(
    env: Environment,
    checks: Sequence[Check],
    judged: Sequence[Judged],
    before: Sequence[Check],
    report: Report,
    *,
    dry_run: bool,
) -> CheckOutcome:
    """Commit the verdicts that are new, with the alerts that they raise, and the page."""
    new = [check for check in checks if env.file(check.path) is None]
    alerts = {alert.id: alert for alert in all_alerts(env)}
    old = set(alerts)
    touched: dict[str, Alert] = {}
    for one in new:
        for alert in raised(one, (alerts | touched).values()):
            touched[alert.id] = alert
    outcome = CheckOutcome(
        branch=env.spec.branch,
        checks=tuple(checks),
        opened=tuple(alert for alert in touched.values() if alert.id not in old),
        joined=tuple(alert for alert in touched.values() if alert.id in old),
        commit=None,
    )
    if dry_run or not new:
        return outcome
    page = check_page(checks[0], [*before, *new], list((alerts | touched).values()))
    changes = [Change(one.path, encode(one)) for one in new]
    changes += [Change(alert.path, encode(alert)) for alert in touched.values()]
    changes.append(Change(PAGE, page.encode()))
    with staging(env.project) as staged:
        files: dict[str, Path] = {}
        for number, (name, content) in enumerate(_baselines(judged).items()):
            files[name] = staged.folder / str(number)
            files[name].write_bytes(content)
        outs = {BASELINES: files} if files else {}
        commit = commit_to(env, _message(outcome, new), report, files=outs, changes=changes)
    return replace(outcome, commit=commit)


def _baselines(judged: Sequence[Judged]) -> dict[str, bytes]:
    return {name: content for one in judged for name, content in one.baselines.items()}


def _message(outcome: CheckOutcome, new: Sequence[Check]) -> str:
    spans = ", ".join(one.window for one in new)
    found = sum(len(hits) for c in new for r in c.releases for hits in r.findings().values())
    lines = [f"Check {spans}: {'nothing found' if not found else f'{found} beyond limits'}", ""]
    lines.append("Source: monitor check")
    lines += [f"Alert: {alert.id}" for alert in (*outcome.opened, *outcome.joined)]
    return "\n".join(lines) + "\n"


def _notify(env: Environment, report: Report) -> None:
    """Tell of open alerts that nobody was told of yet, and note on the branch that it is done.

    At least once: who is killed between the two tells again, under the same key.
    """
    target = env.spec.rule.watch.notify
    if target is None:
        return
    told = []
    for alert in all_alerts(env):
        if alert.is_open and alert.notified is None:
            try:
                tell(target, alert.id, encode(alert))
            except RunError as error:
                report(f"nobody was told of alert {alert.id}: {error.message}")
                continue
            told.append(replace(alert, notified=_now()))
    if told:
        names = ", ".join(alert.id for alert in told)
        changes = [Change(alert.path, encode(alert)) for alert in told]
        commit_to(env, f"Tell of {names}\n", report, changes=changes)


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
