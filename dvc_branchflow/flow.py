"""Which branch feeds which, and in what order: the flow that a config lays over real branches."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from graphlib import CycleError, TopologicalSorter

from dvc_branchflow.config import BranchRule, FlowConfig
from dvc_branchflow.errors import FlowError
from dvc_branchflow.model import Branch, Role, parse_model
from dvc_branchflow.values import dataclass


@dataclass(frozen=True, slots=True)
class BranchSpec:
    """What one real branch is for, its patterns filled in.

    `upstreams` are the existing branches whose data it pins; `code` is the branch that its code
    is promoted from; `star` is what `*` matched.
    """

    branch: Branch
    rule: BranchRule
    star: str
    data: str | None
    upstreams: tuple[Branch, ...]
    code: Branch | None

    @property
    def role(self) -> Role:
        """What the branch is for."""
        return self.rule.role

    @property
    def model(self) -> str:
        """The name of the model that a dev or stable branch makes."""
        return parse_model(self.rule.model or self.star or self.branch.rsplit("/", 1)[-1])


def describe(config: FlowConfig, branch: str, existing: Iterable[str]) -> BranchSpec:
    """Return what `branch` is for.

    Args:
        existing: names of the branches that there are; patterns in `from` pick among them.
    Raises: FlowError: no entry of the config covers the branch.
    """
    rule = config.rule_for(branch)
    if rule is None:
        known = ", ".join(sorted(rule.pattern for rule in config.rules))
        raise FlowError(
            f"'{branch}' has no role in branchflow.yaml, which knows: {known}",
            hint=f"add '{branch}' under 'branches' in branchflow.yaml on '{config.tracking}'",
        )
    star = rule.match(branch) or ""
    names = sorted(existing)
    upstreams = [name for item in rule.upstreams for name in _expand(item, star, names)]
    return BranchSpec(
        branch=Branch(branch),
        rule=rule,
        star=star,
        data=_owned_path(rule, star),
        upstreams=tuple(
            dict.fromkeys(Branch(n) for n in upstreams if not _is_away(config, n, names))
        ),
        code=Branch(rule.code.replace("{}", star)) if rule.code else None,
    )


def describe_all(config: FlowConfig, existing: Iterable[str]) -> dict[Branch, BranchSpec]:
    """Return every existing branch that has a role, upstream first.

    Raises: FlowError: the branches feed each other in a circle.
    """
    names = sorted(existing)
    specs = {Branch(n): describe(config, n, names) for n in names if config.rule_for(n)}
    order = upstream_first(specs)
    return {branch: specs[branch] for branch in order}


def upstream_first(specs: Mapping[Branch, BranchSpec]) -> list[Branch]:
    """Return the branches so that each comes after all that it is built on."""
    graph = {
        branch: [name for name in (*spec.upstreams, spec.code) if name and name in specs]
        for branch, spec in specs.items()
    }
    try:
        return list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        circle = " → ".join(error.args[1])
        raise FlowError(
            f"branches feed each other in a circle: {circle}",
            hint="take one 'from' out of branchflow.yaml",
        ) from error


def identifier(branch: str) -> str:
    """Return a branch's name as a key that DVC can interpolate: `data/raw` → `data_raw`."""
    return "".join(char if char.isalnum() and char.isascii() else "_" for char in branch)


def _expand(item: str, star: str, existing: list[str]) -> list[str]:
    item = item.replace("{}", star)
    if "*" not in item:
        return [item]
    pattern = BranchRule(item, Role.RAW)
    return [name for name in existing if pattern.match(name)]


def _is_away(config: FlowConfig, branch: str, existing: list[str]) -> bool:
    """Whether a branch lives in another repository, and not in this."""
    rule = config.rule_for(branch)
    return rule is not None and rule.repo is not None and branch not in existing


def _owned_path(rule: BranchRule, star: str) -> str | None:
    if rule.data is None or "*" not in rule.pattern:
        return rule.data
    return f"{rule.data}/{star}"
