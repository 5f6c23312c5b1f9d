"""Writes object files that appear whole, read-only and proven by their md5, or not at all."""

from __future__ import annotations

import hashlib
import io
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any, NamedTuple

from dvc_branchflow.errors import StorageError
from dvc_branchflow.model import Oid
from dvc_branchflow.objects.base import object_key

CHUNK = 1024 * 1024
_READ_ONLY = 0o444  # as DVC makes them; it hashes again what is writable
_SHARED_FOLDER = 0o2775  # what DVC makes where its config says `shared = group`
_GROUP_SHARES = stat.S_ISGID | stat.S_IWGRP


class _Written(NamedTuple):
    path: str
    md5: str
    size_bytes: int


def save(chunks: Iterable[Any], target: Path, oid: Oid, where: str) -> None:
    """Write an object's content to a file that appears if its md5 is the object's.

    Raises: StorageError: it is another one; `where` says whence it came.
    """
    with _written(chunks, os.path.dirname(target)) as written:
        require(written.md5, oid, where)
        os.replace(written.path, target)


def copy(source: Path, target: Path, oid: Oid, where: str) -> None:
    """Copy an object, hashing what is written; see `save`."""
    with _opened(source) as file:
        save(read(file), target, oid, where)


def take_in(source: Path, root: Path) -> tuple[Oid, int]:
    """Copy a file below a cache's root, to where its content belongs; return oid and bytes.

    It goes over what is there already: what we hold is proven.

    Raises: StorageError: the file can't be read, or changed while it was read.
    """
    try:
        with _opened(source) as file:
            before = os.fstat(file.fileno())
            with _written(read(file), str(root)) as written:
                after = os.fstat(file.fileno())
                if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
                    raise StorageError(
                        f"'{source}' changed while it was read", hint="run the command again"
                    )
                oid = Oid(written.md5)
                _move(written.path, str(root / object_key(oid)))
    except OSError as error:
        raise StorageError(f"can't take in '{source}': {error.strerror or error}") from error
    return oid, written.size_bytes


@contextmanager
def appearing(target: Path) -> Iterator[Path]:
    """Give a temporary path beside `target` that becomes it, read-only, if all goes well."""
    folder = os.path.dirname(target)
    _make(folder)
    partial = Path(_partial(folder))
    try:
        yield partial
        partial.chmod(_READ_ONLY)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def prove(path: Path, oid: Oid, where: str) -> None:
    """Hash a file. Raises: StorageError: its content is not the object that it stands for."""
    with _opened(path) as file:
        require(hashlib.file_digest(file, md5).hexdigest(), oid, where)


def require(found: str, oid: Oid, where: str) -> None:
    """Raise StorageError where the md5 of what was read at `where` is not the object's."""
    if found != oid[:32]:
        raise StorageError(
            f"object {oid} on '{where}' is damaged: its content has md5 {found}",
            hint="put a good copy back with `dvc push` from a clone that has it in its cache",
        )


def read(file: IO[bytes]) -> Iterator[bytes]:
    """Yield the content of an open file in pieces."""
    while chunk := file.read(CHUNK):
        yield chunk


def md5(content: bytes = b"") -> Any:
    """Return a digest as DVC's ids are made of."""
    return hashlib.md5(content, usedforsecurity=False)


@contextmanager
def _written(chunks: Iterable[Any], folder: str) -> Iterator[_Written]:
    """Write and hash pieces; the file is gone afterwards unless it was moved to its place."""
    digest = md5()
    size = 0
    path = _partial(folder)
    try:
        with _created(path) as file:
            for chunk in chunks:
                digest.update(chunk)
                file.write(chunk)
                size += len(chunk)
        yield _Written(path, digest.hexdigest(), size)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(path)


def _opened(path: Path) -> io.FileIO:
    return open(path, "rb", buffering=0)


def _created(path: str) -> IO[bytes]:
    """Create a read-only file, its folder first where there is none yet."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    try:
        descriptor = os.open(path, flags, _READ_ONLY)
    except FileNotFoundError:
        _make(os.path.dirname(path))
        descriptor = os.open(path, flags, _READ_ONLY)
    os.fchmod(descriptor, _READ_ONLY)  # whatever the umask is
    return os.fdopen(descriptor, "wb")


def _move(partial: str, target: str) -> None:
    try:
        os.replace(partial, target)
    except FileNotFoundError:
        _make(os.path.dirname(target))
        os.replace(partial, target)


def _make(folder: str) -> None:
    """Make a folder and those above it; in one that a group shares, as DVC does for it."""
    if os.path.isdir(folder):
        return
    above = os.path.dirname(folder)
    _make(above)
    with suppress(FileExistsError):
        os.mkdir(folder)
        if os.stat(above).st_mode & _GROUP_SHARES == _GROUP_SHARES:
            os.chmod(folder, _SHARED_FOLDER)


def _partial(folder: str) -> str:
    return f"{folder}/.branchflow-{os.urandom(8).hex()}.tmp"
