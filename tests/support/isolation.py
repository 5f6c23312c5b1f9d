"""What a subprocess of a test may see of the machine: nothing of the user's own configuration."""

from __future__ import annotations

import hashlib
import os
import pwd
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_KEPT = ("PATH", "TMPDIR", "LD_LIBRARY_PATH", "COVERAGE_PROCESS_START", "COVERAGE_PROCESS_CONFIG")
_USER_FILES = (".gitconfig", ".config/dvc", ".config/git", ".aws")
# gc.auto: a background gc would race with fingerprints and with the removal of the folder.
_GIT_CONFIG = """\
[user]
\tname = Test Person
\temail = test@example.com
[init]
\tdefaultBranch = main
[gc]
\tauto = 0
"""
# Makes `python -m pytest`, the check that is laid into a project, say yes without a test. Of the
# options that end pytest at once, `--version` is heard on the command line alone.
WITHOUT_TESTS = {"PYTEST_ADDOPTS": "--help", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
# check_update: else each command starts a detached process that asks the network for a version.
_DVC_CONFIG = """\
[core]
    analytics = false
    check_update = false
"""


def isolated_env(home: Path, *, bin_folder: Path | None = None) -> dict[str, str]:
    """A clean environment for subprocesses, with all state below `home` (created if missing).

    Only the search path and a few technical variables come over from this process, so no GIT_*,
    AWS_*, DVC_*, XDG_* or PYTHON* variable can leak in.

    Args:
        bin_folder: where `dvc` and `git branchflow` come from. By default the folder of the
            running Python; with another one, the running Python's folder leaves the search path.
    """
    _write_config(home)
    inherited = {name: os.environ[name] for name in _KEPT if name in os.environ}
    return {
        **inherited,
        "PATH": _search_path(bin_folder),
        **_home_env(home),
        **_git_env(home),
        **_dvc_env(home),
        **_aws_env(home),
        "NO_COLOR": "1",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC",
        # Tests share the cores as processes; more threads of each only wait for each other.
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }


def user_files_digest() -> str:
    """Fingerprint of the real user's Git, DVC and AWS configuration, whatever HOME says now.

    Modification times count, so a file that was changed and put back is noticed too.
    """
    real_home = Path(pwd.getpwuid(os.getuid()).pw_dir)
    lines = [line for name in _USER_FILES for line in _describe_tree(real_home / name)]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def _home_env(home: Path) -> dict[str, str]:
    return {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_CACHE_HOME": str(home / ".cache"),
        "XDG_DATA_HOME": str(home / ".local" / "share"),
        "XDG_STATE_HOME": str(home / ".local" / "state"),
        "XDG_CONFIG_DIRS": str(home / "xdg-system"),
        "XDG_DATA_DIRS": str(home / "xdg-system"),
    }


def _git_env(home: Path) -> dict[str, str]:
    return {
        "GIT_CONFIG_GLOBAL": str(home / ".gitconfig"),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
    }


def _dvc_env(home: Path) -> dict[str, str]:
    return {
        "DVC_GLOBAL_CONFIG_DIR": str(home / ".config" / "dvc"),
        "DVC_SYSTEM_CONFIG_DIR": str(home / "dvc-system"),
        "DVC_SITE_CACHE_DIR": str(home / "dvc-site-cache"),
        "DVC_NO_ANALYTICS": "1",
        "DVC_STUDIO_OFFLINE": "1",
        "ITERATIVE_DO_NOT_TRACK": "1",
    }


def _aws_env(home: Path) -> dict[str, str]:
    return {
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": str(home / "no-aws-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(home / "no-aws-credentials"),
    }


def _write_config(home: Path) -> None:
    dvc_config = home / ".config" / "dvc" / "config"
    dvc_config.parent.mkdir(parents=True, exist_ok=True)
    dvc_config.write_text(_DVC_CONFIG, encoding="utf-8")
    (home / ".gitconfig").write_text(_GIT_CONFIG, encoding="utf-8")


def _search_path(bin_folder: Path | None) -> str:
    running = str(Path(sys.executable).parent)
    others = [part for part in os.environ.get("PATH", "").split(os.pathsep) if part != running]
    return os.pathsep.join([str(bin_folder or running), *others])


def _describe_tree(path: Path) -> Iterator[str]:
    if not os.path.lexists(path):
        yield f"{path} absent"
        return
    yield _describe(path)
    if path.is_dir():
        yield from (_describe(below) for below in sorted(path.rglob("*")))


def _describe(path: Path) -> str:
    info = path.lstat()
    if stat.S_ISLNK(info.st_mode):
        return f"{path} link {path.readlink()}"
    if not stat.S_ISREG(info.st_mode):
        return f"{path} {info.st_mode:o}"
    content = hashlib.sha256(path.read_bytes()).hexdigest()
    return f"{path} {info.st_mode:o} {info.st_mtime_ns} {content}"
