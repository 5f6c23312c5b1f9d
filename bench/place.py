"""Puts a branch's files in place, a hundred of them other ones than before."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path

from bench.fixtures import Lab, directory, entries, pointer
from bench.measure import Bench, Case, Contender
from dvc_branchflow.manifest import Entry

_PATH = "data/raw/p"
_FLOW = "branches:\n  raw: {role: raw, data: data/raw}\n"
_CHANGED = 100
_BRANCHES = ("raw", "other")  # the second one has no role


def cases(bench: Bench, size: Mapping[str, int]) -> Case:
    """Return the case of `files` files on two branches."""
    files = size["files"]
    root = bench.root / f"place-{files}"
    ours, theirs = (_lab(root / who, files) for who in ("ours", "dvc"))
    for lab in (ours, theirs):
        bench.run("git", "switch", "-q", "raw", cwd=lab.repo)
        bench.run("dvc", "checkout", "-q", cwd=lab.repo)
        bench.run("dvc", "status", cwd=lab.repo)

    def to(turn: int) -> str:
        return _BRANCHES[(turn + 1) % len(_BRANCHES)]

    def switch(turn: int) -> None:
        bench.run("git", "branchflow", "switch", "-q", to(turn), cwd=ours.repo)

    def checkout(turn: int) -> None:
        bench.run("git", "switch", "-q", to(turn), cwd=theirs.repo)
        bench.run("dvc", "checkout", "-q", cwd=theirs.repo)

    def floor(_: int) -> None:
        bench.floor("place", str(ours.repo / _PATH), str(ours.repo / ".dvc"), cwd=ours.repo)

    def status_of(lab: Lab) -> None:
        if "up to date" not in bench.run("dvc", "status", cwd=lab.repo):
            raise RuntimeError("the data are not in place")

    def same(_: Collection[str]) -> None:
        held = [sorted(_read(lab.repo / _PATH)) for lab in (ours, theirs)]
        if held[0] != held[1]:
            raise RuntimeError("the results differ")

    contenders = [
        Contender("ours", switch),
        Contender("git switch + dvc checkout", checkout),
        Contender("floor: look at all, link 100", floor),
        Contender("dvc status after ours", lambda _: status_of(ours)),
        Contender("dvc status after dvc checkout", lambda _: status_of(theirs)),
    ]
    return Case({"files": files, "changed": _CHANGED}, contenders, same, in_order=True)


def _lab(root: Path, files: int) -> Lab:
    lab = Lab.make(root, _FLOW)
    lab.fill(range(files + _CHANGED))
    other = entries(range(files, files + _CHANGED))
    first = entries(range(files))
    second = [Entry(e.relpath, other[n].oid) if n < _CHANGED else e for n, e in enumerate(first)]
    tip = lab.tip("main")
    for branch, listed in zip(_BRANCHES, (first, second), strict=True):
        out, manifest = directory(_PATH, listed)
        lab.put(out.oid, manifest)
        tip = lab.commit([tip], [pointer(out)])
        lab.move({branch: tip})
    return lab


def _read(folder: Path) -> list[tuple[str, bytes]]:
    return [(item.name, Path(item.path).read_bytes()) for item in os.scandir(folder)]
