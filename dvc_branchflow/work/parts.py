"""Records about millions of objects, parted by the objects' ids into files that fit into memory.

What is needed and what is stored are both parted the same way; then one part after the other is
compared. The files have no name: they vanish with the process, however it ends.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from dvc_branchflow.manifest import entries, quick_ids

COUNT = 64
KEY_BYTES = 16
_FRAME = struct.Struct("<II")
_IN_MEMORY_BYTES = 1 << 18
_BOUNDS = [f"{first * 256 // COUNT:02x}" for first in range(1, COUNT)]


def key(oid: str) -> bytes:
    """Return an object's id as 16 bytes; a directory's is that of its manifest."""
    return bytes.fromhex(oid[: 2 * KEY_BYTES])


def part_of(oid: str) -> int:
    """Return the part that an object belongs to."""
    return int(oid[:2], 16) * COUNT // 256


class Parts:
    """Frames of bytes, each with a number (`tag`), in `COUNT` parts."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._files = [_scratch(folder) for _ in range(COUNT)]

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

    def close(self) -> None:
        """Give the space back."""
        for file in self._files:
            file.close()


def _scratch(folder: Path) -> IO[bytes]:
    import tempfile  # 3 ms that only storage needs

    return tempfile.SpooledTemporaryFile(_IN_MEMORY_BYTES, "w+b", dir=str(folder))


class KeyParts(Parts):
    """Ids of objects, each time with the number of what names them."""

    def add_oids(self, oids: Sequence[str], tag: int) -> None:
        """Add files' ids."""
        ordered = sorted(oids)
        ends = [bisect_left(ordered, bound) for bound in _BOUNDS] + [len(ordered)]
        start = 0
        for part, end in enumerate(ends):
            if end > start:
                self.add(part, tag, bytes.fromhex("".join(ordered[start:end])))
            start = end

    def add_manifest(self, manifest: bytes, tag: int) -> None:
        """Add all files that a directory's manifest lists.

        Raises: ConfigError: it is not what DVC writes; nothing is passed over.
        """
        ids = quick_ids(manifest)
        self.add_oids([entry.oid for entry in entries(manifest)] if ids is None else ids, tag)

    def keys(self, part: int) -> Iterator[tuple[bytes, int]]:
        """Yield each id of a part with its number, as often as it was added."""
        for tag, content in self.frames(part):
            for start in range(0, len(content), KEY_BYTES):
                yield content[start : start + KEY_BYTES], tag
