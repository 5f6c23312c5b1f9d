"""A freshly laid flow to break: a bare origin, a directory remote, and a clone without commits."""

from __future__ import annotations

import hashlib
import itertools
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from subprocess import CompletedProcess
from typing import TYPE_CHECKING

import pytest

from dvc_branchflow.git import Git, init_repository
from dvc_branchflow.model import Branch
from tests.support.isolation import isolated_env
from tests.support.repos import Shell, bare_origin, clone, missing_from_directory_remote
from tests.support.runs import CONFIG, put

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Done = CompletedProcess[str]
# Relative to the folder of the config file, so that a copy works elsewhere.
_DVC_CONFIG = """\
[core]
    remote = store
['remote "store"']
    url = ../../store
"""


def branchflow(sh: Shell, *args: str | Path, input: str | None = None) -> Done:  # noqa: A002
    """Run the real command; no outcome is an error here, but a bug in the program always is."""
    done = sh.run("git-branchflow", *args, check=False, input=input)
    assert done.returncode != 4, done.stderr
    assert "Traceback" not in done.stderr
    return done


def says(done: Done) -> str:
    """What a failure says: its lines without the progress before it."""
    return "\n".join(line for line in done.stderr.splitlines() if not line.startswith("·"))


@dataclass
class Team:
    """A clone with a laid flow, its origin and its DVC remote."""

    base: Path
    sh: Shell
    _count: Iterator[int] = field(default_factory=itertools.count)

    @property
    def origin(self) -> Path:
        return self.base / "origin.git"

    @property
    def store(self) -> Path:
        return self.base / "store"

    @property
    def cache(self) -> Path:
        return self.sh.cwd / ".dvc" / "cache"

    def bf(self, *args: str | Path, input: str | None = None) -> Done:  # noqa: A002
        return branchflow(self.sh, *args, input=input)

    def ingest(self, *args: str | Path, partition: str = "p1") -> Done:
        return self.bf("ingest", "--source", "a test", f"--partition={partition}", *args)

    def file(self, name: str, content: str | bytes = "one\n") -> Path:
        path = self.base / "in" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return path

    def refs(self) -> str:
        """All branches and tags that the team shares."""
        return self.sh.git("ls-remote", str(self.origin))

    def damaged(self) -> list[str]:
        """What the DVC remote lacks of all that the refs name, or holds wrongly."""
        return missing_from_directory_remote(self.sh.cwd, self.store)

    def put(self, branch: str, files: Mapping[str, str | bytes], *remove: str) -> str:
        """Commit files on a shared branch the way a colleague would; return the commit."""
        at = self.sh.at(self.base / f"colleague-{next(self._count)}")
        self.sh.git("fetch", "--quiet")
        self.sh.git("worktree", "add", "--quiet", "--detach", at.cwd, f"origin/{branch}")
        for path in remove:
            at.git("rm", "-rq", path)
        for path, content in files.items():
            file = at.cwd / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content if isinstance(content, bytes) else content.encode())
            at.git("add", "--force", path)
        at.git("commit", "--quiet", "-m", "Put", "--allow-empty")
        at.git("push", "--quiet", "origin", f"HEAD:refs/heads/{branch}")
        self.sh.git("fetch", "--quiet")
        sha = at.git("rev-parse", "HEAD")
        self.sh.git("worktree", "remove", "--force", at.cwd)
        return sha


def object_path(root: Path, content: str) -> Path:
    """Where a cache or a DVC remote keeps a file of this content."""
    md5 = hashlib.md5(content.encode(), usedforsecurity=False).hexdigest()
    return root / "files" / "md5" / md5[:2] / md5[2:]


@pytest.fixture(scope="session")
def laid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A flow laid by `init` in the clone of an empty bare repository; copy it, don't use it."""
    base = tmp_path_factory.mktemp("laid")
    sh = Shell(base, isolated_env(base / "home"))
    bare_origin(base / "origin.git", sh)
    made = Team(base, clone(base / "origin.git", base / "repo", sh))
    done = made.bf("init", "--remote", made.store)
    assert done.returncode == 0, done.stderr
    for branch in ("main", "raw", "clean", "split", "dev/model"):
        made.put(branch, {".dvc/config": _DVC_CONFIG})
    made.sh.git("pull", "--quiet", "--ff-only")
    return base


@pytest.fixture
def team(laid: Path, sh: Shell) -> Team:
    """A flow of the test's own with nothing in it yet."""
    for name in ("origin.git", "store", "repo"):
        shutil.copytree(laid / name, sh.cwd / name, symlinks=True)
    at = sh.at(sh.cwd / "repo")
    at.git("remote", "set-url", "origin", str(sh.cwd / "origin.git"))
    return Team(sh.cwd, at)


@pytest.fixture
def flow_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, as_user: None) -> Git:
    """A repository with a flow's config on main and nothing else, as the working directory."""
    repo = tmp_path / "repo"
    repo.mkdir()
    init_repository(repo, Branch("main"))
    monkeypatch.chdir(repo)
    git = Git.discover(repo)
    put(git, "main", {"branchflow.yaml": CONFIG})
    return git
