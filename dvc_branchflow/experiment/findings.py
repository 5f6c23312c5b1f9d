"""What a report found, as the file that it leaves on the branch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from dvc_branchflow.experiment.verdict import Effect, Verdict
from dvc_branchflow.values import dataclass, field

REPORT = "report.json"
PAGE = "report.html"
SCHEMA: Literal["branchflow/experiment-report/1"] = "branchflow/experiment-report/1"


@dataclass(frozen=True, slots=True)
class Segment:
    """The effect among the rows with one value of a column, at a level shared by all segments."""

    column: str
    value: str
    effect: Effect


@dataclass(frozen=True, slots=True)
class Findings:
    """An experiment's data, judged.

    Attributes:
        plan_commit: that added the plan; `data_commit`: of the monitor branch.
        units: group → units; `needed` by the plan.
        crossed: units that were seen in more than one group, and left out.
        too_early: rows from before the plan was committed, and left out.
        without_unit: rows that name no unit, and were left out.
        mismatch_p: of the group sizes; null after a ramp.
        power: the chance to have found the smallest effect of interest by now, by group.
        is_over: whether the horizon has passed.
    """

    name: str
    question: str
    branch: str
    plan_commit: str
    data_commit: str
    horizon: str
    rows: int
    units: Mapping[str, int]
    needed: Mapping[str, int]
    crossed: int
    too_early: int
    without_unit: int
    mismatch_p: float | None
    is_over: bool
    verdicts: tuple[Verdict, ...]
    effects: tuple[Effect, ...]
    guardrails: tuple[Effect, ...] = ()
    segments: tuple[Segment, ...] = ()
    power: Mapping[str, float] = field(default_factory=dict)
    judge: str = ""
    notes: tuple[str, ...] = ()
    schema: Literal["branchflow/experiment-report/1"] = SCHEMA
