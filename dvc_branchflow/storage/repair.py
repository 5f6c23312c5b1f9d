"""Puts back on the DVC remotes what they lack or hold wrongly, from whoever still has it right.

In order of trust: this clone's cache, those of its worktrees, what a gc set aside, the other DVC
remotes. Whatever the source, an object is only taken if its content has the md5 that its id says.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from dvc_branchflow.errors import StorageError
from dvc_branchflow.manifest import oids
from dvc_branchflow.model import Oid
from dvc_branchflow.objects import Cache
from dvc_branchflow.project import Project
from dvc_branchflow.work.examining import Bad
from dvc_branchflow.work.stock import shared_remotes
from dvc_branchflow.work.transfer import Report
from dvc_branchflow.work.verification import Finding, Verified, VerifyRequest, verify_refs

_ROUNDS = 4  # a manifest that is back names files, which may be missing, too


@dataclass(frozen=True, slots=True)
class Repaired:
    """An object that was put back (or would be), and from where."""

    oid: Oid
    remote: str
    path: str
    source: str


@dataclass(frozen=True, slots=True)
class RepairOutcome:
    """What was put back, and what nobody here has.

    Attributes:
        left: what is still not as it has to be. unknown: what can't be told.
    """

    repaired: tuple[Repaired, ...]
    left: tuple[Finding, ...]
    unknown: tuple[str, ...]


def repair(
    project: Project, request: VerifyRequest, report: Report, *, dry_run: bool = False
) -> RepairOutcome:
    """Verify refs, and put back what is missing or damaged.

    Raises: StorageError: a DVC remote that lacks something is away.
    """
    done: list[Repaired] = []
    for _ in range(_ROUNDS):
        verified = verify_refs(project, request, report)
        found = _round(project, verified, report, dry_run=dry_run)
        done += found
        if dry_run or not found:
            break
    fixed = {(one.oid, one.remote) for one in done} if dry_run else set()
    left = [bad for pair, bad in verified.found.bad.items() if pair not in fixed]
    return RepairOutcome(
        repaired=tuple(done),
        left=tuple(verified.finding(bad) for bad in left),
        unknown=tuple(map(str, verified.problems)),
    )


def _round(
    project: Project, verified: Verified, report: Report, *, dry_run: bool
) -> list[Repaired]:
    """Put back what can be: files first, then the manifests of which no file is missing."""
    bad = list(verified.found.bad.values())
    files = [one for one in bad if not one.oid.endswith(".dir")]
    done = _put(project, files, report, dry_run=dry_run)
    back = {(one.oid, one.remote) for one in done}
    still = {(one.oid, one.remote) for one in files} - back
    folders = [one for one in bad if one.oid.endswith(".dir")]
    whole = [one for one in folders if not _is_holed(project, one, still)]
    return done + _put(project, whole, report, dry_run=dry_run)


def _is_holed(project: Project, folder: Bad, missing: set[tuple[Oid, str]]) -> bool:
    """Whether a directory lacks files; its manifest there would say that they are."""
    if not missing:
        return False
    try:
        files = oids(project.cache.manifest(folder.oid))
    except (OSError, StorageError):
        return False
    return any((oid, folder.remote) in missing for oid in files)


def _put(project: Project, bad: Sequence[Bad], report: Report, *, dry_run: bool) -> list[Repaired]:
    sources: defaultdict[str, dict[Oid, Path]] = defaultdict(dict)
    cached = {(one.oid, one.remote): _cached(project, one.oid) for one in bad}
    lost = [one for one in bad if one.kind == "missing" and not cached[one.oid, one.remote]]
    done = _from_trash(project, lost, dry_run=dry_run)
    back = {(one.oid, one.remote) for one in done}
    for one in bad:
        if (one.oid, one.remote) in back:
            continue
        found = cached[one.oid, one.remote] or _elsewhere(project, one, dry_run=dry_run)
        if found is not None:
            where, path = found
            sources[one.remote][one.oid] = path
            done.append(Repaired(one.oid, one.remote, one.path, where))
    for remote, objects in sources.items():
        if not dry_run:
            report(f"objects to put back on '{remote}': {len(objects)}")
            project.store(remote).put(objects)
    return done


def _cached(project: Project, oid: Oid) -> tuple[str, Path] | None:
    """A file with the object's content in a cache here, and in which."""
    for cache in _caches(project):
        path = cache.path(oid)
        if _is_good(path, oid):
            return str(cache.root), path
    return None


def _from_trash(project: Project, lost: Sequence[Bad], *, dry_run: bool) -> list[Repaired]:
    """Bring back what lies in the trash of the very DVC remote that lacks it."""
    done: list[Repaired] = []
    for remote in dict.fromkeys(one.remote for one in lost):
        wanted = {one.oid: one for one in lost if one.remote == remote}
        trash = project.trash(remote)
        found = [one for one in trash.listing() if one.stored.oid in wanted]
        back = {one.stored.oid for one in found}
        if found and not dry_run:
            digests = project.store(remote).digests(trash.bring_back(found))
            back = {oid for oid in back if digests.get(oid) == oid[:32]}
        done += [Repaired(oid, remote, wanted[oid].path, "its trash") for oid in back]
    return done


def _elsewhere(project: Project, bad: Bad, *, dry_run: bool) -> tuple[str, Path] | None:
    """The object from another DVC remote; it comes only when it is needed."""
    path = project.cache.path(bad.oid)
    for remote in shared_remotes(project):
        store = project.store(remote)
        if remote == bad.remote or not store.sizes([bad.oid]):
            continue
        try:
            if not dry_run:
                store.get({bad.oid: path})
        except StorageError:
            continue  # damaged there as well
        return f"DVC remote '{remote}'", path
    return None


def _caches(project: Project) -> Iterator[Cache]:
    yield project.cache
    for tree in project.git.worktrees():
        cache = tree.path / ".dvc" / "cache"
        if cache.is_dir() and cache != project.cache.root:
            yield Cache(cache)


def _is_good(path: Path, oid: Oid) -> bool:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "md5").hexdigest() == oid[:32]
    except OSError:
        return False
