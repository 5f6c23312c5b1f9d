"""Records about millions of objects, parted by the objects' ids into files that fit into memory.

What is needed and what is stored are both parted the same way; then one part after the other is
compared. The files have no name: they vanish with the process, however it ends.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from dvc_branchflow.manifest import entries, quick_ids

COUNT = 64
KEY_BYTES = 16
_FRAME = struct.Struct("<II")
_KEY = struct.Struct(f"<{KEY_BYTES}sI")
_NUMBER = struct.Struct("<I")
_KEYS_AT_ONCE = 4096
_KEYS_WAITING = 1 << 16
_IN_MEMORY_BYTES = 1 << 18


def key(oid: str) -> bytes:
    """Return an object's id as 16 bytes; a directory's is that of its manifest."""
    return bytes.fromhex(oid[: 2 * KEY_BYTES])


def part_of(oid: str) -> int:
    """Return the part that an object belongs to."""
    return int(oid[:2], 16) * COUNT // 256


class _Files:
    """A file without a name for each part."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._files = [_scratch(folder) for _ in range(COUNT)]

    def close(self) -> None:
        """Give the space back."""
        for file in self._files:
            file.close()


class Parts(_Files):
    """Frames of bytes, each with a number (`tag`), in `COUNT` parts."""

    def add(self, part: int, tag: int, content: bytes) -> None:
        """Append a frame to a part."""
        self._files[part].write(_FRAME.pack(tag, len(content)) + content)

    def frames(self, part: int) -> Iterator[tuple[int, bytes]]:
        """Yield a part's frames in the order in which they came."""
        file = self._files[part]
        file.seek(0)
        while head := file.read(_FRAME.size):
            tag, size = _FRAME.unpack(head)
            yield tag, file.read(size)


def _scratch(folder: Path) -> IO[bytes]:
    import tempfile  # 3 ms that only storage needs

    return tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES, "w+b", dir=str(folder))


class KeyParts(_Files):
    """Ids of objects, each time with the number of what names them, in `COUNT` parts."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._waiting: list[list[bytes]] = [[] for _ in range(COUNT)]
        self._number = 0

    def add_oids(self, oids: Iterable[str], tag: int) -> None:
        """Add files' ids."""
        self._add("".join(oids), tag)

    def add_manifest(self, manifest: bytes, tag: int) -> None:
        """Add all files that a directory's manifest lists.

        Raises: ConfigError: it is not what DVC writes; nothing is passed over.
        """
        ids = quick_ids(manifest)
        self._add("".join(entry.oid for entry in entries(manifest)) if ids is None else ids, tag)

    def keys(self, part: int) -> Iterator[tuple[bytes, int]]:
        """Yield each id of a part with its number, as often as it was added."""
        self._write()
        file = self._files[part]
        file.seek(0)
        while content := file.read(_KEY.size * _KEYS_AT_ONCE):
            yield from _KEY.iter_unpack(content)

    def _add(self, ids: str, tag: int) -> None:
        content = bytes.fromhex(ids)
        number = _NUMBER.pack(tag)
        for start in range(0, len(content), KEY_BYTES):
            one = content[start : start + KEY_BYTES]
            self._waiting[one[0] * COUNT // 256].append(one + number)
            self._number += 1
            if self._number == _KEYS_WAITING:
                self._write()

    def _write(self) -> None:
        for file, waiting in zip(self._files, self._waiting, strict=True):
            if waiting:
                file.seek(0, os.SEEK_END)
                file.write(b"".join(waiting))
                waiting.clear()
        self._number = 0
