"""The trash of a DVC remote that is a directory: a rename there, a rename back."""

from __future__ import annotations

import filecmp
import os
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from pathlib import Path

from dvc_branchflow.model import Oid
from dvc_branchflow.objects.aside import TRASH, Aside, Deleted, aside_key, aside_of, files_first
from dvc_branchflow.objects.base import Stored, folder_reached, object_key
from dvc_branchflow.objects.directory import put_seconds
from dvc_branchflow.objects.doomed import Doomed


class DirectoryTrash:
    """What was set aside in a directory."""

    def __init__(self, root: Path, name: str) -> None:
        self._root = root
        self._name = name

    def set_aside(self, doomed: Doomed, run: str) -> list[Oid]:
        """Move condemned objects out of DVC's sight."""
        moved: list[Oid] = []
        with self._reached():
            for copy in doomed.at("objects"):
                source = self._root / object_key(copy.oid)
                target = self._root / aside_key(run, copy.oid)
                if self._is_as(copy, source) and self._move(source, target, copy):
                    moved.append(copy.oid)
        return moved

    def listing(self) -> Iterator[Aside]:
        """Yield every object in the trash."""
        with self._reached():
            for folder, _, names in os.walk(self._root / TRASH, onerror=_unless_missing):
                for name in names:
                    path = Path(folder, name)
                    found = aside_of(path.relative_to(self._root).as_posix())
                    stored = self._stored(path, found[1]) if found else None
                    if found and stored:
                        yield Aside(found[0], stored)

    def bring_back(self, asides: Iterable[Aside]) -> list[Oid]:
        """Move objects back; one that is there again, byte for byte, only leaves the trash."""
        back: list[Oid] = []
        with self._reached():
            for one in files_first(asides):
                source = self._root / aside_key(one.run, one.stored.oid)
                target = self._root / object_key(one.stored.oid)
                with suppress(FileNotFoundError):
                    if not target.exists():
                        target.parent.mkdir(parents=True, exist_ok=True)
                        source.rename(target)
                    elif filecmp.cmp(source, target, shallow=False):
                        source.unlink()
                if target.exists():
                    back.append(one.stored.oid)
                self._tidy(source)
        return back

    def delete(self, doomed: Doomed, run: str) -> Deleted:
        """Delete condemned objects of a run for good."""
        gone: list[Oid] = []
        with self._reached():
            for copy in doomed.at("trash"):
                path = self._root / aside_key(run, copy.oid)
                if self._is_as(copy, path):
                    path.unlink(missing_ok=True)
                    gone.append(copy.oid)
                    self._tidy(path)
        return Deleted(tuple(gone))

    def _move(self, source: Path, target: Path, copy: Stored) -> bool:
        """Move an object, unless what moved turns out to be a newer one: then it goes back."""
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            before = source.stat()
            source.rename(target)
        except FileNotFoundError:
            return False
        after = target.stat()
        is_same = (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
        if is_same and after.st_size == copy.size_bytes:
            return True
        if not source.exists():
            target.rename(source)
        return False

    def _is_as(self, copy: Stored, path: Path) -> bool:
        found = self._stored(path, copy.oid)
        return found is not None and found == copy

    def _stored(self, path: Path, oid: Oid) -> Stored | None:
        try:
            found = path.stat()
        except FileNotFoundError:
            return None
        return Stored(oid, found.st_size, put_seconds(found))

    def _tidy(self, path: Path) -> None:
        """Take away folders of the trash that hold nothing more."""
        with suppress(OSError):
            for folder in (path.parent, path.parent.parent, path.parent.parent.parent):
                folder.rmdir()

    def _reached(self) -> AbstractContextManager[None]:
        return folder_reached(self._root, f"DVC remote '{self._name}'")


def _unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error
