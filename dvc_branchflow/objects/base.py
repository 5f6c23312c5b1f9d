"""What every store of DVC's objects does, and where objects lie."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from dvc_branchflow.errors import StorageError
from dvc_branchflow.model import Oid
from dvc_branchflow.values import dataclass

PREFIX = "files/md5"
_MACHINE = "//169.254.169.254/"  # where clouds tell a machine's own credentials
_REQUEST = re.compile(r"(?:Error performing [a-z ]+: )?Error performing (\w+ [^\s?]+)\S* in .*? - ")
_CAUSE = re.compile(r'\b(?:message|error): "([^"]+)"|InvalidCertificate\(\s*(\w+)')
_KEY = re.compile(rf"{PREFIX}/([0-9a-f]{{2}})/([0-9a-f]{{30}}(?:\.dir)?)")


@dataclass(frozen=True, slots=True)
class Stored:
    """An object as a store lists it.

    `modified_seconds` since 1970 is infinite where the place doesn't say: then it is not old.
    `version` is only known of what lies in the trash of a bucket with versions.
    """

    oid: Oid
    size_bytes: int
    modified_seconds: float
    etag: str | None = None
    version: str | None = None


class Store(Protocol):
    """Objects in one place. Errors of the place raise StorageError."""

    def sizes(self, oids: Iterable[Oid]) -> dict[Oid, int]:
        """Return the size in bytes of those objects that are there."""

    def put(self, sources: Mapping[Oid, Path]) -> None:
        """Store objects whose content lies in files, and prove that they arrived whole."""

    def get(self, targets: Mapping[Oid, Path]) -> None:
        """Copy objects to files that appear only when whole and proven by their md5."""

    def digests(self, oids: Iterable[Oid]) -> dict[Oid, str]:
        """Read objects where they are, and return the md5 of each one's content; of those there."""

    def listing(self) -> Iterator[Stored]:
        """Yield every DVC object that is there, in no order, without holding them all.

        An error is raised where it happens, also in the middle: a listing that ends is complete.
        """


def object_key(oid: Oid) -> str:
    """Return where DVC keeps an object below a cache's or remote's root."""
    return f"{PREFIX}/{oid[:2]}/{oid[2:]}"


def oid_of(key: str) -> Oid | None:
    """Return the object that lies at a key below the root; None: it is not DVC's."""
    match = _KEY.fullmatch(key)
    return Oid(match[1] + match[2]) if match else None


def is_md5(etag: str | None, oid: Oid) -> bool:
    """Whether a server's etag is the md5 of the content; on many it is, unless it encrypts."""
    return etag is not None and etag.strip('"') == oid[:32]


@contextmanager
def reached(where: str) -> Iterator[None]:
    """Say of all that a client raises which place it was. Raises: StorageError."""
    try:
        yield
    except StorageError:
        raise
    except Exception as error:
        raise StorageError(f"{where} can't be used: {reason(error)}") from error


def reason(error: Exception) -> str:
    """Return in one line why a client failed, without the numbers that obstore tells beside it."""
    text, _, source = str(error).partition("\n\nDebug source:")
    if _MACHINE in text:
        return "no credentials were found, and this machine has no role that could be asked for any"
    text = _REQUEST.sub(r"\1: ", " ".join(text.split()))
    cause = _CAUSE.search(source)
    if cause:
        said = cause[1] or f"its certificate is not trusted: {cause[2]}"
        text = text if said in text else f"{text}: {said}"
    return text[:240] or type(error).__name__


@contextmanager
def folder_reached(root: Path, where: str) -> Iterator[None]:
    """The same for a directory: a missing one is unknown, and never empty. Raises: StorageError."""
    if not root.is_dir():
        raise StorageError(f"{where} can't be reached: no directory '{root}'")
    try:
        yield
    except OSError as error:
        raise StorageError(f"{where} can't be used: {error}") from error


def absent(oid: Oid, where: str) -> StorageError:
    """Return the error for an object that was asked for and is not there."""
    return StorageError(
        f"object {oid} is neither in the cache nor on DVC remote '{where}'",
        hint="dvc push  # in a clone that has it in its cache",
    )
