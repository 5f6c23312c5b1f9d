"""One renderer for each verb's value: what the user reads on stdout."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from dvc_branchflow.cli.text import colour, count, local_time, number, short, size, table
from dvc_branchflow.compare import Comparison
from dvc_branchflow.hooks import HookStep
from dvc_branchflow.ingest import IngestOutcome
from dvc_branchflow.init import InitPlan
from dvc_branchflow.model import Role
from dvc_branchflow.pins import PinOutcome
from dvc_branchflow.policy.catalog import Rule
from dvc_branchflow.policy.places import Placement
from dvc_branchflow.rejects import Rejects
from dvc_branchflow.releases import PromoteOutcome
from dvc_branchflow.runs import SyncStep
from dvc_branchflow.status import BranchStatus, FlowStatus
from dvc_branchflow.switch import SwitchOutcome
from dvc_branchflow.work.looks import Look
from dvc_branchflow.work.records import RunRecord
from dvc_branchflow.work.releasing import ReleaseOutcome, ReleasePlan
from dvc_branchflow.work.running import RunOutcome, RunPlan

_SHOWN = 8


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


def ingested(outcome: IngestOutcome, *, applied: bool) -> str:
    """What an ingest appended, or would append."""
    place = f"{outcome.branch}/{outcome.partition}" if outcome.partition else outcome.branch
    what = f"{count(len(outcome.added), 'file')}, {size(outcome.added_bytes)}"
    lines = [f"{'appended' if applied else 'would append'} {what} to {place}"]
    if not outcome.added:
        lines = [f"nothing new for {place}"]
    if outcome.commit:
        lines[0] += f" in {short(outcome.commit)}"
    if outcome.present:
        lines.append(f"  already there: {count(len(outcome.present), 'file')}")
    if outcome.duplicates:
        names = ", ".join(outcome.duplicates[:_SHOWN])
        lines.append(f"  same content as another file, stored once: {names}")
    return "\n".join(lines)


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
    kinds = {"run": "good", "released": "good", "failed": "bad", "below a failure": "warn"}
    rows = []
    for step in steps:
        verdict = (
            colour(step.verdict, kinds[step.verdict]) if step.verdict in kinds else step.verdict
        )
        detail = step.tag or short(step.commit)
        rows.append((step.branch, verdict, step.error.message if step.error else detail))
    return table(rows)


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


def rejects(found: Sequence[Rejects], *, why: bool) -> str:
    """What each run of the cleaning kept and rejected, and on request why."""
    if not found:
        return "no report of a cleaning yet"
    lines = [
        table(
            (
                (
                    local_time(row.when), short(row.commit), row.report,
                    f"{row.kept:,} of {row.rows:,}", f"{row.files_kept:,} of {row.files:,}",
                    "" if row.is_current else "replaced since",
                )
                for row in found
            ),
            ("when", "commit", "report", "rows kept", "files kept", ""),
        )
    ]  # fmt: skip
    if why:
        reasons: Counter[str] = Counter()
        for row in found:
            reasons.update(row.reasons if row.is_current else {})
        lines.append("now, over all partitions:")
        rows = [(f"  {count:,}", reason) for reason, count in reasons.most_common()]
        lines.append(table(rows) or "  nothing was rejected")
    return "\n".join(lines)


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


def hook_steps(steps: Sequence[HookStep], *, applied: bool) -> str:
    """What became of each hook."""
    if not steps:
        return "no hook of ours is installed"
    would = "" if applied else "would be "
    rows = [
        (step.name, would + step.action, f"'{step.path}' {step.reason}".strip()) for step in steps
    ]
    return table(rows)


def _branch_row(row: BranchStatus) -> tuple[str, ...]:
    holds = f"{count(row.files, 'file')}, {size(row.size_bytes)}" if row.outs else "-"
    if row.role in {Role.MAIN, Role.ANALYSIS}:
        holds = "-"
    return (row.branch, short(row.tip), holds, _state(row))


def _state(row: BranchStatus) -> str:
    parts = []
    if row.release:
        parts.append(row.release)
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
    if row.unpushed:
        parts.append(colour(f"{count(row.unpushed, 'commit')} not pushed", "warn"))
    return "; ".join(parts) or colour("up to date", "good")


def switched(outcome: SwitchOutcome, *, applied: bool, top: Path | None) -> str:
    """Where the checkout is now."""
    verb = "on" if applied else "would switch to"
    return (
        f"{verb} {outcome.rev} ({short(outcome.commit)}) with {count(outcome.outs, 'out')} in {top}"
    )
