from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support import warm
from tests.support.repos import Shell


@pytest.mark.parametrize(
    "words",
    [
        ("git-branchflow", "status"),
        ("git-branchflow", "--json", "status"),
        ("git-branchflow", "status", "--ünknown"),
    ],
    ids=" ".join,
)
def test_a_fork_does_what_a_process_does(sh: Shell, words: tuple[str, ...]) -> None:
    sh.git("init", "--quiet", "other")
    for at in (sh, sh.at(sh.cwd / "other"), sh.with_env({"LC_TIME": "C", "PATH": sh.env["PATH"]})):
        assert warm.is_warm(words[0], at.env)
        asked = {"cwd": at.cwd, "env": at.env, "input": "no", "timeout": 60}
        forked = warm.run(words, **asked)
        started = subprocess.run(words, capture_output=True, encoding="utf-8", check=False, **asked)
        for name in ("returncode", "stdout", "stderr"):
            assert getattr(forked, name) == getattr(started, name)
        assert forked.returncode


def test_a_fork_is_killed_when_its_time_is_over(sh: Shell) -> None:
    (sh.cwd / "git").write_text("#!/bin/sh\nexec sleep 20\n", encoding="utf-8")
    (sh.cwd / "git").chmod(0o755)
    env = {**sh.env, "PATH": f"{sh.cwd}:{sh.env['PATH']}"}
    with pytest.raises(subprocess.TimeoutExpired):
        warm.run(["git-branchflow", "status"], cwd=sh.cwd, env=env, input=None, timeout=0.2)


def test_what_changes_python_or_the_program_is_started(sh: Shell, tmp_path: Path) -> None:
    assert warm.is_warm("git-branchflow", sh.env)
    assert not warm.is_warm("dvc", sh.env)
    for name, value in (("PYTHONPATH", "x"), ("LC_ALL", "C"), ("PATH", "/bin")):
        assert not warm.is_warm("git-branchflow", sh.env | {name: value})
