"""Says of objects that nothing needs what they once were for: a branch, a path, and why no more.

It only explains; nothing is deleted or kept by what is found here.
"""

from __future__ import annotations

from collections.abc import Mapping

from dvc_branchflow.errors import GitError
from dvc_branchflow.git import survey
from dvc_branchflow.model import Oid
from dvc_branchflow.project import Project
from dvc_branchflow.values import dataclass
from dvc_branchflow.work.census import Census
from dvc_branchflow.work.graph import Graph, Step
from dvc_branchflow.work.parts import KeyParts
from dvc_branchflow.work.reach import files_behind
from dvc_branchflow.work.roots import Holder, Kind, Roots
from dvc_branchflow.work.transfer import Report

_NOBODYS = "no commit, experiment or lease that is known names it"
_LOST = "only commits need it that no ref reaches any more"
_LOOSE_FOLDER = "only a directory lists it that nothing names"


@dataclass(frozen=True, slots=True)
class Reason:
    """Why an object may go, and for which branch and path it once was."""

    why: str = _NOBODYS
    branch: str = ""
    path: str = ""


class Explainer:
    """Knows what once named the objects that are on DVC remotes and needed by nothing."""

    def __init__(self, project: Project, census: Census, report: Report) -> None:
        self._project = project
        self._census = census
        self._report = report
        self._parts: KeyParts | None = None
        self._reasons = [Reason()]
        self._folders: dict[Oid, int] = {}

    def folder(self, oid: Oid) -> Reason:
        """Return why a directory's manifest may go."""
        self._look()
        return self._reasons[self._folders.get(oid, 0)]

    def files(self, part: int) -> dict[bytes, Reason]:
        """Return why the files of a part may go, where something is known of them."""
        found: dict[bytes, int] = {}
        for one, tag in self._look().keys(part):
            found[one] = min(tag, found.get(one, tag))
        return {one: self._reasons[tag] for one, tag in found.items()}

    def close(self) -> None:
        """Give the space back."""
        if self._parts is not None:
            self._parts.close()

    def _look(self) -> KeyParts:
        """Read what once named anything when that is first asked for: often nothing is to go."""
        if self._parts is None:
            self._parts = self._read(self._project, self._census)
        return self._parts

    def _read(self, project: Project, census: Census) -> KeyParts:
        outs = _once_named(project, census)
        known = dict.fromkeys(census.needs.reach.outs)
        loose = [oid for oid in census.stock.folders if oid not in known and oid not in outs]
        outs |= {oid: Reason(_LOOSE_FOLDER, "", f"directory {oid[:10]}") for oid in loose}
        numbers: dict[Reason, int] = {}
        tags: dict[Oid, int] = {}
        for oid, reason in outs.items():
            tags[oid] = numbers.setdefault(reason, len(numbers) + 1)
        self._reasons += numbers
        self._folders = {oid: tag for oid, tag in tags.items() if oid.endswith(".dir")}
        there = {oid: tag for oid, tag in tags.items() if oid in census.stock.folders}
        there |= {oid: tag for oid, tag in tags.items() if not oid.endswith(".dir")}
        # A manifest that can't be had leaves its files unexplained, and that is all.
        return files_behind(project, there, census.stock.remotes, self._report)[0]


def _once_named(project: Project, census: Census) -> dict[Oid, Reason]:
    """What commits name that keep nothing any more, and then what unreached ones name."""
    reach = census.needs.reach
    found: dict[Oid, Reason] = {}
    kept = [sha for sha in reach.graph.nodes if sha not in reach.gone]
    for step in reach.graph.steps(frozenset(kept)) if reach.gone else ():
        branch = reach.gone[step.node.sha]
        why = f"only commits on '{branch}' need it that are past their retention"
        _take(found, reach.outs, reach.graph, step, Reason(why, branch))
    lost = _unreached(project, reach.graph)
    if lost is not None:
        for step in lost.steps():
            _take(found, reach.outs, lost, step, Reason(_LOST))
    return found


def _take(
    found: dict[Oid, Reason], needed: Mapping[Oid, object], graph: Graph, step: Step, reason: Reason
) -> None:
    for one in graph.named(step):
        if one.oid not in needed:
            found.setdefault(one.oid, Reason(reason.why, reason.branch, one.path))


def _unreached(project: Project, graph: Graph) -> Graph | None:
    """The commits in Git's object database that nothing reaches: what a deleted branch left."""
    shas = survey.unreached(project.git, graph.nodes)
    if not shas:
        return None
    roots = Roots()
    roots.tips[Holder(Kind.REF, "unreached")] |= set(shas)
    try:
        return Graph(project.git, roots)
    except GitError:  # pruned in part: it explains nothing, and keeps nothing
        return None
