"""What has to lie on which DVC remote, so that plain `dvc pull` works at every commit.

Stricter than what is merely needed: what its pipeline keeps off the remotes is not asked for, and
each out is asked for on the remote that it names, or else on its commit's default one.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path

from dvc_branchflow.errors import ConfigError
from dvc_branchflow.gitobjects import EXECUTABLE_MODE, FILE_MODE, Entry
from dvc_branchflow.metafiles import Pipeline, is_pointer, parse_pipeline
from dvc_branchflow.model import DVC_CONFIG, LOCK_FILE, PIPELINE_FILE, Oid, Sha
from dvc_branchflow.objects import parse_dvc_config
from dvc_branchflow.project import Project
from dvc_branchflow.values import dataclass, field
from dvc_branchflow.work.commits import is_pushed
from dvc_branchflow.work.graph import Graph, Step
from dvc_branchflow.work.naming import Named
from dvc_branchflow.work.roots import Problem


@dataclass(slots=True)
class Required:
    """An object that has to be on a DVC remote; a directory stands for all its files.

    Attributes:
        remote: the DVC remote's name; None: no default one is configured.
        path: one of its paths.
        size_bytes: as its pointer says; of a directory all files' together.
        mask: the refs whose history asks for it (see `Graph`).
        tips: those whose tip does.
        commit: the oldest commit that does.
    """

    oid: Oid
    remote: str | None
    path: str
    size_bytes: int | None
    mask: int
    commit: Sha
    tips: int = 0


@dataclass(frozen=True, slots=True)
class _State:
    """What a commit's files say that others depend on.

    Attributes:
        default: the default DVC remote; None: main's.
        locks, pipelines: by folder.
    """

    default: str | None = None
    locks: Mapping[str, Entry] = field(default_factory=dict)
    pipelines: Mapping[str, Entry] = field(default_factory=dict)


class _Reader:
    """Follows the commits, parents first, and gathers what each asks for."""

    def __init__(self, project: Project, graph: Graph) -> None:
        self.found: dict[tuple[Oid, str | None], Required] = {}
        self.problems: dict[str, Problem] = {}
        self._project = project
        self._graph = graph
        self._states: dict[Sha, _State] = {}
        self._pipelines: dict[tuple[Sha, str], Pipeline] = {}
        self._defaults: dict[Sha, str | None] = {}

    def take(self, step: Step) -> None:
        """Take what a commit asks for and its first parent does not."""
        before = _State() if step.is_whole else self._states[step.node.parents[0]]
        state = self._state(before, step.files)
        self._states[step.node.sha] = state
        whole = step
        if state.default != before.default and not step.is_whole:
            whole = next(self._graph.wholes([step.node.sha]))
        self._require(whole, state, before)

    def take_tip(self, step: Step, bits: int) -> None:
        """Note that a tip asks for all that it holds."""
        state = self._state(_State(), step.files)
        self._require(step, state, _State(), bits)

    def _require(self, step: Step, state: _State, before: _State, tips: int = 0) -> None:
        for path, entry in step.files.items():
            if entry is not None and is_pointer(path):
                for one in self._graph.named_in(step, path, entry):
                    self._add(step, one, one.remote, state, tips)
        for folder, lock in state.locks.items():
            pipeline = state.pipelines.get(folder)
            is_same = (before.locks.get(folder), before.pipelines.get(folder)) == (lock, pipeline)
            if is_same and state.default == before.default:
                continue
            declared = self._pipeline(pipeline, folder)
            path = posixpath.join(folder, LOCK_FILE)
            for one in self._graph.named_in(step, path, lock):
                options = declared.options_for(one.path)
                if is_pushed(options, one.path, partial(self._is_in_git, step.node.tree)):
                    self._add(step, one, options.remote if options else None, state, tips)

    def _add(self, step: Step, one: Named, remote: str | None, state: _State, tips: int) -> None:
        if one.is_old:
            what = f"'{one.path}' in commit {step.node.sha[:10]}"
            why = "it was written by a DVC before 3, whose objects lie elsewhere"
            self.problems.setdefault(one.path, Problem(what, why, one.oid))
        if not one.is_stored:
            return
        name = (
            remote.lower() if remote else state.default or self._project.dvc_config.default_remote
        )
        known = self.found.get((one.oid, name))
        if known is None:
            known = Required(one.oid, name, one.path, one.size_bytes, step.mask, step.node.sha)
            self.found[one.oid, name] = known
        known.mask |= step.mask
        known.tips |= tips
        if known.size_bytes is None:
            known.size_bytes = one.size_bytes

    def _state(self, before: _State, files: Mapping[str, Entry | None]) -> _State:
        changed = {name: files[name] for name in files if not is_pointer(name)}
        if not changed:
            return before
        config = changed.get(DVC_CONFIG)
        default = self._default(config) if DVC_CONFIG in changed else before.default
        locks = _updated(before.locks, changed, LOCK_FILE)
        pipelines = _updated(before.pipelines, changed, PIPELINE_FILE)
        return _State(default, locks, pipelines)

    def _default(self, entry: Entry | None) -> str | None:
        """The default remote of a commit's own config, if it is one that we know."""
        if entry is None or entry.mode not in {FILE_MODE, EXECUTABLE_MODE}:
            return None
        if entry.sha not in self._defaults:
            text = self._graph.git.read_blobs([entry.sha])[entry.sha].decode(errors="replace")
            try:
                name = parse_dvc_config([(text, Path())]).default_remote
            except ConfigError:
                name = None
            known = name if name in self._project.dvc_config.remotes else None
            self._defaults[entry.sha] = known
        return self._defaults[entry.sha]

    def _pipeline(self, entry: Entry | None, folder: str) -> Pipeline:
        if entry is None or entry.mode not in {FILE_MODE, EXECUTABLE_MODE}:
            return Pipeline()
        if (entry.sha, folder) not in self._pipelines:
            content = self._graph.git.read_blobs([entry.sha])[entry.sha]
            try:
                parsed = parse_pipeline(content, folder)
            except ConfigError as error:
                parsed = Pipeline()
                what = f"'{posixpath.join(folder, PIPELINE_FILE)}' ({entry.sha[:10]})"
                self.problems.setdefault(what, Problem(what, error.message, entry.sha))
            self._pipelines[entry.sha, folder] = parsed
        return self._pipelines[entry.sha, folder]

    def _is_in_git(self, tree: Sha, path: str) -> bool:
        return self._graph.git.entry(tree, path) is not None


def find_required(
    project: Project, graph: Graph, tips: Mapping[Sha, int], without: Iterable[Sha]
) -> tuple[list[Required], list[Problem]]:
    """Return what the commits of a graph ask for, and what can't be told.

    Args:
        tips: commits that refs point at, with the refs' bits.
        without: commits whose data need not be kept any more.
    """
    reader = _Reader(project, graph)
    for step in graph.steps(frozenset(without)):
        reader.take(step)
    for step in graph.wholes(tips):
        reader.take_tip(step, tips[step.node.sha])
    return list(reader.found.values()), [*graph.problems, *reader.problems.values()]


def _updated(
    before: Mapping[str, Entry], changed: Mapping[str, Entry | None], name: str
) -> Mapping[str, Entry]:
    mine = {path: entry for path, entry in changed.items() if posixpath.basename(path) == name}
    if not mine:
        return before
    after = {**before, **{posixpath.dirname(path): entry for path, entry in mine.items() if entry}}
    for path, entry in mine.items():
        if entry is None:
            after.pop(posixpath.dirname(path), None)
    return after
