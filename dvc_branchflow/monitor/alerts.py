"""Lists alerts, and answers them."""

from __future__ import annotations

from datetime import UTC, datetime

from dvc_branchflow.errors import RejectedError, UsageError
from dvc_branchflow.git import Change
from dvc_branchflow.project import Project
from dvc_branchflow.typed import encode
from dvc_branchflow.values import replace
from dvc_branchflow.watch.alerts import Alert, Answer
from dvc_branchflow.work.environments import Environment, environment
from dvc_branchflow.work.races import until_won
from dvc_branchflow.work.staging import commit_to
from dvc_branchflow.work.transfer import Report
from dvc_branchflow.work.watchbook import all_alerts, environments
from dvc_branchflow.work.worktrees import branch_lock


def alerts(project: Project, env_name: str | None, *, every: bool = False) -> list[Alert]:
    """Return the open alerts, oldest first; `every`: answered ones as well.

    Args:
        env_name: of one environment; None: all.
    """
    envs = [environment(project, env_name)] if env_name else environments(project)
    found = [alert for env in envs for alert in all_alerts(env)]
    return [alert for alert in found if every or alert.is_open]


def acknowledge(
    project: Project, alert_id: str, reason: str, report: Report, *, dry_run: bool = False
) -> Alert:
    """Answer an alert; it is closed, and the next finding of its kind opens a new one.

    Args:
        alert_id: or its first characters.
    Raises: UsageError: there is no such alert. RejectedError: it has another answer already.
    """
    if not reason.strip() or "\n" in reason or "\r" in reason:
        raise UsageError("--reason has to be one line of text")
    project.require_history("monitor ack")
    project.refresh()
    branch = _found(project, alert_id)[0].spec.branch

    def attempt() -> Alert:
        env, alert = _found(project, alert_id)
        if alert.acknowledged is not None:
            if alert.acknowledged.reason == reason:
                return alert
            who = alert.acknowledged.who
            raise RejectedError(f"alert {alert.id} was answered by {who} already")
        when = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        answer = Answer(project.git.identity(), when, reason)
        answered = replace(alert, acknowledged=answer)
        if not dry_run:
            change = Change(answered.path, encode(answered))
            message = f"Acknowledge {alert.id}\n\nReason: {reason}\n"
            commit_to(env, message, report, changes=[change])
        return answered

    with branch_lock(project, branch, report):
        return until_won(project, attempt, report)


def _found(project: Project, alert_id: str) -> tuple[Environment, Alert]:
    found = [
        (env, alert)
        for env in environments(project)
        for alert in all_alerts(env)
        if alert.id.startswith(alert_id)
    ]
    if len(found) != 1 or not alert_id:
        what = "no alert" if not found else "more than one alert"
        raise UsageError(
            f"there is {what} '{alert_id[:40]}'", hint="git branchflow monitor alerts --all"
        )
    return found[0]
