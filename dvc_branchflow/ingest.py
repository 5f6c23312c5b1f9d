"""Appends files to an append-only branch, with nothing checked out."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from dvc_branchflow.config import partition_size_bytes
from dvc_branchflow.errors import FlowError, RejectedError, StorageError, UsageError
from dvc_branchflow.flow import BranchSpec
from dvc_branchflow.git import NewCommit
from dvc_branchflow.model import APPEND_ONLY, Branch, Oid, Out, Sha
from dvc_branchflow.policy.derived import side_of
from dvc_branchflow.project import Project, Tip
from dvc_branchflow.values import dataclass, field, replace
from dvc_branchflow.watch.windows import parse_span
from dvc_branchflow.work.appending import Growth, Taken, grow, take_in
from dvc_branchflow.work.commits import read_commit
from dvc_branchflow.work.environments import environment
from dvc_branchflow.work.logexport import Filter, export_rows
from dvc_branchflow.work.publish import Move, publish, require_movable
from dvc_branchflow.work.races import until_won
from dvc_branchflow.work.transfer import Report
from dvc_branchflow.work.worktrees import branch_lock

_PARTITION = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 ._=-]*[A-Za-z0-9_=-])?")  # plain to YAML and DVC
_NEVER = frozenset({".git", ".dvc", ".dvcignore"})  # names that git or dvc would act on


@dataclass(frozen=True, slots=True)
class IngestRequest:
    """What to append: paths on disk, where they come from, and where they go.

    `partition` None: by the branch's own rule (this month, the one with room, or the only one).
    """

    paths: Sequence[Path]
    source: str
    branch: str | None = None
    partition: str | None = None
    license: str | None = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class IngestOutcome:
    """What an ingest did (or, with a dry run, would do).

    Attributes:
        added: files that are new in the partition.
        present: files that the partition holds already, name and content the same.
        duplicates: new files whose content the partition holds under another name.
        commit: None where nothing was new, or nothing was to be changed.
    """

    branch: Branch
    partition: str
    added: tuple[Taken, ...]
    present: tuple[str, ...]
    duplicates: tuple[str, ...]
    commit: Sha | None

    @property
    def added_bytes(self) -> int:
        """Size of what is new."""
        return sum(file.size_bytes for file in self.added)


def ingest(
    project: Project, request: IngestRequest, report: Report, *, dry_run: bool = False
) -> IngestOutcome:
    """Append files to an append-only branch.

    The files are hashed while they are copied into the cache, so that what is stored is what was
    hashed; then stored on the DVC remote and proven there; then the manifest, the pointer and the
    commit are written and the branch is moved. Who loses a race appends to the new tip.

    Raises: UsageError, RejectedError: a file that can't go in; nothing moved.
    """
    project.require_history("ingest")
    _check_text(request)
    named = collect(request.paths)
    project.refresh()
    spec = _target(project, request.branch)
    if dry_run:
        require_movable(project, [spec.branch])
        return _survey(project, spec, request, named)
    report(f"files to hash: {len(named)}")
    taken = take_in(project, named)

    def attempt() -> IngestOutcome:
        require_movable(project, [spec.branch])
        return _append(project, _target(project, spec.branch), request, taken, report)

    with branch_lock(project, spec.branch, report):
        return until_won(project, attempt, report)


@dataclass(frozen=True, slots=True)
class MonitorRequest:
    """Logged rows to append: of which environment and span (`FROM..TO`), and which of them."""

    env: str
    span: str
    rows: Filter = field(default_factory=Filter)


def ingest_from_monitor(
    project: Project,
    wanted: MonitorRequest,
    request: IngestRequest,
    report: Report,
    *,
    dry_run: bool = False,
) -> IngestOutcome:
    """Append logged rows with their labels to an append-only branch, as one CSV file.

    The commit's source names the monitor branch, its commit, the span and the filter.

    Args:
        request: its paths and its source are those of the rows.
    Raises: RejectedError: no row is left.
    """
    project.refresh()
    env, span = environment(project, wanted.env), parse_span(wanted.span)
    with TemporaryDirectory(prefix="branchflow-") as folder:
        path, count = export_rows(env, span, wanted.rows, Path(folder), report)
        if not count:
            raise RejectedError(
                f"'{env.spec.branch}' has no rows in {span} that the filter lets through",
                hint="--unlabelled takes rows that have no label yet",
            )
        at = env.tip.sha if env.tip else ""
        filtered = f"; {wanted.rows}" if str(wanted.rows) else ""
        place = f" of {env.repo}" if env.repo else ""
        source = f"{env.spec.branch}@{at}{place} {span}{filtered}"
        report(f"rows from {env.spec.branch}: {count}")
        return ingest(
            project, replace(request, paths=[path], source=source), report, dry_run=dry_run
        )


def collect(paths: Iterable[Path]) -> dict[str, Path]:
    """Return path below the partition → file, for files and whole folders.

    A folder keeps its own name, as with `cp -r`. Raises: UsageError: a name that can't go in, a
    link that leads outside of what was given, two files for one name, or nothing at all.
    """
    found: dict[str, Path] = {}
    for path in paths:
        for relpath, file in _expand(path):
            _check_name(relpath)
            if relpath in found and found[relpath] != file:
                raise UsageError(f"two files would be called '{relpath}' in the partition")
            found[relpath] = file
    if not found:
        raise UsageError("there are no files to ingest")
    return found


def _target(project: Project, branch: str | None) -> BranchSpec:
    if branch is not None:
        spec = project.spec(branch)
        if spec.role not in APPEND_ONLY:
            raise FlowError(
                f"'{branch}' is a {spec.role} branch; only raw and monitor branches take files"
            )
        return spec
    raw = [spec for spec in project.specs.values() if spec.role == "raw"]
    if len(raw) != 1:
        names = ", ".join(spec.branch for spec in raw) or "none"
        raise UsageError(
            f"which branch? there are: {names}", hint="git branchflow ingest --branch NAME …"
        )
    return raw[0]


def _check_text(request: IngestRequest) -> None:
    for name, text in (("--source", request.source), ("--license", request.license or "-")):
        if not text.strip() or "\n" in text or "\r" in text:
            raise UsageError(f"{name} has to be one line of text")


def _expand(path: Path) -> Iterator[tuple[str, Path]]:
    try:
        if not path.is_dir():
            yield path.name, _regular(path, path.parent)
            return
        root = path.resolve()
        for folder, folders, files in os.walk(path, onerror=_unreadable):
            folders.sort()
            for name in [*folders, *files]:
                full = Path(folder, name)
                if full.is_symlink() and full.is_dir():
                    raise UsageError(
                        f"'{full}' is a link to a folder", hint="copy what it points to"
                    )
            for name in sorted(files):
                full = Path(folder, name)
                yield f"{root.name}/{full.relative_to(path).as_posix()}", _regular(full, root)
    except OSError as error:
        raise _unusable(path, error) from error
    except RuntimeError as error:  # what resolve() says of a link to itself
        raise UsageError(f"'{path}' is a link that leads nowhere") from error


def _regular(file: Path, root: Path) -> Path:
    if file.is_symlink() and not file.resolve(strict=True).is_relative_to(root.resolve()):
        raise UsageError(f"'{file}' is a link that leads outside", hint="copy what it points to")
    mode = file.stat().st_mode
    if not stat.S_ISREG(mode):
        raise UsageError(f"'{file}' is no regular file")
    if not os.access(file, os.R_OK):
        raise UsageError(f"'{file}' can't be read", hint=f"chmod u+r '{file}'")
    return file


def _unreadable(error: OSError) -> None:
    raise error


def _unusable(path: Path, error: OSError) -> UsageError:
    return UsageError(f"'{error.filename or path}' can't be used: {error.strerror}")


def _check_name(relpath: str) -> None:
    parts = relpath.split("/")
    if any(part in _NEVER or part in {"", ".", ".."} for part in parts):
        raise UsageError(f"'{relpath}' has a name that git or dvc would act on")
    try:
        relpath.encode()
    except UnicodeEncodeError:
        raise UsageError(f"{relpath!r} is not valid UTF-8", hint="rename the file") from None
    if "\\" in relpath or any(ord(char) < ord(" ") for char in relpath):
        raise UsageError(f"{relpath!r} holds a control character or backslash", hint="rename it")


def _append(
    project: Project, spec: BranchSpec, request: IngestRequest, taken: list[Taken], report: Report
) -> IngestOutcome:
    tip = project.tip(spec.branch)
    partition, growth = _grown(project, spec, request, tip, taken)
    outcome = _outcome(spec, partition, growth)
    if not growth.added:
        return outcome
    pointer = growth.stored(project, spec.rule.remote)
    commit = NewCommit([tip.sha], _message(request, outcome), [pointer])
    sha = project.git.write_commits([commit])[0]
    move = Move(spec.branch, tip, sha)
    publish(project, [move], reason=f"branchflow ingest into {spec.branch}", report=report)
    return replace(outcome, commit=sha)


def _grown(
    project: Project, spec: BranchSpec, request: IngestRequest, tip: Tip, taken: list[Taken]
) -> tuple[str, Growth]:
    partition, old = _partition(project, spec, request, tip)
    where = f"partition '{partition}' of '{spec.branch}'"
    return partition, grow(project, _out_path(spec, partition), old, taken, where)


def _outcome(spec: BranchSpec, partition: str, growth: Growth) -> IngestOutcome:
    return IngestOutcome(
        spec.branch, partition, growth.added, growth.present, growth.duplicates, None
    )


def _survey(
    project: Project, spec: BranchSpec, request: IngestRequest, named: Mapping[str, Path]
) -> IngestOutcome:
    """What an ingest would do, with nothing stored."""
    taken = [Taken(name, *_digest(path)) for name, path in named.items()]
    return _outcome(spec, *_grown(project, spec, request, project.tip(spec.branch), taken))


def _digest(path: Path) -> tuple[Oid, int]:
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "md5").hexdigest()
            return Oid(digest), file.tell()
    except OSError as error:
        raise StorageError(f"can't read '{path}': {error.strerror}") from error


def _partition(
    project: Project, spec: BranchSpec, request: IngestRequest, tip: Tip
) -> tuple[str, Out | None]:
    """The partition that files go to, and what it holds now."""
    owned = read_commit(project.git, tip.sha).snapshot(spec.data or "")
    name = request.partition or _current_partition(spec, owned)
    if name:
        _check_partition(name)
    path = _out_path(spec, name)
    for other in owned:
        if other != path and (
            f"{other}/".startswith(f"{path}/") or f"{path}/".startswith(f"{other}/")
        ):
            raise FlowError(
                f"'{path}' overlaps with '{other}', which is on '{spec.branch}' already",
                hint="leave --partition out, or set 'partition' in branchflow.yaml back",
            )
    found = owned.get(path)
    if found is not None and not found.is_dir:
        raise FlowError(f"'{found.path}' on '{spec.branch}' is a single file, not a partition")
    return name, found


def _current_partition(spec: BranchSpec, owned: Mapping[str, Out]) -> str:
    rule = spec.rule.partition
    if rule is None:
        return ""
    full_bytes = partition_size_bytes(rule)
    if full_bytes is None:
        return datetime.now(UTC).strftime(rule)
    names = [path.rpartition("/")[2] for path in owned]
    last = max((name for name in names if re.fullmatch("[0-9]{4,}", name)), key=int, default="0000")
    current = owned.get(_out_path(spec, last))
    if current is not None and (current.size_bytes or 0) < full_bytes:
        return last
    return f"{int(last) + 1:04d}"


def _check_partition(name: str) -> None:
    acted_on = name in {"dvc.yaml", "dvc.lock"} or name.endswith(".dvc")
    if acted_on or not _PARTITION.fullmatch(name):
        raise UsageError(f"'{name}' can't be a partition's name: it has to be one plain word")
    if side_of(name):
        raise UsageError(f"'{name}' can't be a partition's name: it is that of a split's side")


def _out_path(spec: BranchSpec, partition: str) -> str:
    return f"{spec.data}/{partition}" if partition else str(spec.data)


def _message(request: IngestRequest, outcome: IngestOutcome) -> str:
    place = f" into {outcome.partition}" if outcome.partition else ""
    files = "1 file" if len(outcome.added) == 1 else f"{len(outcome.added)} files"
    subject = request.message or f"Ingest {files}{place}"
    trailers = [f"Source: {request.source.strip()}"]
    if request.license:
        trailers.append(f"License: {request.license.strip()}")
    return f"{subject}\n\n" + "\n".join(trailers) + "\n"
