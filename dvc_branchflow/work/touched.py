"""What came of objects: releases, candidates, splits, predictions, outs that stages computed."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress

from dvc_branchflow.errors import BranchflowError, ConfigError
from dvc_branchflow.gitobjects import EXECUTABLE_MODE, FILE_MODE
from dvc_branchflow.manifest import lookup
from dvc_branchflow.metafiles import parse_pins
from dvc_branchflow.model import PINS_FILE, Branch, Oid, Role, Sha
from dvc_branchflow.policy.facts import is_below
from dvc_branchflow.project import Project
from dvc_branchflow.values import dataclass
from dvc_branchflow.versions import parse_tag
from dvc_branchflow.work.commits import CommitData, read_commit
from dvc_branchflow.work.graph import Graph
from dvc_branchflow.work.records import read_refused
from dvc_branchflow.work.transfer import manifest_of

_BASELINES = "baselines"


@dataclass(frozen=True, slots=True)
class Touched:
    """What was made from objects, by the pins of each commit.

    Attributes:
        refused: paths of the records of refused candidates.
        splits: `BRANCH@COMMIT` of the split commits that such runs are pinned to, or that are tips.
        predictions: monitor branches that were checked against such a release.
    """

    releases: tuple[str, ...]
    refused: tuple[str, ...]
    splits: tuple[str, ...]
    predictions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Derived:
    """An out that a stage computed from objects; what of them is in it nobody can tell.

    Attributes:
        refs: the branches' tips and releases that hold it.
    """

    path: str
    oid: Oid
    refs: tuple[str, ...]


def find_touched(project: Project, graph: Graph, outs: Collection[Oid]) -> Touched:
    """Return what was made from objects that outs are or hold."""
    search = _Search(project, graph, outs)
    tags = {name: ref.commit for name, ref in project.tags.items() if parse_tag(name)}
    releases = [name for name, sha in tags.items() if search.is_touched(sha)]
    refused = [
        record.path
        for record in read_refused(project).found
        if any(search.is_touched(Sha(sha)) for sha in record.pins.values())
    ]
    starts = [tags[name] for name in releases] + [tip.sha for tip in project.tips.values()]
    splits = {
        f"{name}@{sha}"
        for start in starts
        for name, sha in search.behind(start)
        if name in project.specs and project.specs[name].role is Role.SPLIT
    }
    return Touched(
        tuple(sorted(releases)),
        tuple(sorted(refused)),
        tuple(sorted(splits)),
        tuple(sorted(_predictions(project, releases))),
    )


def find_derived(project: Project, outs: Collection[Oid]) -> list[Derived]:
    """Return the outs at tips and releases that stages computed from outs, over any distance."""
    places = {str(name): tip.sha for name, tip in project.tips.items()}
    places |= {name: ref.commit for name, ref in project.tags.items() if parse_tag(name)}
    read: dict[str, CommitData] = {}
    for name, sha in places.items():
        with suppress(ConfigError):  # said by the judge; nothing is computed from it there
            read[name] = read_commit(project.git, sha)
    tainted = set(outs)
    while more := {oid for data in read.values() for oid in _computed(data, tainted)} - tainted:
        tainted |= more
    found: dict[tuple[str, Oid], list[str]] = {}
    for name, data in read.items():
        computed = _computed(data, tainted)
        for path, out in data.outs.items():
            if out.oid in computed:
                found.setdefault((path, out.oid), []).append(name)
    return [Derived(path, oid, tuple(refs)) for (path, oid), refs in sorted(found.items())]


def _computed(data: CommitData, tainted: Collection[Oid]) -> set[Oid]:
    """The outs of a commit's stages that read anything tainted."""
    held = [path for path, out in data.outs.items() if out.oid in tainted]
    return {
        out.oid
        for stage in data.stages
        if any(
            oid in tainted or any(is_below(path, dep) or is_below(dep, path) for path in held)
            for dep, oid in stage.deps.items()
        )
        for out in stage.outs.values()
    }


def _predictions(project: Project, releases: Collection[str]) -> Iterator[str]:
    """The monitor branches that keep a baseline of one of the releases."""
    names = [f"{tag.replace('/', '=')}.json" for tag in releases]
    for branch, spec in project.specs.items():
        if spec.role is not Role.MONITOR or not names:
            continue
        with suppress(BranchflowError):
            data = read_commit(project.git, project.tips[branch].sha)
            out = data.outs.get(f"{spec.data}/{_BASELINES}")
            if out is not None and out.is_dir:
                listed = manifest_of(project, out)
                if any(lookup(listed, name) for name in names):
                    yield branch


class _Search:
    """Follows pins, each commit once."""

    def __init__(self, project: Project, graph: Graph, outs: Collection[Oid]) -> None:
        self._project = project
        self._graph = graph
        self._outs = outs
        self._known: dict[Sha, bool] = {}

    def is_touched(self, sha: Sha) -> bool:
        """Whether a commit, or one that it is pinned to, holds any of the outs."""
        if sha not in self._known:
            self._known[sha] = False  # pins that name each other end here
            self._known[sha] = self._holds(sha) or any(
                self.is_touched(pinned) for pinned in self._pins(sha).values()
            )
        return self._known[sha]

    def behind(self, sha: Sha) -> Iterable[tuple[Branch, Sha]]:
        """The touched commits that a commit is pinned to, and those that they are pinned to."""
        waiting, seen = [sha], set[tuple[Branch, Sha]]()
        while waiting:
            for pair in self._pins(waiting.pop()).items():
                if pair not in seen and self.is_touched(pair[1]):
                    seen.add(pair)
                    waiting.append(pair[1])
        return seen

    def _holds(self, sha: Sha) -> bool:
        steps = self._graph.wholes([sha])
        return any(one.oid in self._outs for step in steps for one in self._graph.named(step))

    def _pins(self, sha: Sha) -> Mapping[Branch, Sha]:
        git = self._project.git
        if git.kinds([sha]).get(sha) != "commit":
            return {}
        entry = git.entry(git.commits([sha])[sha].tree, PINS_FILE)
        if entry is None or entry.mode not in {FILE_MODE, EXECUTABLE_MODE}:
            return {}
        with suppress(ConfigError):
            return parse_pins(git.read_blobs([entry.sha])[entry.sha]).commits
        return {}
