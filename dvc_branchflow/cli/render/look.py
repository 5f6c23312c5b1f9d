"""The whole flow on one screen."""

from __future__ import annotations

from dvc_branchflow.cli.text import colour, count, short, size, table
from dvc_branchflow.model import Role
from dvc_branchflow.status import BranchStatus, FlowStatus

_SHOWN = 8


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
