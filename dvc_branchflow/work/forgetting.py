"""Takes objects out of branches: new manifests without them, new pointers, and pins on these.

Nothing is checked out, no ref moves. The commits of all branches are written upstream first, so
that each pins what its upstreams have become.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress

from dvc_branchflow import manifest
from dvc_branchflow.errors import StorageError
from dvc_branchflow.flow import BranchSpec
from dvc_branchflow.git import Change, NewCommit
from dvc_branchflow.metafiles import is_pointer, with_outs
from dvc_branchflow.model import LOCK_FILE, Branch, Oid, Out, Sha
from dvc_branchflow.policy.facts import is_below
from dvc_branchflow.project import Project, Tip
from dvc_branchflow.tombstones import Tombstone, render_tombstone
from dvc_branchflow.values import dataclass, replace
from dvc_branchflow.work.commits import CommitData, read_commit
from dvc_branchflow.work.pinning import PinPlan, plan_pins
from dvc_branchflow.work.publish import Move
from dvc_branchflow.work.transfer import manifest_of


@dataclass(frozen=True, slots=True)
class Holding:
    """A branch whose tip holds objects that have to go.

    Attributes:
        own: those outs of its own that do. pinned: those that it holds from its upstreams.
    """

    branch: Branch
    own: tuple[str, ...]
    pinned: tuple[str, ...]


def holdings(
    project: Project, outs: Collection[Oid], branches: Iterable[Branch] | None = None
) -> list[tuple[Holding, Tip, CommitData]]:
    """Return the branches whose tips hold any of these outs, upstream first.

    Args:
        outs: the ids of outs that are or hold objects that have to go.
        branches: only these; None: all.
    """
    names = project.tips if branches is None else branches
    ordered = [*project.specs, *(name for name in project.tips if name not in project.specs)]
    found: list[tuple[Holding, Tip, CommitData]] = []
    for name in (name for name in ordered if name in names):
        tip = project.tips[name]
        data = read_commit(project.git, tip.sha)
        mine = {path: out for path, out in data.outs.items() if not out.repo}
        held = sorted(path for path, out in mine.items() if out.oid in outs)
        if held:
            spec = project.specs.get(name)
            pinned = tuple(path for path in held if spec and _upstream_of(project, spec, path))
            own = tuple(path for path in held if path not in pinned)
            found.append((Holding(name, own, pinned), tip, data))
    return found


def forget_on_branches(
    project: Project,
    tombstone: Tombstone,
    held: Iterable[tuple[Holding, Tip, CommitData]],
) -> list[Move]:
    """Write the commits that take a tombstone's objects out of branches.

    Raises: StorageError: a manifest can't be had. FlowError: nothing is left of an upstream.
    """
    moves: dict[Branch, Move] = {}
    sizes = _Sizes(project)
    for holding, tip, data in held:
        spec = project.specs.get(holding.branch)
        pins = _pinned_anew(project, spec, holding, data, moves) if spec else None
        own = _own_changes(project, holding, data, tombstone, sizes)
        if own:
            own.append(Change(tombstone.path, render_tombstone(tombstone)))
        changes = [*(pins.changes if pins else ()), *own]
        if not changes:
            continue
        parents = [tip.sha, *(sha for sha in (pins.upstreams if pins else ()) if sha != tip.sha)]
        message = erasure_message(tombstone, pins.trailers if pins else ())
        sha = project.git.write_commits([NewCommit(parents, message, changes)])[0]
        moves[holding.branch] = Move(holding.branch, tip, sha)
    return list(moves.values())


def erasure_message(tombstone: Tombstone, trailers: Iterable[str] = ()) -> str:
    """Return the message of a commit that belongs to an erasure."""
    number = len(tombstone.objects)
    what = "1 object" if number == 1 else f"{number} objects"
    reason = " ".join(tombstone.reason.split())
    lines = [f"Reason: {reason}", f"Erased: {tombstone.id}", *trailers]
    return f"Erase {what}\n\n" + "\n".join(lines) + "\n"


def _upstream_of(project: Project, spec: BranchSpec, path: str) -> Branch | None:
    """The upstream that publishes a path which a branch pins."""
    for name in spec.upstreams:
        owned = project.spec(name).data
        if owned and is_below(path, owned):
            return name
    return None


def _pinned_anew(
    project: Project,
    spec: BranchSpec,
    holding: Holding,
    data: CommitData,
    moves: Mapping[Branch, Move],
) -> PinPlan | None:
    """Pins on what the upstreams are without the objects; other upstreams stay as pinned."""
    affected = {_upstream_of(project, spec, path) for path in holding.pinned}
    if not holding.pinned:
        return None
    wanted: dict[Branch, Sha] = {}
    for name in spec.upstreams:
        if name in affected:
            wanted[name] = moves[name].new if name in moves else project.tip(name).sha
        elif name in data.pins.commits:
            wanted[name] = data.pins.commits[name]
    return plan_pins(project, spec, data, wanted)


def _own_changes(
    project: Project,
    holding: Holding,
    data: CommitData,
    tombstone: Tombstone,
    sizes: _Sizes,
) -> list[Change]:
    outs = {data.outs[path].oid: data.outs[path] for path in holding.own}
    news = {oid: _without(project, out, tombstone.oids, sizes) for oid, out in outs.items()}
    files = {
        path: data.files[path]
        for path in data.files
        if path.rpartition("/")[2] == LOCK_FILE
        or (is_pointer(path) and path.removesuffix(".dvc") not in holding.pinned)
    }
    blobs = project.git.read_blobs(entry.sha for entry in files.values()) if outs else {}
    found: list[Change] = []
    for path, entry in files.items() if outs else ():
        content = blobs[entry.sha]
        if any(oid.encode() in content for oid in outs):
            found.append(Change(path, with_outs(content, path, news), mode=entry.mode))
    return [change for change in found if change.content != blobs[files[change.path].sha]]


def _without(project: Project, out: Out, gone: Collection[Oid], sizes: _Sizes) -> Out | None:
    """An out without objects, its manifest in the cache; None where it was one of them itself."""
    if not out.is_dir:
        return None
    before = manifest_of(project, out)
    after = manifest.without(before, gone)
    oid = manifest.manifest_oid(after)
    project.cache.add_bytes(oid, after)
    lost = [entry.oid for entry in manifest.entries(before) if entry.oid in gone]
    known = [sizes.of(one, out.remote) for one in lost]
    size = None
    if out.size_bytes is not None and None not in known:
        size = out.size_bytes - sum(one for one in known if one is not None)
    nfiles = None if out.nfiles is None else out.nfiles - len(lost)
    return replace(out, oid=oid, size_bytes=size, nfiles=nfiles)


class _Sizes:
    """The sizes of objects, from the cache or a DVC remote; unknown where neither has one."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._known: dict[Oid, int | None] = {}

    def of(self, oid: Oid, remote: str | None) -> int | None:
        """Return an object's size in bytes."""
        if oid not in self._known:
            self._known[oid] = self._ask(oid, remote)
        return self._known[oid]

    def _ask(self, oid: Oid, remote: str | None) -> int | None:
        with suppress(OSError):
            return self._project.cache.path(oid).stat().st_size
        with suppress(StorageError):
            return self._project.store(remote).sizes([oid]).get(oid)
        return None
