"""Takes away what nothing needs: a plan first, then, checked anew, into the trash.

Nothing is ever deleted here. What is set aside can be brought back until the trash is emptied.
"""

from __future__ import annotations

import fcntl
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from dvc_branchflow.errors import BranchflowError, FlowError, StorageError, UsageError
from dvc_branchflow.model import Oid
from dvc_branchflow.objects import Stored
from dvc_branchflow.objects.doomed import Doomed, condemn
from dvc_branchflow.project import Project
from dvc_branchflow.values import dataclass, field
from dvc_branchflow.work.census import (
    GRACE_SECONDS,
    Census,
    find_needs,
    require_all_known,
    take_census,
)
from dvc_branchflow.work.explaining import Explainer, Reason
from dvc_branchflow.work.leases import utc
from dvc_branchflow.work.marks import DRAIN_SECONDS, AtWork
from dvc_branchflow.work.parts import COUNT, key
from dvc_branchflow.work.plans import (
    FOLDER,
    Line,
    Plan,
    PlanWriter,
    close_plan,
    find_plan,
    read_plan,
)
from dvc_branchflow.work.stock import Copy, Stock, require_same_places, shared_remotes
from dvc_branchflow.work.transfer import Report

_BATCH = 1000


@dataclass(frozen=True, slots=True)
class GcRequest:
    """What to plan.

    Attributes:
        remotes: the DVC remotes to take from; none: all that the team shares.
        grace_seconds: what came since then stays.
        lost: ids of what can't be read and is given up.
    """

    remotes: tuple[str, ...] = ()
    grace_seconds: float = GRACE_SECONDS
    lost: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class GcOutcome:
    """What became of a plan.

    Attributes:
        run: what to name to `undelete`.
        moved, moved_bytes: what was set aside (or would be).
        spared: why → how many copies of the plan stayed: `needed`, `young` or `changed` since.
        restored: what was set aside and brought back at once, since a ref moved meanwhile.
    """

    run: str
    moved: int
    moved_bytes: int
    spared: Mapping[str, int]
    restored: tuple[Oid, ...]


def plan_gc(project: Project, request: GcRequest, report: Report) -> Plan:
    """Work out what nothing needs, and write it down; nothing is touched.

    Raises: StorageError: something can't be read that may need something, or a remote is away.
    """
    project.refresh()
    chosen = shared_remotes(project, request.remotes)
    census = take_census(project, report, grace_seconds=request.grace_seconds, lost=request.lost)
    try:
        require_all_known(census.needs.problems, "storage gc")
        return _written(project, census, chosen, request, report)
    finally:
        census.close()


def apply_gc(
    project: Project,
    named: str,
    report: Report,
    *,
    dry_run: bool = False,
    drain_seconds: float = DRAIN_SECONDS,
) -> GcOutcome:
    """Check a plan again on everything as it is now, and set aside what may still go.

    Args:
        named: the plan's file, or the start of its digest.
        drain_seconds: how long to wait for pushes that did not see that a gc began.
    Raises: StorageError: something can't be read, or a DVC remote is away; what was set aside by
        then is brought back, or can be.
    """
    plan, lines = read_plan(find_plan(project.state_dir / FOLDER, named))
    if plan.kind != "gc":
        raise UsageError(f"'{plan.file}' is a plan of {plan.kind}")
    project.refresh()
    require_same_places(project, plan.remotes)
    planned = Stock(list(plan.remotes), project.state_dir / "tmp")
    by_remote: defaultdict[str, list[Stored]] = defaultdict(list)
    for line in lines:
        by_remote[line.remote].append(line.stored)
    for remote, listed in by_remote.items():
        planned.add(remote, listed)
    if dry_run:
        return _rehearsed(project, plan, planned, report)
    with _alone(project), AtWork(project, list(plan.remotes), plan.run, report) as at_work:
        at_work.drain(drain_seconds)
        outcome = _Applier(project, plan, planned, at_work, report).run()
    close_plan(project.state_dir / FOLDER, plan)
    return outcome


# -- the plan --------------------------------------------------------------------------------------


def _written(
    project: Project, census: Census, chosen: Sequence[str], request: GcRequest, report: Report
) -> Plan:
    urls = {name: project.dvc_config.remotes[name].url for name in chosen}
    writer = PlanWriter(project.state_dir / FOLDER, "gc", urls)
    explainer = Explainer(project, census, report)
    before = census.needs.now - request.grace_seconds
    young = [0, 0]
    for copy, reason in _unneeded(census, explainer):
        if copy.remote not in urls:
            continue
        if copy.stored.modified_seconds < before:
            line = Line(copy.remote, copy.stored)
            writer.add(line, branch=reason.branch, path=reason.path, why=reason.why)
        else:
            young[0] += 1
            young[1] += copy.stored.size_bytes
    explainer.close()
    return writer.finish(
        made=utc(census.needs.now),
        grace_seconds=request.grace_seconds,
        lost=request.lost,
        young=(young[0], young[1]),
        notes=_notes(project, census),
    )


def _unneeded(census: Census, explainer: Explainer) -> Iterator[tuple[Copy, Reason]]:
    """Every copy that nothing needs, and why."""
    for oid, copies in census.stock.folders.items():
        if oid not in census.needs.reach.outs:
            yield from ((copy, explainer.folder(oid)) for copy in copies)
    for part in range(COUNT):
        needed = census.needs.files(part)
        going = {one: found for one, found in census.stock.files(part).items() if one not in needed}
        reasons = explainer.files(part) if going else {}
        for one, copies in going.items():
            yield from ((copy, reasons.get(one, Reason())) for copy in copies)


def _notes(project: Project, census: Census) -> Iterator[str]:
    for lease in census.needs.ended:
        yield f"the lease of {lease.who} for {lease.where} ended at {lease.until}"
    for rule in project.config.rules:
        if rule.copies > 1:
            yield f"copies of '{rule.pattern}' that there have to be: {rule.copies}"
    retention = project.config.retention
    for name, seconds in (
        *((f"{role} branches", period) for role, period in retention.roles.items()),
        ("experiments", retention.experiments),
        ("the run-cache", retention.run_cache),
    ):
        if seconds is not None:
            yield f"retention of {name}: {seconds / 86_400:g} days"


# -- the application -------------------------------------------------------------------------------


@dataclass
class _Sums:
    moved: defaultdict[str, list[Stored]] = field(default_factory=lambda: defaultdict(list))
    spared: Counter[str] = field(default_factory=Counter)


class _Applier:
    """Sets a plan's copies aside, each checked again, and looks once more when it is done."""

    def __init__(
        self, project: Project, plan: Plan, planned: Stock, at_work: AtWork, report: Report
    ) -> None:
        self._project = project
        self._plan = plan
        self._planned = planned
        self._at_work = at_work
        self._report = report
        self._trashes = {name: project.trash(name) for name in plan.remotes}
        self._sums = _Sums()

    def run(self) -> GcOutcome:
        """Set aside what may go; bring back what a ref needs that moved meanwhile."""
        census = _census(self._project, self._plan, self._at_work.now, self._report)
        try:
            for remote, doomed in _condemned(census, self._plan, self._planned, self._sums):
                for batch in doomed.batches(_BATCH):
                    self._at_work.require()
                    self._report(f"objects to set aside on '{remote}': {len(batch.copies)}")
                    done = set(self._trashes[remote].set_aside(batch, self._plan.run))
                    self._sums.moved[remote] += [c for c in batch.copies if c.oid in done]
        finally:
            census.close()
        restored = self._look_again()
        return _outcome(self._plan, self._sums, restored)

    def _look_again(self) -> tuple[Oid, ...]:
        """Bring back what a ref needs by now: one may have moved between our look and our hands.

        That goes for all that was set aside by this plan, also by a run of it that was killed.
        """
        asides = {
            name: [one for one in trash.listing() if one.run == self._plan.run]
            for name, trash in self._trashes.items()
        }
        if not any(asides.values()):
            return ()
        try:
            needs = find_needs(
                self._project, self._report, now=self._at_work.now,
                grace_seconds=self._plan.grace_seconds, lost=self._plan.lost,
            )  # fmt: skip
            require_all_known(needs.problems, "storage gc")
        except BranchflowError as error:
            for name, found in asides.items():
                self._trashes[name].bring_back(found)
            raise StorageError(
                f"{error.message}; all that was set aside is back", hint=error.hint
            ) from error
        needed = needs.among({one.stored.oid for found in asides.values() for one in found})
        needs.parts.close()
        back: list[Oid] = []
        for name, found in asides.items():
            wanted = [one for one in found if one.stored.oid in needed]
            back += self._trashes[name].bring_back(wanted)
        return tuple(back)


def _rehearsed(project: Project, plan: Plan, planned: Stock, report: Report) -> GcOutcome:
    """What applying would do now."""
    sums = _Sums()
    census = _census(project, plan, time.time(), report)
    for remote, doomed in _condemned(census, plan, planned, sums):
        sums.moved[remote] += doomed.copies
    census.close()
    return _outcome(plan, sums, ())


def _census(project: Project, plan: Plan, now: float, report: Report) -> Census:
    project.refresh()
    census = take_census(project, report, now=now, grace_seconds=plan.grace_seconds, lost=plan.lost)
    require_all_known(census.needs.problems, "storage gc")
    return census


def _condemned(
    census: Census, plan: Plan, planned: Stock, sums: _Sums
) -> Iterator[tuple[str, Doomed]]:
    """The proofs for what may go now: manifests of all remotes first, then files, part by part."""
    before = census.needs.now - plan.grace_seconds
    outs = census.needs.reach.outs
    listed, wanted = _by_remote(census.stock.folders.values()), _by_remote(planned.folders.values())
    for remote in plan.remotes:
        doomed, spared = condemn(
            "objects", listed[remote].values(), wanted[remote], lambda oid: oid in outs, before
        )
        sums.spared.update(spared.values())
        yield remote, doomed
    for part in range(COUNT):
        needed = census.needs.files(part)
        listed = _by_remote(census.stock.files(part).values())
        wanted = _by_remote(planned.files(part).values())
        for remote in plan.remotes:
            doomed, spared = condemn(
                "objects", listed[remote].values(), wanted[remote],
                lambda oid, needed=needed: key(oid) in needed, before,  # type: ignore[misc]
            )  # fmt: skip
            sums.spared.update(spared.values())
            yield remote, doomed


def _by_remote(found: Iterable[Sequence[Copy]]) -> defaultdict[str, dict[Oid, Stored]]:
    by_remote: defaultdict[str, dict[Oid, Stored]] = defaultdict(dict)
    for copies in found:
        for copy in copies:
            by_remote[copy.remote][copy.stored.oid] = copy.stored
    return by_remote


def _outcome(plan: Plan, sums: _Sums, restored: tuple[Oid, ...]) -> GcOutcome:
    moved = [copy for copies in sums.moved.values() for copy in copies]
    return GcOutcome(
        run=plan.run,
        moved=len(moved),
        moved_bytes=sum(copy.size_bytes for copy in moved),
        spared=dict(sums.spared),
        restored=restored,
    )


@contextmanager
def _alone(project: Project) -> Iterator[None]:
    """Let no other gc of this clone run."""
    path = project.state_dir / "locks" / "storage-gc"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise FlowError("another gc runs in this clone") from None
        yield
