"""Entry lists of directories (`.dir` objects) as DVC writes them, changed in place as bytes.

A manifest is one line of JSON: `[{"md5": "…", "relpath": "…"}, …]`, sorted by relpath. Inside a
JSON string a quote is always escaped, so the opening `{"md5": "` can only be an entry's start;
that lets us search and splice a million entries without making objects of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import NamedTuple

from dvc_branchflow.errors import ConfigError
from dvc_branchflow.lazy import hashlib
from dvc_branchflow.model import Oid

EMPTY = b"[]"
_STEP = 1 << 16
_OPEN = b'{"md5": "'
_NAME = b'", "relpath": "'
_KEY = b'"relpath"'  # inside a name its quotes would be escaped
_ID_BYTES = 32
_FEW = 16  # ids that are looked for one by one in less time than the entries take to be parted
_NAMED_BYTES = _ID_BYTES + len(_NAME)
_HEX = re.compile(r"[0-9a-f]*")
_ENTRY_TEXT = (
    r'\{"md5": "([0-9a-f]{32})", "relpath": ("[^"\\\x00-\x1f]*(?:\\.[^"\\\x00-\x1f]*)*")\}'
)
_ENTRY = re.compile(_ENTRY_TEXT.encode())
_NEXT = b", " + _OPEN
_BESIDE_NAME = len('{"md5": "", "relpath": }') + _ID_BYTES


class Entry(NamedTuple):
    """A file in a manifest: path below the directory, with `/`, and its oid."""

    relpath: str
    oid: Oid


def manifest_oid(manifest: bytes) -> Oid:
    """Return the oid of a directory that has this manifest."""
    return Oid(hashlib.md5(manifest, usedforsecurity=False).hexdigest() + ".dir")


def render(entries: Iterable[Entry]) -> bytes:
    """Return the manifest of `entries`, byte for byte as DVC writes it."""
    listed = [{"md5": entry.oid, "relpath": entry.relpath} for entry in sorted(entries)]
    return json.dumps(listed, sort_keys=True).encode()


def entries(manifest: bytes) -> Iterator[Entry]:
    """Yield a manifest's entries in its order.

    Raises: ConfigError: the bytes are not what DVC writes; no entry is silently passed over.
    """
    if manifest == EMPTY:
        return
    if manifest[:1] != b"[" or manifest[-1:] != b"]":
        raise _damaged()
    start, end = 1, len(manifest) - 1
    while start < end:
        stop = manifest.find(_NEXT, start + _STEP)
        stop = end if stop < 0 else stop
        yield from _parsed(manifest[start:stop])
        start = stop + len(b", ")


def is_as_written(manifest: bytes) -> bool:
    """Whether DVC would write these very bytes: names in order, each once, escaped as it does.

    Raises: ConfigError: they are no manifest at all.
    """
    last = ""
    for entry in entries(manifest):
        if entry.relpath <= last:
            return False
        last = entry.relpath
    if b"\\" not in manifest and b"\x7f" not in manifest and manifest.isascii():
        return True  # then nothing is escaped, nor should be
    return manifest == render(entries(manifest))


def lookup(manifest: bytes, relpath: str) -> Oid | None:
    """Return the oid of one file in a manifest, or None; reads some 20 entries of a million."""
    start = _insertion_point(manifest, relpath)
    match = _ENTRY.match(manifest, start)
    if match is None or _relpath(match[2]) != relpath:
        return None
    return Oid(match[1].decode())


def has_below(manifest: bytes, folder: str) -> bool:
    """Whether a manifest lists files below a folder."""
    match = _ENTRY.match(manifest, _insertion_point(manifest, f"{folder}/"))
    return match is not None and _relpath(match[2]).startswith(f"{folder}/")


def splice(manifest: bytes, additions: Mapping[str, Oid]) -> bytes:
    """Return the manifest with files added; all that stood in it stays, byte for byte.

    Args:
        additions: relpath → oid; none of them may be in the manifest already.
    """
    ordered = sorted(additions.items())
    if manifest == EMPTY:
        return render(Entry(relpath, oid) for relpath, oid in ordered)
    pieces: list[bytes] = []
    position = 0
    end = len(manifest) - 1
    for relpath, oid in ordered:
        start = _insertion_point(manifest, relpath)
        text = json.dumps({"md5": oid, "relpath": relpath}).encode()
        if start < end:
            pieces += (manifest[position:start], text, b", ")
        else:
            pieces += (manifest[position:end], b", ", text)
            start = end
        position = start
    pieces.append(manifest[position:])
    return b"".join(pieces)


def added(old: bytes, new: bytes) -> list[Entry]:
    """Return the entries of `new` that `old` does not have in the same place.

    Where `new` is `old` with entries put in, that costs little more than comparing the two.
    """
    inserted = _insertions(old, new)
    if inserted is not None:
        return inserted
    before = set(_pieces(old))
    grown = b"[" + b", ".join(_OPEN + piece for piece in _pieces(new) if piece not in before) + b"]"
    return list(entries(grown))


def oids(manifest: bytes) -> set[Oid]:
    """Return the oids of a manifest's files, without reading their names."""
    return {Oid(piece[:32].decode()) for piece in _pieces(manifest)}


def without(manifest: bytes, gone: Collection[Oid]) -> bytes:
    """Return the manifest without files of these contents; all else stays, byte for byte."""
    ids = {oid.encode() for oid in gone}
    if len(ids) <= _FEW and not any(one in manifest for one in ids):
        return manifest
    pieces = _pieces(manifest)
    kept = [piece for piece in pieces if piece[:_ID_BYTES] not in ids]
    if len(kept) == len(pieces):
        return manifest
    return b"[" + b", ".join(_OPEN + piece for piece in kept) + b"]"


def quick_ids(manifest: bytes) -> str | None:
    """Return the files' ids as often as they stand there, one after the other, 32 letters each.

    None: the bytes are not laid out as DVC does it today, and `entries` has to judge them.
    """
    pieces = _pieces(manifest)
    if manifest[:1] != b"[" or manifest[-1:] != b"]" or manifest.count(_KEY) != len(pieces):
        return None
    if not {piece[_ID_BYTES:_NAMED_BYTES] for piece in pieces} <= {_NAME}:
        return None
    ids = b"".join([piece[:_ID_BYTES] for piece in pieces]).decode(errors="replace")
    return ids if _HEX.fullmatch(ids) else None


def _insertions(old: bytes, new: bytes) -> list[Entry] | None:
    """The entries that were put into `old` to make `new`; None where more than that happened."""
    if old == EMPTY:
        return list(entries(new))
    found: list[Entry] = []
    at_old = at_new = 1
    while True:
        equal = _equal_bytes(old, at_old, new, at_new)
        at_old, at_new = at_old + equal, at_new + equal
        if at_old == len(old) and at_new == len(new):
            return found
        start = new.rfind(_OPEN, 1, at_new + len(_OPEN))
        at_old, at_new = at_old - (at_new - start), start
        ours, theirs = _ENTRY.match(new, at_new), _ENTRY.match(old, at_old)
        if start < 0 or ours is None or theirs is None:
            return None
        if ours[0] == theirs[0]:  # the old list ends here
            is_end = old[theirs.end() :] == b"]" and new[ours.end() :][:2] == b", "
            tail = b"[" + new[ours.end() + 2 :]
            return [*found, *entries(tail)] if is_end else None
        found.append(Entry(_relpath(ours[2]), Oid(ours[1].decode())))
        if new[ours.end() : ours.end() + 2] != b", ":
            return None
        at_new = ours.end() + 2


def _equal_bytes(one: bytes, at_one: int, two: bytes, at_two: int) -> int:
    """How many bytes are the same from two places on."""
    most = min(len(one) - at_one, len(two) - at_two)
    done, step, is_narrowing = 0, _STEP, False
    while done < most:
        size = min(step, most - done)
        first, second = at_one + done, at_two + done
        if one[first : first + size] == two[second : second + size]:
            done += size
            step = step if is_narrowing else 2 * step
        elif size == 1:
            return done
        else:
            step, is_narrowing = size // 2, True
    return done


def _parsed(part: bytes) -> list[Entry]:
    """The entries in a part of a manifest, as long as they are with `, ` between each two.

    With as many openings after a comma as that takes, nothing else can stand there.
    """
    try:
        text = part.decode()
    except ValueError as error:
        raise _damaged() from error
    found = re.findall(_ENTRY_TEXT, text)
    n_commas = len(found) - 1
    known = sum(len(name) for _, name in found) + len(found) * _BESIDE_NAME + 2 * n_commas
    if known != len(text) or part.count(_NEXT) != n_commas or text[:1] != "{":
        raise _damaged()
    return [Entry(_unquoted(name) if "\\" in name else name[1:-1], Oid(oid)) for oid, name in found]


def _pieces(manifest: bytes) -> list[bytes]:
    """The entries as raw bytes without their opening; a million of them in a tenth of a second."""
    return manifest[1:-1].removeprefix(_OPEN).split(b", " + _OPEN) if manifest != EMPTY else []


def _insertion_point(manifest: bytes, relpath: str) -> int:
    """Offset of the first entry whose relpath is >= `relpath`, or of the closing bracket."""
    low, high = 1, len(manifest) - 1
    while low < high:
        middle = (low + high) // 2
        start = manifest.rfind(_OPEN, low, middle + len(_OPEN))
        if start < 0:
            start = low
        match = _ENTRY.match(manifest, start)
        if match is None:
            raise _damaged()
        if _relpath(match[2]) < relpath:
            low = min(match.end() + 2, len(manifest) - 1)
        else:
            high = start
    return low


def _relpath(text: bytes) -> str:
    try:
        # Most names have nothing escaped, and JSON costs 5 µs for each.
        return _unquoted(text) if b"\\" in text else text[1:-1].decode()
    except ValueError as error:
        raise _damaged() from error


def _unquoted(text: str | bytes) -> str:
    try:
        return str(json.loads(text))
    except ValueError as error:
        raise _damaged() from error


def _damaged() -> ConfigError:
    return ConfigError("a directory's manifest is not what DVC writes")
