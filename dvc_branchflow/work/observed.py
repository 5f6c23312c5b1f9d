"""What can be seen of a run that is done: its metrics, and the environment that it ran in."""

from __future__ import annotations

import json
import os
import platform
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dvc_branchflow.dvcio import dvc_text
from dvc_branchflow.errors import DvcError
from dvc_branchflow.git import Git
from dvc_branchflow.gitobjects import EXECUTABLE_MODE, FILE_MODE
from dvc_branchflow.work.commits import CommitData

_REQUIREMENTS_FILE = "requirements.txt"
_PACKAGE = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.MULTILINE)
_MAX_PACKAGES = 100


def metrics_in(worktree: Path) -> dict[str, Any]:
    """Return metrics file → its content, of a worktree as it lies there."""
    try:
        shown = json.loads(dvc_text(["metrics", "show", "--json"], cwd=worktree))
    except (DvcError, ValueError):
        return {}
    files = shown.get("", {}).get("data", {})
    return {name: body["data"] for name, body in files.items() if "data" in body}


def environment(git: Git, data: CommitData) -> dict[str, str]:
    """Return platform, CPUs, and the versions of Python, DVC and what the commit's code requires.

    The code says what it requires in its `requirements.txt`; what is not installed is left out.
    """
    from importlib.metadata import PackageNotFoundError, version

    found = {
        "python": platform.python_version(),
        "platform": platform.platform(terse=True),
        "cpus": str(os.cpu_count()),
    }
    for name in ("dvc", "dvc-branchflow", *_required(git, data)):
        try:
            found[name] = version(name)
        except (PackageNotFoundError, ValueError):
            continue
    return found


def _required(git: Git, data: CommitData) -> Iterator[str]:
    entry = data.files.get(_REQUIREMENTS_FILE)
    if entry is None or entry.mode not in {FILE_MODE, EXECUTABLE_MODE}:
        return
    text = git.read_blobs([entry.sha])[entry.sha].decode(errors="replace")
    yield from dict.fromkeys(_PACKAGE.findall(text)[:_MAX_PACKAGES])
