"""Pins a monitor branch of another repository: by the imports that plain DVC makes and updates."""

from __future__ import annotations

from collections.abc import Iterator

from dvc_branchflow.errors import FlowError
from dvc_branchflow.git import Change
from dvc_branchflow.metafiles import parse_import, pointer_path, render_import
from dvc_branchflow.model import Import, Out
from dvc_branchflow.values import replace
from dvc_branchflow.work.commits import CommitData
from dvc_branchflow.work.environments import Environment
from dvc_branchflow.work.logbook import PRIVATE


def import_outs(env: Environment, data: CommitData) -> list[Change]:
    """Return what makes a branch hold the outs of a monitor branch that lives elsewhere.

    An out that is there already stays as it is, with the commit that it came with. Columns that
    are kept apart stay where they are.

    Args:
        data: of the branch that takes them in.
    """
    folder = env.here.spec(env.spec.branch).data or env.folder
    wanted = dict(_wanted(env, folder))
    below = (path for path in data.pointers if path.startswith(f"{folder}/"))
    changes = [Change(path) for path in sorted(below) if path not in wanted]
    held = env.here.git.read_blobs([data.files[at].sha for at in wanted if at in data.files])
    for at, (out, source) in wanted.items():
        entry = data.files.get(at)
        old = held[entry.sha] if entry else b""
        known = parse_import(old, at) if old else None
        same = known and (known.repo, known.path, known.rev) == (
            source.repo,
            source.path,
            source.rev,
        )
        if not (same and data.pointers[at].oid == out.oid):
            changes.append(Change(at, render_import(out, source)))
    return changes


def _wanted(env: Environment, folder: str) -> Iterator[tuple[str, tuple[Out, Import]]]:
    if env.data is None or env.tip is None or env.repo is None:
        raise FlowError(f"nothing is logged on '{env.spec.branch}' yet")
    for path, out in sorted(env.data.snapshot(env.folder).items()):
        name = path.removeprefix(f"{env.folder}/")
        if not name.startswith(f"{PRIVATE}-"):
            source = Import(env.repo, path, env.spec.branch, env.tip.sha)
            at = f"{folder}/{name}"
            yield pointer_path(at), (replace(out, path=at), source)
