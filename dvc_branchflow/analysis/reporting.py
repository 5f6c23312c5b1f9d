"""Reports an experiment: its rows pinned, judged, and the verdict committed on its branch."""

from __future__ import annotations

import time
from collections.abc import Sequence

from dvc_branchflow import __version__
from dvc_branchflow.analysis.gathering import Gathered, gather
from dvc_branchflow.analysis.planning import branch_of, planned
from dvc_branchflow.errors import FlowError
from dvc_branchflow.experiment.findings import PAGE, REPORT, Findings, Segment
from dvc_branchflow.experiment.plan import Metric, Plan
from dvc_branchflow.experiment.verdict import Effect, Verdict, decide, measure, mismatch
from dvc_branchflow.flow import describe
from dvc_branchflow.git import Change, NewCommit
from dvc_branchflow.model import PLAN_FILE, Branch, Sha
from dvc_branchflow.pages.analysis import report_page
from dvc_branchflow.project import Project, Tip
from dvc_branchflow.typed import encode
from dvc_branchflow.values import dataclass, replace
from dvc_branchflow.watch.windows import SECOND
from dvc_branchflow.work.commits import CommitData
from dvc_branchflow.work.environments import Environment, environment
from dvc_branchflow.work.importing import import_outs
from dvc_branchflow.work.pinning import plan_pins
from dvc_branchflow.work.publish import Move, publish, require_movable
from dvc_branchflow.work.races import until_won
from dvc_branchflow.work.transfer import Report
from dvc_branchflow.work.worktrees import branch_lock


@dataclass(frozen=True, slots=True)
class ReportOutcome:
    """What a report found; `commit` is None where it was there already, or was not to be."""

    findings: Findings
    commit: Sha | None


def report_on(
    project: Project, name: str, report: Report, *, dry_run: bool = False
) -> ReportOutcome:
    """Judge an experiment by what is logged so far, and commit the verdict with the data's pin.

    Raises: FlowError: there is no plan, or nothing is logged. RejectedError: the plan is not
        older than the data on its branch.
    """
    project.require_history("analysis report")
    project.refresh()
    branch = branch_of(project, name)

    def attempt() -> ReportOutcome:
        plan, tip, data = planned(project, name)
        env = environment(project, plan.environment)
        if env.tip is None:
            raise FlowError(
                f"nothing is logged on '{env.spec.branch}' yet",
                hint="git branchflow monitor log FILE",
            )
        findings = _findings(project, env, plan, branch, tip, report)
        if dry_run:
            return ReportOutcome(findings, None)
        return ReportOutcome(findings, _commit(project, env, tip, data, findings, report))

    with branch_lock(project, branch, report):
        return until_won(project, attempt, report)


def _findings(
    project: Project, env: Environment, plan: Plan, branch: Branch, tip: Tip, report: Report
) -> Findings:
    first = project.git.text(
        "log", "--format=%H %ct", "--diff-filter=A", tip.sha, "--", PLAN_FILE
    ).split()
    commit, seconds = (first[-2], int(first[-1])) if first else ("", 0)
    report(f"reading {plan.horizon}")
    gathered = gather(env, plan, seconds * SECOND, report)
    units = gathered.units_by_group()
    treated = list(plan.groups)[1:]
    is_over = int(time.time()) * SECOND >= plan.horizon.end
    effects = [_effect(plan, gathered, plan.metric, group) for group in treated]
    guards = {
        group: [(metric, _effect(plan, gathered, metric, group)) for metric in plan.guardrails]
        for group in treated
    }
    p = mismatch(plan, units)
    verdicts = [
        _verdict(plan, effect, guards[effect.group], p, is_over=is_over) for effect in effects
    ]
    return Findings(
        name=plan.name,
        question=plan.question,
        branch=branch,
        plan_commit=commit,
        data_commit=env.tip.sha if env.tip else "",
        horizon=str(plan.horizon),
        rows=gathered.rows,
        units=units,
        needed=plan.rows_needed(),
        crossed=gathered.crossed,
        too_early=gathered.too_early,
        without_unit=gathered.without_unit,
        mismatch_p=p,
        is_over=is_over,
        verdicts=tuple(verdicts),
        effects=tuple(effects),
        guardrails=tuple(effect for group in treated for _, effect in guards[group]),
        segments=tuple(_segments(plan, gathered, treated)),
        power={group: _power(plan, units, group) for group in treated},
        judge=__version__,
        notes=_notes(plan),
    )


def _effect(plan: Plan, gathered: Gathered, metric: Metric, group: str) -> Effect:
    level = plan.level / (len(plan.groups) - 1)
    control, treated = (gathered.units(metric, name) for name in (plan.control, group))
    return measure(plan, metric, group, control, treated, alpha=level)


def _verdict(
    plan: Plan,
    effect: Effect,
    guards: Sequence[tuple[Metric, Effect]],
    p: float | None,
    *,
    is_over: bool,
) -> Verdict:
    if not min(effect.units):
        return Verdict(effect.group, "not yet", "a group has no rows yet that can be measured")
    return decide(plan, effect, guards, mismatch_p=p, is_over=is_over)


def _segments(plan: Plan, gathered: Gathered, treated: Sequence[str]) -> list[Segment]:
    parts = list(gathered.segments())
    level = plan.level / max(len(parts) * len(treated), 1)
    found = []
    for column, value, rows in parts:
        for group in treated:
            control, units = (
                gathered.units(plan.metric, name, rows) for name in (plan.control, group)
            )
            if control.tops.size and units.tops.size:
                effect = measure(plan, plan.metric, group, control, units, alpha=level)
                found.append(Segment(column, value, effect))
    return found


def _power(plan: Plan, units: dict[str, int], group: str) -> float:
    control, treated = units[plan.control], units[group]
    return plan.power_at(control, treated / control) if control and treated else 0.0


def _notes(plan: Plan) -> tuple[str, ...]:
    notes = []
    if plan.kind == "backtest":
        notes.append("a backtest: rows from before the plan count, so that it proves less")
    if len(plan.steps) > 1:
        notes.append("shares changed on the way: group sizes can't be held to one plan")
    return tuple(notes)


def _commit(
    project: Project,
    env: Environment,
    tip: Tip,
    data: CommitData,
    findings: Findings,
    report: Report,
) -> Sha | None:
    """Pin the monitor branch and commit the report, in one commit: a merge, if it lives here."""
    spec = describe(project.config, findings.branch, [*project.tips, env.spec.branch])
    if env.spec.branch not in spec.upstreams:
        raise FlowError(
            f"'{findings.branch}' is not built on '{env.spec.branch}'",
            hint=f"add '{env.spec.branch}' to its 'from' in branchflow.yaml",
        )
    require_movable(project, [findings.branch])
    # What an analyst has pinned besides stays where it is.
    others = {
        n: sha for n, sha in data.pins.commits.items() if n in {*spec.upstreams} - {env.spec.branch}
    }
    own = () if env.repo else (env.spec.branch,)
    pins = plan_pins(project, replace(spec, upstreams=(*own, *others)), data, others)
    imports = import_outs(env, data) if env.repo else []
    files = {REPORT: encode(findings), PAGE: report_page(findings).encode()}
    held = project.git.read_blobs([data.files[p].sha for p in files if p in data.files])
    changes = [
        Change(path, content)
        for path, content in files.items()
        if path not in data.files or held[data.files[path].sha] != content
    ]
    if not changes and not pins.changes and not imports:
        return None
    words = ", ".join(f"{one.group} {one.word}" for one in findings.verdicts)
    trailers = [*pins.trailers]
    if imports:
        trailers.append(f"Pin: {env.spec.branch}@{findings.data_commit} of {env.repo}")
    message = "\n".join([f"Report {findings.name}: {words}", "", *trailers]).rstrip() + "\n"
    parents = [tip.sha, *(sha for sha in pins.upstreams if sha != tip.sha)]
    commit = NewCommit(parents, message, [*pins.changes, *imports, *changes])
    sha = project.git.write_commits([commit])[0]
    move = Move(Branch(findings.branch), tip, sha)
    publish(project, [move], reason=f"branchflow report {findings.name}", report=report)
    return sha
