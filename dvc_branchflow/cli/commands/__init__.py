"""The commands: what each takes, an example, and the one verb that it calls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dvc_branchflow.cli.commands import (
    analysis,
    channels,
    compare,
    data,
    flow,
    judge,
    models,
    monitor,
    reproduce,
    setup,
    storage,
    tracking,
)
from dvc_branchflow.cli.commands.base import Command
from dvc_branchflow.errors import UsageError

COMMANDS: tuple[Command, ...] = (
    setup.INIT,
    flow.STATUS,
    data.INGEST,
    flow.PIN,
    flow.RUN,
    flow.SYNC,
    models.PROMOTE,
    models.RELEASE,
    channels.ASSIGN,
    channels.ROLLBACK,
    channels.SHOW,
    reproduce.REPRODUCE,
    compare.RUNS,
    tracking.EXPORT,
    tracking.IMPORT,
    data.REJECTS,
    compare.COMPARE,
    monitor.LOG,
    monitor.LABEL,
    monitor.CHECK,
    monitor.ALERTS,
    monitor.ACK,
    analysis.PLAN,
    analysis.ASSIGN,
    analysis.REPORT,
    judge.CHECK,
    setup.HOOKS,
    flow.SWITCH,
    storage.USAGE,
    storage.VERIFY,
    storage.REPAIR,
    storage.LEASE,
    setup.DEMO,
)
GROUPS: Mapping[str, str] = {
    "analysis": "experiments on what production saw",
    "monitor": "what production saw, and whether it has drifted",
    "storage": "look after the DVC remotes",
}
"""The verbs whose commands have two words → what they are about."""


def check_text(args: Mapping[str, Any]) -> None:
    """Refuse arguments that git would take for options of its own."""
    for name in ("branch", "rev", "tag", "to", "model", "channel", "explain", "why_not"):
        value = args.get(name)
        if isinstance(value, str) and (value.startswith("-") or "\0" in value or "\n" in value):
            raise UsageError(f"{value!r} is no name of a branch or tag")
