"""Takes the params that an experiment changed, and nothing else of it, onto a branch's tip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dvc_branchflow.errors import ConfigError, FlowError
from dvc_branchflow.git import Change
from dvc_branchflow.git.lines import merged
from dvc_branchflow.gitobjects import EXECUTABLE_MODE, FILE_MODE, Entry
from dvc_branchflow.plain import load_values
from dvc_branchflow.policy.any_branch import MAX_GIT_BYTES
from dvc_branchflow.project import Project
from dvc_branchflow.query import flat
from dvc_branchflow.work.code import CodeBoundary
from dvc_branchflow.work.commits import CommitData
from dvc_branchflow.work.experiments import Experiment

_NAMED = 5


@dataclass(frozen=True, slots=True)
class ParamsPlan:
    """The files to change on a branch, and each param with its old and its new value."""

    changes: tuple[Change, ...]
    params: Mapping[str, tuple[object, object]]


def plan_params(
    project: Project,
    experiment: Experiment,
    base: CommitData,
    made: CommitData,
    tip: CommitData,
) -> ParamsPlan:
    """Work out how the params that an experiment changed come onto a branch's tip.

    Args:
        base: the commit that it was run on.
        made: the experiment's own commit.
        tip: the branch's tip, which may have gone on since.
    Raises: FlowError: it changed code or data as well, or no params, or params that the branch
        changed in another way since.
    """
    paths = _changed_params(project, experiment, base, made)
    changes: list[Change] = []
    params: dict[str, tuple[object, object]] = {}
    for path in paths:
        old, content = _merged(project, experiment, path, (base, made, tip))
        prefix = f"{path}:" if len(paths) > 1 else ""
        before, after = _values(old, path), _values(content, path)
        for name in dict.fromkeys([*before, *after]):
            if repr(before.get(name)) != repr(after.get(name)):  # NaN is no other NaN's equal
                params[prefix + name] = (before.get(name), after.get(name))
        if content != old:
            changes.append(Change(path, content, mode=_mode(tip, path)))
    return ParamsPlan(tuple(changes), params)


def _changed_params(
    project: Project, experiment: Experiment, base: CommitData, made: CommitData
) -> list[str]:
    """The param files that an experiment changed, where it changed no code and no data besides."""
    name = experiment.name
    if made.pins != base.pins or made.pointers != base.pointers:
        raise FlowError(f"experiment '{name}' did not run on the data of the commit below it")
    owned = [spec.data for spec in project.specs.values() if spec.data]
    sides = [CodeBoundary({"": one.pipeline}, one.stages, owned) for one in (base, made)]
    paths = sorted(base.files.keys() | made.files.keys())
    changed = [path for path in paths if base.files.get(path) != made.files.get(path)]
    code = [
        path
        for path in changed
        if not all(side.may_differ(path) for side in sides) or _is_gone(path, made, sides)
    ]
    if code:
        more = f" and {len(code) - _NAMED} more" if len(code) > _NAMED else ""
        raise FlowError(
            f"experiment '{name}' changed code as well, which goes through review: "
            f"{', '.join(code[:_NAMED])}{more}",
            hint=f"dvc exp branch {name} NEW_BRANCH",
        )
    params = [path for path in changed if any(side.is_param(path) for side in sides)]
    if not params:
        raise FlowError(f"experiment '{name}' changed no params", hint="dvc exp show")
    return params


def _is_gone(path: str, made: CommitData, sides: Sequence[CodeBoundary]) -> bool:
    return path not in made.files and any(side.is_param(path) for side in sides)


def _merged(
    project: Project, experiment: Experiment, path: str, sides: Sequence[CommitData]
) -> tuple[bytes, bytes]:
    """What a param file holds on the branch, and what it is to hold."""
    entries = [side.files.get(path) for side in sides]
    base, theirs, ours = (_content(project, entry, path) for entry in entries)
    if ours in {base, theirs}:
        return ours, theirs
    content = merged(project.git, base, ours, theirs)
    if content is None or not _is_true(path, base, theirs, ours, content):
        raise FlowError(
            f"'{path}' changed on the branch since experiment '{experiment.name}' ran, where the "
            "experiment changed it as well",
            hint=f"dvc exp apply {experiment.name}  # on the branch; then commit '{path}' alone",
        )
    return ours, content


def _is_true(path: str, base: bytes, theirs: bytes, ours: bytes, content: bytes) -> bool:
    """Whether each param is the experiment's where that changed it, and else the branch's."""
    try:
        old, new, now, made = (
            {name: repr(value) for name, value in _values(one, path).items()}
            for one in (base, theirs, ours, content)
        )
    except ConfigError:
        return False
    wanted = {n: v for n, v in now.items() if n in new or n not in old}
    wanted |= {n: v for n, v in new.items() if n not in old or old[n] != v}
    return made == wanted


def _content(project: Project, entry: Entry | None, path: str) -> bytes:
    if entry is None:
        return b""
    is_plain = entry.mode in {FILE_MODE, EXECUTABLE_MODE}
    if not is_plain or project.git.sizes([entry.sha])[entry.sha] > MAX_GIT_BYTES:
        raise FlowError(f"'{path}' is no plain file, or too large for params")
    return project.git.read_blobs([entry.sha])[entry.sha]


def _mode(data: CommitData, path: str) -> str:
    return data.files[path].mode if path in data.files else FILE_MODE


def _values(content: bytes, path: str) -> dict[str, object]:
    return flat(load_values(content, path)) if content.strip() else {}
