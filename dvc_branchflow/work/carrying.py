"""Carries objects to a DVC remote from whoever has them right.

In order of trust: this clone's cache, those of its worktrees, the DVC remotes. Whatever the source,
an object is only taken if its content has the md5 that its id says. What goes from one DVC remote
to another passes through a folder here, a pack at a time, and not through the cache; what lies in
a directory is taken right there.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from dvc_branchflow.errors import StorageError
from dvc_branchflow.manifest import oids
from dvc_branchflow.model import Oid
from dvc_branchflow.objects import Cache, DirectoryStore, Store
from dvc_branchflow.project import Project
from dvc_branchflow.work.stock import shared_remotes

_PACK = 1000
_PACK_BYTES = 256 * 1024 * 1024
_SCRATCH = "carried-"
_STALE_SECONDS = 86_400.0


class Carried(NamedTuple):
    """Where an object came from (or would), and how large it is."""

    source: str
    size_bytes: int


class Carrier:
    """Brings objects to DVC remotes. `scratch`: a folder of its own for what is on its way."""

    def __init__(self, project: Project, scratch: Path, *, dry_run: bool = False) -> None:
        self._project = project
        self._scratch = scratch
        self._dry_run = dry_run
        self._caches = list(_caches(project))
        self._remotes = shared_remotes(project)

    def from_caches(self, wanted: Iterable[Oid], to: str) -> dict[Oid, Carried]:
        """Bring what a cache here has; return that.

        Raises: StorageError: the DVC remote can't be reached.
        """
        done: dict[Oid, Carried] = {}
        for batch in _batches(wanted):
            for cache in self._caches:
                here = {o: cache.path(o) for o in batch if o not in done and cache.has(o)}
                done |= self._put(here, to, str(cache.root)) if here else {}
        return done

    def from_remotes(self, wanted: Mapping[Oid, Sequence[str]], to: str) -> dict[Oid, Carried]:
        """Bring what another DVC remote has; return that.

        Args:
            wanted: object → the DVC remotes to ask first; then all that the team shares are.
        Raises: StorageError: a DVC remote that may have one can't be reached.
        """
        done: dict[Oid, Carried] = {}
        for batch in _batches(wanted):
            for remote in dict.fromkeys(home for oid in batch for home in wanted[oid]):
                at_home = [oid for oid in batch if oid not in done and remote in wanted[oid]]
                done |= self._from_remote(remote, at_home, to)
            for remote in self._remotes:
                left = [oid for oid in batch if oid not in done and remote not in wanted[oid]]
                done |= self._from_remote(remote, left, to)
        return done

    def _from_remote(self, remote: str, wanted: Sequence[Oid], to: str) -> dict[Oid, Carried]:
        done: dict[Oid, Carried] = {}
        if remote == to or not wanted:
            return done
        store = self._project.store(remote)
        where = f"DVC remote '{remote}'"
        for pack in _packs(store.sizes(wanted)):
            if isinstance(store, DirectoryStore):
                put = self._put({oid: store.path(oid) for oid in pack}, to, where)
                if len(put) < len(pack):
                    store.sizes(pack)  # else it may be away by now, and nothing is known
                done |= put
            elif self._dry_run:
                done |= {oid: Carried(where, pack[oid]) for oid in _right(store, pack)}
            else:
                done |= self._by_way_of_here(store, pack, to, where)
        return done

    def _by_way_of_here(
        self, store: Store, pack: Iterable[Oid], to: str, where: str
    ) -> dict[Oid, Carried]:
        paths = {oid: self._scratch / oid for oid in pack}
        got = _get(store, paths)
        done = self._put({oid: paths[oid] for oid in got}, to, where)
        for path in paths.values():
            path.unlink(missing_ok=True)
        return done

    def _put(self, paths: Mapping[Oid, Path], to: str, where: str) -> dict[Oid, Carried]:
        """Store files that hold what their ids say; of a damaged one nothing arrives."""
        store = self._project.store(to)
        sizes = {oid: size for oid, path in paths.items() if (size := _size(path)) is not None}
        good = {oid: paths[oid] for oid in sizes if not self._dry_run or is_good(paths[oid], oid)}
        if not self._dry_run:
            try:
                store.put(good)
            except StorageError:
                right = {oid: path for oid, path in good.items() if is_good(path, oid)}
                if len(right) == len(good):
                    raise
                store.put(right)
                good = right
        return {oid: Carried(where, sizes[oid]) for oid in good}


@contextmanager
def carrier(project: Project, *, dry_run: bool = False) -> Iterator[Carrier]:
    """Give a carrier, and take away what it had on its way; also what a killed one left."""
    import tempfile  # 3 ms that only storage needs

    folder = project.state_dir / "tmp"
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob(f"{_SCRATCH}*"):
        _remove_stale(old)
    with tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=folder) as scratch:
        yield Carrier(project, Path(scratch), dry_run=dry_run)


def is_holed(project: Project, folder: Oid, missing: Iterable[Oid]) -> bool:
    """Whether a directory lacks any of these files; its manifest would say that it has them."""
    lost = set(missing)
    if not lost:
        return False
    try:
        return not lost.isdisjoint(oids(project.cache.manifest(folder)))
    except (OSError, StorageError):
        return False


def is_good(path: Path, oid: Oid) -> bool:
    """Whether a file is there and holds what its id says."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "md5").hexdigest() == oid[:32]
    except OSError:
        return False


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _get(store: Store, paths: Mapping[Oid, Path]) -> list[Oid]:
    """Fetch objects, and return those that came: not what is damaged there, or gone by now."""
    try:
        store.get(paths)
    except StorageError:
        right = _right(store, paths)
        store.get({oid: paths[oid] for oid in right})
        return right
    return list(paths)


def _right(store: Store, wanted: Iterable[Oid]) -> list[Oid]:
    digests = store.digests(wanted)
    return [oid for oid, digest in digests.items() if digest == oid[:32]]


def _batches(wanted: Iterable[Oid]) -> Iterator[list[Oid]]:
    rest = iter(wanted)
    while batch := list(islice(rest, _PACK)):
        yield batch


def _packs(sizes: Mapping[Oid, int]) -> Iterator[dict[Oid, int]]:
    pack: dict[Oid, int] = {}
    total = 0
    for oid, size in sizes.items():
        if pack and total + size > _PACK_BYTES:
            yield pack
            pack, total = {}, 0
        pack[oid] = size
        total += size
    if pack:
        yield pack


def _caches(project: Project) -> Iterator[Cache]:
    yield project.cache
    for tree in project.git.worktrees():
        cache = tree.path / ".dvc" / "cache"
        if cache.is_dir() and cache != project.cache.root:
            yield Cache(cache)


def _remove_stale(folder: Path) -> None:
    import shutil

    try:
        if folder.stat().st_mtime < time.time() - _STALE_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)
    except FileNotFoundError:
        return
