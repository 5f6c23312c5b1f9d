from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.isolation import isolated_env
from tests.support.repos import (
    CommandError,
    Shell,
    bare_origin,
    checkout_digest,
    clone,
    digest_diff,
    missing_from_directory_remote,
    objects_needed,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PIPELINE = """\
stages:
  train:
    cmd: mkdir -p out && cp data/a.txt out/model && cp data/a.txt scores.json && cp data/a.txt big
    deps: [data]
    outs: [out, big: {push: false}]
    metrics: [scores.json: {cache: false}]
"""


@pytest.fixture
def sh(tmp_path: Path) -> Shell:
    shell = Shell(tmp_path / "repo", isolated_env(tmp_path / "home"))
    shell.cwd.mkdir()
    shell.git("init", "-q")
    write(shell, "tracked.txt", "one")
    commit(shell)
    return shell


def write(sh: Shell, name: str, text: str) -> None:
    path = sh.cwd / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def commit(sh: Shell) -> None:
    sh.git("add", "-A")
    sh.git("commit", "-qm", "change")


def test_failure_shows_both_streams(sh: Shell) -> None:
    with pytest.raises(CommandError, match=r"(?s)exit code 3.*stdout\nout.*stderr\nerr"):
        sh.run("sh", "-c", "echo out; echo err >&2; exit 3")
    with pytest.raises(CommandError, match="timed out"):
        sh.run("sleep", "5", timeout=0.1)
    assert sh.run("cat", input="text").stdout == "text"
    assert sh.run("false", check=False).returncode == 1


def test_shallow_clone_has_all_branches(sh: Shell, tmp_path: Path) -> None:
    commit_count = 3
    for number in range(commit_count):
        write(sh, "tracked.txt", str(number))
        commit(sh)
    sh.git("branch", "other")
    origin = bare_origin(tmp_path / "origin.git", sh)
    sh.git("push", "-q", origin, "main", "other")
    shallow = clone(origin, tmp_path / "shallow", sh, depth=1)
    assert shallow.git("rev-list", "--count", "--all") == "1"
    assert "origin/other" in shallow.git("branch", "-r")


CHANGES: dict[str, Callable[[Shell], object]] = {
    "HEAD": lambda sh: sh.git("symbolic-ref", "HEAD", "refs/heads/other"),
    "index flag": lambda sh: sh.git("update-index", "--assume-unchanged", "tracked.txt"),
    "index": lambda sh: sh.git("rm", "-q", "--cached", "tracked.txt"),
    "stash": lambda sh: sh.git("stash", "store", "-m", "x", sh.git("rev-parse", "HEAD")),
    "git config": lambda sh: sh.git("config", "x.y", "z"),
    "dvc config": lambda sh: write(sh, ".dvc/config", "changed"),
    "dvc config.local": lambda sh: write(sh, ".dvc/config.local", "changed"),
    "branch": lambda sh: sh.git("branch", "new"),
    "content": lambda sh: write(sh, "tracked.txt", "two"),
    "mode": lambda sh: (sh.cwd / "tracked.txt").chmod(0o755),
    "link target": lambda sh: sh.run("ln", "-sfn", "elsewhere", "link"),
    "untracked": lambda sh: write(sh, "new.txt", ""),
    "folder": lambda sh: (sh.cwd / "new").mkdir(),
}


def test_digest_notices_each_change(sh: Shell) -> None:
    sh.run("ln", "-s", "nowhere", "link")
    sh.git("branch", "other")
    (sh.cwd / ".dvc").mkdir()
    for name, change in CHANGES.items():
        before = checkout_digest(sh.cwd)
        change(sh)
        assert digest_diff(before, checkout_digest(sh.cwd)), name


def test_digest_is_calm_about_the_rest(sh: Shell) -> None:
    (sh.cwd / ".dvc").mkdir()
    before = checkout_digest(sh.cwd, allow={"moving"})
    (sh.cwd / "tracked.txt").touch()
    sh.git("status")
    sh.git("branch", "moving")
    write(sh, ".dvc/cache/files/md5/ab/c", "x")
    write(sh, ".dvc/tmp/lock", "x")
    assert digest_diff(before, checkout_digest(sh.cwd, allow={"moving"})) == ""


def test_digest_reads_a_linked_worktree(sh: Shell, tmp_path: Path) -> None:
    sh.git("worktree", "add", "-q", "-b", "side", tmp_path / "linked")
    digest = checkout_digest(tmp_path / "linked")
    assert digest["HEAD"] == "refs/heads/side"
    assert ".git/config" in digest


def test_objects_needed_agrees_with_a_pushed_remote(sh: Shell, tmp_path: Path) -> None:
    store = tmp_path / "store"
    sh.dvc("init", "-q")
    sh.dvc("remote", "add", "-q", "-d", "store", store)
    write(sh, "data/a.txt", "a")
    write(sh, "data/b.txt", "b")
    write(sh, "single.txt", "only in the past")
    sh.dvc("add", "-q", "data", "single.txt")
    write(sh, "dvc.yaml", PIPELINE)
    sh.dvc("repro", "-q")
    commit(sh)
    sh.dvc("push", "-q")
    sh.git("rm", "-q", "single.txt.dvc")
    commit(sh)

    stored = {path.parent.name + path.name for path in store.glob("files/md5/*/*")}
    needed = objects_needed(sh.cwd, store)
    assert needed == stored
    # two manifests (data, out) and a, b, single; "out/model" and "a.txt" are one object
    assert len(needed) == 5
    assert len(objects_needed(sh.cwd, store, whole_history=False)) == 4
    assert missing_from_directory_remote(sh.cwd, store) == []

    absent, damaged = sorted(oid for oid in stored if not oid.endswith(".dir"))[:2]
    (store / "files/md5" / absent[:2] / absent[2:]).unlink()
    path = store / "files/md5" / damaged[:2] / damaged[2:]
    path.chmod(0o644)
    path.write_text("wrong", encoding="utf-8")
    lines = missing_from_directory_remote(sh.cwd, store)
    assert [line.split(":")[0] for line in lines] == [absent, damaged]
