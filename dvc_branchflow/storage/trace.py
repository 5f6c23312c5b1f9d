"""Says what one object is for: branches, paths, commits, releases, and who put it there."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from dvc_branchflow.errors import BranchflowError
from dvc_branchflow.gitobjects import Commit
from dvc_branchflow.manifest import entries
from dvc_branchflow.model import Oid, Sha, parse_oid
from dvc_branchflow.project import Project
from dvc_branchflow.values import dataclass
from dvc_branchflow.versions import parse_tag
from dvc_branchflow.work.census import Census, take_census
from dvc_branchflow.work.leases import utc
from dvc_branchflow.work.parts import key, part_of
from dvc_branchflow.work.roots import Holder, Kind
from dvc_branchflow.work.transfer import Report


@dataclass(frozen=True, slots=True)
class StoredCopy:
    """An object on a DVC remote, and when it came there (ISO 8601, UTC)."""

    remote: str
    size_bytes: int
    when: str


@dataclass(frozen=True, slots=True)
class Origin:
    """A commit that put the object at a path where its first parent had it not."""

    commit: Sha
    author: str
    when: str


@dataclass(frozen=True, slots=True)
class Use:
    """A path that the object has, and who needs it there.

    Attributes:
        path: the out, and below a directory the file.
        origins: the commits that put it there, oldest first.
        branches, releases: whose history holds it. others: further tags, leases and the like.
    """

    path: str
    origins: tuple[Origin, ...]
    branches: tuple[str, ...]
    releases: tuple[str, ...]
    others: tuple[str, ...]


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
    census = take_census(project, report)
    try:
        masks, commits = _found(census, _containers(project, census, oid))
        graph = census.needs.reach.graph
        origins = graph.git.commits(sha for shas in commits.values() for sha in shas)
        return Trace(
            oid=oid,
            copies=tuple(_copies(census, oid)),
            uses=tuple(
                _use(path, graph.who(mask), [origins[sha] for sha in commits[path]])
                for path, mask in sorted(masks.items())
            ),
            unknown=tuple(map(str, census.needs.problems)),
        )
    finally:
        census.close()


def _containers(project: Project, census: Census, oid: Oid) -> dict[Oid, list[str]]:
    """The outs that are or hold the object: their id → the paths that it has below them."""
    found: dict[Oid, list[str]] = {oid: [""]} if oid in census.needs.reach.outs else {}
    for folder in census.needs.reach.outs if not oid.endswith(".dir") else ():
        if not folder.endswith(".dir"):
            continue
        try:
            manifest = project.cache.manifest(folder)
        except (BranchflowError, OSError):
            continue  # among the unknown already
        if oid.encode() in manifest:
            listed = [f"/{entry.relpath}" for entry in entries(manifest) if entry.oid == oid]
            found |= {folder: listed} if listed else {}
    return found


def _found(
    census: Census, containers: Mapping[Oid, list[str]]
) -> tuple[dict[str, int], dict[str, list[Sha]]]:
    """Where the containers are named: path → mask of its holders, and the commits that start it."""
    masks: defaultdict[str, int] = defaultdict(int)
    commits: defaultdict[str, list[Sha]] = defaultdict(list)
    graph = census.needs.reach.graph
    for step in graph.steps(census.needs.reach.gone):
        for one in graph.named(step):
            for below in containers.get(one.oid, ()):
                masks[one.path + below] |= step.mask
                commits[one.path + below].append(step.node.sha)
    for holder, loose in census.needs.loose.items():
        for one in loose:
            for below in containers.get(one.oid, ()):
                path = one.path + below
                masks[path] |= 0 if holder.is_weak and masks[path] else graph.bit(holder)
    return masks, commits


def _use(path: str, holders: Iterable[Holder], commits: Iterable[Commit]) -> Use:
    who = list(holders)
    tags = [holder.name for holder in who if holder.kind is Kind.TAG]
    releases = [name for name in tags if parse_tag(name)]
    branches = [holder.name for holder in who if holder.kind is Kind.BRANCH]
    others = [
        f"{holder.kind} {holder.name}"
        for holder in who
        if holder.kind is not Kind.BRANCH and holder.name not in releases
    ]
    origins = [Origin(one.sha, one.author, utc(one.seconds)) for one in commits]
    return Use(path, tuple(origins), tuple(branches), tuple(releases), tuple(others))


def _copies(census: Census, oid: Oid) -> Iterator[StoredCopy]:
    found = census.stock.folders.get(oid, [])
    if not oid.endswith(".dir"):
        found = census.stock.files(part_of(oid)).get(key(oid), [])
    for copy in found:
        yield StoredCopy(copy.remote, copy.stored.size_bytes, utc(copy.stored.modified_seconds))
