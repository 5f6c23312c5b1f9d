"""Says what a branch is for, and why a file may or may not go there."""

from __future__ import annotations

from collections.abc import Mapping

from dvc_branchflow.flow import BranchSpec
from dvc_branchflow.model import APPEND_ONLY, LOCK_FILE, PIPELINE_FILE, Branch, Role
from dvc_branchflow.policy.any_branch import is_hostile
from dvc_branchflow.policy.catalog import RULES
from dvc_branchflow.policy.facts import is_below
from dvc_branchflow.values import dataclass

PURPOSES: Mapping[Role, str] = {
    Role.MAIN: "the problem, documents, branchflow.yaml, and the records of all runs",
    Role.RAW: "data as it came in, only ever added to, with its source",
    Role.CLEAN: "good data only, and every reject with its reason",
    Role.SPLIT: "train, validation and test, which everybody shares",
    Role.DEV: "writing code, on a sample of the data",
    Role.STABLE: "training, evaluating and releasing code that came from dev",
    Role.MONITOR: "what production saw, only ever added to",
    Role.ANALYSIS: "experiments: their plans, the data that they judge, and the verdicts",
}


@dataclass(frozen=True, slots=True)
class Placement:
    """Whether a path may go on a branch.

    Attributes:
        purpose: what the branch is for.
        code: the rule that keeps the path away; empty where none does.
        reason: why, or why not.
        instead: what to do.
    """

    branch: Branch
    role: Role
    purpose: str
    path: str
    code: str
    reason: str
    instead: str

    @property
    def may(self) -> bool:
        """Whether the path may go there."""
        return not self.code


def place(spec: BranchSpec, path: str, owners: Mapping[Branch, str]) -> Placement:
    """Say whether a file may go on a branch, as far as its path tells.

    Args:
        path: from the repository's root.
        owners: data branch → the path that it publishes.
    """
    code, reason, instead = _answer(spec, path.strip("/"), owners)
    return Placement(
        spec.branch, spec.role, PURPOSES[spec.role], path, code, reason,
        instead or (RULES[code].repair if code else ""),
    )  # fmt: skip


def _answer(spec: BranchSpec, path: str, owners: Mapping[Branch, str]) -> tuple[str, str, str]:
    """The rule that keeps a path away, why, and what to do; empty where there is none."""
    if is_hostile(path):
        return "hostile-path", "the path itself is one that Git or a system would act on", ""
    target = path.removesuffix(".dvc")
    owner = next((o for o, data in owners.items() if is_below(target, data)), None)
    if owner is not None and owner != spec.branch:
        return _of_another(spec, owner)
    return _by_role(spec, path, is_own_data=owner is not None)


def _of_another(spec: BranchSpec, owner: Branch) -> tuple[str, str, str]:
    if owner in spec.upstreams:
        reason = f"'{owner}' publishes there; '{spec.branch}' holds it as a pin, not as its own"
        return "outs-at-home", reason, f"git branchflow pin {spec.branch} {owner}"
    reason = f"'{owner}' publishes there, and '{spec.branch}' is not downstream of it"
    return "outs-at-home", reason, f"put it on '{owner}'"


def _by_role(spec: BranchSpec, path: str, *, is_own_data: bool) -> tuple[str, str, str]:
    name = path.rpartition("/")[2]
    if spec.role in APPEND_ONLY and is_own_data:
        command = f"git branchflow ingest --branch {spec.branch} --source WHERE_FROM FILES"
        return "", "this is the branch's own data: it may be added, and never changed", command
    if spec.role in APPEND_ONLY and name in {PIPELINE_FILE, LOCK_FILE}:
        return f"{spec.role}-no-pipeline", "stages don't run on a branch that only collects", ""
    if spec.role is Role.MAIN and name.endswith(".dvc"):
        return "main-no-outs", "a .dvc file is data", ""
    if spec.role is Role.STABLE:
        reason = f"code comes to stable only from '{spec.code}'; results come from its stages"
        command = f"commit it on '{spec.code}', then: git branchflow promote {spec.code}"
        return "stable-code", reason, command
    return "", "no rule keeps it away; it has to stay under 5 MiB, or be DVC's", ""
