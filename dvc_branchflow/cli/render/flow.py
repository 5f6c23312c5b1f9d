"""What moved in the flow."""

from __future__ import annotations

from collections.abc import Sequence

from dvc_branchflow.cli.text import colour, count, short, table, told
from dvc_branchflow.runs import SyncStep
from dvc_branchflow.work.running import RunOutcome, RunPlan

_SHOWN = 8


def run_planned(plan: RunPlan) -> str:
    """What a run would do."""
    if not plan.is_needed:
        return f"{plan.branch} is up to date; dvc repro would be asked all the same"
    lines = [f"would run {plan.branch} on {short(plan.tip.sha)}"]
    lines += [f"  pin {name} at {short(plan.pins.pins.commits[name])}" for name in plan.pins.moved]
    if not plan.is_current:
        lines.append("  its results were not made from what is committed")
    return "\n".join(lines)


def ran(outcome: RunOutcome) -> str:
    """What a run did."""
    if outcome.commit is None:
        return f"{outcome.branch} is up to date"
    stages = count(len(outcome.stages), "stage")
    lines = [
        f"ran {stages} on {outcome.branch} in {outcome.seconds:.1f} s: {short(outcome.commit)}"
    ]
    if outcome.moved:
        lines.append(f"  pinned {', '.join(outcome.moved)}")
    lines += [f"  left out, no stage declares it: {path}" for path in outcome.strays[:_SHOWN]]
    return "\n".join(lines)


def synced(steps: Sequence[SyncStep]) -> str:
    """What became of each branch."""
    if not steps:
        return "no branch has anything to sync"
    kinds = {
        "run": "good",
        "released": "good",
        "failed": "bad",
        "refused": "bad",
        "below a failure": "warn",
    }
    rows = []
    for step in steps:
        verdict = (
            colour(step.verdict, kinds[step.verdict]) if step.verdict in kinds else step.verdict
        )
        detail = step.tag or short(step.commit)
        rows.append((step.branch, verdict, told(step.error) if step.error else detail))
    return table(rows)
