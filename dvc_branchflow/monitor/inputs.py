"""Files of rows that a command is given, and the refusal of those that hold what can't go in."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from dvc_branchflow.errors import RejectedError, UsageError
from dvc_branchflow.values import dataclass
from dvc_branchflow.watch.rows import Problems
from dvc_branchflow.work.tables import SUFFIXES


@dataclass(frozen=True, slots=True)
class InputFile:
    """A file to read: where it is, what to call it, and what it holds."""

    path: Path
    name: str
    suffix: str


@contextmanager
def open_files(paths: Sequence[Path], kind: str | None) -> Iterator[list[InputFile]]:
    """Give the files to read; the standard input as a file of its own, since it reads but once.

    Args:
        kind: what they hold (jsonl, csv, parquet); None: by their names, `-` as JSON lines.
    Raises: UsageError: a file that is not there, or of which it can't be told what it holds.
    """
    with TemporaryDirectory(prefix="branchflow-") as folder:
        found = []
        for path in paths:
            at, name, suffix = path, path.name, path.suffix.lower()
            if str(path) == "-":
                at, name, suffix = Path(folder, "stdin"), "stdin", ".jsonl"
                with at.open("wb") as spool:
                    shutil.copyfileobj(sys.stdin.buffer, spool)
            elif not path.is_file():
                raise UsageError(f"'{path}' is no file")
            suffix = f".{kind}" if kind else suffix
            if suffix not in SUFFIXES:
                raise UsageError(
                    f"'{name}' is neither JSON lines, CSV nor Parquet by its name",
                    hint="--format jsonl, csv or parquet",
                )
            found.append(InputFile(at, name, suffix))
        if not found:
            raise UsageError("there are no files to read")
        yield found


def check_source(source: str | None) -> None:
    """Refuse a source that can't stand in a commit's trailer."""
    if source is not None and (not source.strip() or "\n" in source or "\r" in source):
        raise UsageError("--source has to be one line of text")


def require_clean(problems: Problems) -> None:
    """Raise RejectedError where any row can't go in, with the first of them named."""
    if problems.count:
        more = problems.count - len(problems.shown)
        tail = f"; and {more:,} more rows" if more > 0 else ""
        raise RejectedError(
            f"nothing was logged: {'; '.join(problems.shown)}{tail}",
            hint="mend these rows and run the command again",
        )
