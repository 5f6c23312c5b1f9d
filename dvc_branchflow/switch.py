"""Checks out a branch or a release with exactly its data."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dvc_branchflow.dvcio import dvc_text
from dvc_branchflow.errors import FlowError, GitError, StorageError
from dvc_branchflow.manifest import lookup
from dvc_branchflow.model import Sha
from dvc_branchflow.project import Project
from dvc_branchflow.values import dataclass, replace
from dvc_branchflow.work.commits import CommitData, read_commit
from dvc_branchflow.work.placing import Checkout, Stray, Survey, fetch_wanted
from dvc_branchflow.work.transfer import Report, manifest_of
from dvc_branchflow.work.worktrees import slug


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
    files are linked from there as DVC's `cache.type` says, and only those that differ.

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
    here = _Here(project, top)
    surveys = here.surveys(data)
    fetched = fetch_wanted(project, surveys, report)
    with here.unfinished():
        here.keep_copies(surveys)
        _move(project, top, branch, sha, report)
        report(f"files to place: {sum(len(survey.wanted) for survey in surveys)}")
        here.make(surveys)
    if any(map(project.lives_elsewhere, data.outs.values())):
        report("some data live in another repository: `dvc pull` brings them")
    return SwitchOutcome(rev, branch, sha, len(data.outs), fetched)


def _move(project: Project, top: Path, branch: str | None, sha: Sha, report: Report) -> None:
    target = _target(project, branch, sha)
    moved = project.git.run("switch", "--quiet", *target, cwd=top, check=False)
    if project.git.resolve("HEAD") != sha:
        reason = moved.stderr.decode(errors="replace").strip().splitlines()[-1:] or [""]
        raise GitError(f"git switch failed: {reason[0]}", hint="git status")
    if moved.returncode:
        report("a hook of yours failed after the switch")


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


class _Here:
    """The user's own checkout: what is not committed there is not ours to lose."""

    def __init__(self, project: Project, top: Path) -> None:
        self._project = project
        self._top = top
        self._checkout = Checkout(project, top)
        self._mark = project.state_dir / "switching" / slug(str(top))
        head = project.git.run("rev-parse", "--verify", "--quiet", "HEAD", check=False)
        commit = head.stdout.decode().strip()
        self._outs = read_commit(project.git, Sha(commit)).outs if commit else {}
        self._has_asked = False

    def surveys(self, data: CommitData) -> list[Survey]:
        """Return what it takes to have a commit's outs in place, and what has to go for it.

        Raises: FlowError: something would go that is neither committed nor in the cache.
        """
        gone = [self._checkout.survey_gone(path) for path in self._outs.keys() - data.outs.keys()]
        outs = (out for out in data.outs.values() if not self._project.lives_elsewhere(out))
        found = [self._checkout.survey(out) for out in outs]
        return [self._lawful(survey) for survey in [*gone, *found]]

    def keep_copies(self, surveys: Iterable[Survey]) -> None:
        """Take into the cache what is nowhere else, before it goes."""
        for survey in surveys:
            self._checkout.keep_copies(survey.out.path, survey.strays)

    def make(self, surveys: Iterable[Survey]) -> None:
        """Put in place what the surveys want."""
        for survey in surveys:
            self._checkout.make(survey)

    @contextmanager
    def unfinished(self) -> Iterator[None]:
        """Leave a mark for as long as commit and data may not go together.

        Who finds it knows that data that differ from the commit are what a killed switch left.
        """
        self._mark.parent.mkdir(parents=True, exist_ok=True)
        self._mark.touch()
        try:
            yield
        except GitError:  # nothing moved
            self._mark.unlink()
            raise
        self._mark.unlink()

    def _lawful(self, survey: Survey) -> Survey:
        """A survey without what DVC ignores. Raises: FlowError: the user would lose something."""
        held = self._held(survey.out.path)
        unsaved = [stray for stray in survey.strays if not held(stray)]
        for stray in unsaved:
            path = f"{survey.out.path}/{stray.relpath}".rstrip("/")
            if survey.out.path not in self._outs:
                raise FlowError(
                    f"'{path}' lies where data goes, and nobody has a copy",
                    hint="move it out of the way",
                )
            self._ask_dvc()
        ignored = {stray.relpath for stray in unsaved}
        kept = tuple(stray for stray in survey.extra if stray.relpath not in ignored)
        return replace(survey, extra=kept)

    def _held(self, path: str) -> Callable[[Stray], bool]:
        """Whether what lies below a path is what is committed there, or at least in the cache."""
        out = self._outs.get(path)
        cache = self._project.cache
        if out is None or self._mark.exists():
            return lambda stray: stray.oid is not None and cache.has(stray.oid)
        if not out.is_dir:
            return lambda stray: not stray.relpath and stray.oid == out.oid
        try:
            manifest = manifest_of(self._project, out)
        except StorageError:  # not to be had: DVC has to say
            return lambda _: False
        return lambda stray: stray.oid is not None and lookup(manifest, stray.relpath) == stray.oid

    def _ask_dvc(self) -> None:
        """Let DVC say whether data differ from the commit; it knows what is ignored."""
        if self._has_asked:
            return
        shown = dvc_text(["data", "status", "--json", "--granular"], cwd=self._top)
        uncommitted = json.loads(shown).get("uncommitted", {})
        for kind in ("modified", "added", "renamed"):
            for path in uncommitted.get(kind, []):
                raise FlowError(
                    f"data '{path}' is {kind}, and nobody has a copy", hint=f"dvc add {path}"
                )
        self._has_asked = True
