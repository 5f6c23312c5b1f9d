"""Says what of a tree is code: all but pins, locks, results of runs and the model card."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dvc_branchflow.flow import BranchSpec
from dvc_branchflow.git import Git
from dvc_branchflow.gitobjects import EXECUTABLE_MODE, FILE_MODE, Entry, blob_id
from dvc_branchflow.lazy import hashlib
from dvc_branchflow.metafiles import Pipeline
from dvc_branchflow.metafiles.remotes import without_remotes
from dvc_branchflow.model import (
    CARD_FILE,
    DVC_CONFIG,
    LOCK_FILE,
    PARTITIONS_FILE,
    PINS_FILE,
    PIPELINE_FILE,
    POINTER_SUFFIX,
    LockedStage,
)
from dvc_branchflow.policy.facts import is_below
from dvc_branchflow.project import Project
from dvc_branchflow.tombstones import is_tombstone
from dvc_branchflow.values import dataclass, field
from dvc_branchflow.work.commits import CommitData

_PARAM_SUFFIXES = (".yaml", ".yml", ".json", ".toml")
_APART = frozenset({PINS_FILE, PARTITIONS_FILE, CARD_FILE})


@dataclass(frozen=True)
class CodeBoundary:
    """What is not code on a branch.

    A result of a run is what the pipeline declares *and* a lock says was made: neither a pattern
    in `dvc.yaml` nor a line in `dvc.lock` alone takes a file out of the code.

    Attributes:
        pipelines: folder → what its `dvc.yaml` declares.
        stages: what the `dvc.lock` files say was run.
        upstream_data: the paths that the branch's upstreams publish.
    """

    pipelines: Mapping[str, Pipeline]
    stages: Iterable[LockedStage]
    upstream_data: Iterable[str]
    _made: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        declared = [one for one in self.pipelines.values() if one.stages]
        self._made.update(
            path
            for stage in self.stages
            for path in stage.outs
            if any(pipeline.options_for(path) for pipeline in declared)
        )

    def is_code(self, path: str) -> bool:
        """Whether a file is code; params count as code."""
        name = path.rpartition("/")[2]
        if path in _APART or is_tombstone(path) or name == LOCK_FILE or self._is_pinned(path):
            return False
        return path not in self._made and not any(is_below(path, made) for made in self._made)

    def may_differ(self, path: str) -> bool:
        """Whether a file on stable may differ from the promoted one: no code, params, settings."""
        is_ignore_file = path.rpartition("/")[2] == ".gitignore"
        is_setting = is_ignore_file or path == DVC_CONFIG
        return self.is_param(path) or is_setting or not self.is_code(path)

    def is_param(self, path: str) -> bool:
        """Whether a file of code holds params; a script that DVC reads some from does not count."""
        is_named = any(path in pipeline.param_files for pipeline in self.pipelines.values())
        return is_named and path.endswith(_PARAM_SUFFIXES) and self.is_code(path)

    def _is_pinned(self, path: str) -> bool:
        if not path.endswith(POINTER_SUFFIX):
            return False
        out_path = path.removesuffix(POINTER_SUFFIX)
        return any(is_below(out_path, data) for data in self.upstream_data)


def code_files(project: Project, spec: BranchSpec, data: CommitData) -> dict[str, Entry]:
    """Return what of a commit is code: all that is no pin, lock, result of a run, or card."""
    owned = [project.spec(name).data for name in spec.upstreams]
    boundary = CodeBoundary({"": data.pipeline}, data.stages, [path for path in owned if path])
    return {path: entry for path, entry in data.files.items() if boundary.is_code(path)}


def code_digest(project: Project, spec: BranchSpec, data: CommitData) -> str:
    """Return a digest over what of a commit is code, wherever its outs go."""
    files = _unplaced(project.git, code_files(project, spec, data))
    lines = [f"{entry.mode} {entry.sha} {path}\n" for path, entry in sorted(files.items())]
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogatepass")).hexdigest()


def code_at(
    git: Git, data: CommitData, boundary: CodeBoundary, paths: Iterable[str]
) -> dict[str, Entry]:
    """Return what of some paths is code in a commit, wherever its outs go."""
    there = {path: data.files[path] for path in paths if path in data.files}
    return _unplaced(git, {p: entry for p, entry in there.items() if boundary.is_code(p)})


def _unplaced(git: Git, files: Mapping[str, Entry]) -> dict[str, Entry]:
    found = without_places(git, files)
    found.pop(DVC_CONFIG, None)
    return found


def without_places(git: Git, files: Mapping[str, Entry]) -> dict[str, Entry]:
    """Return files with each `dvc.yaml` as if its outs named no DVC remote: that is not code."""
    named = {path: e for path, e in files.items() if path.rpartition("/")[2] == PIPELINE_FILE}
    plain = {path: e for path, e in named.items() if e.mode in {FILE_MODE, EXECUTABLE_MODE}}
    blobs = git.read_blobs({entry.sha for entry in plain.values()})
    found = {
        path: Entry(entry.mode, blob_id(without_remotes(blobs[entry.sha], path)))
        for path, entry in plain.items()
    }
    return {**files, **found}
