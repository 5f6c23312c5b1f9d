"""Decides what a sample is where the data are folders: a file."""

from __future__ import annotations

import csv
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import datetime
from hashlib import file_digest
from pathlib import Path
from typing import Any, NamedTuple

from src.rule import Refused, moment

GROUPS = Path("groups.csv")


class File(NamedTuple):
    """A file, its path below the side or partition, and its content's md5."""

    source: Path
    path: str
    md5: str


class Tree:
    """The files of a partition, as `params.yaml` reads their paths."""

    def __init__(self, params: dict[str, Any]) -> None:
        self.split = params["split"]
        self.by_content = self.split.get("id") == "content"
        if self.split.get("id", "path") not in {"path", "content"}:
            raise Refused(f"split.id is {self.split['id']!r}: it can be 'path' or 'content'")
        self.listed = read_groups(GROUPS)
        self.has_groups = bool(self.listed or self.split.get("group"))

    @staticmethod
    def read(folder: Path) -> Iterator[File]:
        """Yield all files below a folder, in order."""
        for top, folders, names in os.walk(folder):
            folders.sort()
            for name in sorted(names):
                source = Path(top, name)
                with source.open("rb") as handle:
                    md5 = file_digest(handle, "md5").hexdigest()
                yield File(source, source.relative_to(folder).as_posix(), md5)

    def group(self, file: File) -> list[str]:
        """Return what files that stay together have in common. Raises: Refused: nothing found."""
        if file.path in self.listed:
            return [self.listed[file.path]]
        if pattern := self.split.get("group"):
            if found := caught(pattern, "group", file.path):
                return found
            raise Refused(f"split.group finds no group in '{file.path}'")
        if self.listed:
            raise Refused(f"{GROUPS} names no group for '{file.path}'")
        return [file.md5 if self.by_content else file.path]

    def identity(self, file: File) -> list[Any]:
        """Return id and content: what the certificate covers."""
        return [file.md5 if self.by_content else file.path, file.md5]

    def time(self, file: File) -> datetime | None:
        """Return the date in the path. Raises: Refused: there is none."""
        if not (declared := self.split.get("time")):
            return None
        found = caught(declared["pattern"], "time", file.path) or []
        try:
            return moment("-".join(found), declared.get("format", ""))
        except ValueError as error:
            raise Refused(f"split.time.pattern finds no time in '{file.path}'") from error

    def stratum(self, file: File) -> str:
        """Return what the file counts as in the report."""
        return "/".join(caught(self.split["strata"], "stratum", file.path) or ["(none)"])

    @staticmethod
    def name(file: File) -> str:
        """Return how reports call the file."""
        return file.path

    @staticmethod
    def place(file: File) -> str:
        """Return where the file lies on its side."""
        return file.path

    @staticmethod
    def fingerprint(file: File) -> str:
        """Return what stands for the content, in 32 hex digits."""
        return file.md5

    @staticmethod
    def text(file: File) -> str:
        """Return the text that is compared with others."""
        return file.source.read_text(encoding="utf-8", errors="replace")

    @staticmethod
    def picture(file: File) -> Path:
        """Return the image that is compared with others."""
        return file.source

    @staticmethod
    def layout(out: Path) -> Links:
        """Return what writes the split."""
        return Links(out)


class Links(AbstractContextManager["Links"]):
    """The files of a partition: hard links where possible, as the bytes are there already."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __exit__(self, *failure: object) -> None:
        """Nothing is open."""

    def write(self, side: str, _shard: int, file: File) -> None:
        """Lay a file on its side."""
        target = self.folder / side / file.path
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            os.link(os.path.realpath(file.source), target)
        except OSError:  # another file system, one without links, too many of them
            shutil.copyfile(file.source, target)

    def close_side(self, side: str) -> None:
        """A side without files is no folder."""


def caught(pattern: str, name: str, path: str) -> list[str] | None:
    """Return what a pattern finds: the group of this name, or all groups, or all that matches."""
    found = re.search(pattern, path)
    if not found:
        return None
    if name in found.groupdict():
        return [found[name]]
    return [part or "" for part in found.groups()] or [found[0]]


def read_groups(path: Path) -> dict[str, str]:
    """Return path → group from a table with the header `group,path`."""
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8", newline="") as handle:
        return {row["path"]: row["group"] for row in csv.DictReader(handle)}
