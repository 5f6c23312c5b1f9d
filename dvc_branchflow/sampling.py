"""Which files of a directory make up its sample: the same ones wherever and whenever asked."""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterable

from dvc_branchflow.manifest import Entry
from dvc_branchflow.model import Sample


def sampled(entries: Iterable[Entry], sample: Sample) -> list[Entry]:
    """Return a deterministic part of a directory's files.

    Each folder is sampled by itself (`train/`, `test/` …), the files with the lowest keyed hash
    of their path first, so that no folder of the sample is empty and the sample of a grown
    directory is mostly the old one.

    Args:
        entries: the manifest's files.
        sample: the fraction of each folder's files, rounded up, and the key of the hash.
    """
    folders: defaultdict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        folders[entry.relpath.rpartition("/")[0]].append(entry)
    chosen = [
        entry
        for members in folders.values()
        for entry in sorted(members, key=lambda entry: _rank(entry, sample.key))[
            : math.ceil(len(members) * sample.fraction)
        ]
    ]
    return sorted(chosen)


def _rank(entry: Entry, key: str) -> bytes:
    return hashlib.blake2b(
        entry.relpath.encode("utf-8", "surrogatepass"), key=key.encode()[:64], digest_size=16
    ).digest()
