"""The rows on a monitor branch: which files hold them, what is known of them, and reading them.

Its outs are directories of Parquet files, by month: `rows-2026-11`, `labels-2026-11`, and
`private-2026-11` for columns that are kept apart. Beside a file of rows lies the list of the hashes
of its ids; Arrow passes over names that start with `_`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from dvc_branchflow.errors import StorageError
from dvc_branchflow.lazy import np, pa, pc, pq
from dvc_branchflow.manifest import entries
from dvc_branchflow.model import Oid, Out
from dvc_branchflow.values import dataclass
from dvc_branchflow.watch.fingerprints import Known
from dvc_branchflow.watch.windows import Span, month, span_of
from dvc_branchflow.work.environments import Environment
from dvc_branchflow.work.transfer import Report, fetch_objects, manifest_of

ROWS, LABELS, PRIVATE, BASELINES = "rows", "labels", "private", "baselines"
_MONTHLY = re.compile(r"(rows|labels|private)-(\d{4}-\d\d)")
_BATCH_ROWS = 200_000


@dataclass(frozen=True, slots=True)
class LogFile:
    """A file of rows or labels: its place, content, and the span of time that it holds."""

    out: Out
    relpath: str
    oid: Oid
    span: Span


def ids_name(name: str) -> str:
    """Return what the list of ids beside a file of rows is called."""
    return f"_{name.removesuffix('.parquet')}.ids"


def log_files(env: Environment, kind: str, span: Span | None = None) -> list[LogFile]:
    """Return the files of rows or labels whose time overlaps a span (None: all), oldest first."""
    found = [
        LogFile(out, entry.relpath, entry.oid, held)
        for out in _monthly(env, kind, span)
        for entry in entries(manifest_of(env.project, out))
        if (held := span_of(entry.relpath)) is not None and (span is None or held.overlaps(span))
    ]
    return sorted(found, key=lambda file: (file.span, file.relpath))


def known_rows(env: Environment, kind: str, report: Report) -> Known:
    """Return the ids of all rows (or labels) that are there; the lists are mapped, not read.

    Raises: StorageError: a list is damaged.
    """
    return Known(list(_id_lists(env, kind, report).values()))


def files_with(env: Environment, ids: Any, report: Report) -> list[LogFile]:
    """Return the files of rows that hold any of these ids, given by their hashes."""
    lists = _id_lists(env, ROWS, report)
    wanted = np.sort(ids)
    found = []
    for file in log_files(env, ROWS):
        listed = lists.get(f"{file.out.path}/{ids_name(file.relpath)}")
        if listed is not None:
            at = np.minimum(np.searchsorted(listed[:, 0], wanted), len(listed) - 1)
            if np.any(listed[at, 0] == wanted):
                found.append(file)
    return found


def read_log(
    env: Environment, kind: str, span: Span | None, columns: Sequence[str] | None, report: Report
) -> Iterator[Any]:
    """Yield the rows or labels of a span as Arrow tables, in bounded memory.

    Args:
        columns: those wanted; one that a file lacks is null there. None: all that a file has.
    """
    yield from read_files(env, log_files(env, kind, span), span, columns, report)


def read_files(
    env: Environment,
    files: Sequence[LogFile],
    span: Span | None,
    columns: Sequence[str] | None,
    report: Report,
) -> Iterator[Any]:
    """Yield the rows of these files, as `read_log` does.

    Raises: StorageError: a file can't be read.
    """
    fetch_objects(env.project, [(file.oid, file.out.remote) for file in files], report)
    yield from _in_large_parts(_parts(env, files, span, columns), f"'{env.folder}'")


def _in_large_parts(parts: Iterator[Any], where: str) -> Iterator[Any]:
    """Put rows of many small logs together: what is done with a part costs more than its rows."""
    held: list[Any] = []
    rows = 0
    try:
        for part in parts:
            held.append(part)
            rows += part.num_rows
            if rows >= _BATCH_ROWS:
                yield pa.concat_tables(held, promote_options="default")
                held, rows = [], 0
        if held:
            yield pa.concat_tables(held, promote_options="default")
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise StorageError(f"files of {where} don't fit together: {error}") from error


def _parts(
    env: Environment, files: Sequence[LogFile], span: Span | None, columns: Sequence[str] | None
) -> Iterator[Any]:
    for file in files:
        try:
            with pq.ParquetFile(env.project.cache.path(file.oid)) as opened:
                yield from _batches(opened, span, columns)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, OSError) as error:
            raise StorageError(
                f"'{file.out.path}/{file.relpath}' can't be read: {error}"
            ) from error


def _batches(opened: Any, span: Span | None, columns: Sequence[str] | None) -> Iterator[Any]:
    held = opened.schema_arrow.names
    for name, kind in (("request_id", pa.string()), ("time", pa.timestamp("us", "UTC"))):
        if name not in held or opened.schema_arrow.field(name).type != kind:
            raise pa.ArrowInvalid(f"column '{name}' is not as it was logged")
    wanted = held if columns is None else [name for name in columns if name in held]
    read = list(dict.fromkeys([*wanted, "time"]))
    for batch in opened.iter_batches(batch_size=_BATCH_ROWS, columns=read):
        table = pa.Table.from_batches([batch])
        if span is not None:
            moments = table["time"].cast(pa.int64())
            table = table.filter(
                pc.and_(pc.greater_equal(moments, span.start), pc.less(moments, span.end))
            )
        if table.num_rows:
            yield table.select(wanted)


def _monthly(env: Environment, kind: str, span: Span | None) -> list[Out]:
    """The outs of a kind, by month, of the months that a span touches."""
    outs = env.data.snapshot(env.folder) if env.data else {}
    months = (month(span.start), month(span.end - 1)) if span else ("", "9999")
    found = []
    for path, out in sorted(outs.items()):
        match = _MONTHLY.fullmatch(path.removeprefix(f"{env.folder}/"))
        if match and match[1] == kind and out.is_dir and months[0] <= match[2] <= months[1]:
            found.append(out)
    return found


def _id_lists(env: Environment, kind: str, report: Report) -> dict[str, Any]:
    """Path of a list → hashes of ids and rows, shape (rows, 2), sorted by id."""
    lists = {
        f"{out.path}/{entry.relpath}": (entry.oid, out.remote)
        for out in _monthly(env, kind, None)
        for entry in entries(manifest_of(env.project, out))
        if entry.relpath.startswith("_") and entry.relpath.endswith(".ids")
    }
    fetch_objects(env.project, lists.values(), report)
    return {path: _mapped(env.project.cache.path(oid)) for path, (oid, _) in lists.items()}


def _mapped(path: Path) -> Any:
    size = path.stat().st_size
    if size % 16 or not size:
        raise StorageError(f"'{path}' is no list of ids", hint=f"rm '{path}'")
    return np.memmap(path, "<u8", mode="r").reshape(-1, 2)
