"""What a commit says about data: its outs, pins and pipeline, read from Git objects alone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from dvc_branchflow.errors import ConfigError
from dvc_branchflow.git import Entry, Git
from dvc_branchflow.metafiles import (
    LockedStage,
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
    Out,
    Pins,
    Sha,
)


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


def read_commit(git: Git, sha: Sha) -> CommitData:
    """Return what a commit says about data."""
    return read_commits(git, [sha])[sha]


def read_commits(git: Git, shas: Sequence[Sha]) -> dict[Sha, CommitData]:
    """Return what commits say about data; each distinct blob is read and parsed once.

    Raises: ConfigError: metadata at a commit can't be read; the error names both.
    """
    shas = list(dict.fromkeys(shas))
    trees = git.files_of(shas)
    wanted = {e.sha for files in trees.values() for path, e in files.items() if _is_metadata(path)}
    reader = _Reader(git.read_blobs(wanted))
    found: dict[Sha, CommitData] = {}
    for sha in shas:
        try:
            found[sha] = reader.commit(sha, trees[sha])
        except ConfigError as error:
            raise ConfigError(f"{error.message} (in commit {sha[:10]})", hint=error.hint) from error
    return found


def _paths_in_git(files: Iterable[str]) -> set[str]:
    """Every path that Git itself holds, files and the folders above them."""
    held = set(files)
    for path in list(held):
        above = path.rpartition("/")[0]
        while above and above not in held:
            held.add(above)
            above = above.rpartition("/")[0]
    return held


def _is_metadata(path: str) -> bool:
    name = path.rpartition("/")[2]
    return name in {LOCK_FILE, PIPELINE_FILE} or path == PINS_FILE or is_pointer(path)


class _Reader:
    """Parses metadata, each blob at each path once."""

    def __init__(self, blobs: Mapping[Sha, bytes]) -> None:
        self._blobs = blobs
        self._pointers: dict[tuple[Sha, str], tuple[Out, ...]] = {}
        self._locks: dict[tuple[Sha, str], tuple[LockedStage, ...]] = {}
        self._pipelines: dict[tuple[Sha, str], Pipeline] = {}

    def commit(self, sha: Sha, files: Mapping[str, Entry]) -> CommitData:
        parsed = {p: self._pointer(files[p].sha, p) for p in filter(is_pointer, files)}
        outs = {out.path: out for group in parsed.values() for out in group}
        for path in files:
            if path.rpartition("/")[2] == LOCK_FILE:
                outs |= self._locked_outs(path.rpartition("/")[0], files)
        pins = files.get(PINS_FILE)
        return CommitData(
            sha=sha,
            files=files,
            pointers={path: group[0] for path, group in parsed.items() if len(group) == 1},
            stages=self._lock(files, ""),
            pipeline=self._pipeline(files, ""),
            pins=parse_pins(self._blobs[pins.sha]) if pins else Pins(),
            outs=outs,
        )

    def _pointer(self, sha: Sha, path: str) -> tuple[Out, ...]:
        if (sha, path) not in self._pointers:
            self._pointers[sha, path] = parse_pointer(self._blobs[sha], path)
        return self._pointers[sha, path]

    def _lock(self, files: Mapping[str, Entry], folder: str) -> tuple[LockedStage, ...]:
        entry = files.get(_at(folder, LOCK_FILE))
        if entry is None:
            return ()
        if (entry.sha, folder) not in self._locks:
            self._locks[entry.sha, folder] = parse_lock(self._blobs[entry.sha], folder)
        return self._locks[entry.sha, folder]

    def _pipeline(self, files: Mapping[str, Entry], folder: str) -> Pipeline:
        entry = files.get(_at(folder, PIPELINE_FILE))
        if entry is None:
            return Pipeline()
        if (entry.sha, folder) not in self._pipelines:
            self._pipelines[entry.sha, folder] = parse_pipeline(self._blobs[entry.sha], folder)
        return self._pipelines[entry.sha, folder]

    def _locked_outs(self, folder: str, files: Mapping[str, Entry]) -> dict[str, Out]:
        pipeline = self._pipeline(files, folder)
        in_git = _paths_in_git(files)
        found: dict[str, Out] = {}
        for stage in self._lock(files, folder):
            for path, out in stage.outs.items():
                options = pipeline.options_for(path)
                kept_here = options is not None and not (options.is_cached and options.is_pushed)
                if kept_here or path in in_git:
                    continue
                found[path] = replace(out, remote=options.remote if options else None)
        return found


def _at(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
