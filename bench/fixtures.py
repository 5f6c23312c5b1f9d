"""Builds repositories by writing objects and commits directly: DVC would take minutes for it."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from dvc_branchflow.git import Change, Git, NewCommit, init_repository
from dvc_branchflow.manifest import Entry, manifest_oid, render
from dvc_branchflow.metafiles import pointer_path, render_pointer
from dvc_branchflow.model import Branch, Oid, Out, RefUpdate, Sha
from dvc_branchflow.objects import object_key

FILE_BYTES = 4096
_READ_ONLY = 0o444


def content(index: int) -> bytes:
    """Return the 4 KiB of file `index`: different for each, the same in each run."""
    line = f"{index:012d}:".encode()
    return (line * (FILE_BYTES // len(line) + 1))[:FILE_BYTES]


def name(index: int) -> str:
    """Return the name of file `index`."""
    return f"f{index:08d}.bin"


@cache
def oid(index: int) -> Oid:
    """Return the oid of file `index`."""
    return Oid(hashlib.md5(content(index)).hexdigest())


def entries(indexes: Iterable[int]) -> list[Entry]:
    """Return the manifest entries of files."""
    return [Entry(name(index), oid(index)) for index in indexes]


def directory(path: str, listed: Sequence[Entry]) -> tuple[Out, bytes]:
    """Return a directory out of 4 KiB files, and its manifest."""
    manifest = render(listed)
    size = len(listed) * FILE_BYTES
    return Out(path, manifest_oid(manifest), size, len(listed)), manifest


def pointer(out: Out) -> Change:
    """Return the `.dvc` file of an out, to be committed."""
    return Change(pointer_path(out.path), render_pointer(out))


def write_inbox(folder: Path, indexes: Sequence[int]) -> list[Path]:
    """Write new files to a folder, as they would come in."""
    folder.mkdir(parents=True)
    paths = [folder / name(index) for index in indexes]
    for index, path in zip(indexes, paths, strict=True):
        _write(str(path), content(index), 0o644)
    return paths


def fan_out(root: Path) -> None:
    """Make the folders of a cache or DVC remote, all that `object_key` may name."""
    for number in range(256):
        (root / object_key(Oid(f"{number:032x}"[::-1]))).parent.mkdir(parents=True, exist_ok=True)


def _write(path: str, body: bytes, mode: int) -> None:
    """Write a new file; pathlib takes twice as long."""
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    try:
        os.write(handle, body)
    finally:
        os.close(handle)


@dataclass(frozen=True, slots=True)
class Lab:
    """A repository with a DVC remote beside it, and the gate to its Git."""

    repo: Path
    store: Path
    git: Git

    @classmethod
    def make(cls, root: Path, flow: str, shared: Mapping[str, str] | None = None) -> Lab:
        """Make a repository whose `main` holds the flow's config, and check `main` out."""
        repo, store = root / "repo", root / "store"
        repo.mkdir(parents=True)
        store.mkdir()
        init_repository(repo, Branch("main"))
        lab = cls(repo, store, Git.discover(repo))
        files = {
            ".dvc/config": f"[core]\n    remote = store\n['remote \"store\"']\n    url = {store}\n",
            ".dvc/.gitignore": "/config.local\n/tmp\n/cache\n",
            ".dvcignore": "",
            ".gitignore": "/data/raw/p\n/data/split\n/model.bin\n",
            "branchflow.yaml": flow,
            **(shared or {}),
        }
        changes = [Change(path, text.encode()) for path, text in files.items()]
        lab.move({"main": lab.commit([], changes)})
        lab.git.run("reset", "--quiet", "--hard", cwd=repo)
        return lab

    def commit(self, parents: Sequence[Sha], changes: Sequence[Change]) -> Sha:
        """Write one commit; no ref moves."""
        return self.git.write_commits([NewCommit(parents, "bench\n", changes)])[0]

    def move(self, branches: Mapping[str, Sha]) -> None:
        """Point branches at commits."""
        old = self.git.refs().direct
        updates = []
        for branch, sha in branches.items():
            ref = branch if branch.startswith("refs/") else f"refs/heads/{branch}"
            updates.append(RefUpdate(ref, old[ref].sha if ref in old else None, sha))
        self.git.update_refs(updates, "bench")

    def tip(self, branch: str) -> Sha:
        """Return where a branch stands."""
        return self.git.resolve(f"refs/heads/{branch}")

    def point(self, url: str, endpoint_url: str | None = None) -> None:
        """Let the DVC remote be another one."""
        lines = ["['remote \"store\"']", f"url = {url}"]
        lines += [f"endpointurl = {endpoint_url}"] if endpoint_url else []
        (self.repo / ".dvc/config.local").write_text("\n".join(lines) + "\n")

    def put(self, oid: Oid, body: bytes) -> None:
        """Put an object into the cache and on the DVC remote (a hard link: no contender writes)."""
        cached = self.repo / ".dvc/cache" / object_key(oid)
        stored = self.store / object_key(oid)
        if cached.exists():
            return
        for path in (cached, stored):
            path.parent.mkdir(parents=True, exist_ok=True)
        cached.write_bytes(body)
        cached.chmod(_READ_ONLY)
        os.link(cached, stored)

    def fill(self, indexes: Iterable[int]) -> None:
        """Put the files themselves into the cache and on the DVC remote."""
        cached, stored = self.repo / ".dvc/cache", self.store
        fan_out(cached)
        fan_out(stored)
        for index in indexes:
            key = object_key(oid(index))
            with suppress(FileExistsError):
                _write(f"{cached}/{key}", content(index), _READ_ONLY)
                os.link(f"{cached}/{key}", f"{stored}/{key}")

    def check_out(self, branch: str, data: Mapping[str, Sequence[int]]) -> None:
        """Check a branch out, with the files of its directories in place."""
        self.git.run("switch", "--quiet", branch, cwd=self.repo)
        for path, indexes in data.items():
            write_inbox(self.repo / path, indexes)
