"""Puts back on the DVC remotes what they lack or hold wrongly, from whoever still has it right.

In order of trust: this clone's cache, those of its worktrees, what a gc set aside, the other DVC
remotes. Whatever the source, an object is only taken if its content has the md5 that its id says.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from dvc_branchflow.model import Oid
from dvc_branchflow.project import Project
from dvc_branchflow.values import dataclass
from dvc_branchflow.work.carrying import Carrier, carrier, is_holed
from dvc_branchflow.work.examining import Bad
from dvc_branchflow.work.transfer import Report
from dvc_branchflow.work.verification import Finding, Verified, VerifyRequest, verify_refs

_ROUNDS = 4  # a manifest that is back names files, which may be missing, too


@dataclass(frozen=True, slots=True)
class Repaired:
    """An object that was put back (or would be), and from where."""

    oid: Oid
    remote: str
    path: str
    source: str


@dataclass(frozen=True, slots=True)
class RepairOutcome:
    """What was put back, and what nobody here has.

    Attributes:
        left: what is still not as it has to be. unknown: what can't be told.
    """

    repaired: tuple[Repaired, ...]
    left: tuple[Finding, ...]
    unknown: tuple[str, ...]


def repair(
    project: Project, request: VerifyRequest, report: Report, *, dry_run: bool = False
) -> RepairOutcome:
    """Verify refs, and put back what is missing or damaged.

    Raises: StorageError: a DVC remote that lacks something is away.
    """
    done: list[Repaired] = []
    for _ in range(_ROUNDS):
        verified = verify_refs(project, request, report)
        found = _round(project, verified, report, dry_run=dry_run)
        done += found
        if dry_run or not found:
            break
    fixed = {(one.oid, one.remote) for one in done} if dry_run else set()
    left = [bad for pair, bad in verified.found.bad.items() if pair not in fixed]
    return RepairOutcome(
        repaired=tuple(done),
        left=tuple(verified.asked.finding(bad) for bad in left),
        unknown=tuple(map(str, verified.asked.problems)),
    )


def _round(
    project: Project, verified: Verified, report: Report, *, dry_run: bool
) -> list[Repaired]:
    """Put back what can be: files first, then the manifests of which no file is missing."""
    bad = list(verified.found.bad.values())
    files = [one for one in bad if not one.oid.endswith(".dir")]
    folders = [one for one in bad if one.oid.endswith(".dir")]
    with carrier(project, dry_run=dry_run) as carries:
        done = _put(project, carries, files, report, dry_run=dry_run)
        back = {(one.oid, one.remote) for one in done}
        still: defaultdict[str, set[Oid]] = defaultdict(set)
        for oid, remote in {(one.oid, one.remote) for one in files} - back:
            still[remote].add(oid)
        whole = [one for one in folders if not is_holed(project, one.oid, still[one.remote])]
        return done + _put(project, carries, whole, report, dry_run=dry_run)


def _put(
    project: Project, carries: Carrier, bad: Sequence[Bad], report: Report, *, dry_run: bool
) -> list[Repaired]:
    by_remote: defaultdict[str, dict[Oid, Bad]] = defaultdict(dict)
    for one in bad:
        by_remote[one.remote][one.oid] = one
    done: list[Repaired] = []
    for remote, wanted in by_remote.items():
        if not dry_run:
            report(f"objects to put back on '{remote}': {len(wanted)}")
        sources = {o: found.source for o, found in carries.from_caches(wanted, remote).items()}
        lost = {o for o, one in wanted.items() if o not in sources and one.kind == "missing"}
        sources |= dict.fromkeys(_from_trash(project, remote, lost, dry_run=dry_run), "its trash")
        left: dict[Oid, Sequence[str]] = {oid: () for oid in wanted if oid not in sources}
        sources |= {o: found.source for o, found in carries.from_remotes(left, remote).items()}
        done += [Repaired(oid, remote, wanted[oid].path, found) for oid, found in sources.items()]
    return done


def _from_trash(project: Project, remote: str, lost: set[Oid], *, dry_run: bool) -> set[Oid]:
    """Bring back what lies in the trash of the very DVC remote that lacks it."""
    trash = project.trash(remote)
    found = [one for one in trash.listing() if one.stored.oid in lost] if lost else []
    if dry_run or not found:
        return {one.stored.oid for one in found}
    digests = project.store(remote).digests(trash.bring_back(found))
    return {oid for oid, digest in digests.items() if digest == oid[:32]}
