"""Rules about what was erased by law: a tombstone covers one removal, stays, and is final."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dvc_branchflow import manifest
from dvc_branchflow.flow import BranchSpec
from dvc_branchflow.model import APPEND_ONLY, LockedStage, Oid, Out, Role, Violation
from dvc_branchflow.policy.facts import CommitFacts

_NAMED = 3
_KEEPS = APPEND_ONLY | {Role.MAIN}
"""The roles whose branches hold a tombstone for ever: there it is looked for."""


def needed(facts: CommitFacts) -> Iterator[tuple[str, Out]]:
    """Yield the directories whose manifests have to be seen, with the rule that asks."""
    if not facts.erased:
        return
    yield from (("erased-stays", out) for out in _fresh(facts).values() if out.is_dir)
    before = facts.before.outs
    for path in before.keys() - facts.held.outs.keys() if facts.held.erased else ():
        if before[path].is_dir:
            yield "erased-stays", before[path]
    ran = {stage.name: stage for stage in facts.before.stages}
    for stage in facts.held.stages if facts.held.erased else ():
        for old, new in _changed(ran.get(stage.name), stage):
            yield from (("inputs-true", out) for out in (old, new) if out and out.is_dir)


def judge(
    spec: BranchSpec, facts: CommitFacts, manifests: Mapping[Oid, bytes]
) -> Iterator[Violation]:
    """Judge whether tombstones stay as they are, and what they name stays away."""
    for parent in facts.parents_held if spec.role in _KEEPS else ():
        for path, old in parent.tombstones.items():
            if path not in facts.held.problems and facts.held.tombstones.get(path) != old:
                is_gone = path not in facts.held.tombstones
                found = "is gone" if is_gone else "is not what it was"
                yield Violation("tombstone-stays", spec.branch, found, "", path=path)
    for path, out in _fresh(facts).items() if facts.erased else ():
        for at, oid in _erased_in(path, out, facts, manifests):
            found = f"was erased ({oid}), and must not come back"
            yield Violation("erased-stays", spec.branch, found, "", path=at)


def is_without(
    old: Out, new: Out | None, erased: frozenset[Oid], manifests: Mapping[Oid, bytes]
) -> bool:
    """Whether an out is what it was, without what was erased (None: nothing is left of it)."""
    if not old.is_dir:
        return new is None and old.oid in erased
    if old.oid not in manifests:
        return False
    left = manifest.without(manifests[old.oid], erased)
    if new is None:
        return left == manifest.EMPTY
    return new.is_dir and new.oid != old.oid and manifest.manifest_oid(left) == new.oid


def is_same_run(
    ran: LockedStage | None,
    stage: LockedStage,
    erased: frozenset[Oid],
    manifests: Mapping[Oid, bytes],
) -> bool:
    """Whether a stage did not run anew: at most it lost results that were erased."""
    if ran == stage or ran is None:
        return ran == stage
    if (ran.deps, ran.params) != (stage.deps, stage.params) or stage.outs.keys() - ran.outs.keys():
        return False
    return bool(erased) and all(
        old is not None and is_without(old, new, erased, manifests)
        for old, new in _changed(ran, stage)
    )


def _changed(
    ran: LockedStage | None, stage: LockedStage
) -> Iterator[tuple[Out | None, Out | None]]:
    """The outs of a stage that differ from those of its run before."""
    before: Mapping[str, Out] = ran.outs if ran else {}
    for path in before.keys() | stage.outs.keys():
        if before.get(path) != stage.outs.get(path):
            yield before.get(path), stage.outs.get(path)


def _fresh(facts: CommitFacts) -> Mapping[str, Out]:
    """What a commit holds anew; all of it where it brings a tombstone."""
    if facts.held.tombstones.keys() - facts.before.tombstones.keys():
        return facts.held.outs
    before = facts.before.outs
    return {
        path: out
        for path, out in facts.held.outs.items()
        if path not in before or before[path].oid != out.oid
    }


def _erased_in(
    path: str, out: Out, facts: CommitFacts, manifests: Mapping[Oid, bytes]
) -> Iterator[tuple[str, Oid]]:
    if not out.is_dir:
        yield from ((path, out.oid),) if out.oid in facts.erased else ()
        return
    content = manifests.get(out.oid, manifest.EMPTY)
    if manifest.without(content, facts.erased) != content:
        listed = [one for one in manifest.entries(content) if one.oid in facts.erased]
        yield from ((f"{path}/{one.relpath}", one.oid) for one in listed[:_NAMED])
