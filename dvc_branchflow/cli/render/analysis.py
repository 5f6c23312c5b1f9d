"""Plans, groups and verdicts of experiments."""

from __future__ import annotations

from dvc_branchflow.analysis.planning import Assigned, PlanOutcome
from dvc_branchflow.analysis.reporting import ReportOutcome
from dvc_branchflow.cli.text import colour, count, number, short, table
from dvc_branchflow.experiment.findings import Findings
from dvc_branchflow.experiment.verdict import MISMATCH, Effect

_COLOURS = {"ship": "good", "stop": "bad", "hold": "warn", "not yet": "dim"}


def planned(outcome: PlanOutcome, *, applied: bool) -> str:
    """What was planned, and what it needs."""
    verb = "planned" if applied and outcome.commit else "would plan"
    if applied and outcome.commit is None:
        verb = "is planned already:"
    lines = [f"{verb} {outcome.name} on {outcome.branch} {short(outcome.commit)}".rstrip()]
    lines.append(table((f"  {group}", count(n, "unit")) for group, n in outcome.units.items()))
    return "\n".join(lines)


def assigned(found: Assigned) -> str:
    """The group of each unit."""
    return table(found.groups.items())


def reported(outcome: ReportOutcome) -> str:
    """The verdicts, the reasons, and the effects."""
    found = outcome.findings
    lines = [
        f"{one.group}: {colour(one.word, _COLOURS[one.word])}, {one.reason}"
        for one in found.verdicts
    ]
    sizes = (f"{group} {n:,} of {found.needed.get(group, 0):,}" for group, n in found.units.items())
    lines.append(f"units, of those needed: {', '.join(sizes)}")
    lines += _odd(found)
    header = ("metric", "group", "control", "treated", "effect", "fixed horizon", "any time")
    lines.append(table((_row(one) for one in (*found.effects, *found.guardrails)), header))
    lines += found.notes
    if outcome.commit:
        lines.append(f"committed to {found.branch} {short(outcome.commit)}; page: report.html")
    return "\n".join(lines)


def _odd(found: Findings) -> list[str]:
    lines = []
    if found.mismatch_p is not None:
        fits = "fit" if found.mismatch_p >= MISMATCH else "don't fit"
        lines.append(f"group sizes {fits} the plan, p = {found.mismatch_p:.2g}")
    if found.crossed:
        lines.append(f"left out: {count(found.crossed, 'unit')} in more than one group")
    if found.too_early:
        lines.append(f"left out: {count(found.too_early, 'row')} from before the plan")
    if found.without_unit:
        lines.append(f"left out: {count(found.without_unit, 'row')} without a unit")
    return lines


def _row(one: Effect) -> tuple[str, ...]:
    return (
        one.metric,
        one.group,
        number(one.control.estimate),
        number(one.treated.estimate),
        number(one.effect.estimate),
        f"{number(one.effect.low)} to {number(one.effect.high)}",
        f"{number(one.sequential.low)} to {number(one.sequential.high)}",
    )
