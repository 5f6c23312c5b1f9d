"""Checks out a branch or a release with exactly its data."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from dvc_branchflow.dvcio import dvc_text
from dvc_branchflow.errors import FlowError, GitError
from dvc_branchflow.model import Oid, Sha
from dvc_branchflow.project import Project
from dvc_branchflow.work.commits import CommitData, read_commit
from dvc_branchflow.work.transfer import Report, fetch


@dataclass(frozen=True, slots=True)
class SwitchOutcome:
    """Where the checkout stands now. `branch` is None for a detached HEAD."""

    rev: str
    branch: str | None
    commit: Sha
    outs: int
    files_fetched: int


def switch(project: Project, rev: str, report: Report, *, dry_run: bool = False) -> SwitchOutcome:
    """Check out a branch (or a tag or commit, detached) and put its data in place.

    The data comes into the cache first, so that a remote that can't be reached changes nothing;
    files are linked from there as DVC's `cache.type` says.

    Raises: FlowError: changes in the checkout, in Git or in data, that this would lose.
    """
    top = project.git.toplevel
    if top is None:
        raise FlowError("a bare repository has no checkout to switch", hint="git clone it first")
    branch = rev if rev in project.tips else None
    sha = project.tip(rev).local or project.tip(rev).sha if branch else project.git.resolve(rev)
    data = read_commit(project.git, sha)
    if dry_run:
        return SwitchOutcome(rev, branch, sha, len(data.outs), 0)
    _refuse_changes(project, top)
    fetched = fetch(project, data.outs.values(), report)
    _refuse_strays(project, top, data)
    moved = project.git.run(
        "switch", "--quiet", *_target(project, branch, sha), cwd=top, check=False
    )
    if project.git.resolve("HEAD") != sha:
        reason = moved.stderr.decode(errors="replace").strip().splitlines()[-1:] or [""]
        raise GitError(f"git switch failed: {reason[0]}", hint="git status")
    if moved.returncode:
        report("a hook of yours failed after the switch")
    report(f"outs to place: {len(data.outs)}")
    dvc_text(["checkout", "--quiet", "--force", "--allow-missing"], cwd=top)
    return SwitchOutcome(rev, branch, sha, len(data.outs), fetched)


def _refuse_strays(project: Project, top: Path, data: CommitData) -> None:
    """Refuse where files that nobody has a copy of lie where data is to go."""
    head = project.git.run("rev-parse", "--verify", "--quiet", "HEAD", check=False)
    here = read_commit(project.git, Sha(head.stdout.decode().strip())).outs if head.stdout else {}
    for path in data.outs.keys() - here.keys():
        for file in _files_at(top / path):
            with file.open("rb") as content:
                oid = Oid(hashlib.file_digest(content, "md5").hexdigest())
            if not project.cache.has(oid):
                raise FlowError(
                    f"'{file.relative_to(top)}' lies where data goes, and nobody has a copy",
                    hint="move it out of the way",
                )


def _files_at(path: Path) -> list[Path]:
    if path.is_dir() and not path.is_symlink():
        return [file for file in path.rglob("*") if file.is_file()]
    return [path] if path.is_file() else []


def _target(project: Project, branch: str | None, sha: Sha) -> list[str]:
    if branch is None:
        return ["--detach", sha]
    if project.tip(branch).local is not None:
        return [branch]
    return ["--create", branch, "--track", f"{project.git_remote}/{branch}"]


def _refuse_changes(project: Project, top: Path) -> None:
    changed = project.git.text("status", "--porcelain", "--untracked-files=no", cwd=top)
    if changed:
        path = changed.splitlines()[0][3:]
        raise FlowError(f"'{path}' has changes that are not committed", hint="git stash")
    if not (top / ".dvc").is_dir():
        return
    shown = dvc_text(["data", "status", "--json", "--granular"], cwd=top)
    uncommitted = json.loads(shown).get("uncommitted", {})
    for kind in ("modified", "added", "renamed"):
        for path in uncommitted.get(kind, []):
            raise FlowError(
                f"data '{path}' is {kind}, and nobody has a copy", hint=f"dvc add {path}"
            )
