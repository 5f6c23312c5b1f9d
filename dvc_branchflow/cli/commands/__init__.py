"""The commands: what each takes, an example, and the one verb that it calls.

A command's module is loaded when it is called: with all verbs, a start would take three times as
long as `status` works.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from importlib import import_module
from typing import Any

from dvc_branchflow.cli.commands.base import Command
from dvc_branchflow.errors import UsageError

COMMANDS: Mapping[str, str] = {
    "init": "setup.INIT",
    "status": "look.STATUS",
    "ingest": "data.INGEST",
    "pin": "pins.PIN",
    "run": "flow.RUN",
    "sync": "flow.SYNC",
    "promote": "models.PROMOTE",
    "release": "models.RELEASE",
    "assign": "channels.ASSIGN",
    "rollback": "channels.ROLLBACK",
    "show": "channels.SHOW",
    "reproduce": "reproduce.REPRODUCE",
    "runs": "compare.RUNS",
    "runs export": "tracking.EXPORT",
    "runs import": "tracking.IMPORT",
    "rejects": "data.REJECTS",
    "compare": "compare.COMPARE",
    "monitor log": "monitor.LOG",
    "monitor label": "monitor.LABEL",
    "monitor check": "monitor.CHECK",
    "monitor alerts": "monitor.ALERTS",
    "monitor ack": "monitor.ACK",
    "analysis plan": "analysis.PLAN",
    "analysis assign": "analysis.ASSIGN",
    "analysis report": "analysis.REPORT",
    "check": "judge.CHECK",
    "hooks": "setup.HOOKS",
    "switch": "checkout.SWITCH",
    "storage usage": "storage.USAGE",
    "storage verify": "storage.VERIFY",
    "storage repair": "storage.REPAIR",
    "storage mirror": "mirror.MIRROR",
    "storage move": "mirror.MOVE",
    "storage gc": "storage.GC",
    "storage undelete": "storage.UNDELETE",
    "storage empty-trash": "storage.EMPTY_TRASH",
    "storage erase": "erasure.ERASE",
    "storage lease": "storage.LEASE",
    "storage doctor": "doctor.DOCTOR",
    "demo": "setup.DEMO",
}
"""Name → the module here and the constant in it that describe the command, in the help's order."""
GROUPS: Mapping[str, str] = {
    "analysis": "experiments on what production saw",
    "monitor": "what production saw, and whether it has drifted",
    "storage": "look after the DVC remotes",
}
"""The verbs whose commands have two words → what they are about."""


def load(names: Iterable[str] = COMMANDS) -> tuple[Command, ...]:
    """Return the commands of these names."""
    found = []
    for name in names:
        module, _, constant = COMMANDS[name].partition(".")
        command: Command = getattr(import_module(f"{__name__}.{module}"), constant)
        found.append(command)
    return tuple(found)


def check_text(args: Mapping[str, Any]) -> None:
    """Refuse arguments that git would take for options of its own."""
    for name in ("branch", "rev", "tag", "to", "model", "channel", "explain", "why_not"):
        value = args.get(name)
        if isinstance(value, str) and (value.startswith("-") or "\0" in value or "\n" in value):
            raise UsageError(f"{value!r} is no name of a branch or tag")
