"""Leases: what a clone or another repository needs of a DVC remote, said on that remote itself.

`branchflow/leases/<id>.json` says who needs something and until when, and names a text file beside
it that lists the objects, one a line. A directory in the list stands for all files in its manifest.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from dvc_branchflow.errors import ConfigError
from dvc_branchflow.model import Oid
from dvc_branchflow.objects.notes import HOME, Notes
from dvc_branchflow.project import Project
from dvc_branchflow.values import asdict, dataclass
from dvc_branchflow.work.naming import Named
from dvc_branchflow.work.roots import Holder, Kind, Problem, Roots

SCHEMA = "branchflow/lease/1"
FOLDER = f"{HOME}/leases"
_OIDS = re.compile(rb"(?:[0-9a-f]{32}(?:\.dir)?\n)*")
_TEXTS = ("who", "repository", "where", "made", "until", "list", "sha256")


@dataclass(frozen=True, slots=True)
class Lease:
    """A claim on objects.

    Attributes:
        who: `Name <email>` of who made it.
        repository: the git remote's URL, or where the repository lies.
        where: the clone, `host:path`.
        made, until: ISO 8601, UTC.
        objects: how many the list names.
        list: the name of the list on the DVC remote.
        sha256: of the list's content.
    """

    who: str
    repository: str
    where: str
    made: str
    until: str
    objects: int = 0
    list: str = ""
    sha256: str = ""
    schema: str = SCHEMA

    @property
    def ends_seconds(self) -> float:
        """When it ends, in seconds since the epoch."""
        return datetime.fromisoformat(self.until).timestamp()


def write_lease(notes: Notes, lease_id: str, lease: Lease, oids: Iterable[Oid]) -> None:
    """Put a lease on a DVC remote, over the one of that id: the list first, the claim last."""
    wanted = sorted(set(oids))
    content = "".join(f"{oid}\n" for oid in wanted).encode()
    digest = hashlib.sha256(content).hexdigest()
    before = read_lease(notes, f"{FOLDER}/{lease_id}.json")
    name = f"{FOLDER}/{lease_id}/{digest[:16]}.txt"
    notes.write(name, content)
    made = {**asdict(lease), "objects": len(wanted), "list": name, "sha256": digest}
    notes.write(f"{FOLDER}/{lease_id}.json", json.dumps(made, indent=2).encode() + b"\n")
    if before and before.list != name:
        notes.remove(before.list)


def end_lease(notes: Notes, lease_id: str) -> None:
    """Take a lease back: the claim first, its list then."""
    before = read_lease(notes, f"{FOLDER}/{lease_id}.json")
    if before is not None:
        notes.remove(f"{FOLDER}/{lease_id}.json")
        notes.remove(before.list)


def read_lease(notes: Notes, name: str) -> Lease | None:
    """Return a lease, None where it is gone. Raises: ConfigError: it can't be read."""
    content = notes.read(name)
    return None if content is None else parse_lease(content, name)


def parse_lease(content: bytes, name: str) -> Lease:
    """Return the lease in a JSON document. Raises: ConfigError: it is none."""
    try:
        return _checked(json.loads(content))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ConfigError(f"'{name}' is no lease that this version knows: {error}") from error


def add_leases(
    project: Project, roots: Roots, remotes: Iterable[str], *, now: float, grace_seconds: float
) -> list[Lease]:
    """Take what the leases on DVC remotes claim into the roots; return those that have ended.

    A lease counts for the grace period after its end. One that can't be read is a problem.
    """
    ended: list[Lease] = []
    for remote in remotes:
        notes = project.notes(remote)
        for name in [note.name for note in notes.listing(FOLDER) if note.name.endswith(".json")]:
            try:
                lease = read_lease(notes, name)
                if lease is not None and lease.ends_seconds + grace_seconds < now:
                    ended.append(lease)
                elif lease is not None:
                    holder = Holder(Kind.LEASE, f"{lease.who} until {lease.until[:10]}")
                    roots.loose[holder] |= set(_claimed(notes, name, lease))
            except ConfigError as error:
                where = f"lease '{name}' on DVC remote '{remote}'"
                roots.problems.append(Problem(where, error.message, name))
    return ended


def _checked(body: Any) -> Lease:
    if body["schema"] != SCHEMA:
        raise ValueError(f"schema {body['schema']!r}")
    lease = Lease(**body)
    if not all(isinstance(getattr(lease, key), str) for key in _TEXTS):
        raise TypeError("a field is no text")
    if datetime.fromisoformat(lease.until).tzinfo is None:
        raise ValueError("'until' has no zone")
    if not lease.list.startswith(f"{FOLDER}/") or ".." in lease.list:
        raise ValueError("its list lies elsewhere")
    return lease


def _claimed(notes: Notes, name: str, lease: Lease) -> Iterator[Named]:
    content = notes.read(lease.list)
    if content is None or hashlib.sha256(content).hexdigest() != lease.sha256:
        again = read_lease(notes, name)  # it may have been made anew meanwhile
        if again is not None and again.list != lease.list:
            yield from _claimed(notes, name, again)
            return
        raise ConfigError(f"the list of '{name}' is {'away' if content is None else 'damaged'}")
    if not _OIDS.fullmatch(content):
        raise ConfigError(f"the list of '{name}' holds something else than objects")
    yield from (Named(Oid(line), lease.where) for line in content.decode().splitlines())


def utc(seconds: float) -> str:
    """Return a moment as leases and plans write it."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
