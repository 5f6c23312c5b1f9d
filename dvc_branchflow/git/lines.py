"""Counts and merges the lines of files in Git objects, with nothing checked out."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

from dvc_branchflow.errors import GitError
from dvc_branchflow.git import Git
from dvc_branchflow.gitobjects import parse_line_counts
from dvc_branchflow.model import Sha

_MOST_CONFLICTS = 127
"""What `git merge-file` ends with at most; above is a failure."""


def line_changes(
    git: Git, pairs: Iterable[tuple[Sha, Sha]]
) -> dict[tuple[Sha, Sha], dict[str, tuple[int, int]]]:
    """Return the paths at which pairs of trees differ, with lines added and lines removed.

    All pairs in one process; a binary file counts no line.
    """
    wanted = {pair: "" for pair in pairs if pair[0] != pair[1]}
    if not wanted:
        return {}
    script = "".join(f"{old} {new}\n" for old, new in wanted).encode()
    layout = ("-r", "-z", "--numstat", "--no-renames", "--no-ext-diff", "--no-textconv")
    return parse_line_counts(git.run("diff-tree", "--stdin", *layout, data=script).stdout)


def merged(git: Git, base: bytes, ours: bytes, theirs: bytes) -> bytes | None:
    """Return what Git makes of two changes to the same text; None where they are in conflict.

    Raises: GitError: one of them is no text.
    """
    with tempfile.TemporaryDirectory(prefix="branchflow-") as folder:
        names = {"ours": ours, "base": base, "theirs": theirs}
        for name, content in names.items():
            Path(folder, name).write_bytes(content)
        done = git.run("merge-file", "-p", "-q", *names, cwd=Path(folder), check=False)
    if done.returncode > _MOST_CONFLICTS:
        raise GitError("git merge-file failed: a param file is no text")
    return done.stdout if done.returncode == 0 else None
