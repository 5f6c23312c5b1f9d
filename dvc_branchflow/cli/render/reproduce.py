"""What came of making a release once more."""

from __future__ import annotations

from textwrap import indent

from dvc_branchflow.cli.text import cell, colour, count, printable, short, size, table
from dvc_branchflow.reproduce import ReproduceOutcome, ReproducePlan
from dvc_branchflow.work.reproductions import Reproduction

_SHOWN = 12


def planned(plan: ReproducePlan) -> str:
    """What a reproduction would do."""
    lines = [
        f"would run {count(len(plan.stages), 'stage')} of {plan.tag}: {', '.join(plan.stages)}",
        f"  on {count(plan.outs, 'out')}, {size(plan.size_bytes)}",
    ]
    lines += [f"  on {name} at {short(sha)}" for name, sha in sorted(plan.pins.items())]
    lines += [f"  as it is, since it is frozen: {name}" for name in plan.frozen]
    return "\n".join(lines)


def reproduced(outcome: ReproduceOutcome) -> str:
    """What it came to, and all that differs."""
    found = outcome.reproduction
    is_good = found.verdict in {"identical", "within tolerance"}
    verb = "reproduced" if is_good else "could not reproduce"
    verdict = colour(found.verdict, "good" if is_good else "bad")
    lines = [f"{verb} {found.tag} in {found.seconds:.1f} s: {verdict}"]
    if found.reason:
        lines.append(f"  {printable(found.reason)}; its log: {outcome.log}")
    same = len(found.outs) - len(found.outs_that_differ)
    if found.outs:
        lines.append(f"  {same} of {count(len(found.outs), 'out')} the same, bit for bit")
    rows = _differences(found)
    if rows:
        lines.append(indent(table(rows[:_SHOWN], ("", "", "recorded", "found")), "  "))
    if len(rows) > _SHOWN:
        lines.append(f"  and {len(rows) - _SHOWN} more; --json has them all")
    if outcome.path:
        lines.append(f"recorded in {outcome.path} {short(outcome.commit)}")
    return "\n".join(lines)


def _differences(found: Reproduction) -> list[tuple[str, ...]]:
    """What differs, a row each: kind, name, both sides."""
    rows = [
        ("out", path, short(str(pair.recorded)), short(str(pair.found or "not made")))
        for path, pair in found.outs_that_differ.items()
    ]
    others = [("metric", found.metrics_that_differ)]
    if found.verdict != "identical":
        others.append(("with", found.versions_that_differ))
    rows += [
        (kind, name, _in_full(pair.recorded), _in_full(pair.found))
        for kind, pairs in others
        for name, pair in pairs.items()
    ]
    return [tuple(map(cell, row)) for row in rows]


def _in_full(value: object) -> str:
    """A value to its last digit, since that may be the one that differs."""
    return "-" if value is None else str(value)
