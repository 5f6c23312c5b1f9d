"""Finds the experiments of `dvc exp run`: commits below `refs/exps`, as DVC lays them there."""

from __future__ import annotations

import re
from collections.abc import Collection

from dvc_branchflow.errors import FlowError
from dvc_branchflow.flow import BranchSpec
from dvc_branchflow.git import Git
from dvc_branchflow.model import Role, Sha
from dvc_branchflow.project import Project
from dvc_branchflow.values import dataclass
from dvc_branchflow.work.views import Wanted, model_of

_FOLDER = "refs/exps"
# Others below it are DVC's own: exec, apply, celery, temp and the stash.
_REF = re.compile(rf"{_FOLDER}/([0-9a-f]{{2}})/([0-9a-f]{{38}})/([^/]+)")


@dataclass(frozen=True, slots=True)
class Experiment:
    """An experiment: its name, its commit, and the commit that it was run on."""

    name: str
    commit: Sha
    baseline: Sha

    def wanted(self, home: BranchSpec | None) -> Wanted:
        """Return it as something to view.

        Args:
            home: the branch that it was run on.
        """
        return Wanted(self.name, "experiment", self.commit, model_of(home), self.baseline)


def find_experiments(git: Git) -> list[Experiment]:
    """Return the experiments of this clone, by name; a worktree's are everybody's."""
    layout = "--format=%(objecttype) %(objectname) %(refname)"
    found: list[Experiment] = []
    for line in git.text("for-each-ref", layout, _FOLDER).splitlines():
        kind, sha, ref = line.split(" ", 2)
        match = _REF.fullmatch(ref)
        if match is not None and kind == "commit":
            found.append(Experiment(match[3], Sha(sha), Sha(match[1] + match[2])))
    return sorted(found, key=lambda one: (one.name, one.baseline))


def find_experiment(git: Git, name: str) -> Experiment | None:
    """Return the experiment of a name, or of a commit's id; None where there is none.

    Raises: FlowError: several have the name.
    """
    every = find_experiments(git)
    found = [one for one in every if name in {one.name, one.commit}]
    if len({one.commit for one in found}) > 1:
        ids = ", ".join(f"{one.commit[:10]} on {one.baseline[:10]}" for one in found)
        raise FlowError(
            f"several experiments are called '{name}': {ids}", hint="name it by its full commit id"
        )
    return found[0] if found else None


def homes(project: Project, baselines: Collection[Sha]) -> dict[Sha, BranchSpec]:
    """Return the dev or stable branch on whose own line each of the commits lies, if any.

    A stable branch grows out of its dev branch; what lies on both lines is the dev branch's.
    """
    specs = [spec for spec in project.specs.values() if spec.role in {Role.DEV, Role.STABLE}]
    tips = {project.tip(spec.branch).sha: spec for spec in reversed(specs)}
    found = {sha: tips[sha] for sha in baselines if sha in tips}
    for spec in specs:
        left = set(baselines) - found.keys()
        if not left:
            break
        line = project.git.reachable([project.tip(spec.branch).sha], (), first_parent=True)
        found |= dict.fromkeys(left.intersection(line), spec)
    return found
