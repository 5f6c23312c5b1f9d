"""A DVC remote of any other kind, through the file system that DVC itself uses for it."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

from dvc_branchflow.errors import StorageError
from dvc_branchflow.model import Oid
from dvc_branchflow.objects.base import PREFIX, Stored, absent, object_key, oid_of, reached
from dvc_branchflow.objects.config import RemoteConfig
from dvc_branchflow.objects.crew import MOST, Pace, each
from dvc_branchflow.objects.files import appearing, md5, prove, read
from dvc_branchflow.values import dataclass

# What file systems call the time of the last change.
_TIMES = ("mtime", "modified", "last_modified", "LastModified", "updated", "created")


@dataclass(frozen=True, slots=True)
class FileSystem:
    """One of DVC's file systems, and where in it the remote begins.

    Attributes:
        home: the folder or bucket without which nothing is known of the objects; None: has none.
        appears_whole: a file that is being written can't be seen before its end.
        can_list: what is there can be found out without asking for it by name.
        renames: puts a file in another one's place, where the file system's own `mv` can't.
    """

    fs: Any
    root: str
    home: str | None
    appears_whole: bool
    can_list: bool
    renames: Callable[[str, str], object] | None = None

    def entry(self, path: str) -> Mapping[str, Any] | None:
        """Return what lies at a path now, whatever the file system remembers; None: nothing does.

        Its own `exists` says "no" of a server that is down or refuses.
        """
        self.fs.fs.invalidate_cache(path.rpartition("/")[0])
        try:
            found: Mapping[str, Any] = self.fs.info(path)
        except FileNotFoundError:
            return None
        return found

    def move(self, source: str, target: str) -> None:
        """Put a file in another one's place."""
        (self.renames or self.fs.fs.mv)(source, target)

    def require_home(self, where: str) -> None:
        """Raise where the remote's own folder or bucket is missing: then nothing is known."""
        if self.home is not None and self.entry(self.home) is None:
            home = self.fs.unstrip_protocol(self.home).rstrip("/")
            raise StorageError(
                f"{where} can't be reached: there is no '{home}'",
                hint=f"make '{home}' there  # if it really is a new one",
            )


OpenFileSystem = Callable[[RemoteConfig], FileSystem]


class FileSystemStore:
    """A DVC remote behind one of DVC's file systems. `jobs`: requests at once, at most."""

    def __init__(self, name: str, place: FileSystem, jobs: int = MOST) -> None:
        self._name = name
        self._where = f"DVC remote '{name}'"
        self._place = place
        self._fs = place.fs
        self._jobs = jobs

    def sizes(self, oids: Iterable[Oid]) -> dict[Oid, int]:
        """Return the size of those objects that are there; a missing root is "unknown"."""
        found: dict[Oid, int] = {}

        def ask(oid: Oid) -> None:
            size = self._size(oid)
            if size is not None:
                found[oid] = size

        wanted = list(dict.fromkeys(oids))
        with self._reached():
            each(wanted, ask, Pace(self._jobs))
            if len(found) < len(wanted):
                self._place.require_home(self._where)
        return found

    def put(self, sources: Mapping[Oid, Path]) -> None:
        """Upload objects whose md5 is proven before, and whose size is proven after."""
        with self._reached():
            self._place.require_home(self._where)
            for folder in sorted({self._path(oid).rpartition("/")[0] for oid in sources}):
                self._fs.makedirs(folder, exist_ok=True)
            each(sources.items(), self._upload, Pace(self._jobs))

    def get(self, targets: Mapping[Oid, Path]) -> None:
        """Download objects, each proven by its md5."""
        with self._reached():
            each(targets.items(), self._download, Pace(self._jobs))

    def digests(self, oids: Iterable[Oid]) -> dict[Oid, str]:
        """Read objects, and return the md5 of each one's content; of those that are there."""
        found: dict[Oid, str] = {}

        def hash_one(oid: Oid) -> None:
            digest = md5()
            try:
                with self._fs.open(self._path(oid), "rb") as file:
                    for piece in read(file):
                        digest.update(piece)
            except FileNotFoundError:
                return
            found[oid] = digest.hexdigest()

        wanted = list(oids)
        with self._reached():
            each(wanted, hash_one, Pace(self._jobs))
            if len(found) < len(wanted):
                self._place.require_home(self._where)
        return found

    def listing(self) -> Iterator[Stored]:
        """Yield every DVC object that is there, a folder at a time."""
        if not self._place.can_list:
            raise StorageError(f"DVC remote '{self._name}' is of a kind that can't be listed")
        with self._reached():
            self._place.require_home(self._where)
            for folder in self._entries(""):
                if folder["type"] == "directory":
                    yield from self._listed(_name(folder))
            self._place.require_home(self._where)

    def _listed(self, folder: str) -> Iterator[Stored]:
        for entry in self._entries(f"/{folder}"):
            oid = oid_of(f"{PREFIX}/{folder}/{_name(entry)}")
            if oid is not None and entry["type"] == "file":
                etag = entry.get("ETag") or entry.get("etag")
                yield Stored(oid, int(entry["size"]), modified_seconds(entry), etag)

    def _entries(self, below: str) -> list[Mapping[str, Any]]:
        """What lies in a folder now, whatever the file system remembers of it."""
        path = f"{self._place.root}/{PREFIX}{below}"
        self._fs.fs.invalidate_cache(path)
        try:
            return list(self._fs.ls(path, detail=True))
        except FileNotFoundError:
            return []

    def _path(self, oid: Oid) -> str:
        return f"{self._place.root}/{object_key(oid)}"

    def _size(self, oid: Oid) -> int | None:
        entry = self._place.entry(self._path(oid))
        return int(entry["size"]) if entry and entry["type"] == "file" else None

    def _upload(self, item: tuple[Oid, Path]) -> None:
        oid, source = item
        prove(source, oid, "the cache")
        path = self._path(oid)
        if self._place.appears_whole:
            self._fs.put_file(str(source), path)
        else:
            partial = f"{path.rpartition('/')[0]}/.branchflow-{os.urandom(8).hex()}.tmp"
            try:
                self._fs.put_file(str(source), partial)
                self._place.move(partial, path)
            except BaseException:
                with suppress(Exception):
                    self._fs.rm_file(partial)
                raise
        if self._size(oid) != source.stat().st_size:
            raise StorageError(f"object {oid} did not arrive whole on '{self._name}'")

    def _download(self, item: tuple[Oid, Path]) -> None:
        oid, target = item
        with appearing(target) as partial:
            try:
                self._fs.get_file(self._path(oid), str(partial))
            except FileNotFoundError as error:
                self._place.require_home(self._where)
                raise absent(oid, self._name) from error
            prove(partial, oid, self._name)

    def _reached(self) -> AbstractContextManager[None]:
        """Say of all that goes wrong there which DVC remote it was."""
        return reached(self._where)


def files_below(fs: Any, top: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield path and entry of every file below a folder; none where it is not there."""
    fs.fs.invalidate_cache(top)
    try:
        entries = list(fs.ls(top, detail=True))
    except FileNotFoundError:
        return
    for entry in entries:
        path = f"{top}/{_name(entry)}"
        if entry["type"] == "directory":
            yield from files_below(fs, path)
        else:
            yield path, entry


def _name(entry: Mapping[str, Any]) -> str:
    return str(entry["name"]).rstrip("/").rpartition("/")[2]


def modified_seconds(entry: Mapping[str, Any]) -> float:
    """Return when a file last changed, in seconds since 1970; infinite where nobody says."""
    for key in _TIMES:
        found = entry.get(key)
        if isinstance(found, datetime):
            return found.timestamp()
        if isinstance(found, int | float):
            return float(found)
    return math.inf
