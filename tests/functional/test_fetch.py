"""Fetching while another process of the same clone holds a ref."""

from __future__ import annotations

from threading import Timer

import pytest

from dvc_branchflow.errors import GitError
from dvc_branchflow.git import Git
from tests.functional.conftest import Team


def held(team: Team):
    """The lock of a ref that a fetch has to move."""
    team.sh.git("fetch", "--quiet")
    before = team.sh.git("rev-parse", "origin/main")
    new = team.put("main", {"more.md": "more\n"})
    team.sh.git("update-ref", "refs/remotes/origin/main", before)
    lock = team.sh.cwd / ".git/refs/remotes/origin/main.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    lock.touch()
    return lock, new


@pytest.mark.usefixtures("as_user")
def test_a_ref_that_another_process_holds_for_a_moment_is_waited_for(team: Team) -> None:
    lock, new = held(team)
    Timer(0.5, lock.unlink).start()
    Git.discover(team.sh.cwd).fetch("origin")
    assert team.sh.git("rev-parse", "origin/main") == new


@pytest.mark.usefixtures("as_user")
def test_a_ref_that_stays_locked_is_an_error_that_names_it(team: Team) -> None:
    held(team)
    with pytest.raises(GitError, match=r"main"):
        Git.discover(team.sh.cwd).fetch("origin")
