"""Reads many small documents out of Git in one batch: bounded, and what can't be read apart."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TypeVar

from dvc_branchflow.errors import ConfigError
from dvc_branchflow.git import Git
from dvc_branchflow.gitobjects import EXECUTABLE_MODE, FILE_MODE, Entry
from dvc_branchflow.model import Sha
from dvc_branchflow.project import Project

MAX_DOCUMENT_BYTES = 1024 * 1024
_T = TypeVar("_T")
Parse = Callable[[bytes, str], _T | None]
"""Makes a value of a document's bytes and the name of where it lies; None: it is none of ours."""


def on_tracking(project: Project, layout: re.Pattern[str]) -> dict[str, Entry]:
    """Return the files on the tracking branch whose paths match."""
    files = project.git.files(project.tracking.sha)
    return {path: entry for path, entry in files.items() if layout.fullmatch(path)}


def read_files(
    git: Git, wanted: Mapping[str, Entry], parse: Parse[_T], what: str
) -> tuple[list[_T], list[ConfigError]]:
    """Return the documents in files by path, and what is wrong with the others.

    Args:
        what: what they are, for errors: `run record`.
    """
    plain = {p: e.sha for p, e in wanted.items() if e.mode in {FILE_MODE, EXECUTABLE_MODE}}
    found, unreadable = read_objects(git, plain, parse, what)
    odd = (f"'{path}' is no {what}: no plain file" for path in sorted(wanted.keys() - plain))
    return found, [*unreadable, *map(ConfigError, odd)]


def read_objects(
    git: Git, wanted: Mapping[str, Sha], parse: Parse[_T], what: str
) -> tuple[list[_T], list[ConfigError]]:
    """Like `read_files`, for objects by a name of any kind."""
    sizes = git.sizes(wanted.values())
    blobs = git.read_blobs(sha for sha, size in sizes.items() if size <= MAX_DOCUMENT_BYTES)
    found: list[_T] = []
    unreadable: list[ConfigError] = []
    for where, sha in wanted.items():
        if sha not in blobs:
            unreadable.append(too_large(where, what, sizes[sha]))
            continue
        try:
            document = parse(blobs[sha], where)
        except ConfigError as error:
            unreadable.append(error)
        else:
            found += [] if document is None else [document]
    return found, unreadable


def too_large(where: str, what: str, size_bytes: int) -> ConfigError:
    """Return the error of a document that is larger than it may be."""
    return ConfigError(f"'{where}' is no {what}: it has {size_bytes:,} bytes")
