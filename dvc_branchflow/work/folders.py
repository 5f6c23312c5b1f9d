"""Works out what DVC calls a folder that a stage depends on: files in Git and outs together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dvc_branchflow.git import Git
from dvc_branchflow.lazy import hashlib
from dvc_branchflow.manifest import Entry, entries, manifest_oid, render
from dvc_branchflow.model import Oid, Out
from dvc_branchflow.work.commits import CommitData


def outs_below(data: CommitData, folder: str) -> list[Out]:
    """Return the outs that lie in a folder."""
    return [out for path, out in data.outs.items() if path.startswith(f"{folder}/")]


def folder_oid(
    git: Git, data: CommitData, folder: str, manifests: Mapping[Oid, bytes]
) -> Oid | None:
    """Return the oid of a folder at a commit, None where nothing lies in it.

    Args:
        manifests: oid → content, of all directories among `outs_below`.
    """
    below = f"{folder}/"
    outs = outs_below(data, folder)
    own = [path for path in data.files if path.startswith(below)]
    if not (outs or own):
        return None
    listed = [Entry(p.removeprefix(below), oid) for p, oid in git_oids(git, data, own).items()]
    for out in outs:
        at = out.path.removeprefix(below)
        if out.is_dir:
            files = entries(manifests[out.oid])
            listed += [Entry(f"{at}/{file.relpath}", file.oid) for file in files]
        else:
            listed.append(Entry(at, out.oid))
    return manifest_oid(render(listed))


def git_oids(git: Git, data: CommitData, paths: Iterable[str]) -> dict[str, Oid]:
    """Return the oids that DVC gives to files in Git, of those paths that are such."""
    wanted = {path: data.files[path].sha for path in paths if path in data.files}
    blobs = git.read_blobs(wanted.values())
    return {
        path: Oid(hashlib.md5(blobs[sha], usedforsecurity=False).hexdigest())
        for path, sha in wanted.items()
    }
