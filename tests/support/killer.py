"""Kills a command at a chosen moment, the way a power cut or an out-of-memory kill would."""

from __future__ import annotations

import subprocess
import tempfile
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.support.processes import kill_group, start_group

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


@dataclass(frozen=True)
class Finished:
    """A run that was left alone: how long it took and what it said (stdout and stderr mixed)."""

    duration_seconds: float
    returncode: int
    output: str


def kill_at(
    proc_args: Sequence[str], env: Mapping[str, str], cwd: Path, delay_seconds: float
) -> bool:
    """Start a command and SIGKILL its whole process group after the delay.

    Returns: whether the command was still running when the signal came. Children that outlive
        a command which ended by itself are killed as well.
    """
    with tempfile.TemporaryFile() as output:
        process = start_group(proc_args, output=output, env=env, cwd=cwd)
        try:
            return not _has_ended(process, delay_seconds)
        finally:
            kill_group(process)


def run_to_end(
    proc_args: Sequence[str], env: Mapping[str, str], cwd: Path, timeout_seconds: float = 300
) -> Finished:
    """Run the same way as `kill_at` does, but to the end.

    Raises: TimeoutError: it took too long; its group is killed.
    """
    with tempfile.TemporaryFile() as output:
        started = time.monotonic()
        process = start_group(proc_args, output=output, env=env, cwd=cwd)
        try:
            ended = _has_ended(process, timeout_seconds)
            duration_seconds = time.monotonic() - started
        finally:
            kill_group(process)
        output.seek(0)
        text = output.read().decode(errors="replace")
        if not ended:
            raise TimeoutError(f"{proc_args} ran longer than {timeout_seconds} s:\n{text}")
        return Finished(duration_seconds, process.returncode, text)


def kill_points(duration_seconds: float, count: int) -> list[float]:
    """`count` delays, uniform over a run: the middles of equal slices, shape (count,), seconds."""
    return [duration_seconds * (index + 0.5) / count for index in range(count)]


def _has_ended(process: subprocess.Popen[bytes], within_seconds: float) -> bool:
    try:
        process.wait(within_seconds)
    except subprocess.TimeoutExpired:
        return False
    return True
