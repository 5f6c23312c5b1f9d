"""Finds what an erasure is about: everything that names or holds its objects, over all history.

Manifests come from whichever DVC remote answers: one that is away may hold copies all the same, and
is named; it keeps nobody from erasing the others.
"""

from __future__ import annotations

import re
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property

from dvc_branchflow.errors import BranchflowError, UsageError
from dvc_branchflow.git import Change, NewCommit
from dvc_branchflow.manifest import entries, has_below, lookup, oids
from dvc_branchflow.model import Branch, Oid, Role, Sha, parse_path
from dvc_branchflow.policy.facts import is_below
from dvc_branchflow.project import Project, Tip
from dvc_branchflow.tombstones import Tombstone, erasure_id, render_tombstone
from dvc_branchflow.values import dataclass
from dvc_branchflow.work.commits import CommitData
from dvc_branchflow.work.forgetting import Holding, erasure_message, forget_on_branches, holdings
from dvc_branchflow.work.graph import Graph
from dvc_branchflow.work.leases import utc
from dvc_branchflow.work.publish import Move, require_movable
from dvc_branchflow.work.reach import bring_manifests
from dvc_branchflow.work.remnants import Place, files_left, look_everywhere, user_checkouts
from dvc_branchflow.work.roots import Kind, Roots, add_roots
from dvc_branchflow.work.touched import Derived, Touched, find_derived, find_touched
from dvc_branchflow.work.transfer import Report
from dvc_branchflow.work.uses import Use, containers, uses

_OID = re.compile(r"[0-9a-f]{32}(\.dir)?")
_RERUN = frozenset({Role.CLEAN, Role.SPLIT, Role.STABLE})
_EMPTY_FILE = Oid("d41d8cd98f00b204e9800998ecf8427e")


@dataclass(frozen=True, slots=True)
class EraseRequest:
    """What to erase: a path as branches have it, or the md5 of a file or directory; and why."""

    what: str
    reason: str


@dataclass(frozen=True, slots=True)
class ErasePlan:
    """What an erasure finds, and does about it.

    Attributes:
        id: what the tombstone is called.
        objects: the files that go.
        is_named: a tombstone names them already.
        outs: the outs that are or hold them, over all history, and who needs these.
        manifests: the directories that list them; these stay, for old commits.
        branches: those that get a commit.
        left: what goes on naming them, and can't be pulled whole any more.
        derived: what stages computed from them; whether they can be found in there nobody can tell.
        rerun: the branches whose results are older than what they are pinned to then.
        places: the copies on DVC remotes and in caches here.
        files: in the user's own checkouts, which are left alone.
        unknown: manifests that can't be had, so that they may list the objects as well.
    """

    id: str
    objects: tuple[Oid, ...]
    reason: str
    is_named: bool
    outs: tuple[Use, ...]
    manifests: tuple[Oid, ...]
    branches: tuple[Holding, ...]
    left: tuple[str, ...]
    touched: Touched
    derived: tuple[Derived, ...]
    rerun: tuple[Branch, ...]
    places: tuple[Place, ...]
    files: tuple[str, ...]
    unknown: tuple[str, ...]


class Erasure:
    """One look at everything that names or holds the objects of a request."""

    def __init__(self, project: Project, request: EraseRequest, report: Report) -> None:
        self._project = project
        self._request = request
        roots = Roots()
        report("reading refs and history")
        add_roots(project, roots)
        self._shared = project.as_published()
        self._roots = roots
        self._graph = Graph(project.git, roots)
        self._named: defaultdict[Oid, set[str]] = defaultdict(set)
        for step in self._graph.steps():
            for one in self._graph.named(step):
                self._named[one.oid].add(one.path)
        for one in (one for group in roots.loose.values() for one in group):
            self._named[one.oid].add(one.path)
        self._unread = _bring(project, [oid for oid in self._named if oid.endswith(".dir")])
        self.objects = self._resolved(request.what)
        self._containers = containers(project, self._named, self.objects)
        self.paths = {
            path + below
            for out, listed in self._containers.items()
            for path in self._named[out]
            for below in listed
        }
        self._tombstone = self._known() or self._new()

    def plan(self, report: Report) -> ErasePlan:
        """Say all of it."""
        report(f"looking for copies of {len(self.objects)} objects")
        outs = dict.fromkeys(self._containers, ("",))
        found = tuple(uses(self._graph, outs, self._roots.loose))
        branches = tuple(one for one, _, _ in self._holdings())
        derived = find_derived(self._shared, self._containers)
        files = files_left(self.objects, self.paths, user_checkouts(self._project))
        return ErasePlan(
            id=self._tombstone.id,
            objects=tuple(sorted(self.objects)),
            reason=self._tombstone.reason,
            is_named=self._known() is not None,
            outs=found,
            manifests=tuple(sorted(oid for oid in self._containers if oid.endswith(".dir"))),
            branches=branches,
            left=tuple(self._left()),
            touched=self._touched,
            derived=tuple(derived),
            rerun=tuple(self._rerun(branches)),
            places=tuple(look_everywhere(self._project, self.objects)),
            files=tuple(map(str, files)),
            unknown=tuple(f"manifest {oid}: {why}" for oid, why in self._unread.items()),
        )

    def moves(self) -> list[Move]:
        """Write the commits that take the objects off the branches, and the tombstone."""
        held = self._holdings()
        tracking = self._shared.tracking
        require_movable(self._shared, [*(one.branch for one, _, _ in held), tracking.branch])
        moves = forget_on_branches(self._shared, self._tombstone, held)
        if self._known() is None:
            stone = Change(self._tombstone.path, render_tombstone(self._tombstone))
            message = erasure_message(self._tombstone)
            sha = self._project.git.write_commits([NewCommit([tracking.sha], message, [stone])])[0]
            moves.append(Move(tracking.branch, tracking, sha))
        return moves

    # -- what is meant -----------------------------------------------------------------------------

    def _resolved(self, what: str) -> frozenset[Oid]:
        if not self._request.reason.strip() or "\n" in self._request.reason:
            raise UsageError("--reason has to be one line of text")
        if _OID.fullmatch(what):
            found = self._behind(Oid(what))
        else:
            found = self._at(parse_path(what.rstrip("/")))
        if found <= {_EMPTY_FILE}:
            why = "is the empty file, which says nothing" if found else "is on no branch, ever"
            raise UsageError(f"'{what}' {why}", hint="git branchflow storage usage --object MD5")
        return frozenset(found - {_EMPTY_FILE})

    def _behind(self, oid: Oid) -> set[Oid]:
        """A file, or the files of a directory."""
        if not oid.endswith(".dir"):
            return {oid}
        try:
            return oids(self._project.cache.manifest(oid))
        except OSError:
            raise UsageError(f"nobody here has the manifest {oid}") from None

    def _at(self, path: str) -> set[Oid]:
        """What any commit has at a path."""
        found: set[Oid] = set()
        for out, names in self._named.items():
            if out in self._unread:
                continue
            for name in names:
                if is_below(name, path):
                    found |= self._behind(out)
                elif out.endswith(".dir") and is_below(path, name):
                    found |= self._inside(out, path.removeprefix(f"{name}/"))
        return found

    def _inside(self, folder: Oid, path: str) -> set[Oid]:
        """A file of a directory, or what lies in a folder of it."""
        content = self._project.cache.manifest(folder)
        file = lookup(content, path)
        if file is not None or not has_below(content, path):
            return set() if file is None else {file}
        return {one.oid for one in entries(content) if is_below(one.relpath, path)}

    # -- what there is -----------------------------------------------------------------------------

    def _known(self) -> Tombstone | None:
        name = erasure_id(self.objects)
        return next((one for one in self._shared.tombstones if one.id == name), None)

    def _new(self) -> Tombstone:
        touched = self._touched
        return Tombstone(
            reason=self._request.reason.strip(),
            who=self._project.git.identity(),
            when=utc(time.time()),
            objects=self._outs_of_each(),
            releases=touched.releases,
            refused=touched.refused,
            splits=touched.splits,
            predictions=touched.predictions,
        )

    def _outs_of_each(self) -> dict[str, tuple[str, ...]]:
        """Each object, and the outs that are or hold it."""
        found: dict[str, set[str]] = {oid: set() for oid in sorted(self.objects)}
        for out in self._containers:
            inside = self._behind(out) & self.objects if out.endswith(".dir") else {out}
            for oid in inside:
                found[oid] |= self._named[out]
        return {oid: tuple(sorted(paths)) for oid, paths in found.items()}

    @cached_property
    def _touched(self) -> Touched:
        return find_touched(self._shared, self._graph, self._containers)

    def _holdings(self) -> list[tuple[Holding, Tip, CommitData]]:
        """The branches of the team whose tips hold the objects."""
        return holdings(self._shared, self._containers, self._shared_branches())

    def _shared_branches(self) -> list[Branch]:
        is_alone = self._project.git_remote is None
        return [name for name, tip in self._shared.tips.items() if is_alone or tip.published]

    def _left(self) -> Iterator[str]:
        """What goes on naming the objects: tags, experiments and the like, what is only here."""
        roots = self._roots
        for holder in sorted(roots.tips.keys() | roots.loose.keys()):
            loose = any(one.oid in self._containers for one in roots.loose.get(holder, ()))
            is_named = loose or self._is_named_at(roots.tips.get(holder, ()))
            if holder.kind is not Kind.BRANCH and is_named:
                yield f"lease of {holder.name}" if holder.kind is Kind.LEASE else holder.name
        for name, tip in self._project.tips.items() if self._project.git_remote else ():
            is_own = tip.local is not None and tip.local != tip.published
            if is_own and self._is_named_at([Sha(str(tip.local))]):
                yield f"branch {name} in this clone alone"

    def _is_named_at(self, commits: Iterable[Sha]) -> bool:
        steps = self._graph.wholes(commits)
        return any(one.oid in self._containers for s in steps for one in self._graph.named(s))

    def _rerun(self, branches: Iterable[Holding]) -> Iterator[Branch]:
        for one in branches:
            spec = self._shared.specs.get(one.branch)
            if one.pinned and spec is not None and spec.role in _RERUN:
                yield one.branch


def _bring(project: Project, folders: Sequence[Oid]) -> dict[Oid, str]:
    """Have manifests in the cache, from whichever DVC remote answers; return why one can't be."""
    missing = {oid: "no place that answers has it" for oid in folders if not project.cache.has(oid)}
    for remote in project.dvc_config.remotes if missing else ():
        try:
            there = list(project.store(remote).sizes(missing))
            refused = bring_manifests(project, remote, there)
        except BranchflowError as error:
            missing = dict.fromkeys(missing, f"no place that answers has it; {error.message}")
            continue
        missing = {oid: why for oid, why in missing.items() if oid not in there} | refused
    return missing
