"""Rules of raw and monitor branches: data is only ever added, and says where it comes from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from dvc_branchflow import manifest
from dvc_branchflow.errors import ConfigError
from dvc_branchflow.flow import BranchSpec
from dvc_branchflow.model import Oid, Out, Violation, parse_path
from dvc_branchflow.policy.erased import is_without
from dvc_branchflow.policy.facts import CommitFacts, Held

_NAMED = 3  # entries of a manifest that are named one by one


def needed(spec: BranchSpec, facts: CommitFacts) -> Iterator[tuple[str, Out]]:
    """Yield the directories whose manifests have to be seen, with the rule that asks."""
    code = f"{spec.role}-append-only"
    for old, new in _pairs(facts):
        yield from ((code, out) for out in (old, new) if out is not None)


def judge(
    spec: BranchSpec, facts: CommitFacts, manifests: Mapping[Oid, bytes]
) -> Iterator[Violation]:
    """Judge a commit on an append-only branch."""
    gone = facts.held.erased
    for parent in facts.parents_held:
        yield from _outs_kept(spec, facts, parent, manifests)
    for old, new in _pairs(facts):
        before = manifests.get(old.oid) if old else manifest.EMPTY
        if before is not None and new.oid in manifests:
            before = manifest.without(before, gone) if gone else before
            yield from _entries(spec, facts, new, before, manifests[new.oid])
    yield from _no_pipeline(spec, facts)
    if not facts.trailers["Source"] and _adds_data(facts, manifests):
        found = "adds data, and its message has no 'Source:' trailer"
        yield Violation(f"{spec.role}-source", spec.branch, found, "", commit=facts.sha)


def _outs_kept(
    spec: BranchSpec, facts: CommitFacts, parent: Held, manifests: Mapping[Oid, bytes]
) -> Iterator[Violation]:
    for path, old in parent.outs.items():
        new = facts.held.outs.get(path)
        if path in facts.held.problems or f"{path}.dvc" in facts.held.problems:
            continue  # said as bad-metadata
        if new is None and is_without(old, None, facts.held.erased, manifests):
            continue
        if new is None:
            yield _lost(spec, facts, path, "is gone")
        elif new.oid != old.oid and not (old.is_dir and new.is_dir):
            yield _lost(spec, facts, path, f"has other content: {new.oid}, before {old.oid}")


def _entries(
    spec: BranchSpec, facts: CommitFacts, out: Out, before: bytes, now: bytes
) -> Iterator[Violation]:
    """Judge a manifest that has to be the one before it, with entries put in where they belong."""
    if before == manifest.EMPTY:  # a first one may be large, and is not spliced to be compared
        added: Iterable[manifest.Entry] = manifest.entries(now)
    else:
        added = manifest.added(before, now)
    for entry in added:
        if manifest.lookup(before, entry.relpath) is not None:
            break  # a change, or a second entry that would hide the old one
        try:
            parse_path(entry.relpath)
        except ConfigError as error:
            yield Violation("hostile-path", spec.branch, error.message, "", path=out.path)
            return
    else:
        if _is_grown(before, now, added):
            return
    yield from _entries_lost(spec, facts, out, before, now)


def _is_grown(before: bytes, now: bytes, added: Iterable[manifest.Entry]) -> bool:
    if before == manifest.EMPTY:
        return manifest.is_as_written(now)
    return manifest.splice(before, {entry.relpath: entry.oid for entry in added}) == now


def _entries_lost(
    spec: BranchSpec, facts: CommitFacts, out: Out, before: bytes, now: bytes
) -> Iterator[Violation]:
    lost = manifest.added(now, before)
    for entry in lost[:_NAMED]:
        there = manifest.lookup(now, entry.relpath)
        found = f"has other content: {there}, before {entry.oid}" if there else "is gone"
        yield _lost(spec, facts, f"{out.path}/{entry.relpath}", found)
    if len(lost) > _NAMED:
        yield _lost(spec, facts, out.path, f"lost or changed {len(lost)} entries in all")
    if lost:
        return
    for entry in manifest.added(before, now):
        if manifest.lookup(before, entry.relpath) is not None:
            found = "stands in the manifest twice, with other content"
            yield _lost(spec, facts, f"{out.path}/{entry.relpath}", found)
            return
    found = "has a manifest that dvc would not write: entries twice, or out of order"
    yield Violation("bad-metadata", spec.branch, found, "", path=out.path)


def _no_pipeline(spec: BranchSpec, facts: CommitFacts) -> Iterator[Violation]:
    changed = {change.path for change in facts.changed}
    for path in facts.held.pipelines:
        if path in changed:
            yield Violation(
                f"{spec.role}-no-pipeline", spec.branch, "declares or ran stages", "",
                path=path, commit=facts.sha,
            )  # fmt: skip


def _pairs(facts: CommitFacts) -> Iterator[tuple[Out | None, Out]]:
    """Each directory that a commit changes or adds: as a parent has it, and as it is now."""
    for path, new in facts.held.outs.items():
        before = [parent.outs[path] for parent in facts.parents_held if path in parent.outs]
        if not new.is_dir or (any(old.oid == new.oid for old in before) and len(before) == 1):
            continue
        olds = [old for old in before if old.is_dir and old.oid != new.oid]
        yield from ((old, new) for old in olds)
        if not before:
            yield None, new


def _adds_data(facts: CommitFacts, manifests: Mapping[Oid, bytes]) -> bool:
    """Whether a commit holds data that none of its parents has; a plain merge does not."""
    gone = facts.held.erased
    for path, out in facts.held.outs.items():
        before = [parent.outs[path] for parent in facts.parents_held if path in parent.outs]
        if any(old.oid == out.oid for old in before):
            continue
        if any(is_without(old, out, gone, manifests) for old in before if gone):
            continue
        if len(before) < 2 or _has_own(out, before, manifests):  # noqa: PLR2004  no merge of two
            return True
    return False


def _has_own(out: Out, before: list[Out], manifests: Mapping[Oid, bytes]) -> bool:
    """Whether a directory has an entry that is in none of the directories it was merged from."""
    if out.oid not in manifests or any(old.oid not in manifests for old in before):
        return True
    fresh = [set(manifest.added(manifests[old.oid], manifests[out.oid])) for old in before]
    return bool(set.intersection(*fresh))


def _lost(spec: BranchSpec, facts: CommitFacts, path: str, found: str) -> Violation:
    code = f"{spec.role}-append-only"
    return Violation(code, spec.branch, found, "", path=path, commit=facts.sha)
