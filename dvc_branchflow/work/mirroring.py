"""Fills a DVC remote with what refs need, wherever it lies; or says what it lacks of that.

By listing, one part of the ids after the other, so that memory does not grow with the remotes.
What was copied is there for good: the same command again goes on.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from dvc_branchflow.model import Oid
from dvc_branchflow.project import Project
from dvc_branchflow.values import dataclass, field, replace
from dvc_branchflow.work.carrying import Carrier, carrier, is_holed
from dvc_branchflow.work.examining import Bad, Depth, Examiner
from dvc_branchflow.work.stock import take_stock
from dvc_branchflow.work.transfer import Report
from dvc_branchflow.work.verification import Asked, Finding, Only, ask

NAMED = 1000
"""How many of the objects that are missing are named one by one."""
_ROUNDS = 4  # a manifest that is there at last names files, which may be missing, too
_PACK = 1000
_SAY_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Filled:
    """How a DVC remote stands to what refs need.

    Attributes:
        refs: how many were looked at, each with its history.
        objects, size_bytes: what is there of all that they need.
        copied, copied_bytes: what came now.
        lacking: how many objects are missing or not of the right size.
        findings: the first thousand of these.
        unknown: what can't be told.
    """

    refs: int
    objects: int
    size_bytes: int
    copied: int
    copied_bytes: int
    lacking: int
    findings: tuple[Finding, ...]
    unknown: tuple[str, ...]


@dataclass
class _Sums:
    """What came, and what is left of one look at everything."""

    copied: int = 0
    copied_bytes: int = 0
    lacking: int = 0
    named: list[Bad] = field(default_factory=list)
    lost: set[Oid] = field(default_factory=set)

    def leave(self, bad: Sequence[Bad]) -> None:
        """Count what stays as it is."""
        self.lacking += len(bad)
        self.named += bad[: NAMED - len(self.named)]


def fill(
    project: Project,
    to: str,
    refs: Sequence[str],
    report: Report,
    *,
    only: Only | None = None,
    dry_run: bool = False,
) -> Filled:
    """Copy to a DVC remote what it lacks of all that refs need, and look again.

    Args:
        to: the name of a DVC remote that the team shares.
        refs: branches, tags or commits, each with its history; none: all branches and tags.
        only: of what refs need just this; None: all of it.
        dry_run: only look.
    Raises: StorageError: a DVC remote is away.
    """
    copied = copied_bytes = 0
    for _ in range(_ROUNDS):
        asked = ask(project, refs, report, at=to, only=only)
        found = _round(project, asked, to, report, dry_run=dry_run)
        if dry_run or not found.copied:
            break
        copied += found.copied
        copied_bytes += found.copied_bytes
    return replace(found, copied=copied, copied_bytes=copied_bytes)


def _round(project: Project, asked: Asked, to: str, report: Report, *, dry_run: bool) -> Filled:
    stock = take_stock(project, [to], report)
    examiner = Examiner(project, stock, asked.question, Depth())
    sums = _Sums()
    with carrier(project) as carries:
        copier = _Copier(project, asked, carries, to, sums, report)
        for _ in examiner.steps(report):
            bad = examiner.take()
            if dry_run:
                sums.leave(bad)
            else:
                copier.take(bad)
        copier.finish()
    examiner.name_files(sums.named)
    asked.question.parts.close()
    stock.close()
    return Filled(
        refs=len(asked.graph.holders),
        objects=examiner.found.objects,
        size_bytes=examiner.found.size_bytes,
        copied=sums.copied,
        copied_bytes=sums.copied_bytes,
        lacking=sums.lacking,
        findings=tuple(asked.finding(bad) for bad in sums.named),
        unknown=tuple(map(str, asked.problems)),
    )


class _Copier:
    """Copies what is bad: files at once, manifests in the end, where none of their files lacks."""

    def __init__(
        self,
        project: Project,
        asked: Asked,
        carries: Carrier,
        to: str,
        sums: _Sums,
        report: Report,
    ) -> None:
        self._project = project
        self._asked = asked
        self._carries = carries
        self._to = to
        self._sums = sums
        self._report = report
        self._said = time.time()
        self._folders: list[Bad] = []

    def take(self, bad: Sequence[Bad]) -> None:
        """Copy files, and remember manifests."""
        self._folders += [one for one in bad if one.oid.endswith(".dir")]
        files = [one for one in bad if not one.oid.endswith(".dir")]
        for start in range(0, len(files), _PACK):
            self._copy(files[start : start + _PACK])

    def finish(self) -> None:
        """Copy the manifests."""
        holed = [one for one in self._folders if is_holed(self._project, one.oid, self._sums.lost)]
        self._sums.leave(holed)
        without = {one.oid for one in holed}
        self._copy([one for one in self._folders if one.oid not in without])

    def _copy(self, bad: Sequence[Bad]) -> None:
        if not bad:
            return
        wanted = {one.oid: self._asked.homes.get(one.within, ()) for one in bad}
        done = self._carries.from_caches(wanted, self._to)
        left = {oid: homes for oid, homes in wanted.items() if oid not in done}
        done |= self._carries.from_remotes(left, self._to)
        self._sums.copied += len(done)
        self._sums.copied_bytes += sum(one.size_bytes for one in done.values())
        self._sums.lost |= wanted.keys() - done.keys()
        self._sums.leave([one for one in bad if one.oid not in done])
        if time.time() > self._said + _SAY_SECONDS:
            self._said = time.time()
            what = f"{self._sums.copied:,} objects, {self._sums.copied_bytes:,} bytes"
            self._report(f"copied to '{self._to}': {what}")
