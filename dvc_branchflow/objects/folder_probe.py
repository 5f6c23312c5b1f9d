"""Finds out what a user may do in a directory, or behind one of DVC's file systems."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Final

from dvc_branchflow.objects.asking import FOLDER, Asking, NotSoError, is_stale, new_key, verdict
from dvc_branchflow.objects.base import PREFIX
from dvc_branchflow.objects.filesystem import FileSystem, files_below, modified_seconds
from dvc_branchflow.objects.links import reflink
from dvc_branchflow.probed import Ability, Probed

_ONE, _TWO = b"a probe of branchflow\n", b"a probe of branchflow, again\n"
_READ = 20  # objects that are opened
_GROUP_SHARES = stat.S_ISGID | stat.S_IWGRP

_COMMON: Final[Mapping[Ability, str]] = {
    Ability.LIST: f"list '{PREFIX}'",
    Ability.GET: f"read up to {_READ} objects, and what was written",
    Ability.PUT: f"write a small file below '{FOLDER}'",
    Ability.OVERWRITE: "write over it, and read it",
    Ability.RENAME: "rename it",
    Ability.DELETE: "delete what was written",
}
_DIRECTORY: Final[Mapping[Ability, str]] = {
    **_COMMON,
    Ability.HARDLINK: "make a hard link to it",
    Ability.REFLINK: "make a reflink to it",
    Ability.FOLDERS: f"look at the modes of the folders below '{PREFIX}'",
    Ability.SPACE: "ask the file system for its free space",
    Ability.CLOCK: "compare the time of what was written with this machine's",
}


class DirectoryProbe:
    """A directory to be tried out."""

    steps = _DIRECTORY

    def __init__(self, root: Path) -> None:
        self._root = root
        self._asking = Asking(_DIRECTORY)
        self._free: int | None = None
        self._skew: float | None = None
        self._left: dict[str, str] = {}

    def run(self) -> Probed:
        """Try everything, and take away what that left, and what a killed probe did."""
        ask = self._asking
        if not self._root.is_dir():
            return Probed(ask.facts(f"no directory '{self._root}'"))
        ask.ask(Ability.LIST, self._list)
        ask.ask(Ability.FOLDERS, self._ask_folders)
        ask.ask(Ability.SPACE, self._ask_space)
        path = self._root / new_key()
        try:
            self._write(path)
        finally:
            self._tidy(path)
        return Probed(ask.facts(), None, None, self._free, self._skew, self._left)

    def _list(self) -> str:
        return "" if any(self._objects()) else f"nothing lies below '{PREFIX}'"

    def _folders(self) -> Iterator[os.DirEntry[str]]:
        with suppress(FileNotFoundError), os.scandir(self._root / PREFIX) as entries:
            yield from (entry for entry in entries if entry.is_dir())

    def _objects(self) -> Iterator[Path]:
        """One object of each folder."""
        for folder in self._folders():
            with os.scandir(folder) as entries:
                found = next((entry for entry in entries if entry.is_file()), None)
            if found:
                yield Path(found.path)

    def _write(self, path: Path) -> None:
        ask = self._asking
        began = time.time()
        is_put = ask.ask(Ability.PUT, lambda: _create(path))
        ended = time.time()
        ask.ask(Ability.GET, lambda: self._read(path if is_put else None))
        if not is_put:
            return
        moved = path.with_name(f"{path.name}-moved")
        ask.ask(Ability.CLOCK, lambda: self._compare_clocks(path, began, ended))
        ask.ask(Ability.OVERWRITE, lambda: _overwrite(path))
        ask.ask(Ability.HARDLINK, lambda: os.link(path, f"{path}-link"))
        ask.ask(Ability.REFLINK, lambda: reflink(str(path), f"{path}-clone"))
        ask.ask(Ability.RENAME, lambda: os.rename(path, moved))
        ask.ask(Ability.DELETE, lambda: _delete(moved if moved.exists() else path))

    def _read(self, path: Path | None) -> str:
        count = 0
        for item in islice(self._objects(), _READ):
            count += 1
            with item.open("rb") as file:
                file.read(1)
        if path and path.read_bytes() != _ONE:
            raise NotSoError("what was just written reads otherwise")
        if not (count or path):
            raise RuntimeError("there is nothing to read")
        return "" if count else f"nothing to read below '{PREFIX}'"

    def _ask_folders(self) -> str:
        """Whether this user may write in every folder; and for whom new ones are."""
        closed = [
            folder.name for folder in self._folders() if not os.access(folder, os.W_OK | os.X_OK)
        ]
        if closed:
            more = f" and {len(closed) - 1} more" if len(closed) > 1 else ""
            raise NotSoError(f"'{PREFIX}/{closed[0]}'{more} can't be written by this user")
        mode = self._root.stat().st_mode
        is_shared = mode & _GROUP_SHARES == _GROUP_SHARES
        whose = "the group's" if is_shared else "for who makes them"
        return f"mode {stat.S_IMODE(mode):04o}, new folders are {whose}"

    def _ask_space(self) -> str:
        found = os.statvfs(self._root)
        self._free = found.f_bavail * found.f_frsize
        if found.f_files and not found.f_favail:
            raise NotSoError("no inode is free")
        return f"{self._free / 1024**3:.1f} GiB"

    def _compare_clocks(self, path: Path, began: float, ended: float) -> str:
        stamp = path.stat().st_mtime
        self._skew = stamp - ended if stamp > ended + 1 else min(stamp - began + 1, 0.0)
        return f"{self._skew:+.0f} s"

    def _tidy(self, path: Path) -> None:
        """Delete what this probe made, and what a killed one left; folders only where empty."""
        folder = self._root / FOLDER
        with suppress(OSError):
            for item in list(folder.iterdir()):
                is_mine = item.name.startswith(path.name)
                name = f"{FOLDER}/{item.name}"
                if is_mine or is_stale(name, item.lstat().st_mtime):
                    try:
                        item.unlink(missing_ok=True)
                    except OSError as error:
                        self._left[name] = verdict(error)[1]
            folder.rmdir()
            folder.parent.rmdir()


class FileSystemProbe:
    """One of DVC's file systems to be tried out."""

    steps = _COMMON

    def __init__(self, place: FileSystem) -> None:
        self._place = place
        self._fs = place.fs.fs
        self._asking = Asking(_COMMON)
        self._left: dict[str, str] = {}

    def run(self) -> Probed:
        """Try everything, and take away what that left, and what a killed probe did."""
        ask = self._asking
        if not ask.ask(Ability.LIST, self._list) and not ask.is_known(Ability.LIST):
            return Probed(ask.facts(ask.facts()[Ability.LIST].said))
        path = f"{self._place.root}/{new_key()}"
        try:
            self._write(path)
        finally:
            self._tidy(path)
        return Probed(ask.facts(), left=self._left)

    def _list(self) -> None:
        if not self._place.can_list:
            raise NotSoError("it is of a kind that can't be listed")
        self._place.require_home("it")
        next(files_below(self._place.fs, f"{self._place.root}/{PREFIX}"), None)

    def _write(self, path: str) -> None:
        ask = self._asking
        is_put = ask.ask(Ability.PUT, lambda: self._put(path, _ONE))
        ask.ask(Ability.GET, lambda: self._read(path if is_put else None, _ONE))
        if not is_put:
            return
        ask.ask(Ability.OVERWRITE, lambda: self._overwrite(path))
        moved = f"{path}-moved"
        is_moved = ask.ask(Ability.RENAME, lambda: self._place.move(path, moved))
        ask.ask(Ability.DELETE, lambda: self._delete(moved if is_moved else path))

    def _put(self, path: str, content: bytes) -> None:
        self._fs.makedirs(path.rpartition("/")[0], exist_ok=True)
        self._fs.pipe_file(path, content)

    def _read(self, path: str | None, wanted: bytes) -> None:
        found: str | None = path
        if found is None:
            below = files_below(self._place.fs, f"{self._place.root}/{PREFIX}")
            found = next((name for name, _ in below), None)
        if found is None:
            raise RuntimeError("there is nothing to read")
        content = self._fs.cat_file(found) if path else self._fs.cat_file(found, 0, 1)
        if path and bytes(content) != wanted:
            raise NotSoError("what was just written reads otherwise")

    def _overwrite(self, path: str) -> None:
        self._put(path, _TWO)
        self._fs.invalidate_cache()
        self._read(path, _TWO)

    def _delete(self, path: str) -> None:
        self._fs.rm_file(path)
        if self._place.entry(path):
            raise NotSoError("what was deleted is still there")

    def _tidy(self, path: str) -> None:
        if not self._asking.says(Ability.LIST):
            return
        root = f"{self._place.root}/"
        with suppress(OSError):
            for name, entry in list(files_below(self._place.fs, f"{root}{FOLDER}")):
                key = name.removeprefix(root)
                if name.startswith(path) or is_stale(key, modified_seconds(entry)):
                    try:
                        self._fs.rm_file(name)
                    except OSError as error:
                        self._left[key] = verdict(error)[1]


def _create(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_ONE)


def _overwrite(path: Path) -> None:
    partial = path.with_name(f"{path.name}-new")
    partial.write_bytes(_TWO)
    os.replace(partial, path)
    if path.read_bytes() != _TWO:
        raise NotSoError("the old content is read after an overwrite")


def _delete(path: Path) -> None:
    path.unlink()
    if path.exists():
        raise NotSoError("what was deleted is still there")
