"""Which runs may be ranked, and which way a metric is better."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from dvc_branchflow.errors import UsageError
from dvc_branchflow.model import Role
from dvc_branchflow.project import Project
from dvc_branchflow.query import require_known
from dvc_branchflow.values import dataclass
from dvc_branchflow.work.views import RunView, model_of


@dataclass(frozen=True, slots=True)
class Choice:
    """By which metric to rank, and which way it is better; None: by what the gates say."""

    metric: str | None = None
    is_lower: bool | None = None


def why_not_comparable(views: Sequence[RunView]) -> str:
    """Return why runs can't be ranked together; empty where they can."""
    certificates = {view.certificate for view in views}
    if len({view.evaluated_on for view in views}) == 1 and views[0].evaluated_on is not None:
        return ""
    if None in certificates:
        return "no split certificate says that they were evaluated on the same data"
    if len(certificates) == 1:
        return "evaluated on different samples of the split"
    return "evaluated on different split certificates"


def lower_is_better(project: Project, models: Collection[str | None]) -> dict[str, bool]:
    """Return metric → whether lower is better, where the gates of the models' releases say so."""
    return {
        gate.metric: gate.better == "lower"
        for spec in project.specs.values()
        if spec.role is Role.STABLE and model_of(spec) in models
        for gate in spec.rule.gates
    }


def chosen(project: Project, views: Sequence[RunView], choice: Choice) -> dict[str, bool]:
    """Return the metrics to rank by, with whether lower is better: the one asked for, or all known.

    Raises: UsageError: none of the runs has it, or nothing says which way it is better.
    """
    known = {name for view in views for name in view.metrics}
    gates = lower_is_better(project, {view.model for view in views})
    by_gates = {shown_name(metric, known): is_lower for metric, is_lower in gates.items()}
    if choice.metric is None:
        return by_gates
    metric = shown_name(choice.metric, known)
    require_known(metric, known, "run")
    is_lower = by_gates.get(metric) if choice.is_lower is None else choice.is_lower
    if is_lower is None:
        raise UsageError(
            f"no gate in branchflow.yaml says which way '{metric}' is better",
            hint=f"--by {metric} --lower; or --higher",
        )
    return {metric: is_lower}


def shown_name(metric: str, known: Collection[str]) -> str:
    """Return a metric's name as `runs` shows it, of one that may be given as `FILE:NAME`."""
    plain = metric.removeprefix("metrics.")
    return next((n for n in (metric, plain) if n in known), plain.rpartition(":")[2])


def best(views: Sequence[RunView], metric: str, *, is_lower: bool) -> tuple[int, ...]:
    """Return the places of the runs with the best value; none where there is nothing to choose."""
    values = {n: view.metrics[metric] for n, view in enumerate(views) if metric in view.metrics}
    if len(set(values.values())) < 2:  # noqa: PLR2004
        return ()
    top = min(values.values()) if is_lower else max(values.values())
    return tuple(n for n, value in values.items() if value == top)
