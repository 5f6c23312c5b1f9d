"""Code that moved to stable, and releases."""

from __future__ import annotations

from dvc_branchflow.cli.text import cell, count, number, short, table
from dvc_branchflow.experiments import ParamsOutcome
from dvc_branchflow.releases import PromoteOutcome
from dvc_branchflow.work.release_plan import ReleasePlan, plan_lines
from dvc_branchflow.work.releasing import ReleaseOutcome


def promoted(outcome: PromoteOutcome, *, applied: bool) -> str:
    """What promote moved, or would move."""
    if applied and outcome.commit is None:
        return f"{outcome.target} has the code of {outcome.source} already"
    verb = "promoted" if applied else "would promote"
    files = count(len(outcome.code), "changed file")
    lines = [
        f"{verb} {outcome.source} to {outcome.target}: {files} {short(outcome.commit)}".rstrip()
    ]
    if outcome.checks:
        lines.append(f"  checks: {', '.join(outcome.checks)}")
    if applied:
        lines.append(f"next: git branchflow release {outcome.target}")
    return "\n".join(lines)


def params_promoted(outcome: ParamsOutcome, *, applied: bool) -> str:
    """What became of an experiment's params."""
    if not outcome.params:
        return f"{outcome.branch} has the params of {cell(outcome.experiment)} already"
    verb = "took" if applied else "would take"
    head = f"{verb} the params of {cell(outcome.experiment)} to {outcome.branch}"
    rows = [
        (f"  {cell(name)}", f"{cell(old)} → {cell(new)}")
        for name, (old, new) in outcome.params.items()
    ]
    lines = [f"{head}: {short(outcome.commit)}" if outcome.commit else head, table(rows)]
    if applied:
        lines.append(f"next: git branchflow run {outcome.branch}")
    return "\n".join(lines)


def release_planned(plan: ReleasePlan | None) -> str:
    """What a release would be."""
    if plan is None:
        return "nothing to release: neither code nor data changed"
    lines = [f"would release {plan.tag} ({plan.reason}) from {plan.branch}"]
    return "\n".join([*lines, *(f"  {line}" for line in plan_lines(plan))])


def released(outcome: ReleaseOutcome) -> str:
    """What a release made."""
    record = outcome.record
    if record is None:
        return "nothing to release: neither code nor data changed"
    lines = [f"released {record.tag} in {record.seconds:.1f} s: {short(record.commit)}"]
    rows = [(f"  {name}", number(value)) for name, value in record.flat_metrics().items()]
    return "\n".join([*lines, table(rows)]).rstrip()
