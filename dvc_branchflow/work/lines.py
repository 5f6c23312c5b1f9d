"""Says which commits belong to which branch: the line that a branch's own rules judge.

A branch's history also holds what came in by right: pinned upstream commits, promoted dev commits,
main. Those are judged by their own branches' rules, and are left out here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from dvc_branchflow.flow import BranchSpec
from dvc_branchflow.git import Git
from dvc_branchflow.gitobjects import Commit
from dvc_branchflow.model import APPEND_ONLY, Branch, Role, Sha
from dvc_branchflow.policy.moves import short_name
from dvc_branchflow.work.history import History

PROMOTED = "Promoted-from"


class Lines:
    """The commits that a judgement looks at, by branch.

    Args:
        tips: where each branch stands, after the moves and before them.
        new: the commits that the moves bring, parents first; `history` has loaded them.
    """

    def __init__(
        self, git: Git, history: History, tips: Mapping[Branch, Sequence[Sha]], new: Sequence[Sha]
    ) -> None:
        self._git = git
        self._history = history
        self.tips = tips
        self._new = dict.fromkeys(new)
        self._ancestors: dict[Sha, set[Sha]] = {}
        self._on: dict[tuple[Branch, Sha], bool] = {}
        self._behind: dict[tuple[Sha, Sha], bool] = {}

    def own(
        self, spec: BranchSpec, old: Sha | None, new: Sha, others: Iterable[Branch]
    ) -> list[Sha]:
        """Return the commits that a branch's rules judge, parents first; `new` always.

        On append-only branches that is every commit of its history, elsewhere the first parents:
        what a merge brings is judged by what the merge makes of it.

        Args:
            others: the branches whose commits come into this one's history by right.
        """
        apart = {tip for name in others for tip in self.tips.get(name, ())}
        barred = {sha for tip in apart for sha in self._within(tip)}
        is_linear = spec.role not in APPEND_ONLY
        seen: set[Sha] = set()
        outside: set[Sha] = set()
        rest = [new]
        while rest:
            sha = rest.pop()
            if sha in seen or sha == old or (sha in barred and sha != new):
                continue
            if sha not in self._new:
                outside.add(sha)
                continue
            seen.add(sha)
            commit = self._history.commits[sha]
            if not (spec.role is Role.STABLE and is_birth(commit)):
                rest += commit.parents[:1] if is_linear else commit.parents
        known = self._known(outside, {old} | apart, is_linear=is_linear) if outside else []
        if spec.role is Role.STABLE:
            known = self._since_birth(known)
        if new not in seen and new not in known:
            known.append(new)
        return known + [sha for sha in self._new if sha in seen]

    def is_behind(self, old: Sha, new: Sha) -> bool:
        """Whether a commit is another one or lies in its history."""
        if old == new or old in self._within(new):
            return True
        if (old, new) not in self._behind:
            is_here = old in self._git.kinds([old])
            self._behind[old, new] = is_here and self._git.is_ancestor(old, new)
        return self._behind[old, new]

    def prove(self, branch: Branch, shas: Iterable[Sha]) -> None:
        """Find out for many commits at once whether they are on a branch; see `is_on`."""
        tips = self.tips.get(branch, ())
        within = {sha for tip in tips for sha in self._within(tip)} | set(tips)
        unknown = [sha for sha in dict.fromkeys(shas) if (branch, sha) not in self._on]
        asked = [sha for sha in unknown if sha not in within]
        off = set(self._git.reachable(asked, tips)) if asked else set()
        self._on |= {(branch, sha): sha not in off for sha in unknown}

    def is_on(self, branch: Branch, sha: Sha) -> bool:
        """Whether a commit that is here is on a branch, or was before the moves."""
        if (branch, sha) not in self._on:
            self.prove(branch, [sha])
        return self._on[branch, sha]

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

    def _known(
        self, tips: Iterable[Sha], without: Iterable[Sha | None], *, is_linear: bool
    ) -> list[Sha]:
        """Commits that were here before, on this branch for the first time."""
        here = self._git.kinds(sha for sha in without if sha)
        return self._git.reachable(tips, here, first_parent=is_linear)

    def _since_birth(self, shas: list[Sha]) -> list[Sha]:
        commits = self._git.commits(shas)
        births = [place for place, sha in enumerate(shas) if is_birth(commits[sha])]
        return shas[births[-1] :] if births else shas


def is_birth(commit: Commit) -> bool:
    """Whether a commit makes a stable branch out of the dev commit that is its first parent."""
    promoted = [value.rpartition("@")[2] for value in commit.trailers(PROMOTED)]
    return bool(commit.parents) and commit.parents[0] in promoted
