"""Who names objects, over all history: paths, commits, branches, releases and all other holders."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping

from dvc_branchflow.errors import BranchflowError
from dvc_branchflow.gitobjects import Commit
from dvc_branchflow.manifest import entries, without
from dvc_branchflow.model import Oid, Sha
from dvc_branchflow.project import Project
from dvc_branchflow.values import dataclass
from dvc_branchflow.versions import parse_tag
from dvc_branchflow.work.graph import Graph
from dvc_branchflow.work.leases import utc
from dvc_branchflow.work.naming import Named
from dvc_branchflow.work.roots import Holder, Kind

Containers = Mapping[Oid, Collection[str]]
"""Outs that are or hold objects: their id → the paths that these have below them."""


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


def containers(
    project: Project, outs: Iterable[Oid], wanted: Collection[Oid]
) -> dict[Oid, list[str]]:
    """Return the outs that are or hold objects; those whose manifest is not here are left out."""
    found: dict[Oid, list[str]] = {}
    for out in outs:
        if out in wanted:
            found[out] = [""]
        elif out.endswith(".dir") and (below := _below(project, out, wanted)):
            found[out] = below
    return found


def uses(
    graph: Graph,
    held: Containers,
    loose: Mapping[Holder, Iterable[Named]],
    without_commits: Collection[Sha] = (),
) -> Iterator[Use]:
    """Yield each path of the objects in outs, with who needs it there.

    Args:
        loose: what needs something without a commit: holder → what it names.
        without_commits: those that are passed over.
    """
    masks: defaultdict[str, int] = defaultdict(int)
    commits: defaultdict[str, list[Sha]] = defaultdict(list)
    for step in graph.steps(without_commits):
        for one in graph.named(step):
            for below in held.get(one.oid, ()):
                masks[one.path + below] |= step.mask
                commits[one.path + below].append(step.node.sha)
    for holder, named in loose.items():
        for one in named:
            for below in held.get(one.oid, ()):
                path = one.path + below
                masks[path] |= 0 if holder.is_weak and masks[path] else graph.bit(holder)
    origins = graph.git.commits(sha for shas in commits.values() for sha in shas)
    for path, mask in sorted(masks.items()):
        yield _use(path, graph.who(mask), [origins[sha] for sha in commits[path]])


def _below(project: Project, folder: Oid, wanted: Collection[Oid]) -> list[str]:
    try:
        manifest = project.cache.manifest(folder)
    except (BranchflowError, OSError):
        return []
    if without(manifest, wanted) == manifest:
        return []
    return [f"/{entry.relpath}" for entry in entries(manifest) if entry.oid in wanted]


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
