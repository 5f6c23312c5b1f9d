"""Releases a stable branch: train, evaluate, fit, check, card, tag and record; or nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from dvc_branchflow.flow import BranchSpec
from dvc_branchflow.git import Change, NewCommit
from dvc_branchflow.model import (
    CARD_FILE,
    Branch,
    Sha,
    TagName,
)
from dvc_branchflow.project import Project
from dvc_branchflow.versions import Bump
from dvc_branchflow.work.card import model_card
from dvc_branchflow.work.checks import run_checks
from dvc_branchflow.work.drafting import draft_record
from dvc_branchflow.work.looks import evaluations, require_look
from dvc_branchflow.work.publish import Move, NewTag, publish, require_movable
from dvc_branchflow.work.records import RunRecord, certificate_of
from dvc_branchflow.work.release_plan import ReleasePlan, current_pins, plan_release
from dvc_branchflow.work.running import execute, reason_trailer, until_won
from dvc_branchflow.work.transfer import Report
from dvc_branchflow.work.worktrees import branch_lock, park_worktree


@dataclass(frozen=True, slots=True)
class ReleaseOutcome:
    """What a release did; `record` is None where there was nothing to release."""

    branch: Branch
    tag: TagName | None
    record: RunRecord | None


def release_branch(
    project: Project,
    branch: str,
    wanted: Mapping[Branch, Sha] | None,
    bump: Bump | None,
    report: Report,
    reason: str | None = None,
) -> ReleaseOutcome:
    """Train, evaluate, fit finally, check, and publish branch, tag and record together.

    Args:
        wanted: upstream → commit to train on; None: what the branch pins now.
        reason: why the test side may be looked at once more than the model's limit.
    Raises: RunError: a stage or a check failed; nothing moved. Others as in `publish`.
    """

    def attempt() -> ReleaseOutcome:
        spec = project.spec(branch)
        require_movable(project, [branch])
        if project.git_remote is None:
            require_movable(project, [project.config.tracking])
        targets = wanted if wanted is not None else current_pins(project, spec)
        plan = plan_release(project, spec, targets, bump)
        if plan is None:
            return ReleaseOutcome(spec.branch, None, None)
        return _release(project, spec, plan, report, reason)

    with branch_lock(project, Branch(branch), report):
        return until_won(project, attempt, report)


def _release(
    project: Project, spec: BranchSpec, plan: ReleasePlan, report: Report, reason: str | None
) -> ReleaseOutcome:
    require_look(project, spec, certificate_of(project, plan.pins.pins.commits), reason)
    env = {
        "BRANCHFLOW_MODEL": plan.model,
        "BRANCHFLOW_TAG": plan.tag,
        "BRANCHFLOW_BRANCH": plan.branch,
    }
    made = execute(project, spec, plan.tip, plan.pins, env, report, reason)
    checks = run_checks(project, spec.branch, spec.rule.checks, made.worktree, env, report)
    draft = draft_record(project, spec, plan.tag, plan.tip.sha, made, checks)
    looked = evaluations(made.data.pipeline, made.data.stages)
    card = Change(
        CARD_FILE, model_card(draft, [p for s in looked.values() for p in s.outs]).encode()
    )
    lines = [*plan.pins.trailers, *reason_trailer(reason), f"Release: {plan.tag}"]
    trailers = "\n".join(lines)
    commit = NewCommit(
        made.commit.parents,
        f"Release {plan.tag}: {plan.reason}\n\n{trailers}\n",
        [*made.commit.changes, card],
    )
    sha = project.git.write_commits([commit])[0]
    park_worktree(project, plan.branch, sha)
    record = replace(draft, commit=sha)
    tracking = project.tracking.as_published()  # nobody's unpushed documents go out with it
    collected = NewCommit(
        [tracking.sha], f"Record {plan.tag}\n\nRelease: {plan.tag}\n",
        [Change(record.path, record.to_json().encode())],
    )  # fmt: skip
    message = f"Release {plan.model} {record.version}\n\n{record.to_json()}"
    tag = NewTag(f"refs/tags/{plan.tag}", project.git.write_tag(plan.tag, sha, message), sha)
    main = project.git.write_commits([collected])[0]
    publish(
        project,
        [Move(plan.branch, plan.tip, sha), Move(tracking.branch, tracking, main)],
        tags=[tag], complete=[sha], reason=f"branchflow release {plan.tag}", report=report,
    )  # fmt: skip
    return ReleaseOutcome(plan.branch, plan.tag, record)
