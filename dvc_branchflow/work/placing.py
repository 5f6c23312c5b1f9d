"""Puts outs in place in a checkout: looks at what lies there, and touches only what differs."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from dvc_branchflow.dvcio import State, memory_of, recall
from dvc_branchflow.errors import FlowError
from dvc_branchflow.manifest import EMPTY, Entry, entries, lookup, manifest_oid
from dvc_branchflow.model import Oid, Out
from dvc_branchflow.objects import Place, Placer, digests
from dvc_branchflow.project import Project
from dvc_branchflow.values import dataclass
from dvc_branchflow.work.transfer import Report, fetch_objects, manifest_of

_NEVER = frozenset({"", ".", "..", ".git", ".dvc"})  # parts of a name that lead elsewhere
_FEW = 200  # files that DVC hashes sooner than its memory of files is made


class Stray(NamedTuple):
    """A file that is to go or to be replaced: its path below the out, and its content.

    `oid` is None for what is no plain file.
    """

    relpath: str
    oid: Oid | None


@dataclass(frozen=True, slots=True)
class Survey:
    """How the files at an out's path differ from the out.

    Attributes:
        wanted: what has to be put in place.
        replaced: what lies there with other content.
        extra: what the out doesn't name (the relpath `""` is the out's own path).
        is_gone: the out is none any more, so that all that is there is extra.
    """

    out: Out
    wanted: tuple[Entry, ...]
    replaced: tuple[Stray, ...]
    extra: tuple[Stray, ...]
    is_gone: bool = False

    @property
    def strays(self) -> tuple[Stray, ...]:
        """All that lies there and is going to go."""
        return self.replaced + self.extra


class Checkout:
    """The outs in one checkout of a project."""

    def __init__(self, project: Project, root: Path) -> None:
        config = project.dvc_config
        self._project = project
        self._root = root
        self._state = State(root, config.core.get("site_cache_dir"))
        aside = str(root / ".dvc" / "tmp")
        self._placer = Placer(project.cache, config.cache.get("type"), aside)

    def survey(self, out: Out) -> Survey:
        """Compare what lies at an out's path with the out, whose manifest is fetched if need be.

        Files that look as they did when DVC or we hashed them are not read.

        Raises: FlowError: the path leads through a link. StorageError: a file can't be read.
        """
        self._require_no_links(out.path)
        wanted: list[Entry] = []
        replaced: list[Stray] = []
        unknown: list[_Seen] = []
        n_there = 0
        for entry, path, memory in self._remembered(out):
            try:
                looks = os.lstat(path)
            except (FileNotFoundError, NotADirectoryError):
                wanted.append(entry)
                continue
            if memory and memory == memory_of(entry.oid, looks):  # as most; nothing is parsed
                n_there += 1
                continue
            n_there += not stat.S_ISDIR(looks.st_mode)
            known = recall(memory, looks) if memory else self._linked(path)
            if known is None and stat.S_ISREG(looks.st_mode):
                unknown.append(_Seen(entry, path, looks))
            elif known != entry.oid:
                wanted.append(entry)
                replaced.append(Stray(entry.relpath, known))
        for seen, oid in zip(unknown, self._hashed(unknown), strict=True):
            if oid != seen.entry.oid:
                wanted.append(seen.entry)
                replaced.append(Stray(seen.entry.relpath, oid))
        extra = self._extras(out, n_there)
        return Survey(out, tuple(wanted), tuple(replaced), tuple(extra))

    def survey_gone(self, path: str) -> Survey:
        """Return what lies at a path that is not to hold data any more."""
        self._require_no_links(path)
        nothing = Out(path, manifest_oid(EMPTY))
        return Survey(nothing, (), (), tuple(self._extras(nothing, 0)), is_gone=True)

    def make(self, survey: Survey) -> None:
        """Bring an out into place exactly, from the cache, over what was found there."""
        out = survey.out
        no_files = [stray.relpath for stray in survey.replaced if stray.oid is None]
        self.remove(out.path, [*no_files, *(stray.relpath for stray in survey.extra)])
        _require_plain(entry.relpath for entry in survey.wanted if entry.relpath)
        places = [
            Place(self._path(out, entry.relpath), entry.oid, is_exec=out.is_exec)
            for entry in survey.wanted
        ]
        self._placer.place(places)
        looks = ((place.path, place.oid, os.stat(place.path)) for place in places)
        self._state.remember(looks, may_create=len(places) > _FEW)
        if out.is_dir and not survey.is_gone:
            os.makedirs(self._path(out, ""), exist_ok=True)

    def remove(self, path: str, relpaths: Iterable[str]) -> None:
        """Remove what lies below an out's path, and the folders that are empty then."""
        for relpath in relpaths:
            if relpath:
                _require_plain([relpath])
            place = self._root / path / relpath if relpath else self._root / path
            if place.is_dir() and not place.is_symlink():
                shutil.rmtree(place)
            else:
                place.unlink(missing_ok=True)
            with suppress(OSError):
                for folder in place.relative_to(self._root).parents[:-1]:
                    (self._root / folder).rmdir()

    def keep_copies(self, path: str, strays: Iterable[Stray]) -> None:
        """Take files into the cache that are the only copy of their content, before they go."""
        cache = self._project.cache
        alone = [stray for stray in strays if stray.oid and not cache.has(stray.oid)]
        cache.add_files([self._root / path / stray.relpath for stray in alone])

    def _remembered(self, out: Out) -> Iterator[tuple[Entry, str, str | None]]:
        """Each file of an out, where it belongs, and what DVC remembers of that path."""
        base = self._path(out, "")
        if not out.is_dir:
            yield Entry("", out.oid), base, self._state.memory(base)
            return
        memories = self._state.memories_below(base)
        key, memory = next(memories, ("", ""))
        for entry in entries(self._manifest(out)):
            path = f"{base}/{entry.relpath}"
            while key and key < path:
                key, memory = next(memories, ("", ""))
            yield entry, path, memory if key == path else None

    def _hashed(self, unknown: Sequence[_Seen]) -> list[Oid]:
        """Read the files that nobody remembers."""
        oids = digests([seen.path for seen in unknown])
        read = ((seen.path, oid, seen.looks) for seen, oid in zip(unknown, oids, strict=True))
        self._state.remember(read, may_create=len(oids) > _FEW)
        return oids

    def _extras(self, out: Out, n_there: int) -> list[Stray]:
        """What lies below a directory out and is not named by it."""
        base = self._path(out, "")
        if not out.is_dir or not os.path.lexists(base):
            return []
        if os.path.islink(base) or not os.path.isdir(base):
            return self._strays(base, [""])
        manifest = self._manifest(out)
        n_found = 0
        is_foreign = False
        for relpath, is_link in _walk(base):
            n_found += 1
            is_foreign = is_foreign or (is_link and lookup(manifest, relpath) is None)
        if n_found == n_there and not is_foreign:
            return []
        found = (relpath for relpath, _ in _walk(base))
        return self._strays(base, [name for name in found if lookup(manifest, name) is None])

    def _strays(self, base: str, relpaths: Sequence[str]) -> list[Stray]:
        paths = {f"{base}/{relpath}" if relpath else base: relpath for relpath in relpaths}
        looks = {path: os.lstat(path) for path in paths}
        known = {path: self._linked(path) for path in paths}
        for path, memory in self._state.memories_below(base):
            if path in paths:
                known[path] = recall(memory, looks[path])
        files = [path for path in paths if stat.S_ISREG(looks[path].st_mode)]
        unknown = [path for path in files if known[path] is None]
        known |= dict(zip(unknown, digests(unknown), strict=True))
        return [Stray(relpath, known[path]) for path, relpath in paths.items()]

    def _linked(self, path: str) -> Oid | None:
        """The object of the cache that a path links to."""
        cache = self._project.cache
        if not os.path.islink(path):
            return None
        oid = cache.oid_at(os.readlink(path))
        return oid if oid and cache.has(oid) else None

    def _manifest(self, out: Out) -> bytes:
        return EMPTY if out.oid == manifest_oid(EMPTY) else manifest_of(self._project, out)

    def _require_no_links(self, path: str) -> None:
        above = self._root
        for part in path.split("/")[:-1]:
            above /= part
            if above.is_symlink():
                raise FlowError(
                    f"'{path}' lies below '{above.relative_to(self._root)}', which is a link, and "
                    "data is not put where links lead"
                )

    def _path(self, out: Out, relpath: str) -> str:
        return f"{self._root}/{out.path}/{relpath}" if relpath else f"{self._root}/{out.path}"


class _Seen(NamedTuple):
    """A file that lies where it belongs, and how it looks."""

    entry: Entry
    path: str
    looks: os.stat_result


def put_in_place(project: Project, root: Path, outs: Iterable[Out], report: Report) -> None:
    """Bring outs into place in a checkout that is ours, over whatever lies there."""
    wanted = list(outs)
    if not wanted:
        return
    checkout = Checkout(project, root)
    surveys = [_exact(checkout, out) for out in wanted]
    fetch_wanted(project, surveys, report)
    report(f"files to place: {sum(len(survey.wanted) for survey in surveys)}")
    for survey in surveys:
        checkout.make(survey)


def fetch_wanted(project: Project, surveys: Iterable[Survey], report: Report) -> int:
    """Bring the objects that have to be put in place into the cache; return how many were not."""
    wanted = ((entry.oid, s.out.remote) for s in surveys for entry in s.wanted)
    return fetch_objects(project, wanted, report)


def _exact(checkout: Checkout, out: Out) -> Survey:
    """A survey after which no link leads away from the out's own files."""
    survey = checkout.survey(out)
    if any(stray.oid is None for stray in survey.extra):
        checkout.remove(out.path, [stray.relpath for stray in survey.extra])
        return checkout.survey(out)
    return survey


def _walk(folder: str) -> Iterator[tuple[str, bool]]:
    """Yield the path below a folder of all that is no folder, and whether it is a link."""
    pending = [""]
    while pending:
        below = pending.pop()
        with os.scandir(f"{folder}/{below}") as found:
            for item in found:
                if item.is_dir(follow_symlinks=False):
                    pending.append(f"{below}{item.name}/")
                else:
                    yield below + item.name, item.is_symlink()


def _require_plain(relpaths: Iterable[str]) -> None:
    """Refuse names in manifests that lead out of the out, or that git or dvc would act on."""
    for relpath in relpaths:
        if not _NEVER.isdisjoint(relpath.split("/")):
            raise FlowError(f"a directory's manifest names '{relpath}', which is not put in place")
