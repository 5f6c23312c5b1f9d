"""Runs DVC's commands as a subprocess, the way a user would, with the log kept."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO

from dvc_branchflow.environ import clean_environment
from dvc_branchflow.errors import DvcError

_BUSY = ("Unable to acquire lock", "rwlock", "LockError", "busy")
_ATTEMPTS = 5
# -P: the folder that we stand in is a branch's; its `platform.py` is not to be imported by dvc.
_DVC = (sys.executable, "-P", "-m", "dvc")


def dvc(
    args: Sequence[str],
    *,
    cwd: Path,
    log: IO[bytes] | None = None,
    env: Mapping[str, str] | None = None,
) -> int:
    """Run a dvc command and return its exit code; it waits for DVC's own locks.

    Args:
        log: gets all that dvc and its stages print; None throws it away.
        env: variables on top of ours.
    """
    command = [*_DVC, *args]
    out = subprocess.DEVNULL if log is None else log
    done = subprocess.run(
        command, cwd=cwd, env=_environment(env), stdin=subprocess.DEVNULL, stdout=out,
        stderr=subprocess.STDOUT, check=False,
    )  # fmt: skip
    return done.returncode


def dvc_text(args: Sequence[str], *, cwd: Path) -> str:
    """Return what a dvc command prints.

    Raises: DvcError: it failed; a lock that another dvc holds is waited for.
    """
    command = [*_DVC, *args]
    for attempt in range(_ATTEMPTS):
        done = subprocess.run(
            command, cwd=cwd, env=_environment(None), stdin=subprocess.DEVNULL,
            capture_output=True, check=False,
        )  # fmt: skip
        said = done.stderr.decode(errors="replace")
        if done.returncode == 0:
            return done.stdout.decode(errors="replace")
        if not any(sign in said for sign in _BUSY):
            break
        time.sleep(0.5 * (attempt + 1))
    lines = [line.removeprefix("ERROR: ") for line in said.splitlines() if line.strip()]
    reason = next((line for line in lines if line), "no reason given")
    raise DvcError(f"dvc {args[0]} failed: {reason[:300]}")


def mend_locks(tmp_dir: Path) -> None:
    """Remove the locks that a killed dvc left in a worktree that only we use."""
    for name in ("lock", "rwlock", "rwlock.lock"):
        (tmp_dir / name).unlink(missing_ok=True)


def _environment(extra: Mapping[str, str] | None) -> dict[str, str]:
    environment = clean_environment() | dict(extra or {})
    # It would make each start of DVC compile all of its modules again: three times slower.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return environment
