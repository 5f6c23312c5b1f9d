"""Where copies of objects are: all DVC remotes that are configured here, their trash, the caches.

A place that can't be searched is named with the reason; it never counts as empty.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from dvc_branchflow.errors import BranchflowError
from dvc_branchflow.model import Oid
from dvc_branchflow.objects.doomed import Forgotten
from dvc_branchflow.objects.purge import DirectoryPurge, Purge, Remnant
from dvc_branchflow.project import Project
from dvc_branchflow.values import dataclass, field
from dvc_branchflow.work.transfer import Report


@dataclass(frozen=True, slots=True)
class Place:
    """A DVC remote or a cache: what is there of objects.

    Attributes:
        name: `DVC remote 'NAME'`, or the cache's folder.
        objects: the objects that have copies there.
        copies: how many copies: each version and delete marker of a bucket counts.
        kept: what it refuses to delete → why.
        sees_versions: whether versions of objects that were deleted before would be seen.
        unknown: why it can't be searched or changed; empty: it was.
    """

    name: str
    objects: tuple[Oid, ...] = ()
    copies: int = 0
    kept: Mapping[Oid, str] = field(default_factory=dict)
    sees_versions: bool = True
    unknown: str = ""


def look_everywhere(project: Project, oids: Collection[Oid]) -> list[Place]:
    """Return what each place holds of objects."""
    found: list[Place] = []
    for name in _names(project):
        try:
            found.append(_seen(name, way := _open(project, name), way.find(oids)))
        except (BranchflowError, OSError) as error:
            found.append(Place(name, unknown=str(error)))
    return found


def delete_everywhere(project: Project, forgotten: Forgotten, report: Report) -> list[Place]:
    """Delete every copy of forgotten objects; return what is left of them after another look."""
    left: list[Place] = []
    for name in _names(project):
        try:
            way = _open(project, name)
            found = way.find(forgotten.oids)
            if found:
                report(f"copies to delete in {name}: {len(found)}")
            kept = {one.oid: why for one, why in way.delete(forgotten, found).items()}
            left.append(_seen(name, way, way.find(forgotten.oids), kept))
        except (BranchflowError, OSError) as error:
            left.append(Place(name, unknown=str(error)))
    return left


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


def _names(project: Project) -> Iterator[str]:
    yield from (f"DVC remote '{name}'" for name in project.dvc_config.remotes)
    roots = [project.cache.root, *(t.path / ".dvc" / "cache" for t in project.git.worktrees())]
    yield from dict.fromkeys(str(root) for root in roots if root.is_dir())


def _open(project: Project, name: str) -> Purge:
    remote = name.removeprefix("DVC remote '").removesuffix("'")
    return project.purge(remote) if remote != name else DirectoryPurge(Path(name), f"'{name}'")


def _seen(
    name: str, way: Purge, found: Collection[Remnant], kept: Mapping[Oid, str] | None = None
) -> Place:
    objects = tuple(sorted({one.oid for one in found}))
    left = {oid: why for oid, why in (kept or {}).items() if oid in objects}
    return Place(name, objects, len(found), left, way.sees_versions())


def _md5(file: Path) -> str:
    with file.open("rb") as content:
        return hashlib.file_digest(content, "md5").hexdigest()
