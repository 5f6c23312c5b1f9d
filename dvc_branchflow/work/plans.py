"""Plans of what is to go, as files: a header, a line for each copy, and a digest over both.

A plan is only a proposal. Who applies it checks each line again, and takes no more than it lists.
Writing a new one takes away those that were applied to their end or that nobody applied in a month.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from dvc_branchflow.errors import ConfigError, UsageError
from dvc_branchflow.model import Oid
from dvc_branchflow.objects import Stored
from dvc_branchflow.values import asdict, dataclass, replace

SCHEMA = "branchflow/plan/1"
_NEW_PLAN = "git branchflow storage gc  # makes a new one"
_END = "sha256 "
FOLDER = "plans"
_OLD_SECONDS = 30 * 86_400
_STALE_SECONDS = 86_400  # a plan takes no longer to be written
Kind = Literal["gc", "empty-trash"]
_LINE = re.compile(r"(\d+) ([0-9a-f]{12}|-) ([0-9a-f]{32}(?:\.dir)?) (\d+) (\S+) (-|\S+) (-|\S+)")


@dataclass(frozen=True, slots=True)
class Group:
    """Copies that may go for the same reason.

    Attributes:
        branch, path: for which they once were; empty where nobody knows.
        why: why they may go.
    """

    remote: str
    branch: str
    path: str
    why: str
    objects: int
    size_bytes: int


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to go.

    Attributes:
        run: the start of the digest; what was set aside by it can be brought back by it.
        made: ISO 8601, UTC. grace_seconds: what came since then stays.
        remotes: name → URL.
        lost: ids of what could not be read and was given up.
        young: copies that nothing needs and that are within the grace period, and their bytes.
        notes: what else a reader should know, such as leases that have ended.
    """

    kind: Kind
    file: str
    digest: str
    made: str
    grace_seconds: float
    remotes: Mapping[str, str]
    lost: tuple[str, ...]
    objects: int
    size_bytes: int
    groups: tuple[Group, ...]
    young: tuple[int, int] = (0, 0)
    notes: tuple[str, ...] = ()

    @property
    def run(self) -> str:
        """What the plan is called."""
        return self.digest[:12]


@dataclass(frozen=True, slots=True)
class Line:
    """A copy that is to go; `run` is the batch in the trash that it lies in."""

    remote: str
    stored: Stored
    run: str = ""


class PlanWriter:
    """Writes a plan line by line, and sums its lines up."""

    def __init__(self, folder: Path, kind: Kind, remotes: Mapping[str, str]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        _tidy(folder)
        self._folder = folder
        self._kind: Kind = kind
        self._remotes = dict(remotes)
        self._numbers = {name: number for number, name in enumerate(remotes)}
        self._sums: dict[tuple[str, str, str, str], list[int]] = {}
        self._partial = folder / f".{kind}-{os.urandom(6).hex()}"
        self._lines = self._partial.open("w+b")

    def add(self, line: Line, *, branch: str = "", path: str = "", why: str) -> None:
        """Write a line, and why it stands there."""
        stored = line.stored
        number = self._numbers[line.remote]
        self._lines.write(
            f"{number} {line.run or '-'} {stored.oid} {stored.size_bytes} "
            f"{stored.modified_seconds!r} {stored.etag or '-'} {stored.version or '-'}\n".encode()
        )
        sums = self._sums.setdefault((line.remote, branch, path, why), [0, 0])
        sums[0] += 1
        sums[1] += stored.size_bytes

    def finish(
        self,
        *,
        made: str,
        grace_seconds: float,
        lost: Iterable[str],
        young: tuple[int, int],
        notes: Iterable[str],
    ) -> Plan:
        """Write the header and the digest, and give the file its name."""
        groups = [Group(*key, *sums) for key, sums in self._sums.items()]
        groups.sort(key=lambda one: (-one.size_bytes, one.remote, one.branch, one.path))
        plan = Plan(
            kind=self._kind, file="", digest="", made=made, grace_seconds=grace_seconds,
            remotes=self._remotes, lost=tuple(lost), young=young, notes=tuple(notes),
            objects=sum(group.objects for group in groups),
            size_bytes=sum(group.size_bytes for group in groups), groups=tuple(groups),
        )  # fmt: skip
        whole = self._partial.with_suffix(".whole")
        digest = hashlib.sha256()
        try:
            with self._lines, whole.open("wb") as file:
                self._lines.seek(0)
                for piece in itertools.chain([_header(plan)], self._lines):
                    digest.update(piece)
                    file.write(piece)
                file.write(f"sha256 {digest.hexdigest()}\n".encode())
            name = self._folder / f"{self._kind}-{digest.hexdigest()[:12]}.plan"
            whole.replace(name)
            _done(name).unlink(missing_ok=True)
        finally:
            self._partial.unlink(missing_ok=True)
            whole.unlink(missing_ok=True)
        return replace(plan, file=str(name), digest=digest.hexdigest())


def show_plan(state_dir: Path, named: str) -> Plan:
    """Return a plan without its lines. Raises: UsageError: there is none of that name."""
    return read_plan(find_plan(state_dir / FOLDER, named))[0]


def find_plan(folder: Path, text: str) -> Path:
    """Return the plan's file that was named by its path, or by the start of its digest.

    Raises: UsageError: there is none, or more than one.
    """
    if Path(text).is_file():
        return Path(text)
    found = sorted(folder.glob(f"*-{text}*.plan")) if re.fullmatch(r"[0-9a-f]+", text) else []
    if len(found) != 1:
        raise UsageError(f"'{text[:200]}' is no plan: neither a file nor the start of a digest")
    return found[0]


def close_plan(folder: Path, plan: Plan) -> None:
    """Note that a plan was applied to its end, where it is one of ours and not a user's copy."""
    ours = folder / Path(plan.file).name
    if ours.exists() and ours.samefile(plan.file):
        _done(ours).touch()


def _done(plan: Path) -> Path:
    return plan.with_name(f"{plan.name}.done")


def _tidy(folder: Path) -> None:
    """Take away plans that are of no use any more, if they are whole and so ours."""
    now = time.time()
    for path in folder.glob("*.plan"):
        with suppress(ConfigError, ValueError, FileNotFoundError):
            made = datetime.fromisoformat(read_plan(path)[0].made).timestamp()
            if _done(path).exists() or made < now - _OLD_SECONDS:
                path.unlink()
                _done(path).unlink(missing_ok=True)
    for path in folder.glob(".*-*"):  # what a kill left half written
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < now - _STALE_SECONDS:
                path.unlink()


def read_plan(path: Path) -> tuple[Plan, Iterator[Line]]:
    """Return a plan and its lines.

    Raises: ConfigError: it is none, or not as it was written.
    """
    with path.open("rb") as file:
        digest = hashlib.sha256()
        last = b""
        for piece in file:
            digest.update(last)
            last = piece
    if last != f"sha256 {digest.hexdigest()}\n".encode():
        raise ConfigError(
            f"plan '{path}' is not as it was written",
            hint=_NEW_PLAN,
        )
    with path.open("rb") as file:
        plan = _parsed(file.readline(), path, digest.hexdigest())
    return plan, _lines(path, list(plan.remotes))


def _header(plan: Plan) -> bytes:
    body = {"schema": SCHEMA, **asdict(plan)}
    return json.dumps(body, ensure_ascii=False).encode("utf-8", "surrogateescape") + b"\n"


def _parsed(content: bytes, path: Path, digest: str) -> Plan:
    try:
        body: Any = json.loads(content.decode("utf-8", "surrogateescape"))
        if body.pop("schema") != SCHEMA:
            raise ConfigError(
                f"plan '{path}' is of another version",
                hint=_NEW_PLAN,
            )
        body |= {
            "groups": tuple(Group(**group) for group in body["groups"]),
            "lost": tuple(body["lost"]), "young": tuple(body["young"]),
            "notes": tuple(body["notes"]), "file": str(path), "digest": digest,
        }  # fmt: skip
        return Plan(**body)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ConfigError(f"plan '{path}' can't be read: {error}") from error


def _lines(path: Path, remotes: list[str]) -> Iterator[Line]:
    with path.open("rb") as file:
        file.readline()
        for line in file:
            text = line.decode().rstrip("\n")
            if text.startswith(_END):
                return
            match = _LINE.fullmatch(text)
            if match is None:
                raise ConfigError(f"plan '{path}' has a line that is none", hint=_NEW_PLAN)
            number, run, oid, size, modified, etag, version = match.groups()
            stored = Stored(Oid(oid), int(size), float(modified), _said(etag), _said(version))
            yield Line(remotes[int(number)], stored, "" if run == "-" else run)


def _said(text: str) -> str | None:
    return None if text == "-" else text
