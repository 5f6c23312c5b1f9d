"""What may be taken away: the one check that can say so, and the proof that deleting asks for.

Nothing that moves or deletes objects takes plain ids. It takes a `Doomed`, which only `condemn` can
make: out of a plan, of what a place lists now, and of what is needed now.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
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
