"""Eight bytes for an id and for a row, so that a row logged twice is told without reading rows."""

from __future__ import annotations

import hashlib
from typing import Any

from dvc_branchflow.lazy import Bools, np, pa, pc
from dvc_branchflow.values import dataclass, field

_MERGE_BELOW = 8  # blocks of this process's own rows, before they are put together
Hashes = Any
"""An array of unsigned 64-bit integers, shape (rows,)."""


def hash_texts(values: pa.Array) -> Hashes:
    """Return a hash of each text, 0 where it is missing."""
    encoded = values.dictionary_encode()
    known = [_hash_text(text) for text in encoded.dictionary.to_pylist()]
    table = np.array([*known, 0], np.uint64)
    return table[pc.fill_null(encoded.indices, len(known)).to_numpy(zero_copy_only=False)]


def hash_rows(table: pa.Table) -> Hashes:
    """Return a hash of each row; columns without a value add nothing, so that a schema may grow."""
    total = np.zeros(table.num_rows, np.uint64)
    for name in table.column_names:
        column = table[name].combine_chunks()
        column = column.chunk(0) if isinstance(column, pa.ChunkedArray) else column
        held = column.is_valid().to_numpy(zero_copy_only=False)
        mixed = _mix(_values(column) ^ np.uint64(_hash_text(name)))
        total ^= np.where(held, mixed, np.uint64(0))
    return total


def pairs(ids: Hashes, rows: Hashes) -> bytes:
    """Return hashes of ids and rows as they are stored beside a file of rows: sorted by id."""
    order = np.argsort(ids, kind="stable")
    return bytes(np.column_stack([ids[order], rows[order]]).astype("<u8").tobytes())


def repeated(ids: Hashes) -> Bools:
    """Return which rows have an id that an earlier one has; shape (rows,)."""
    found = np.ones(ids.size, bool)
    found[np.unique(ids, return_index=True)[1]] = False
    return found


@dataclass
class Known:
    """The rows that are logged already, by the hashes of their ids."""

    blocks: list[Any] = field(default_factory=list)
    _own: list[Any] = field(default_factory=list)

    def find(self, ids: Hashes, rows: Hashes) -> tuple[Bools, Bools]:
        """Return which rows are known with the same content, and which with another one."""
        same = np.zeros(ids.size, bool)
        other = np.zeros(ids.size, bool)
        for block in (*self.blocks, *self._own):
            at = np.minimum(np.searchsorted(block[:, 0], ids), len(block) - 1)
            hit = block[at, 0] == ids
            alike = block[at, 1] == rows
            same |= hit & alike
            other |= hit & ~alike
        return same, other

    def add(self, ids: Hashes, rows: Hashes) -> None:
        """Take in rows of this log; no id may be there twice."""
        if ids.size:
            self._own.append(np.frombuffer(pairs(ids, rows), "<u8").reshape(-1, 2))
        if len(self._own) > _MERGE_BELOW:
            merged = np.concatenate(self._own)
            self._own = [merged[np.argsort(merged[:, 0], kind="stable")]]


def _hash_text(text: str) -> int:
    digest = hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little") or 1


def _values(column: pa.Array) -> Hashes:
    if pa.types.is_string(column.type):
        return hash_texts(column)
    if pa.types.is_timestamp(column.type):
        return (
            pc.fill_null(column.cast(pa.int64()), 0).to_numpy(zero_copy_only=False).view(np.uint64)
        )
    numbers = pc.fill_null(column, 0.0).to_numpy(zero_copy_only=False) + 0.0  # -0.0 is 0.0
    return np.ascontiguousarray(numbers).view(np.uint64)


def _mix(values: Hashes) -> Hashes:
    """Spread bits. Source: Steele, Lea and Flood 2014, the finalizer of SplitMix64."""
    mixed = values + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))
