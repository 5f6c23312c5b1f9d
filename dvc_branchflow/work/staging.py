"""New rows on their way to a monitor branch: Parquet files by month, then one commit with them."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

from dvc_branchflow.errors import FlowError
from dvc_branchflow.git import Change, NewCommit
from dvc_branchflow.lazy import np, pa, pq
from dvc_branchflow.model import Sha
from dvc_branchflow.project import Project
from dvc_branchflow.values import dataclass, field
from dvc_branchflow.watch.fingerprints import pairs
from dvc_branchflow.watch.windows import file_name
from dvc_branchflow.work.appending import grow, take_in
from dvc_branchflow.work.environments import Environment, environment
from dvc_branchflow.work.logbook import ids_name
from dvc_branchflow.work.publish import Move, publish, require_movable
from dvc_branchflow.work.races import until_won
from dvc_branchflow.work.transfer import Report
from dvc_branchflow.work.worktrees import branch_lock

_MAX_ROWS = 1_000_000
_T = TypeVar("_T")
RemoteOf = Callable[[str], str | None]


@dataclass
class _Open:
    """A file that is being written, and what its name will tell."""

    path: Path
    writer: Any
    first: int
    last: int
    rows: int = 0
    ids: list[Any] = field(default_factory=list)
    hashes: list[Any] = field(default_factory=list)


@dataclass
class Staging:
    """Writes tables as Parquet files into a folder, by out and month."""

    folder: Path
    _open: dict[str, _Open] = field(default_factory=dict)
    _done: dict[str, dict[str, Path]] = field(default_factory=dict)

    def write(self, kind: str, table: Any, ids: Any = None, hashes: Any = None) -> None:
        """Write rows to the outs of their months.

        Args:
            ids, hashes: of the rows, shape (rows,), where a list of them has to lie beside.
        """
        moments = table["time"].cast(pa.int64()).to_numpy().astype("datetime64[us]")
        months = moments.astype("datetime64[M]")
        for name in np.unique(months):
            place = np.flatnonzero(months == name)
            listed = None if ids is None else (ids[place], hashes[place])
            self._write(f"{kind}-{name}", table.take(place), listed)

    def finish(self) -> dict[str, dict[str, Path]]:
        """Close all files; return out's name → name in it → file."""
        for out in list(self._open):
            self._close(out)
        return self._done

    def _write(self, out: str, table: Any, listed: tuple[Any, Any] | None) -> None:
        file = self._open.get(out)
        if file and (file.writer.schema != table.schema or file.rows >= _MAX_ROWS):
            self._close(out)
            file = None
        moments = table["time"].cast(pa.int64()).to_numpy()
        first, last = int(moments.min()), int(moments.max())
        if file is None:
            count = sum(map(len, self._done.values())) + len(self._open)
            path = self.folder / f"{out}.{count}.parquet"
            writer = pq.ParquetWriter(path, table.schema, compression="zstd")
            file = self._open[out] = _Open(path, writer, first, last)
        file.writer.write_table(table)
        file.rows += table.num_rows
        file.first, file.last = min(file.first, first), max(file.last, last)
        if listed is not None:
            file.ids.append(listed[0])
            file.hashes.append(listed[1])

    def _close(self, out: str) -> None:
        file = self._open.pop(out)
        file.writer.close()
        with file.path.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
        name = file_name(file.first, file.last, digest)
        done = self._done.setdefault(out, {})
        done[name] = file.path
        if file.ids:
            beside = file.path.with_suffix(".ids")
            beside.write_bytes(pairs(np.concatenate(file.ids), np.concatenate(file.hashes)))
            done[ids_name(name)] = beside


@contextmanager
def staging(project: Project) -> Iterator[Staging]:
    """Give a folder of our own to stage rows in; it is gone afterwards."""
    project.state_dir.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix="staging-", dir=project.state_dir) as folder:
        yield Staging(Path(folder))


def on_environment(
    project: Project, name: str | None, report: Report, act: Callable[[Environment], _T]
) -> _T:
    """Act on a monitor branch as it stands, and once more where somebody else moved it meanwhile.

    Raises: LostRaceError: others won each time. FlowError: it lives in another repository.
    """
    env = environment(project, name)
    branch = env.spec.branch
    if env.repo is not None:
        raise FlowError(
            f"'{branch}' lives in '{env.repo}', and is written there alone",
            hint=f"git clone {shlex.quote(env.repo)}  # and run the command in it",
        )
    with branch_lock(project, branch, report):
        return until_won(project, lambda: act(environment(project, name)), report)


def commit_to(
    env: Environment,
    message: str,
    report: Report,
    *,
    files: Mapping[str, Mapping[str, Path]] | None = None,
    changes: Sequence[Change] = (),
    remote_of: RemoteOf | None = None,
) -> Sha | None:
    """Append files to a monitor branch's outs and change its files in Git, in one commit.

    Args:
        files: out's name → name in it → file; what is there already is left alone.
        remote_of: out's name → its DVC remote; the branch's own where not given.
    Returns: the commit, None where nothing was new.
    Raises: LostRaceError: the branch moved meanwhile; RejectedError: a rule refuses the commit.
    """
    project, spec, tip = env.project, env.spec, env.tip
    if tip is not None:
        require_movable(project, [spec.branch])
    elif any(other.startswith(f"{spec.branch}/") for other in project.tips):
        raise FlowError(f"Git can't have '{spec.branch}' beside branches below that name")
    held = env.data.outs if env.data else {}
    pointers = []
    for name, named in (files or {}).items():
        path = f"{env.folder}/{name}"
        growth = grow(project, path, held.get(path), take_in(project, named), f"'{path}'")
        remote = remote_of(name) if remote_of else None
        if growth.added:
            pointers.append(growth.stored(project, remote or spec.rule.remote))
    if not pointers and not changes:
        return None
    parents = [tip.sha] if tip else []
    commit = NewCommit(parents, message, [*env.ground(), *changes, *pointers])
    sha = project.git.write_commits([commit])[0]
    reason = f"branchflow monitor on {spec.branch}"
    publish(project, [Move(spec.branch, tip, sha)], reason=reason, report=report)
    return sha
