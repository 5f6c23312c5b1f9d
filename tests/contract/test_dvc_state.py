"""DVC's memory of files, read and written without DVC, held against DVC's own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from dvc.repo import Repo
from dvc_data.hashfile.hash_info import HashInfo

from dvc_branchflow.dvcio import State, memory_of, recall
from dvc_branchflow.model import Oid
from tests.support.isolation import isolated_env
from tests.support.repos import Shell

MD5 = Oid("0123456789abcdef0123456789abcdef")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    env = isolated_env(tmp_path / "home")
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    repo = tmp_path / "repo"
    repo.mkdir()
    sh = Shell(repo, env)
    sh.git("init", "-q")
    sh.run("dvc", "init", "-q")
    (repo / "data").mkdir()
    (repo / "data" / "ü.csv").write_text("content")
    return repo


@pytest.mark.parametrize("is_first", [True, False], ids=["ours is first", "DVC's is first"])
def test_dvc_knows_what_we_remember(folder: Path, is_first: bool) -> None:  # noqa: FBT001
    file = folder / "data" / "ü.csv"
    path = str(file)
    if not is_first:
        Repo(str(folder)).close()
    State(folder).remember([(path, MD5, file.stat())], may_create=True)
    repo = Repo(str(folder))
    _, found = repo.state.get(path, repo.fs)
    assert found == HashInfo("md5", MD5)


def test_we_know_what_dvc_remembers(folder: Path) -> None:
    file = folder / "data" / "ü.csv"
    path = str(file)
    assert State(folder).memory(path) is None
    repo = Repo(str(folder))
    repo.state.save(path, repo.fs, HashInfo("md5", MD5))
    repo.close()
    state = State(folder)
    ((found, memory),) = state.memories_below(str(folder / "data"))
    looks = file.stat()
    assert (found, memory) == (path, state.memory(path))
    assert recall(memory, looks) == MD5
    assert memory == memory_of(MD5, looks)
    file.write_text("changed")
    assert recall(memory, file.stat()) is None


def test_a_memory_that_can_t_be_read_is_none(folder: Path) -> None:
    file = folder / "data" / "ü.csv"
    path = str(file)
    state = State(folder)
    state.remember([(path, MD5, file.stat())], may_create=True)
    (database,) = (folder.parent / "site").rglob("hashes/local/cache.db")
    for leftover in database.parent.glob("cache.db-*"):
        leftover.unlink()
    database.write_bytes(b"no database at all, but rather a long text" * 100)
    assert state.memory(path) is None
    state.remember([(path, MD5, file.stat())], may_create=True)
    assert recall("{", file.stat()) is None
    assert recall('{"version":1}', file.stat()) is None


def test_a_pull_after_our_placing_hashes_nothing(folder: Path) -> None:
    """What DVC itself says of files whose md5 was only remembered, and is not theirs."""
    file = folder / "data" / "ü.csv"
    path = str(file)
    State(folder).remember([(path, MD5, file.stat())], may_create=True)
    sh = Shell(folder, dict(os.environ))
    sh.run("dvc", "add", "-q", "--no-commit", "data/ü.csv")
    assert MD5 in (folder / "data" / "ü.csv.dvc").read_text()
