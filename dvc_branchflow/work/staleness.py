"""Says which stages' results were not made from what a commit holds, as far as Git can tell.

Code and params are compared by content, pins and outs by oid. DVC itself is not asked, so a changed
`cmd` goes unseen here, and is seen by `dvc repro`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from dvc_branchflow.metafiles import Pipeline
from dvc_branchflow.model import LockedStage, Oid
from dvc_branchflow.plain import load_mapping
from dvc_branchflow.policy.facts import is_below
from dvc_branchflow.project import Project
from dvc_branchflow.work.commits import CommitData
from dvc_branchflow.work.folders import folder_oid, git_oids, outs_below
from dvc_branchflow.work.transfer import manifest_of


def is_current(project: Project, data: CommitData, *, may_fetch: bool = False) -> bool:
    """Whether `dvc.lock` was made from what the commit holds.

    Args:
        may_fetch: bring manifests from the DVC remote where a folder's oid needs them; without,
            a folder of pins whose manifests are not in the cache is taken as it is.
    """
    return not next(_behind(project, data, may_fetch=may_fetch), "")


def stages_to_run(project: Project, data: CommitData) -> tuple[str, ...]:
    """Return the stages that are behind and all that comes after them, as `dvc.yaml` lists them.

    A stage after one that makes the same again is passed over by `dvc repro` all the same.
    """
    chosen = data.pipeline.stages.keys() & set(_behind(project, data, may_fetch=True))
    deps, outs = _ends(data.pipeline, data.stages)
    while True:
        made = [path for name in chosen for path in outs[name]]
        after = {name for name, paths in deps.items() if _meet(paths, made)} - chosen
        if not after:
            return tuple(name for name in data.pipeline.stages if name in chosen)
        chosen |= after


def _behind(project: Project, data: CommitData, *, may_fetch: bool) -> Iterator[str]:
    """The stages of `dvc.yaml` that never ran, or ran on something else; some more than once."""
    ran = {_declared(stage) for stage in data.stages}
    yield from (name for name in data.pipeline.stages if name not in ran)
    made = {path: out.oid for stage in data.stages for path, out in stage.outs.items()}
    held = {out.path: out.oid for out in data.pointers.values()}
    deps = {path for stage in data.stages for path in stage.deps}
    in_git = git_oids(project.git, data, deps - held.keys())
    folders = _folders(project, data, deps - held.keys() - made.keys(), may_fetch=may_fetch)
    for stage in data.stages:
        for path, oid in stage.deps.items():
            known = (places.get(path) for places in (held, in_git, made, folders))
            now = next((found for found in known if found), None)
            if now is not None and now != oid:
                yield _declared(stage)
    covers = tuple(f"{path}/" for path in deps)
    for path in held:
        if path not in deps and not path.startswith(covers):
            yield from (name for name, one in data.pipeline.stages.items() if one.needs(path))
    yield from _with_other_params(project, data)


def _declared(stage: LockedStage) -> str:
    """The name in `dvc.yaml` of a stage that may have come out of a matrix."""
    return stage.name.partition("@")[0]


def _folders(
    project: Project, data: CommitData, deps: Iterable[str], *, may_fetch: bool
) -> dict[str, Oid]:
    """The oids of deps that are folders, as far as their manifests are here or may be fetched."""
    found: dict[str, Oid] = {}
    for dep in deps:
        outs = [out for out in outs_below(data, dep) if out.is_dir]
        if may_fetch or all(project.cache.has(out.oid) for out in outs):
            manifests = {out.oid: manifest_of(project, out) for out in outs}
            oid = folder_oid(project.git, data, dep, manifests)
            found |= {dep: oid} if oid else {}
    return found


def _with_other_params(project: Project, data: CommitData) -> Iterator[str]:
    named = {name for stage in data.stages for name in stage.params if name in data.files}
    blobs = project.git.read_blobs(data.files[name].sha for name in named)
    values = {
        name: load_mapping(blobs[data.files[name].sha], name, aliases=True)
        for name in named
        if name.endswith((".yaml", ".yml"))
    }
    for stage in data.stages:
        for name, params in stage.params.items():
            given = values.get(name)
            if given is not None and any(_look_up(given, k) != v for k, v in params.items()):
                yield _declared(stage)


def _look_up(values: Any, dotted: str) -> Any:
    for part in dotted.split("."):
        if not isinstance(values, dict) or part not in values:
            return None
        values = values[part]
    return values


def _ends(
    pipeline: Pipeline, stages: Iterable[LockedStage]
) -> tuple[dict[str, set[str]], dict[str, set[str]]]:
    """The deps and the outs of each declared stage, by `dvc.lock`, or else as far as named."""
    deps = {name: set(stage.literal_deps) for name, stage in pipeline.stages.items()}
    outs = {
        name: {out.pattern.parts[0] for out in stage.outs if len(out.pattern.parts) == 1}
        for name, stage in pipeline.stages.items()
    }
    for stage in stages:
        if (name := _declared(stage)) in deps:
            deps[name] |= stage.deps.keys()
            outs[name] |= stage.outs.keys()
    return deps, outs


def _meet(some: Iterable[str], others: Iterable[str]) -> bool:
    others = list(others)
    return any(is_below(a, b) or is_below(b, a) for a in some for b in others)
