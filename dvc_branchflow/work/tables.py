"""Reads tables of rows in bounded memory: JSON lines, CSV and Parquet, a batch after the other."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from dvc_branchflow.drift.baseline import Kinds
from dvc_branchflow.drift.sketches import Chunk
from dvc_branchflow.errors import UsageError
from dvc_branchflow.lazy import csv, np, pa, pq
from dvc_branchflow.watch.columns import Batch, as_number, as_text

SUFFIXES = (".jsonl", ".ndjson", ".json", ".csv", ".parquet")
_LINES = 20_000
_ROWS = 200_000
_CSV_BLOCK = 8 << 20


def read_batches(path: Path, name: str, suffix: str) -> Iterator[Batch]:
    """Yield the rows of a file.

    Args:
        name: what to call it in an error.
        suffix: what it holds: one of `SUFFIXES`.
    Raises: UsageError: it can't be read as that.
    """
    readers = {".csv": _csv, ".parquet": _parquet}
    try:
        yield from readers.get(suffix, _json_lines)(path, name)
    except pa.ArrowInvalid as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"'{name}' can't be read as {suffix[1:]}: {reason[:200]}") from error
    except OSError as error:
        raise UsageError(f"'{name}' can't be read: {error.strerror or error}") from error


def read_chunks(
    paths: Iterable[tuple[Path, str]], kinds: Kinds, missing: Sequence[str]
) -> Iterator[Chunk]:
    """Yield rows of training data as the drift rules take them; what is no number is missing.

    Args:
        paths: files and what to call them; those without all columns of `kinds` are passed over.
    """
    for path, name in paths:
        for batch in read_batches(path, name, Path(name).suffix.lower()):
            if all(column in batch.columns for column in kinds):
                yield as_chunk(batch.columns, kinds, missing)


def columns_of(path: Path, name: str) -> list[str]:
    """Return the names of a table's columns; none where it has no rows."""
    batch = next(read_batches(path, name, Path(name).suffix.lower()), None)
    return list(batch.columns) if batch else []


def as_chunk(columns: Mapping[str, Any], kinds: Kinds, missing: Sequence[str] = ("",)) -> Chunk:
    """Return columns as the drift rules take them."""
    chunk: dict[str, Any] = {}
    for name, kind in kinds.items():
        if kind == "text":
            chunk[name] = as_text(columns[name], missing)[0]
        else:
            numbers = as_number(columns[name], missing)[0]
            chunk[name] = np.asarray(numbers.to_numpy(zero_copy_only=False), float)
    return chunk


def _json_lines(path: Path, name: str) -> Iterator[Batch]:
    with path.open(encoding="utf-8") as lines:
        rows: list[dict[str, Any]] = []
        number = first = 1
        try:
            for number, line in enumerate(lines, 1):
                if not rows:
                    first = number
                row = json.loads(line)
                if not isinstance(row, dict):
                    raise UsageError(f"'{name}' row {number} is no JSON object")
                rows.append(row)
                if len(rows) == _LINES:
                    yield _batch_of(rows, name, first)
                    rows = []
        except (ValueError, RecursionError) as error:
            raise UsageError(f"'{name}' row {number} is no JSON object: {error}") from error
    if rows:
        yield _batch_of(rows, name, first)


def _batch_of(rows: Sequence[Mapping[str, Any]], name: str, first: int) -> Batch:
    names = list(dict.fromkeys(key for row in rows for key in row))
    absent = {
        at: [key for key in names if key not in row]
        for at, row in enumerate(rows)
        if len(row) < len(names)
    }
    columns = {key: [row.get(key) for row in rows] for key in names}
    return Batch(name, first, len(rows), columns, absent)


def _csv(path: Path, name: str) -> Iterator[Batch]:
    header = _csv_header(path)
    if not header:
        return
    options = csv.ConvertOptions(
        column_types=dict.fromkeys(header, pa.string()), strings_can_be_null=False
    )
    reader = csv.open_csv(
        path,
        read_options=csv.ReadOptions(block_size=_CSV_BLOCK),
        parse_options=csv.ParseOptions(newlines_in_values=True),
        convert_options=options,
    )
    yield from _batches_of(reader, name)


def _csv_header(path: Path) -> list[str]:
    import csv as plain

    with path.open(encoding="utf-8", newline="") as file:
        header = next(plain.reader(file), [])
    twice = [name for name in header if header.count(name) > 1]
    if twice:
        raise pa.ArrowInvalid(f"column '{twice[0]}' stands twice")
    return header


def _parquet(path: Path, name: str) -> Iterator[Batch]:
    with pq.ParquetFile(path) as file:
        yield from _batches_of(file.iter_batches(batch_size=_ROWS), name)


def _batches_of(batches: Iterable[Any], name: str) -> Iterator[Batch]:
    first = 1
    for batch in batches:
        columns = {
            column: _decoded(values)
            for column, values in zip(batch.schema.names, batch.columns, strict=True)
        }
        if batch.num_rows:
            yield Batch(name, first, batch.num_rows, columns)
        first += batch.num_rows


def _decoded(values: Any) -> Any:
    kind = values.type
    if pa.types.is_dictionary(kind):
        values = values.dictionary_decode()
    return values.cast(pa.string()) if pa.types.is_large_string(values.type) else values
