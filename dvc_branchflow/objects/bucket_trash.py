"""The trash of a DVC remote that is a bucket: copies below a prefix, or delete markers.

In a bucket with versions an object is hidden by a delete marker, and its version is noted in a file
below the trash before. A bucket whose versions are suspended gets copies: a marker there would take
the place of the object itself.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from dvc_branchflow.errors import StorageError
from dvc_branchflow.model import Oid
from dvc_branchflow.objects.aside import TRASH, Aside, Deleted, aside_key, aside_of, files_first
from dvc_branchflow.objects.base import Stored, object_key, reached
from dvc_branchflow.objects.crew import MOST, Pace, each
from dvc_branchflow.objects.doomed import Doomed

_BATCH = 500
_COPIED_BYTES = 5 * 1024**3  # above it S3 copies only in parts
_PART_BYTES = 8 * 1024 * 1024
_LISTS = "versions-"
_FIELDS = 3

Versions = Callable[[], tuple[Any, str, str]]


class BucketTrash:
    """What was set aside in a bucket.

    Args:
        versions: opens botocore's client, with the bucket and what its keys begin with; None: the
            bucket is of a kind that knows no delete markers.
    """

    def __init__(self, name: str, store: Any, versions: Versions | None, jobs: int = MOST) -> None:
        self._name = name
        self._store = store
        self._open_versions = versions
        self._versions: tuple[Any, str, str] | None = None
        self._has_markers: bool | None = None
        self._jobs = jobs

    def set_aside(self, doomed: Doomed, run: str) -> list[Oid]:
        """Move condemned objects out of DVC's sight, manifests before files."""
        copies = doomed.at("objects")
        folders = [copy for copy in copies if copy.oid.endswith(".dir")]
        files = [copy for copy in copies if not copy.oid.endswith(".dir")]
        moved: list[Oid] = []
        with self._reached():
            for group in (folders, files):
                for start in range(0, len(group), _BATCH):
                    moved += self._set_aside(group[start : start + _BATCH], run)
        return moved

    def listing(self) -> Iterator[Aside]:
        """Yield every object in the trash: copies, and what markers hide."""
        seen: set[tuple[Oid, str]] = set()
        with self._reached():
            for batch in self._store.list(prefix=TRASH):
                for meta in batch:
                    found = aside_of(meta["path"])
                    since = meta["last_modified"].timestamp()
                    if found:
                        yield Aside(found[0], Stored(found[1], int(meta["size"]), since))
                    elif f"/{_LISTS}" in meta["path"]:
                        for one in self._listed(meta["path"], since):
                            if (one.stored.oid, str(one.stored.version)) not in seen:
                                seen.add((one.stored.oid, str(one.stored.version)))
                                yield one

    def bring_back(self, asides: Iterable[Aside]) -> list[Oid]:
        """Move objects back to where DVC finds them, files first."""
        ordered = files_first(asides)
        back: list[Oid] = []

        def one_back(one: Aside) -> None:
            is_back = self._unhide(one) if one.stored.version else self._copy_back(one)
            if is_back:
                back.append(one.stored.oid)

        with self._reached():
            for is_folder in (False, True):
                group = [one for one in ordered if one.stored.oid.endswith(".dir") is is_folder]
                each(group, one_back, Pace(self._jobs))
            done = set(back)
            self._forget(one for one in ordered if one.stored.oid in done)
        return back

    def delete(self, doomed: Doomed, run: str) -> Deleted:
        """Delete condemned objects of a run for good."""
        copies = doomed.at("trash")
        gone: list[Oid] = []
        refused: dict[Oid, str] = {}

        def one_gone(copy: Stored) -> None:
            why = self._delete(copy, run)
            if why:
                refused[copy.oid] = why
            else:
                gone.append(copy.oid)

        with self._reached():
            each(copies, one_gone, Pace(self._jobs))
            done = set(gone)
            self._forget(Aside(run, copy) for copy in copies if copy.oid in done)
        return Deleted(tuple(gone), refused)

    # -- aside -------------------------------------------------------------------------------------

    def _set_aside(self, batch: Sequence[Stored], run: str) -> list[Oid]:
        versions: dict[Oid, str | None] = {}

        def look(copy: Stored) -> None:
            meta = self._head(object_key(copy.oid))
            if meta is not None and _is_as(meta, copy):
                version = meta["version"]
                is_kept = version and version != "null" and self._keeps_versions()
                versions[copy.oid] = version if is_kept else None

        each(batch, look, Pace(self._jobs))
        hidden = [copy for copy in batch if versions.get(copy.oid)]
        if hidden:
            lines = (f"{copy.oid} {versions[copy.oid]} {copy.size_bytes}\n" for copy in hidden)
            name = f"{TRASH}/{run}/{_LISTS}{os.urandom(6).hex()}.txt"
            self._store.put(name, "".join(lines).encode(), use_multipart=False)
        moved: list[Oid] = []

        def move(copy: Stored) -> None:
            if versions[copy.oid] or self._copy_aside(copy, run):
                self._store.delete(object_key(copy.oid))
                moved.append(copy.oid)

        each([copy for copy in batch if copy.oid in versions], move, Pace(self._jobs))
        return moved

    def _copy_aside(self, copy: Stored, run: str) -> bool:
        """Copy an object to the trash; return whether the original is still as it was."""
        key, target = object_key(copy.oid), aside_key(run, copy.oid)
        self._copy(key, target, copy.size_bytes)
        there, still = self._head(target), self._head(key)
        if there is None or int(there["size"]) != copy.size_bytes:
            raise StorageError(f"object {copy.oid} did not arrive whole in the trash")
        return still is not None and _is_as(still, copy)

    def _copy(self, key: str, target: str, size_bytes: int) -> None:
        if size_bytes < _COPIED_BYTES:
            self._store.copy(key, target)
            return
        starts = range(0, size_bytes, _PART_BYTES)
        pieces = (
            self._store.get_range(key, start=start, end=min(start + _PART_BYTES, size_bytes))
            for start in starts
        )
        self._store.put(target, pieces, chunk_size=max(_PART_BYTES, size_bytes // 9000))

    # -- back --------------------------------------------------------------------------------------

    def _copy_back(self, one: Aside) -> bool:
        """Copy an object back; what is there again by itself stays as it is."""
        key, source = object_key(one.stored.oid), aside_key(one.run, one.stored.oid)
        kept, there = self._head(source), self._head(key)
        if kept is None:
            return there is not None
        if there is None:
            self._copy(source, key, one.stored.size_bytes)
            there = self._head(key)
            if there is None or there["size"] != kept["size"]:
                raise StorageError(f"object {one.stored.oid} did not come back whole")
            self._store.delete(source)
        elif there["e_tag"] == kept["e_tag"]:
            self._store.delete(source)
        return True

    def _unhide(self, one: Aside) -> bool:
        """Take the delete markers off an object; return whether it is there then."""
        client, bucket, prefix = self._with_versions()
        key = prefix + object_key(one.stored.oid)
        for page in client.get_paginator("list_object_versions").paginate(
            Bucket=bucket, Prefix=key
        ):
            for marker in page.get("DeleteMarkers", []):
                if marker["Key"] == key and self._head(object_key(one.stored.oid)) is None:
                    client.delete_object(Bucket=bucket, Key=key, VersionId=marker["VersionId"])
        return self._head(object_key(one.stored.oid)) is not None

    # -- gone --------------------------------------------------------------------------------------

    def _delete(self, copy: Stored, run: str) -> str:
        """Delete an object for good; return why it can't be, if it can't."""
        if not copy.version:
            self._store.delete(aside_key(run, copy.oid))
            return ""
        from botocore.exceptions import ClientError

        client, bucket, prefix = self._with_versions()
        key = prefix + object_key(copy.oid)
        try:
            client.delete_object(Bucket=bucket, Key=key, VersionId=copy.version)
        except ClientError as error:
            found = error.response.get("Error", {})
            if found.get("Code") not in {"AccessDenied", "ObjectLocked", "InvalidRequest"}:
                raise
            return f"the bucket keeps it: {found.get('Message') or found['Code']}"
        self._drop_marker(key)
        return ""

    def _drop_marker(self, key: str) -> None:
        """Take away the delete markers of an object that has no versions any more."""
        client, bucket, _ = self._with_versions()
        found = client.list_object_versions(Bucket=bucket, Prefix=key)
        if any(one["Key"] == key for one in found.get("Versions", [])):
            return
        for marker in found.get("DeleteMarkers", []):
            if marker["Key"] == key:
                client.delete_object(Bucket=bucket, Key=key, VersionId=marker["VersionId"])

    # -- lists of versions -------------------------------------------------------------------------

    def _listed(self, name: str, since: float) -> Iterator[Aside]:
        run = name.removeprefix(f"{TRASH}/").partition("/")[0]
        try:
            content = bytes(self._store.get(name).bytes())
        except FileNotFoundError:  # taken away since it was listed
            return
        for line in content.decode().splitlines():
            fields = line.split(" ")
            if len(fields) != _FIELDS or aside_of(aside_key(run, Oid(fields[0]))) is None:
                raise StorageError(f"'{name}' on DVC remote '{self._name}' is no list of versions")
            oid, version, size = fields
            yield Aside(run, Stored(Oid(oid), int(size), since, None, version))

    def _forget(self, done: Iterable[Aside]) -> None:
        """Take objects out of the lists of versions."""
        by_run: defaultdict[str, set[tuple[str, str]]] = defaultdict(set)
        for one in done:
            if one.stored.version:
                by_run[one.run].add((one.stored.oid, one.stored.version))
        for run, pairs in by_run.items():
            names = [
                meta["path"]
                for batch in self._store.list(prefix=f"{TRASH}/{run}")
                for meta in batch
                if f"/{_LISTS}" in meta["path"]
            ]
            for name in names:
                lines = bytes(self._store.get(name).bytes()).decode().splitlines()
                left = [line for line in lines if tuple(line.split(" ")[:2]) not in pairs]
                if not left:
                    self._store.delete(name)
                elif len(left) < len(lines):
                    content = "".join(f"{line}\n" for line in left).encode()
                    self._store.put(name, content, use_multipart=False)

    def _keeps_versions(self) -> bool:
        """Whether the bucket says that a delete hides; where it doesn't say, copies are made."""
        if self._has_markers is None:
            self._has_markers = self._open_versions is not None and self._ask_for_versions()
        return self._has_markers

    def _ask_for_versions(self) -> bool:
        from botocore.exceptions import BotoCoreError, ClientError

        client, bucket, _ = self._with_versions()
        try:
            return bool(client.get_bucket_versioning(Bucket=bucket).get("Status") == "Enabled")
        except (ClientError, BotoCoreError):
            return False

    def _with_versions(self) -> tuple[Any, str, str]:
        if self._versions is None:
            if self._open_versions is None:
                raise StorageError(f"DVC remote '{self._name}' keeps no versions of objects")
            self._versions = self._open_versions()
        return self._versions

    def _head(self, key: str) -> Mapping[str, Any] | None:
        try:
            meta: Mapping[str, Any] = self._store.head(key)
        except FileNotFoundError:
            return None
        return meta

    def _reached(self) -> AbstractContextManager[None]:
        """Say of all that goes wrong there which DVC remote it was."""
        return reached(f"DVC remote '{self._name}'")


def _is_as(meta: Mapping[str, Any], copy: Stored) -> bool:
    """Whether an object is the very copy that was listed."""
    # A listing tells parts of a second on some servers, an answer about one object never does.
    found = (int(meta["size"]), int(meta["last_modified"].timestamp()), meta["e_tag"])
    return found == (copy.size_bytes, int(copy.modified_seconds), copy.etag)
