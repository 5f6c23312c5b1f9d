"""Runs a branch's own checks, named commands of its config, on an exact tree."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dvc_branchflow.environ import clean_environment
from dvc_branchflow.errors import RunError
from dvc_branchflow.model import Branch
from dvc_branchflow.project import Project
from dvc_branchflow.work.transfer import Report
from dvc_branchflow.work.worktrees import log_path

_OUTPUT_LINES = 3


def run_checks(
    project: Project,
    branch: Branch,
    checks: Mapping[str, str],
    worktree: Path,
    env: Mapping[str, str],
    report: Report,
) -> dict[str, dict[str, Any]]:
    """Run a branch's own checks on an exact tree; return command and seconds of each.

    Raises: RunError: a check failed; its output is in the log.
    """
    done: dict[str, dict[str, Any]] = {}
    for name, command in checks.items():
        report(f"check '{name}': {command}")
        log = log_path(project, branch, f"check-{name}")
        started = time.monotonic()
        with log.open("wb") as file:
            ended = subprocess.run(  # noqa: S602  the branch's own check, a shell command
                command, shell=True, cwd=worktree, env=clean_environment() | dict(env),
                stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, check=False,
            )  # fmt: skip
        if ended.returncode:
            last = " | ".join(_last_lines(log)) or f"exit code {ended.returncode}"
            raise RunError(
                f"check '{name}' failed on '{branch}': {last}", hint=f"less '{log}'", log=str(log)
            )
        done[name] = {"command": command, "seconds": round(time.monotonic() - started, 1)}
    return done


def _last_lines(log: Path) -> list[str]:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return [line.strip()[:160] for line in lines if line.strip()][-_OUTPUT_LINES:]
