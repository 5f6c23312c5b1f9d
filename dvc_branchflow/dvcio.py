"""The only place that touches DVC itself.

Its commands run as a subprocess, the way a user would run them, with the log kept. What has no
command is imported, where it is used: a third of a second that other work must not pay.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NamedTuple

from dvc_branchflow.environ import clean_environment
from dvc_branchflow.errors import DvcError, StorageError

_BUSY = ("Unable to acquire lock", "rwlock", "LockError", "busy")
_ATTEMPTS = 5
_EXTRAS = {"webdavs": "webdav"}  # DVC's optional packages that are not called like the URL
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


class RemoteFileSystem(NamedTuple):
    """The file system that DVC uses for a remote, and what kind of one it is."""

    fs: Any
    root: str
    home: str | None
    appears_whole: bool
    can_list: bool


def open_file_system(name: str, url: str, options: Mapping[str, str]) -> RemoteFileSystem:
    """Return DVC's own file system for a remote.

    Raises: StorageError: no such kind of remote, a wrong option, or a package is missing.
    """
    from dvc.exceptions import DvcException
    from dvc.fs import get_cloud_fs  # private API
    from dvc_objects.fs.base import ObjectFileSystem  # private API
    from dvc_objects.fs.errors import ConfigError, RemoteMissingDepsError  # private API

    try:
        kind, config, root = get_cloud_fs({}, url=url, **options)
        fs = kind(**config)
    except (ImportError, RemoteMissingDepsError) as error:
        scheme = url.partition("://")[0]
        raise StorageError(
            f"DVC remote '{name}' needs DVC's plugin for '{scheme}', which is not installed",
            hint=f"pip install 'dvc[{_EXTRAS.get(scheme, scheme)}]'",
        ) from error
    except (DvcException, ConfigError, ValueError) as error:
        raise StorageError(f"DVC remote '{name}' can't be used: {error}") from error
    root = root.rstrip("/")
    is_bucket = isinstance(fs, ObjectFileSystem)
    is_http = kind.protocol in {"http", "https"}
    return RemoteFileSystem(
        fs=fs,
        root=root,
        home=None if is_http else root.partition("/")[0] if is_bucket else root,
        appears_whole=is_bucket or is_http,
        can_list=kind.CAN_TRAVERSE,
    )


def _environment(extra: Mapping[str, str] | None) -> dict[str, str]:
    environment = clean_environment() | dict(extra or {})
    # It would make each start of DVC compile all of its modules again: three times slower.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return environment
