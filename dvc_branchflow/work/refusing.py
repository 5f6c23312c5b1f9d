"""Holds a candidate against the current release by its branch's gates; keeps what they refused.

A refused candidate gets no branch, no tag and no data on a remote. Its record goes to the tracking
branch, once, so that nobody trains the same thing again to be told the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from dvc_branchflow.errors import RejectedError
from dvc_branchflow.flow import BranchSpec
from dvc_branchflow.gating import GateResult, judge, text
from dvc_branchflow.git import Change, NewCommit
from dvc_branchflow.model import Branch, Out, TagName
from dvc_branchflow.project import Project
from dvc_branchflow.values import asdict, dataclass
from dvc_branchflow.work.publish import Move, publish
from dvc_branchflow.work.records import RunRecord, read_record, refused_path
from dvc_branchflow.work.transfer import Report

_ID_LENGTH = 12


@dataclass(frozen=True, slots=True)
class Refusal:
    """That a candidate was refused: since when, and by which gates it still is."""

    since: str
    gates: tuple[GateResult, ...]


def candidate_id(digest: str, outs: Mapping[str, Out]) -> str:
    """Return what names a candidate: the same code on the same data is the same candidate.

    Args:
        digest: over its code.
        outs: what it pins.
    """
    lines = [f"{path} {out.oid}\n" for path, out in sorted(outs.items())]
    content = "".join([digest, "\n", *lines]).encode("utf-8", "surrogateescape")
    return hashlib.sha256(content).hexdigest()[:_ID_LENGTH]


def hold_against(
    spec: BranchSpec, record: RunRecord, current: RunRecord | None
) -> list[GateResult]:
    """Return what each of a branch's gates says of a candidate.

    Args:
        current: the model's current release; None where there is none.
    """
    return [
        judge(gate, record.metric(gate.metric), current.metric(gate.metric) if current else None)
        for gate in spec.rule.gates
    ]


def as_recorded(
    results: Sequence[GateResult], record: RunRecord, current: RunRecord | None
) -> dict[str, Any]:
    """Return what a record says of its gates: against which release, on which split, each result.

    The certificates of a retrained model and of the one before differ always; what was compared was
    measured on two test sides then.
    """
    if not results:
        return {}
    return {
        "against": current.tag if current else None,
        "same_split": current.certificate == record.certificate if current else None,
        "results": [asdict(result) for result in results],
    }


def refused_earlier(
    project: Project, spec: BranchSpec, candidate: str, current: RunRecord | None
) -> Refusal | None:
    """Return that a candidate was refused before and would be today; else None.

    The gates of today judge the metrics that are on record: a wider margin, or another release to
    be compared with, let it be tried again.
    """
    record = read_record(project, refused_path(spec.model, candidate))
    if record is None:
        return None
    failed = tuple(r for r in hold_against(spec, record, current) if not r.has_passed)
    return Refusal(record.when, failed) if failed else None


def keep_refused(project: Project, record: RunRecord, report: Report) -> None:
    """Put the record of a refused candidate on the tracking branch; nothing else moves.

    Raises: LostRaceError: the branch moved meanwhile. Others as in `publish`.
    """
    tracking = project.tracking.as_published()
    commit = NewCommit(
        [tracking.sha],
        f"Record that {record.tag} was refused\n\n{refused_because(record.refused)}\n",
        [Change(record.path, record.to_json().encode())],
    )
    sha = project.git.write_commits([commit])[0]
    move = Move(tracking.branch, tracking, sha)
    publish(project, [move], reason=f"branchflow refused {record.tag}", report=report)


def refusal_error(
    branch: Branch, tag: TagName, refusal: Refusal, *, is_known: bool
) -> RejectedError:
    """Return the error that says why a candidate is refused, and the way on."""
    why = refused_because([asdict(result) for result in refusal.gates])
    when = f"was refused at {refusal.since}" if is_known else "is refused"
    return RejectedError(
        f"'{tag}' {when}: {why}",
        hint=f"git branchflow release {branch} --allow-worse --reason WHY",
    )


def refused_because(refused: Sequence[Mapping[str, Any]]) -> str:
    """Return in one line what gates found and wanted."""
    return "; ".join(
        f"{one['gate']} is {_shown(one['found'], one['wanted'])}, wanted {one['wanted']}"
        for one in refused
    )


def _shown(found: object, wanted: str) -> str:
    if found is None:
        return "missing"
    if isinstance(found, int | float):
        return str(found) if wanted.endswith(f" {text(found)}") else text(found)
    return f"'{found}'"
