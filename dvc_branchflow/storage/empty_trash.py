"""Deletes for good what a gc set aside: a plan first, then, checked anew, the deed.

Whatever is needed by then is brought back instead.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping

from dvc_branchflow.errors import UsageError
from dvc_branchflow.model import Oid
from dvc_branchflow.objects import Stored
from dvc_branchflow.objects.aside import Aside
from dvc_branchflow.objects.doomed import condemn
from dvc_branchflow.project import Project
from dvc_branchflow.values import dataclass
from dvc_branchflow.work.census import GRACE_SECONDS, Needs, find_needs, require_all_known
from dvc_branchflow.work.leases import utc
from dvc_branchflow.work.plans import (
    FOLDER,
    Line,
    Plan,
    PlanWriter,
    close_plan,
    find_plan,
    read_plan,
)
from dvc_branchflow.work.stock import require_same_places, shared_remotes
from dvc_branchflow.work.transfer import Report

_BATCH = 1000


@dataclass(frozen=True, slots=True)
class EmptyOutcome:
    """What became of a plan.

    Attributes:
        gone, gone_bytes: what was deleted for good (or would be).
        back: what is needed again, and was brought back instead (or would be).
        spared: why → how many others stayed.
        refused: what a bucket keeps from being deleted: object → why.
    """

    gone: int
    gone_bytes: int
    back: tuple[Oid, ...]
    spared: Mapping[str, int]
    refused: Mapping[Oid, str]


def plan_emptying(
    project: Project,
    report: Report,
    *,
    grace_seconds: float = GRACE_SECONDS,
    lost: tuple[str, ...] = (),
) -> Plan:
    """Work out what has been in the trash for long enough, and is needed by nothing.

    Raises: StorageError: something can't be read that may need something, or a remote is away.
    """
    project.refresh()
    remotes = shared_remotes(project)
    needs = _needs(project, grace_seconds, lost, report)
    urls = {name: project.dvc_config.remotes[name].url for name in remotes}
    writer = PlanWriter(project.state_dir / FOLDER, "empty-trash", urls)
    young, wanted = [0, 0], 0
    for remote in remotes:
        found = list(project.trash(remote).listing())
        needed = needs.among(one.stored.oid for one in found)
        wanted += sum(one.stored.oid in needed for one in found)
        for one in found:
            if one.stored.oid in needed:
                continue
            if one.stored.modified_seconds < needs.now - grace_seconds:
                writer.add(Line(remote, one.stored, one.run), why=f"set aside by {one.run}")
            else:
                young[0] += 1
                young[1] += one.stored.size_bytes
    needs.parts.close()
    return writer.finish(
        made=utc(needs.now),
        grace_seconds=grace_seconds,
        lost=lost,
        young=(young[0], young[1]),
        notes=[f"needed again, and to be brought back: {wanted}"] if wanted else [],
    )


def apply_emptying(
    project: Project, named: str, report: Report, *, dry_run: bool = False
) -> EmptyOutcome:
    """Check a plan again on everything as it is now, and delete what may still go.

    Args:
        named: the plan's file, or the start of its digest.
    Raises: StorageError: something can't be read, or a DVC remote is away.
    """
    plan, lines = read_plan(find_plan(project.state_dir / FOLDER, named))
    if plan.kind != "empty-trash":
        raise UsageError(f"'{plan.file}' is a plan of {plan.kind}")
    project.refresh()
    require_same_places(project, plan.remotes)
    planned: defaultdict[tuple[str, str], dict[Oid, Stored]] = defaultdict(dict)
    for line in lines:
        planned[line.remote, line.run][line.stored.oid] = line.stored
    listed = {name: list(project.trash(name).listing()) for name in plan.remotes}
    needs = _needs(project, plan.grace_seconds, plan.lost, report)
    steps = [
        _empty(project, needs, plan, remote, listed[remote], planned, report, dry_run=dry_run)
        for remote in plan.remotes
    ]
    needs.parts.close()
    if not dry_run:
        close_plan(project.state_dir / FOLDER, plan)
    return _sum(steps)


def _empty(
    project: Project,
    needs: Needs,
    plan: Plan,
    remote: str,
    listed: list[Aside],
    planned: Mapping[tuple[str, str], Mapping[Oid, Stored]],
    report: Report,
    *,
    dry_run: bool,
) -> EmptyOutcome:
    trash = project.trash(remote)
    needed = needs.among(one.stored.oid for one in listed)
    back = [one for one in listed if one.stored.oid in needed]
    if back and not dry_run:
        report(f"objects that are needed again on '{remote}': {len(back)}")
        trash.bring_back(back)
    before = needs.now - plan.grace_seconds
    gone: list[Stored] = []
    spared: defaultdict[str, int] = defaultdict(int)
    refused: dict[Oid, str] = {}
    for run, copies in _by_run(listed):
        doomed, stays = condemn(
            "trash", copies, planned.get((remote, run), {}), needed.__contains__, before
        )
        for why in stays.values():
            spared[why] += 1
        for batch in doomed.batches(_BATCH):
            report(f"objects to delete on '{remote}': {len(batch.copies)}")
            if dry_run:
                gone += batch.copies
                continue
            done = trash.delete(batch, run)
            deleted = set(done.gone)
            gone += [copy for copy in batch.copies if copy.oid in deleted]
            refused |= done.refused
    size = sum(copy.size_bytes for copy in gone)
    return EmptyOutcome(len(gone), size, tuple(one.stored.oid for one in back), spared, refused)


def _by_run(listed: list[Aside]) -> Iterator[tuple[str, list[Stored]]]:
    runs: defaultdict[str, list[Stored]] = defaultdict(list)
    for one in listed:
        runs[one.run].append(one.stored)
    yield from runs.items()


def _sum(steps: list[EmptyOutcome]) -> EmptyOutcome:
    spared: defaultdict[str, int] = defaultdict(int)
    refused: dict[Oid, str] = {}
    for step in steps:
        refused |= step.refused
        for why, count in step.spared.items():
            spared[why] += count
    return EmptyOutcome(
        gone=sum(step.gone for step in steps),
        gone_bytes=sum(step.gone_bytes for step in steps),
        back=tuple(oid for step in steps for oid in step.back),
        spared=dict(spared),
        refused=refused,
    )


def _needs(project: Project, grace_seconds: float, lost: tuple[str, ...], report: Report) -> Needs:
    needs = find_needs(project, report, now=time.time(), grace_seconds=grace_seconds, lost=lost)
    require_all_known(needs.problems, "storage empty-trash")
    return needs
