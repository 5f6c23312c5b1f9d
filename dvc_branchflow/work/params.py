"""Takes the params that an experiment changed, and nothing else of it, onto a branch's tip."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from dvc_branchflow.errors import ConfigError, FlowError
from dvc_branchflow.git import Change
from dvc_branchflow.git.lines import merged
from dvc_branchflow.gitobjects import EXECUTABLE_MODE, FILE_MODE
from dvc_branchflow.plain import load_values, with_values
from dvc_branchflow.policy.any_branch import MAX_GIT_BYTES
from dvc_branchflow.project import Project
from dvc_branchflow.query import flat
from dvc_branchflow.values import dataclass
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
        old, theirs, now = (_content(project, one, path) for one in (base, made, tip))
        values = [_values(content, path) for content in (old, theirs, now)]
        wanted = _wanted(experiment, *values)
        prefix = f"{path}:" if len(paths) > 1 else ""
        for name in dict.fromkeys([*values[2], *wanted]):
            pair = (values[2].get(name), wanted.get(name))
            if _differ(*pair):
                params[prefix + name] = pair
        content = _merged(project, path, wanted, old, theirs, now)
        if content != now:
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


def _wanted(
    experiment: Experiment,
    base: Mapping[str, object],
    theirs: Mapping[str, object],
    ours: Mapping[str, object],
) -> dict[str, object]:
    """Each param as the experiment has it where it changed it, and else as the branch has it."""
    changed = [n for n in {**base, **theirs} if _differ(base.get(n), theirs.get(n))]
    both = [
        name
        for name in changed
        if _differ(ours.get(name), base.get(name)) and _differ(ours.get(name), theirs.get(name))
    ]
    if both:
        raise FlowError(
            f"the branch changed {', '.join(map(repr, both[:_NAMED]))} in another way since "
            f"experiment '{experiment.name}' ran",
            hint="set it on the branch, and commit",
        )
    wanted = {name: value for name, value in ours.items() if name in theirs or name not in base}
    return wanted | {name: theirs[name] for name in changed if name in theirs}


def _merged(
    project: Project,
    path: str,
    wanted: Mapping[str, object],
    base: bytes,
    theirs: bytes,
    ours: bytes,
) -> bytes:
    """The branch's param file with the wanted values; of the rest as much as can be kept.

    DVC lays the whole file out anew where it sets a param, so that a merge is the second best.
    """
    now = _values(ours, path)
    edited = {name: value for name, value in wanted.items() if _differ(now.get(name), value)}
    candidates: tuple[Callable[[], bytes | None], ...] = (
        lambda: ours,
        lambda: with_values(ours, path, edited),
        lambda: merged(project.git, base, ours, theirs),
        lambda: theirs if ours == base else None,
    )
    for candidate in candidates:
        content = candidate()
        if content is not None and _holds(content, path, wanted):
            return content
    raise FlowError(
        f"'{path}' changed too much on the branch for its params to be set there",
        hint=f"set by hand, and commit: {', '.join(list(edited)[:_NAMED])}",
    )


def _holds(content: bytes, path: str, wanted: Mapping[str, object]) -> bool:
    try:
        found = _values(content, path)
    except ConfigError:
        return False
    return found.keys() == wanted.keys() and not any(
        _differ(found[name], value) for name, value in wanted.items()
    )


def _differ(one: object, other: object) -> bool:
    return repr(one) != repr(other)  # so that NaN equals NaN, and 1 is not 1.0


def _content(project: Project, data: CommitData, path: str) -> bytes:
    entry = data.files.get(path)
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
