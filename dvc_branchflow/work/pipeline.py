"""Runs a branch's pipeline in its worktree, and says what of the result belongs into Git."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from dvc_branchflow.dvcio import dvc
from dvc_branchflow.errors import RunError
from dvc_branchflow.git import Change
from dvc_branchflow.gitobjects import EXECUTABLE_MODE, FILE_MODE, LINK_MODE
from dvc_branchflow.metafiles import parse_lock
from dvc_branchflow.model import LOCK_FILE, PIPELINE_FILE, POINTER_SUFFIX, LockedStage, Out
from dvc_branchflow.plain import load_mapping
from dvc_branchflow.project import Project
from dvc_branchflow.values import dataclass
from dvc_branchflow.work.commits import CommitData
from dvc_branchflow.work.placing import put_in_place
from dvc_branchflow.work.transfer import Report

_IGNORE_FILE = ".gitignore"
_DESCRIBING = frozenset({"artifacts", "metrics", "params", "plots"})
_FAILURE = re.compile(r"ERROR: (.*)")


@dataclass(frozen=True, slots=True)
class RunResult:
    """What a run of a pipeline leaves: changes for Git, and what it was seen to write besides.

    `stages` are those that really ran, by the log. `described` are the `dvc.yaml` files among the
    changes, whose stages are as they were.
    """

    changes: tuple[Change, ...]
    described: tuple[str, ...]
    strays: tuple[str, ...]
    stages: tuple[str, ...]
    log: Path


def needed_outs(data: CommitData, pinned: Mapping[str, Out], to_run: Collection[str]) -> list[Out]:
    """Return what has to lie in the workspace before `dvc repro` may run.

    A stage that names a pinned out exactly, and ran on this very content, is passed over by
    `dvc repro --allow-missing` with nothing there. All else has to be complete: a stage that
    depends on a folder above several outs would silently run on the part that it finds. What a
    stage needs that is going to run is put in place too: DVC would pull it file by file, each time.

    Args:
        to_run: the stages that are known to run.
    """
    locked = {path: oid for stage in data.stages for path, oid in stage.deps.items()}
    covering = {
        path for stage in data.pipeline.stages.values() for path in stage.literal_deps
    } | set(locked)
    inputs = pinned.keys() | {out.path for out in data.pointers.values()}
    needed: dict[str, Out] = {}
    for path, out in {**data.outs, **pinned}.items():
        is_covered = any(path.startswith(f"{above}/") for above in covering)
        is_dep = any(stage.needs(path) for stage in data.pipeline.stages.values())
        is_new = path in pinned and locked.get(path) != out.oid and is_dep
        is_read = path in inputs and any(data.pipeline.stages[name].needs(path) for name in to_run)
        if is_covered or is_new or is_read:
            needed[path] = out
    return list(needed.values())


def reproduce(
    project: Project,
    worktree: Path,
    data: CommitData,
    needed: Iterable[Out],
    log: Path,
    *,
    env: Mapping[str, str],
    report: Report,
) -> RunResult:
    """Put the needed data in place, run `dvc repro`, and collect what changed.

    Raises: RunError: a stage failed; its output is in the log. Nothing else was touched.
    """
    if PIPELINE_FILE not in data.files or not data.pipeline.stages:
        return RunResult((), (), (), (), log)
    put_in_place(project, worktree, needed, report)
    report("dvc repro")
    output = _repro(worktree, ["--pull", "--allow-missing"], log, env)
    return _collect(project, worktree, data, output, log)


def run_anew(
    project: Project,
    worktree: Path,
    data: CommitData,
    log: Path,
    *,
    env: Mapping[str, str],
    report: Report,
) -> tuple[str, ...]:
    """Run every stage of a pipeline whose inputs lie ready, whatever ran before; return the stages.

    What they make stays in the worktree: neither the cache nor the run-cache gets any of it.

    Raises: RunError: a stage failed, or changed an input; its output is in the log.
    """
    report("dvc repro, every stage")
    output = _repro(worktree, ["--force", "--no-run-cache", "--no-commit"], log, env)
    _changed(project, worktree, data, log)
    return _ran(output)


def _repro(worktree: Path, options: Sequence[str], log: Path, env: Mapping[str, str]) -> str:
    """Run `dvc repro`, and return what it and its stages printed."""
    with log.open("wb") as file:
        code = dvc(["--wait-for-lock", "repro", *options], cwd=worktree, log=file, env=env)
    output = log.read_text(encoding="utf-8", errors="replace")
    if code:
        raise RunError(
            f"the pipeline failed: {_failure(output, code)}", hint=f"less '{log}'", log=str(log)
        )
    return output


def _ran(output: str) -> tuple[str, ...]:
    return tuple(re.findall(r"^Running stage '(.+?)':", output, re.MULTILINE))


def _failure(output: str, code: int) -> str:
    """Why `dvc repro` failed: what DVC says, and what the stage itself said last, if it did."""
    found = _FAILURE.search(output)
    reason = found[1].strip() if found else f"dvc repro ended with exit code {code}"
    own = re.findall(r"^error: (.+)$", output, re.MULTILINE)
    return f"{reason[:300]}: {own[-1].strip()[:300]}" if own else reason[:300]


def _collect(
    project: Project, worktree: Path, data: CommitData, output: str, log: Path
) -> RunResult:
    results, described, strays = _changed(project, worktree, data, log)
    changes = tuple(_change(worktree, path) for path in sorted([*results, *described]))
    return RunResult(changes, tuple(described), tuple(strays), _ran(output), log)


def _changed(
    project: Project, worktree: Path, data: CommitData, log: Path
) -> tuple[list[str], list[str], list[str]]:
    """The changed paths: results of stages, `dvc.yaml` where no stage differs, and all others.

    Raises: RunError: the pointer of an input is among them.
    """
    lock = worktree / LOCK_FILE
    declared = _declared(parse_lock(lock.read_bytes()) if lock.is_file() else ())
    results: list[str] = []
    described: list[str] = []
    strays: list[str] = []
    for path in project.git.changed_paths(worktree):
        name = path.rpartition("/")[2]
        is_out = path in declared or path.startswith(tuple(f"{p}/" for p in declared))
        if is_out or name in {LOCK_FILE, _IGNORE_FILE}:
            results.append(path)
        elif name.endswith(POINTER_SUFFIX):
            raise RunError(
                f"a stage changed '{path}', the pointer of its input",
                hint=f"less '{log}'",
                log=str(log),
            )
        elif name == PIPELINE_FILE and _runs_the_same(project, worktree, data, path):
            described.append(path)
        else:
            strays.append(path)
    return results, described, strays


def _runs_the_same(project: Project, worktree: Path, data: CommitData, path: str) -> bool:
    """Whether a changed `dvc.yaml` differs in no stage: DVCLive lists there what it writes."""
    file = worktree / path
    if file.is_symlink() or not file.is_file():
        return False
    old = [data.files[path].sha] if path in data.files else []
    before = [*project.git.read_blobs(old).values(), b""][0]
    then, now = (load_mapping(text, path, aliases=True) for text in (before, file.read_bytes()))
    keys = (then.keys() | now.keys()) - _DESCRIBING
    return all(then.get(key) == now.get(key) for key in keys)


def _declared(stages: Iterable[LockedStage]) -> set[str]:
    return {path for stage in stages for path in stage.outs}


def _change(worktree: Path, path: str) -> Change:
    file = worktree / path
    if file.is_symlink():
        return Change(path, os.fsencode(file.readlink()), mode=LINK_MODE)
    if not file.exists():
        return Change(path)
    mode = EXECUTABLE_MODE if os.access(file, os.X_OK) else FILE_MODE
    return Change(path, file.read_bytes(), mode=mode)
