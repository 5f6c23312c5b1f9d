"""Exchanges run records with a store of MLflow's: each record out once, a stage's runs in once."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from dvc_branchflow.errors import ConfigError, FlowError, StorageError, UsageError
from dvc_branchflow.git import Change, NewCommit
from dvc_branchflow.model import Branch, Sha, parse_sha
from dvc_branchflow.project import Project
from dvc_branchflow.query import flat
from dvc_branchflow.tracking import (
    COMMIT_TAG,
    RELEASE_TAG,
    Sheet,
    StoredRun,
    TrackingStore,
    key_for,
    milliseconds,
    open_store,
    param_for,
    tag_for,
)
from dvc_branchflow.values import dataclass, replace
from dvc_branchflow.versions import parse_tag
from dvc_branchflow.work.documents import MAX_DOCUMENT_BYTES
from dvc_branchflow.work.imported import (
    ImportedRun,
    LoggedMetric,
    imported_path,
    read_imported,
    render_imported,
)
from dvc_branchflow.work.publish import Move, publish, require_movable
from dvc_branchflow.work.races import until_won
from dvc_branchflow.work.records import RunRecord, read_records
from dvc_branchflow.work.transfer import Report
from dvc_branchflow.work.worktrees import branch_lock

_LOCK = Branch("runs export")  # no branch can be called that
_TRIES = 4
_Key = tuple[str, str | None]
_MAX_SECONDS = 10 * 365 * 86400  # a record may hold any number


@dataclass(frozen=True, slots=True)
class ExportOutcome:
    """What an export wrote, by tag.

    Attributes:
        store: the store's URI without credentials.
        written: records that were not there.
        completed: records that were there in part, twice, or with less than is known now.
        present: how many were there, whole.
        unreadable: what is wrong with records that can't be read.
    """

    store: str
    written: tuple[str, ...]
    completed: tuple[str, ...]
    present: int
    unreadable: tuple[ConfigError, ...] = ()


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A run of MLflow's that was not imported, and why."""

    run_id: str
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class ImportOutcome:
    """What an import brought. `commit` is None where nothing was new.

    Attributes:
        path: the file on the tracking branch that holds the runs.
        present: how many of the runs it held already.
    """

    tag: str
    store: str
    path: str
    imported: tuple[ImportedRun, ...]
    present: int
    left_out: tuple[LeftOut, ...]
    commit: Sha | None


def export_runs(
    project: Project, uri: str, report: Report, *, model: str | None = None, dry_run: bool = False
) -> ExportOutcome:
    """Write the record of every release into an MLflow store, each once.

    A record that an earlier export left half-written is finished. MLflow has no conditional
    writes: exports at once from several clones may start a run twice; then all of them keep the
    same one and move the other to MLflow's deleted runs.

    Args:
        uri: as MLflow takes it: of a server, a database or a folder.
        model: only this model's records.
    Raises: StorageError: the store can't be reached, or refuses; running it again carries on.
    """
    store = open_store(uri)
    project.refresh()
    there = read_records(project)
    records = [record for record in there.found if model in {None, record.model}]
    sheets: list[Sheet] = []
    unreadable = list(there.unreadable)
    for record in records:
        try:
            sheets.append(_sheet(record))
        except ConfigError as error:
            unreadable.append(error)
    with branch_lock(project, _LOCK, report):
        outcome = _export(store, sheets, report, dry_run=dry_run)
    return replace(outcome, unreadable=tuple(unreadable))


def import_runs(
    project: Project,
    uri: str,
    tag: str,
    report: Report,
    *,
    run_ids: Sequence[str] = (),
    dry_run: bool = False,
) -> ImportOutcome:
    """Bring what a release's stages logged to an MLflow store beside its record, each run once.

    Such a run has the tag `branchflow.tag`, and started when the release's code and data were
    there and the release was not yet: a candidate before it may have had the same tag.

    Args:
        run_ids: exactly these, whatever their tags.
    Raises: FlowError: no such release, or no such run.
    """
    store = open_store(uri)
    if store.is_absent:
        raise StorageError(f"there is no MLflow store at '{store.address}'")
    if parse_tag(tag) is None:
        raise UsageError(f"'{tag[:100]}' is no release tag", hint="git branchflow runs")
    project.require_history("runs import")
    project.refresh()
    record = _record(project, tag)
    wanted, left_out = _chosen(project, store, record, run_ids)

    def attempt() -> ImportOutcome:
        there = read_imported(project, record)
        known = {run.run_id for run in there}
        new = [_taken(store, run) for run in wanted if run.run_id not in known]
        commit = None if dry_run or not new else _commit(project, record, [*there, *new], report)
        return ImportOutcome(
            tag, store.address, imported_path(record), tuple(new), len(wanted) - len(new),
            left_out, commit,
        )  # fmt: skip

    return until_won(project, attempt, report)


def _export(
    store: TrackingStore, sheets: Sequence[Sheet], report: Report, *, dry_run: bool
) -> ExportOutcome:
    written: list[str] = []
    completed: list[str] = []
    present = 0
    there: dict[_Key, list[StoredRun]] = {}
    experiments = {sheet.experiment for sheet in sheets}
    for experiment in experiments if not (dry_run and store.is_absent) else ():
        for run in store.exported(experiment):
            there.setdefault(_key(run), []).append(run)
    for sheet in sheets:
        runs = there.get(_key(sheet), [])
        if len(runs) == 1 and runs[0].holds(sheet):
            present += 1
            continue
        (completed if runs else written).append(sheet.name)
        if not dry_run:
            report(f"writing {sheet.name}")
            _write(store, sheet)
    return ExportOutcome(store.address, tuple(written), tuple(completed), present)


def _write(store: TrackingStore, sheet: Sheet) -> None:
    """Leave exactly one run of a release, in full. Another export may do the same meanwhile."""
    for _ in range(_TRIES):
        if not _written(store, sheet):
            store.create(sheet)
        runs = sorted(_written(store, sheet), key=lambda run: (not run.holds(sheet), run.run_id))
        try:
            for other in runs[1:]:
                store.discard(other)
            for run in runs[:1]:
                store.complete(run, sheet)
                return
        except StorageError:
            # Another export may have moved one away or written to it; if not, the store refuses.
            if _held(_written(store, sheet)) == _held(runs):
                raise
    raise StorageError(f"others move the runs of '{sheet.name}' in '{store.address}' meanwhile")


def _held(runs: Iterable[StoredRun]) -> dict[str, object]:
    """What runs hold, to see whether anybody writes to them."""
    return {run.run_id: (run.tags, run.params, set(run.metrics)) for run in runs}


def _written(store: TrackingStore, sheet: Sheet) -> list[StoredRun]:
    runs = store.exported(sheet.experiment, sheet.tags[COMMIT_TAG])
    return [run for run in runs if _key(run) == _key(sheet)]


def _key(run: StoredRun | Sheet) -> _Key:
    """What tells a release from all others: its commit, and its name there."""
    return run.tags[COMMIT_TAG], run.tags.get(RELEASE_TAG)


def _sheet(record: RunRecord) -> Sheet:
    """A record as MLflow shows it: pins and provenance as tags, all else as it is called there.

    Raises: ConfigError: it holds no time or commit that can be told.
    """
    commit, ended = _commit_of(record), _ended_ms(record)
    shipped = {p: out["sha256"] for p, out in record.outs.items() if "sha256" in out}
    tags = {
        RELEASE_TAG: record.tag,
        COMMIT_TAG: commit,
        "branchflow.model": record.model,
        "branchflow.version": record.version,
        "branchflow.certificate": record.certificate,
        "branchflow.reason": record.reason,
        **{f"branchflow.code.{name}": value for name, value in record.code.items()},
        **{f"branchflow.environment.{name}": value for name, value in record.environment.items()},
        **{f"branchflow.pin.{name}": sha for name, sha in record.pins.items()},
        **{f"branchflow.sha256.{path}": digest for path, digest in shipped.items()},
        "mlflow.source.git.commit": commit,
        "mlflow.user": record.who,
    }
    return Sheet(
        experiment=record.model,
        name=record.tag,
        params={key_for(k): param_for(_shown(v)) for k, v in flat(record.params).items()},
        metrics={key_for(name): float(value) for name, value in record.flat_metrics().items()},
        tags={key_for(name): tag_for(_shown(v)) for name, v in tags.items() if v},
        started_ms=max(0, ended - int(min(record.seconds, _MAX_SECONDS) * 1000)),
        ended_ms=ended,
    )


def _record(project: Project, tag: str) -> RunRecord:
    known = {record.tag: record for record in read_records(project).found}
    if tag not in known:
        names = ", ".join(known) or "none"
        raise FlowError(f"'{tag}' has no run record; there are: {names}")
    return known[tag]


def _chosen(
    project: Project, store: TrackingStore, record: RunRecord, run_ids: Sequence[str]
) -> tuple[list[StoredRun], tuple[LeftOut, ...]]:
    """The runs to import, and those that look like the release's and are not, or not yet."""
    found = [store.get(run_id) for run_id in run_ids] or store.logged(record.tag)
    if not found:
        raise FlowError(
            f"no run in MLflow store '{store.address}' has the tag '{RELEASE_TAG}={record.tag}'",
            hint=f"git branchflow runs import --mlflow '{store.address}' --run ID {record.tag}",
        )
    first = 0 if run_ids else _earliest(project, record)
    last = math.inf if run_ids else _ended_ms(record) + 999  # it is cut to the second
    reasons = {run.run_id: _why_not(run, first, last) for run in found}
    left_out = [LeftOut(r.run_id, r.name, reasons[r.run_id]) for r in found
                if reasons[r.run_id]]  # fmt: skip
    return [run for run in found if not reasons[run.run_id]], tuple(left_out)


def _why_not(run: StoredRun, first_ms: float, last_ms: float) -> str:
    if run.started_ms < first_ms:
        return "started before the release's code and data were there"
    if run.started_ms > last_ms:
        return "started after the release"
    return "is still running" if run.ended_ms is None else ""


def _earliest(project: Project, record: RunRecord) -> int:
    """When the last of what the release was made from was committed, in milliseconds."""
    git, commit = project.git, _commit_of(record)
    parents = git.commits([commit])[commit].parents
    return max((c.seconds for c in git.commits(parents).values()), default=0) * 1000


def _commit_of(record: RunRecord) -> Sha:
    try:
        return parse_sha(record.commit)
    except ConfigError as error:
        raise ConfigError(f"'{record.path}': {error.message}") from error


def _ended_ms(record: RunRecord) -> int:
    try:
        when = milliseconds(record.when)
    except (ValueError, OverflowError) as error:
        raise ConfigError(f"'{record.path}': 'when' is no time: {error}") from error
    if when < 0 or not record.seconds >= 0:  # nor NaN
        raise ConfigError(f"'{record.path}': 'when' and 'seconds' are no time of a run")
    return when


def _taken(store: TrackingStore, run: StoredRun) -> ImportedRun:
    return ImportedRun(
        run_id=run.run_id,
        name=run.name,
        experiment=run.experiment,
        store=store.address,
        status=run.status,
        started=_utc(run.started_ms),
        ended=_utc(run.ended_ms or 0),
        params=dict(sorted(run.params.items())),
        metrics={
            name: LoggedMetric(_finite(value), store.points(run, name))
            for name, value in sorted(run.metrics.items())
        },
    )


def _commit(
    project: Project, record: RunRecord, runs: Sequence[ImportedRun], report: Report
) -> Sha:
    content = render_imported(record, runs)
    if len(content) > MAX_DOCUMENT_BYTES:
        raise FlowError(
            f"the runs of '{record.tag}' take {len(content):,} bytes, more than Git should hold",
            hint="git branchflow runs import --run ID",
        )
    if project.git_remote is None:
        require_movable(project, [project.config.tracking])
    tracking = project.tracking.as_published()  # nobody's unpushed documents go out with it
    message = f"Import MLflow runs of {record.tag}\n\nRelease: {record.tag}\n"
    change = Change(imported_path(record), content)
    sha = project.git.write_commits([NewCommit([tracking.sha], message, [change])])[0]
    publish(
        project, [Move(tracking.branch, tracking, sha)],
        reason=f"branchflow runs import {record.tag}", report=report,
    )  # fmt: skip
    return sha


def _utc(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)
