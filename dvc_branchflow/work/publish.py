"""Moves refs to new commits: data first, proven on its remote; then all refs in one transaction."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence

from dvc_branchflow.errors import FlowError, LostRaceError, StorageError
from dvc_branchflow.model import Branch, Out, RefUpdate, Sha
from dvc_branchflow.project import Project, Tip
from dvc_branchflow.values import dataclass, replace
from dvc_branchflow.work.checkouts import checked_out
from dvc_branchflow.work.commits import CommitData, read_commits
from dvc_branchflow.work.judging import Case, RefMove, require_lawful, shared_refs
from dvc_branchflow.work.marks import DRAIN_SECONDS, Quiet
from dvc_branchflow.work.transfer import Need, Report, ensure_stored, joined, needs_of

_HEADS = "refs/heads/"
_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Move:
    """A branch to move from the tip that a plan was made on (None: new) to a commit."""

    branch: Branch
    old: Tip | None
    new: Sha


@dataclass(frozen=True, slots=True)
class NewTag:
    """An annotated tag to create."""

    ref: str
    sha: Sha
    commit: Sha


def require_movable(project: Project, branches: Sequence[str]) -> None:
    """Raise FlowError where a branch is not there or can't be moved; see `unmovable`."""
    for error in unmovable(project, branches).values():
        raise error


def unmovable(project: Project, branches: Iterable[str]) -> dict[Branch, FlowError]:
    """Return why branches can't be moved: that would lose commits, or pull one from under a user.

    With a git remote the branch is moved there, and a checked-out one here is left behind it.
    Raises: FlowError: there is no such branch.
    """
    found: dict[Branch, FlowError] = {}
    held = checked_out(project) if project.git_remote is None else {}
    for tip in map(project.tip, branches):
        if tip.is_diverged:
            found[tip.branch] = FlowError(
                f"'{tip.branch}' here and on git remote '{project.git_remote}' went different ways",
                hint=f"git switch {tip.branch}; git pull --rebase",
            )
        elif tip.branch in held:
            where = held[tip.branch]
            found[tip.branch] = FlowError(
                f"'{tip.branch}' is checked out in '{where}', which this command leaves alone",
                hint=f"git -C '{where}' switch --detach",
            )
    return found


def publish(
    project: Project,
    moves: Sequence[Move],
    *,
    reason: str,
    report: Report,
    tags: Sequence[NewTag] = (),
    complete: Sequence[Sha] = (),
) -> None:
    """Store and prove the objects of all new commits, then move the refs: all of them or none.

    Args:
        complete: commits of which every object is proven, not only what is new.
    Raises: LostRaceError: a ref moved meanwhile. RejectedError: a rule refuses a commit.
        StorageError: an object can't be proven.
    """
    _require_lawful(project, moves, tags)
    tips = [move.new for move in moves] + [tag.commit for tag in tags]
    quiet = _store(project, tips, complete, report)
    looked = time.monotonic()
    if project.git_remote:
        updates = [
            RefUpdate(_HEADS + m.branch, m.old.published if m.old else None, m.new) for m in moves
        ]
        updates += [RefUpdate(tag.ref, None, tag.sha) for tag in tags]
        report(f"pushing {', '.join(u.ref.split('/', 2)[2] for u in updates)}")
        project.git.push(project.git_remote, updates)
    _move_here(project, moves, tags, reason)
    if time.monotonic() - looked > DRAIN_SECONDS and not quiet.holds():
        _store(project, [], tips, report)  # a gc may have looked before the refs moved
    project.refresh(fetch=False)


def _store(project: Project, tips: Sequence[Sha], complete: Sequence[Sha], report: Report) -> Quiet:
    """Store and prove what commits need, with no gc of a DVC remote in between."""
    remote = project.git_remote
    proven = [f"--remotes={remote}"] if remote else ["--branches", "--tags"]
    if project.flow is not None and project.flow.retention.is_limited:
        complete = [*complete, *tips]  # what old commits had may be gone by now
    for _ in range(_ROUNDS):
        quiet = Quiet(project, report)
        for needs in joined(new_needs(project, tips, proven, complete)):
            for need in needs:
                quiet.look(need.remote)
            ensure_stored(project, needs, report)
        if quiet.holds():
            return quiet
        report("a gc went over the DVC remote meanwhile; proving the objects again")
    raise StorageError("gc after gc went over the DVC remote", hint="try again later")


def new_needs(
    project: Project, tips: Sequence[Sha], proven: Sequence[str], complete: Sequence[Sha] = ()
) -> Iterator[list[Need]]:
    """Yield the objects that have to be stored before refs may move, oldest commit first.

    What was erased is not among them; whether a commit may name it is for the judge to say.

    Args:
        tips: the commits that refs are to move to.
        proven: what is behind commits that are stored already, as `git rev-list --not` takes it.
        complete: commits of which every object is named, not only what is new.
    """
    new = project.git.rev_list("--topo-order", *tips, "--not", *proven) if tips else []
    parents = {sha: commit.parents for sha, commit in project.git.commits(new).items()}
    around = {parent for group in parents.values() for parent in group}
    data = read_commits(project.git, [*new, *sorted(around), *complete])
    for sha in reversed(new):
        known = _known(data[sha], [data[parent] for parent in parents[sha]])
        yield _without_erased(project, needs_of(project, _ours(project, data[sha]), known))
    for sha in complete:
        yield _without_erased(project, needs_of(project, _ours(project, data[sha])))


def _ours(project: Project, commit: CommitData) -> list[Out]:
    return [out for out in commit.outs.values() if not project.lives_elsewhere(out)]


def _without_erased(project: Project, needs: list[Need]) -> list[Need]:
    erased = project.erased
    if not erased:
        return needs
    return [
        replace(need, files={oid: at for oid, at in need.files.items() if oid not in erased})
        for need in needs
    ]


def _require_lawful(project: Project, moves: Sequence[Move], tags: Sequence[NewTag]) -> None:
    remote = project.git_remote
    changes = [
        RefMove(
            _HEADS + m.branch,
            (m.old.published if remote else m.old.local) if m.old else None,
            m.new,
        )
        for m in moves
    ]
    changes += [RefMove(tag.ref, None, tag.sha) for tag in tags]
    require_lawful(project, Case(tuple(changes), shared_refs(project, remote)))


def _known(commit: CommitData, parents: Sequence[CommitData]) -> dict[str, Out]:
    """For each out, the same one in any parent, or else what the first parent has in its place."""
    known: dict[str, Out] = {}
    for path, out in commit.outs.items():
        before = [parent.outs[path] for parent in parents if path in parent.outs]
        same = [old for old in before if (old.oid, old.remote) == (out.oid, out.remote)]
        if before:
            known[path] = (same or before)[0]
    return known


def _move_here(
    project: Project, moves: Sequence[Move], tags: Sequence[NewTag], reason: str
) -> None:
    remote = project.git_remote
    held = checked_out(project) if remote else {}
    updates: list[RefUpdate] = []
    for move in moves:
        local = move.old.local if move.old else None
        follows = (
            local is not None and move.branch not in held and project.is_before(local, move.new)
        )
        if remote is None or follows:
            updates.append(RefUpdate(_HEADS + move.branch, local, move.new))
    updates += [RefUpdate(tag.ref, None, tag.sha) for tag in tags]
    try:
        project.git.update_refs(updates, reason)
    except LostRaceError:
        # What counts is on the git remote already; a branch that moved here is its owner's.
        if remote is None:
            raise
    if remote:
        project.git.fetch(remote)
