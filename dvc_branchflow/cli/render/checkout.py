"""Where a checkout is now."""

from __future__ import annotations

from pathlib import Path

from dvc_branchflow.cli.text import count, short
from dvc_branchflow.switch import SwitchOutcome


def switched(outcome: SwitchOutcome, *, applied: bool, top: Path | None) -> str:
    """Where the checkout is now."""
    verb = "on" if applied else "would switch to"
    return (
        f"{verb} {outcome.rev} ({short(outcome.commit)}) with {count(outcome.outs, 'out')} in {top}"
    )
