"""Releases, records, and what they say side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from dvc_branchflow.cli.text import colour, count, local_time, number, short, table
from dvc_branchflow.compare import Comparison
from dvc_branchflow.releases import PromoteOutcome
from dvc_branchflow.work.looks import Look
from dvc_branchflow.work.records import RunRecord
from dvc_branchflow.work.release_plan import ReleasePlan
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


def release_planned(plan: ReleasePlan | None) -> str:
    """What a release would be."""
    if plan is None:
        return "nothing to release: neither code nor data changed"
    lines = [f"would release {plan.tag} ({plan.reason}) from {plan.branch}"]
    lines += [
        f"  on {name} at {short(sha)}" for name, sha in sorted(plan.pins.pins.commits.items())
    ]
    return "\n".join(lines)


def released(outcome: ReleaseOutcome) -> str:
    """What a release made."""
    record = outcome.record
    if record is None:
        return "nothing to release: neither code nor data changed"
    lines = [f"released {record.tag} in {record.seconds:.1f} s: {short(record.commit)}"]
    rows = [(f"  {name}", number(value)) for name, value in record.flat_metrics().items()]
    return "\n".join([*lines, table(rows)]).rstrip()


def run_list(records: Sequence[RunRecord]) -> str:
    """The records, a line each."""
    if not records:
        return "no runs on record yet"
    names = list(dict.fromkeys(name for record in records for name in record.flat_metrics()))[:4]
    rows = []
    for record in records:
        metrics = record.flat_metrics()
        pins = " ".join(f"{name}@{sha[:7]}" for name, sha in record.pins.items())
        values = [number(metrics[name]) if name in metrics else "-" for name in names]
        when = local_time(record.when)
        rows.append(
            (record.tag, when, *values, (record.certificate or "-")[:7], pins, short(record.commit))
        )
    return table(rows, ("release", "when", *names, "split", "pins", "commit"))


def looks(found: Sequence[Look]) -> str:
    """The looks at each test side, a split's certificate after the other."""
    if not found:
        return "no stage marked with 'meta: {side: test}' has run yet"
    counts = Counter((look.certificate, look.model) for look in found)
    rows = []
    seen: Counter[tuple[str | None, str]] = Counter()
    for look in sorted(found, key=lambda one: (str(one.certificate), one.model)):
        key = (look.certificate, look.model)
        seen[key] += 1
        rows.append(
            (
                (look.certificate or "-")[:10], look.model, f"{seen[key]} of {counts[key]}",
                local_time(look.when), look.branch, short(look.commit), ", ".join(look.stages),
                look.reason or "",
            )
        )  # fmt: skip
    header = ("split", "model", "look", "when", "branch", "commit", "stage", "reason")
    return table(rows, header)


def comparison(found: Comparison) -> str:
    """Releases side by side: what differs, and what to make of it."""
    rows: list[tuple[str, ...]] = []
    last = ""
    for (section, name), values in found.rows.items():
        if section not in {"metrics", "split"} and len(set(map(str, values))) == 1:
            continue
        cells = ["-" if value is None else number(value) for value in values]
        rows.append((section if section != last else "", name, *cells))
        last = section
    text = table(rows, ("", "", *(record.tag for record in found.records)))
    if not found.is_comparable:
        note = "not ranked: the releases were evaluated on different split certificates"
        text += "\n" + colour(note, "warn")
    return text
