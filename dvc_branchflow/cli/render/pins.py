"""What branches are built on now."""

from __future__ import annotations

from collections.abc import Sequence

from dvc_branchflow.cli.text import colour, short, table, told
from dvc_branchflow.errors import RejectedError
from dvc_branchflow.pins import PinOutcome


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


def pinned_each(outcomes: Sequence[PinOutcome], *, applied: bool) -> str:
    """What `pin` set, or would set, on many branches: a line each."""
    verb = "pinned" if applied else "would pin"
    rows = []
    for one in outcomes:
        if one.error:
            verdict = "refused" if isinstance(one.error, RejectedError) else "left"
            row = (colour(verdict, "bad"), told(one.error))
        elif not one.files_changed:
            row = ("pins the newest already", "")
        else:
            moved = ", ".join(one.moved) or "the same commits"
            row = (colour(f"{verb} {moved}", "good"), short(one.commit))
        rows.append((one.branch, *row))
    return table(rows)
