"""What lies on the DVC remotes, as their listings say: parted like what is needed, to be compared.

Two names for one place count once. A listing that breaks off raises; it never reads as "empty".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from dvc_branchflow.errors import StorageError
from dvc_branchflow.model import Oid
from dvc_branchflow.objects import Stored
from dvc_branchflow.project import Project
from dvc_branchflow.work.parts import COUNT, Parts, part_of
from dvc_branchflow.work.transfer import Report

_BATCH = 2000


class Copy(NamedTuple):
    """An object on one of the DVC remotes."""

    remote: str
    stored: Stored


class Stock:
    """All objects on some DVC remotes.

    Attributes:
        remotes: their names.
        folders: the manifests of directories, with their copies; few enough to be held.
    """

    def __init__(self, remotes: Sequence[str], folder: Path) -> None:
        self.remotes = tuple(remotes)
        self.folders: dict[Oid, list[Copy]] = {}
        self._files = Parts(folder)

    def add(self, remote: str, listing: Iterable[Stored]) -> None:
        """Take in what a DVC remote lists."""
        tag = self.remotes.index(remote)
        waiting: list[list[str]] = [[] for _ in range(COUNT)]
        for stored in listing:
            if stored.oid.endswith(".dir"):
                self.folders.setdefault(stored.oid, []).append(Copy(remote, stored))
                continue
            part = part_of(stored.oid)
            waiting[part].append(_line(stored))
            if len(waiting[part]) == _BATCH:
                self._files.add(part, tag, "".join(waiting[part]).encode())
                waiting[part] = []
        for part, lines in enumerate(waiting):
            self._files.add(part, tag, "".join(lines).encode())

    def files(self, part: int) -> dict[bytes, list[Copy]]:
        """Return the plain files of a part: the id's 16 bytes → its copies."""
        found: dict[bytes, list[Copy]] = {}
        for tag, content in self._files.frames(part):
            remote = self.remotes[tag]
            for line in content.decode().splitlines():
                stored = _stored(line)
                found.setdefault(bytes.fromhex(stored.oid), []).append(Copy(remote, stored))
        return found

    def close(self) -> None:
        """Give the space back."""
        self._files.close()


def take_stock(project: Project, remotes: Sequence[str], report: Report) -> Stock:
    """List DVC remotes.

    Raises: StorageError: one of them can't be listed to its end.
    """
    stock = Stock(remotes, project.state_dir / "tmp")
    for remote in remotes:
        report(f"listing DVC remote '{remote}'")
        stock.add(remote, project.store(remote).listing())
    return stock


def shared_remotes(project: Project, wanted: Sequence[str] = ()) -> tuple[str, ...]:
    """Return the DVC remotes that the tracking branch names, one name for each place.

    A remote that stands in this user's own settings alone is not the team's, and left out; so is
    a cloud-versioned one, which keeps files by their names.

    Args:
        wanted: only these.
    Raises: StorageError: one that is wanted is none of them, or there is none.
    """
    known = project.shared_remotes
    for name in wanted:
        if name not in known:
            raise StorageError(
                f"'{name}' is no DVC remote that '{project.config.tracking}' names; "
                f"there are: {', '.join(known) or 'none'}",
                hint=f"dvc remote add {name} URL",
            )
    places: dict[str, str] = {}
    for name in wanted or known:
        remote = project.dvc_config.remotes[name]
        if wanted or not (remote.is_on("version_aware") or remote.is_on("worktree")):
            places.setdefault(remote.url.rstrip("/"), name)
    if not places:
        raise StorageError(
            f"'{project.config.tracking}' names no DVC remote",
            hint="dvc remote add --default NAME URL",
        )
    return tuple(places.values())


def require_same_places(project: Project, urls: Mapping[str, str]) -> None:
    """Raise StorageError where a DVC remote is not where a plan found it."""
    for name, url in urls.items():
        remote = project.dvc_config.remotes.get(name)
        if remote is None or remote.url != url:
            raise StorageError(
                f"DVC remote '{name}' is not where the plan found it, at '{url}'",
                hint="git branchflow storage gc  # makes a new plan",
            )


def _line(one: Stored) -> str:
    etag = "_".join((one.etag or "").split())  # whatever a server makes of it, one word
    return f"{one.oid} {one.size_bytes} {one.modified_seconds!r} {etag}\n"


def _stored(line: str) -> Stored:
    oid, size, modified, etag = line.split(" ", 3)
    return Stored(Oid(oid), int(size), float(modified), etag or None)
