"""Monitor branches: which one is meant, the releases that may be logged there, and its ground."""

from __future__ import annotations

from functools import cached_property

from dvc_branchflow.config import is_branch_name
from dvc_branchflow.errors import FlowError, UsageError
from dvc_branchflow.flow import BranchSpec
from dvc_branchflow.git import Change
from dvc_branchflow.gitobjects import EXECUTABLE_MODE, FILE_MODE
from dvc_branchflow.model import Branch, Role, Sha
from dvc_branchflow.project import Project, Tip
from dvc_branchflow.values import dataclass
from dvc_branchflow.versions import parse_tag
from dvc_branchflow.watch.recipe import RECIPE_FILE, Recipe, parse_recipe
from dvc_branchflow.watch.rows import SCHEMA_FILE, LogSchema, parse_log_schema
from dvc_branchflow.work.commits import CommitData, read_commit
from dvc_branchflow.work.elsewhere import repository_at

_GROUND = (".gitignore", ".gitattributes", ".dvcignore", ".dvc/config", ".dvc/.gitignore")


@dataclass
class Environment:
    """A monitor branch: what it is for, where it stands, and what is on it.

    Attributes:
        project: the repository that it lives in.
        tip: None where nothing was ever logged there.
        here: the repository that we work in.
        repo: the URL of the branch's own one; None: it lives here.
    """

    project: Project
    spec: BranchSpec
    tip: Tip | None
    here: Project
    repo: str | None = None

    @cached_property
    def releases(self) -> Project:
        """The repository that the releases are in that may be logged there."""
        url = self.spec.rule.watch.releases
        is_ours = self.repo is not None or url is None
        return self.here if is_ours else repository_at(self.project, str(url))

    @cached_property
    def data(self) -> CommitData | None:
        """What the tip says about data."""
        return read_commit(self.project.git, self.tip.sha) if self.tip else None

    @cached_property
    def schema(self) -> LogSchema | None:
        """The columns that are logged; None before the first log."""
        content = self.file(SCHEMA_FILE)
        return None if content is None else parse_log_schema(content, SCHEMA_FILE)

    @property
    def folder(self) -> str:
        """The path that the branch owns."""
        return self.spec.data or ""

    def file(self, path: str) -> bytes | None:
        """Return a file of the branch in Git, None where there is no such plain file."""
        return self.files([path]).get(path)

    def files(self, paths: list[str]) -> dict[str, bytes]:
        """Return those of the files that are on the branch as plain ones."""
        held = self.data.files if self.data else {}
        entries = {p: held[p] for p in paths if p in held}
        plain = {p: e.sha for p, e in entries.items() if e.mode in {FILE_MODE, EXECUTABLE_MODE}}
        blobs = self.project.git.read_blobs(plain.values())
        return {path: blobs[sha] for path, sha in plain.items()}

    def ground(self) -> list[Change]:
        """What a new branch needs besides its data: the files that every branch carries."""
        return [] if self.tip is not None else ground_of(self.project)


@dataclass(frozen=True, slots=True)
class Served:
    """A release as a log names it: its commit, and what it says of its inputs."""

    tag: str
    commit: Sha
    recipe: Recipe | None


def ground_of(project: Project) -> list[Change]:
    """Return the files that every branch carries, as the tracking branch has them."""
    held = project.git.files(project.tracking.sha)
    return [Change(path, entry=held[path]) for path in _GROUND if path in held]


def environment(project: Project, name: str | None) -> Environment:
    """Return the monitor branch that a name means: `prod`, `monitor/prod`, or None: the only one.

    Raises: FlowError, UsageError: the config has no monitor branches, or it can't be told which.
    """
    rules = project.config.with_role(Role.MONITOR)
    if not rules:
        raise FlowError(
            "no branch of the flow has the role monitor",
            hint=f"add 'monitor/*: {{role: monitor}}' under 'branches' in branchflow.yaml on "
            f"'{project.config.tracking}'",
        )
    if name is None:
        return _here(project, _only_one(project))
    names = [name, *(rule.pattern.replace("*", name) for rule in rules if "*" in rule.pattern)]
    for branch in names:
        rule = project.config.rule_for(branch)
        if rule is not None and rule.role is Role.MONITOR and is_branch_name(branch):
            is_away = rule.repo is not None and branch not in project.tips
            return (
                _elsewhere(project, branch, str(rule.repo)) if is_away else _here(project, branch)
            )
    raise UsageError(
        f"'{name}' is no monitor branch: there are {', '.join(r.pattern for r in rules)}"
    )


def served(releases: Project, tag: str) -> Served:
    """Return what a release says of itself. Raises: KeyError: there is no such release."""
    ref = releases.tags[tag]
    if parse_tag(tag) is None or ref.kind != "tag":
        raise KeyError(tag)
    git = releases.git
    entry = git.entry(git.commits([ref.commit])[ref.commit].tree, RECIPE_FILE)
    recipe = None
    if entry is not None and entry.mode in {FILE_MODE, EXECUTABLE_MODE}:
        recipe = parse_recipe(git.read_blobs([entry.sha])[entry.sha], f"{RECIPE_FILE} at {tag}")
    return Served(tag, ref.commit, recipe)


def _only_one(project: Project) -> str:
    there = [spec.branch for spec in project.specs.values() if spec.role is Role.MONITOR]
    if len(there) == 1:
        return there[0]
    names = ", ".join(there) or "none yet"
    raise UsageError(f"which environment? there are: {names}", hint="… --env NAME")


def _here(project: Project, branch: str) -> Environment:
    return Environment(project, project.spec(branch), project.tips.get(Branch(branch)), project)


def _elsewhere(project: Project, branch: str, url: str) -> Environment:
    """A branch of the repository at a URL, by that one's own config."""
    found = repository_at(project, url)
    spec = found.spec(branch)
    if spec.role is not Role.MONITOR:
        raise FlowError(f"'{branch}' is no monitor branch in '{url}'")
    return Environment(found, spec, found.tips.get(Branch(branch)), project, url)
