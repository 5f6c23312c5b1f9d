"""What init, hooks and the like did."""

from __future__ import annotations

from collections.abc import Sequence

from dvc_branchflow.cli.text import count, table
from dvc_branchflow.hooks import HookStep
from dvc_branchflow.init import InitPlan


def init_plan(plan: InitPlan, *, applied: bool) -> str:
    """What init laid, or would lay."""
    if not plan.branches:
        return "the flow is laid already; nothing to do"
    lines = [f"{'laid' if applied else 'would lay'} in {plan.path}"]
    if plan.remote:
        lines.append(f"  DVC remote 'store': {plan.remote}")
    for laid in plan.branches:
        new = " (new)" if laid.is_new else ""
        files = f": {count(len(laid.added) + len(laid.changed), 'file')}" if applied else ""
        lines.append(f"  {laid.branch}{new}{files}")
        if not applied:
            lines += [f"    + {path}" for path in laid.added]
            lines += [f"    ~ {path}" for path in laid.changed]
    if applied:
        lines.append("next: git branchflow ingest --source WHERE_FROM FILES")
    return "\n".join(lines)


def hook_steps(steps: Sequence[HookStep], *, applied: bool) -> str:
    """What became of each hook."""
    if not steps:
        return "no hook of ours is installed"
    would = "" if applied else "would be "
    rows = [
        (step.name, would + step.action, f"'{step.path}' {step.reason}".strip()) for step in steps
    ]
    return table(rows)
