"""Brings objects where they are needed: to the DVC remotes, proven, or into the local cache."""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial

from dvc_branchflow.errors import BranchflowError, RejectedError, StorageError
from dvc_branchflow.manifest import Entry, added, entries
from dvc_branchflow.model import Oid, Out
from dvc_branchflow.project import Project
from dvc_branchflow.values import dataclass, replace
from dvc_branchflow.work.erasures import refuse_erased

Report = Callable[[str], None]
RemoteName = str | None
_JOINED = 50_000  # objects that are asked for at once, and the last commit's


@dataclass(frozen=True, slots=True)
class Need:
    """Objects that have to be on one DVC remote: oid → the out's path that asks for it.

    `sizes_bytes` are those of single files, as their pointers say; manifests name none.
    """

    remote: RemoteName
    files: Mapping[Oid, str]
    manifests: Mapping[Oid, str]
    sizes_bytes: Mapping[Oid, int]


def needs_of(
    project: Project, outs: Iterable[Out], known: Mapping[str, Out] | None = None
) -> list[Need]:
    """Return the objects behind outs, by DVC remote.

    Args:
        known: outs by path whose objects were proven before; of a directory that only grew or
            changed, just the files that are new at their place are named.
    """
    files: defaultdict[RemoteName, dict[Oid, str]] = defaultdict(dict)
    manifests: defaultdict[RemoteName, dict[Oid, str]] = defaultdict(dict)
    sizes: dict[Oid, int] = {}
    before = known or {}
    for out in outs:
        old = before.get(out.path)
        if old is not None and (old.oid, old.remote) == (out.oid, out.remote):
            continue
        if not out.is_dir:
            files[out.remote][out.oid] = out.path
            sizes |= {out.oid: out.size_bytes} if out.size_bytes is not None else {}
            continue
        manifests[out.remote][out.oid] = out.path
        for entry in _new_entries(project, out, old):
            files[out.remote].setdefault(entry.oid, f"{out.path}/{entry.relpath}")
    remotes = files.keys() | manifests.keys()
    return [Need(name, files[name], manifests[name], sizes) for name in sorted(remotes, key=str)]


def joined(groups: Iterable[Iterable[Need]]) -> Iterator[list[Need]]:
    """Yield the needs of many commits as few, so that a DVC remote is asked once for many.

    A group that takes them past a bound of memory is the last of its part.
    """
    parts: dict[RemoteName, tuple[dict[Oid, str], dict[Oid, str], dict[Oid, int]]] = {}
    for group in groups:
        for need in group:
            files, manifests, sizes = parts.setdefault(need.remote, ({}, {}, {}))
            files |= need.files
            manifests |= need.manifests
            sizes |= need.sizes_bytes
        if sum(len(files) for files, *_ in parts.values()) >= _JOINED:
            yield [Need(remote, *part) for remote, part in parts.items()]
            parts = {}
    if parts:
        yield [Need(remote, *part) for remote, part in parts.items()]


def ensure_stored(project: Project, needs: Iterable[Need], report: Report) -> int:
    """Put on the DVC remotes what they lack, files before manifests; return how many it were.

    Raises: StorageError: an object is neither here nor there, or a remote can't be reached.
    """
    count = 0
    for need in needs:
        count += _ensure(project, replace(need, manifests={}), report)
        count += _ensure(project, replace(need, files={}), report)
    return count


def lacking(project: Project, need: Need) -> dict[Oid, str]:
    """Return the objects that are not whole on their DVC remote: oid → the path that asks for it.

    Raises: StorageError: the DVC remote can't be reached, so that nothing is known.
    """
    oids = {**need.files, **need.manifests}
    there = project.store(need.remote).sizes(oids) if oids else {}
    return {
        oid: path
        for oid, path in oids.items()
        if not _is_whole(project, oid, there.get(oid), need.sizes_bytes.get(oid))
    }


def require_stored(project: Project, outs: Iterable[Out], whose: str) -> int:
    """Prove that every object behind outs is whole on its DVC remote; return how many they are.

    Args:
        whose: whose outs they are, for the error.
    Raises: RejectedError: one is not. StorageError: that can't be known.
    """
    count = 0
    for need in needs_of(project, outs):
        missing = lacking(project, need)
        count += len(need.files) + len(need.manifests)
        for oid, path in missing.items():
            more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
            raise RejectedError(
                f"'{path}' of {whose} is not whole on {called(need.remote)}: object {oid}{more}",
                hint="dvc push --all-tags  # in a clone that has it",
            )
    return count


def fetch_objects(
    project: Project, objects: Iterable[tuple[Oid, RemoteName]], report: Report
) -> int:
    """Bring single objects into the cache; return how many were not there.

    Raises: RejectedError: one was erased. StorageError: one is not there, or a remote is away.
    """
    missing: defaultdict[RemoteName, dict[Oid, None]] = defaultdict(dict)
    for oid, remote in objects:
        if not project.cache.has(oid):
            refuse_erased(project, oid, f"object {oid}")
            missing[remote][oid] = None
    for remote, oids in missing.items():
        report(f"objects to fetch: {len(oids)}")
        project.store(remote).get({oid: project.cache.path(oid) for oid in oids})
    return sum(len(oids) for oids in missing.values())


def manifest_of(project: Project, out: Out) -> bytes:
    """Return a directory's manifest, from the cache or else from its DVC remote."""
    fetch_objects(project, [(out.oid, out.remote)], lambda _: None)
    return project.cache.manifest(out.oid)


def read_manifests(
    project: Project, outs: Iterable[Out], *, max_bytes: int, seconds: float
) -> tuple[dict[Oid, bytes], dict[Oid, str]]:
    """Return directories' manifests, from the cache or else from their DVC remotes, within bounds.

    Args:
        max_bytes: of all manifests together.
        seconds: for all remotes together; one that hangs is left behind.
    Returns: oid → manifest, and for those that can't be had: oid → why.
    """
    wanted = {out.oid: out for out in outs}
    missing = {oid: out for oid, out in wanted.items() if not project.cache.has(oid)}
    reasons: dict[Oid, str] = {}
    deadline = time.monotonic() + seconds
    for remote in dict.fromkeys(out.remote for out in missing.values()):
        oids = [oid for oid, out in missing.items() if out.remote == remote]
        fetch_them = partial(_fetch_manifests, project, remote, oids, max_bytes)
        reasons |= dict.fromkeys(oids, "") | _within(fetch_them, deadline - time.monotonic(), oids)
    found: dict[Oid, bytes] = {}
    for oid in wanted:
        if not reasons.get(oid):
            try:
                found[oid] = project.cache.manifest(oid)
                max_bytes -= len(found[oid])
            except (OSError, StorageError) as error:
                reasons[oid] = str(error)
        if max_bytes < 0:
            found.pop(oid, None)
            reasons[oid] = "the manifests together are too large to be judged"
    return found, {oid: reason for oid, reason in reasons.items() if reason}


def _fetch_manifests(
    project: Project, remote: RemoteName, oids: list[Oid], max_bytes: int
) -> dict[Oid, str]:
    """Bring manifests into the cache; return why those are not there that could not be had."""
    try:
        store = project.store(remote)
        sizes = store.sizes(oids)
        reasons = {oid: "is not on the DVC remote" for oid in oids if oid not in sizes}
        if sum(sizes.values()) > max_bytes:
            return dict.fromkeys(oids, f"{sum(sizes.values()):,} bytes are too much to be judged")
        store.get({oid: project.cache.path(oid) for oid in sizes})
    except (BranchflowError, OSError) as error:
        return dict.fromkeys(oids, str(error))
    return reasons


def _within(work: Callable[[], dict[Oid, str]], seconds: float, oids: list[Oid]) -> dict[Oid, str]:
    """Do work in a thread that is left behind when it takes too long."""
    done: list[dict[Oid, str]] = []
    thread = threading.Thread(target=lambda: done.append(work()), daemon=True)
    thread.start()
    thread.join(max(seconds, 0.1))
    return done[0] if done else dict.fromkeys(oids, "the DVC remote did not answer in time")


def _new_entries(project: Project, out: Out, old: Out | None) -> Iterable[Entry]:
    manifest = manifest_of(project, out)
    if old is None or not old.is_dir or old.remote != out.remote:
        return entries(manifest)
    return added(manifest_of(project, old), manifest)


def _ensure(project: Project, need: Need, report: Report) -> int:
    missing = lacking(project, need)
    for oid, path in missing.items():
        if not project.cache.has(oid):
            raise StorageError(
                f"'{path}' (object {oid}) is neither in the cache nor whole on the DVC remote",
                hint="dvc push  # in the clone that made it",
            )
    if missing:
        report(f"objects to store: {len(missing)}")
        project.store(need.remote).put({oid: project.cache.path(oid) for oid in missing})
    return len(missing)


def called(remote: RemoteName) -> str:
    """Return how a DVC remote is called in an error."""
    return f"DVC remote '{remote}'" if remote else "the default DVC remote"


def _is_whole(project: Project, oid: Oid, stored_bytes: int | None, size_bytes: int | None) -> bool:
    """Whether a stored object has the size that its pointer, or else our own copy, says."""
    if stored_bytes is None:
        return False
    if size_bytes is not None:
        return size_bytes == stored_bytes
    cached = project.cache.path(oid)
    return not cached.exists() or cached.stat().st_size == stored_bytes
