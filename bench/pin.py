"""Pins branches to an upstream that moved by one file: what a branch costs as files grow."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from bench.fixtures import Lab, directory, entries, pointer, write_inbox
from bench.measure import Bench, Case, Contender
from dvc_branchflow.git import Change, NewCommit
from dvc_branchflow.model import Sha

_PATH = "data/raw/p"
_POINTER = f"{_PATH}.dvc"
_FLOW = "branches:\n  raw: {role: raw, data: data/raw}\n  dev/*: {role: dev, from: [raw]}\n"
# As `dvc import . data/raw/p --rev raw` writes it.
_IMPORT = """\
frozen: true
deps:
- path: {path}
  repo:
    url: .
    rev: raw
    rev_lock: {sha}
outs:
- md5: {out.oid}
  size: {out.size_bytes}
  nfiles: {out.nfiles}
  hash: md5
  path: {name}
"""


def cases(bench: Bench, size: Mapping[str, int]) -> Case:
    """Return the case of `branches` branches on `files` files; DVC moves one of them, once."""
    files, count = size["files"], size["branches"]
    root = bench.root / f"pin-{files}-{count}"
    branches = [f"dev/b{place:03d}" for place in range(count)]
    ways = [
        _Ours(bench, root / "ours", files, branches),
        _EachByItself(bench, root / "each", files, branches),
        _Floor(bench, root / "floor", files, branches),
        _Update(bench, root / "update", files, branches[:1]),
        _UpdateNoDownload(bench, root / "nodownload", files, branches[:1]),
    ]
    contenders = [
        Contender(way.name, way.act, way.prepare, once=way.is_dvc, jobs=len(way.branches))
        for way in ways
    ]

    def check(done: Collection[str]) -> None:
        for way in ways:
            if way.name in done:
                way.check()

    return Case({"files": files, "branches": count}, contenders, check)


class _Way:
    """One way to pin: its own repository, in which `raw` grows by a file before each round."""

    name = ""
    is_dvc = False

    def __init__(self, bench: Bench, root: Path, files: int, branches: Sequence[str]) -> None:
        self.bench = bench
        self.branches = branches
        self.listed = entries(range(files))
        self.lab = Lab.make(root, _FLOW)
        self._grow([self.lab.tip("main")])
        self.lay()

    def lay(self) -> None:
        """Lay the branches, all pinned to where `raw` is."""
        raw = self.lab.tip("raw")
        pins = Change("pins.yaml", f"raw: {raw}\n".encode())
        entry = self.lab.git.files(raw)[_POINTER]
        changes = [pins, Change(_POINTER, entry=entry)]
        parents = [self.lab.tip("main"), raw]
        new = [NewCommit(parents, f"{branch}\n", changes) for branch in self.branches]
        self.lab.move(dict(zip(self.branches, self.lab.git.write_commits(new), strict=True)))

    def prepare(self, _: int) -> None:
        """Move `raw` by one file."""
        index = len(self.listed)
        self.listed += entries([index])
        self.lab.fill([index])
        self._grow([self.lab.tip("raw")])

    def act(self, turn: int) -> None:
        """Pin all branches to it."""
        raise NotImplementedError

    def check(self) -> None:
        """Raise where a branch does not hold what `raw` publishes."""
        wanted = directory(_PATH, self.listed)[0].oid
        for branch in self.branches:
            if wanted not in self.lab.git.text("show", f"{branch}:{_POINTER}"):
                raise RuntimeError(f"{self.name}: '{branch}' is not at {wanted}")

    def _grow(self, parents: Sequence[Sha]) -> None:
        out, manifest = directory(_PATH, self.listed)
        self.lab.put(out.oid, manifest)
        self.lab.move({"raw": self.lab.commit(parents, [pointer(out)])})


class _Ours(_Way):
    name = "ours"

    def act(self, _: int) -> None:
        self.bench.run("git", "branchflow", "pin", "--quiet", "dev/*", cwd=self.lab.repo)


class _EachByItself(_Way):
    name = "ours, a command each"

    def act(self, _: int) -> None:
        for branch in self.branches:
            self.bench.run("git", "branchflow", "pin", "--quiet", branch, cwd=self.lab.repo)


class _Floor(_Way):
    name = "floor"

    def act(self, _: int) -> None:
        given = (str(self.lab.repo), "raw", _POINTER, *self.branches)
        self.bench.floor("pin", *given, cwd=self.lab.repo)


class _UpdateNoDownload(_Way):
    """A native import stage: only the commit in it moves."""

    name = "dvc update --no-download"
    is_dvc = True
    options: Sequence[str] = ("--no-download",)

    def lay(self) -> None:
        """Lay the import on a branch, and check it out."""
        out, _ = directory(_PATH, self.listed)
        file = _PATH.rpartition("/")[2]
        text = _IMPORT.format(path=_PATH, sha=self.lab.tip("raw"), out=out, name=file)
        tip = self.lab.commit([self.lab.tip("main")], [Change(_POINTER, text.encode())])
        self.lab.move(dict.fromkeys(self.branches, tip))
        self.lab.git.run("switch", "--quiet", self.branches[0], cwd=self.lab.repo)

    def act(self, _: int) -> None:
        repo = self.lab.repo
        self.bench.run("dvc", "update", "--quiet", *self.options, _POINTER, cwd=repo)
        self.bench.run("git", "commit", "--quiet", "--all", "-m", "pin", cwd=repo)

    def check(self) -> None:
        """It leaves the content's id out of the pointer; only the commit can be compared."""
        raw = self.lab.tip("raw")
        for branch in self.branches:
            if raw not in self.lab.git.text("show", f"{branch}:{_POINTER}"):
                raise RuntimeError(f"{self.name}: '{branch}' is not at {raw}")


class _Update(_UpdateNoDownload):
    """The same with its files in place before and after, as DVC has left and seen them."""

    name = "dvc update"
    options = ()

    def lay(self) -> None:
        super().lay()
        files = range(len(self.listed))
        self.lab.fill(files)
        write_inbox(self.lab.repo / _PATH, files)
        self.bench.run("dvc", "status", cwd=self.lab.repo)

    def check(self) -> None:
        _Way.check(self)
