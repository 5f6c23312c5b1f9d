"""One look at everything: what the DVC remotes hold, and who needs which of it.

The remotes are listed first and the refs read last: a ref that moves meanwhile is counted.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping, Sequence

from dvc_branchflow.errors import StorageError
from dvc_branchflow.model import Branch, Oid, Role
from dvc_branchflow.project import Project
from dvc_branchflow.retention import Line
from dvc_branchflow.values import dataclass
from dvc_branchflow.work.graph import Graph
from dvc_branchflow.work.leases import Lease, add_leases
from dvc_branchflow.work.naming import Named
from dvc_branchflow.work.parts import KeyParts, key, part_of
from dvc_branchflow.work.reach import Reach, add_run_caches, files_behind, find_reach, unread
from dvc_branchflow.work.roots import EXPERIMENTS, Holder, Kind, Problem, Roots, add_roots
from dvc_branchflow.work.stock import Stock, shared_remotes, take_stock
from dvc_branchflow.work.transfer import Report

GRACE_SECONDS = 14 * 86_400.0
_SHOWN = 5


@dataclass(frozen=True, slots=True)
class Needs:
    """Who needs what, at one moment.

    Attributes:
        loose: what needs something without a commit: holder → what it names.
        parts: the files behind all outs, each with the number of its out's class.
        classes: number → the mask of the holders, and of those whose tips need it.
        problems: what can't be read, so that who needs what is not all known.
        ended: leases that count no more.
        now: seconds since the epoch.
        erased: what nobody may need any more, whatever names it.
    """

    reach: Reach
    loose: Mapping[Holder, Collection[Named]]
    parts: KeyParts
    classes: tuple[tuple[int, int], ...]
    problems: tuple[Problem, ...]
    ended: tuple[Lease, ...]
    now: float
    erased: Collection[Oid] = ()

    def files(self, part: int) -> set[bytes]:
        """Return the ids of all files of a part that anything needs, as 16 bytes each."""
        return {one for one, _ in self.parts.keys(part)} - set(map(key, self.erased))

    def among(self, oids: Iterable[Oid]) -> set[Oid]:
        """Return those objects that anything needs."""
        wanted = set(oids).difference(self.erased)
        found = wanted & self.reach.outs.keys()
        files = {key(oid): oid for oid in wanted if not oid.endswith(".dir")}
        for part in {part_of(oid) for oid in files.values()}:
            found |= {files[one] for one, _ in self.parts.keys(part) if one in files}
        return found


@dataclass(frozen=True, slots=True)
class Census:
    """What the DVC remotes hold, and who needs which of it."""

    stock: Stock
    needs: Needs

    def close(self) -> None:
        """Give the space back."""
        self.needs.parts.close()
        self.stock.close()


def take_census(
    project: Project,
    report: Report,
    *,
    now: float | None = None,
    grace_seconds: float = GRACE_SECONDS,
    lost: Collection[str] = (),
) -> Census:
    """Look at all DVC remotes that the team shares, and at all that could need something of them.

    The caller has just refreshed the project: which remotes there are stands in its config.

    Args: as of `find_needs`.
    Raises: StorageError: a DVC remote is away. GitError, FlowError: refs or history are.
    """
    stock = take_stock(project, shared_remotes(project), report)
    needs = find_needs(project, report, now=now, grace_seconds=grace_seconds, lost=lost)
    return Census(stock, needs)


def find_needs(
    project: Project,
    report: Report,
    *,
    now: float | None = None,
    grace_seconds: float = GRACE_SECONDS,
    lost: Collection[str] = (),
) -> Needs:
    """Find all that could need something of the DVC remotes that the team shares.

    Args:
        now: seconds since the epoch; None: by this machine's clock.
        grace_seconds: how long a lease counts after its end.
        lost: ids of problems to go on without.
    Raises: StorageError: a DVC remote is away. GitError, FlowError: refs or history are.
    """
    now = time.time() if now is None else now
    remotes = shared_remotes(project)
    roots = Roots()
    retention = project.config.retention
    add_run_caches(project, roots, remotes, _since(now, retention.run_cache))
    ended = add_leases(project, roots, remotes, now=now, grace_seconds=grace_seconds)
    report("reading refs and history")
    add_roots(project, roots)
    _drop_experiments(project, roots, _since(now, retention.experiments))
    graph = Graph(project.git, roots, lost)
    reach = find_reach(graph, roots, lines_of(project, roots), now)
    pairs = sorted({(held.mask, held.tips) for held in reach.outs.values()})
    numbers = {pair: number for number, pair in enumerate(pairs)}
    tags = {oid: numbers[held.mask, held.tips] for oid, held in reach.outs.items()}
    parts, reasons = files_behind(project, tags, remotes, report)
    bad = [problem for problem in unread(reach, reasons) if problem.id not in lost]
    return Needs(
        reach=reach,
        loose=roots.loose,
        parts=parts,
        classes=tuple(pairs),
        problems=(*graph.problems, *bad),
        ended=tuple(ended),
        now=now,
        erased=project.erased.keys(),
    )


def require_all_known(problems: Sequence[Problem], command: str = "") -> None:
    """Raise StorageError where something can't be read that may name what is needed.

    Args:
        command: the one that takes `--lost`, for the hint; empty: none does.
    """
    if not problems:
        return
    more = f"; and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
    ids = [problem.id for problem in problems]
    way = " ".join(f"--lost {one}" for one in ids[:_SHOWN]) if all(ids) else ""
    raise StorageError(
        f"what is needed is not all known: {'; '.join(map(str, problems[:_SHOWN]))}{more}",
        hint=f"git branchflow {command} {way}  # gives it up" if way and command else None,
    )


def _since(now: float, period: float | None) -> float:
    return float("-inf") if period is None else now - period


def _drop_experiments(project: Project, roots: Roots, oldest_seconds: float) -> None:
    tips = roots.tips.get(EXPERIMENTS, set())
    made = project.git.commits(tips)
    tips -= {sha for sha in tips if made[sha].seconds < oldest_seconds}


def lines_of(project: Project, roots: Roots) -> list[Line]:
    """Return the branches with how long their commits keep data; for ever where without a role."""
    roles: dict[str, Role] = {name: spec.role for name, spec in project.specs.items()}
    periods = project.config.retention.roles
    found: list[Line] = []
    for holder, tips in roots.tips.items():
        if holder.kind is Kind.BRANCH:
            role = roles.get(holder.name)
            period = periods.get(role) if role else None
            found += [Line(Branch(holder.name), tip, period) for tip in tips]
    return found
