"""Erases objects by law: off all branches first, then every copy of them, wherever it lies.

A tombstone on the tracking branch says what was erased, and why. Old commits go on naming the
objects and can't be pulled whole any more. The same command again goes on where it was cut short.
"""

from __future__ import annotations

import shlex
import time
from collections.abc import Collection, Iterable, Mapping, Sequence

from dvc_branchflow.errors import StorageError, UsageError
from dvc_branchflow.git import Change, NewCommit
from dvc_branchflow.manifest import oids
from dvc_branchflow.model import Branch, Oid, Sha
from dvc_branchflow.objects.doomed import forget
from dvc_branchflow.project import Project
from dvc_branchflow.tombstones import Tombstone
from dvc_branchflow.values import dataclass
from dvc_branchflow.work.commits import read_commit
from dvc_branchflow.work.erasing import ErasePlan, EraseRequest, Erasure
from dvc_branchflow.work.erasures import Proof, Searched, read_proof, render_proof
from dvc_branchflow.work.leases import utc
from dvc_branchflow.work.publish import Move, publish
from dvc_branchflow.work.races import until_won
from dvc_branchflow.work.remnants import (
    Place,
    delete_everywhere,
    files_left,
    look_everywhere,
    own_worktrees,
)
from dvc_branchflow.work.transfer import Report, manifest_of


@dataclass(frozen=True, slots=True)
class EraseOutcome:
    """What was done.

    Attributes:
        plan: as it was found before.
        commits: the new tip of each branch that moved.
        places: what is left there.
        held: branches that hold the objects again, or still.
        proof: the proof's path on the tracking branch; empty where there can't be one yet.
    """

    plan: ErasePlan
    commits: Mapping[Branch, Sha]
    places: tuple[Place, ...]
    held: tuple[Branch, ...]
    proof: str

    @property
    def is_done(self) -> bool:
        """Whether no copy is left."""
        return bool(self.proof)


@dataclass(frozen=True, slots=True)
class ErasureCheck:
    """An erasure, looked at anew.

    Attributes:
        objects: how many it names.
        proven: when all copies were found gone, ISO 8601 in UTC; empty: not yet.
        back: the places that have copies. held: the branches that hold any of the objects.
    """

    id: str
    reason: str
    who: str
    when: str
    objects: int
    proven: str
    back: tuple[Place, ...]
    held: tuple[Branch, ...]

    @property
    def is_good(self) -> bool:
        """Whether nobody has any of it."""
        return not (self.back or self.held)


def plan_erasure(project: Project, request: EraseRequest, report: Report) -> ErasePlan:
    """Find everything that holds or names objects; nothing is changed.

    Raises: UsageError: nothing is called so. GitError, FlowError: refs or history are away.
    """
    return Erasure(project, request, report).plan(report)


def erase(project: Project, request: EraseRequest, report: Report) -> EraseOutcome:
    """Take objects off all branches, mark the runs that they touched, and delete every copy.

    Raises: StorageError: a place can't be reached, so that copies may remain there; all else is
        done. RejectedError: a rule refuses a commit; nothing is done.
    """

    def attempt() -> tuple[ErasePlan, Erasure, list[Move]]:
        found = Erasure(project, request, report)
        plan = found.plan(report)
        moves = found.moves()
        if moves:
            publish(project, moves, reason=f"branchflow erase {plan.id}", report=report)
        return plan, found, moves

    plan, found, moves = until_won(project, attempt, report)
    places = _deleted(project, found, report)
    project.refresh()
    held = tuple(_held(project.as_published(), found.objects))
    proof = ""
    if not held and not any(one.copies or one.unknown for one in places):
        proof = until_won(project, lambda: _prove(project, plan, places, report), report)
    unknown = "; ".join(f"{one.name}: {one.unknown}" for one in places if one.unknown)
    if unknown:
        words = ["storage", "erase", request.what, "--reason", plan.reason, "--yes"]
        raise StorageError(
            f"all else of erasure {plan.id} is done, but copies may remain: {unknown}",
            hint=f"git branchflow {shlex.join(words)}",
        )
    commits = {move.branch: move.new for move in moves}
    return EraseOutcome(plan, commits, tuple(places), held, proof)


def check_erasures(project: Project, names: Sequence[str], report: Report) -> list[ErasureCheck]:
    """Prove again that nobody has what was erased, by looking everywhere.

    Args:
        names: ids of erasures; none: all.
    Raises: UsageError: no such erasure. StorageError: a place can't be searched, and no other has
        anything.
    """
    project.refresh()
    known = {one.id: one for one in project.tombstones}
    for name in names:
        if name not in known:
            raise UsageError(f"there is no erasure '{name[:60]}'; there are: {', '.join(known)}")
    chosen = [one for one in known.values() if not names or one.id in names]
    wanted = frozenset(oid for one in chosen for oid in one.oids)
    report(f"looking for objects: {len(wanted)}")
    places = look_everywhere(project, wanted) if wanted else []
    held = _held(project.as_published(), wanted) if wanted else {}
    found = [_checked(project, one, places, held) for one in chosen]
    unknown = [f"{one.name}: {one.unknown}" for one in places if one.unknown]
    if unknown and all(one.is_good for one in found):
        raise StorageError(f"copies may be there: {'; '.join(unknown)}")
    return found


def _checked(
    project: Project,
    tombstone: Tombstone,
    places: Iterable[Place],
    held: Mapping[Branch, Collection[Oid]],
) -> ErasureCheck:
    mine = tombstone.oids
    proof = read_proof(project, tombstone.id)
    return ErasureCheck(
        id=tombstone.id,
        reason=tombstone.reason,
        who=tombstone.who,
        when=tombstone.when,
        objects=len(mine),
        proven=proof.when if proof else "",
        back=tuple(one for one in places if not mine.isdisjoint(one.objects)),
        held=tuple(name for name, oids_there in held.items() if not mine.isdisjoint(oids_there)),
    )


def _held(shared: Project, wanted: Collection[Oid]) -> dict[Branch, set[Oid]]:
    """Which of the objects the tips of the team's branches hold now.

    Raises: StorageError: a manifest can't be had.
    """
    found: dict[Branch, set[Oid]] = {}
    known: dict[Oid, set[Oid]] = {}
    for name, tip in shared.tips.items():
        if shared.git_remote and not tip.published:
            continue
        for out in read_commit(shared.git, tip.sha).outs.values():
            if out.repo:  # its data is that repository's, and erased there
                continue
            if out.oid not in known:
                inside = oids(manifest_of(shared, out)) if out.is_dir else {out.oid}
                known[out.oid] = inside & set(wanted)
            if known[out.oid]:
                found.setdefault(name, set()).update(known[out.oid])
    return found


def _deleted(project: Project, found: Erasure, report: Report) -> list[Place]:
    """Delete every copy of what the team's tombstones name and no branch of its holds any more."""
    project.refresh()
    shared = project.as_published()
    held = {oid for there in _held(shared, found.objects).values() for oid in there}
    forgotten = forget(found.objects, shared.erased, held)
    places = delete_everywhere(project, forgotten, report)
    for file in files_left(forgotten.oids, found.paths, own_worktrees(project)):
        file.unlink(missing_ok=True)
    return places


def _prove(project: Project, plan: ErasePlan, places: Iterable[Place], report: Report) -> str:
    """Leave the proof on the tracking branch, unless there is one; return where it lies."""
    known = read_proof(project.as_published(), plan.id)
    if known is not None:
        return known.path
    proof = Proof(
        erasure=plan.id,
        who=project.git.identity(),
        when=utc(time.time()),
        searched=tuple(Searched(one.remote, one.sees_versions) for one in places if one.remote),
    )
    tip = project.as_published().tracking
    message = f"Prove that nothing is left of erasure {plan.id}\n\nErased: {plan.id}\n"
    change = Change(proof.path, render_proof(proof))
    sha = project.git.write_commits([NewCommit([tip.sha], message, [change])])[0]
    move = Move(tip.branch, tip, sha)
    publish(project, [move], reason=f"branchflow erase {plan.id}", report=report)
    return proof.path
