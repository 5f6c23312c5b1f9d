"""Proves that every object which any ref needs is on its DVC remote, by listing or by content."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from dvc_branchflow.project import Project
from dvc_branchflow.values import dataclass
from dvc_branchflow.versions import parse_tag
from dvc_branchflow.work.leases import utc
from dvc_branchflow.work.roots import Kind
from dvc_branchflow.work.transfer import Report
from dvc_branchflow.work.verification import (
    Finding,
    Verified,
    VerifyRequest,
    rule_of,
    verify_refs,
)

_NAMED = 10_000  # a list that nobody reads to its end takes half a gigabyte for a million


@dataclass(frozen=True, slots=True)
class ReleaseProof:
    """How sure a release's data is.

    Attributes:
        is_whole: all of it is on its DVC remotes.
        proven: when the last of it was read and found right, ISO 8601 in UTC; empty: never all.
        erased: how many of its objects were erased by law, so that it can't be pulled whole.
    """

    tag: str
    is_whole: bool
    proven: str
    erased: int = 0


@dataclass(frozen=True, slots=True)
class CopyCount:
    """How many copies the objects of some branches have.

    Attributes:
        branches: the name or pattern in the config.
        wanted: how many each has to have. fewest: how many that one has that has fewest.
    """

    branches: str
    wanted: int
    fewest: int


@dataclass(frozen=True, slots=True)
class Verification:
    """What was found on the DVC remotes.

    Attributes:
        refs: how many were verified, each with its history.
        objects, size_bytes: what they need and what is there; each copy counts.
        proven: how many of these hold what their id says. left: how many are not proven yet.
        read_bytes: what was read for that.
        findings: the first of what is missing or damaged, 10,000 at most. more: how many others.
        copies: of branches that ask for more than one.
        erased: objects that a tombstone names, and nobody has to have.
        unknown: what can't be told.
    """

    refs: int
    objects: int
    size_bytes: int
    findings: tuple[Finding, ...]
    unknown: tuple[str, ...]
    proven: int
    left: int
    read_bytes: int
    releases: tuple[ReleaseProof, ...]
    copies: tuple[CopyCount, ...]
    erased: int = 0
    more: int = 0

    @property
    def is_good(self) -> bool:
        """Whether all is there, as far as was looked."""
        return not (self.findings or self.unknown)


def verify(project: Project, request: VerifyRequest, report: Report) -> Verification:
    """Return what is missing or damaged of all that refs need.

    Raises: StorageError: a DVC remote is away: then nothing is known.
    """
    verified = verify_refs(project, request, report, most=_NAMED)
    asked, found = verified.asked, verified.found
    findings = [asked.finding(bad) for bad in found.bad.values()]
    return Verification(
        refs=len(asked.graph.holders),
        objects=found.objects,
        size_bytes=found.size_bytes,
        findings=tuple(sorted(findings, key=lambda one: (one.path, one.remote))),
        unknown=tuple(map(str, asked.problems)),
        proven=found.proven,
        left=found.left,
        read_bytes=found.read_bytes,
        releases=tuple(_releases(verified)),
        copies=tuple(_copies(project, verified)),
        erased=len(found.erased),
        more=found.more,
    )


def _copies(project: Project, verified: Verified) -> Iterator[CopyCount]:
    graph, required = verified.asked.graph, verified.asked.question.required
    masks: defaultdict[str, int] = defaultdict(int)
    for holder in graph.holders:
        rule = rule_of(project, holder)
        if rule:
            masks[rule.pattern] |= graph.bit(holder)
    for rule in project.config.rules:
        mask = masks[rule.pattern] if rule.copies > 1 else 0
        counts = [
            count
            for one, count in zip(required, verified.found.copies, strict=True)
            if one.mask & mask
        ]
        if counts:
            yield CopyCount(rule.pattern, rule.copies, min(counts))


def _releases(verified: Verified) -> Iterator[ReleaseProof]:
    graph, found = verified.asked.graph, verified.found
    required = verified.asked.question.required
    for holder in graph.holders:
        if holder.kind is not Kind.TAG or parse_tag(holder.name) is None:
            continue
        bit = graph.bit(holder)
        proofs = [
            proof for one, proof in zip(required, found.proofs, strict=True) if one.tips & bit
        ]
        is_bad = any(bad.tips & bit and not bad.is_copy for bad in found.bad.values())
        is_whole = not (is_bad or found.more_tips & bit)
        oldest = min(proofs, default=0.0)
        proven = utc(oldest) if oldest and is_whole else ""
        erased = sum(bool(tips & bit) for tips in found.erased.values())
        yield ReleaseProof(holder.name, is_whole, proven, erased)
