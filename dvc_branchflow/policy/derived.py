"""Rules of clean and split branches: the counts add up, and the sides are apart and stay so."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Any

from dvc_branchflow import manifest
from dvc_branchflow.flow import BranchSpec
from dvc_branchflow.model import LockedStage, Oid, Out, Violation
from dvc_branchflow.policy.facts import CommitFacts, Held, is_below

SIDES = frozenset({"train", "validation", "test"})
_EMPTY_FILE = Oid("d41d8cd98f00b204e9800998ecf8427e")
_NAMED = 3
Sides = Mapping[str, set[bytes]]
"""Side → the oids of its files."""


# -- clean -----------------------------------------------------------------------------------------


def judge_clean(spec: BranchSpec, facts: CommitFacts) -> Iterator[Violation]:
    """Judge whether the reports of a clean branch's stages account for all that was read."""
    pinned = facts.held.pointed
    for stage in facts.held.stages:
        if not any(is_below(path, spec.data or "") for path in stage.outs):
            continue
        for path in stage.outs:
            counts = _counts(facts.reports.get(path, {}))
            for found in _unaccounted(counts, _files_read(stage, pinned)):
                yield Violation(
                    "clean-accounts", spec.branch, found, "", path=path, commit=facts.sha
                )


def _unaccounted(counts: Mapping[str, int], files_read: int | None) -> Iterator[str]:
    """Yield what of a report does not add up; what it does not count can't be judged."""
    sums = (("rows", "kept", "rejected"), ("files", "files_kept", "files_rejected"))
    for whole, kept, rejected in sums:
        if {whole, kept, rejected} <= counts.keys():
            total = counts[kept] + counts[rejected]
            if total != counts[whole]:
                yield f"counts {counts[whole]} {whole}, but {total} as kept or rejected"
    if "reasons" in counts and {"rejected", "files_rejected"} <= counts.keys():
        rejected_all = counts["rejected"] + counts["files_rejected"]
        if counts["reasons"] != rejected_all:
            yield f"counts {rejected_all} rejects, but reasons for {counts['reasons']}"
    if "files" in counts and files_read is not None and counts["files"] != files_read:
        yield f"counts {counts['files']} files, and raw has {files_read}"


def _counts(report: Mapping[str, Any]) -> dict[str, int]:
    counts = {k: v for k, v in report.items() if isinstance(v, int) and not isinstance(v, bool)}
    reasons = report.get("reasons")
    if isinstance(reasons, Mapping):
        numbers = [value for value in reasons.values() if isinstance(value, int)]
        counts["reasons"] = sum(numbers)
    return counts


def _files_read(stage: LockedStage, pinned: Mapping[str, Out]) -> int | None:
    """How many files a stage read of what is pinned; None where that can't be told."""
    read = [(path, oid) for path, oid in stage.deps.items() if path in pinned]
    if not read or any(pinned[path].oid != oid for path, oid in read):
        return None
    sizes = [pinned[path].nfiles if pinned[path].is_dir else 1 for path, _ in read]
    known = [size for size in sizes if size is not None]
    return sum(known) if len(known) == len(sizes) else None


# -- split -----------------------------------------------------------------------------------------


def needed(spec: BranchSpec, facts: CommitFacts) -> Iterator[tuple[str, Out]]:
    """Yield the directories whose manifests have to be seen, with the rule that asks."""
    if not _is_changed(spec, facts):
        return
    for held in (facts.held, *facts.parents_held):
        yield from (
            ("split-disjoint", out) for out in held.below(spec.data or "").values() if out.is_dir
        )


def judge_split(
    spec: BranchSpec, facts: CommitFacts, manifests: Mapping[Oid, bytes]
) -> Iterator[Violation]:
    """Judge whether a split's sides are apart, and each file on the side where it was."""
    yield from _leaks(spec, facts)
    if not _is_changed(spec, facts):
        return
    unused = _unused_sides(facts)
    now = _sides(spec, facts.held, manifests, unused)
    for first, second in _pairs(now):
        for oid in _named(now[first] & now[second]):
            at = _place(spec, facts.held, manifests, oid, second)
            found = f"is on side '{second}', and its content ({oid}) on side '{first}' as well"
            yield Violation("split-disjoint", spec.branch, found, "", path=at, commit=facts.sha)
    for parent in facts.parents_held:
        before = _sides(spec, parent, manifests, unused)
        for old in sorted(before):
            for new in sorted(now.keys() - {old}):
                moved = (before[old] - before.get(new, set())) & now[new] - now.get(old, set())
                for oid in _named(moved):
                    at = _place(spec, facts.held, manifests, oid, new)
                    found = f"was on side '{old}' before, and is on '{new}' now"
                    yield Violation(
                        "split-stays", spec.branch, found, "", path=at, commit=facts.sha
                    )


def _leaks(spec: BranchSpec, facts: CommitFacts) -> Iterator[Violation]:
    """What the branch's own leak checks found, as their reports say."""
    for path, report in facts.reports.items():
        count = report.get("leaks")
        if not isinstance(count, int) or count <= 0:
            continue
        pairs = report.get("pairs")
        named = [_pair(pair) for pair in pairs[:_NAMED]] if isinstance(pairs, list) else []
        found = f"names {count} leaks: {'; '.join(named)}".removesuffix(": ")
        yield Violation("split-leak-free", spec.branch, found, "", path=path, commit=facts.sha)


def _pair(pair: object) -> str:
    """A leak as a report names it: the check, and the two samples with their sides."""
    if not isinstance(pair, Mapping):
        return str(pair)[:200]
    ends = [pair.get(end) for end in ("a", "b")]
    named = [
        f"{end.get('side')} {end.get('id')}" if isinstance(end, Mapping) else str(end)
        for end in ends
    ]
    return f"{pair.get('check')}: {' and '.join(named)}"[:300]


def _is_changed(spec: BranchSpec, facts: CommitFacts) -> bool:
    now = facts.held.below(spec.data or "")
    return not facts.follows or any(p.below(spec.data or "") != now for p in facts.parents_held)


def _pairs(sides: Sides) -> Iterator[tuple[str, str]]:
    names = sorted(sides)
    for place, first in enumerate(names):
        yield from ((first, second) for second in names[place + 1 :])


def _named(oids: set[bytes]) -> list[Oid]:
    """The first of them, by their usual name."""
    return [Oid(oid.hex()) for oid in heapq.nsmallest(_NAMED, oids)]


def _sides(
    spec: BranchSpec, held: Held, manifests: Mapping[Oid, bytes], unused: set[tuple[str, str]]
) -> dict[str, set[bytes]]:
    """The oids on each side, without the files that stand for a side with nothing on it.

    As bytes they take half the memory.
    """
    sides: defaultdict[str, set[bytes]] = defaultdict(set)
    for path, out in held.below(spec.data or "").items():
        for relpath, oid in _files(out, manifests):
            side = side_of(f"{path}/{relpath}".removeprefix(f"{spec.data}/"))
            if side and oid != _EMPTY_FILE and (path, side) not in unused:
                sides[side].add(bytes.fromhex(oid))
    return dict(sides)


def _files(out: Out, manifests: Mapping[Oid, bytes]) -> Iterator[tuple[str, Oid]]:
    if not out.is_dir:
        yield "", out.oid
    elif out.oid in manifests:
        yield from manifest.entries(manifests[out.oid])


def side_of(path: str) -> str | None:
    """Return the side that a path below a split's data belongs to: `p1/test/a.png`, `train.csv`."""
    for part in path.rstrip("/").split("/"):
        name = part.partition(".")[0]
        if name in SIDES:
            return name
    return None


def _unused_sides(facts: CommitFacts) -> set[tuple[str, str]]:
    """Out and side, where the stage's report says that the side has no rows there."""
    found: set[tuple[str, str]] = set()
    for stage in facts.held.stages:
        for report in (facts.reports.get(path, {}) for path in stage.outs):
            for side, counts in report.items():
                if isinstance(counts, Mapping) and counts.get("rows") == 0:
                    found |= {(path, side) for path in stage.outs}
    return found


def _place(
    spec: BranchSpec, held: Held, manifests: Mapping[Oid, bytes], oid: Oid, side: str
) -> str:
    for path, out in held.below(spec.data or "").items():
        for relpath, own in _files(out, manifests):
            at = f"{path}/{relpath}".rstrip("/")
            if own == oid and side_of(at.removeprefix(f"{spec.data}/")) == side:
                return at
    return spec.data or ""
