"""How a test starts a process group and is sure that nothing of it stays behind."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_GONE_WITHIN_SECONDS = 5.0


def start_group(
    args: Sequence[str],
    *,
    output: IO[bytes],
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    dies_with_us: bool = False,
) -> subprocess.Popen[bytes]:
    """Start a command as the leader of a new session; stdout and stderr go to `output`.

    Args:
        dies_with_us: the kernel kills the command when the calling thread ends, so that not even
            a SIGKILL of the test run leaves a server behind (Linux with `setpriv`, else ignored).
    """
    setpriv = shutil.which("setpriv") if dies_with_us else None
    prefix = [setpriv, "--pdeathsig", "KILL", "--"] if setpriv else []
    return subprocess.Popen(
        [*prefix, *args],
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        env=env,
        cwd=cwd,
        start_new_session=True,
    )


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """SIGKILL the whole group of a process from `start_group`; return when none of it runs."""
    # The leader is reaped only after the signal: until then its id can't be another group's.
    _signal_group(process.pid)
    process.wait()
    deadline = time.monotonic() + _GONE_WITHIN_SECONDS
    while _is_group_running(process.pid):
        if time.monotonic() > deadline:
            raise TimeoutError(f"process group {process.pid} outlived SIGKILL")
        time.sleep(0.005)


def _signal_group(group: int) -> None:
    try:
        os.killpg(group, signal.SIGKILL)
    except ProcessLookupError:
        return


def _is_group_running(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    # Orphans that died wait for init to reap them; in some containers it never does.
    stats = [stat for stat in map(_stat_fields, Path("/proc").glob("[0-9]*/stat")) if stat]
    return any(int(fields[2]) == group and fields[0] not in "ZX" for fields in stats)


def _stat_fields(stat: Path) -> list[str]:
    """State, parent, group, … of a process: what follows its parenthesised name."""
    try:
        return stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return []
