"""Gathers the facts of a branch's commits that its rules judge."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence

from dvc_branchflow.flow import BranchSpec
from dvc_branchflow.git import Git
from dvc_branchflow.gitobjects import EXECUTABLE_MODE, FILE_MODE, TreeChange
from dvc_branchflow.model import APPEND_ONLY, Branch, Oid, Role, Sha
from dvc_branchflow.policy.facts import CommitFacts, Held, Pinned, Promoted
from dvc_branchflow.policy.pinned import to_judge
from dvc_branchflow.work.code import CodeBoundary, without_places
from dvc_branchflow.work.history import History
from dvc_branchflow.work.lines import PROMOTED, Lines

_KEYS = ("Source", "Reason")
_PROMOTED = re.compile(r"(\S+)@([0-9a-f]{40})")
_SEE_ALL_PARENTS = APPEND_ONLY | {Role.SPLIT}
_REPORTING = frozenset({Role.CLEAN, Role.SPLIT})


class FactsReader:
    """Reads the facts of many branches' commits together.

    Args:
        own: branch → the commits that its rules judge, parents first; `history` has loaded them.
        old: branch → where it stood before.
        erased: objects that the team has erased, which no commit may bring back.
        new: the commits that are brought now.
    """

    def __init__(
        self,
        git: Git,
        history: History,
        lines: Lines,
        specs: Mapping[Branch, BranchSpec],
        own: Mapping[Branch, Sequence[Sha]],
        old: Mapping[Branch, Sha | None],
        *,
        erased: Collection[Oid],
        new: Collection[Sha],
        is_history: bool,
    ) -> None:
        self._erased = frozenset(erased)
        self._new = frozenset(new)
        self._git = git
        self._history = history
        self._lines = lines
        self._specs = specs
        self._own = own
        self._lines_of = {branch: {*shas, old[branch]} for branch, shas in own.items()}
        self._owners = {name: spec.data for name, spec in specs.items() if spec.data}
        self._is_history = is_history
        self._in_history: dict[tuple[Sha | None, Sha], bool] = {}
        self._load()

    def facts(self, branch: Branch) -> list[CommitFacts]:
        """Return the facts of a branch's commits, parents first."""
        spec = self._specs[branch]
        promoted = self._promoted(spec) if spec.role is Role.STABLE else {}
        stable_outs = self._stable_outs(spec) if spec.role is Role.DEV else frozenset()
        found: list[CommitFacts] = []
        for sha in self._own[branch]:
            commit = self._history.commits[sha]
            held = self._history.held(sha)
            parents = self._seen_parents(spec, sha)
            found.append(
                CommitFacts(
                    sha=sha,
                    parents=commit.parents,
                    trailers={key: tuple(commit.trailers(key)) for key in _KEYS},
                    changed=self._history.changed(sha),
                    held=held,
                    parents_held=tuple(self._history.held(parent) for parent in parents),
                    follows=self._follows(spec, sha),
                    pinned=self._pinned(spec, sha),
                    promoted=promoted.get(sha),
                    reports=self._history.reports(sha) if spec.role in _REPORTING else {},
                    stable_outs=stable_outs,
                    erased=held.erased | (self._erased if sha in self._new else frozenset()),
                )
            )
        return found

    # -- reading -----------------------------------------------------------------------------------

    def _load(self) -> None:
        """Read what the commits, their parents and their pins hold."""
        listed = [sha for shas in self._own.values() for sha in shas]
        parents = [
            parent
            for branch, shas in self._own.items()
            for sha in shas
            for parent in self._seen_parents(self._specs[branch], sha)
        ]
        self._history.load_held([*listed, *parents])
        pins: dict[Branch, list[Sha]] = {}
        for branch, shas in self._own.items():
            for sha in shas:
                for upstream, pin in self._pins(self._specs[branch], sha):
                    pins.setdefault(upstream, []).append(pin)
        kinds = self._git.kinds(pin for wanted in pins.values() for pin in wanted)
        self._here = {sha for sha, kind in kinds.items() if kind == "commit"}
        for upstream, wanted in pins.items():
            self._lines.prove(upstream, [pin for pin in wanted if pin in self._here])
        self._history.load_held(self._here)

    def _seen_parents(self, spec: BranchSpec, sha: Sha) -> tuple[Sha, ...]:
        parents = self._history.commits[sha].parents
        return parents if spec.role in _SEE_ALL_PARENTS else parents[:1]

    def _follows(self, spec: BranchSpec, sha: Sha) -> bool:
        parents = self._history.commits[sha].parents
        return bool(parents) and parents[0] in self._lines_of[spec.branch]

    def _pins(self, spec: BranchSpec, sha: Sha) -> list[tuple[Branch, Sha]]:
        """The pins of a commit that have to be judged."""
        held = self._history.held(sha)
        parents = self._history.commits[sha].parents
        before = self._history.held(parents[0]) if parents else Held()
        follows = self._follows(spec, sha)
        names = to_judge(spec, held, before, self._owners, follows=follows)
        return [(name, held.pins.commits[name]) for name in names if name in held.pins.commits]

    # -- pins --------------------------------------------------------------------------------------

    def _pinned(self, spec: BranchSpec, sha: Sha) -> dict[Branch, Pinned]:
        found: dict[Branch, Pinned] = {}
        for upstream, pin in self._pins(spec, sha):
            is_here = pin in self._here
            data = self._owners.get(upstream)
            published = self._history.held(pin).below(data) if is_here and data else None
            found[upstream] = Pinned(
                commit=pin,
                is_on_upstream=is_here and self._lines.is_on(upstream, pin),
                is_in_history=is_here and self._is_in_history(sha, pin),
                published=published,
            )
        return found

    def _is_in_history(self, sha: Sha, pin: Sha) -> bool:
        """Whether a pin is an ancestor; one that the first parent has as well was asked there."""
        parents = self._history.commits[sha].parents
        first = parents[0] if parents else None
        self._in_history[sha, pin] = (
            pin in parents
            or self._in_history.get((first, pin), False)
            or self._lines.is_behind(pin, sha)
        )
        return self._in_history[sha, pin]

    # -- code --------------------------------------------------------------------------------------

    def _promoted(self, spec: BranchSpec) -> dict[Sha, Promoted]:
        """Each stable commit's promoted dev commit, and how the code differs from it."""
        sources: dict[Sha, tuple[Sha, bool] | None] = {}
        for sha in self._own[spec.branch]:
            commit = self._history.commits[sha]
            source = self._named_source(spec, sha)
            if source is None and commit.parents:
                parent = commit.parents[0]
                source = sources[parent] if parent in sources else self._earlier_source(parent)
            sources[sha] = source
        named = {sha: source for sha, source in sources.items() if source}
        here = self._git.kinds(source for source, _ in named.values())
        known = {sha: s for sha, (s, ok) in named.items() if ok and here.get(s) == "commit"}
        self._history.load_held(known.values())
        self._history.differences((source, sha) for sha, source in known.items())
        return {
            sha: self._compare(spec, known[sha], sha)
            if sha in known
            else Promoted(source, is_known=False)
            for sha, (source, _) in named.items()
        }

    def _named_source(self, spec: BranchSpec, sha: Sha) -> tuple[Sha, bool] | None:
        """The dev commit that a commit's own trailer names, and whether it is one."""
        values = self._history.commits[sha].trailers(PROMOTED)
        if not values:
            return None
        match = _PROMOTED.fullmatch(values[-1])
        if match is None or match[1] != spec.code:
            return Sha(values[-1]), False
        source = Sha(match[2])
        if self._git.kinds([source]).get(source) != "commit":
            return source, False
        is_on_dev = self._lines.is_on(Branch(match[1]), source)
        # The dev branch may be gone by the time that history is looked at.
        return source, is_on_dev or (self._is_history and self._lines.is_behind(source, sha))

    def _earlier_source(self, sha: Sha) -> tuple[Sha, bool] | None:
        """The dev commit that was promoted last, as a commit from before the move says."""
        found = self._git.rev_list("-1", "--first-parent", f"--grep=^{PROMOTED}:", sha)
        for commit in self._git.commits(found).values():
            for value in commit.trailers(PROMOTED)[-1:]:
                return Sha(value.rpartition("@")[2]), True
        return None

    def _compare(self, spec: BranchSpec, source: Sha, sha: Sha) -> Promoted:
        there, here = self._history.metadata(source), self._history.metadata(sha)
        stages = [stage for read in (there, here) for lock in read.locks.values() for stage in lock]
        data = [self._owners[name] for name in spec.upstreams if name in self._owners]
        boundary = CodeBoundary(there.pipelines, stages, data)
        changes = self._history.difference(source, sha)
        code = [change for change in changes if not boundary.may_differ(change.path)]
        odd = [change for change in changes if change not in code and _is_odd(change)]
        old, new = (
            without_places(self._git, {path: entry for path, entry in side if entry})
            for side in (
                [(change.path, change.old) for change in code],
                [(change.path, change.new) for change in code],
            )
        )
        differs = [change for change in code if old.get(change.path) != new.get(change.path)]
        return Promoted(
            source,
            is_known=True,
            differs=tuple(change.path for change in differs),
            odd=tuple(change.path for change in odd),
        )

    def _stable_outs(self, spec: BranchSpec) -> frozenset[str]:
        """The paths that the stable branches of a dev branch's code make."""
        tips = [
            tip
            for name, other in self._specs.items()
            if other.code == spec.branch and other.role is Role.STABLE
            for tip in self._lines.tips.get(name, ())
        ]
        self._history.load_held(tips)
        read = [self._history.metadata(tip) for tip in tips]
        return frozenset(
            path
            for one in read
            for stages in one.locks.values()
            for stage in stages
            for path in stage.outs
        )


def _is_odd(change: TreeChange) -> bool:
    return change.new is not None and change.new.mode not in {FILE_MODE, EXECUTABLE_MODE}
