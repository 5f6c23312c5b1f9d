"""Where copies of objects are: all DVC remotes that are configured here, their trash, the caches.

A place that can't be searched is named with the reason; it never counts as empty.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import Path

from dvc_branchflow.errors import BranchflowError
from dvc_branchflow.model import Oid
from dvc_branchflow.objects.doomed import Forgotten
from dvc_branchflow.objects.purge import DirectoryPurge, Purge, Remnant
from dvc_branchflow.project import Project
from dvc_branchflow.values import dataclass, field, replace
from dvc_branchflow.work.transfer import Report


@dataclass(frozen=True, slots=True)
class Place:
    """A DVC remote or a cache: what is there of objects.

    Attributes:
        name: how it is called: `DVC remote 'NAME'`, or the cache's folder.
        remote: the DVC remote's name; empty for a cache.
        objects: the objects that have copies there.
        copies: how many copies: each version and delete marker of a bucket counts.
        kept: what it refuses to delete → why.
        sees_versions: whether versions of objects that were deleted before would be seen.
        unknown: why it can't be searched or changed; empty: it was.
    """

    name: str
    remote: str = ""
    objects: tuple[Oid, ...] = ()
    copies: int = 0
    kept: Mapping[Oid, str] = field(default_factory=dict)
    sees_versions: bool = True
    unknown: str = ""


def look_everywhere(project: Project, oids: Collection[Oid]) -> list[Place]:
    """Return what each place holds of objects."""

    def look(place: Place, way: Purge) -> Place:
        return _seen(place, way, way.find(oids))

    return [_at(project, place, look) for place in _places(project)]


def delete_everywhere(project: Project, forgotten: Forgotten, report: Report) -> list[Place]:
    """Delete every copy of forgotten objects; return what is left of them after another look."""

    def delete(place: Place, way: Purge) -> Place:
        found = way.find(forgotten.oids)
        if found:
            report(f"copies to delete in {place.name}: {len(found)}")
        kept = {one.oid: why for one, why in way.delete(forgotten, found).items()}
        return replace(_seen(place, way, way.find(forgotten.oids)), kept=kept)

    return [_at(project, place, delete) for place in _places(project)]


def own_worktrees(project: Project) -> list[Path]:
    """Return the checkouts that are branchflow's own."""
    trees = [tree.path for tree in project.git.worktrees()]
    return [path for path in trees if project.state_dir in path.parents]


def files_left(oids: Collection[Oid], paths: Collection[str], tops: Iterable[Path]) -> list[Path]:
    """Return the files in checkouts that hold objects, at the paths that these have in Git.

    Args:
        paths: of the files, from the repository's root.
    """
    ids = {oid[:32] for oid in oids}
    found = [top / path for top in tops for path in paths]
    return [file for file in found if file.is_file() and _md5(file) in ids]


def user_checkouts(project: Project) -> list[Path]:
    """Return the checkouts that belong to the user."""
    own = set(own_worktrees(project))
    return [tree.path for tree in project.git.worktrees() if tree.path not in own]


def _places(project: Project) -> Iterator[Place]:
    for remote in project.dvc_config.remotes:
        yield Place(f"DVC remote '{remote}'", remote)
    roots = [project.cache.root, *(t.path / ".dvc" / "cache" for t in project.git.worktrees())]
    yield from (Place(str(root)) for root in dict.fromkeys(roots) if root.is_dir())


def _at(project: Project, place: Place, act: Callable[[Place, Purge], Place]) -> Place:
    """Act on a place; where that fails, it is unknown."""
    try:
        cache = DirectoryPurge(Path(place.name), f"'{place.name}'")
        return act(place, project.purge(place.remote) if place.remote else cache)
    except (BranchflowError, OSError) as error:
        return replace(place, unknown=str(error))


def _seen(place: Place, way: Purge, found: Collection[Remnant]) -> Place:
    objects = tuple(sorted({one.oid for one in found}))
    return replace(place, objects=objects, copies=len(found), sees_versions=way.sees_versions())


def _md5(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "md5").hexdigest()
