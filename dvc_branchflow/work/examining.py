"""Holds what is required against what the DVC remotes list, and on request against their content.

One part of the ids after the other, so that memory does not grow with the remotes. What a listing
lacks is asked for by name before it is called missing: a listing can be older than the object.
"""

from __future__ import annotations

import hashlib
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Literal

from dvc_branchflow.manifest import entries
from dvc_branchflow.model import Oid, Sha
from dvc_branchflow.objects import Stored, is_md5
from dvc_branchflow.project import Project
from dvc_branchflow.values import dataclass, field
from dvc_branchflow.work.parts import COUNT, KeyParts, part_of
from dvc_branchflow.work.proofs import Proofs
from dvc_branchflow.work.required import Required
from dvc_branchflow.work.stock import Stock
from dvc_branchflow.work.transfer import Report

_Pair = tuple[Oid, str]
Kind = Literal["missing", "damaged", "unread"]
_BATCH = 256
_SAY_SECONDS = 5.0
_BATCH_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Depth:
    """How deep to look.

    Attributes:
        share: of the objects whose content is to be proven; 0: none of them.
        since: a proof from then on counts, in seconds since the epoch.
        until: when to stop, by the same clock. max_bytes: how much to read.
    """

    share: float = 0.0
    since: float = 0.0
    until: float = float("inf")
    max_bytes: float = float("inf")


@dataclass(slots=True)
class Bad:
    """An object that is not as it has to be on a DVC remote.

    Attributes:
        path: the out that asks for it. commit: the oldest one that has it there.
        within: the directory that lists it; the object itself where none does.
        mask, tips: the refs whose histories and whose tips ask for it (see `Graph`).
        is_copy: it is a further copy that is bad there, on a mirror.
    """

    kind: Kind
    why: str
    oid: Oid
    remote: str
    path: str
    commit: Sha
    within: Oid
    mask: int
    tips: int
    is_copy: bool = False


@dataclass
class Examined:
    """What was found.

    Attributes:
        objects, size_bytes: what is required and there; each copy counts.
        bad: what is not as it has to be.
        proven: how many hold what their id says: by the etag, an earlier proof that counts, or now.
        read_bytes: what was read for that now.
        left: how many are not proven yet.
        proofs: when the last of the objects of each of `required` was proven; 0: one never was.
        copies: how many copies the object of each of `required` has that has fewest.
        erased: what was asked for and erased: object → the refs whose tips ask for it.
        more: how many others are bad, past the `most` of `run`. more_tips: whose tips ask for them.
    """

    objects: int = 0
    size_bytes: int = 0
    bad: dict[tuple[Oid, str], Bad] = field(default_factory=dict)
    proven: int = 0
    read_bytes: int = 0
    left: int = 0
    proofs: list[float] = field(default_factory=list)
    copies: list[int] = field(default_factory=list)
    erased: dict[Oid, int] = field(default_factory=dict)
    more: int = 0
    more_tips: int = 0


@dataclass(frozen=True, slots=True)
class Question:
    """What is to be examined.

    Attributes:
        required: each of a known DVC remote.
        parts: the files behind `groups`, each with the number of its group.
        groups: the numbers in `required` of those that ask for the same object.
        unread: directories whose manifest can't be had → why.
        copies: how many copies each of `required` has to have.
        mirrors: DVC remote → the others on which a further copy of what it holds may lie.
    """

    required: Sequence[Required]
    parts: KeyParts
    groups: Sequence[Sequence[int]]
    unread: Mapping[Oid, str]
    copies: Sequence[int]
    mirrors: Mapping[str, Sequence[str]]


class Examiner:
    """Goes through all parts once."""

    def __init__(self, project: Project, stock: Stock, question: Question, depth: Depth) -> None:
        self._project = project
        self._stock = stock
        self._question = question
        self._asked = question.required
        self._depth = depth
        self._now = time.time()
        self._proofs = {name: Proofs(project.state_dir, name) for name in stock.remotes}
        self._sums = [0] * len(self._asked)
        self._is_holed = [one.oid in question.unread for one in self._asked]
        self._suspects: defaultdict[tuple[int, str], set[Oid]] = defaultdict(set)
        self._folders: defaultdict[int, list[int]] = defaultdict(list)
        for number, one in enumerate(self._asked):
            if one.oid.endswith(".dir"):
                self._folders[part_of(one.oid)].append(number)
        most = 1 + max(map(len, question.mirrors.values()), default=0)
        self.found = Examined(
            proofs=[self._now] * len(self._asked), copies=[most] * len(self._asked)
        )

    def run(self, report: Report, most: int | None = None) -> Examined:
        """Examine everything.

        Args:
            most: how many objects that are bad to keep; the others are only counted.
        Raises: StorageError: a DVC remote is away in the middle of it, so that nothing is known.
        """
        for _ in self.steps(report):
            for pair in list(self.found.bad)[most:] if most else ():
                bad = self.found.bad.pop(pair)
                self.found.more += 1
                self.found.more_tips |= 0 if bad.is_copy else bad.tips
        self.name_files(self.found.bad.values())
        return self.found

    def steps(self, report: Report) -> Iterator[None]:
        """Do the same step by step, for who can't hold all that is bad; see `take`."""
        said = self._now
        for part in range(COUNT):
            self._examine(part)
            if time.time() > said + _SAY_SECONDS:
                said = time.time()
                report(
                    f"examined {part + 1} of {COUNT} parts, {self.found.read_bytes:,} bytes read"
                )
            yield
        self._add_up()
        for part, remote in sorted(self._suspects):
            self._pin_down(part, remote)
        yield

    def take(self) -> list[Bad]:
        """Return what was found bad since the last time, and forget it; see `name_files`."""
        bad = list(self.found.bad.values())
        self.found.bad.clear()
        return bad

    # -- by listing --------------------------------------------------------------------------------

    def _examine(self, part: int) -> None:
        asked = self._without_erased(self._asked_in(part))
        listed = self._listed_in(part)
        lacking = {pair: numbers for pair, numbers in asked.items() if pair not in listed}
        late = self._by_name(lacking)
        for pair, numbers in asked.items():
            size = listed[pair].size_bytes if pair in listed else late.get(pair)
            if size is None:
                self._bad(pair, numbers, "missing", "it is not there")
            else:
                self._count(pair, numbers, size)
            if size is not None and pair[0] in self._question.unread:
                self._bad(pair, numbers, "unread", self._question.unread[pair[0]])
        sizes = {pair: stored.size_bytes for pair, stored in listed.items()} | late
        self._count_copies(asked, sizes)
        there = {pair: listed[pair] for pair in asked if pair in listed}
        times = self._prove(part, there, asked)
        for pair, numbers in asked.items():
            for number in numbers:
                proof = min(self.found.proofs[number], times.get(pair, 0.0))
                self.found.proofs[number] = proof

    def _asked_in(self, part: int) -> dict[_Pair, list[int]]:
        """What has to be there: object and DVC remote → who asks, as often as it does."""
        asked: defaultdict[_Pair, list[int]] = defaultdict(list)
        for one, group in self._question.parts.keys(part):
            for number in self._question.groups[group]:
                asked[Oid(one.hex()), str(self._asked[number].remote)].append(number)
        for number in self._folders[part]:
            asked[self._asked[number].oid, str(self._asked[number].remote)].append(number)
        return asked

    def _without_erased(self, asked: Mapping[_Pair, list[int]]) -> Mapping[_Pair, list[int]]:
        """Leave out what a tombstone names: nobody has to have it, and what held it has a hole."""
        gone = self._project.erased
        if not gone:
            return asked
        for (oid, _), numbers in asked.items():
            if oid in gone:
                self.found.erased.setdefault(oid, 0)
                for number in numbers:
                    self._is_holed[number] = True
                    self.found.erased[oid] |= self._asked[number].tips
        return {pair: numbers for pair, numbers in asked.items() if pair[0] not in gone}

    def _listed_in(self, part: int) -> dict[_Pair, Stored]:
        listed = {
            (copy.stored.oid, copy.remote): copy.stored
            for copies in self._stock.files(part).values()
            for copy in copies
        }
        for number in self._folders[part]:
            for copy in self._stock.folders.get(self._asked[number].oid, ()):
                listed[copy.stored.oid, copy.remote] = copy.stored
        return listed

    def _by_name(self, pairs: Iterable[_Pair]) -> dict[_Pair, int]:
        """The sizes of objects that came after the listing, or that it passed over."""
        wanted: defaultdict[str, list[Oid]] = defaultdict(list)
        for oid, remote in pairs:
            wanted[remote].append(oid)
        return {
            (oid, remote): size
            for remote, oids in wanted.items()
            for oid, size in self._project.store(remote).sizes(oids).items()
        }

    def _count(self, pair: _Pair, numbers: Sequence[int], size_bytes: int) -> None:
        self.found.objects += 1
        self.found.size_bytes += size_bytes
        oid, _ = pair
        for number in numbers:
            if not oid.endswith(".dir"):
                self._sums[number] += size_bytes
            elif self._manifest_bytes(oid) not in {None, size_bytes}:
                self._suspects[part_of(oid), pair[1]].add(oid)

    def _count_copies(
        self, asked: Mapping[_Pair, Sequence[int]], sizes: Mapping[_Pair, int]
    ) -> None:
        """Look for further copies on the mirrors; name the first ones that lack one."""
        mirrors = self._question.mirrors
        wanted = {pair: max(self._question.copies[n] for n in asked[pair]) for pair in asked}
        places = {
            (oid, remote): [(oid, mirror) for mirror in mirrors.get(remote, ())]
            for (oid, remote), number in wanted.items()
            if number > 1
        }
        unlisted = [pair for pairs in places.values() for pair in pairs if pair not in sizes]
        sizes = {**sizes, **self._by_name(unlisted)} if unlisted else sizes
        for own, pairs in places.items():
            right = {sizes[own]} if own in sizes else {sizes.get(pair) for pair in pairs}
            good = [pair for pair in pairs if pair in sizes and sizes[pair] in right]
            count = (own in sizes) + len(good)
            for number in asked[own]:
                self.found.copies[number] = min(self.found.copies[number], count)
            bad = [pair for pair in pairs if pair not in good]
            why = f"it is one of the {wanted[own]} copies that there have to be"
            for pair in bad[: max(wanted[own] - 1 - len(good), 0)]:
                if pair in sizes:
                    self._bad(pair, asked[own], "damaged", "its size is another one", is_copy=True)
                else:
                    self._bad(pair, asked[own], "missing", why, is_copy=True)

    def _manifest_bytes(self, oid: Oid) -> int | None:
        try:
            return self._project.cache.path(oid).stat().st_size
        except OSError:
            return None

    def _add_up(self) -> None:
        """Suspect what is not of the size that its pointer says: a file in it, or the pointer."""
        for number, one in enumerate(self._asked):
            is_odd = one.size_bytes is not None and self._sums[number] != one.size_bytes
            if not is_odd or self._is_holed[number]:
                continue
            for oid in self._files_of(one.oid):
                self._suspects[part_of(oid), str(one.remote)].add(oid)

    def _files_of(self, oid: Oid) -> Iterator[Oid]:
        if not oid.endswith(".dir"):
            yield oid
            return
        yield from (entry.oid for entry in entries(self._project.cache.manifest(oid)))

    # -- by content --------------------------------------------------------------------------------

    def _prove(
        self, part: int, there: Mapping[_Pair, Stored], asked: Mapping[_Pair, Sequence[int]]
    ) -> dict[_Pair, float]:
        """Prove what the depth asks for; return when each copy was proven last (0: never)."""
        times: dict[_Pair, float] = {}
        waiting: defaultdict[str, list[Stored]] = defaultdict(list)
        for (oid, remote), stored in there.items():
            known = (
                self._now if is_md5(stored.etag, oid) else self._proofs[remote].when(part, stored)
            )
            times[oid, remote] = known
            if known > self._depth.since:
                self.found.proven += 1
            elif self._is_chosen(oid):
                waiting[remote].append(stored)
            else:
                self.found.left += 1
        for remote, listed in waiting.items():
            for batch in self._within_budget(listed):
                times |= self._read(part, remote, batch, asked)
        return times

    def _is_chosen(self, oid: Oid) -> bool:
        if self._depth.share in {0.0, 1.0}:
            return self._depth.share == 1.0
        salted = f"{self._depth.since} {oid}".encode()
        number = int.from_bytes(hashlib.blake2b(salted, digest_size=4).digest())
        return number / 2**32 < self._depth.share

    def _within_budget(self, listed: Sequence[Stored]) -> Iterator[list[Stored]]:
        done = 0
        while time.time() < self._depth.until:
            read = self.found.read_bytes
            room = self._depth.max_bytes - read if read else float("inf")  # at least one
            batch = list(_fitting(islice(listed, done, done + _BATCH), room))
            if not batch:
                break
            done += len(batch)
            yield batch
        self.found.left += len(listed) - done

    def _read(
        self, part: int, remote: str, batch: Sequence[Stored], asked: Mapping[_Pair, Sequence[int]]
    ) -> dict[_Pair, float]:
        digests = self._project.store(remote).digests([stored.oid for stored in batch])
        self.found.read_bytes += sum(stored.size_bytes for stored in batch)
        good = [one for one in batch if digests.get(one.oid) == one.oid[:32]]
        self._proofs[remote].add(part, good, self._now)
        self.found.proven += len(good)
        for one in batch:
            digest = digests.get(one.oid)
            if digest is None:
                self._bad((one.oid, remote), asked[one.oid, remote], "missing", "it is not there")
            elif digest != one.oid[:32]:
                why = f"its content has md5 {digest}"
                self._bad((one.oid, remote), asked[one.oid, remote], "damaged", why)
        is_good = {one.oid for one in good}
        return {(one.oid, remote): self._now if one.oid in is_good else 0.0 for one in batch}

    def _pin_down(self, part: int, remote: str) -> None:
        """Read what was suspected, unless this very copy was proven before."""
        asked, listed = self._asked_in(part), self._listed_in(part)
        for oid in self._suspects[part, remote]:
            stored = listed.get((oid, remote))
            if stored and not self._proofs[remote].when(part, stored):
                self._read(part, remote, [stored], asked)

    # -- what is bad -------------------------------------------------------------------------------

    def _bad(
        self,
        pair: _Pair,
        numbers: Sequence[int],
        kind: Kind,
        why: str,
        *,
        is_copy: bool = False,
    ) -> None:
        oid, remote = pair
        for number in numbers:
            one = self._asked[number]
            if not is_copy:
                self._is_holed[number] = True
                self.found.proofs[number] = 0.0
            known = self.found.bad.get(pair)
            if known is None or (one.tips and not known.tips):
                mask, tips = (known.mask, known.tips) if known else (0, 0)
                known = Bad(
                    kind, why, oid, remote, one.path, one.commit, one.oid, mask, tips, is_copy
                )
                self.found.bad[pair] = known
            known.mask |= one.mask
            known.tips |= one.tips

    def name_files(self, found: Iterable[Bad]) -> None:
        """Give what lies in a directory its whole path."""
        inside: defaultdict[Oid, list[Bad]] = defaultdict(list)
        for bad in found:
            if bad.within != bad.oid:
                inside[bad.within].append(bad)
        for folder, files in inside.items():
            asked = {bad.oid for bad in files}
            listed = entries(self._project.cache.manifest(folder))
            names = {entry.oid: entry.relpath for entry in listed if entry.oid in asked}
            for bad in files:
                bad.path = f"{bad.path}/{names[bad.oid]}"


def _fitting(listed: Iterable[Stored], room: float) -> Iterator[Stored]:
    """The first of some objects that together fit into some bytes, and make one batch."""
    taken = 0
    for stored in listed:
        if taken + stored.size_bytes > (min(room, _BATCH_BYTES) if taken else room):
            return
        taken += stored.size_bytes
        yield stored
