"""Puts files into a directory out with nothing checked out: hashed while copied, spliced in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from dvc_branchflow import manifest
from dvc_branchflow.errors import RejectedError
from dvc_branchflow.git import Change
from dvc_branchflow.metafiles import pointer_path, render_pointer
from dvc_branchflow.model import Oid, Out
from dvc_branchflow.project import Project
from dvc_branchflow.values import dataclass
from dvc_branchflow.work.erasures import refuse_erased
from dvc_branchflow.work.transfer import manifest_of


@dataclass(frozen=True, slots=True)
class Taken:
    """A file as it goes in: its path below the out, oid, and size in bytes."""

    relpath: str
    oid: Oid
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Growth:
    """What files add to a directory out.

    Attributes:
        path: of the out; `old` is what it holds now, None where it is new.
        added: files that are new in it.
        present: files that it holds already, name and content the same.
        duplicates: new files whose content it holds under another name.
        manifest: of the out with what is added.
    """

    path: str
    old: Out | None
    added: tuple[Taken, ...]
    present: tuple[str, ...]
    duplicates: tuple[str, ...]
    manifest: bytes

    def stored(self, project: Project, remote: str | None) -> Change:
        """Put the manifest into the cache and return the pointer that names it."""
        oid = manifest.manifest_oid(self.manifest)
        project.cache.add_bytes(oid, self.manifest)
        old = self.old
        out = Out(
            path=self.path,
            oid=oid,
            size_bytes=(old.size_bytes or 0 if old else 0) + sum(f.size_bytes for f in self.added),
            nfiles=(old.nfiles or 0 if old else 0) + len(self.added),
            remote=remote,
        )
        return Change(pointer_path(out.path), render_pointer(out))


def take_in(project: Project, named: Mapping[str, Path]) -> list[Taken]:
    """Copy files into the cache, given by their paths in an out.

    Raises: StorageError: a file can't be read, or changed while it was read.
    """
    stored = project.cache.add_files(list(named.values()))
    return [Taken(name, oid, size) for name, (oid, size) in zip(named, stored, strict=True)]


def grow(
    project: Project, path: str, old: Out | None, taken: Sequence[Taken], where: str
) -> Growth:
    """Work out what files add to a directory out; nothing is stored.

    Args:
        where: what to call the out in an error.
    Raises: RejectedError: a file's name is taken by another content, or by a folder; or a file was
        erased, and then leaves the cache again.
    """
    _refuse_erased(project, taken)
    before = manifest_of(project, old) if old else manifest.EMPTY
    there = {file.relpath: manifest.lookup(before, file.relpath) for file in taken}
    added = tuple(file for file in taken if there[file.relpath] is None)
    present = tuple(file.relpath for file in taken if there[file.relpath] == file.oid)
    clashes = [file.relpath for file in taken if there[file.relpath] not in {None, file.oid}]
    if clashes:
        more = f" and {len(clashes) - 1} more" if len(clashes) > 1 else ""
        raise RejectedError(
            f"'{clashes[0]}'{more} in {where} has other "
            "content already, and what is there never changes",
            hint="rename the new files, or give them a --partition of their own",
        )
    if not added:
        return Growth(path, old, (), present, (), before)
    _check_folders(before, added, where)
    stored = manifest.oids(before)
    duplicates = tuple(file.relpath for file in added if file.oid in stored)
    grown = manifest.splice(before, {file.relpath: file.oid for file in added})
    return Growth(path, old, added, present, duplicates, grown)


def _refuse_erased(project: Project, taken: Sequence[Taken]) -> None:
    for file in taken:
        if file.oid in project.erased:
            project.cache.path(file.oid).unlink(missing_ok=True)
            refuse_erased(project, file.oid, f"'{file.relpath}'")


def _check_folders(before: bytes, added: Sequence[Taken], where: str) -> None:
    """Refuse a file where a folder of that name is, and the other way round."""
    names = {file.relpath for file in added}
    for name in names:
        parts = name.split("/")
        for above in ("/".join(parts[:n]) for n in range(1, len(parts))):
            if above in names or manifest.lookup(before, above) is not None:
                raise RejectedError(f"'{above}' in {where} is a file, not a folder")
        if manifest.has_below(before, name):
            raise RejectedError(f"'{name}' in {where} is a folder, not a file")
