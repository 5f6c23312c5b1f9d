"""DVC's local cache: where every object passes through on its way in or out."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from dvc_branchflow.errors import StorageError
from dvc_branchflow.model import Oid
from dvc_branchflow.objects.base import READ_ONLY, appearing, object_key

if TYPE_CHECKING:
    from concurrent.futures import Executor  # 6 ms, and none of our callers needs it to start

_CHUNK = 1024 * 1024


class Cache:
    """A cache folder as DVC lays it out."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, oid: Oid) -> Path:
        """Return where the object lies, or would."""
        return self.root / object_key(oid)

    def has(self, oid: Oid) -> bool:
        """Whether the object is in the cache."""
        return self.path(oid).exists()

    def add_bytes(self, oid: Oid, content: bytes) -> None:
        """Put a small object, such as a manifest, into the cache."""
        target = self.path(oid)
        if not target.exists():
            with appearing(target) as partial:
                partial.write_bytes(content)

    def add_files(
        self, sources: Iterable[Path], executor: Executor | None = None
    ) -> Iterator[tuple[Path, Oid, int]]:
        """Copy files into the cache; yield each with its oid and size in bytes, in order.

        Raises: StorageError: a file can't be read, or changed while it was read.
        """
        work = [(path, self.root) for path in sources]
        results = (
            map(_add_file, work)
            if executor is None
            else executor.map(_add_file, work, chunksize=64)
        )
        for (path, _), (oid, size) in zip(work, results, strict=True):
            yield path, oid, size

    def manifest(self, oid: Oid) -> bytes:
        """Return a directory's manifest. Raises: StorageError: it is damaged."""
        content = self.path(oid).read_bytes()
        if hashlib.md5(content, usedforsecurity=False).hexdigest() + ".dir" != oid:
            raise StorageError(
                f"manifest {oid} in the cache is damaged", hint=f"rm '{self.path(oid)}'"
            )
        return content


def _add_file(work: tuple[Path, Path]) -> tuple[Oid, int]:
    """Copy one file into a cache while hashing it, so that what is stored is what was hashed."""
    path, root = work
    digest = hashlib.md5(usedforsecurity=False)
    size = 0
    partial = root / f".branchflow-{os.urandom(8).hex()}.tmp"
    try:
        root.mkdir(parents=True, exist_ok=True)
        with path.open("rb") as source, partial.open("wb") as copy:
            before = os.fstat(source.fileno())
            while chunk := source.read(_CHUNK):
                digest.update(chunk)
                copy.write(chunk)
                size += len(chunk)
            after = os.fstat(source.fileno())
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise StorageError(f"'{path}' changed while it was read", hint="run the command again")
        oid = Oid(digest.hexdigest())
        target = root / object_key(oid)
        target.parent.mkdir(parents=True, exist_ok=True)
        partial.chmod(READ_ONLY)
        partial.replace(target)  # also over a damaged one: what we hold is proven
    except OSError as error:
        raise StorageError(f"can't take in '{path}': {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)
    return oid, size
