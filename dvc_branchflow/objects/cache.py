"""DVC's local cache: where every object passes through on its way in or out."""

from __future__ import annotations

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from dvc_branchflow.errors import StorageError
from dvc_branchflow.model import Oid
from dvc_branchflow.objects.base import object_key, oid_of
from dvc_branchflow.objects.files import md5, save, take_in
from dvc_branchflow.objects.processes import spread


class Cache:
    """A cache folder as DVC lays it out."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, oid: Oid) -> Path:
        """Return where the object lies, or would."""
        return Path(self.place(oid))

    def place(self, oid: Oid) -> str:
        """Return the same as text, for many."""
        return f"{self.root}/{object_key(oid)}"

    def oid_at(self, path: str) -> Oid | None:
        """Return which object a path in the cache is of, None outside of it."""
        return oid_of(path.removeprefix(f"{self.root}/"))

    def has(self, oid: Oid) -> bool:
        """Whether the object is in the cache."""
        return os.path.exists(self.place(oid))

    def add_bytes(self, oid: Oid, content: bytes) -> None:
        """Put a small object, such as a manifest, into the cache."""
        target = self.path(oid)
        if not target.exists():
            save([content], target, oid, "its way to the cache")

    def add_files(self, sources: Sequence[Path]) -> list[tuple[Oid, int]]:
        """Copy files into the cache; return oid and size in bytes of each.

        Raises: StorageError: a file can't be read, or changed while it was read.
        """
        return spread(partial(_take_in, self.root), sources, _sizes(sources))

    def manifest(self, oid: Oid) -> bytes:
        """Return a directory's manifest. Raises: StorageError: it is damaged."""
        with open(self.place(oid), "rb") as file:
            content = file.read()
        if md5(content).hexdigest() + ".dir" != oid:
            raise StorageError(
                f"manifest {oid} in the cache is damaged", hint=f"rm '{self.path(oid)}'"
            )
        return content


def _take_in(root: Path, sources: Sequence[Path]) -> list[tuple[Oid, int]]:
    return [take_in(source, root) for source in sources]


def _sizes(sources: Sequence[Path]) -> list[int]:
    try:
        return [os.stat(source).st_size for source in sources]
    except OSError as error:
        raise StorageError(f"can't take in '{error.filename}': {error.strerror}") from error
