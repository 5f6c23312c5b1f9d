"""What a place for objects turned out to do: facts, each known or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any

from dvc_branchflow.values import dataclass, field


class Answer(StrEnum):
    """What is known. Unknown is never no."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


class Ability(StrEnum):
    """What a place is asked for, in the order in which it is shown."""

    LIST = "list"
    GET = "get"
    PUT = "put"
    CREATE = "conditional put"
    OVERWRITE = "overwrite"
    PARTS = "multipart"
    DELETE = "delete"
    FRESH = "fresh listing"
    MD5 = "md5 as checksum"
    VERSIONS = "versioning"
    OLD_VERSIONS = "delete old versions"
    UPLOADS = "list unfinished uploads"
    LOCK = "object lock"
    LIFECYCLE = "lifecycle"
    RENAME = "rename"
    HARDLINK = "hard links"
    REFLINK = "reflinks"
    FOLDERS = "write in every folder"
    SPACE = "free space"
    CLOCK = "clock"


@dataclass(frozen=True, slots=True)
class Fact:
    """What one ability turned out to be; `said`: by what, or why it is not known."""

    ability: Ability
    answer: Answer
    said: str = ""


@dataclass(frozen=True, slots=True)
class Probed:
    """What a place turned out to do.

    Attributes:
        lifecycle: the bucket's rules as the server gives them; None: not known, or no bucket.
        lock_days: for how long Object Lock keeps what is written, where nothing else is said.
        free_bytes: in a directory's file system, for this user.
        skew_seconds: how far the place's clock is ahead of this machine's.
        left: what the probe wrote and could not take away again → why.
    """

    facts: Mapping[Ability, Fact]
    lifecycle: Sequence[Mapping[str, Any]] | None = None
    lock_days: float | None = None
    free_bytes: int | None = None
    skew_seconds: float | None = None
    left: Mapping[str, str] = field(default_factory=dict)
