"""Sets branches' pins: the exact upstream commits that they are built on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from fnmatch import fnmatchcase

from dvc_branchflow.errors import BranchflowError, ConfigError, FlowError, RejectedError
from dvc_branchflow.flow import BranchSpec
from dvc_branchflow.git import NewCommit
from dvc_branchflow.model import Branch, Sha
from dvc_branchflow.project import Project
from dvc_branchflow.values import dataclass
from dvc_branchflow.work.commits import CommitReader
from dvc_branchflow.work.pinning import PinPlan, plan_pins
from dvc_branchflow.work.publish import Move, publish, unmovable
from dvc_branchflow.work.races import until_won
from dvc_branchflow.work.transfer import Report
from dvc_branchflow.work.worktrees import branch_lock

_Errors = dict[Branch, BranchflowError]


@dataclass(frozen=True, slots=True)
class PinOutcome:
    """What `pin` did: the pins now, the upstreams that moved, and the commit (None: none).

    `error` says why one of several branches was left as it is; nothing else is known of it then.
    """

    branch: Branch
    commits: Mapping[Branch, Sha]
    moved: tuple[Branch, ...]
    files_changed: int
    commit: Sha | None
    error: BranchflowError | None = None


def pin(
    project: Project,
    branch: str,
    wanted: Mapping[str, str],
    report: Report,
    *,
    dry_run: bool = False,
) -> PinOutcome:
    """Pin upstreams of a branch: all of them at their tips, or some at a rev.

    The commit is a merge with the upstream commits as further parents, so that plain
    `git merge-base` and `git tag --contains` answer lineage.

    Args:
        wanted: upstream → rev; empty: every upstream at its tip.
    """
    project.require_history("pin")

    def attempt() -> PinOutcome:
        spec = project.spec(branch)
        if not spec.upstreams:
            raise FlowError(f"'{branch}' has no upstreams to pin ('from' in branchflow.yaml)")
        with branch_lock(project, spec.branch, report):
            (outcome,) = _pin(project, branch, [spec], wanted, report, dry_run=dry_run)
        if outcome.error:
            raise outcome.error
        return outcome

    return until_won(project, attempt, report)


def pin_each(
    project: Project,
    pattern: str,
    wanted: Mapping[str, str],
    report: Report,
    *,
    dry_run: bool = False,
) -> list[PinOutcome]:
    """Pin upstreams of every branch that a pattern fits; the refs move together or not at all.

    A branch that can't be pinned, since a rule refuses it or a user stands on it, stops no other:
    it stays as it is, and its outcome says why.

    Args:
        pattern: as the shell's, such as `dev/*`.
        wanted: as of `pin`; a branch that lacks one of these upstreams is not meant.
    Raises: FlowError: no branch is meant. StorageError, GitError: nothing moved.
    """
    project.require_history("pin")

    def attempt() -> list[PinOutcome]:
        specs = [spec for spec in project.specs.values() if _is_meant(spec, pattern, wanted)]
        if not specs:
            upstreams = " and ".join(f"'{name}'" for name in wanted) or "any upstream"
            raise FlowError(
                f"no branch that fits '{pattern}' has {upstreams} ('from' in branchflow.yaml)",
                hint="git branchflow status",
            )
        with ExitStack() as locks:
            busy = _busy(project, specs, locks, report)
            free = [spec for spec in specs if spec.branch not in busy]
            outcomes = _pin(project, pattern, free, wanted, report, dry_run=dry_run)
        found = {one.branch: one for one in (*outcomes, *busy.values())}
        return [found[spec.branch] for spec in specs]

    return until_won(project, attempt, report)


def _is_meant(spec: BranchSpec, pattern: str, wanted: Mapping[str, str]) -> bool:
    has_all = bool(spec.upstreams) and wanted.keys() <= set(spec.upstreams)
    return has_all and fnmatchcase(spec.branch, pattern)


def _pin(
    project: Project,
    named: str,
    specs: Sequence[BranchSpec],
    wanted: Mapping[str, str],
    report: Report,
    *,
    dry_run: bool,
) -> list[PinOutcome]:
    plans, errors = _plans(project, specs, wanted)
    made: dict[Branch, Sha] = {}
    if not dry_run:
        made, refused = _apply(project, plans, f"branchflow pin {named}", report)
        errors |= refused
    return [
        _left(spec.branch, errors[spec.branch])
        if spec.branch in errors
        else _outcome(plans[spec.branch], made.get(spec.branch))
        for spec in specs
    ]


def _busy(
    project: Project, specs: Sequence[BranchSpec], locks: ExitStack, report: Report
) -> dict[Branch, PinOutcome]:
    """Take the locks of branches; a run may hold one for hours, and its branch is left as it is."""
    busy: dict[Branch, PinOutcome] = {}
    for spec in specs:
        try:
            locks.enter_context(branch_lock(project, spec.branch, report, waits=False))
        except FlowError as error:
            hint = f"git branchflow pin {spec.branch}  # waits for it"
            busy[spec.branch] = _left(spec.branch, FlowError(error.message, hint=hint))
    return busy


def _plans(
    project: Project, specs: Sequence[BranchSpec], wanted: Mapping[str, str]
) -> tuple[dict[Branch, PinPlan], _Errors]:
    """What each branch is to pin, or why it can't; each commit is read once for all of them."""
    revs = {Branch(name): _rev(project, name, rev) for name, rev in wanted.items()}
    reader = CommitReader(project.git)
    reader.load(project.tip(spec.branch).sha for spec in specs)
    plans: dict[Branch, PinPlan] = {}
    errors: _Errors = {**unmovable(project, [spec.branch for spec in specs])}
    for spec in (spec for spec in specs if spec.branch not in errors):
        try:
            plans[spec.branch] = _plan(project, spec, revs, reader)
        except (ConfigError, FlowError) as error:
            errors[spec.branch] = error
    return plans, errors


def _plan(
    project: Project, spec: BranchSpec, revs: Mapping[Branch, Sha], reader: CommitReader
) -> PinPlan:
    tip = project.tip(spec.branch).sha
    current = reader.read([tip])[tip]
    kept = current.pins.commits if revs else {}
    kept = {name: sha for name, sha in kept.items() if name in spec.upstreams}
    return plan_pins(project, spec, current, {**kept, **revs}, reader)


def _apply(
    project: Project, plans: Mapping[Branch, PinPlan], reason: str, report: Report
) -> tuple[dict[Branch, Sha], _Errors]:
    """Write all commits at once, and move all refs at once but those that the judge refuses."""
    new = {branch: _commit(project, plan) for branch, plan in plans.items() if plan.changes}
    made = dict(zip(new, project.git.write_commits(list(new.values())), strict=True))
    moves = {branch: Move(branch, project.tip(branch), sha) for branch, sha in made.items()}
    refused: _Errors = {}
    while moves:
        try:
            publish(project, list(moves.values()), reason=reason, report=report)
            break
        except RejectedError as error:
            named = {branch: error.refused[branch] for branch in moves if branch in error.refused}
            if not named:
                raise
            refused |= named
            moves = {branch: move for branch, move in moves.items() if branch not in named}
    return {branch: made[branch] for branch in moves}, refused


def _commit(project: Project, plan: PinPlan) -> NewCommit:
    tip = project.tip(plan.branch).sha
    parents = [tip, *(sha for sha in plan.upstreams if sha != tip)]
    trailers = "\n".join(plan.trailers)
    subject = f"Pin {', '.join(plan.moved) or 'the same commits, rendered anew'}"
    message = f"{subject}\n\n{trailers}\n" if trailers else f"{subject}\n"
    return NewCommit(parents, message, plan.changes)


def _rev(project: Project, upstream: str, rev: str) -> Sha:
    tip = project.tip(upstream).sha
    sha = project.git.resolve(rev) if rev else tip
    if not project.is_before(sha, tip):
        raise FlowError(
            f"'{rev}' is no commit of '{upstream}'", hint=f"git log --oneline {upstream}"
        )
    return sha


def _left(branch: Branch, error: BranchflowError) -> PinOutcome:
    return PinOutcome(branch, {}, (), 0, None, error)


def _outcome(plan: PinPlan, commit: Sha | None) -> PinOutcome:
    return PinOutcome(plan.branch, plan.pins.commits, plan.moved, len(plan.changes), commit)
