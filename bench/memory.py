"""The most memory that a verb takes where one directory lists many files; none of them is there."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from bench.fixtures import FILE_BYTES, Lab, pointer, write_inbox
from bench.measure import Bench, Case, Contender
from dvc_branchflow.git import Change
from dvc_branchflow.manifest import manifest_oid
from dvc_branchflow.model import Out

_FLOW = """\
branches:
  raw: {role: raw, data: data/raw}
  split: {role: split, data: data/split, from: [raw]}
"""
_NEW_FILES = 100


def cases(bench: Bench, size: Mapping[str, int]) -> Case:
    """Return the case of two directories of `entries` files each."""
    count = size["entries"]
    root = bench.root / f"memory-{count}"
    lab = _lab(root, count)
    inbox = root / "inbox"

    def verb(*words: str) -> Contender:
        command = ("git-branchflow", *words)
        name = " ".join(words[:1] if words[0] in {"pin", "status"} else words[:2])
        return Contender(name, lambda _: bench.peak_mib(*command, cwd=lab.repo))

    def prepare(turn: int) -> None:
        start = 10**7 * (turn + 1)
        write_inbox(inbox / str(turn), range(start, start + _NEW_FILES))

    def ingest(turn: int) -> float:
        options = ("--source", "bench", "--partition", "p")
        paths = [str(path) for path in sorted((inbox / str(turn)).iterdir())]
        return bench.peak_mib("git-branchflow", "ingest", *options, *paths, cwd=lab.repo)

    contenders = [
        Contender("ingest 100 files", ingest, prepare),
        verb("pin", "split"),
        verb("check", "raw"),
        verb("check", "split"),
        verb("status"),
        verb("storage", "verify"),
    ]
    return Case({"entries": count}, contenders, unit="mib", in_order=True)


def _lab(root: Path, count: int) -> Lab:
    lab = Lab.make(root, _FLOW)
    outs = []
    for path in ("data/raw/p", "data/split/train"):
        body = _manifest(path, count)
        outs.append(Out(path, manifest_oid(body), count * FILE_BYTES, count))
        lab.put(outs[-1].oid, body)
    raw = lab.commit([lab.tip("main")], [pointer(outs[0])])
    lab.move({"raw": raw})
    pins = Change("pins.yaml", f"raw: {raw}\n".encode())
    split = lab.commit([lab.tip("main"), raw], [*map(pointer, outs), pins])
    lab.move({"split": split})
    return lab


def _manifest(path: str, count: int) -> bytes:
    """As `render` makes it, without a million objects of Python's."""
    listed = (
        f'{{"md5": "{hashlib.md5(f"{path}{n}".encode()).hexdigest()}", "relpath": "f{n:08d}.bin"}}'
        for n in range(count)
    )
    return f"[{', '.join(listed)}]".encode()
