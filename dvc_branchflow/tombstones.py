"""Tombstones: plain files that say which objects were erased, why, by whom, and what they touched.

One lies on the tracking branch, where everybody reads it, and on each branch whose own outs were
changed by it, in the very commit that changes them. It names the outs that held an object, never
a file below one: a name may say as much about somebody as the file did.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from dvc_branchflow.errors import ConfigError
from dvc_branchflow.lazy import hashlib
from dvc_branchflow.model import Oid
from dvc_branchflow.typed import decode, encode
from dvc_branchflow.values import dataclass

SCHEMA = "branchflow/tombstone/1"
FOLDER = "tombstones"
_PATH = re.compile(rf"{FOLDER}/([0-9a-f]{{12}})\.json")
_MD5 = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True)
class Tombstone:
    """Objects that were erased together.

    Attributes:
        when: ISO 8601, UTC. who: `Name <email>`.
        objects: md5 of each file → the outs that held it.
        releases: tags of the releases that were made from them.
        refused: records of refused candidates that were.
        splits: `BRANCH@COMMIT` of the splits that were.
        predictions: monitor branches that hold what such releases said.
    """

    reason: str
    who: str
    when: str
    objects: Mapping[str, Sequence[str]]
    releases: Sequence[str] = ()
    refused: Sequence[str] = ()
    splits: Sequence[str] = ()
    predictions: Sequence[str] = ()
    schema: str = SCHEMA

    @property
    def id(self) -> str:
        """What it is called: the same for the same objects, however often they are erased."""
        return erasure_id(self.objects)

    @property
    def path(self) -> str:
        """Where it lies on a branch."""
        return f"{FOLDER}/{self.id}.json"

    @property
    def oids(self) -> frozenset[Oid]:
        """The objects."""
        return frozenset(map(Oid, self.objects))


def erasure_id(oids: Iterable[str]) -> str:
    """Return what the erasure of these objects is called."""
    return hashlib.sha256("\n".join(sorted(oids)).encode()).hexdigest()[:12]


def is_tombstone(path: str) -> bool:
    """Whether a file at `path` is a tombstone."""
    return _PATH.fullmatch(path) is not None


def render_tombstone(tombstone: Tombstone) -> bytes:
    """Return the file."""
    return encode(tombstone)


def parse_tombstone(data: bytes, path: str) -> Tombstone:
    """Return what a tombstone says.

    Raises: ConfigError: it is none, gives no reason, or does not lie where it belongs.
    """
    found = decode(Tombstone, data, path)
    if found.schema != SCHEMA:
        raise ConfigError(f"'{path}' is no tombstone: schema {found.schema[:60]!r}")
    if not found.objects or not all(map(_MD5.fullmatch, found.objects)):
        raise ConfigError(f"'{path}' is no tombstone: it has to name objects by their md5")
    if not found.reason.strip():
        raise ConfigError(f"'{path}' is no tombstone: it gives no reason")
    if found.path != path:
        raise ConfigError(f"'{path}' is no tombstone: that of these objects is '{found.path}'")
    return found
