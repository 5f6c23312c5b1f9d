"""Which objects are needed, and by whom: from the roots over commits and manifests to single files.

An object is kept by whatever reaches it, on whichever DVC remote it lies. What can't be read is a
problem; whoever deletes stops at one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from dvc_branchflow.errors import BranchflowError, StorageError
from dvc_branchflow.model import Branch, Oid, Sha
from dvc_branchflow.objects.notes import DirectoryNotes, Notes, read_all
from dvc_branchflow.project import Project
from dvc_branchflow.retention import Line, expired
from dvc_branchflow.values import dataclass, field
from dvc_branchflow.work.graph import Graph
from dvc_branchflow.work.naming import Named, named_in_run
from dvc_branchflow.work.parts import KeyParts
from dvc_branchflow.work.roots import Holder, Kind, Problem, Roots
from dvc_branchflow.work.transfer import Report

_RUNS = "runs"
_RUN_CACHE = Holder(Kind.RUN_CACHE, "run-cache")
_FETCHED_AT_ONCE = 100


@dataclass(slots=True)
class Held:
    """Who needs an object that a pointer, a lock or a lease names itself.

    Attributes:
        mask: the holders whose history names it, a bit each (see `Graph`).
        tips: those of them whose tip names it.
        path: one of the paths that it is named by.
        commit: the oldest commit that names it; None: no commit does.
        is_imported: all that name it import it from another repository.
    """

    mask: int
    path: str
    commit: Sha | None
    tips: int = 0
    is_imported: bool = False


@dataclass
class Reach:
    """All that is needed.

    Attributes:
        outs: the objects that files name themselves; what directories hold stands in manifests.
        gone: commits whose data need not be kept any more, with the branch that says so.
    """

    graph: Graph
    outs: dict[Oid, Held] = field(default_factory=dict)
    gone: Mapping[Sha, Branch] = field(default_factory=dict)


def add_run_caches(
    project: Project, roots: Roots, remotes: Iterable[str], oldest_seconds: float
) -> None:
    """Take the entries of DVC's run-cache into the roots: this clone's and the DVC remotes'.

    Args:
        oldest_seconds: those that were written before count no more.
    """
    cache = project.cache.root
    places: list[tuple[str, Notes]] = []
    if cache.is_dir():
        places.append(("the cache", DirectoryNotes(cache, "the cache")))
    places += [(f"DVC remote '{name}'", project.notes(name)) for name in remotes]
    seen: set[str] = set()
    for where, notes in places:
        found = notes.listing(_RUNS)
        listed = {note.name for note in found if note.modified_seconds >= oldest_seconds}
        for name, content in read_all(notes, sorted(listed - seen)):
            if content is not None:
                _take_run(roots, f"'{name}' in {where}", content)
        seen |= listed


def find_reach(graph: Graph, roots: Roots, lines: Collection[Line], now: float) -> Reach:
    """Return what commits and loose files name, without what has expired.

    Args:
        lines: the branches, with how long their commits keep data.
        now: seconds since the epoch.
    """
    reach = Reach(graph, gone=find_gone(graph, roots, lines, now))
    for step in graph.steps(reach.gone):
        for one in graph.named(step):
            _hold(reach.outs, one, step.mask, step.node.sha)
    _hold_tips(reach, roots)
    for holder in sorted(roots.loose, key=lambda holder: holder.is_weak):
        for one in roots.loose[holder]:
            is_held = holder.is_weak and one.oid in reach.outs
            _hold(reach.outs, one, 0 if is_held else graph.bit(holder), None)
    return reach


def find_gone(
    graph: Graph, roots: Roots, lines: Collection[Line], now: float
) -> Mapping[Sha, Branch]:
    """Return the commits whose data need not be kept any more, each with a branch that says so."""
    if all(line.period is None for line in lines):
        return {}
    parents = {sha: node.parents for sha, node in graph.nodes.items()}
    seconds = {sha: node.seconds for sha, node in graph.nodes.items()}
    named = (tips for holder, tips in roots.tips.items() if holder.kind is not Kind.REFLOG)
    exempt = {sha for tips in named for sha in tips}
    while True:
        gone = expired(parents, seconds, lines, exempt, now)
        pinned = {sha for step in graph.steps(gone) for sha in graph.pinned(step)}
        if pinned.isdisjoint(gone):
            return gone
        exempt |= pinned


def files_behind(
    project: Project, tags: Mapping[Oid, int], remotes: Iterable[str], report: Report
) -> tuple[KeyParts, dict[Oid, str]]:
    """Return the files behind objects, parted: each with the number of what names it.

    Manifests come from the cache, or from whichever DVC remote has a good copy; into the cache.

    Args:
        tags: object → its number; a directory stands for all files in its manifest.
        remotes: the DVC remotes to ask for manifests.
    Returns: and the directories whose manifest can't be had: oid → why.
    """
    parts = KeyParts(project.state_dir / "tmp")
    single: defaultdict[int, list[Oid]] = defaultdict(list)
    for oid, tag in tags.items():
        if not oid.endswith(".dir"):
            single[tag].append(oid)
    for tag, oids in single.items():
        parts.add_oids(oids, tag)
    folders = [oid for oid in tags if oid.endswith(".dir")]
    reasons = _add_manifests(project, parts, folders, tags)
    if reasons:
        report(f"manifests to fetch: {len(reasons)}")
    for remote in remotes if reasons else ():
        # By name: a listing may be older than the newest refs.
        there = list(project.store(remote).sizes(reasons))
        refused = bring_manifests(project, remote, there)
        brought = [oid for oid in there if oid not in refused]
        for oid in brought:
            del reasons[oid]
        reasons |= refused | _add_manifests(project, parts, brought, tags)
    return parts, reasons


def unread(reach: Reach, reasons: Mapping[Oid, str]) -> list[Problem]:
    """Return the problems that manifests make which can't be had.

    The manifest of an import belongs on another repository's remotes; that it is not here is none.
    """
    return [
        Problem(f"directory '{reach.outs[oid].path}'", why, oid)
        for oid, why in reasons.items()
        if not (reach.outs[oid].is_imported and why == _absent(oid))
    ]


def _take_run(roots: Roots, where: str, content: bytes) -> None:
    try:
        roots.loose[_RUN_CACHE] |= set(named_in_run(content, where))
    except BranchflowError as error:
        roots.problems.append(Problem(where, error.message))


def _hold_tips(reach: Reach, roots: Roots) -> None:
    bits: defaultdict[Sha, int] = defaultdict(int)
    for holder, tips in roots.tips.items():
        for tip in tips if not holder.is_weak else ():
            bits[tip] |= reach.graph.bit(holder)
    for step in reach.graph.wholes(bits):
        for one in reach.graph.named(step):
            if one.oid in reach.outs:
                reach.outs[one.oid].tips |= bits[step.node.sha]


def _hold(outs: dict[Oid, Held], one: Named, mask: int, commit: Sha | None) -> None:
    held = outs.get(one.oid)
    if held is None:
        outs[one.oid] = Held(mask, one.path, commit, is_imported=one.is_imported)
    else:
        held.mask |= mask
        held.is_imported &= one.is_imported


def _absent(oid: Oid) -> str:
    return f"its manifest {oid} is neither in the cache nor on a DVC remote"


def _add_manifests(
    project: Project, parts: KeyParts, folders: Sequence[Oid], tags: Mapping[Oid, int]
) -> dict[Oid, str]:
    reasons: dict[Oid, str] = {}
    for oid in folders:
        try:
            parts.add_manifest(project.cache.manifest(oid), tags[oid])
        except FileNotFoundError:
            reasons[oid] = _absent(oid)
        except (BranchflowError, OSError) as error:
            reasons[oid] = str(error)
    return reasons


def bring_manifests(project: Project, remote: str, oids: Sequence[Oid]) -> dict[Oid, str]:
    """Fetch manifests that a DVC remote has into the cache; return which are damaged there → why.

    One of these doesn't keep the others back.
    """
    store, path = project.store(remote), project.cache.path
    reasons: dict[Oid, str] = {}
    for start in range(0, len(oids), _FETCHED_AT_ONCE):
        pack = oids[start : start + _FETCHED_AT_ONCE]
        try:
            store.get({oid: path(oid) for oid in pack})
        except StorageError:
            for oid in pack:
                try:
                    store.get({oid: path(oid)})
                except StorageError as error:
                    reasons[oid] = error.message
    return reasons
