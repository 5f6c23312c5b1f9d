"""The flow, and what moved in it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dvc_branchflow.cli.text import colour, count, short, size, table
from dvc_branchflow.model import Role
from dvc_branchflow.pins import PinOutcome
from dvc_branchflow.runs import SyncStep
from dvc_branchflow.status import BranchStatus, FlowStatus
from dvc_branchflow.switch import SwitchOutcome
from dvc_branchflow.work.running import RunOutcome, RunPlan

_SHOWN = 8


def pinned(outcome: PinOutcome, *, applied: bool) -> str:
    """What `pin` set, or would set."""
    rows = [(f"  {name}", short(sha)) for name, sha in sorted(outcome.commits.items())]
    if not outcome.files_changed:
        return f"{outcome.branch} pins the newest already\n{table(rows)}"
    verb = "pinned" if applied else "would pin"
    moved = ", ".join(outcome.moved) or "the same commits"
    return (
        f"{verb} {moved} on {outcome.branch} {short(outcome.commit)}".rstrip() + f"\n{table(rows)}"
    )


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
        rows.append((step.branch, verdict, step.error.message if step.error else detail))
    return table(rows)


def flow(found: FlowStatus) -> str:
    """The whole flow on one screen, and what to do next."""
    rows = [_branch_row(row) for row in found.branches]
    lines = [table(rows, ("branch", "tip", "holds", "state"))]
    lines += [
        colour(f"{name} went different ways here and on the git remote", "bad")
        for name in found.diverged
    ]
    if found.without_role:
        lines.append(colour(f"without a role: {', '.join(found.without_role[:_SHOWN])}", "dim"))
    commands = [row.next_command for row in found.branches if row.next_command]
    behind = [c for c in commands if c.startswith(("git branchflow run", "git branchflow sync"))]
    if len(behind) > 1:
        commands = ["git branchflow sync", *(c for c in commands if c not in behind)]
    lines.append(f"next: {commands[0]}" if commands else "all is up to date")
    return "\n".join(lines)


def _branch_row(row: BranchStatus) -> tuple[str, ...]:
    holds = f"{count(row.files, 'file')}, {size(row.size_bytes)}" if row.outs else "-"
    if row.role in {Role.MAIN, Role.ANALYSIS}:
        holds = "-"
    return (row.branch, short(row.tip), holds, _state(row))


def _state(row: BranchStatus) -> str:
    parts = []
    if row.release:
        parts.append(row.release)
    parts += [f"{channel} {version}" for channel, version in row.channels.items()]
    if row.certificate:
        parts.append(f"certificate {row.certificate[:7]}")
    for lag in row.behind:
        what = f"{count(lag.files, 'file')}, {size(lag.size_bytes)}"
        what = what if lag.files or lag.size_bytes else "other content"
        commits = count(lag.commits, "commit")
        parts.append(colour(f"behind {lag.upstream} by {commits} ({what})", "warn"))
    parts += [colour(f"pins nothing of {name} yet", "warn") for name in row.unpinned]
    if not row.is_current and not row.unpinned:
        parts.append(colour("results not made from what is committed", "warn"))
    if row.alerts:
        parts.append(colour(count(row.alerts, "open alert"), "bad"))
    if row.unpushed:
        parts.append(colour(f"{count(row.unpushed, 'commit')} not pushed", "warn"))
    return "; ".join(parts) or colour("up to date", "good")


def switched(outcome: SwitchOutcome, *, applied: bool, top: Path | None) -> str:
    """Where the checkout is now."""
    verb = "on" if applied else "would switch to"
    return (
        f"{verb} {outcome.rev} ({short(outcome.commit)}) with {count(outcome.outs, 'out')} in {top}"
    )
