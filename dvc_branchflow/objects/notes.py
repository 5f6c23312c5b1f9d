"""Small files beside DVC's objects: DVC's run-cache, and what branchflow leaves on a remote.

What we leave lies below `branchflow/`, where no DVC looks.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from dvc_branchflow.errors import StorageError
from dvc_branchflow.objects.base import folder_reached, reached
from dvc_branchflow.objects.clients import bucket_client
from dvc_branchflow.objects.config import RemoteConfig
from dvc_branchflow.objects.filesystem import (
    FileSystem,
    OpenFileSystem,
    files_below,
    modified_seconds,
)
from dvc_branchflow.values import dataclass

HOME = "branchflow"
_MAX_BYTES = 512 * 1024 * 1024
_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class Note:
    """A small file as a place lists it; `name` is its path below the place's root."""

    name: str
    size_bytes: int
    modified_seconds: float


class Notes(Protocol):
    """Small files in one place. Errors of the place raise StorageError."""

    def listing(self, folder: str) -> Iterator[Note]:
        """Yield the files below a folder; none where there is no such folder."""

    def read(self, name: str) -> bytes | None:
        """Return a file's content, None where it is not there."""

    def write(self, name: str, content: bytes) -> Note:
        """Write a file, over what is there; it appears whole."""

    def remove(self, name: str) -> None:
        """Delete a file; one that is gone already is fine."""


def open_notes(remote: RemoteConfig, file_system: OpenFileSystem) -> Notes:
    """Return the small files on a DVC remote."""
    if not remote.scheme:
        path = Path(remote.url.partition("://")[2] or remote.url)
        return DirectoryNotes(path, f"DVC remote '{remote.name}'")
    client = bucket_client(remote)
    if client is not None:
        return BucketNotes(client, f"DVC remote '{remote.name}'")
    return FileSystemNotes(file_system(remote), f"DVC remote '{remote.name}'")


def read_all(notes: Notes, names: Iterable[str]) -> Iterator[tuple[str, bytes | None]]:
    """Yield many files' content, in order, several at once."""
    from concurrent.futures import ThreadPoolExecutor

    wanted = list(names)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        yield from zip(wanted, pool.map(notes.read, wanted), strict=True)


class DirectoryNotes:
    """Small files in a directory; `where` is what errors call it."""

    def __init__(self, root: Path, where: str) -> None:
        self._root = root
        self._where = where

    def listing(self, folder: str) -> Iterator[Note]:
        """Yield the files below a folder; a missing root is "unknown"."""
        with self._reached():
            for at, _, names in os.walk(self._root / folder, onerror=_unless_missing):
                for name in names:
                    note = self._note(Path(at, name))
                    if note and not name.startswith("."):
                        yield note

    def read(self, name: str) -> bytes | None:
        """Return a file's content, None where it is not there."""
        with self._reached():
            try:
                path = self._root / name
                _require_small(path.stat().st_size, name, self._where)
                return path.read_bytes()
            except FileNotFoundError:
                return None

    def write(self, name: str, content: bytes) -> Note:
        """Write a file, over what is there; it appears whole."""
        target = self._root / name
        partial = target.with_name(f".{os.urandom(8).hex()}.tmp")
        with self._reached():
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                partial.write_bytes(content)
                partial.replace(target)
                found = target.stat()
            finally:
                partial.unlink(missing_ok=True)
        return Note(name, found.st_size, found.st_mtime)

    def remove(self, name: str) -> None:
        """Delete a file; one that is gone already is fine."""
        with self._reached():
            (self._root / name).unlink(missing_ok=True)

    def _note(self, path: Path) -> Note | None:
        try:
            found = path.stat()
        except FileNotFoundError:  # gone since the folder was read
            return None
        name = path.relative_to(self._root).as_posix()
        is_file = stat.S_ISREG(found.st_mode)
        return Note(name, found.st_size, found.st_mtime) if is_file else None

    def _reached(self) -> AbstractContextManager[None]:
        return folder_reached(self._root, self._where)


class BucketNotes:
    """Small files in a bucket, through obstore; `where` is what errors call it."""

    def __init__(self, client: Any, where: str) -> None:
        self._client = client
        self._where = where

    def listing(self, folder: str) -> Iterator[Note]:
        """Yield the files below a folder."""
        with reached(self._where):
            for batch in self._client.list(prefix=folder):
                for meta in batch:
                    modified = meta["last_modified"].timestamp()
                    yield Note(meta["path"], int(meta["size"]), modified)

    def read(self, name: str) -> bytes | None:
        """Return a file's content, None where it is not there."""
        with reached(self._where):
            try:
                response = self._client.get(name)
                _require_small(int(response.meta["size"]), name, self._where)
                return bytes(response.bytes())
            except FileNotFoundError:
                return None

    def write(self, name: str, content: bytes) -> Note:
        """Write a file, over what is there."""
        with reached(self._where):
            self._client.put(name, content, use_multipart=False)
            meta = self._client.head(name)
        return Note(name, int(meta["size"]), meta["last_modified"].timestamp())

    def remove(self, name: str) -> None:
        """Delete a file; one that is gone already is fine."""
        with reached(self._where):
            try:
                self._client.delete(name)
            except FileNotFoundError:
                return


class FileSystemNotes:
    """Small files behind one of DVC's file systems; `where` is what errors call it."""

    def __init__(self, place: FileSystem, where: str) -> None:
        self._place = place
        self._fs = place.fs.fs
        self._where = where

    def listing(self, folder: str) -> Iterator[Note]:
        """Yield the files below a folder."""
        if not self._place.can_list:
            raise StorageError(f"{self._where} is of a kind that can't be listed")
        with reached(self._where):
            for path, entry in files_below(self._place.fs, f"{self._place.root}/{folder}"):
                name = path.removeprefix(f"{self._place.root}/")
                yield Note(name, int(entry["size"]), modified_seconds(entry))

    def read(self, name: str) -> bytes | None:
        """Return a file's content, None where it is not there."""
        with reached(self._where):
            try:
                path = f"{self._place.root}/{name}"
                self._fs.invalidate_cache()
                _require_small(int(self._fs.info(path)["size"]), name, self._where)
                return bytes(self._fs.cat_file(path))
            except FileNotFoundError:
                return None

    def write(self, name: str, content: bytes) -> Note:
        """Write a file, over what is there; it appears whole."""
        path = f"{self._place.root}/{name}"
        with reached(self._where):
            self._fs.makedirs(path.rpartition("/")[0], exist_ok=True)
            if self._place.appears_whole:
                self._fs.pipe_file(path, content)
            else:
                partial = f"{path}.{os.urandom(4).hex()}.tmp"
                self._fs.pipe_file(partial, content)
                self._place.move(partial, path)
            self._fs.invalidate_cache()
            entry = self._fs.info(path)
        return Note(name, int(entry["size"]), modified_seconds(entry))

    def remove(self, name: str) -> None:
        """Delete a file; one that is gone already is fine."""
        with reached(self._where):
            try:
                self._fs.rm_file(f"{self._place.root}/{name}")
            except FileNotFoundError:
                return


def _unless_missing(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise error


def _require_small(size_bytes: int, name: str, where: str) -> None:
    if size_bytes > _MAX_BYTES:
        raise StorageError(f"'{name}' on {where} is too large to be read: {size_bytes:,} bytes")
