"""What may be taken away: the checks that can say so, and the proofs that deleting asks for.

Nothing that moves or deletes objects takes plain ids. It takes a `Doomed`, which only `condemn` can
make: out of a plan, of what a place lists now, and of what is needed now. Or it takes `Forgotten`,
which only `forget` can make: out of the tombstones that there are, and of what branches hold now.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from typing import Final, Literal

from dvc_branchflow.model import Oid
from dvc_branchflow.objects.base import Stored
from dvc_branchflow.values import dataclass, field

Place = Literal["objects", "trash"]
Spared = Literal["needed", "young", "changed"]
_SEAL: Final = object()


@dataclass(frozen=True, slots=True)
class Doomed:
    """Objects of one DVC remote that nothing needs, as a check has just found.

    Attributes:
        place: where they lie: among DVC's objects, or in the trash.
        copies: manifests first: DVC believes that a directory is whole where its manifest is.
    """

    place: Place
    copies: tuple[Stored, ...]
    seal: object = field(repr=False)

    def __post_init__(self) -> None:
        """Refuse to be made by anybody but the check."""
        if self.seal is not _SEAL:
            raise TypeError("only `condemn` says what may be deleted")

    def at(self, place: Place) -> tuple[Stored, ...]:
        """Return the copies. Raises: TypeError: they were condemned at another place."""
        if place != self.place:
            raise TypeError(f"these were condemned among the {self.place}, not the {place}")
        return self.copies

    def batches(self, size: int) -> Iterator[Doomed]:
        """Yield the proof in parts, in the same order."""
        for start in range(0, len(self.copies), size):
            yield Doomed(self.place, self.copies[start : start + size], _SEAL)


def condemn(
    place: Place,
    listed: Iterable[Stored],
    planned: Mapping[Oid, Stored],
    is_needed: Callable[[Oid], bool],
    before_seconds: float,
) -> tuple[Doomed, dict[Oid, Spared]]:
    """Return the proof for those copies of a plan that may go now, and why the others stay.

    Args:
        listed: what the place lists now.
        planned: what was planned to go, as it was then.
        is_needed: whether anything reaches an object now.
        before_seconds: copies that came since are too young, in seconds since the epoch.
    """
    doomed: list[Stored] = []
    spared: dict[Oid, Spared] = {}
    for copy in listed:
        plan = planned.get(copy.oid)
        if plan is None:
            continue
        if is_needed(copy.oid):
            spared[copy.oid] = "needed"
        elif not copy.modified_seconds < before_seconds:
            spared[copy.oid] = "young"
        elif copy != plan:
            spared[copy.oid] = "changed"
        else:
            doomed.append(copy)
    doomed.sort(key=lambda copy: (not copy.oid.endswith(".dir"), copy.oid))
    return Doomed(place, tuple(doomed), _SEAL), spared


@dataclass(frozen=True, slots=True)
class Forgotten:
    """Objects that were erased by law, as a check has just found: every copy of them has to go."""

    oids: frozenset[Oid]
    seal: object = field(repr=False)

    def __post_init__(self) -> None:
        """Refuse to be made by anybody but the check."""
        if self.seal is not _SEAL:
            raise TypeError("only `forget` says what may be erased")


def forget(oids: Iterable[Oid], named: Container[Oid], held: Container[Oid]) -> Forgotten:
    """Return the proof for those objects that a tombstone names and no branch holds.

    Args:
        named: what the tombstones name that the team has.
        held: what the tips of its branches still hold.
    """
    return Forgotten(frozenset(oid for oid in oids if oid in named and oid not in held), _SEAL)
