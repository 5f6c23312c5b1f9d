"""Lists experiments, picks the best of them, and takes the params of one to its dev branch."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import groupby

from dvc_branchflow.errors import BranchflowError, ConfigError, FlowError
from dvc_branchflow.flow import BranchSpec
from dvc_branchflow.git import NewCommit
from dvc_branchflow.model import Branch, Role, Sha
from dvc_branchflow.project import Project
from dvc_branchflow.query import Order, ordered
from dvc_branchflow.values import dataclass, replace
from dvc_branchflow.work.commits import CommitData, read_commit, read_commits
from dvc_branchflow.work.experiments import Experiment, find_experiment, find_experiments, homes
from dvc_branchflow.work.params import plan_params
from dvc_branchflow.work.publish import Move, publish, require_movable
from dvc_branchflow.work.races import until_won
from dvc_branchflow.work.ranking import Choice, best, chosen
from dvc_branchflow.work.transfer import Report
from dvc_branchflow.work.views import RunView, Wanted, model_of, views_of_commits
from dvc_branchflow.work.worktrees import branch_lock

_LISTED = 10


@dataclass(frozen=True, slots=True)
class ExperimentGroup:
    """Experiments that may be ranked together, since they were evaluated on the same data.

    Attributes:
        runs: the commits that they were run on and the experiments; the best first, where one
            metric was asked for.
        best: the commits of the best by it.
    """

    runs: tuple[RunView, ...]
    best: tuple[Sha, ...]


@dataclass(frozen=True, slots=True)
class ParamsOutcome:
    """What became of an experiment's params on a dev branch.

    Attributes:
        params: name → the value before, and the one that it gets.
        commit: the one that was made; None: none.
    """

    experiment: str
    source: Sha
    branch: Branch
    params: Mapping[str, tuple[object, object]]
    commit: Sha | None


@dataclass(frozen=True, slots=True)
class ExperimentList:
    """Experiments in groups, and by what they are ranked.

    Attributes:
        by: the metric; None: by none.
        is_lower: whether lower is better.
        unreadable: what is wrong with experiments that can't be read.
        notes: what a reader should know besides.
    """

    groups: tuple[ExperimentGroup, ...]
    by: str | None
    is_lower: bool | None
    unreadable: tuple[BranchflowError, ...]
    notes: tuple[str, ...] = ()


def experiments(
    project: Project, branch: str | None = None, choice: Choice | None = None
) -> ExperimentList:
    """List the experiments of a branch, or of all, with the commits that they were run on.

    Args:
        choice: by which metric to rank; None: by none.
    Raises: FlowError: no dev or stable branch. UsageError: no such metric, or nothing says which
        way it is better.
    """
    if branch is not None and project.spec(branch).role not in {Role.DEV, Role.STABLE}:
        raise FlowError(f"'{branch}' is no dev or stable branch, and nobody experiments there")
    every = find_experiments(project.git)
    at = homes(project, {one.baseline for one in every})
    listed = [
        one
        for one in every
        if branch is None or (one.baseline in at and at[one.baseline].branch == branch)
    ]
    views, unreadable = _views(project, listed, at)
    metric, is_lower = None, None
    if choice is not None and choice.metric is not None and views:
        ((metric, is_lower),) = chosen(project, views, choice).items()
    groups = tuple(_group(runs, metric, is_lower=is_lower is True) for runs in _together(views))
    return ExperimentList(groups, metric, is_lower, unreadable, tuple(_notes(views, metric)))


def promote_params(
    project: Project, name: str, branch: str | None, report: Report, *, dry_run: bool = False
) -> ParamsOutcome:
    """Commit the params that an experiment changed on the dev branch; not its code, nor its outs.

    Args:
        branch: the dev branch; None: the one that it was run on, or whose code that one has.
    Raises: FlowError: no such experiment, or it changed more than params, or the branch changed
        the same ones since.
    """
    project.require_history("promote")
    experiment = find_experiment(project.git, name)
    if experiment is None:
        known = ", ".join(one.name for one in find_experiments(project.git)[:_LISTED]) or "none"
        raise FlowError(f"there is no experiment '{name}'; there are: {known}",
                        hint="dvc exp pull origin NAME")  # fmt: skip

    def attempt() -> ParamsOutcome:
        target = _target(project, experiment, branch)
        require_movable(project, [target])
        tip = project.tip(target)
        commits = [experiment.baseline, experiment.commit, tip.sha]
        base, made, now = (read_commits(project.git, commits)[sha] for sha in commits)
        plan = plan_params(project, experiment, base, made, now)
        outcome = ParamsOutcome(experiment.name, experiment.commit, target, plan.params, None)
        if dry_run or not plan.changes:
            return outcome
        subject = f"Take the params of experiment {experiment.name}"
        trailer = f"Experiment: {experiment.name}@{experiment.commit}"
        commit = NewCommit([tip.sha], f"{subject}\n\n{trailer}\n", plan.changes)
        (sha,) = project.git.write_commits([commit])
        publish(
            project, [Move(target, tip, sha)],
            reason=f"branchflow promote --experiment {experiment.name}", report=report,
        )  # fmt: skip
        return replace(outcome, commit=sha)

    with branch_lock(project, _target(project, experiment, branch), report):
        return until_won(project, attempt, report)


def _target(project: Project, experiment: Experiment, branch: str | None) -> Branch:
    """The dev branch that an experiment's params go to."""
    home = homes(project, [experiment.baseline]).get(experiment.baseline)
    wanted = branch or (home.code or home.branch if home else None)
    if wanted is None:
        raise FlowError(
            f"experiment '{experiment.name}' was run on {experiment.baseline[:10]}, which is on no "
            "dev or stable branch",
            hint=f"git branchflow promote --experiment {experiment.name} DEV_BRANCH",
        )
    spec = project.spec(wanted)
    if spec.role is not Role.DEV:
        raise FlowError(f"'{wanted}' is a {spec.role} branch; params go to dev branches")
    return project.tip(wanted).branch


def _views(
    project: Project, listed: Sequence[Experiment], at: Mapping[Sha, BranchSpec]
) -> tuple[list[RunView], tuple[BranchflowError, ...]]:
    """Each baseline and its experiments behind it, and what is wrong with those left out."""
    wanted: list[Wanted] = []
    for baseline, group in groupby(sorted(listed, key=_baseline), key=_baseline):
        home = at.get(baseline)
        is_tip = home is not None and project.tip(home.branch).sha == baseline
        name = home.branch if home is not None and is_tip else baseline[:10]
        wanted.append(Wanted(name, "branch" if is_tip else "commit", baseline, model_of(home)))
        wanted += [one.wanted(home) for one in group]
    data, errors = _readable(project, {one.commit for one in wanted})
    here = [one for one in wanted if one.commit in data]
    return views_of_commits(project, here, data), tuple(errors)


def _baseline(one: Experiment) -> Sha:
    return one.baseline


def _readable(
    project: Project, commits: Collection[Sha]
) -> tuple[dict[Sha, CommitData], list[BranchflowError]]:
    """What the commits say about data, those apart that can't be read."""
    kinds = project.git.kinds(commits)
    here = [sha for sha in commits if kinds.get(sha) == "commit"]
    try:
        return read_commits(project.git, here), []
    except ConfigError:
        pass
    found: dict[Sha, CommitData] = {}
    errors: list[BranchflowError] = []
    for sha in here:
        try:
            found[sha] = read_commit(project.git, sha)
        except ConfigError as error:
            errors.append(error)
    return found, errors


def _together(views: Sequence[RunView]) -> list[list[RunView]]:
    """The runs that may be ranked together; where nothing is known of that, each baseline's own."""
    groups: dict[object, list[RunView]] = {}
    for view in views:
        key = view.evaluated_on or view.baseline or view.commit
        groups.setdefault(key, []).append(view)
    return list(groups.values())


def _group(runs: Sequence[RunView], metric: str | None, *, is_lower: bool) -> ExperimentGroup:
    if metric is None:
        return ExperimentGroup(tuple(runs), ())
    ranked = ordered(runs, Order(metric, is_descending=not is_lower), lambda run: run.metrics)
    top = best(ranked, metric, is_lower=is_lower)
    return ExperimentGroup(tuple(ranked), tuple(ranked[place].commit for place in top))


def _notes(views: Sequence[RunView], metric: str | None) -> Iterator[str]:
    yield from (f"{view.name}: {problem}" for view in views for problem in view.problems)
    if metric is None or not any(metric in view.test_side for view in views):
        return
    seen = {name for view in views for name in view.test_side}
    others = sorted({name for view in views for name in view.metrics} - seen)
    alike = [name for name in others if name.rpartition(":")[2] == metric.rpartition(":")[2]]
    instead = f"; pick by {alike[0]}" if alike else ""
    yield f"'{metric}' is measured on the test side, which each pick by it spends{instead}"
