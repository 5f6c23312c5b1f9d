"""Which group of an experiment a unit belongs to: the same one wherever and whenever asked.

A salted hash puts each unit into one of 10,000 slots, and the plan gives slots to groups. When
shares change, groups that shrink give slots away and groups that grow take them; no other slot
changes hands. No rule that knows only the present shares can promise that for three groups or
more, so that an experiment carries the shares that it had before. Needs only Python itself.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

SLOTS = 10_000


@dataclass(frozen=True)
class Assignment:
    """How units are assigned.

    Attributes:
        salt: what keeps two experiments from splitting the units alike; the experiment's name.
        steps: the shares of the groups, oldest first; the last ones count. Each sums to 1, in
            steps of 1/10,000.
    """

    salt: str
    steps: Sequence[Mapping[str, float]]

    @cached_property
    def slots(self) -> tuple[str, ...]:
        """The group of each slot. Raises: ValueError: shares that can't be met exactly."""
        held: list[str | None] = [None] * SLOTS
        for step in self.steps:
            wanted = _wanted(step)
            _release(held, wanted)
            _fill(held, wanted)
        if not self.steps:
            raise ValueError("an experiment needs shares")
        return tuple(group or "" for group in held)


def assign(unit_id: str, experiment: Assignment) -> str:
    """Return a unit's group.

    Args:
        unit_id: what stays together, such as a user's id.
    """
    return experiment.slots[slot(unit_id, experiment.salt)]


def slot(unit_id: str, salt: str) -> int:
    """Return a unit's slot, 0 <= slot < 10,000; all are equally likely."""
    text = f"{len(salt)}:{salt}:{unit_id}".encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest()) % SLOTS


def _wanted(step: Mapping[str, float]) -> dict[str, int]:
    wanted = {group: round(share * SLOTS) for group, share in step.items()}
    exact = all(abs(share * SLOTS - wanted[group]) < 1e-6 for group, share in step.items())  # noqa: PLR2004
    if not exact or any(n < 0 for n in wanted.values()) or sum(wanted.values()) != SLOTS:
        raise ValueError(f"shares have to be multiples of 1/{SLOTS} that sum to 1")
    return wanted


def _release(held: list[str | None], wanted: Mapping[str, int]) -> None:
    """Take from each group the slots that it has too many, the last ones first."""
    spare = {group: held.count(group) - wanted.get(group, 0) for group in set(held) if group}
    for at in reversed(range(SLOTS)):
        group = held[at]
        if group is not None and spare[group] > 0:
            spare[group] -= 1
            held[at] = None


def _fill(held: list[str | None], wanted: Mapping[str, int]) -> None:
    """Give the free slots to the groups that have too few, in the order of their names."""
    lacking = [group for group in sorted(wanted) for _ in range(wanted[group] - held.count(group))]
    free = (at for at in range(SLOTS) if held[at] is None)
    for at, group in zip(free, lacking, strict=True):
        held[at] = group
