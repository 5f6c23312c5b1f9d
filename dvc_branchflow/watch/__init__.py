"""What a monitor branch holds, and when it gives an alarm: rows, windows, alerts, settings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dvc_branchflow.lazy import on_demand

if TYPE_CHECKING:
    from dvc_branchflow.watch.alerts import Alert
    from dvc_branchflow.watch.verdicts import Check
else:
    __getattr__ = on_demand(__name__, {"alerts": "Alert", "verdicts": "Check"})

__all__ = ["ALERTS", "CHECKS", "Alert", "Check"]

ALERTS = "alerts"
CHECKS = "checks"
"""The folders on such a branch."""
