"""How Git's objects read: trees, commits, tags, and what `diff-tree` prints of two trees."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from dvc_branchflow.errors import GitError
from dvc_branchflow.lazy import hashlib
from dvc_branchflow.model import Sha
from dvc_branchflow.values import dataclass

FILE_MODE = "100644"
EXECUTABLE_MODE = "100755"
LINK_MODE = "120000"
MODULE_MODE = "160000"
TREE_MODE = "40000"
NO_MODE = "000000"
EMPTY_TREE = Sha("4b825dc642cb6eb9a060e54bf8d69288fbee4904")
_LINE_COUNTS = re.compile(
    rb"([0-9a-f]{40}) ([0-9a-f]{40})\n|(\d+|-)\t(\d+|-)\t([^\0]+)\0"
)  # the header of a pair, or a path of it


class Entry(NamedTuple):
    """What a Git tree holds at a path."""

    mode: str
    sha: Sha


class TreeChange(NamedTuple):
    """A path at which two trees differ; `old` or `new` is None where one has nothing there."""

    path: str
    old: Entry | None
    new: Entry | None


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit's own fields; `seconds` is the committer's time since the epoch."""

    sha: Sha
    tree: Sha
    parents: tuple[Sha, ...]
    author: str
    seconds: int
    message: str

    def trailers(self, key: str) -> list[str]:
        """Return the values of a trailer in the message's last paragraph."""
        return _trailers(self.message, key)


@dataclass(frozen=True, slots=True)
class Tag:
    """An annotated tag object: the name inside it, what it points at, who made it and why."""

    name: str
    target: Sha
    target_kind: str
    tagger: str = ""
    message: str = ""

    def trailers(self, key: str) -> list[str]:
        """Return the values of a trailer in the message's last paragraph."""
        return _trailers(self.message, key)


def utc_text(seconds: int) -> str:
    """Return a time of Git's as ISO 8601 in UTC; what no calendar has, as the epoch."""
    from datetime import UTC, datetime  # 1 ms

    try:
        moment = datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, ValueError, OSError):
        moment = datetime.fromtimestamp(0, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def blob_id(content: bytes) -> Sha:
    """Return the id that Git gives to a file's content."""
    head = b"blob %d\0" % len(content)
    return Sha(hashlib.sha1(head + content, usedforsecurity=False).hexdigest())


def parse_tree(body: bytes) -> dict[str, Entry]:
    """Return what a tree object holds: name → entry."""
    entries: dict[str, Entry] = {}
    position = 0
    while position < len(body):
        space = body.index(b" ", position)
        end = body.index(b"\0", space)
        name = body[space + 1 : end].decode(errors="surrogateescape")
        entries[name] = Entry(body[position:space].decode(), Sha(body[end + 1 : end + 21].hex()))
        position = end + 21
    return entries


def parse_commit(sha: Sha, body: bytes) -> Commit:
    """Return a commit object's fields. Raises: GitError: it is none."""
    fields, parents, message = _head(body)
    if "tree" not in fields or "committer" not in fields:
        raise GitError(f"Git object {sha} is no commit")
    seconds = re.search(r"> (\d{1,11}) [-+]\d+$", fields["committer"])
    author = fields.get("author", "").rpartition(">")[0] + ">"
    at = int(seconds[1]) if seconds else 0
    return Commit(sha, Sha(fields["tree"]), parents, author, at, message)


def parse_tag(body: bytes) -> Tag:
    """Return a tag object's fields."""
    fields, _, message = _head(body)
    tagger = fields.get("tagger", "").rpartition(">")[0] + ">"
    target = Sha(fields.get("object", ""))
    return Tag(fields.get("tag", ""), target, fields.get("type", ""), tagger, message)


def parse_tree_diffs(output: bytes) -> Iterator[tuple[Sha, Sha, list[TreeChange]]]:
    """Yield what `git diff-tree --stdin -r -z --raw` prints of pairs of trees."""
    position = 0
    while position < len(output):
        end = output.index(b"\n", position)
        old, new = output[position:end].decode().split(" ")
        position = end + 1
        changes: list[TreeChange] = []
        while output[position : position + 1] == b":":
            middle = output.index(b"\0", position)
            end = output.index(b"\0", middle + 1)
            fields = output[position + 1 : middle].decode().split(" ")
            path = output[middle + 1 : end].decode(errors="surrogateescape")
            changes.append(
                TreeChange(path, _side(fields[0], fields[2]), _side(fields[1], fields[3]))
            )
            position = end + 1
        yield Sha(old), Sha(new), changes


def parse_line_counts(output: bytes) -> dict[tuple[Sha, Sha], dict[str, tuple[int, int]]]:
    """Return what `git diff-tree --stdin -r -z --numstat` prints of pairs of trees.

    For each pair, path → lines added and lines removed; none of a binary file.
    """
    found: dict[tuple[Sha, Sha], dict[str, tuple[int, int]]] = {}
    counts: dict[str, tuple[int, int]] = {}
    for old, new, added, removed, path in _LINE_COUNTS.findall(output):
        if old:
            counts = found.setdefault((Sha(old.decode()), Sha(new.decode())), {})
        else:
            name = path.decode(errors="surrogateescape")
            counts[name] = (0, 0) if added == b"-" else (int(added), int(removed))
    return found


def _trailers(message: str, key: str) -> list[str]:
    """The values of a trailer in the last paragraph, which is not the title."""
    _, blank, last = message.rstrip().rpartition("\n\n")
    if not blank:
        return []
    found = re.findall(rf"^{re.escape(key)}: *(.+)$", last, re.MULTILINE | re.IGNORECASE)
    return [str(value).strip() for value in found]


def _side(mode: str, sha: str) -> Entry | None:
    return None if mode == NO_MODE else Entry(mode, Sha(sha))


def _head(body: bytes) -> tuple[dict[str, str], tuple[Sha, ...], str]:
    head, _, message = body.decode(errors="surrogateescape").partition("\n\n")
    fields: dict[str, str] = {}
    parents: list[Sha] = []
    for line in head.splitlines():
        key, _, value = line.partition(" ")
        if key == "parent":
            parents.append(Sha(value))
        elif key and key not in fields:
            fields[key] = value
    return fields, tuple(parents), message
