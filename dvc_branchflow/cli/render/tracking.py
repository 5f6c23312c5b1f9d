"""What went to an MLflow store, and what came from there."""

from __future__ import annotations

from dvc_branchflow.cli.text import count, printable, short, table
from dvc_branchflow.exchange import ExportOutcome, ImportOutcome

_SHOWN = 8


def exported(outcome: ExportOutcome, *, applied: bool) -> str:
    """What an export wrote, or would write."""
    verb = "wrote" if applied else "would write"
    written = count(len(outcome.written), "record")
    lines = [f"{verb} {written} to {outcome.store}"]
    if not outcome.written:
        lines = [f"nothing new for {outcome.store}"]
    lines += _tags("", outcome.written)
    lines += _tags("completed " if applied else "would complete ", outcome.completed)
    if outcome.present:
        lines.append(f"  already there: {count(outcome.present, 'record')}")
    return "\n".join(lines)


def imported(outcome: ImportOutcome, *, applied: bool) -> str:
    """What an import brought, or would bring, and what it left alone."""
    verb = "imported" if applied else "would import"
    runs = count(len(outcome.imported), "run")
    lines = [f"{verb} {runs} of {outcome.tag} {short(outcome.commit)}".rstrip()]
    if not outcome.imported:
        lines = [f"nothing new for {outcome.tag}"]
    rows = [
        (f"  {run.run_id}", printable(run.name), run.status, count(len(run.metrics), "metric"))
        for run in outcome.imported
    ]
    lines += [table(rows)] if rows else []
    if outcome.present:
        lines.append(f"  already there: {count(outcome.present, 'run')}")
    lines += [
        f"  left out {run.run_id} {printable(run.name)}: {run.reason}" for run in outcome.left_out
    ]
    return "\n".join(lines)


def _tags(verb: str, tags: tuple[str, ...]) -> list[str]:
    more = len(tags) - _SHOWN
    shown = ", ".join(tags[:_SHOWN]) + (f" and {more} more" if more > 0 else "")
    return [f"  {verb}{shown}"] if tags else []
