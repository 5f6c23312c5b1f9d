"""Moves what branches make to another DVC remote: data first, then config and pointers together.

Nothing is taken from where it lay: older commits name that DVC remote, and are pulled from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dvc_branchflow.config import BranchRule, FlowConfig, with_remote
from dvc_branchflow.errors import StorageError, UsageError
from dvc_branchflow.flow import BranchSpec
from dvc_branchflow.git import Change, NewCommit
from dvc_branchflow.gitobjects import Entry
from dvc_branchflow.model import CONFIG_FILE, DVC_CONFIG, Branch, Oid, Role, Sha
from dvc_branchflow.project import Project, Tip
from dvc_branchflow.values import dataclass
from dvc_branchflow.work.commits import CommitData, read_commit
from dvc_branchflow.work.mirroring import Filled, fill
from dvc_branchflow.work.pinning import pinned_outs
from dvc_branchflow.work.publish import Move, publish, require_movable
from dvc_branchflow.work.races import until_won
from dvc_branchflow.work.redirecting import (
    Remotes,
    pipeline_changes,
    pointer_changes,
    settings_changes,
    to_be_sent,
)
from dvc_branchflow.work.required import Required
from dvc_branchflow.work.stock import shared_remotes
from dvc_branchflow.work.transfer import Report


@dataclass(frozen=True, slots=True)
class MovedBranch:
    """A branch that a move changes, or would.

    Attributes:
        files: what changes: pointers, `dvc.yaml`, branchflow.yaml on the tracking branch, and
            `.dvc/config` where it does not know the DVC remote.
        commit: the one that changes them; None: it is not made, or nothing was to change.
    """

    branch: Branch
    files: tuple[str, ...]
    commit: Sha | None = None


@dataclass(frozen=True, slots=True)
class MoveOutcome:
    """What was moved, or would be.

    Attributes:
        entries: what of the config's `branches` names the DVC remote now.
        branches: those that the team shares; `left`: those that only this clone has.
        filled: how the DVC remote stands to what the branches have made at any commit.
    """

    remote: str
    entries: tuple[str, ...]
    branches: tuple[MovedBranch, ...]
    left: tuple[Branch, ...]
    filled: Filled


@dataclass(frozen=True, slots=True)
class _Plan:
    """A branch to move: which outs, and what changes for it."""

    spec: BranchSpec
    tip: Tip
    instead_of: Remotes
    oids: frozenset[Oid]
    changes: tuple[Change, ...]


def move(
    project: Project, what: str, to: str, report: Report, *, dry_run: bool = False
) -> MoveOutcome:
    """Copy what branches have made to a DVC remote, and have them name it from now on.

    Config and pointers move in one transaction, after all objects are proven to be there.

    Args:
        what: a name or pattern of the config, or a role.
        to: the DVC remote.
    Raises: StorageError: a DVC remote is away, or an object is nowhere; no ref moved.
        UsageError: nothing in the config is called so.
    """
    project.refresh()
    (to,) = shared_remotes(project, (to.lower(),))
    rules = _rules(project, what)
    return until_won(project, lambda: _attempt(project, rules, to, report, dry_run=dry_run), report)


def _attempt(
    project: Project, rules: Sequence[BranchRule], to: str, report: Report, *, dry_run: bool
) -> MoveOutcome:
    patterns = tuple(rule.pattern for rule in rules)
    shared = project.as_published()
    here = {s.branch for s in shared.specs.values() if not _is_shared(shared, s)}
    specs = [spec for spec in shared.specs.values() if spec.branch not in here]
    plans = [_plan(shared, spec, to) for spec in specs if spec.rule.pattern in patterns]
    changes = {plan.spec.branch: list(plan.changes) for plan in plans}
    for spec in specs:
        entry = _entry(shared, shared.tip(spec.branch), DVC_CONFIG)
        changes.setdefault(spec.branch, []).extend(settings_changes(shared, entry, [to]))
    changes.setdefault(shared.tracking.branch, []).extend(_config_changes(shared, patterns, to))
    changed = {branch: made for branch, made in changes.items() if made}
    if not dry_run:
        require_movable(shared, list(changed))
    filled = _filled(project, plans, to, report, dry_run=dry_run)
    made: dict[Branch, Sha] = {}
    if changed and not dry_run:
        made = _publish(
            project, shared, changed, f"Send outs of {', '.join(patterns)} to {to}", report
        )
    moved = [plan.spec.branch for plan in plans]
    return MoveOutcome(
        remote=to,
        entries=patterns,
        branches=tuple(
            MovedBranch(branch, tuple(one.path for one in changes[branch]), made.get(branch))
            for branch in dict.fromkeys([*moved, *changed])
        ),
        left=tuple(sorted(here & {s.branch for s in shared.specs.values() if s.rule in rules})),
        filled=filled,
    )


def _is_shared(project: Project, spec: BranchSpec) -> bool:
    return not project.git_remote or project.tip(spec.branch).published is not None


def _publish(
    project: Project,
    shared: Project,
    changed: Mapping[Branch, Sequence[Change]],
    subject: str,
    report: Report,
) -> dict[Branch, Sha]:
    tips = [shared.tip(branch) for branch in changed]
    shas = project.git.write_commits(
        [NewCommit([tip.sha], f"{subject}\n", changed[tip.branch]) for tip in tips]
    )
    moves = [Move(tip.branch, tip, sha) for tip, sha in zip(tips, shas, strict=True)]
    publish(project, moves, reason="branchflow storage move", report=report)
    return {one.branch: one.new for one in moves}


def _rules(project: Project, what: str) -> tuple[BranchRule, ...]:
    """The config's entries of a name, or of a role."""
    config: FlowConfig = project.config
    found = tuple(rule for rule in config.rules if rule.pattern == what)
    if not found and what in set(Role):
        found = config.with_role(Role(what))
    if any(rule.role is Role.MAIN for rule in found):
        raise UsageError(f"'{what}' is a main branch, which has no outs")
    if found:
        return found
    cover = config.rule_for(what)
    known = ", ".join(rule.pattern for rule in config.rules if rule.role is not Role.MAIN)
    raise UsageError(
        f"'{what[:60]}' is no entry of {CONFIG_FILE} and no role of one; there are: {known}",
        hint=f"git branchflow storage move '{cover.pattern}' REMOTE" if cover else None,
    )


def _plan(project: Project, spec: BranchSpec, to: str) -> _Plan:
    tip = project.tip(spec.branch)
    data = read_commit(project.git, tip.sha)
    own = spec.rule.remote.lower() if spec.rule.remote else None
    instead_of = (to_be_sent(project, spec) | {own}) - {to}
    changes = (
        *pipeline_changes(project.git, data.files, to, instead_of),
        *pointer_changes(project, spec, data, to, instead_of),
    )
    return _Plan(spec, tip, instead_of, frozenset(_oids(project, spec, data, instead_of)), changes)


def _oids(project: Project, spec: BranchSpec, data: CommitData, instead_of: Remotes) -> set[Oid]:
    pinned = pinned_outs(project, spec, data)
    outs = (out for path, out in data.outs.items() if path not in pinned)
    return {out.oid for out in outs if (out.remote.lower() if out.remote else None) in instead_of}


def _config_changes(project: Project, patterns: Sequence[str], to: str) -> tuple[Change, ...]:
    entry = _entry(project, project.tracking, CONFIG_FILE)
    assert entry is not None  # noqa: S101  the config was read from it
    before = project.git.read_blobs([entry.sha])[entry.sha]
    content = with_remote(before, patterns, to)
    return (Change(CONFIG_FILE, content, mode=entry.mode),) if content != before else ()


def _entry(project: Project, tip: Tip, path: str) -> Entry | None:
    return project.git.entry(project.git.commits([tip.sha])[tip.sha].tree, path)


def _filled(
    project: Project, plans: Sequence[_Plan], to: str, report: Report, *, dry_run: bool
) -> Filled:
    """Bring what the branches made at any commit to the DVC remote.

    Raises: StorageError: something of it is nowhere, or can't be told.
    """
    if not plans:
        return Filled(0, 0, 0, 0, 0, 0, (), ())
    lines = {
        plan.spec.branch: set(project.git.rev_list("--first-parent", plan.tip.sha))
        for plan in plans
    }
    default = project.dvc_config.default_remote
    owners = {spec.data: spec.branch for spec in project.specs.values() if spec.data}

    def is_moved(one: Required) -> bool:
        """Whether a branch's own line made an object, or its tip names it as the branch's own."""
        foreign = {
            name
            for data, name in owners.items()
            if one.path == data or one.path.startswith(f"{data}/")
        }
        for plan in plans:
            names = {name or default for name in plan.instead_of}
            is_own = one.commit in lines[plan.spec.branch] and foreign <= {plan.spec.branch}
            if one.oid in plan.oids or (is_own and one.remote in names):
                return True
        return False

    refs = [plan.spec.branch for plan in plans]
    filled = fill(project, to, refs, report, only=is_moved, dry_run=dry_run)
    if not dry_run and (filled.lacking or filled.unknown):
        why = filled.unknown[0] if filled.unknown else f"'{filled.findings[0].path}' is nowhere"
        raise StorageError(
            f"can't bring all to DVC remote '{to}', so that nothing moved: {why}",
            hint="git branchflow storage verify",
        )
    return filled
