"""Remembers when objects on a DVC remote were last read and found to be what their ids say.

Local, and worth only time: deleted, everything is read again. A proof is of one copy: one that was
written anew has to be read anew.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from pathlib import Path

from dvc_branchflow.objects import Stored
from dvc_branchflow.work.parts import key
from dvc_branchflow.work.worktrees import slug

_RECORD = struct.Struct("<16s8sd")
_FOLDER = "proofs"


class Proofs:
    """The proofs of one DVC remote, in parts as objects are."""

    def __init__(self, state_dir: Path, remote: str) -> None:
        self._folder = state_dir / _FOLDER / slug(remote)
        self._part: int | None = None
        self._known: dict[bytes, tuple[bytes, float]] = {}

    def when(self, part: int, stored: Stored) -> float:
        """Return when this very copy was proven last, in seconds since the epoch; 0: never."""
        if part != self._part:
            self._load(part)
        known = self._known.get(key(stored.oid)) if self._known else None
        return known[1] if known and known[0] == _mark(stored) else 0.0

    def add(self, part: int, proven: Iterable[Stored], now: float) -> None:
        """Remember that copies are proven now."""
        if part != self._part:
            self._load(part)
        new = {key(stored.oid): (_mark(stored), now) for stored in proven}
        self._known |= new
        self._folder.mkdir(parents=True, exist_ok=True)
        with self._file(part).open("ab") as file:
            file.write(b"".join(_RECORD.pack(one, *rest) for one, rest in new.items()))

    def _load(self, part: int) -> None:
        self._part, self._known = part, {}
        try:
            content = self._file(part).read_bytes()
        except FileNotFoundError:
            return
        whole = len(content) - len(content) % _RECORD.size  # a kill may have cut the last one
        for one, mark, seconds in _RECORD.iter_unpack(content[:whole]):
            self._known[one] = (mark, seconds)
        if whole < len(content) or len(self._known) * 2 * _RECORD.size < whole:
            self._rewrite(part)

    def _rewrite(self, part: int) -> None:
        partial = self._file(part).with_suffix(".new")
        records = (_RECORD.pack(one, *rest) for one, rest in self._known.items())
        partial.write_bytes(b"".join(records))
        partial.replace(self._file(part))

    def _file(self, part: int) -> Path:
        return self._folder / f"{part:02x}"


def _mark(stored: Stored) -> bytes:
    text = f"{stored.oid} {stored.size_bytes} {stored.modified_seconds!r} {stored.etag}"
    return hashlib.blake2b(text.encode(), digest_size=8).digest()
