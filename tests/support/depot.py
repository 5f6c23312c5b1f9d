"""A small team whose data is made by hand: objects, pointers and commits without a DVC run.

Everything is what DVC itself would have written, so that plain `dvc pull` reads it.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.repos import Shell, bare_origin, clone

FLOW = """\
branches:
  main:
  raw: {role: raw, data: data/raw}
  dev/*: {role: dev, from: []}
  stable/*: {role: stable, code: "dev/{}", from: []}
"""
_CONFIG = "[core]\n    remote = store\n"
_REMOTE = "['remote \"{name}\"']\n    url = ../../{name}\n"


@dataclass
class Depot:
    """An origin, a clone (`sh`), and DVC remotes that are folders beside it."""

    base: Path
    sh: Shell
    remotes: tuple[str, ...] = ("store",)
    _count: Iterator[int] = field(default_factory=itertools.count)

    @property
    def repo(self) -> Path:
        return self.sh.cwd

    @property
    def origin(self) -> Path:
        return self.base / "origin.git"

    @property
    def store(self) -> Path:
        return self.base / "store"

    @property
    def cache(self) -> Path:
        return self.repo / ".dvc" / "cache"

    def inside(self, sh: Shell) -> Depot:
        """The same team, seen from another clone or worktree."""
        return Depot(self.base, sh, self.remotes, self._count)

    def new_clone(self, name: str) -> Depot:
        """A further clone, as another person has it."""
        return self.inside(clone(self.origin, self.base / name, self.sh))

    # -- objects -----------------------------------------------------------------------------------

    def put(self, content: bytes, *places: Path, age_days: float = 0, suffix: str = "") -> str:
        """Store an object in the cache and the DVC remote `store`, or in the places given."""
        oid = md5(content) + suffix
        for place in places or (self.cache, self.store):
            path = object_path(place, oid)
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                path.write_bytes(content)
                path.chmod(0o444)
            then = time.time() - age_days * 86_400
            os.utime(path, (then, then))
        return oid

    def file(self, text: str, *places: Path) -> str:
        """Store a file."""
        return self.put(text.encode(), *places)

    def folder(self, files: Mapping[str, str], *places: Path) -> str:
        """Store a directory: its files and its manifest."""
        listed = [
            {"md5": self.file(text, *places), "relpath": name} for name, text in files.items()
        ]
        listed.sort(key=lambda entry: entry["relpath"])
        return self.put(json.dumps(listed, sort_keys=True).encode(), *places, suffix=".dir")

    # -- commits -----------------------------------------------------------------------------------

    def write(self, path: str, text: str) -> Path:
        """Write a file of the checkout."""
        file = self.repo / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")
        return file

    def point(self, path: str, content: str | Mapping[str, str], *places: Path) -> str:
        """Store data and write its pointer into the checkout; return the object's id."""
        oid, text = self.pointer(path, content, *places)
        self.write(f"{path}.dvc", text)
        return oid

    def pointer(
        self, path: str, content: str | Mapping[str, str], *places: Path
    ) -> tuple[str, str]:
        """Store data; return its id, and the text of the pointer that `dvc add` would write."""
        name = path.rpartition("/")[2]
        if isinstance(content, str):
            oid = self.file(content, *places)
            middle = f"  size: {len(content.encode())}\n"
        else:
            oid = self.folder(content, *places)
            size = sum(len(text.encode()) for text in content.values())
            middle = f"  size: {size}\n  nfiles: {len(content)}\n"
        return oid, f"outs:\n- md5: {oid}\n{middle}  hash: md5\n  path: {name}\n"

    def commit(self, *, days_ago: float = 0) -> str:
        """Commit all of the checkout."""
        self.sh.git("add", "--all")
        then = f"{int(time.time() - days_ago * 86_400)} +0000"
        dated = self.sh.with_env({"GIT_AUTHOR_DATE": then, "GIT_COMMITTER_DATE": then})
        dated.git("commit", "--quiet", "--allow-empty", "-m", f"Commit {next(self._count)}")
        return self.sh.git("rev-parse", "HEAD")

    def branch(self, name: str, start: str = "main") -> None:
        """Stand on a new branch."""
        self.sh.git("switch", "--quiet", "--no-track", "-c", name, start)

    def push(self, *refs: str) -> None:
        """Push refs; without any the current branch."""
        self.sh.git("push", "--quiet", "origin", *(refs or ("HEAD",)))

    def config(self, text: str) -> None:
        """Put the flow's config on main, where the checkout has to stand, and push it."""
        self.write("branchflow.yaml", text)
        self.commit(days_ago=900)
        self.push("main")

    # -- what is there -----------------------------------------------------------------------------

    def stored(self, remote: str = "store") -> set[str]:
        """The ids of all objects on a DVC remote."""
        files = (self.base / remote / "files" / "md5").glob("*/*")
        whole = (file for file in files if not file.name.startswith("."))
        return {f"{file.parent.name}{file.name}" for file in whole}

    def pulled(self, rev: str, name: str | None = None) -> dict[str, str]:
        """What a colleague gets who has nothing and runs plain `dvc pull` at a rev."""
        fresh = self.new_clone(name or f"puller-{next(self._count)}").sh
        fresh.git("checkout", "--quiet", "--detach", rev)
        fresh.dvc("pull", "--quiet")
        files = (path for path in fresh.cwd.rglob("*") if path.is_file())
        return {
            path.relative_to(fresh.cwd).as_posix(): path.read_text(encoding="utf-8")
            for path in files
            if not {".git", ".dvc"} & set(path.relative_to(fresh.cwd).parts)
        }


def lay_depot(
    base: Path, sh: Shell, *, flow: str = FLOW, remotes: tuple[str, ...] = ("store",)
) -> Depot:
    """Make a team: `main` holds the flow's config and DVC's, and is pushed."""
    at = sh.at(base)
    for name in remotes:
        (base / name).mkdir(parents=True)
    team = clone(bare_origin(base / "origin.git", at), base / "repo", at)
    depot = Depot(base, team, remotes)
    depot.write("branchflow.yaml", flow)
    depot.write(".dvc/config", _CONFIG + "".join(_REMOTE.format(name=name) for name in remotes))
    depot.write(".dvc/.gitignore", "/config.local\n/tmp\n/cache\n")
    depot.write(".gitignore", "*.csv\n/tree\n")
    depot.commit(days_ago=1000)
    depot.push("main")
    return depot


def md5(content: bytes) -> str:
    """The id that DVC gives to content."""
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def object_path(root: Path, oid: str) -> Path:
    """Where a cache or a DVC remote keeps an object."""
    return root / "files" / "md5" / oid[:2] / oid[2:]
