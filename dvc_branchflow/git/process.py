"""Runs one git command and says what it said."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from dvc_branchflow.errors import FlowError, GitError
from dvc_branchflow.git.batch import git_environment


def spawn(
    args: Sequence[str],
    *,
    cwd: Path,
    data: bytes | None = None,
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[bytes]:
    """Run a git command to its end, good or bad.

    Raises: GitError: git is not installed. FlowError: `cwd` is no folder.
    """
    environment = git_environment() | dict(env or {})
    stdin = subprocess.DEVNULL if data is None else None
    try:
        return subprocess.run(
            ["git", *args], cwd=cwd, env=environment, capture_output=True, check=False,
            input=data, stdin=stdin,
        )  # fmt: skip
    except FileNotFoundError as error:
        if not cwd.is_dir():
            raise FlowError(f"'{cwd}' is no folder") from error
        raise GitError("git is not installed", hint="install git 2.38 or newer") from error


def last_line(output: bytes) -> str:
    """Return the line of git's output that says why it failed."""
    lines = [line.strip() for line in output.decode(errors="replace").splitlines() if line.strip()]
    wanted = [line for line in lines if line.startswith(("fatal:", "error:"))] or lines
    return (
        wanted[-1].removeprefix("fatal: ").removeprefix("error: ") if wanted else "no reason given"
    )
