"""Sets a branch's pins: the exact upstream commits that it is built on."""

from __future__ import annotations

from collections.abc import Mapping

from dvc_branchflow.errors import FlowError
from dvc_branchflow.git import NewCommit
from dvc_branchflow.model import Branch, Sha
from dvc_branchflow.project import Project
from dvc_branchflow.values import dataclass
from dvc_branchflow.work.commits import read_commit
from dvc_branchflow.work.pinning import PinPlan, plan_pins
from dvc_branchflow.work.publish import Move, publish, require_movable
from dvc_branchflow.work.races import until_won
from dvc_branchflow.work.transfer import Report
from dvc_branchflow.work.worktrees import branch_lock


@dataclass(frozen=True, slots=True)
class PinOutcome:
    """What `pin` did: the pins now, the upstreams that moved, and the commit (None: none)."""

    branch: Branch
    commits: Mapping[Branch, Sha]
    moved: tuple[Branch, ...]
    files_changed: int
    commit: Sha | None


def pin(
    project: Project,
    branch: str,
    wanted: Mapping[str, str],
    report: Report,
    *,
    dry_run: bool = False,
) -> PinOutcome:
    """Pin upstreams of a branch: all of them at their tips, or some at a rev.

    The commit is a merge with the upstream commits as further parents, so that plain
    `git merge-base` and `git tag --contains` answer lineage.

    Args:
        wanted: upstream → rev; empty: every upstream at its tip.
    """
    project.require_history("pin")

    def attempt() -> PinOutcome:
        spec = project.spec(branch)
        if not spec.upstreams:
            raise FlowError(f"'{branch}' has no upstreams to pin ('from' in branchflow.yaml)")
        require_movable(project, [branch])
        tip = project.tip(branch)
        current = read_commit(project.git, tip.sha)
        revs = {Branch(name): _rev(project, name, rev) for name, rev in wanted.items()}
        if wanted:
            revs = {
                **{k: v for k, v in current.pins.commits.items() if k in spec.upstreams},
                **revs,
            }
        plan = plan_pins(project, spec, current, revs)
        if dry_run or not plan.changes:
            return _outcome(plan, None)
        trailers = "\n".join(plan.trailers)
        subject = f"Pin {', '.join(plan.moved) or 'the same commits, rendered anew'}"
        message = f"{subject}\n\n{trailers}\n" if trailers else f"{subject}\n"
        parents = [tip.sha, *(sha for sha in plan.upstreams if sha != tip.sha)]
        sha = project.git.write_commits([NewCommit(parents, message, plan.changes)])[0]
        move = Move(spec.branch, tip, sha)
        publish(project, [move], reason=f"branchflow pin {branch}", report=report)
        return _outcome(plan, sha)

    with branch_lock(project, Branch(branch), report):
        return until_won(project, attempt, report)


def _rev(project: Project, upstream: str, rev: str) -> Sha:
    sha = project.git.resolve(rev) if rev else project.tip(upstream).sha
    if not project.git.is_ancestor(sha, project.tip(upstream).sha):
        raise FlowError(
            f"'{rev}' is no commit of '{upstream}'", hint=f"git log --oneline {upstream}"
        )
    return sha


def _outcome(plan: PinPlan, commit: Sha | None) -> PinOutcome:
    return PinOutcome(plan.branch, plan.pins.commits, plan.moved, len(plan.changes), commit)
