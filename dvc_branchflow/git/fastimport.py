"""Says in `git fast-import`'s language which commits to write."""

from __future__ import annotations

from collections.abc import Sequence

from dvc_branchflow.gitobjects import FILE_MODE, Entry
from dvc_branchflow.model import Sha
from dvc_branchflow.values import dataclass


@dataclass(frozen=True, slots=True)
class Change:
    """One path of a commit to write: new content, an object that exists, or (neither) removal."""

    path: str
    content: bytes | None = None
    entry: Entry | None = None
    mode: str = FILE_MODE


@dataclass(frozen=True, slots=True)
class NewCommit:
    """A commit to write: the first parent's tree (or `tree`) with `changes` on top.

    A parent may be the index of an earlier commit of the same batch.
    """

    parents: Sequence[Sha | int]
    message: str
    changes: Sequence[Change]
    tree: Sha | None = None


def import_commit(mark: int, commit: NewCommit, ref: str, idents: Sequence[str]) -> bytes:
    """Return the lines that write one commit, whose tree starts from its first parent's.

    Args:
        mark: its index in the batch; a parent that is a number names an earlier one.
        ref: a temporary name that all of the batch go through.
        idents: author and committer, with times, as `git var` prints them.
    """
    author, committer = idents
    message = commit.message.encode("utf-8", "surrogateescape")
    # Each commit starts from nothing; without the reset, one without parents would follow the last.
    parts = [
        f"reset {ref}\ncommit {ref}\nmark :{mark + 1}\nauthor {author}\ncommitter {committer}\n"
    ]
    parts.append(f"data {len(message)}\n")
    lines = ["".join(parts).encode("utf-8", "surrogateescape"), message, b"\n"]
    for place, parent in enumerate(commit.parents):
        name = f":{parent + 1}" if isinstance(parent, int) else parent
        lines.append(f"{'merge' if place else 'from'} {name}\n".encode())
    if commit.tree is not None:
        lines.append(f'M 040000 {commit.tree} ""\n'.encode())
    lines += [_import_change(change) for change in commit.changes]
    return b"".join([*lines, b"\n"])


def _import_change(change: Change) -> bytes:
    path = _quote(change.path)
    if change.entry is not None:
        return f"M {change.entry.mode} {change.entry.sha} ".encode() + path + b"\n"
    if change.content is None:
        return b"D " + path + b"\n"
    head = f"M {change.mode} inline ".encode() + path
    return head + f"\ndata {len(change.content)}\n".encode() + change.content + b"\n"


def _quote(path: str) -> bytes:
    raw = path.encode("utf-8", "surrogateescape")
    body = b"".join(
        bytes([byte]) if 32 < byte < 127 and byte not in b'"\\' else b"\\%03o" % byte  # noqa: PLR2004
        for byte in raw
    )
    return b'"' + body + b'"'
