"""A DVC remote that is a directory."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from dvc_branchflow.errors import StorageError
from dvc_branchflow.model import Oid
from dvc_branchflow.objects.base import PREFIX, Stored, absent, object_key, oid_of
from dvc_branchflow.objects.files import copy, md5
from dvc_branchflow.objects.processes import spread


class DirectoryStore:
    """A DVC remote that is a directory."""

    def __init__(self, root: Path, name: str) -> None:
        self._root = root
        self._name = name

    def path(self, oid: Oid) -> Path:
        """Return where an object lies, or would."""
        return self._root / object_key(oid)

    def sizes(self, oids: Iterable[Oid]) -> dict[Oid, int]:
        """Return the size of those objects that are there; a missing root is "unknown"."""
        self._require_root()
        found: dict[Oid, int] = {}
        for oid in oids:
            try:
                entry = os.stat(f"{self._root}/{object_key(oid)}")
                if stat.S_ISREG(entry.st_mode):
                    found[oid] = entry.st_size
            except FileNotFoundError:
                continue
            except OSError as error:
                raise self._unreachable(error) from error
        return found

    def put(self, sources: Mapping[Oid, Path]) -> None:
        """Copy objects in, each proven by the md5 of what is written."""
        self._require_root()
        try:
            sizes = [os.stat(source).st_size for source in sources.values()]
        except OSError as error:
            raise self._unreachable(error) from error
        spread(self._put, list(sources.items()), sizes)

    def get(self, targets: Mapping[Oid, Path]) -> None:
        """Copy objects out, each proven by its md5."""
        there = self.sizes(targets)
        for oid in targets:
            if oid not in there:
                raise absent(oid, self._name)
        spread(self._get, list(targets.items()), [there[oid] for oid in targets])

    def digests(self, oids: Iterable[Oid]) -> dict[Oid, str]:
        """Read objects, and return the md5 of each one's content; of those that are there."""
        sizes = self.sizes(oids)
        found = spread(self._digests, list(sizes), list(sizes.values()))
        return {oid: digest for oid, digest in found if digest}

    def listing(self) -> Iterator[Stored]:
        """Yield every DVC object that is there."""
        before = self._require_root()
        try:
            for folder in _scan(self._root / PREFIX):
                if folder.is_dir():
                    yield from _listed(folder)
        except OSError as error:
            raise self._unreachable(error) from error
        if self._require_root() != before:  # what was mounted here is not any more
            raise self._unreachable("it changed while it was listed")

    def _put(self, objects: Sequence[tuple[Oid, Path]]) -> list[None]:
        for oid, source in objects:
            where = f"{self._name}' on its way from the cache '{source}"
            try:
                copy(source, f"{self._root}/{object_key(oid)}", oid, where)
            except OSError as error:
                raise self._unreachable(error) from error
        return []

    def _get(self, objects: Sequence[tuple[Oid, Path]]) -> list[None]:
        for oid, target in objects:
            try:
                copy(f"{self._root}/{object_key(oid)}", target, oid, self._name)
            except FileNotFoundError as error:
                raise absent(oid, self._name) from error
            except OSError as error:
                raise self._unreachable(error) from error
        return []

    def _digests(self, oids: Sequence[Oid]) -> list[tuple[Oid, str]]:
        found: list[tuple[Oid, str]] = []
        for oid in oids:
            try:
                with open(f"{self._root}/{object_key(oid)}", "rb", buffering=0) as file:
                    found.append((oid, hashlib.file_digest(file, md5).hexdigest()))
            except FileNotFoundError:
                found.append((oid, ""))
            except OSError as error:
                raise self._unreachable(error) from error
        return found

    def _require_root(self) -> tuple[int, int]:
        """Return which directory the root is, for it may be mounted. Raises: StorageError."""
        try:
            found = self._root.stat()
        except FileNotFoundError:
            found = None
        except OSError as error:
            raise self._unreachable(error) from error
        if found is None or not stat.S_ISDIR(found.st_mode):
            raise StorageError(
                f"DVC remote '{self._name}' can't be reached: no directory '{self._root}'",
                hint=f"mkdir -p '{self._root}'  # if it really is a new one",
            )
        return found.st_dev, found.st_ino

    def _unreachable(self, error: OSError | str) -> StorageError:
        return StorageError(f"DVC remote '{self._name}' can't be used: {error}")


def _scan(folder: Path) -> list[os.DirEntry[str]]:
    """The entries of a folder; none where it was never made."""
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except FileNotFoundError:
        return []


def _listed(folder: os.DirEntry[str]) -> Iterator[Stored]:
    for entry in _scan(Path(folder.path)):
        oid = oid_of(f"{PREFIX}/{folder.name}/{entry.name}")
        if oid is None:
            continue
        try:
            found = entry.stat()
        except FileNotFoundError:  # taken away since the folder was read
            continue
        if stat.S_ISREG(found.st_mode):
            yield Stored(oid, found.st_size, put_seconds(found))


def put_seconds(found: os.stat_result) -> float:
    """Return when a file came to where it lies, though it may have kept its own older time."""
    return max(found.st_mtime, found.st_ctime)
