"""A DVC remote that is a directory."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from dvc_branchflow.errors import StorageError
from dvc_branchflow.model import Oid
from dvc_branchflow.objects.base import PREFIX, Stored, absent, appearing, object_key, oid_of, prove


class DirectoryStore:
    """A DVC remote that is a directory."""

    def __init__(self, root: Path, name: str) -> None:
        self._root = root
        self._name = name

    def sizes(self, oids: Iterable[Oid]) -> dict[Oid, int]:
        """Return the size of those objects that are there; a missing root is "unknown"."""
        self._require_root()
        found: dict[Oid, int] = {}
        for oid in oids:
            try:
                entry = (self._root / object_key(oid)).stat()
                if stat.S_ISREG(entry.st_mode):
                    found[oid] = entry.st_size
            except FileNotFoundError:
                continue
            except OSError as error:
                raise self._unreachable(error) from error
        return found

    def put(self, sources: Mapping[Oid, Path]) -> None:
        """Copy objects in; each appears whole, with the size of its source."""
        for oid, source in sources.items():
            try:
                with appearing(self._root / object_key(oid)) as partial:
                    shutil.copyfile(source, partial)
                    prove(partial, oid, f"{self._name}' on its way from the cache '{source}")
            except OSError as error:
                raise self._unreachable(error) from error

    def get(self, targets: Mapping[Oid, Path]) -> None:
        """Copy objects out, each proven by its md5."""
        for oid, target in targets.items():
            source = self._root / object_key(oid)
            try:
                with appearing(target) as partial:
                    shutil.copyfile(source, partial)
                    prove(partial, oid, self._name)
            except FileNotFoundError as error:
                raise absent(oid, self._name) from error
            except OSError as error:
                raise self._unreachable(error) from error

    def listing(self) -> Iterator[Stored]:
        """Yield every DVC object that is there."""
        self._require_root()
        try:
            for folder in _scan(self._root / PREFIX):
                if folder.is_dir():
                    yield from _listed(folder)
        except OSError as error:
            raise self._unreachable(error) from error

    def _require_root(self) -> None:
        if not self._root.is_dir():
            raise StorageError(
                f"DVC remote '{self._name}' can't be reached: no directory '{self._root}'",
                hint=f"mkdir -p '{self._root}'  # if it really is a new one",
            )

    def _unreachable(self, error: OSError) -> StorageError:
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
            yield Stored(oid, found.st_size, found.st_mtime)
