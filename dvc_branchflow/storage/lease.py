"""Says on the DVC remotes what this clone, or this repository, needs of them: no gc takes it.

A clone leases what only it has: commits that the git remote lacks, stashes, uncommitted pointers. A
repository leases all it needs, on a DVC remote that it shares with others.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable

from dvc_branchflow.errors import StorageError
from dvc_branchflow.git import survey
from dvc_branchflow.manifest import oids
from dvc_branchflow.model import Oid, Sha
from dvc_branchflow.project import Project
from dvc_branchflow.values import dataclass
from dvc_branchflow.work.census import require_all_known
from dvc_branchflow.work.graph import Graph
from dvc_branchflow.work.leases import Lease, end_lease, utc, write_lease
from dvc_branchflow.work.marks import Quiet
from dvc_branchflow.work.reach import add_run_caches
from dvc_branchflow.work.roots import Roots, add_roots
from dvc_branchflow.work.stock import shared_remotes
from dvc_branchflow.work.transfer import Report

PERIOD_SECONDS = 30 * 86_400.0
_LONGEST_SECONDS = 100 * 365 * 86_400.0
_SECRET = re.compile(r"(?<=://)[^/@]*@")


@dataclass(frozen=True, slots=True)
class LeaseOutcome:
    """What was said on the DVC remotes.

    Attributes:
        objects: how many are claimed; a directory counts once.
        until: ISO 8601, UTC; empty: there is no lease (any more), since nothing is to be claimed.
    """

    remotes: tuple[str, ...]
    objects: int
    until: str


def lease(
    project: Project,
    report: Report,
    *,
    seconds: float | None = PERIOD_SECONDS,
    everything: bool = False,
    end: bool = False,
    dry_run: bool = False,
) -> LeaseOutcome:
    """Claim what only this clone needs, over its earlier lease.

    Args:
        seconds: how long it lasts; None: as good as for ever.
        everything: claim all that this repository needs, in a lease of its own.
        end: take the lease back instead.
    Raises: StorageError: a DVC remote is away, or something can't be read.
    """
    project.refresh()
    remotes = shared_remotes(project)
    lease_id = _clone_id(project) + ("-all" if everything else "")
    claimed = set() if end else _needs(project, remotes, everything=everything)
    report(f"objects to claim: {len(claimed)}")
    now = time.time()
    until = utc(now + min(seconds or _LONGEST_SECONDS, _LONGEST_SECONDS)) if claimed else ""
    if not dry_run:
        quiet = Quiet(project, report)
        for remote in remotes:
            quiet.look(remote)
            if claimed:
                write_lease(project.notes(remote), lease_id, _lease(project, now, until), claimed)
            else:
                end_lease(project.notes(remote), lease_id)
        if claimed and not quiet.holds():
            report("a gc began meanwhile, which may not have seen the claim: see storage verify")
    return LeaseOutcome(remotes, len(claimed), until)


def _needs(project: Project, remotes: Iterable[str], *, everything: bool) -> set[Oid]:
    roots = Roots()
    add_roots(project, roots)
    if everything:
        add_run_caches(project, roots, (), float("-inf"))
    graph = Graph(project.git, roots)
    shared = set() if everything else _shared(project, graph)
    found = {one.oid for step in graph.steps(shared) for one in graph.named(step)}
    found |= {one.oid for loose in roots.loose.values() for one in loose}
    known = {
        one.oid for step in graph.steps() if step.node.sha in shared for one in graph.named(step)
    }
    require_all_known(graph.problems)
    # All that our commits hold, not only what is new in them: the shared ones may be given up.
    return _spelled_out(project, found, remotes) if found - known else set()


def _shared(project: Project, graph: Graph) -> set[Sha]:
    """The commits that the git remote has."""
    if project.git_remote is None:
        return set()
    tips = survey.bring_refs(project.git, project.git_remote).values()
    found = survey.history(project.git, [sha for sha in tips if sha in graph.nodes])
    return {node.sha for node in found}


def _spelled_out(project: Project, found: set[Oid], remotes: Iterable[str]) -> set[Oid]:
    """Name the files of directories whose manifest lies on no DVC remote, where gc reads it."""
    folders = {oid for oid in found if oid.endswith(".dir")}
    there = {oid for remote in remotes for oid in project.store(remote).sizes(folders)}
    claimed = found - (folders - there)
    for oid in folders - there:
        try:
            claimed |= oids(project.cache.manifest(oid))
        except OSError:
            raise StorageError(
                f"the directory {oid} can't be claimed: its manifest is neither in the cache nor "
                "on a DVC remote",
                hint="dvc fetch --all-commits",
            ) from None
    return claimed


def _lease(project: Project, now: float, until: str) -> Lease:
    git, remote = project.git, project.git_remote
    here = git.toplevel or git.git_dir
    url = git.text("remote", "get-url", remote) if remote else str(here)
    return Lease(
        who=git.identity(),
        repository=_SECRET.sub("", url),
        where=f"{os.uname().nodename}:{here}",
        made=utc(now),
        until=until,
    )


def _clone_id(project: Project) -> str:
    """Return this clone's own name. Where it was deleted, the lease under the old one just ends."""
    file = project.state_dir / "clone-id"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{os.urandom(8).hex()}\n", encoding="utf-8")
    return file.read_text(encoding="utf-8").strip()
