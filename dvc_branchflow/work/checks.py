"""Runs a branch's own checks, named commands of its config, on an exact tree."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dvc_branchflow.environ import clean_environment
from dvc_branchflow.errors import RejectedError, RunError
from dvc_branchflow.model import Branch
from dvc_branchflow.project import Project
from dvc_branchflow.work.records import as_json
from dvc_branchflow.work.transfer import Report
from dvc_branchflow.work.worktrees import log_path

MAX_RESULT_BYTES = 16 * 1024
_MAX_TAIL_BYTES = 64 * 1024
_KEPT_LINES = 20
_NAMED_LINES = 3
_MAX_LINE = 200
_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[@-Z\\-_])")
_NOT_RUN = frozenset({126, 127})  # what a shell says of a command that it can't start
_KILLED = range(129, 193)  # and of one that a signal killed: 128 and the signal


def run_checks(
    project: Project,
    branch: Branch,
    checks: Mapping[str, str],
    worktree: Path,
    env: Mapping[str, str],
    report: Report,
) -> dict[str, dict[str, Any]]:
    """Run a branch's own checks on an exact tree.

    Returns: name → the command, its seconds, the tail of its output, and the JSON object that it
        wrote into the file that $BRANCHFLOW_RESULT names, if it did.
    Raises: RejectedError: a check said no; all of its output is in the log. RunError: one could not
        run, was killed, or wrote no JSON object as its result.
    """
    done: dict[str, dict[str, Any]] = {}
    for name, command in checks.items():
        report(f"check '{name}': {command}")
        log = log_path(project, branch, f"check-{name}")
        result = log.with_suffix(".json")
        shutil.rmtree(result, ignore_errors=True)  # whatever the check before made of it
        result.unlink(missing_ok=True)
        environment = clean_environment() | dict(env) | {"BRANCHFLOW_RESULT": str(result)}
        started = time.monotonic()
        with log.open("wb") as file:
            ended = subprocess.run(  # noqa: S602  the branch's own check, a shell command
                command, shell=True, cwd=worktree, env=environment,
                stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, check=False,
            )  # fmt: skip
        _require_passed(name, branch, ended.returncode, log)
        done[name] = {
            "command": command,
            "seconds": round(time.monotonic() - started, 1),
            "output": "\n".join(_tail(log, _KEPT_LINES)),
            "result": _result(name, result),
        }
    return done


def _require_passed(name: str, branch: Branch, code: int, log: Path) -> None:
    if code == 0:
        return
    said = " | ".join(_tail(log, _NAMED_LINES)) or f"exit code {code}"
    hint = f"less '{log}'"
    if code < 0 or code in _KILLED:
        signal = -code if code < 0 else code - 128
        raise RunError(
            f"check '{name}' was killed on '{branch}' by signal {signal}", hint=hint, log=str(log)
        )
    if code in _NOT_RUN:
        raise RunError(f"check '{name}' can't run on '{branch}': {said}", hint=hint, log=str(log))
    raise RejectedError(f"check '{name}' failed on '{branch}': {said}", hint=hint, log=str(log))


def _result(name: str, path: Path) -> dict[str, Any]:
    """What a check wrote as its result; empty where it wrote nothing."""
    if not path.exists():
        return {}
    wrong = f"check '{name}' wrote no JSON object of up to 16 KiB into $BRANCHFLOW_RESULT"
    if not path.is_file() or path.stat().st_size > MAX_RESULT_BYTES:
        raise RunError(wrong, hint=f"less '{path}'")
    try:
        found = as_json(json.loads(path.read_bytes()))
    except (ValueError, RecursionError) as error:
        raise RunError(f"{wrong}: {error}", hint=f"less '{path}'") from error
    if not isinstance(found, dict):
        raise RunError(wrong, hint=f"less '{path}'")
    return found


def _tail(log: Path, n_lines: int) -> list[str]:
    """The last lines of an output, without what a terminal would act on."""
    with log.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(size - _MAX_TAIL_BYTES, 0))
        text = _ESCAPE.sub("", file.read().decode(errors="replace"))
    lines = [line.rpartition("\r")[2].rstrip() for line in text.replace("\r\n", "\n").split("\n")]
    plain = ["".join(filter(str.isprintable, line))[:_MAX_LINE] for line in lines]
    return [line for line in plain if line.strip()][-n_lines:]
