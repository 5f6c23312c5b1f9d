"""Finds and deletes every copy of objects in one place: DVC's own, in the trash, old versions.

Also where a DVC before 3 kept them. A place that can't be searched to its end raises.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from dvc_branchflow.errors import StorageError
from dvc_branchflow.model import Oid
from dvc_branchflow.objects.aside import TRASH, aside_key, aside_of
from dvc_branchflow.objects.base import folder_reached, object_key, reached
from dvc_branchflow.objects.clients import bucket_client, versions_client
from dvc_branchflow.objects.config import RemoteConfig
from dvc_branchflow.objects.crew import Pace, each
from dvc_branchflow.objects.doomed import Forgotten
from dvc_branchflow.objects.filesystem import FileSystem, OpenFileSystem, files_below
from dvc_branchflow.values import dataclass

_KEPT = {"AccessDenied", "ObjectLocked", "InvalidRequest"}
_NO_VERSIONS = {"NotImplemented", "MethodNotAllowed", "501"}


@dataclass(frozen=True, slots=True)
class Remnant:
    """A copy of an object, or what a place remembers of one: its key below the root.

    `version`: in a bucket with versions, which of them; also that of a delete marker.
    """

    oid: Oid
    key: str
    version: str | None = None


class Purge(Protocol):
    """One place. Errors of the place raise StorageError."""

    def find(self, oids: Collection[Oid]) -> list[Remnant]:
        """Return every copy of objects."""

    def delete(self, forgotten: Forgotten, found: Iterable[Remnant]) -> dict[Remnant, str]:
        """Delete copies of forgotten objects for good; return which the place keeps, and why."""

    def sees_versions(self) -> bool:
        """Whether `find` sees what the place kept of objects that were deleted before."""


def open_purge(remote: RemoteConfig, file_system: OpenFileSystem) -> Purge:
    """Return the way to every copy on a DVC remote.

    Raises: StorageError: it keeps files by their names.
    """
    if remote.is_on("version_aware") or remote.is_on("worktree"):
        raise StorageError(
            f"DVC remote '{remote.name}' is cloud-versioned: it keeps files by their names, so "
            "that no object can be looked for there"
        )
    where = f"DVC remote '{remote.name}'"
    if not remote.scheme:
        return DirectoryPurge(Path(remote.url.partition("://")[2] or remote.url), where)
    client = bucket_client(remote)
    if client is None:
        return FileSystemPurge(file_system(remote), where)
    versions = partial(versions_client, remote) if remote.scheme == "s3" else None
    return BucketPurge(client, versions, where)


def _keys(oid: Oid) -> tuple[str, str]:
    """Where DVC keeps an object: today, and before DVC 3."""
    return object_key(oid), f"{oid[:2]}/{oid[2:]}"


def _forgotten(forgotten: Forgotten, found: Iterable[Remnant]) -> list[Remnant]:
    return [one for one in found if one.oid in forgotten.oids]


class DirectoryPurge:
    """A DVC remote that is a directory, or a cache; `where` is what errors call it."""

    def __init__(self, root: Path, where: str) -> None:
        self._root = root
        self._where = where

    def find(self, oids: Collection[Oid]) -> list[Remnant]:
        """Return every copy of objects; a missing root is "unknown"."""
        with self._reached():
            trash = self._root / TRASH
            runs = os.listdir(trash) if trash.is_dir() else []
            return [
                Remnant(oid, key)
                for oid in oids
                for key in (*_keys(oid), *(aside_key(run, oid) for run in runs))
                if os.path.lexists(self._root / key)
            ]

    def delete(self, forgotten: Forgotten, found: Iterable[Remnant]) -> dict[Remnant, str]:
        """Delete copies for good."""
        with self._reached():
            for one in _forgotten(forgotten, found):
                path = self._root / one.key
                path.unlink(missing_ok=True)
                with suppress(OSError):
                    path.parent.rmdir()
        return {}

    def sees_versions(self) -> bool:
        """A directory keeps none; its snapshots and backups are elsewhere."""
        return True

    def _reached(self) -> AbstractContextManager[None]:
        return folder_reached(self._root, self._where)


class FileSystemPurge:
    """A DVC remote behind one of DVC's file systems."""

    def __init__(self, place: FileSystem, where: str) -> None:
        self._place = place
        self._fs = place.fs.fs
        self._where = where

    def find(self, oids: Collection[Oid]) -> list[Remnant]:
        """Return every copy of objects."""
        if not self._place.can_list:
            raise StorageError(f"{self._where} is of a kind that can't be searched")
        with self._reached():
            self._place.require_home(self._where)
            keys = [(oid, key) for oid in oids for key in _keys(oid)]
            found = [Remnant(oid, key) for oid, key in keys if self._is_there(key)]
            for path, _ in files_below(self._place.fs, f"{self._place.root}/{TRASH}"):
                key = path.removeprefix(f"{self._place.root}/")
                aside = aside_of(key)
                if aside and aside[1] in oids:
                    found.append(Remnant(aside[1], key))
            return found

    def delete(self, forgotten: Forgotten, found: Iterable[Remnant]) -> dict[Remnant, str]:
        """Delete copies for good."""
        with self._reached():
            for one in _forgotten(forgotten, found):
                with suppress(FileNotFoundError):
                    self._fs.rm_file(f"{self._place.root}/{one.key}")
        return {}

    def sees_versions(self) -> bool:
        """Nobody says what such a place keeps."""
        return False

    def _is_there(self, key: str) -> bool:
        return self._place.entry(f"{self._place.root}/{key}") is not None

    def _reached(self) -> AbstractContextManager[None]:
        return reached(self._where)


class BucketPurge:
    """A DVC remote that is a bucket.

    Args:
        versions: opens botocore's client, with the bucket and what its keys begin with; None: the
            bucket is of a kind whose versions can't be listed here.
    """

    def __init__(
        self, client: Any, versions: Callable[[], tuple[Any, str, str]] | None, where: str
    ) -> None:
        self._client = client
        self._open_versions = versions
        self._versions: tuple[Any, str, str] | None = None
        self._lists_versions: bool | None = None
        self._where = where

    def find(self, oids: Collection[Oid]) -> list[Remnant]:
        """Return every copy of objects, each version and delete marker of them."""
        found: list[Remnant] = []
        keys = {key: oid for oid in oids for key in _keys(oid)}

        def look(key: str) -> None:
            found.extend(self._at(key, keys[key]))

        with self._reached():
            self._has_versions()
            each(keys, look, Pace())
            found += [one for one in self._in_trash() if one.oid in oids]
        return sorted(found, key=lambda one: (one.key, str(one.version)))

    def delete(self, forgotten: Forgotten, found: Iterable[Remnant]) -> dict[Remnant, str]:
        """Delete copies for good, and the lines of the trash that name them."""
        kept: dict[Remnant, str] = {}

        def take(one: Remnant) -> None:
            why = self._delete(one)
            if why:
                kept[one] = why

        mine = _forgotten(forgotten, found)
        with self._reached():
            each(mine, take, Pace())
            # All of them: a run before this one may have been cut off between copies and lists.
            self._forget(forgotten.oids - {one.oid for one in kept})
        return kept

    def sees_versions(self) -> bool:
        """Whether the server lists versions."""
        with self._reached():
            return self._has_versions()

    def _at(self, key: str, oid: Oid) -> Iterator[Remnant]:
        """The copies at one key."""
        if self._has_versions():
            yield from (Remnant(oid, at, v) for at, v in self._versions_below(key) if at == key)
            return
        with suppress(FileNotFoundError):
            self._client.head(key)
            yield Remnant(oid, key)

    def _in_trash(self) -> Iterator[Remnant]:
        if self._has_versions():
            listed = self._versions_below(f"{TRASH}/")
        else:
            batches = self._client.list(prefix=TRASH)
            listed = ((meta["path"], None) for batch in batches for meta in batch)
        for key, version in listed:
            aside = aside_of(key)
            if aside:
                yield Remnant(aside[1], key, version)

    def _versions_below(self, prefix: str) -> Iterator[tuple[str, str | None]]:
        client, bucket, home = self._with_versions()
        pages = client.get_paginator("list_object_versions").paginate(
            Bucket=bucket, Prefix=home + prefix
        )
        for page in pages:
            for one in (*page.get("Versions", []), *page.get("DeleteMarkers", [])):
                yield str(one["Key"]).removeprefix(home), str(one["VersionId"])

    def _delete(self, one: Remnant) -> str:
        """Delete a copy; return why it can't be, if it can't."""
        if one.version is None:
            with suppress(FileNotFoundError):
                self._client.delete(one.key)
            return ""
        from botocore.exceptions import ClientError

        client, bucket, home = self._with_versions()
        try:
            client.delete_object(Bucket=bucket, Key=home + one.key, VersionId=one.version)
        except ClientError as error:
            said = error.response.get("Error", {})
            if said.get("Code") not in _KEPT:
                raise
            return f"the bucket keeps it: {said.get('Message') or said['Code']}"
        return ""

    def _forget(self, oids: Collection[Oid]) -> None:
        """Take objects out of the trash's lists of versions."""
        names = [meta["path"] for batch in self._client.list(prefix=TRASH) for meta in batch]
        for name in (name for name in names if name.endswith(".txt")):
            lines = bytes(self._client.get(name).bytes()).decode().splitlines(keepends=True)
            left = [line for line in lines if line.partition(" ")[0] not in oids]
            if not left:
                self._client.delete(name)
            elif len(left) < len(lines):
                self._client.put(name, "".join(left).encode(), use_multipart=False)

    def _has_versions(self) -> bool:
        if self._lists_versions is None:
            self._lists_versions = self._open_versions is not None and self._ask()
        return self._lists_versions

    def _ask(self) -> bool:
        from botocore.exceptions import ClientError

        client, bucket, home = self._with_versions()
        try:
            client.list_object_versions(Bucket=bucket, Prefix=home + TRASH, MaxKeys=1)
        except ClientError as error:
            said = error.response.get("Error", {}).get("Code")
            if said not in _NO_VERSIONS:
                raise
            return False
        return True

    def _with_versions(self) -> tuple[Any, str, str]:
        if self._versions is None:
            if self._open_versions is None:
                raise StorageError(f"{self._where} keeps no versions of objects")
            self._versions = self._open_versions()
        return self._versions

    def _reached(self) -> AbstractContextManager[None]:
        return reached(self._where)
