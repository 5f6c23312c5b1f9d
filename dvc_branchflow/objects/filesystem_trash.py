"""The trash behind one of DVC's file systems: moves there, and back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any

from dvc_branchflow.model import Oid
from dvc_branchflow.objects.aside import TRASH, Aside, Deleted, aside_key, aside_of, files_first
from dvc_branchflow.objects.base import Stored, object_key, reached
from dvc_branchflow.objects.doomed import Doomed
from dvc_branchflow.objects.filesystem import FileSystem, files_below, modified_seconds


class FileSystemTrash:
    """What was set aside behind a file system."""

    def __init__(self, name: str, place: FileSystem) -> None:
        self._name = name
        self._place = place
        self._root = place.root
        self._fs = place.fs.fs

    def set_aside(self, doomed: Doomed, run: str) -> list[Oid]:
        """Move condemned objects out of DVC's sight."""
        moved: list[Oid] = []
        copies = doomed.at("objects")
        with self._reached():
            for copy in copies:
                found = self._stored(object_key(copy.oid), copy.oid)
                if found and _is_as(found, copy):
                    self._move(object_key(copy.oid), aside_key(run, copy.oid))
                    moved.append(copy.oid)
        return moved

    def listing(self) -> Iterator[Aside]:
        """Yield every object in the trash."""
        with self._reached():
            for path, entry in files_below(self._place.fs, f"{self._root}/{TRASH}"):
                found = aside_of(path.removeprefix(f"{self._root}/"))
                if found:
                    yield Aside(found[0], _read(found[1], entry))

    def bring_back(self, asides: Iterable[Aside]) -> list[Oid]:
        """Move objects back to where DVC finds them, files first."""
        back: list[Oid] = []
        with self._reached():
            for one in files_first(asides):
                source, target = aside_key(one.run, one.stored.oid), object_key(one.stored.oid)
                is_there = self._stored(target, one.stored.oid) is not None
                if not is_there and self._stored(source, one.stored.oid):
                    self._move(source, target)
                if self._stored(target, one.stored.oid):
                    back.append(one.stored.oid)
        return back

    def delete(self, doomed: Doomed, run: str) -> Deleted:
        """Delete condemned objects of a run for good."""
        gone: list[Oid] = []
        copies = doomed.at("trash")
        with self._reached():
            for copy in copies:
                found = self._stored(aside_key(run, copy.oid), copy.oid)
                if found and _is_as(found, copy):
                    self._remove(aside_key(run, copy.oid))
                    gone.append(copy.oid)
        return Deleted(tuple(gone))

    def _move(self, source: str, target: str) -> None:
        self._fs.makedirs(f"{self._root}/{target}".rpartition("/")[0], exist_ok=True)
        self._place.move(f"{self._root}/{source}", f"{self._root}/{target}")

    def _remove(self, key: str) -> None:
        try:
            self._fs.rm_file(f"{self._root}/{key}")
        except FileNotFoundError:
            return

    def _stored(self, key: str, oid: Oid) -> Stored | None:
        entry = self._place.entry(f"{self._root}/{key}")
        return _read(oid, entry) if entry else None

    def _reached(self) -> AbstractContextManager[None]:
        """Say of all that goes wrong there which DVC remote it was."""
        return reached(f"DVC remote '{self._name}'")


def _read(oid: Oid, entry: Any) -> Stored:
    return Stored(oid, int(entry["size"]), modified_seconds(entry))


def _is_as(found: Stored, copy: Stored) -> bool:
    return (found.size_bytes, found.modified_seconds) == (copy.size_bytes, copy.modified_seconds)
