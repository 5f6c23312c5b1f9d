"""A DVC remote that is a bucket, through obstore."""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager
from itertools import chain, islice
from pathlib import Path
from typing import Any

from dvc_branchflow.errors import StorageError
from dvc_branchflow.model import Oid
from dvc_branchflow.objects.base import PREFIX, Stored, absent, is_md5, object_key, oid_of, reached
from dvc_branchflow.objects.crew import MOST, Pace, each
from dvc_branchflow.objects.files import CHUNK, md5, prove, require, save

_EMPTY = md5().hexdigest()
_LIST_CHUNK = 1000  # what a server lists in one answer
_FEW = 256  # objects asked for by name up to here, whatever else lies there
_LISTED_FOR_ONE = 8  # objects that are listed in the time that it takes to ask for one
_SMALL = CHUNK  # bytes up to which an object is sent in one request, with a condition
_PART_BYTES, _MOST_PARTS, _PARTS_AT_ONCE = 8 * CHUNK, 9_000, 4  # S3 takes 10,000 parts
_FOLDERS = 256  # below PREFIX, alike in size, for md5 is even
_FULL = 4  # folders in the first answer, at most, where each is worth a request of its own
_LISTS_AT_ONCE = 16
_Page = Sequence[Mapping[str, Any]]
_NO_CONDITIONS = re.compile(r"\b501\b|NotImplemented|not supported", re.IGNORECASE)


class BucketStore:
    """A DVC remote that is a bucket. `jobs`: requests at once, at most."""

    def __init__(self, name: str, store: Any, jobs: int = MOST) -> None:
        self._name = name
        self._store = store
        self._jobs = jobs
        self._has_conditions = True  # as long as the server does not say that it has none

    def sizes(self, oids: Iterable[Oid]) -> dict[Oid, int]:
        """Return the size of those objects that are there: by name, or from a shorter listing."""
        wanted = list(dict.fromkeys(oids))
        if len(wanted) > _FEW and self._is_listing_shorter(wanted):
            asked = set(wanted)
            return {one.oid: one.size_bytes for one in self.listing() if one.oid in asked}
        found: dict[Oid, int] = {}

        def ask(oid: Oid) -> None:
            meta = self._head(oid)
            if meta is not None:
                found[oid] = int(meta["size"])

        with self._reached():
            each(wanted, ask, Pace(self._jobs))
        if wanted and not found:
            self._require_bucket()
        return found

    def put(self, sources: Mapping[Oid, Path]) -> None:
        """Upload objects whose md5 is proven on the way, and prove that they arrived.

        The proof is the md5 that the server answers with; where it has none, the size.
        """
        with self._reached():
            try:
                each(sources.items(), self._upload, Pace(self._jobs), _size_in_flight)
            except FileNotFoundError:
                self._require_bucket()
                raise

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
                for piece in self._pieces(oid):
                    digest.update(piece)
            except FileNotFoundError:
                return
            found[oid] = digest.hexdigest()

        wanted = list(oids)
        with self._reached():
            each(wanted, hash_one, Pace(self._jobs))
        if wanted and not found:
            self._require_bucket()
        return found

    def listing(self) -> Iterator[Stored]:
        """Yield every DVC object that is there; folders are listed at once where they are full."""
        with self._reached():
            pages = self._pages(PREFIX)
            first = next(pages, [])
            if len(first) == _LIST_CHUNK and len({_folder(meta) for meta in first}) <= _FULL:
                folders = (self._pages(f"{PREFIX}/{number:02x}") for number in range(_FOLDERS))
                yield from _stored(_at_once(folders, min(self._jobs, _LISTS_AT_ONCE)))
            else:
                yield from _stored(chain([first], pages))

    def _upload(self, item: tuple[Oid, Path]) -> None:
        oid, source = item
        before = source.stat()
        if before.st_size > _SMALL:
            prove(source, oid, "the cache")
            self._send_parts(oid, source, before.st_size)
            if _version(source.stat()) != _version(before):
                raise StorageError(
                    f"'{source}' changed while it was stored", hint="run the command again"
                )
            return
        content = source.read_bytes()
        require(md5(content).hexdigest(), oid, "the cache")
        if not self._create(oid, content):
            made = self._store.put(object_key(oid), content, use_multipart=False)
            self._require_arrived(oid, made, len(content))

    def _create(self, oid: Oid, content: bytes) -> bool:
        """Store an object where there is none; return whether it is there and proven now."""
        from obstore.exceptions import AlreadyExistsError, BaseError

        if not self._has_conditions:
            return False
        try:
            made = self._store.put(object_key(oid), content, mode="create")
        except AlreadyExistsError:
            meta = self._head(oid)
            return meta is not None and is_md5(meta["e_tag"], oid)
        except (BaseError, NotImplementedError) as error:
            if not _NO_CONDITIONS.search(str(error)):
                raise
            self._has_conditions = False
            return False
        self._require_arrived(oid, made, len(content))
        return True

    def _send_parts(self, oid: Oid, source: Path, size: int) -> None:
        part = max(_PART_BYTES, -(-size // _MOST_PARTS))
        made = self._store.put(
            object_key(oid), source, chunk_size=part, max_concurrency=_PARTS_AT_ONCE
        )
        self._require_arrived(oid, made, size)

    def _require_arrived(self, oid: Oid, made: Mapping[str, Any], size: int) -> None:
        """Raise where neither the md5 in the server's answer nor the size there is the object's."""
        if is_md5(made["e_tag"], oid):
            return
        meta = self._head(oid)
        if meta is None or int(meta["size"]) != size:
            raise StorageError(f"object {oid} did not arrive whole on '{self._name}'")

    def _download(self, item: tuple[Oid, Path]) -> None:
        oid, target = item
        try:
            save(self._pieces(oid), target, oid, self._name)
        except FileNotFoundError as error:
            self._require_bucket()
            raise absent(oid, self._name) from error

    def _pieces(self, oid: Oid) -> Iterator[Any]:
        """The content, by requests for a part each: none takes so long that it is given up."""
        key = object_key(oid)
        if oid == _EMPTY:  # S3 has no first part of it
            yield self._store.get(key).bytes()
            return
        first = self._store.get(key, options={"range": (0, _PART_BYTES)})
        yield first.bytes()
        size = int(first.meta["size"])
        for start in range(_PART_BYTES, size, _PART_BYTES):
            yield self._store.get_range(key, start=start, end=min(start + _PART_BYTES, size))

    def _head(self, oid: Oid) -> Mapping[str, Any] | None:
        try:
            meta: Mapping[str, Any] = self._store.head(object_key(oid))
        except FileNotFoundError:
            return None
        return meta

    def _require_bucket(self) -> None:
        """Raise where the bucket itself is missing: a server says the same of it and of objects."""
        with self._reached():
            next(self._pages(PREFIX), None)

    def _is_listing_shorter(self, wanted: list[Oid]) -> bool:
        """Whether listing all costs less than asking for each, by the size of one folder of 256."""
        enough = len(wanted) * _LISTED_FOR_ONE // _FOLDERS
        with self._reached():
            pages = self._pages(f"{PREFIX}/{wanted[0][:2]}")
            return sum(1 for _ in islice(_stored(pages), enough + 1)) <= enough

    def _pages(self, prefix: str) -> Iterator[_Page]:
        """What lies below a prefix, by as many objects as a server lists in one answer."""
        return iter(self._store.list(prefix=prefix, chunk_size=_LIST_CHUNK))

    def _reached(self) -> AbstractContextManager[None]:
        """Say of all that goes wrong there which DVC remote it was."""
        return reached(f"DVC remote '{self._name}'")


def _stored(pages: Iterable[_Page]) -> Iterator[Stored]:
    for page in pages:
        for meta in page:
            oid = oid_of(meta["path"])
            if oid is not None:
                modified = meta["last_modified"].timestamp()
                yield Stored(oid, int(meta["size"]), modified, meta["e_tag"])


def _folder(meta: Mapping[str, Any]) -> str:
    return str(meta["path"]).rpartition("/")[0]


def _at_once(streams: Iterable[Iterator[_Page]], most: int) -> Iterator[_Page]:
    """Yield the pages of streams, while the next ones of several are under way."""
    waiting = iter(streams)
    running: deque[tuple[Iterator[_Page], Future[_Page | None]]] = deque()
    with ThreadPoolExecutor(most) as pool:

        def read_on(stream: Iterator[_Page]) -> None:
            running.append((stream, pool.submit(next, stream, None)))

        for stream in islice(waiting, most):
            read_on(stream)
        while running:
            stream, promised = running.popleft()
            page = promised.result()
            if page is not None:
                read_on(stream)
                yield page
            elif following := next(waiting, None):
                read_on(following)


def _size_in_flight(item: tuple[Oid, Path]) -> int:
    return min(os.stat(item[1]).st_size, _PART_BYTES * _PARTS_AT_ONCE)


def _version(found: os.stat_result) -> tuple[int, int]:
    return found.st_size, found.st_mtime_ns
