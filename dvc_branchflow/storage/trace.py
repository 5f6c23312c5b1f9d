"""Says what one object is for: branches, paths, commits, releases, and who put it there."""

from __future__ import annotations

from collections.abc import Iterator

from dvc_branchflow.model import Oid, parse_oid
from dvc_branchflow.project import Project
from dvc_branchflow.values import dataclass
from dvc_branchflow.work.census import Census, take_census
from dvc_branchflow.work.leases import utc
from dvc_branchflow.work.parts import key, part_of
from dvc_branchflow.work.transfer import Report
from dvc_branchflow.work.uses import Use, containers, uses


@dataclass(frozen=True, slots=True)
class StoredCopy:
    """An object on a DVC remote, and when it came there (ISO 8601, UTC)."""

    remote: str
    size_bytes: int
    when: str


@dataclass(frozen=True, slots=True)
class Trace:
    """What an object is for.

    Attributes:
        unknown: what can't be read, so that there may be more uses.
    """

    oid: Oid
    copies: tuple[StoredCopy, ...]
    uses: tuple[Use, ...]
    unknown: tuple[str, ...]


def trace(project: Project, md5: str, report: Report) -> Trace:
    """Return where an object lies and what it is for, over all history.

    Args:
        md5: its id, of a file or (with `.dir`) of a directory.
    Raises: ConfigError: it is no id. StorageError: a DVC remote is away.
    """
    oid = parse_oid(md5)
    project.refresh()
    census = take_census(project, report)
    try:
        reach = census.needs.reach
        held = containers(project, reach.outs, {oid})
        return Trace(
            oid=oid,
            copies=tuple(_copies(census, oid)),
            uses=tuple(uses(reach.graph, held, census.needs.loose, reach.gone)),
            unknown=tuple(map(str, census.needs.problems)),
        )
    finally:
        census.close()


def _copies(census: Census, oid: Oid) -> Iterator[StoredCopy]:
    found = census.stock.folders.get(oid, [])
    if not oid.endswith(".dir"):
        found = census.stock.files(part_of(oid)).get(key(oid), [])
    for copy in found:
        yield StoredCopy(copy.remote, copy.stored.size_bytes, utc(copy.stored.modified_seconds))
