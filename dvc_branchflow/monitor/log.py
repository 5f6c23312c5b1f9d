"""Appends what production saw to a monitor branch: all rows of a log, or none."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dvc_branchflow.errors import FlowError, UsageError
from dvc_branchflow.git import Change
from dvc_branchflow.lazy import np, pa
from dvc_branchflow.model import Branch, Sha
from dvc_branchflow.monitor.inputs import InputFile, check_source, open_files, require_clean
from dvc_branchflow.project import Project
from dvc_branchflow.values import dataclass, field, replace
from dvc_branchflow.watch.columns import Batch
from dvc_branchflow.watch.fingerprints import Known, hash_rows, hash_texts, repeated
from dvc_branchflow.watch.rows import (
    KEPT_HERE,
    SCHEMA_FILE,
    Checker,
    LogSchema,
    fingerprint,
    protect,
)
from dvc_branchflow.watch.windows import Span
from dvc_branchflow.work.environments import Environment, served
from dvc_branchflow.work.logbook import PRIVATE, ROWS, known_rows
from dvc_branchflow.work.staging import Staging, commit_to, on_environment, staging
from dvc_branchflow.work.tables import read_batches
from dvc_branchflow.work.transfer import Report

KEY_VARIABLE = "BRANCHFLOW_KEY"
_MIN_KEY, _MAX_KEY = 16, 64
_NAMED = 5  # files that a commit names


@dataclass(frozen=True, slots=True)
class LogRequest:
    """What to log.

    Attributes:
        paths: files; `-` is the standard input.
        kind: what they hold: jsonl, csv or parquet; None: by their names.
        source: where the rows come from; stands in the commit.
        new_columns: columns that the branch does not know yet may come in.
    """

    paths: Sequence[Path]
    env: str | None = None
    kind: str | None = None
    source: str | None = None
    new_columns: bool = False


@dataclass(frozen=True, slots=True)
class LogOutcome:
    """What was logged (or, with a dry run, would be).

    Attributes:
        rows: new ones; `present`: those that were logged before, content the same.
        tags: release → new rows.
        span: from the first moment to the last one, `FROM..TO`; None without new rows.
        outs: the outs that grew.
        commit: None where nothing was new, or nothing was to be changed.
    """

    branch: Branch
    rows: int
    present: int
    tags: Mapping[str, int]
    span: str | None
    outs: tuple[str, ...]
    commit: Sha | None


def log(
    project: Project, request: LogRequest, report: Report, *, dry_run: bool = False
) -> LogOutcome:
    """Append rows to a monitor branch.

    Rows are held against the schema of the branch and the releases' own features, private columns
    are taken care of, and rows that are there already are left out, before anything is stored.
    Then as with `ingest`: stored on the DVC remote, proven there, committed, the branch moved.

    Raises: RejectedError: rows that can't go in, by name. UsageError: a file that can't be read.
    """
    project.require_history("monitor log")
    check_source(request.source)
    with open_files(request.paths, request.kind) as files:
        project.refresh()

        def act(env: Environment) -> LogOutcome:
            with staging(project) as staged:
                return _log(env, request, files, staged, report, dry_run=dry_run)

        return on_environment(project, request.env, report, act)


@dataclass
class _Intake:
    """Rows on their way in, a batch after the other, and what they are."""

    checker: Checker
    known: Known
    key: bytes
    staged: Staging
    rows: int = 0
    present: int = 0
    tags: Counter[str] = field(default_factory=Counter)
    span: Span | None = None

    def take(self, batch: Batch) -> None:
        """Stage the rows of a batch that are new; whatever can't go in is a problem."""
        table = self.checker.check(batch)
        if table is None or self.checker.problems.count:
            return
        kept, apart = protect(table, self.checker.schema.private, self.key)
        ids = hash_texts(table["request_id"].combine_chunks())
        rows = hash_rows(kept)
        same, other = self.known.find(ids, rows)
        names = table["request_id"]
        self.checker.problems.rows(
            batch,
            other | repeated(ids),
            lambda at: f"request {names[at].as_py()!r} is there already",
        )
        self.present += int(np.sum(same))
        new = np.flatnonzero(~same)
        if self.checker.problems.count or not new.size:
            return
        self.known.add(ids[new], rows[new])
        self._count(kept.take(new))
        self.staged.write(ROWS, kept.take(new), ids[new], rows[new])
        if apart.num_columns:
            self.staged.write(PRIVATE, apart.take(new))

    def _count(self, table: Any) -> None:
        self.rows += table.num_rows
        for item in table["tag"].combine_chunks().value_counts().to_pylist():
            self.tags[item["values"]] += item["counts"]
        moments = table["time"].cast(pa.int64()).to_numpy()
        first, last = int(moments.min()), int(moments.max())
        if self.span:
            first, last = min(first, self.span.start), max(last, self.span.end)
        self.span = Span(first, last)


def _log(
    env: Environment,
    request: LogRequest,
    files: Sequence[InputFile],
    staged: Staging,
    report: Report,
    *,
    dry_run: bool,
) -> LogOutcome:
    checker = _checker(env, request)
    intake = _Intake(checker, known_rows(env, ROWS, report), _key(checker.schema), staged)
    for file in files:
        report(f"reading {file.name}")
        for batch in read_batches(file.path, file.name, file.suffix):
            intake.take(batch)
    require_clean(checker.problems)
    outs = staged.finish()
    outcome = LogOutcome(
        branch=env.spec.branch,
        rows=intake.rows,
        present=intake.present,
        tags=dict(sorted(intake.tags.items())),
        span=str(intake.span) if intake.span else None,
        outs=tuple(sorted(outs)),
        commit=None,
    )
    if dry_run or not intake.rows:
        return outcome
    private = {how for how in checker.schema.private.values() if how not in KEPT_HERE}
    commit = commit_to(
        env,
        _message(outcome, request, files),
        report,
        files=outs,
        changes=_schema_change(env, checker.schema),
        remote_of=lambda name: next(iter(private)) if name.startswith(PRIVATE) else None,
    )
    return replace(outcome, commit=commit)


def _checker(env: Environment, request: LogRequest) -> Checker:
    """What rows are held against; raises FlowError where the config goes back on a privacy."""
    watch = env.spec.rule.watch
    old = env.schema or LogSchema()
    wanted = {name: how.remote or how.how for name, how in watch.private.items()}
    for name, how in old.private.items():
        if wanted.get(name, how) != how:
            raise FlowError(
                f"column '{name}' of '{env.spec.branch}' is kept private as '{how}' so far",
                hint=f"set 'private.{name}' back in branchflow.yaml",
            )
    private = {**wanted, **old.private}
    key = fingerprint(_key_given()) if "hash" in private.values() else None
    if old.key not in {None, key}:
        raise FlowError(
            f"{KEY_VARIABLE} is not the key that '{env.spec.branch}' was hashed with so far",
            hint=f"export {KEY_VARIABLE}=THE_OLD_KEY",
        )
    return Checker(
        replace(old, private=private, key=key),
        lambda tag: served(env.releases, tag).recipe,
        is_first=env.schema is None,
        may_extend=request.new_columns,
    )


def _key(schema: LogSchema) -> bytes:
    return _key_given() if schema.key else b""


def _key_given() -> bytes:
    key = os.environ.get(KEY_VARIABLE, "").encode()
    if not _MIN_KEY <= len(key) <= _MAX_KEY:
        raise UsageError(
            f"private columns are hashed with the key in {KEY_VARIABLE}: "
            f"{_MIN_KEY} to {_MAX_KEY} bytes that nobody can guess",
            hint=f"export {KEY_VARIABLE}=$(openssl rand -hex 24)  # and keep it",
        )
    return key


def _schema_change(env: Environment, schema: LogSchema) -> list[Change]:
    return [] if schema == env.schema else [Change(SCHEMA_FILE, schema.to_json())]


def _message(outcome: LogOutcome, request: LogRequest, files: Sequence[InputFile]) -> str:
    rows = "1 row" if outcome.rows == 1 else f"{outcome.rows:,} rows"
    tags = ", ".join(outcome.tags)
    source = request.source or f"monitor log {' '.join(file.name for file in files[:_NAMED])}"
    return f"Log {rows} of {tags}\n\nSource: {source}\n"
