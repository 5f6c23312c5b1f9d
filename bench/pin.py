"""Pins all branches to an upstream that moved by one file: the cost for branches and for files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.fixtures import Lab, directory, entries, pointer
from bench.measure import Bench, Case, Contender
from dvc_branchflow.git import Change, NewCommit
from dvc_branchflow.model import Sha

_PATH = "data/raw/p"
_POINTER = f"{_PATH}.dvc"
_FLOW = "branches:\n  raw: {role: raw, data: data/raw}\n  dev/*: {role: dev, from: [raw]}\n"


def cases(bench: Bench, size: Mapping[str, int]) -> Case:
    """Return the case of `branches` branches on `files` files; imports up to `dvc_up_to` files."""
    files, count = size["files"], size["branches"]
    root = bench.root / f"pin-{files}-{count}"
    with_dvc = files <= size.get("dvc_up_to", files)
    branches = [f"dev/b{place:03d}" for place in range(count)]
    ways: list[_Way] = [_Ours(bench, root / "ours", files, branches)]
    ways += [_EachByItself(bench, root / "each", files, branches)]
    ways += [_Floor(bench, root / "floor", files, branches)]
    if with_dvc:
        ways += [_Update(bench, root / "update", files, branches)]
        ways += [_UpdateNoDownload(bench, root / "nodownload", files, branches)]
    contenders = [Contender(way.name, way.act, way.prepare) for way in ways]

    def check() -> None:
        for way in ways:
            way.check()

    return Case({"files": files, "branches": count}, contenders, check)


class _Way:
    """One way to pin: its own repository, in which `raw` grows by a file before each round."""

    name = ""
    has_data = False

    def __init__(self, bench: Bench, root: Path, files: int, branches: Sequence[str]) -> None:
        self.bench = bench
        self.branches = branches
        self.listed = entries(range(files))
        self.lab = Lab.make(root, _FLOW)
        if self.has_data:
            self.lab.fill(range(files))
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


class _Update(_Way):
    """Native import stages, with the files in place."""

    name = "dvc update"
    has_data = True
    options: Sequence[str] = ()

    def lay(self) -> None:
        """Import once, and give all branches that commit."""
        git, repo = self.lab.git, self.lab.repo
        git.run("switch", "--quiet", "--create", "imported", "main", cwd=repo)
        (repo / _PATH).parent.mkdir(parents=True)
        given = (".", _PATH, "--rev", "raw", "--out", _PATH)
        self.bench.run("dvc", "import", "--quiet", *given, cwd=repo)
        self.bench.run("git", "add", "--all", cwd=repo)
        self.bench.run("git", "commit", "--quiet", "-m", "import", cwd=repo)
        self.lab.move(dict.fromkeys(self.branches, self.lab.tip("imported")))
        git.run("switch", "--quiet", self.branches[0], cwd=repo)

    def act(self, _: int) -> None:
        repo = self.lab.repo
        for branch in self.branches:
            self.bench.run("git", "switch", "--quiet", branch, cwd=repo)
            self.bench.run("dvc", "update", "--quiet", *self.options, _POINTER, cwd=repo)
            self.bench.run("git", "commit", "--quiet", "--all", "-m", "pin", cwd=repo)


class _UpdateNoDownload(_Update):
    name = "dvc update --no-download"
    options = ("--no-download",)

    def check(self) -> None:
        """It leaves the content's id out of the pointer; only the commit can be compared."""
        raw = self.lab.tip("raw")
        for branch in self.branches:
            if raw not in self.lab.git.text("show", f"{branch}:{_POINTER}"):
                raise RuntimeError(f"{self.name}: '{branch}' is not at {raw}")
