"""Rules and places."""

from __future__ import annotations

from dvc_branchflow.policy.catalog import Rule
from dvc_branchflow.policy.places import Placement


def rule(found: Rule) -> str:
    """A rule, why it is there, and the way out."""
    notes = "; it can't be turned down" if found.is_fixed else ""
    return "\n".join(
        [
            f"{found.code}: {found.says}",
            f"  why: {found.why}",
            f"  repair: {found.repair}",
            f"  binds: {', '.join(found.roles)} branches{notes}",
        ]
    )


def placement(answer: Placement) -> str:
    """What a branch is for, and whether a file may go there."""
    verb = "may go" if answer.may else f"may not go ({answer.code})"
    lines = [
        f"{answer.branch} is a {answer.role} branch: {answer.purpose}",
        f"  {answer.path} {verb} there: {answer.reason}",
    ]
    return "\n".join([*lines, *([f"  instead: {answer.instead}"] if answer.instead else [])])
