"""Where objects lie that were set aside, and what every trash does.

A trash takes objects out of DVC's sight, brings them back, and deletes them for good. Each step may
be done twice, and each takes only copies that are still as they were when they were condemned.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Protocol

from dvc_branchflow.model import Oid
from dvc_branchflow.objects.base import Stored
from dvc_branchflow.objects.doomed import Doomed
from dvc_branchflow.objects.notes import HOME
from dvc_branchflow.values import dataclass, field

TRASH = f"{HOME}/trash"
# No folder of two letters: DVC would take what lies in one for an object of its old layout.
_KEY = re.compile(rf"{TRASH}/([0-9a-f]{{12}})/[0-9a-f]{{3}}/([0-9a-f]{{32}}(?:\.dir)?)")


@dataclass(frozen=True, slots=True)
class Aside:
    """An object in the trash; `stored.modified_seconds` is when it came there."""

    run: str
    stored: Stored


@dataclass(frozen=True, slots=True)
class Deleted:
    """What is gone for good, and what the place refuses to delete: object → why."""

    gone: tuple[Oid, ...] = ()
    refused: dict[Oid, str] = field(default_factory=dict)


class Trash(Protocol):
    """Objects of one DVC remote that were set aside. Errors of the place raise StorageError."""

    def set_aside(self, doomed: Doomed, run: str) -> list[Oid]:
        """Move condemned objects out of DVC's sight; return those that were moved now.

        Args:
            run: what they can be brought back by: twelve hexadecimal digits.
        """

    def listing(self) -> Iterator[Aside]:
        """Yield every object in the trash."""

    def bring_back(self, asides: Iterable[Aside]) -> list[Oid]:
        """Move objects back to where DVC finds them, files first; return those that are there."""

    def delete(self, doomed: Doomed, run: str) -> Deleted:
        """Delete condemned objects of a run for good."""


def aside_key(run: str, oid: Oid) -> str:
    """Return where an object lies in the trash, below the remote's root."""
    return f"{TRASH}/{run}/{oid[:3]}/{oid}"


def aside_of(key: str) -> tuple[str, Oid] | None:
    """Return the run and the object at a key below the root; None: it is neither."""
    match = _KEY.fullmatch(key)
    return (match[1], Oid(match[2])) if match else None


def files_first(asides: Iterable[Aside]) -> list[Aside]:
    """Return objects so that a manifest comes after all files."""
    return sorted(asides, key=lambda one: (one.stored.oid.endswith(".dir"), one.stored.oid))
