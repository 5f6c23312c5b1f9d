"""What can be seen of a run that is done: metrics and params that it wrote, its environment."""

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
from dvc_branchflow.gitobjects import EXECUTABLE_MODE, FILE_MODE, Entry
from dvc_branchflow.metafiles import parse_pipeline
from dvc_branchflow.model import PIPELINE_FILE
from dvc_branchflow.plain import load_mapping
from dvc_branchflow.policy.facts import is_below
from dvc_branchflow.project import Project
from dvc_branchflow.work.commits import CommitData
from dvc_branchflow.work.placing import put_in_place

_REQUIREMENTS_FILE = "requirements.txt"
_PACKAGE = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}", re.MULTILINE)
_MAX_PACKAGES = 100
_YAML = (".yaml", ".yml", ".json")


def metrics_in(worktree: Path) -> dict[str, Any]:
    """Return metrics file → its content, of a worktree as it lies there."""
    try:
        shown = json.loads(dvc_text(["metrics", "show", "--json"], cwd=worktree))
    except (DvcError, ValueError):
        return {}
    files = shown.get("", {}).get("data", {})
    return {name: body["data"] for name, body in files.items() if "data" in body}


def written_params(project: Project, data: CommitData, worktree: Path) -> dict[str, Any]:
    """Return the params that stages wrote themselves, as with DVCLive: file → its content.

    They are those that a `dvc.yaml` calls params and that are an out, or lie in one.
    """
    git = project.git
    pipelines = {path: e.sha for path, e in data.files.items() if _is_pipeline(path, e)}
    blobs = git.read_blobs(pipelines.values())
    named = {
        name
        for path, sha in pipelines.items()
        for name in parse_pipeline(blobs[sha], path.rpartition("/")[0]).param_files
        if name.endswith(_YAML)
    }
    made = {path for stage in data.stages for path in stage.outs}
    written = {n: out for n in sorted(named) for out in made if is_below(n, out)}
    # Those of a stage that had nothing to do may not be in place.
    absent = {out for name, out in written.items() if not (worktree / name).exists()}
    put_in_place(project, worktree, [data.outs[out] for out in absent & data.outs.keys()], _quiet)
    files = {name: worktree / name for name in written}
    return {
        name: load_mapping(file.read_bytes(), name)
        for name, file in files.items()
        if file.is_file() and file.resolve().is_relative_to(worktree.resolve())
    }


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


def _is_pipeline(path: str, entry: Entry) -> bool:
    is_file = entry.mode in {FILE_MODE, EXECUTABLE_MODE}
    return path.rpartition("/")[2] == PIPELINE_FILE and is_file


def _required(git: Git, data: CommitData) -> Iterator[str]:
    entry = data.files.get(_REQUIREMENTS_FILE)
    if entry is None or entry.mode not in {FILE_MODE, EXECUTABLE_MODE}:
        return
    text = git.read_blobs([entry.sha])[entry.sha].decode(errors="replace")
    yield from dict.fromkeys(_PACKAGE.findall(text)[:_MAX_PACKAGES])


def _quiet(_: str) -> None:
    """Say nothing."""
