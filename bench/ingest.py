"""Appends 100 small files to a partition: what an append costs as the partition grows."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from bench.fixtures import (
    FILE_BYTES,
    Lab,
    content,
    directory,
    entries,
    name,
    pointer,
    write_inbox,
)
from bench.measure import Bench, Case, Contender
from dvc_branchflow.git import Change
from dvc_branchflow.manifest import Entry
from dvc_branchflow.metafiles import parse_pointer
from tests.support.servers import seaweedfs

NEW_FILES = 100
_PATH = "data/raw/p"
_FLOW = "branches:\n  raw: {role: raw, data: data/raw}\n"
_DIR, _PATHS = "dvc add DIR + push", "dvc add PATHS + push"
_BUCKET = "bench"
_APART = 10**6  # between the files that one way appends and those of the next


def cases(bench: Bench, size: Mapping[str, int]) -> Case:
    """Return the case of a partition of `files` files.

    `s3` 1: the DVC remote is on a server, and what can't go there is left out. `once` 1: DVC goes
    once.
    """
    files, on_server = size["files"], bool(size.get("s3"))
    root = bench.root / f"ingest-{files}-{on_server}"
    ours, plain = _Partition(root / "ours", files), _Partition(root / "dvc", files)
    plain.lab.fill(range(files))
    plain.lab.check_out("raw", {_PATH: range(files)})
    ends = ExitStack()
    if on_server:
        bench = _serve(bench, root, ends, [ours.lab, plain.lab])
    else:
        ours.lab.point(str(plain.lab.store))
    bench.run("dvc", "status", cwd=plain.lab.repo)  # after it DVC remembers what it has seen
    by_dir = partial(_add, bench, plain.lab, _DIR)
    ways = [
        _Way("ours", ours, partial(_ingest, bench, ours.lab)),
        _Way(_DIR, plain, by_dir, once=bool(size.get("once"))),
    ]
    if not on_server:
        by_paths = partial(_add, bench, plain.lab, _PATHS)
        floor = _Floor(bench, root / "floor", files)
        ways += [replace(ways[1], name=_PATHS, append=by_paths), _Way("floor", floor, floor.append)]
    contenders = [way.contender(root, files + n * _APART) for n, way in enumerate(ways)]
    if not on_server:
        contenders += _lfs(bench, root / "lfs", files)

    def check(done: Collection[str]) -> None:
        unfinished = [way.partition for way in ways if way.name not in done]
        for way in ways:
            if way.partition not in unfinished:
                way.partition.check()

    shown = {key: value for key, value in size.items() if key != "once"}
    return Case({**shown, "new_files": NEW_FILES}, contenders, check, ends.close)


class _Partition:
    """A repository with a partition, whose files are not there, and what it is to list by now."""

    def __init__(self, root: Path, files: int) -> None:
        self.lab = Lab.make(root, _FLOW)
        self.listed: list[Entry] = entries(range(files))
        out, manifest = directory(_PATH, self.listed)
        self.lab.put(out.oid, manifest)
        self.lab.move({"raw": self.lab.commit([self.lab.tip("main")], [pointer(out)])})

    def oid(self) -> str:
        """Return the manifest that stands there now."""
        body = self.lab.git.run("show", f"raw:{_PATH}.dvc").stdout
        return parse_pointer(body, f"{_PATH}.dvc")[0].oid

    def check(self) -> None:
        """Raise where it does not list what it should."""
        wanted = directory(_PATH, self.listed)[0].oid
        if self.oid() != wanted:
            raise RuntimeError(f"the manifest in {self.lab.repo} is not {wanted}")


class _Floor(_Partition):
    """The append with nothing around it; remembers the manifest that it stands at."""

    def __init__(self, bench: Bench, root: Path, files: int) -> None:
        super().__init__(root, files)
        self._bench = bench
        self._at = super().oid()

    def oid(self) -> str:
        return self._at

    def append(self, new: list[Path]) -> None:
        given = (str(new[0].parent), str(self.lab.repo), str(self.lab.store), self._at)
        self._at = self._bench.floor("ingest", *given, cwd=self.lab.repo).strip()


@dataclass(frozen=True, slots=True)
class _Way:
    name: str
    partition: _Partition
    append: Callable[[list[Path]], None]
    once: bool = False

    def contender(self, root: Path, start: int) -> Contender:
        """Append files from number `start` on."""
        inbox = root / f"inbox-{start}"

        def prepare(turn: int) -> None:
            new = range(start + turn * NEW_FILES, start + (turn + 1) * NEW_FILES)
            write_inbox(inbox / str(turn), new)
            self.partition.listed += entries(new)

        def act(turn: int) -> None:
            self.append(sorted((inbox / str(turn)).iterdir()))

        return Contender(self.name, act, prepare, once=self.once)


def _ingest(bench: Bench, lab: Lab, new: list[Path]) -> None:
    options = ("--quiet", "--source", "bench", "--partition", "p")
    bench.run("git", "branchflow", "ingest", *options, *map(str, new), cwd=lab.repo)


def _add(bench: Bench, lab: Lab, way: str, new: list[Path]) -> None:
    """Plain DVC to the same end: stored, committed, pushed to the DVC remote."""
    for path in new:
        path.rename(lab.repo / _PATH / path.name)
    named = [_PATH] if way == _DIR else [f"{_PATH}/{path.name}" for path in new]
    bench.run("dvc", "add", "--quiet", *named, cwd=lab.repo)
    bench.run("dvc", "push", "--quiet", f"{_PATH}.dvc", cwd=lab.repo)
    bench.run("git", "commit", "--quiet", "--all", "-m", "append", cwd=lab.repo)


def _serve(bench: Bench, root: Path, ends: ExitStack, labs: list[Lab]) -> Bench:
    """Start a server that holds all that the last of the repositories has in its cache."""
    server = ends.enter_context(seaweedfs(root))
    server.make_bucket(_BUCKET)
    served = replace(bench, env={**bench.env, **server.env()})
    for lab in labs:
        lab.point(f"s3://{_BUCKET}/data", server.endpoint_url)
    send = ("s5cmd", "--endpoint-url", server.endpoint_url, "--numworkers", "64", "cp")
    served.run(*send, ".dvc/cache/", f"s3://{_BUCKET}/data/", cwd=labs[-1].repo)
    return served


def _lfs(bench: Bench, root: Path, files: int) -> list[Contender]:
    """git-lfs to the same end, its store a folder as well; none where it is not installed."""
    if shutil.which("git-lfs", path=bench.env["PATH"]) is None:
        return []
    lab, origin = Lab.make(root, _FLOW), root / "origin.git"
    pointers = [Change(f"{_PATH}/{name(n)}", _lfs_pointer(n)) for n in range(files)]
    pointers.append(Change(".gitattributes", b"*.bin filter=lfs diff=lfs merge=lfs -text\n"))
    lab.move({"raw": lab.commit([lab.tip("main")], pointers)})
    bench.run("git", "init", "--quiet", "--bare", str(origin), cwd=root)
    bench.run("git", "remote", "add", "origin", f"file://{origin}", cwd=lab.repo)
    # The pointers are in place, not the files: it is the least that git-lfs can have there.
    bench.run("git", "switch", "--quiet", "raw", cwd=lab.repo)
    bench.run("git", "push", "--quiet", "origin", "raw", cwd=lab.repo)
    bench.run("git", "lfs", "install", "--local", cwd=lab.repo)

    def prepare(turn: int) -> None:
        start = files + turn * NEW_FILES
        write_inbox(root / f"inbox-{turn}", range(start, start + NEW_FILES))

    def act(turn: int) -> None:
        new = sorted((root / f"inbox-{turn}").iterdir())
        for path in new:
            path.rename(lab.repo / _PATH / path.name)
        bench.run("git", "add", "--force", *(f"{_PATH}/{path.name}" for path in new), cwd=lab.repo)
        bench.run("git", "commit", "--quiet", "-m", "append", cwd=lab.repo)
        bench.run("git", "push", "--quiet", "origin", "raw", cwd=lab.repo)

    return [Contender("git-lfs add + push", act, prepare)]


def _lfs_pointer(index: int) -> bytes:
    sha256 = hashlib.sha256(content(index)).hexdigest()
    lines = ("version https://git-lfs.github.com/spec/v1", f"oid sha256:{sha256}")
    return "\n".join((*lines, f"size {FILE_BYTES}\n")).encode()
