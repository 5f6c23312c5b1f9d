"""The commits behind all roots: who holds each of them, and what of DVC's files each changes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import TypeVar

from dvc_branchflow.errors import ConfigError
from dvc_branchflow.git import Git, survey
from dvc_branchflow.git.survey import Node
from dvc_branchflow.gitobjects import EMPTY_TREE, EXECUTABLE_MODE, FILE_MODE, MODULE_MODE, Entry
from dvc_branchflow.metafiles import parse_pins
from dvc_branchflow.model import DVC_CONFIG, PINS_FILE, PIPELINE_FILE, Oid, Sha
from dvc_branchflow.values import dataclass
from dvc_branchflow.work.naming import Named, ids_in_text, is_naming, named
from dvc_branchflow.work.roots import MAX_BYTES, NAMING, Holder, Kind, Problem, Roots

_SPECS = (*NAMING, PINS_FILE, PIPELINE_FILE, f"*/{PIPELINE_FILE}", DVC_CONFIG)
_PACK = 100
_KNOWN = 100  # what a commit holds is remembered of one in so many
_PINS = Holder(Kind.PIN, "pins")

_T = TypeVar("_T")
Files = Mapping[str, Entry | None]


@dataclass(frozen=True, slots=True)
class Step:
    """A commit with those of its files that say something about data.

    Attributes:
        mask: the holders of the commit, a bit each.
        files: what differs from its first parent: path → what is there now, None where it is gone.
        is_whole: nothing came before: `files` is all that the commit holds.
    """

    node: Node
    mask: int
    files: Files
    is_whole: bool


@dataclass(frozen=True, slots=True)
class _Unreadable:
    """Why a file can't be read, and what in it looks like an object's id."""

    why: str
    oids: tuple[Oid, ...]


class Graph:
    """All commits behind the roots, with their holders.

    Attributes:
        nodes: every commit, children before parents.
        holders: their order gives the bits of a mask.
        masks: commit → who holds it; weak holders only where there are no others.
        problems: what of it all can't be read.
    """

    def __init__(self, git: Git, roots: Roots, lost: Collection[str] = ()) -> None:
        self.git = git
        self._lost = frozenset(lost)
        self._named: dict[tuple[Entry, str], tuple[Named, ...] | _Unreadable] = {}
        self._pins: dict[Entry, tuple[Sha, ...] | _Unreadable] = {}
        self._diffs: dict[tuple[Sha, Sha], Files] = {}
        self._wholes: dict[Sha, Files] = {}
        self._said: dict[str, Problem] = {problem.what: problem for problem in roots.problems}
        tips = {holder: set(shas) for holder, shas in roots.tips.items()}
        self.nodes = self._close(tips)
        self.holders = tuple(sorted(tips.keys() | roots.loose.keys()))
        self._places = {holder: place for place, holder in enumerate(self.holders)}
        self.masks = self._masks(tips)

    @property
    def problems(self) -> list[Problem]:
        """What can't be read, but for what is given up as lost."""
        return [problem for problem in self._said.values() if problem.id not in self._lost]

    def steps(self, without: Collection[Sha] = ()) -> Iterator[Step]:
        """Yield the commits, parents first, as if those in `without` had never been made."""
        kept = [node for node in reversed(self.nodes.values()) if node.sha not in without]
        bases = [self._base(node, without) for node in kept]
        self._load((base, node.tree) for base, node in zip(bases, kept, strict=True))
        for base, node in zip(bases, kept, strict=True):
            files = self._diffs.get((base, node.tree), {})
            yield Step(node, self.masks[node.sha], files, is_whole=base == EMPTY_TREE)

    def wholes(self, shas: Iterable[Sha]) -> Iterator[Step]:
        """Yield commits with all that they hold."""
        for node in [self.nodes[sha] for sha in shas if sha in self.nodes]:
            yield Step(node, self.masks[node.sha], self._whole(node.sha), is_whole=True)

    def named(self, step: Step) -> Iterator[Named]:
        """Yield the objects that the files of a step name, and remember what can't be read."""
        for path, entry in step.files.items():
            if entry is not None and is_naming(path):
                yield from self.named_in(step, path, entry)

    def named_in(self, step: Step, path: str, entry: Entry) -> Iterator[Named]:
        """Yield the objects that one file of a step's commit names."""
        found = self._named.get((entry, path), ())
        if not isinstance(found, _Unreadable):
            yield from found
            return
        self._say(f"'{path}' in commit {step.node.sha[:10]}", found.why, entry.sha)
        yield from (Named(oid, path, is_stored=False) for oid in found.oids)

    def pinned(self, step: Step) -> tuple[Sha, ...]:
        """Return the commits that a step's `pins.yaml` names."""
        entry = step.files.get(PINS_FILE)
        if entry is None:
            return ()
        found = self._pins.get(entry, ())
        if isinstance(found, tuple):
            return found
        self._say(f"'{PINS_FILE}' in commit {step.node.sha[:10]}", found.why, entry.sha)
        return ()

    def bit(self, holder: Holder) -> int:
        """Return a holder's bit."""
        return 1 << self._places[holder]

    def who(self, mask: int) -> list[Holder]:
        """Return the holders in a mask."""
        return [holder for place, holder in enumerate(self.holders) if mask >> place & 1]

    # -- how ---------------------------------------------------------------------------------------

    def _close(self, tips: dict[Holder, set[Sha]]) -> dict[Sha, Node]:
        """Return all commits behind tips, and behind what those pin; pins outside become tips."""
        while True:
            found = survey.history(self.git, (sha for shas in tips.values() for sha in shas))
            self.nodes = {node.sha: node for node in found}
            self.masks = dict.fromkeys(self.nodes, 0)
            pinned = {sha: step for step in self.steps() for sha in self.pinned(step)}
            away = {sha: step for sha, step in pinned.items() if sha not in self.nodes}
            here = self.git.kinds(away)
            for sha in away.keys() - here.keys():
                at = away[sha].node.sha[:10]
                self._say(f"commit {sha}", f"'{PINS_FILE}' in commit {at} pins it", sha)
            outside = {sha for sha, kind in here.items() if kind == "commit"}
            if not outside:
                return self.nodes
            tips.setdefault(_PINS, set()).update(outside)

    def _masks(self, tips: Mapping[Holder, Iterable[Sha]]) -> dict[Sha, int]:
        strong: defaultdict[Sha, int] = defaultdict(int)
        weak: defaultdict[Sha, int] = defaultdict(int)
        for holder, shas in tips.items():
            for sha in shas:
                (weak if holder.is_weak else strong)[sha] |= self.bit(holder)
        for node in self.nodes.values():
            for parent in node.parents:
                strong[parent] |= strong[node.sha]
                weak[parent] |= weak[node.sha]
        return {sha: strong[sha] or weak[sha] for sha in self.nodes}

    def _base(self, node: Node, without: Collection[Sha]) -> Sha:
        first = node.parents[0] if node.parents else None
        return EMPTY_TREE if first is None or first in without else self.nodes[first].tree

    def _whole(self, sha: Sha) -> Files:
        """What a commit holds: the changes since a commit before it of which that is known."""
        later: list[Node] = []
        at: Sha | None = sha
        while at is not None and at not in self._wholes:
            later.append(self.nodes[at])
            at = next(iter(later[-1].parents), None)
        files = dict(self._wholes[at]) if at is not None else {}
        for number, node in enumerate(reversed(later), 1):
            for path, entry in self._diffs.get((self._base(node, ()), node.tree), {}).items():
                if entry is None:
                    files.pop(path, None)
                else:
                    files[path] = entry
            if number % _KNOWN == 0:
                self._wholes[node.sha] = dict(files)
        return files

    def _load(self, pairs: Iterable[tuple[Sha, Sha]]) -> None:
        lacking = [pair for pair in dict.fromkeys(pairs) if pair not in self._diffs]
        for pair, changes in self.git.tree_diffs(lacking, _SPECS).items():
            self._diffs[pair] = {change.path: change.new for change in changes}
        entries = [(p, e) for pair in lacking for p, e in self._diffs.get(pair, {}).items() if e]
        fresh = [
            (path, entry)
            for path, entry in dict.fromkeys(entries)
            if entry.mode != MODULE_MODE and self._is_news(path, entry)
        ]
        sizes = self.git.sizes({entry.sha for _, entry in fresh})
        for start in range(0, len(fresh), _PACK):
            pack = fresh[start : start + _PACK]
            small = {entry.sha for _, entry in pack if sizes[entry.sha] <= MAX_BYTES}
            blobs = self.git.read_blobs(small)
            for path, entry in pack:
                self._parse(path, entry, blobs.get(entry.sha))

    def _is_news(self, path: str, entry: Entry) -> bool:
        """Whether a file has to be read, and was not read yet."""
        if path == PINS_FILE:
            return entry not in self._pins
        return is_naming(path) and (entry, path) not in self._named

    def _parse(self, path: str, entry: Entry, content: bytes | None) -> None:
        if path == PINS_FILE:
            self._pins[entry] = _read(_pins_in, path, entry, content)
        else:
            self._named[entry, path] = _read(named, path, entry, content)

    def _say(self, what: str, why: str, lost_id: str) -> None:
        self._said.setdefault(what, Problem(what, why, lost_id))


def _read(
    parse: Callable[[bytes, str], tuple[_T, ...]], path: str, entry: Entry, content: bytes | None
) -> tuple[_T, ...] | _Unreadable:
    if content is None or entry.mode not in {FILE_MODE, EXECUTABLE_MODE}:
        return _Unreadable("it is no plain file of a sensible size", ids_in_text(content or b""))
    try:
        return parse(content, path)
    except ConfigError as error:
        return _Unreadable(error.message, ids_in_text(content))


def _pins_in(content: bytes, _: str) -> tuple[Sha, ...]:
    return tuple(parse_pins(content).commits.values())
