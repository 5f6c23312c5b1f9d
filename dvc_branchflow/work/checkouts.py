"""Which branches are checked out here, by the user and not by us."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from dvc_branchflow.model import Branch
from dvc_branchflow.project import Project


def checked_out(project: Project) -> dict[Branch, Path]:
    """Return the branches in the user's own checkouts, and where those are."""
    ours = project.state_dir
    return {
        tree.branch: tree.path
        for tree in project.git.worktrees()
        if tree.branch is not None and ours not in tree.path.parents
    }


def left_behind(project: Project, branches: Sequence[str]) -> list[str]:
    """Return the branches that are checked out here and behind the git remote now."""
    held = checked_out(project) if project.git_remote else {}
    return [
        branch
        for branch in branches
        if branch in held and project.tip(branch).sha != project.tip(branch).local
    ]
