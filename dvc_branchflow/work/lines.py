"""Says which commits belong to which branch: the line that a branch's own rules judge.

A branch's history also holds what came in by right: pinned upstream commits, promoted dev commits,
main. Those are judged by their own branches' rules, and are left out here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from dvc_branchflow.flow import BranchSpec
from dvc_branchflow.git import Git
from dvc_branchflow.gitobjects import Commit
from dvc_branchflow.model import Branch, Role, Sha
from dvc_branchflow.policy.moves import short_name
from dvc_branchflow.work.history import History

PROMOTED = "Promoted-from"
# Branches whose every commit is judged, what was merged into them as well.
_WHOLE = frozenset({Role.RAW, Role.CLEAN, Role.SPLIT, Role.MONITOR})


class Lines:
    """The commits that a judgement looks at, by branch.

    Args:
        tips: where each branch stands, after the moves and before them.
        new: the commits that the moves bring, parents first; `history` has loaded them.
    """

    def __init__(
        self,
        git: Git,
        history: History,
        specs: Mapping[Branch, BranchSpec],
        tips: Mapping[Branch, Sequence[Sha]],
        new: Sequence[Sha],
        *,
        is_history: bool,
    ) -> None:
        self._git = git
        self._history = history
        self.tips = tips
        # What a merge brought to these was never published: it may not be pinned, by a new pin.
        self._by_line = frozenset() if is_history else _by_line(specs)
        self._whole = {name for name, spec in specs.items() if spec.role in _WHOLE}
        self._new = dict.fromkeys(new)
        self._ancestors: dict[Sha, set[Sha]] = {}
        self._edges: dict[Sha, set[Sha]] = {}
        self._made_on: dict[Branch, set[Sha]] = {}
        self._on: dict[tuple[Branch, Sha], bool] = {}
        self._behind: dict[tuple[Sha, Sha], bool] = {}

    def own(
        self, spec: BranchSpec, old: Sha | None, new: Sha, others: Iterable[Branch]
    ) -> list[Sha]:
        """Return the commits that a branch's rules judge, parents first; `new` always.

        From the old tip to the new one nothing on the branch's own line is left out. On data
        branches that is every commit behind it, elsewhere the first parents: what a merge brings
        is judged by what the merge makes of it.

        Args:
            others: the branches whose commits come into this one's history by right.
        """
        barred = self._by_right(others)
        is_linear = spec.role not in _WHOLE
        seen: dict[Sha, None] = {}
        outside: dict[Sha, bool] = {}
        rest = [(new, True)]
        while rest:
            sha, is_line = rest.pop()
            is_kept = sha == new or (is_line and old is not None)
            if sha in seen or sha == old or (sha in barred and not is_kept):
                continue
            if sha not in self._new:
                outside[sha] = is_line or outside.get(sha, False)
                continue
            seen[sha] = None
            parents = self._history.commits[sha].parents
            parents = parents[:1] if is_linear else parents
            rest += [(parent, is_line and not place) for place, parent in enumerate(parents)]
        known = self._known(outside, spec, old, others) if outside else []
        if new not in seen and new not in known:
            known.append(new)
        found = known + [sha for sha in self._new if sha in seen]
        return self._since_birth(spec, found) if old is None else found

    def is_behind(self, old: Sha, new: Sha) -> bool:
        """Whether a commit is another one or lies in its history."""
        if old == new or old in self._reached(new):
            return True
        if (old, new) not in self._behind:
            is_here = old in self._git.kinds([old])
            self._behind[old, new] = is_here and self._git.is_ancestor(old, new)
        return self._behind[old, new]

    def prove(self, branch: Branch, shas: Iterable[Sha]) -> None:
        """Find out for many commits at once whether they are on a branch; see `is_on`."""
        tips = self.tips.get(branch, ())
        within = {sha for tip in tips for sha in self._behind_tip(branch, tip)} | set(tips)
        unknown = [sha for sha in dict.fromkeys(shas) if (branch, sha) not in self._on]
        asked = [sha for sha in unknown if sha not in within]
        off = set(asked)
        if asked and branch in self._by_line:
            off -= set(self._git.reachable(tips, (), first_parent=True))
        elif asked:
            off &= set(self._git.reachable(asked, tips))
        self._on |= {(branch, sha): sha not in off for sha in unknown}

    def is_on(self, branch: Branch, sha: Sha) -> bool:
        """Whether a commit that is here is in a branch's history, or was before the moves."""
        if (branch, sha) not in self._on:
            self.prove(branch, [sha])
        return self._on[branch, sha]

    def is_made_on(self, spec: BranchSpec, sha: Sha) -> bool:
        """Whether a stable branch's own line holds a commit: no merge brought it, no dev branch."""
        if spec.branch not in self._made_on:
            lines = [
                self._since_birth(spec, self._git.reachable([tip], (), first_parent=True))
                for tip in self.tips.get(spec.branch, ())
            ]
            self._made_on[spec.branch] = {sha for line in lines for sha in line}
        return sha in self._made_on[spec.branch]

    def brought_by(self, refs: Mapping[str, Sha]) -> dict[Sha, str]:
        """Return for each new commit the short name of a ref that brings it."""
        found: dict[Sha, str] = {}
        for ref, sha in refs.items():
            if sha in self._new:
                found.setdefault(sha, short_name(ref))
        for sha in reversed(self._new):
            for parent in self._history.commits[sha].parents:
                if parent in self._new and sha in found:
                    found.setdefault(parent, found[sha])
        return found

    def _behind_tip(self, branch: Branch, tip: Sha) -> set[Sha]:
        return self._line(tip) if branch in self._by_line else self._within(tip)

    def _within(self, tip: Sha) -> set[Sha]:
        """The new commits at and behind a tip."""
        if tip not in self._ancestors:
            seen: set[Sha] = set()
            rest = [tip]
            while rest:
                sha = rest.pop()
                if sha in self._new and sha not in seen:
                    seen.add(sha)
                    rest += self._history.commits[sha].parents
            self._ancestors[tip] = seen
        return self._ancestors[tip]

    def _reached(self, tip: Sha) -> set[Sha]:
        """The new commits at and behind a tip, and where they were added on."""
        if tip not in self._edges:
            within = self._within(tip)
            parents = {parent for sha in within for parent in self._history.commits[sha].parents}
            self._edges[tip] = within | parents
        return self._edges[tip]

    def _by_right(self, others: Iterable[Branch]) -> set[Sha]:
        """The new commits that other branches bring: of main its line, of data branches all."""
        barred: set[Sha] = set()
        for name in others:
            for tip in self.tips.get(name, ()):
                barred |= self._within(tip) if name in self._whole else self._line(tip)
        return barred

    def _line(self, tip: Sha) -> set[Sha]:
        """The new commits at a tip and behind it by first parents."""
        line: set[Sha] = set()
        at: Sha | None = tip
        while at in self._new:
            line.add(at)
            at = next(iter(self._history.commits[at].parents), None)
        return line

    def _known(
        self,
        outside: Mapping[Sha, bool],
        spec: BranchSpec,
        old: Sha | None,
        others: Iterable[Branch],
    ) -> list[Sha]:
        """Commits that were here before, and are on this branch for the first time.

        Args:
            outside: where to start → whether that is on the branch's own line.
        """
        is_linear = spec.role not in _WHOLE
        without = [] if old is None else list(self._git.kinds([old]))
        found = self._git.reachable(outside, without, first_parent=is_linear)
        if not found:
            return []
        barred: set[Sha] = set()
        for name in others:
            tips = self._git.kinds(self.tips.get(name, ()))
            is_line = name not in self._whole
            barred |= set(self._git.reachable(tips, without, first_parent=is_line))
        own = [sha for sha, is_line in outside.items() if is_line and old is not None]
        kept = set(self._git.reachable(own, without, first_parent=True)) if own else set()
        return [sha for sha in found if sha not in barred or sha in kept]

    def _since_birth(self, spec: BranchSpec, shas: list[Sha]) -> list[Sha]:
        """A stable branch's line without the dev commits that it was made from."""
        if spec.role is not Role.STABLE:
            return shas
        commits = self._git.commits(shas)
        births = [n for n, sha in enumerate(shas) if _is_birth(commits[sha], spec)]
        return shas[births[0] :] if births else shas


def _by_line(specs: Mapping[Branch, BranchSpec]) -> frozenset[Branch]:
    derived = {Role.CLEAN, Role.SPLIT}
    return frozenset(name for name, spec in specs.items() if spec.role in derived)


def _is_birth(commit: Commit, spec: BranchSpec) -> bool:
    """Whether a commit makes the stable branch out of the dev commit that is its first parent."""
    named = commit.trailers(PROMOTED)[-1:]
    return bool(commit.parents) and named == [f"{spec.code}@{commit.parents[0]}"]
