"""Rules of branches that pin: record (pins.yaml), proof (the outs) and lineage (parents) agree."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from dvc_branchflow import manifest
from dvc_branchflow.flow import BranchSpec
from dvc_branchflow.model import Branch, Oid, Out, Role, Sample, Violation
from dvc_branchflow.policy.erased import is_same_run
from dvc_branchflow.policy.facts import CommitFacts, Held, Pinned
from dvc_branchflow.sampling import sampled

_ROUNDING = 1e-9
Owners = Mapping[Branch, str]
"""Data branch → the path that it publishes."""


def needed(spec: BranchSpec, facts: CommitFacts, owners: Owners) -> Iterator[tuple[str, Out]]:
    """Yield the directories whose manifests have to be seen, with the rule that asks."""
    for upstream in to_judge(spec, facts.held, facts.before, owners, follows=facts.follows):
        pinned = facts.pinned.get(upstream)
        if upstream in facts.held.pins.samples and pinned and pinned.published:
            yield from (("pins-true", out) for out in pinned.published.values() if out.is_dir)


def judge(
    spec: BranchSpec, facts: CommitFacts, owners: Owners, manifests: Mapping[Oid, bytes]
) -> Iterator[Violation]:
    """Judge what a commit holds of its upstreams."""
    for upstream in to_judge(spec, facts.held, facts.before, owners, follows=facts.follows):
        yield from _pin(spec, facts, upstream, owners[upstream], manifests)
        if spec.role is Role.DEV and spec.rule.sample is not None:
            yield from _sample(spec, facts, upstream, owners[upstream])
    owned = [owners[upstream] for upstream in spec.upstreams if upstream in owners]
    ran = {stage.name: stage for stage in facts.before.stages}
    same = {
        stage.name
        for stage in facts.held.stages
        if is_same_run(ran.get(stage.name), stage, facts.held.erased, manifests)
    }
    yield from judge_inputs(spec.branch, facts.held, owned, same)


def judge_inputs(
    branch: str,
    held: Held,
    owned: list[str],
    same: Collection[str] = (),
    folders: Mapping[str, Oid] | None = None,
) -> Iterator[Violation]:
    """Judge whether the stages that ran have read what is pinned.

    Args:
        owned: the paths that the upstreams publish.
        same: the stages that did not run anew, and were judged before.
        folders: oids of folders above pinned outs, for stages that depend on such.
    """
    pinned = {path: out.oid for data in owned for path, out in held.below(data).items()}
    pinned |= folders or {}
    for stage in held.stages:
        if stage.name in same:
            continue
        for path, oid in stage.deps.items():
            if oid is not None and path in pinned and oid != pinned[path]:
                found = f"was read as {oid} by '{stage.name}', and {pinned[path]} is pinned"
                yield Violation("inputs-true", branch, found, "", path=path)


def to_judge(
    spec: BranchSpec, now: Held, before: Held, owners: Owners, *, follows: bool
) -> list[Branch]:
    """Return the upstreams whose pin or outs a commit changes; what stays was judged before."""
    return [
        upstream
        for upstream in spec.upstreams
        if upstream in owners and (not follows or _changes(now, before, upstream, owners[upstream]))
    ]


def _changes(now: Held, before: Held, upstream: Branch, data: str) -> bool:
    return (
        now.pins.commits.get(upstream) != before.pins.commits.get(upstream)
        or now.pins.samples.get(upstream) != before.pins.samples.get(upstream)
        or now.below(data) != before.below(data)
    )


def _pin(
    spec: BranchSpec,
    facts: CommitFacts,
    upstream: Branch,
    data: str,
    manifests: Mapping[Oid, bytes],
) -> Iterator[Violation]:
    held = facts.held.below(data)
    pinned = facts.pinned.get(upstream)
    if pinned is None:
        for path in sorted(held):
            found = f"is data of '{upstream}', which pins.yaml does not name"
            yield _untrue(spec, facts, path, found)
        return
    if pinned.published is None or not pinned.is_on_upstream:
        found = f"names {pinned.commit[:10]}, which is no commit of '{upstream}'"
        yield _untrue(spec, facts, "pins.yaml", found)
        return
    if not pinned.is_in_history:
        found = f"names {pinned.commit[:10]} of '{upstream}', which is no ancestor of this commit"
        yield _untrue(spec, facts, "pins.yaml", found)
    sample = facts.held.pins.samples.get(upstream)
    if sample is not None and spec.rule.sample is None:
        found = f"names a sample of '{upstream}', and '{spec.branch}' holds none by the config"
        yield _untrue(spec, facts, "pins.yaml", found)
        return
    yield from _content(spec, facts, held, pinned, sample, manifests)


def _content(
    spec: BranchSpec,
    facts: CommitFacts,
    held: Mapping[str, Out],
    pinned: Pinned,
    sample: Sample | None,
    manifests: Mapping[Oid, bytes],
) -> Iterator[Violation]:
    published = pinned.published or {}
    at = pinned.commit[:10]
    for path in sorted(published.keys() - held.keys()):
        yield _untrue(spec, facts, path, f"is missing, and was published at {at}")
    for path in sorted(held.keys() - published.keys()):
        yield _untrue(spec, facts, path, f"was not published at {at}")
    for path in sorted(held.keys() & published.keys()):
        full = published[path]
        if sample is not None and full.is_dir and full.oid not in manifests:
            continue  # said as unproven
        wanted = _sampled_oid(full, sample, manifests)
        if held[path].oid != wanted:
            found = f"holds {held[path].oid}, and at {at} that is {wanted}"
            yield _untrue(spec, facts, path, found)


def _sampled_oid(full: Out, sample: Sample | None, manifests: Mapping[Oid, bytes]) -> Oid:
    if sample is None or not full.is_dir:
        return full.oid
    chosen = sampled(manifest.entries(manifests[full.oid]), sample)
    return manifest.manifest_oid(manifest.render(chosen))


def _sample(
    spec: BranchSpec, facts: CommitFacts, upstream: Branch, data: str
) -> Iterator[Violation]:
    """Judge whether a dev branch holds no more of an upstream than its sample."""
    wanted = spec.rule.sample or 1.0
    sample = facts.held.pins.samples.get(upstream)
    pins_held = facts.held.below(data)
    holds_folder = any(out.is_dir for out in pins_held.values())
    code = "dev-sample"
    if sample is None and holds_folder:
        found = f"is all of what '{upstream}' published; the config asks for {wanted:g} of it"
        yield Violation(code, spec.branch, found, "", path=data, commit=facts.sha)
    elif sample is not None and sample.fraction > wanted + _ROUNDING:
        found = f"is {sample.fraction:g} of '{upstream}'; the config asks for {wanted:g}"
        yield Violation(code, spec.branch, found, "", path=data, commit=facts.sha)
    pinned = facts.pinned.get(upstream)
    full = {out.oid: path for path, out in (pinned.published or {}).items()} if pinned else {}
    for path, out in facts.held.outs.items():
        if path not in pins_held and out.is_dir and out.oid in full:
            found = f"is all of '{full[out.oid]}'"
            yield Violation(code, spec.branch, found, "", path=path, commit=facts.sha)


def _untrue(spec: BranchSpec, facts: CommitFacts, path: str, found: str) -> Violation:
    repair = f"git branchflow pin {spec.branch}"
    return Violation("pins-true", spec.branch, found, repair, path=path, commit=facts.sha)
