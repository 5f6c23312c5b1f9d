"""Rules that bind every commit, whatever branch brings it: sizes, paths, readable metadata."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from dvc_branchflow.model import Violation
from dvc_branchflow.policy.facts import Held, PathChange

MAX_GIT_BYTES = 5 * 1024 * 1024
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# What Git, or the file systems of Windows and macOS, take for the repository's own folder.
_GIT_NAMES = re.compile(r"\.git|git~\d+|\.git[ .:].*", re.IGNORECASE)
_INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff]")


def judge_paths(changed: Iterable[PathChange]) -> Iterator[Violation]:
    """Judge what a commit puts into Git. The caller fills in ref and commit."""
    for change in changed:
        if change.mode is None:
            continue
        if is_hostile(change.path):
            yield _found("hostile-path", change.path, "has a name that git or a system acts on")
        if change.size_bytes > MAX_GIT_BYTES:
            found = f"has {change.size_bytes:,} bytes; Git takes up to 5 MiB"
            yield _found("big-file-in-git", change.path, found)
        if change.is_lfs:
            yield _found("lfs-pointer", change.path, "is a Git LFS pointer")


def judge_metadata(held: Held, changed: Iterable[PathChange]) -> Iterator[Violation]:
    """Judge the metadata files that a commit changes."""
    if held.problems:
        for path in sorted(held.problems.keys() & {change.path for change in changed}):
            yield _found("bad-metadata", path, f"can't be read: {held.problems[path]}")


def is_hostile(path: str) -> bool:
    """Whether a path in Git could act on the machine of who checks it out."""
    if _CONTROL.search(path) or path.startswith("/"):
        return True
    for part in path.split("/"):
        plain = _INVISIBLE.sub("", part)
        if part in {"", ".", ".."} or _GIT_NAMES.fullmatch(plain):
            return True
    return False


def _found(code: str, path: str, found: str) -> Violation:
    return Violation(code, "", found, "", path=path)
