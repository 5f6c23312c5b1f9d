"""Appends what turned out to be true, for rows that are logged already."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dvc_branchflow.errors import FlowError
from dvc_branchflow.lazy import np, pa
from dvc_branchflow.model import Branch, Sha
from dvc_branchflow.monitor.inputs import InputFile, check_source, open_files, require_clean
from dvc_branchflow.project import Project
from dvc_branchflow.values import dataclass, replace
from dvc_branchflow.watch.columns import Batch, as_number, as_text
from dvc_branchflow.watch.fingerprints import Known, hash_rows, hash_texts, repeated
from dvc_branchflow.watch.recipe import ColumnKind
from dvc_branchflow.watch.rows import Problems
from dvc_branchflow.watch.windows import Span
from dvc_branchflow.work.environments import Environment
from dvc_branchflow.work.logbook import LABELS, files_with, known_rows, read_files
from dvc_branchflow.work.staging import Staging, commit_to, on_environment, staging
from dvc_branchflow.work.tables import read_batches
from dvc_branchflow.work.transfer import Report

_NAMED = 5


@dataclass(frozen=True, slots=True)
class LabelRequest:
    """Files of labels: `request_id` and `label`; `kind` says what they hold."""

    paths: Sequence[Path]
    env: str | None = None
    kind: str | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class LabelOutcome:
    """What was labelled (or, with a dry run, would be).

    Attributes:
        labels: new ones; `present`: those that were there before, the same.
        span: the moments of the rows that they are of, `FROM..TO`; None without new labels.
        commit: None where nothing was new, or nothing was to be changed.
    """

    branch: Branch
    labels: int
    present: int
    span: str | None
    commit: Sha | None


def label(
    project: Project, request: LabelRequest, report: Report, *, dry_run: bool = False
) -> LabelOutcome:
    """Append labels of logged rows; windows that they are in are judged again by the next check.

    Raises: RejectedError: a row that was never logged, or that has another label already.
    """
    project.require_history("monitor label")
    check_source(request.source)
    with open_files(request.paths, request.kind) as files:
        project.refresh()

        def act(env: Environment) -> LabelOutcome:
            with staging(project) as staged:
                return _label(env, request, files, staged, report, dry_run=dry_run)

        return on_environment(project, request.env, report, act)


def _label(
    env: Environment,
    request: LabelRequest,
    files: Sequence[InputFile],
    staged: Staging,
    report: Report,
    *,
    dry_run: bool,
) -> LabelOutcome:
    if env.schema is None:
        raise FlowError(
            f"nothing is logged on '{env.spec.branch}' yet",
            hint="git branchflow monitor log FILE",
        )
    problems, known = Problems(), known_rows(env, LABELS, report)
    present = labels = 0
    span: Span | None = None
    for file in files:
        for batch in read_batches(file.path, file.name, file.suffix):
            given = _checked(batch, env.schema.prediction, problems)
            if given is None:
                continue
            found, same = _joined(env, batch, given, known, problems, report)
            present += same
            if problems.count or not found.num_rows:
                continue
            ids = hash_texts(found["request_id"].combine_chunks())
            hashes = hash_rows(found)
            known.add(ids, hashes)
            staged.write(LABELS, found, ids, hashes)
            labels += found.num_rows
            moments = found["time"].cast(pa.int64()).to_numpy()
            here = Span(int(moments.min()), int(moments.max()))
            span = Span(min(span.start, here.start), max(span.end, here.end)) if span else here
    require_clean(problems)
    outs = staged.finish()
    outcome = LabelOutcome(env.spec.branch, labels, present, str(span) if span else None, None)
    if dry_run or not labels:
        return outcome
    names = " ".join(file.name for file in files[:_NAMED])
    source = request.source or f"monitor label {names}"
    message = f"Label {labels:,} rows\n\nSource: {source}\n"
    return replace(outcome, commit=commit_to(env, message, report, files=outs))


def _checked(batch: Batch, kind: ColumnKind, problems: Problems) -> pa.Table | None:
    lacking = [name for name in ("request_id", "label") if name not in batch.columns]
    if lacking:
        problems.add(batch.where, f"lacks {', '.join(lacking)}", batch.rows)
        return None
    ids, bad_ids = as_text(batch.columns["request_id"])
    labels, bad = (as_number if kind == "number" else as_text)(batch.columns["label"])
    empty = ~labels.is_valid().to_numpy(zero_copy_only=False)
    no_id = bad_ids | ~ids.is_valid().to_numpy(zero_copy_only=False)
    problems.rows(batch, no_id, lambda _: "request_id is empty")
    problems.rows(
        batch, (bad | empty) & ~no_id, lambda at: f"label is no {kind}: {batch.shown('label', at)}"
    )
    return None if problems.count else pa.table({"request_id": ids, "label": labels})


def _joined(
    env: Environment,
    batch: Batch,
    given: pa.Table,
    known: Known,
    problems: Problems,
    report: Report,
) -> tuple[pa.Table, int]:
    """The labels that are new, each with its row's time and tag; and how many are there already."""
    ids = hash_texts(given["request_id"].combine_chunks())
    order = np.argsort(ids, kind="stable")
    times, tags = np.zeros(ids.size, np.int64), np.empty(ids.size, object)
    for at, row_times, row_tags in _rows_of(env, ids, order, report):
        times[at], tags[at] = row_times, row_tags
    is_logged = np.array([tag is not None for tag in tags], bool)
    joined = given.append_column("time", pa.array(times, pa.timestamp("us", "UTC")))
    joined = joined.append_column("tag", pa.array(tags, pa.string()))
    same, other = known.find(ids, hash_rows(joined))
    names = given["request_id"]
    problems.rows(batch, ~is_logged, lambda at: f"request {names[at].as_py()!r} was never logged")
    problems.rows(
        batch,
        is_logged & (other | repeated(ids)),
        lambda at: f"request {names[at].as_py()!r} has a label already",
    )
    return joined.take(np.flatnonzero(~same)), int(np.sum(same))


def _rows_of(
    env: Environment, ids: Any, order: Any, report: Report
) -> Iterator[tuple[Any, Any, Any]]:
    """Yield places among the wanted ids, with the times and tags of the rows found there."""
    ordered = ids[order]
    files = files_with(env, ids, report)
    for table in read_files(env, files, None, ["request_id", "time", "tag"], report):
        hashed = hash_texts(table["request_id"].combine_chunks())
        at = np.minimum(np.searchsorted(ordered, hashed), ordered.size - 1)
        hit = ordered[at] == hashed
        moments = table["time"].cast(pa.int64()).to_numpy()
        tags = table["tag"].to_numpy()
        yield order[at[hit]], moments[hit], tags[hit]
