"""Plans an experiment as a commit before its data, and says which group a unit is in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.resources import files as package_files

from dvc_branchflow.assignment import assign
from dvc_branchflow.errors import FlowError, RejectedError, UsageError
from dvc_branchflow.experiment.plan import Plan, parse_plan
from dvc_branchflow.git import Change, NewCommit
from dvc_branchflow.gitobjects import EXECUTABLE_MODE, FILE_MODE
from dvc_branchflow.model import PLAN_FILE, Branch, Role, Sha
from dvc_branchflow.plain import load_mapping, with_values
from dvc_branchflow.project import Project, Tip
from dvc_branchflow.values import dataclass, field
from dvc_branchflow.versions import latest_version, release_tag
from dvc_branchflow.work.commits import CommitData, read_commit
from dvc_branchflow.work.environments import environment, ground_of, served
from dvc_branchflow.work.publish import Move, publish, require_movable
from dvc_branchflow.work.races import until_won
from dvc_branchflow.work.transfer import Report
from dvc_branchflow.work.worktrees import branch_lock

_NOTEBOOK = "explore.ipynb"


@dataclass(frozen=True, slots=True)
class PlanOutcome:
    """What was planned (or, with a dry run, would be).

    Attributes:
        units: group → units that it needs, for the smallest effect at the wanted power.
        commit: None where the plan was there already, or nothing was to be changed.
    """

    branch: Branch
    name: str
    units: Mapping[str, int]
    commit: Sha | None


@dataclass(frozen=True, slots=True)
class Assigned:
    """Unit → group, by an experiment's plan."""

    name: str
    groups: Mapping[str, str] = field(default_factory=dict)


def plan(
    project: Project,
    name: str,
    content: bytes,
    report: Report,
    *,
    reason: str | None = None,
    dry_run: bool = False,
) -> PlanOutcome:
    """Commit a plan on the analysis branch of an experiment.

    Args:
        content: of `experiment.yaml`; a group's branch is replaced by its newest release there.
        reason: why a plan is changed that has data already.
    Raises: ConfigError: it is no plan. FlowError: a group's release is not there.
        RejectedError: it has data already, and no reason is given.
    """
    project.require_history("analysis plan")
    if reason is not None and (not reason.strip() or "\n" in reason or "\r" in reason):
        raise UsageError("--reason has to be one line of text")
    project.refresh()
    branch = branch_of(project, name)
    parsed = parse_plan(name, load_mapping(content, PLAN_FILE))

    def attempt() -> PlanOutcome:
        written = _with_releases(project, content, parsed)
        tip = project.tips.get(branch)
        units = parsed.rows_needed()
        held = None if tip is None else read_commit(project.git, tip.sha)
        if held and _file(project, held, PLAN_FILE) == written:
            return PlanOutcome(branch, name, units, None)
        if held and held.outs and PLAN_FILE in held.files and reason is None:
            raise RejectedError(
                f"'{branch}' has data already, so that its plan is fixed", hint="--reason WHY"
            )
        if dry_run:
            return PlanOutcome(branch, name, units, None)
        if tip is not None:
            require_movable(project, [branch])
        trailer = f"\n\nReason: {reason}" if reason else ""
        commit = NewCommit(
            [tip.sha] if tip else [],
            f"Plan {name}{trailer}\n",
            [*([] if tip else _ground(project)), Change(PLAN_FILE, written)],
        )
        sha = project.git.write_commits([commit])[0]
        publish(project, [Move(branch, tip, sha)], reason=f"branchflow plan {name}", report=report)
        return PlanOutcome(branch, name, units, sha)

    with branch_lock(project, branch, report):
        return until_won(project, attempt, report)


def groups(project: Project, name: str, units: Sequence[str]) -> Assigned:
    """Return the group of each unit, by the plan on the experiment's branch."""
    parsed, _, _ = planned(project, name)
    return Assigned(name, {unit: assign(unit, parsed.assignment) for unit in units})


def planned(project: Project, name: str) -> tuple[Plan, Tip, CommitData]:
    """Return an experiment's plan, and where its branch stands. Raises: FlowError: no plan."""
    branch = branch_of(project, name)
    tip = project.tips.get(branch)
    data = read_commit(project.git, tip.sha) if tip else None
    content = _file(project, data, PLAN_FILE) if data else None
    if tip is None or data is None or content is None:
        raise FlowError(
            f"there is no plan of '{name}' on '{branch}'",
            hint=f"git branchflow analysis plan {name} experiment.yaml",
        )
    return parse_plan(name, load_mapping(content, PLAN_FILE)), tip, data


def branch_of(project: Project, name: str) -> Branch:
    """Return an experiment's branch. Raises: FlowError, UsageError: there can be none."""
    rules = project.config.with_role(Role.ANALYSIS)
    starred = [rule for rule in rules if "*" in rule.pattern]
    if not starred:
        raise FlowError(
            "no pattern of the flow has the role analysis",
            hint="add 'analysis/*: {role: analysis, from: [monitor/*]}' under 'branches' in "
            f"branchflow.yaml on '{project.config.tracking}'",
        )
    branch = Branch(starred[0].pattern.replace("*", name))
    rule = project.config.rule_for(branch)
    if rule is None or rule.role is not Role.ANALYSIS or not _is_plain(name):
        raise UsageError(f"'{name[:60]}' can't be an experiment's name")
    return branch


def _ground(project: Project) -> list[Change]:
    """What a new branch holds besides its plan: what all carry, and a notebook to start from."""
    notebook = package_files("dvc_branchflow") / "templates" / "analysis" / _NOTEBOOK
    return [*ground_of(project), Change(_NOTEBOOK, notebook.read_bytes())]


def _is_plain(name: str) -> bool:
    return bool(name) and name.replace("-", "").replace("_", "").replace(".", "").isalnum()


def _with_releases(project: Project, content: bytes, parsed: Plan) -> bytes:
    """The plan with the newest release of each branch that a group names.

    Rows name releases, and an experiment has to stay what it was while branches move on.
    """
    releases = environment(project, parsed.environment).releases
    found = {group: _newest(releases, name) or name for group, name in parsed.groups.items()}
    for group, tag in found.items():
        try:
            served(releases, tag)
        except KeyError:
            raise FlowError(
                f"group '{group}' is '{tag}', which is no release and no branch that has one",
                hint="git branchflow runs  # shows the releases",
            ) from None
    changed = {f"groups.{g}": tag for g, tag in found.items() if tag != parsed.groups[g]}
    if not changed:
        return content
    written = with_values(content, PLAN_FILE, changed)
    if written is None or load_mapping(written, PLAN_FILE).get("groups") != found:
        raise FlowError(f"can't put releases in place of branches: {', '.join(changed)}")
    return written


def _newest(releases: Project, branch: str) -> str | None:
    spec = releases.specs.get(Branch(branch))
    if spec is None or spec.role is not Role.STABLE:
        return None
    version = latest_version(releases.tags, spec.model)
    return release_tag(spec.model, version) if version else None


def _file(project: Project, data: CommitData, path: str) -> bytes | None:
    entry = data.files.get(path)
    if entry is None or entry.mode not in {FILE_MODE, EXECUTABLE_MODE}:
        return None
    return project.git.read_blobs([entry.sha])[entry.sha]
