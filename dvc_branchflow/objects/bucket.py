"""A DVC remote that is a bucket, through obstore."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

from dvc_branchflow.errors import StorageError
from dvc_branchflow.model import Oid
from dvc_branchflow.objects.base import PREFIX, Stored, absent, appearing, object_key, oid_of, prove

_CHUNK = 1024 * 1024
_PARALLEL = 32
_LIST_CHUNK = 1000  # what a server lists in one answer
_LIST_ABOVE = 2000  # objects asked for by name up to here; above it, listing is fewer requests
_T = TypeVar("_T")


class BucketStore:
    """A DVC remote that is a bucket, through obstore."""

    def __init__(self, name: str, store: Any) -> None:
        self._name = name
        self._store = store

    def sizes(self, oids: Iterable[Oid]) -> dict[Oid, int]:
        """Return the size of those objects that are there: by name for few, by listing for many."""
        wanted = list(dict.fromkeys(oids))
        if len(wanted) > _LIST_ABOVE:
            asked = set(wanted)
            return {one.oid: one.size_bytes for one in self.listing() if one.oid in asked}
        found = self._gather(wanted, self._head)
        return {oid: size for oid, size in zip(wanted, found, strict=True) if size is not None}

    def put(self, sources: Mapping[Oid, Path]) -> None:
        """Upload objects; the size that the server then reports has to be the source's."""

        async def upload(oid: Oid) -> None:
            source = sources[oid]
            prove(source, oid, "the cache")
            await self._store.put_async(object_key(oid), source)
            size = await self._head(oid)
            if size != source.stat().st_size:
                raise StorageError(f"object {oid} did not arrive whole on '{self._name}'")

        self._gather(list(sources), upload)

    def get(self, targets: Mapping[Oid, Path]) -> None:
        """Download objects, each proven by its md5."""

        async def download(oid: Oid) -> None:
            with appearing(targets[oid]) as partial:
                try:
                    response = await self._store.get_async(object_key(oid))
                except FileNotFoundError as error:
                    raise absent(oid, self._name) from error
                with partial.open("wb") as file:
                    async for chunk in response.stream(min_chunk_size=_CHUNK):
                        file.write(chunk)
                prove(partial, oid, self._name)

        self._gather(list(targets), download)

    def listing(self) -> Iterator[Stored]:
        """Yield every DVC object that is there."""
        try:
            for batch in self._store.list(prefix=PREFIX, chunk_size=_LIST_CHUNK):
                for meta in batch:
                    oid = oid_of(meta["path"])
                    if oid is not None:
                        modified = meta["last_modified"].timestamp()
                        yield Stored(oid, int(meta["size"]), modified, meta["e_tag"])
        except Exception as error:
            raise self._unreachable(error) from error

    async def _head(self, oid: Oid) -> int | None:
        try:
            meta = await self._store.head_async(object_key(oid))
        except FileNotFoundError:
            return None
        return int(meta["size"])

    def _gather(self, oids: list[Oid], work: Callable[[Oid], Awaitable[_T]]) -> list[_T]:
        import asyncio  # 20 ms that only a bucket needs

        async def everything() -> list[_T]:
            gate = asyncio.Semaphore(_PARALLEL)

            async def one(oid: Oid) -> _T:
                async with gate:
                    return await work(oid)

            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(oid)) for oid in oids]
            return [task.result() for task in tasks]

        try:
            return asyncio.run(everything())
        except ExceptionGroup as group:
            error = _first(group)
            if isinstance(error, StorageError):
                raise error from None
            raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> StorageError:
        reason = " ".join(str(error).split())
        return StorageError(f"DVC remote '{self._name}' can't be used: {reason[:240]}")


def _first(group: BaseExceptionGroup[Exception]) -> Exception:
    error: Exception | BaseExceptionGroup[Exception] = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
