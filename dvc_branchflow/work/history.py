"""Reads what many commits change and hold in few batches, whatever hostile thing is in them.

Trees are not walked commit by commit: the metadata of a commit is that of its first parent with
the commit's own changes on top, so that the cost grows with what is judged, not with the trees.
"""

from __future__ import annotations

import json
from collections.abc import Container, Iterable, Mapping
from typing import Any

from dvc_branchflow.git import Git
from dvc_branchflow.gitobjects import EMPTY_TREE, MODULE_MODE, Commit, Entry, TreeChange
from dvc_branchflow.metafiles import Pipeline
from dvc_branchflow.model import LOCK_FILE, PIPELINE_FILE, PLAN_FILE, LockedStage, Sha
from dvc_branchflow.policy.any_branch import MAX_GIT_BYTES
from dvc_branchflow.policy.facts import Held, PathChange
from dvc_branchflow.work.commits import Metadata, MetadataParser, is_metadata

_MAX_METADATA_BYTES = 32 * 1024 * 1024  # of one judgement; YAML takes a second a MiB
_MAX_REPORT_BYTES = 256 * 1024
_LFS = b"version https://git-lfs.github.com/spec/"
_LFS_BYTES = range(100, 1025)  # by its specification, a pointer is smaller than 1024 bytes
_PACK = 100


class History:
    """Commits with their changes and what they hold, each read once."""

    def __init__(self, git: Git) -> None:
        self._git = git
        self.commits: dict[Sha, Commit] = {}
        self._loaded: set[Sha] = set()
        self._diffs: dict[tuple[Sha, Sha], list[TreeChange]] = {}
        self._metadata: dict[Sha, dict[str, Entry]] = {}
        self._held: dict[Sha, Held] = {}
        self._read: dict[int, Metadata] = {}
        self._sizes: dict[Sha, int] = {}
        self._lfs: set[Sha] = set()
        self._parser = MetadataParser({})
        self._parsed: set[Sha] = set()
        self._budget_bytes = _MAX_METADATA_BYTES

    def load(self, commits: Iterable[Sha]) -> None:
        """Read commits and their changes against each parent. All of them have to be here."""
        wanted = [sha for sha in dict.fromkeys(commits) if sha not in self._loaded]
        self._loaded |= set(wanted)
        self.commits |= self._git.commits(sha for sha in wanted if sha not in self.commits)
        parents = [parent for sha in wanted for parent in self.commits[sha].parents]
        self.commits |= self._git.commits(p for p in parents if p not in self.commits)
        pairs = [(self.tree(p), self.tree(sha)) for sha in wanted for p in self._bases(sha)]
        self._load_diffs(pairs)

    def tree(self, sha: Sha | None) -> Sha:
        """Return a commit's tree; the empty one for no commit."""
        return self.commits[sha].tree if sha else EMPTY_TREE

    def changed(self, sha: Sha) -> tuple[PathChange, ...]:
        """Return what a commit changes against its first parent."""
        return tuple(map(self._path_change, self._changes(sha)))

    def introduced(self, sha: Sha) -> tuple[PathChange, ...]:
        """Return what a commit holds that none of its parents does."""
        first, *others = (self._diff(self.tree(p), self.tree(sha)) for p in self._bases(sha))
        differs = [{change.path for change in diff} for diff in others]
        return tuple(
            self._path_change(change)
            for change in first
            if change.new and all(change.path in paths for paths in differs)
        )

    def differences(self, pairs: Iterable[tuple[Sha, Sha]]) -> None:
        """Read how pairs of commits differ; ask `difference` then."""
        self._load_diffs((self.tree(old), self.tree(new)) for old, new in pairs)

    def difference(self, old: Sha, new: Sha) -> list[TreeChange]:
        """Return how two commits differ that were named to `differences`."""
        return self._diff(self.tree(old), self.tree(new))

    # -- what commits hold -------------------------------------------------------------------------

    def load_held(self, commits: Iterable[Sha]) -> None:
        """Read what commits hold."""
        lacking = [sha for sha in dict.fromkeys(commits) if sha not in self._metadata]
        self.commits |= self._git.commits(sha for sha in lacking if sha not in self.commits)
        known = self._metadata.keys() | set(lacking)
        roots = [
            sha for sha in lacking if self._bases(sha)[0] not in known or not self._is_read(sha)
        ]
        for sha, files in self._git.files_of(roots).items():
            self._metadata[sha] = {p: e for p, e in files.items() if _says_something(p)}
        for sha in lacking:
            self._derive(sha)
        entries = [entry for sha in lacking for entry in self._metadata[sha].values()]
        self._load_blobs(entry.sha for entry in entries if entry.mode != MODULE_MODE)

    def held(self, sha: Sha) -> Held:
        """Return what a commit holds that was named to `load_held`."""
        if sha not in self._held:
            read = self.metadata(sha)
            tree = self.tree(sha)
            ran = {folder for folder, stages in read.locks.items() if stages}
            declared = {folder for folder, one in read.pipelines.items() if one.stages}
            self._held[sha] = Held(
                outs=read.outs(lambda path: self._git.entry(tree, path) is not None),
                pointed=read.pointed,
                pins=read.pins,
                stages=read.locks.get("", ()),
                pipelines=tuple(
                    [_at(folder, LOCK_FILE) for folder in sorted(ran)]
                    + [_at(folder, PIPELINE_FILE) for folder in sorted(declared)]
                ),
                has_plan=PLAN_FILE in self._metadata[sha],
                tombstones=read.tombstones,
                problems={path: error.message for path, error in read.problems.items()},
            )
        return self._held[sha]

    def metadata(self, sha: Sha) -> Metadata:
        """Return what a commit's metadata files say."""
        entries = self._metadata[sha]
        if id(entries) not in self._read:  # commits that change none of it share it
            wanted = {path: entry for path, entry in entries.items() if is_metadata(path)}
            self._read[id(entries)] = self._parser.read(wanted)
        return self._read[id(entries)]

    def reports(
        self, sha: Sha, among: Container[str] | None = None
    ) -> dict[str, Mapping[str, Any]]:
        """Return the JSON documents that Git holds among the outs of a commit's stages.

        Args:
            among: only these paths; None: all.
        """
        tree = self.tree(sha)
        stages: Iterable[LockedStage] = self.held(sha).stages
        outs = [path for stage in stages for path in stage.outs if path.endswith(".json")]
        paths = [path for path in outs if among is None or path in among]
        entries = {path: self._git.entry(tree, path) for path in paths}
        shas = {path: entry.sha for path, entry in entries.items() if entry}
        sizes = self._git.sizes(shas.values())
        small = {path: one for path, one in shas.items() if sizes[one] <= _MAX_REPORT_BYTES}
        blobs = self._git.read_blobs(small.values())
        documents = {path: _document(blobs[one]) for path, one in small.items()}
        return {path: found for path, found in documents.items() if isinstance(found, dict)}

    def pipeline(self, sha: Sha) -> Pipeline:
        """Return the root pipeline of a commit."""
        return self.metadata(sha).pipelines.get("", Pipeline())

    # -- how ---------------------------------------------------------------------------------------

    def _bases(self, sha: Sha) -> list[Sha | None]:
        return [*self.commits[sha].parents] or [None]

    def _diff(self, old: Sha, new: Sha) -> list[TreeChange]:
        return self._diffs[old, new] if old != new else []

    def _changes(self, sha: Sha) -> list[TreeChange]:
        return self._diff(self.tree(self._bases(sha)[0]), self.tree(sha))

    def _load_diffs(self, pairs: Iterable[tuple[Sha, Sha]]) -> None:
        lacking = [pair for pair in dict.fromkeys(pairs) if pair not in self._diffs]
        self._diffs |= self._git.tree_diffs(lacking)
        fresh = [
            change.new.sha
            for pair in lacking
            for change in self._diffs.get(pair, [])
            if change.new and change.new.mode != MODULE_MODE and change.new.sha not in self._sizes
        ]
        self._sizes |= self._git.sizes(fresh)
        maybe = [sha for sha in fresh if self._sizes[sha] in _LFS_BYTES]
        self._lfs |= {
            sha for sha, body in self._git.read_blobs(maybe).items() if body.startswith(_LFS)
        }

    def _is_read(self, sha: Sha) -> bool:
        """Whether a commit's changes against its first parent were read by `load`."""
        parent = self._bases(sha)[0]
        if parent is not None and parent not in self.commits:
            return False
        pair = (self.tree(parent), self.tree(sha))
        return pair[0] == pair[1] or pair in self._diffs

    def _derive(self, sha: Sha) -> None:
        """Work out a commit's metadata from that of its nearest ancestor that is known."""
        chain: list[Sha] = []
        at: Sha | None = sha
        while at is not None and at not in self._metadata:
            chain.append(at)
            at = self._bases(at)[0]
        for later in reversed(chain):
            parent = self._bases(later)[0]
            before = self._metadata[parent] if parent else {}
            self._metadata[later] = _updated(before, self._changes(later))

    def _load_blobs(self, shas: Iterable[Sha]) -> None:
        """Read metadata, within bounds; what is too large counts as unreadable."""
        fresh = [sha for sha in dict.fromkeys(shas) if sha not in self._parsed]
        self._parsed |= set(fresh)
        sizes = self._git.sizes(fresh)
        chosen: list[Sha] = []
        for sha, size_bytes in sizes.items():
            if size_bytes <= MAX_GIT_BYTES and size_bytes <= self._budget_bytes:
                self._budget_bytes -= size_bytes
                chosen.append(sha)
        for start in range(0, len(chosen), _PACK):
            self._parser.add(self._git.read_blobs(chosen[start : start + _PACK]))

    def _path_change(self, change: TreeChange) -> PathChange:
        if change.new is None:
            return PathChange(change.path, None)
        sha = change.new.sha
        return PathChange(change.path, change.new.mode, self._sizes.get(sha, 0), sha in self._lfs)


def _says_something(path: str) -> bool:
    return is_metadata(path) or path == PLAN_FILE


def _updated(before: dict[str, Entry], changes: Iterable[TreeChange]) -> dict[str, Entry]:
    relevant = [change for change in changes if _says_something(change.path)]
    found = dict(before) if relevant else before
    for change in relevant:
        if change.new is None:
            found.pop(change.path, None)
        else:
            found[change.path] = change.new
    return found


def _at(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name


def _document(content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None
