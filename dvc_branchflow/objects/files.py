"""Writes object files that appear whole, read-only and proven by their md5, or not at all."""

from __future__ import annotations

import errno
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
_WRITABLE = 0o666
_SHARED_FOLDER = 0o2775  # what DVC makes where its config says `shared = group`
_GROUP_SHARES = stat.S_ISGID | stat.S_IWGRP


class _Written(NamedTuple):
    path: str
    md5: str
    size_bytes: int


def save(chunks: Iterable[Any], target: str | Path, oid: Oid, where: str) -> None:
    """Write an object's content to a file that appears if its md5 is the object's.

    Raises: StorageError: it is another one; `where` says whence it came.
    """
    with _written(chunks, os.path.dirname(target)) as written:
        require(written.md5, oid, where)
        os.replace(written.path, target)


def copy(source: str | Path, target: str | Path, oid: Oid, where: str) -> None:
    """Copy an object, hashing what is written; see `save`."""
    descriptor = os.open(source, os.O_RDONLY)
    try:
        save(_pieces(descriptor), target, oid, where)
    finally:
        os.close(descriptor)


def copy_out(source: str, target: str, oid: Oid, aside: str, *, is_exec: bool) -> None:
    """Copy an object to where somebody works with it: writable, and over what is there.

    Args:
        aside: a folder for the half-written copy; where it is on another file system, it lies
            beside the target.
    """
    descriptor = os.open(source, os.O_RDONLY)
    try:
        with _written(_pieces(descriptor), aside, _WRITABLE) as written:
            require(written.md5, oid, "the cache")
            if is_exec:
                os.chmod(written.path, os.stat(written.path).st_mode | stat.S_IEXEC)
            # Put over an old file, the new one would be flushed to the disk first: 2 ms on ext4.
            with suppress(FileNotFoundError):
                os.unlink(target)
            os.rename(written.path, target)
    except OSError as error:
        if error.errno != errno.EXDEV or aside == os.path.dirname(target):
            raise
        copy_out(source, target, oid, os.path.dirname(target), is_exec=is_exec)
    finally:
        os.close(descriptor)


def take_in(source: Path, root: Path) -> tuple[Oid, int]:
    """Copy a file below a cache's root, to where its content belongs; return oid and bytes.

    It goes over what is there already: what we hold is proven.

    Raises: StorageError: the file can't be read, or changed while it was read.
    """
    try:
        descriptor = os.open(source, os.O_RDONLY)
        try:
            before = os.fstat(descriptor)
            with _written(_pieces(descriptor), str(root)) as written:
                after = os.fstat(descriptor)
                if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
                    raise StorageError(
                        f"'{source}' changed while it was read", hint="run the command again"
                    )
                oid = Oid(written.md5)
                _move(written.path, f"{root}/{object_key(oid)}")
        finally:
            os.close(descriptor)
    except OSError as error:
        raise StorageError(f"can't take in '{source}': {error.strerror or error}") from error
    return oid, written.size_bytes


@contextmanager
def appearing(target: Path) -> Iterator[Path]:
    """Give a temporary path beside `target` that becomes it, read-only, if all goes well."""
    folder = os.path.dirname(target)
    _make(folder)
    partial = Path(partial_path(folder))
    try:
        yield partial
        partial.chmod(_READ_ONLY)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def prove(path: Path, oid: Oid, where: str) -> None:
    """Hash a file. Raises: StorageError: its content is not the object that it stands for."""
    require(digest(path), oid, where)


def digest(path: str | Path) -> Oid:
    """Return the md5 of a file. Raises: OSError."""
    with _opened(path) as file:
        return Oid(hashlib.file_digest(file, md5).hexdigest())


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


def _pieces(descriptor: int) -> Iterator[bytes]:
    """Yield the same of a descriptor: file objects ask the system three questions more a file."""
    while chunk := os.read(descriptor, CHUNK):
        yield chunk


def md5(content: bytes = b"") -> Any:
    """Return a digest as DVC's ids are made of."""
    return hashlib.md5(content, usedforsecurity=False)


@contextmanager
def _written(chunks: Iterable[Any], folder: str, mode: int = _READ_ONLY) -> Iterator[_Written]:
    """Write and hash pieces into a file that is to be moved to its place; gone where that fails."""
    hashed = md5()
    size = 0
    path = partial_path(folder)
    descriptor = _created(path, mode)
    try:
        try:
            for chunk in chunks:
                hashed.update(chunk)
                size += _write(descriptor, chunk)
        finally:
            os.close(descriptor)
        yield _Written(path, hashed.hexdigest(), size)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(path)
        raise


def _opened(path: str | Path) -> io.FileIO:
    return open(path, "rb", buffering=0)


def _write(descriptor: int, chunk: Any) -> int:
    """Write all of a piece; return its size in bytes."""
    written = os.write(descriptor, chunk)
    while written < len(chunk):  # a full disk, or more than the system takes at once
        written += os.write(descriptor, memoryview(chunk)[written:])
    return written


def _created(path: str, mode: int) -> int:
    """Create a file, its folder first where there is none yet."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
    try:
        descriptor = os.open(path, flags, mode)
    except FileNotFoundError:
        _make(os.path.dirname(path))
        descriptor = os.open(path, flags, mode)
    if mode == _READ_ONLY:
        os.fchmod(descriptor, mode)  # whatever the umask is
    return descriptor


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


def partial_path(folder: str) -> str:
    """Return a name of our own for a file that is being written."""
    return f"{folder}/.branchflow-{os.urandom(8).hex()}.tmp"
