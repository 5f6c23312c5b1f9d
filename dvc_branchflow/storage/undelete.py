"""Brings back what a gc set aside, as long as the trash was not emptied."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from dvc_branchflow.errors import UsageError
from dvc_branchflow.model import Oid
from dvc_branchflow.objects.aside import Aside
from dvc_branchflow.project import Project
from dvc_branchflow.values import dataclass
from dvc_branchflow.work.erasures import refuse_erased
from dvc_branchflow.work.leases import utc
from dvc_branchflow.work.stock import shared_remotes
from dvc_branchflow.work.transfer import Report


@dataclass(frozen=True, slots=True)
class Batch:
    """What one gc set aside on one DVC remote: when the first and the last of it, ISO 8601, UTC."""

    run: str
    remote: str
    objects: int
    size_bytes: int
    first: str
    last: str


@dataclass(frozen=True, slots=True)
class UndeleteOutcome:
    """What lay in the trash of what was asked for, and which of it is back."""

    batches: tuple[Batch, ...]
    back: tuple[Oid, ...]


def undelete(
    project: Project,
    names: Sequence[str],
    report: Report,
    *,
    dry_run: bool = False,
) -> UndeleteOutcome:
    """Bring objects back to where DVC finds them, files before manifests.

    Args:
        names: runs of a gc, or objects' ids; none: everything in the trash.
        dry_run: only say what lies there.
    Raises: UsageError: nothing in the trash has such a name. StorageError: a remote is away.
        RejectedError: an object that is named was erased.
    """
    project.refresh()
    for name in names:
        refuse_erased(project, Oid(name), f"object {name}")
    batches: list[Batch] = []
    back: list[Oid] = []
    met: set[str] = set()
    for remote in shared_remotes(project):
        trash = project.trash(remote)
        found = [one for one in trash.listing() if _is_wanted(one, names)]
        met |= {one.run for one in found} | {one.stored.oid for one in found}
        found = [one for one in found if one.stored.oid not in project.erased]
        batches += _batches(remote, found)
        if found and not dry_run:
            report(f"objects to bring back on '{remote}': {len(found)}")
            back += trash.bring_back(found)
    for name in names:
        if name not in met:
            raise UsageError(
                f"no run and no object '{name[:60]}' lies in the trash",
                hint="git branchflow storage undelete --dry-run",
            )
    return UndeleteOutcome(tuple(batches), tuple(back))


def _is_wanted(one: Aside, names: Sequence[str]) -> bool:
    return not names or one.run in names or one.stored.oid in names


def _batches(remote: str, found: Sequence[Aside]) -> list[Batch]:
    runs: defaultdict[str, list[Aside]] = defaultdict(list)
    for one in found:
        runs[one.run].append(one)
    made: list[Batch] = []
    for run, asides in runs.items():
        times = [one.stored.modified_seconds for one in asides]
        size = sum(one.stored.size_bytes for one in asides)
        made.append(Batch(run, remote, len(asides), size, utc(min(times)), utc(max(times))))
    return made
