from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

from tests.support import isolation
from tests.support.isolation import WITHOUT_TESTS, isolated_env, user_files_digest
from tests.support.repos import Shell

if TYPE_CHECKING:
    import pytest


def test_only_chosen_variables_come_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leaks = ("GIT_DIR", "AWS_PROFILE", "DVC_ROOT", "XDG_X", "PYTHONDONTWRITEBYTECODE", "CI")
    for name in leaks:
        monkeypatch.setenv(name, "1")
    env = isolated_env(tmp_path / "home")
    assert not set(leaks) & set(env)
    users_own = f"{Path.home()}/."
    assert [name for name, value in env.items() if users_own in value and name != "PATH"] == []


def test_git_and_dvc_read_the_isolated_configuration(tmp_path: Path) -> None:
    sh = Shell(tmp_path, isolated_env(tmp_path / "home"))
    sh.git("init", "-q")
    origins = sh.git("config", "--list", "--show-origin", "--name-only").splitlines()
    assert {line.split("\t")[0] for line in origins} == {
        f"file:{tmp_path}/home/.gitconfig",
        "file:.git/config",
    }
    assert sh.git("symbolic-ref", "HEAD") == "refs/heads/main"
    sh.dvc("config", "--global", "cache.type", "copy")
    assert "copy" in (tmp_path / "home/.config/dvc/config").read_text(encoding="utf-8")


def test_pytest_says_yes_without_tests(tmp_path: Path) -> None:
    sh = Shell(tmp_path, isolated_env(tmp_path / "home") | WITHOUT_TESTS)
    (tmp_path / "test_it.py").write_text("raise SystemExit", encoding="utf-8")
    assert "usage" in sh.run("python", "-m", "pytest", "-q").stdout


def test_another_bin_folder_replaces_the_running_one(tmp_path: Path) -> None:
    path = isolated_env(tmp_path, bin_folder=tmp_path / "bin")["PATH"].split(":")
    assert path[0] == str(tmp_path / "bin")
    assert str(Path(sys.executable).parent) not in path


def test_digest_sees_a_changed_user_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user = SimpleNamespace(pw_dir=str(tmp_path))
    monkeypatch.setattr(isolation, "pwd", SimpleNamespace(getpwuid=lambda _uid: user))
    digests = {user_files_digest()}
    (tmp_path / ".gitconfig").touch()
    digests.add(user_files_digest())
    (tmp_path / ".aws").mkdir()
    digests.add(user_files_digest())
    (tmp_path / ".aws" / "credentials").write_text("secret", encoding="utf-8")
    digests.add(user_files_digest())
    assert len(digests) == 4


def test_digest_ignores_home_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = user_files_digest()
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_files_digest() == before
