"""The checks and alerts that lie on a monitor branch."""

from __future__ import annotations

from dvc_branchflow import watch
from dvc_branchflow.errors import ConfigError
from dvc_branchflow.model import Role
from dvc_branchflow.project import Project
from dvc_branchflow.typed import decode
from dvc_branchflow.versions import parse_tag
from dvc_branchflow.work.elsewhere import repository_at
from dvc_branchflow.work.environments import Environment, environment

_RECENT = 60  # checks that are looked back at


def recent_checks(env: Environment) -> list[watch.Check]:
    """Return the checks on a branch, by window and time; of very many, those of the last windows.

    Raises: ConfigError: a file among them can't be read.
    """
    paths = _listed(env, watch.CHECKS)[-_RECENT:]
    held = env.files(paths)
    found = [decode(watch.Check, held[path], path) for path in paths if path in held]
    return sorted(found, key=lambda check: (check.window, check.when, check.id))


def all_alerts(env: Environment) -> list[watch.Alert]:
    """Return the alerts on a branch, oldest first. Raises: ConfigError: one can't be read."""
    paths = _listed(env, watch.ALERTS)
    held = env.files(paths)
    found = [decode(watch.Alert, held[path], path) for path in paths if path in held]
    return sorted(found, key=lambda alert: (alert.opened, alert.id))


def count_open(env: Environment) -> int:
    """Return how many alerts of a branch are open; one that can't be read counts as such."""
    held = env.files(_listed(env, watch.ALERTS))
    count = 0
    for path, content in held.items():
        try:
            count += decode(watch.Alert, content, path).is_open
        except ConfigError:
            count += 1
    return count


def waits_for_alert(project: Project, model: str) -> bool:
    """Whether a model is released on new data only when an alert asks for it, and none does."""
    asked = [env for env in environments(project) if env.spec.rule.watch.retrain]
    asked += _asked_elsewhere(project)
    held = [alert for env in asked for alert in all_alerts(env) if alert.is_open]
    models = {parsed[0] for alert in held if (parsed := parse_tag(alert.tag))}
    return bool(asked) and model not in models


def environments(project: Project) -> list[Environment]:
    """Return all monitor branches that there are."""
    specs = [spec for spec in project.specs.values() if spec.role is Role.MONITOR]
    return [environment(project, spec.branch) for spec in specs]


def _asked_elsewhere(project: Project) -> list[Environment]:
    """The monitor branches of other repositories whose alerts are reasons to retrain here."""
    return [
        env
        for rule in project.config.with_role(Role.MONITOR)
        if rule.repo and rule.watch.retrain
        for env in environments(repository_at(project, rule.repo))
        if rule.match(env.spec.branch) is not None
    ]


def _listed(env: Environment, folder: str) -> list[str]:
    held = env.data.files if env.data else {}
    return sorted(p for p in held if p.startswith(f"{folder}/") and p.endswith(".json"))
