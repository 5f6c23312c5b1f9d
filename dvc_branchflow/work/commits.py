"""What a commit says about data: its outs, pins and pipeline, read from Git objects alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

from dvc_branchflow.errors import ConfigError
from dvc_branchflow.git import Git
from dvc_branchflow.gitobjects import EXECUTABLE_MODE, FILE_MODE, Entry
from dvc_branchflow.metafiles import (
    OutOptions,
    Pipeline,
    is_pointer,
    parse_lock,
    parse_pins,
    parse_pipeline,
    parse_pointer,
)
from dvc_branchflow.model import (
    LOCK_FILE,
    PINS_FILE,
    PIPELINE_FILE,
    LockedStage,
    Out,
    Pins,
    Sha,
)
from dvc_branchflow.tombstones import Tombstone, is_tombstone, parse_tombstone
from dvc_branchflow.values import dataclass, replace


@dataclass(frozen=True, slots=True)
class CommitData:
    """A commit's tree, as far as data is concerned.

    Attributes:
        files: every path in Git, with its mode and object.
        pointers: path of each `.dvc` file with a single out → that out.
        stages: what the root `dvc.lock` says was run.
        outs: every path that DVC tracks and pushes → its out, from pointers and locks.
    """

    sha: Sha
    files: Mapping[str, Entry]
    pointers: Mapping[str, Out]
    stages: tuple[LockedStage, ...]
    pipeline: Pipeline
    pins: Pins
    outs: Mapping[str, Out]

    def snapshot(self, data: str) -> dict[str, Out]:
        """Return the outs at or below the path `data`."""
        return {p: out for p, out in self.outs.items() if p == data or p.startswith(f"{data}/")}


@dataclass(frozen=True, slots=True)
class Metadata:
    """What the metadata files of a tree say, those apart that can't be read.

    Attributes:
        pointers: path of each `.dvc` file → its outs.
        locks: folder of each `dvc.lock` → what it says was run.
        pipelines: folder of each `dvc.yaml` → what it declares.
        tombstones: path → what was erased.
        problems: path of a file that can't be read → why.
    """

    pointers: Mapping[str, tuple[Out, ...]]
    locks: Mapping[str, tuple[LockedStage, ...]]
    pipelines: Mapping[str, Pipeline]
    pins: Pins
    tombstones: Mapping[str, Tombstone]
    problems: Mapping[str, ConfigError]

    @property
    def pointed(self) -> dict[str, Out]:
        """The outs of `.dvc` files by their paths."""
        return {out.path: out for group in self.pointers.values() for out in group}

    def outs(self, is_in_git: Callable[[str], bool]) -> dict[str, Out]:
        """Return every path that DVC tracks and pushes, and its out.

        Args:
            is_in_git: asked of locked outs that no pipeline declares.
        """
        found = self.pointed
        for folder, stages in self.locks.items():
            pipeline = self.pipelines.get(folder, Pipeline())
            for out in (out for stage in stages for out in stage.outs.values()):
                options = pipeline.options_for(out.path)
                if is_pushed(options, out.path, is_in_git):
                    found[out.path] = replace(out, remote=options.remote if options else None)
        return found


def is_pushed(options: OutOptions | None, path: str, is_in_git: Callable[[str], bool]) -> bool:
    """Whether a locked out goes to a DVC remote, by what its pipeline declares (None: nothing)."""
    if options is None:
        return not is_in_git(path)
    return options.is_cached and options.is_pushed


def read_commit(git: Git, sha: Sha) -> CommitData:
    """Return what a commit says about data."""
    return read_commits(git, [sha])[sha]


def read_commits(git: Git, shas: Sequence[Sha]) -> dict[Sha, CommitData]:
    """Return what commits say about data; each distinct blob is read and parsed once.

    Raises: ConfigError: metadata at a commit can't be read; the error names both.
    """
    return CommitReader(git).read(shas)


class CommitReader:
    """Reads what commits say about data, each of them once however often it is asked for."""

    def __init__(self, git: Git) -> None:
        self._git = git
        self._parser = MetadataParser({})
        self._found: dict[Sha, CommitData | ConfigError] = {}

    def load(self, shas: Iterable[Sha]) -> None:
        """Read commits in few batches; what is wrong with one is said when it is asked for."""
        trees = self._git.files_of([sha for sha in dict.fromkeys(shas) if sha not in self._found])
        files = [item for tree in trees.values() for item in tree.items()]
        self._parser.add(self._git.read_blobs({e.sha for path, e in files if is_metadata(path)}))
        for sha, tree in trees.items():
            try:
                self._found[sha] = _commit_data(sha, tree, self._parser)
            except ConfigError as error:
                self._found[sha] = error

    def read(self, shas: Iterable[Sha]) -> dict[Sha, CommitData]:
        """Return what commits say about data. Raises: ConfigError: see `read_commits`."""
        self.load(shas := list(shas))
        return {sha: _readable(self._found[sha]) for sha in shas}


def is_metadata(path: str) -> bool:
    """Whether a path of a tree is a file of DVC's or ours that says something about data."""
    name = path.rpartition("/")[2]
    is_dvcs = name in {LOCK_FILE, PIPELINE_FILE} or is_pointer(path)
    return is_dvcs or path == PINS_FILE or is_tombstone(path)


class MetadataParser:
    """Parses metadata, each blob at each path once."""

    def __init__(self, blobs: Mapping[Sha, bytes]) -> None:
        self._blobs = dict(blobs)
        self._parsed: dict[tuple[Sha, str], Any] = {}

    def add(self, blobs: Mapping[Sha, bytes]) -> None:
        """Take in more blobs."""
        self._blobs |= blobs

    def read(self, entries: Mapping[str, Entry]) -> Metadata:
        """Return what a tree's metadata files say. Never raises: see `problems`."""
        pointers: dict[str, tuple[Out, ...]] = {}
        locks: dict[str, tuple[LockedStage, ...]] = {}
        pipelines: dict[str, Pipeline] = {}
        pins = Pins()
        tombstones: dict[str, Tombstone] = {}
        problems: dict[str, ConfigError] = {}
        for path, entry in entries.items():
            parsed = self._file(entry, path)
            folder, _, name = path.rpartition("/")
            if isinstance(parsed, ConfigError):
                problems[path] = parsed
            elif name == LOCK_FILE:
                locks[folder] = parsed
            elif name == PIPELINE_FILE:
                pipelines[folder] = parsed
            elif path == PINS_FILE:
                pins = parsed
            elif is_tombstone(path):
                tombstones[path] = parsed
            else:
                pointers[path] = parsed
        problems |= _overlaps(pointers, locks)
        return Metadata(pointers, locks, pipelines, pins, tombstones, problems)

    def _file(self, entry: Entry, path: str) -> Any:
        key = (entry.sha, path)
        if entry.mode not in {FILE_MODE, EXECUTABLE_MODE}:
            return ConfigError(f"'{path}' is no plain file")
        if key not in self._parsed:
            try:
                self._parsed[key] = self._parse(entry.sha, path)
            except ConfigError as error:
                self._parsed[key] = error
        return self._parsed[key]

    def _parse(self, sha: Sha, path: str) -> Any:
        if sha not in self._blobs:
            raise ConfigError(f"'{path}' is too large to be read")
        data = self._blobs[sha]
        folder, _, name = path.rpartition("/")
        if name == LOCK_FILE:
            return parse_lock(data, folder)
        if name == PIPELINE_FILE:
            return parse_pipeline(data, folder)
        if is_tombstone(path):
            return parse_tombstone(data, path)
        return parse_pins(data) if path == PINS_FILE else parse_pointer(data, path)


def _overlaps(
    pointers: Mapping[str, tuple[Out, ...]], locks: Mapping[str, tuple[LockedStage, ...]]
) -> dict[str, ConfigError]:
    """Files that claim an out which is another file's too, or lies in one, as DVC refuses it."""
    claims = [(out.path, path) for path, outs in pointers.items() for out in outs]
    claims += [
        (out, f"{folder}/{LOCK_FILE}".lstrip("/"))
        for folder, stages in locks.items()
        for stage in stages
        for out in stage.outs
    ]
    claims.sort(key=lambda claim: [*claim[0].split("/")])
    found: dict[str, ConfigError] = {}
    for (out, path), (other, other_path) in pairwise(claims):
        if f"{other}/".startswith(f"{out}/"):
            error = ConfigError(
                f"out '{other}' of '{other_path}' overlaps with '{out}' of '{path}'"
            )
            found |= {path: error, other_path: error}
    return found


def _readable(found: CommitData | ConfigError) -> CommitData:
    if isinstance(found, ConfigError):
        raise found
    return found


def _commit_data(sha: Sha, files: Mapping[str, Entry], parser: MetadataParser) -> CommitData:
    read = parser.read({path: entry for path, entry in files.items() if is_metadata(path)})
    for error in read.problems.values():
        raise ConfigError(f"{error.message} (in commit {sha[:10]})", hint=error.hint)
    return CommitData(
        sha=sha,
        files=files,
        pointers={path: group[0] for path, group in read.pointers.items() if len(group) == 1},
        stages=read.locks.get("", ()),
        pipeline=read.pipelines.get("", Pipeline()),
        pins=read.pins,
        outs=read.outs(lambda path: _is_in_git(files, path)),
    )


def _is_in_git(files: Mapping[str, Entry], path: str) -> bool:
    return path in files or any(name.startswith(f"{path}/") for name in files)
