"""Says what the DVC remotes hold, for whom, and what each branch or release would free."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from dvc_branchflow.model import Branch, Role
from dvc_branchflow.project import Project
from dvc_branchflow.values import dataclass, field
from dvc_branchflow.versions import parse_tag
from dvc_branchflow.work.census import Census, take_census
from dvc_branchflow.work.leases import utc
from dvc_branchflow.work.parts import COUNT
from dvc_branchflow.work.roots import Holder, Kind
from dvc_branchflow.work.stock import Copy
from dvc_branchflow.work.transfer import Report

_DAY_SECONDS = 86_400
AGES = (30, 90, 365)
"""Bounds in days of the ages that `RemoteUse` counts."""


@dataclass(frozen=True, slots=True)
class Amount:
    """Objects, and the bytes of all their copies."""

    objects: int = 0
    size_bytes: int = 0

    def __add__(self, other: Amount) -> Amount:
        return Amount(self.objects + other.objects, self.size_bytes + other.size_bytes)


@dataclass(frozen=True, slots=True)
class RemoteUse:
    """What one DVC remote holds.

    Attributes:
        held: all of it. unneeded: what nothing reaches.
        younger: days → the bytes that are there for less than that.
        newest: when the last object came, ISO 8601 in UTC; empty: none did.
    """

    remote: str
    url: str
    held: Amount
    unneeded: Amount
    younger: Mapping[int, int]
    newest: str


@dataclass(frozen=True, slots=True)
class HolderUse:
    """What a branch, tag, or anything else holds.

    Attributes:
        kind: what it is, such as `branch`, `release` or `lease`.
        tip: what its newest commit needs. history: what all commits behind it need.
        frees: what would be free without it: nothing else needs that.
        newest: when the last object of its tip came, ISO 8601 in UTC; empty: there is none.
    """

    kind: str
    name: str
    role: Role | None
    tip: Amount
    history: Amount
    frees: Amount
    newest: str


@dataclass(frozen=True, slots=True)
class RoleUse:
    """What all branches of a role hold together: in their histories, and without anybody else."""

    role: Role
    history: Amount
    frees: Amount


@dataclass(frozen=True, slots=True)
class Usage:
    """What the DVC remotes hold, and for whom.

    Attributes:
        total: everything. unneeded: what nothing reaches, of whatever age.
        duplicates: objects that lie on more than one DVC remote.
        unknown: what can't be read, so that `unneeded` may be too much.
    """

    remotes: tuple[RemoteUse, ...]
    holders: tuple[HolderUse, ...]
    roles: tuple[RoleUse, ...]
    total: Amount
    unneeded: Amount
    duplicates: Amount
    unknown: tuple[str, ...]


@dataclass
class _Sums:
    """Amounts by class of holders (None: nobody's), and what stands beside them."""

    amounts: defaultdict[tuple[int, int] | None, Amount] = field(
        default_factory=lambda: defaultdict(Amount)
    )
    newest: defaultdict[tuple[int, int] | None, float] = field(
        default_factory=lambda: defaultdict(float)
    )
    duplicates: Amount = field(default_factory=Amount)


@dataclass
class _RemoteSums:
    held: Amount = field(default_factory=Amount)
    unneeded: Amount = field(default_factory=Amount)
    newest: float = 0.0
    younger: dict[int, int] = field(default_factory=lambda: dict.fromkeys(AGES, 0))


def usage(project: Project, report: Report) -> Usage:
    """Return what the team's DVC remotes hold, by listing them and reading all history.

    Raises: StorageError: a DVC remote is away. GitError, FlowError: refs or history are.
    """
    project.refresh()
    census = take_census(project, report)
    try:
        return _usage(project, census)
    finally:
        census.close()


def _usage(project: Project, census: Census) -> Usage:
    sums = _Sums()
    remotes = {name: _RemoteSums() for name in census.stock.remotes}
    for who, copies in _objects(census):
        amount = Amount(1, sum(copy.stored.size_bytes for copy in copies))
        sums.amounts[who] += amount
        newest = max(copy.stored.modified_seconds for copy in copies)
        sums.newest[who] = max(sums.newest[who], newest)
        if len(copies) > 1:
            sums.duplicates += amount
        for copy in copies:
            _count(remotes[copy.remote], copy, is_needed=who is not None, now=census.needs.now)
    return Usage(
        remotes=tuple(_remote(project, name, found) for name, found in remotes.items()),
        holders=tuple(_holders(project, census, sums)),
        roles=tuple(_roles(project, census, sums)),
        total=sum(sums.amounts.values(), Amount()),
        unneeded=sums.amounts[None],
        duplicates=sums.duplicates,
        unknown=tuple(map(str, census.needs.problems)),
    )


def _objects(census: Census) -> Iterator[tuple[tuple[int, int] | None, list[Copy]]]:
    """Yield every object that is stored: its holders (None: nobody), and its copies."""
    outs, stock, graph = census.needs.reach.outs, census.stock, census.needs.reach.graph
    strong = sum(graph.bit(holder) for holder in graph.holders if not holder.is_weak)
    for oid, copies in stock.folders.items():
        held = outs.get(oid)
        yield (held.mask & strong or held.mask, held.tips) if held else None, copies
    joined: dict[tuple[int, int], tuple[int, int]] = {}
    for part in range(COUNT):
        who: dict[bytes, tuple[int, int]] = {}
        for key, number in census.needs.parts.keys(part):
            mask, tips = who.get(key, (0, 0))
            more, more_tips = census.needs.classes[number]
            pair = (mask | more, tips | more_tips)
            who[key] = joined.setdefault(pair, pair)
        for key, copies in stock.files(part).items():
            mask, tips = who.get(key, (0, 0))
            yield (mask & strong or mask, tips) if mask else None, copies


def _count(sums: _RemoteSums, copy: Copy, *, is_needed: bool, now: float) -> None:
    stored = copy.stored
    amount = Amount(1, stored.size_bytes)
    sums.held += amount
    sums.newest = max(sums.newest, stored.modified_seconds)
    if not is_needed:
        sums.unneeded += amount
    for days in AGES:
        if now - stored.modified_seconds < days * _DAY_SECONDS:
            sums.younger[days] += stored.size_bytes


def _remote(project: Project, name: str, sums: _RemoteSums) -> RemoteUse:
    url = project.dvc_config.remotes[name].url
    return RemoteUse(name, url, sums.held, sums.unneeded, sums.younger, _when(sums.newest))


def _holders(project: Project, census: Census, sums: _Sums) -> Iterator[HolderUse]:
    for holder in census.needs.reach.graph.holders:
        bit = census.needs.reach.graph.bit(holder)
        spec = project.specs.get(Branch(holder.name)) if holder.kind is Kind.BRANCH else None
        tip = [who for who in sums.amounts if who and who[1] & bit]
        history = [who for who in sums.amounts if who and who[0] & bit]
        alone = [who for who in history if who[0] == bit]
        yield HolderUse(
            kind="release" if _is_release(holder) else str(holder.kind),
            name=holder.name,
            role=spec.role if spec else None,
            tip=_sum(sums, tip),
            history=_sum(sums, history),
            frees=_sum(sums, alone),
            newest=_when(max((sums.newest[who] for who in tip), default=0.0)),
        )


def _roles(project: Project, census: Census, sums: _Sums) -> Iterator[RoleUse]:
    graph = census.needs.reach.graph
    masks: defaultdict[Role, int] = defaultdict(int)
    for spec in project.specs.values():
        holder = Holder(Kind.BRANCH, spec.branch)
        masks[spec.role] |= graph.bit(holder) if holder in graph.holders else 0
    for role, mask in masks.items():
        history = [who for who in sums.amounts if who and who[0] & mask]
        alone = [who for who in history if who[0] | mask == mask]
        yield RoleUse(role, _sum(sums, history), _sum(sums, alone))


def _sum(sums: _Sums, classes: Iterable[tuple[int, int]]) -> Amount:
    return sum((sums.amounts[who] for who in classes), Amount())


def _is_release(holder: Holder) -> bool:
    return holder.kind is Kind.TAG and parse_tag(holder.name) is not None


def _when(seconds: float) -> str:
    return utc(seconds) if seconds else ""
