"""The words of the domain as frozen values, parsed once at the border."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NewType

from dvc_branchflow.errors import ConfigError, UsageError
from dvc_branchflow.values import dataclass, field

Sha = NewType("Sha", str)
Oid = NewType("Oid", str)
Branch = NewType("Branch", str)
TagName = NewType("TagName", str)

ZERO_SHA = Sha("0" * 40)
PINS_FILE = "pins.yaml"
PARTITIONS_FILE = "partitions.yaml"
LOCK_FILE = "dvc.lock"
PIPELINE_FILE = "dvc.yaml"
CONFIG_FILE = "branchflow.yaml"
DVC_CONFIG = ".dvc/config"
CARD_FILE = "MODEL_CARD.md"
PLAN_FILE = "experiment.yaml"
POINTER_SUFFIX = ".dvc"

_SHA = re.compile(r"[0-9a-f]{40}")
_OID = re.compile(r"[0-9a-f]{32}(\.dir)?")
_MODEL = re.compile(r"[A-Za-z](?:[A-Za-z0-9_/-]*[A-Za-z0-9])?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_WHOLE = re.compile(r"(?:https?|ssh|git|file)://.|(?:[\w.-]+@)?[\w.-]{2,}:(?!//).")
_PASSWORD = re.compile(r"\w+://[^/@]*:[^/@]*@")
_HELPER = re.compile(r"[A-Za-z0-9+.-]*::")


class Role(StrEnum):
    """What a branch is for."""

    MAIN = "main"
    RAW = "raw"
    CLEAN = "clean"
    SPLIT = "split"
    DEV = "dev"
    STABLE = "stable"
    MONITOR = "monitor"
    ANALYSIS = "analysis"


APPEND_ONLY = frozenset({Role.RAW, Role.MONITOR})
PIPELINE_ROLES = frozenset({Role.CLEAN, Role.SPLIT, Role.DEV, Role.STABLE})


def parse_sha(text: str) -> Sha:
    """Return `text` as a Git object id, or raise ConfigError."""
    if not _SHA.fullmatch(text):
        raise ConfigError(f"'{text[:60]}' is not a full Git commit id")
    return Sha(text)


def parse_oid(text: str) -> Oid:
    """Return `text` as a DVC object id (md5, with `.dir` for a directory), or raise ConfigError."""
    if not _OID.fullmatch(text):
        raise ConfigError(f"'{text[:60]}' is not a DVC object id")
    return Oid(text)


def parse_path(text: str) -> str:
    """Return a path that stays inside the repository, as DVC writes it, or raise ConfigError.

    Everything that comes out of a branch is hostile: absolute paths, `..`, control characters,
    backslashes and paths into `.git` or `.dvc` are refused.
    """
    parts = text.split("/")
    bad = (
        not text
        or any(part in {"", ".", "..", ".git", ".dvc"} for part in parts)
        or _CONTROL.search(text) is not None
        or "\\" in text
    )
    if bad:
        raise ConfigError(f"path {text[:80]!r} is not a plain path inside the repository")
    return text


def parse_repository(url: str) -> str:
    """Return the URL or path of another repository, as git and DVC may be given it.

    Raises: ConfigError: what git takes for an option or for a command (`ext::sh -c …`).
    """
    host = url.partition("://")[2]
    is_option = url.startswith("-") or host.startswith("-")
    if not url.strip() or is_option or _HELPER.match(url) or _CONTROL.search(url):
        raise ConfigError(f"{url[:80]!r} is no URL of a repository")
    return url


def whole_repository(url: str) -> str:
    """Return the URL of another repository if it means the same to everybody, and tells no secret.

    Raises: ConfigError: it is none, depends on where one stands, or holds a password.
    """
    parse_repository(url)
    if not (url.startswith("/") or _WHOLE.match(url)):
        raise ConfigError(f"{url[:80]!r} is no whole URL or path of a repository")
    if _PASSWORD.match(url):
        raise ConfigError("holds a password; leave that to git's credential helpers")
    return url


def parse_model(text: str) -> str:
    """Return a model's name that GTO accepts in a tag, or raise UsageError."""
    if not _MODEL.fullmatch(text) or "//" in text:
        raise UsageError(
            f"'{text[:60]}' can't name a model: GTO wants letters, digits, '-', '_' and '/'"
        )
    return text


@dataclass(frozen=True, slots=True)
class Out:
    """A path that DVC tracks, and its content.

    Attributes:
        size_bytes, nfiles: None where the metadata leaves them out.
        repo: the URL of the repository that it is imported from, on whose DVC remotes it lies;
            None: this one.
    """

    path: str
    oid: Oid
    size_bytes: int | None = None
    nfiles: int | None = None
    remote: str | None = None
    is_exec: bool = False
    repo: str | None = None

    @property
    def is_dir(self) -> bool:
        """Whether the out is a directory, whose oid names a manifest."""
        return self.oid.endswith(".dir")


Snapshot = Mapping[str, Out]
"""What a data branch publishes at a commit: path → out."""


@dataclass(frozen=True, slots=True)
class Import:
    """What DVC keeps of an import: repository, path there, branch, and the commit of it."""

    repo: str
    path: str
    rev: Branch
    rev_lock: Sha


@dataclass(frozen=True, slots=True)
class Sample:
    """Which deterministic part of an upstream's directory outs a pin holds."""

    fraction: float
    key: str


@dataclass(frozen=True, slots=True)
class Pins:
    """The upstream commits that a branch is built on, as `pins.yaml` records them."""

    commits: Mapping[Branch, Sha] = field(default_factory=dict)
    samples: Mapping[Branch, Sample] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LockedStage:
    """What `dvc.lock` says of one run of a stage."""

    name: str
    deps: Mapping[str, Oid | None]
    params: Mapping[str, Mapping[str, Any]]
    outs: Mapping[str, Out]


class Severity(StrEnum):
    """How much a broken rule weighs: `error` refuses, `warn` is only said, `off` is not judged."""

    ERROR = "error"
    WARN = "warn"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken rule, as data.

    Attributes:
        code: the rule, as `check --explain` knows it.
        ref: what was to move: a branch's short name, or a full ref for anything else.
        commit: the commit that breaks the rule; None where it is the move of the ref itself.
        path: the file or out in question; empty where it is no single one.
        found: what was found there, to be read after the path.
        repair: what to do about it.
        author: of the commit, `Name <email>`.
        when: the commit's time in UTC, ISO 8601.
    """

    code: str
    ref: str
    found: str
    repair: str
    path: str = ""
    commit: Sha | None = None
    severity: Severity = Severity.ERROR
    author: str = ""
    when: str = ""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the judge found.

    Attributes:
        refs: the refs that were judged, branches by their short names.
        commits: how many commits were.
        violations: grouped by ref, oldest commit first.
        notes: what a reader should know besides, such as that the repository has no flow.
    """

    refs: tuple[str, ...]
    commits: int
    violations: tuple[Violation, ...]
    notes: tuple[str, ...] = ()

    @property
    def is_refused(self) -> bool:
        """Whether any violation is an error."""
        return any(found.severity is Severity.ERROR for found in self.violations)


@dataclass(frozen=True, slots=True)
class RefUpdate:
    """A ref to move from `old` (None: it does not exist) to `new`."""

    ref: str
    old: Sha | None
    new: Sha
