"""Puts objects of the cache in place in a checkout, by the ways that DVC's `cache.type` names."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple

from dvc_branchflow.errors import StorageError
from dvc_branchflow.model import Oid
from dvc_branchflow.objects.cache import Cache
from dvc_branchflow.objects.files import copy_out, digest, md5, partial_path
from dvc_branchflow.objects.processes import spread

_DEFAULT = "reflink,copy"
_EMPTY = md5().hexdigest()
_FICLONE = 0x40049409
_NO_SUCH_WAY = {
    errno.EPERM, errno.ENOTSUP, errno.EXDEV, errno.ENOTTY, errno.ENOSYS, errno.EINVAL, errno.EAGAIN
}  # fmt: skip


class Place(NamedTuple):
    """Where an object goes. An executable is always a copy: its mode is its own."""

    path: str
    oid: Oid
    is_exec: bool = False


class Placer:
    """Places objects; what lies at their paths is replaced.

    A copy is proven by its md5, at the price of what copying takes anyway. A link is as good as the
    cache.

    Args:
        cache_type: `cache.type` of DVC's config; the first way that the file systems know counts.
        aside: a folder on the same file system, for what is half written.
    """

    def __init__(self, cache: Cache, cache_type: str | None, aside: str) -> None:
        named = [word.strip() for word in (cache_type or _DEFAULT).split(",")]
        links = named[: named.index("copy")] if "copy" in named else named
        self._ways = [way for way in links if way in _LINKS]
        self._cache = cache
        self._aside = aside

    def place(self, places: Sequence[Place]) -> None:
        """Put objects in place. Raises: StorageError: one is missing, damaged, or can't be put."""
        try:
            sizes = [os.stat(self._cache.place(place.oid)).st_size for place in places]
        except OSError as error:
            raise _unplaced(str(error.filename), error) from error
        spread(self._place_all, places, sizes)

    def _place_all(self, places: Sequence[Place]) -> list[None]:
        made = ""
        for place in places:
            folder = os.path.dirname(place.path)
            try:
                if folder != made:
                    os.makedirs(folder, exist_ok=True)
                    made = folder
                self._put(place)
            except OSError as error:
                raise _unplaced(place.path, error) from error
        return []

    def _put(self, place: Place) -> None:
        source = self._cache.place(place.oid)
        # Thousands of empty files would exceed the links that a file may have.
        while self._ways and not place.is_exec and place.oid != _EMPTY:
            try:
                _put_link(_LINKS[self._ways[0]], source, place.path, self._aside)
            except OSError as error:
                if error.errno not in _NO_SUCH_WAY:
                    raise
                del self._ways[0]
            else:
                return
        copy_out(source, place.path, place.oid, self._aside, is_exec=place.is_exec)


def digests(paths: Sequence[str]) -> list[Oid]:
    """Return the md5 of files, in their order. Raises: StorageError: one can't be read."""
    try:
        sizes = [os.stat(path).st_size for path in paths]
    except OSError as error:
        raise _unreadable(error) from error
    return spread(_digests, paths, sizes)


def _digests(paths: Sequence[str]) -> list[Oid]:
    try:
        return [digest(path) for path in paths]
    except OSError as error:
        raise _unreadable(error) from error


def _unreadable(error: OSError) -> StorageError:
    return StorageError(f"'{error.filename}' can't be read: {error.strerror}")


def _put_link(link: Callable[[str, str], None], source: str, target: str, aside: str) -> None:
    """Make a link that appears at once, over what is there."""
    if link is not reflink:
        with suppress(FileExistsError):
            link(source, target)
            return
    partial = partial_path(aside)
    try:
        link(source, partial)
        os.replace(partial, target)
    finally:
        with suppress(FileNotFoundError):
            os.unlink(partial)


def reflink(source: str, target: str) -> None:
    """Make a file that shares the blocks of another one. Raises: OSError."""
    import fcntl

    with open(source, "rb") as original, open(target, "xb") as clone:
        fcntl.ioctl(clone.fileno(), _FICLONE, original.fileno())


def _unplaced(path: str, error: OSError) -> StorageError:
    return StorageError(f"'{path}' can't be put in place: {error.strerror or error}")


_LINKS: Mapping[str, Callable[[str, str], None]] = {
    "reflink": reflink,
    "hardlink": os.link,
    "symlink": os.symlink,
}
