"""Sends what a branch makes to the DVC remote that the config names for it, by plain metadata."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from dvc_branchflow.flow import BranchSpec
from dvc_branchflow.git import Change, Git
from dvc_branchflow.gitobjects import EXECUTABLE_MODE, FILE_MODE, Entry
from dvc_branchflow.metafiles.remotes import send_outs, send_pointed
from dvc_branchflow.model import DVC_CONFIG, PIPELINE_FILE
from dvc_branchflow.objects import with_remote
from dvc_branchflow.project import Project
from dvc_branchflow.work.commits import CommitData
from dvc_branchflow.work.pinning import pinned_outs

Remotes = frozenset[str | None]
"""DVC remotes as outs name them, lower case; None: no name, so the default one."""


def remote_of(spec: BranchSpec) -> str | None:
    """Return the DVC remote that the config names for a branch."""
    return spec.rule.remote.lower() if spec.rule.remote else None


def to_be_sent(project: Project, spec: BranchSpec) -> Remotes:
    """Return what outs may name that belong on the branch's own DVC remote.

    What comes from dev with the code may name the dev branch's. Any other name was chosen by
    somebody, and stays.
    """
    code = project.config.rule_for(spec.code) if spec.code else None
    theirs = code.remote.lower() if code and code.remote else None
    return frozenset({None, theirs} - {remote_of(spec)})


def pipeline_changes(
    git: Git, files: Mapping[str, Entry], remote: str | None, instead_of: Remotes
) -> Iterator[Change]:
    """Yield the `dvc.yaml` files of a tree that have to change for their outs to go to a remote.

    Raises: ConfigError: one can't be read, or can't be changed by a program.
    """
    yield from _changes(
        git,
        files,
        PIPELINE_FILE,
        lambda content, path: send_outs(content, path, remote, instead_of),
    )


def pointer_changes(
    project: Project, spec: BranchSpec, data: CommitData, remote: str, instead_of: Remotes
) -> Iterator[Change]:
    """Yield the pointers of a branch's own outs that have to change for them to go to a remote."""
    pinned = pinned_outs(project, spec, data)
    own = {path for path, out in data.pointers.items() if out.path not in pinned}
    files = {path: entry for path, entry in data.files.items() if path in own}
    yield from _changes(
        project.git,
        files,
        "",
        lambda content, path: send_pointed(content, path, remote, instead_of),
    )


def settings_changes(
    project: Project, entry: Entry | None, remotes: Iterable[str | None]
) -> Iterator[Change]:
    """Yield the change that tells DVC on a branch where DVC remotes are that outs there name.

    Args:
        entry: the branch's `.dvc/config`; one that is not there stays away.
        remotes: as the tracking branch knows them.
    """
    tree = project.git.commits([project.tracking.sha])[project.tracking.sha].tree
    ours = project.git.entry(tree, DVC_CONFIG)
    if ours is None or entry is None or entry.mode not in {FILE_MODE, EXECUTABLE_MODE}:
        return
    texts = project.git.read_blobs([ours.sha, entry.sha])
    before = after = texts[entry.sha].decode(errors="surrogateescape")
    for remote in sorted({remote.lower() for remote in remotes if remote}):
        after = with_remote(after, remote, texts[ours.sha].decode(errors="surrogateescape"))
    if after != before:
        yield Change(DVC_CONFIG, after.encode(errors="surrogateescape"), mode=entry.mode)


def _changes(
    git: Git, files: Mapping[str, Entry], name: str, send: Callable[[bytes, str], bytes]
) -> Iterator[Change]:
    plain = {
        path: entry
        for path, entry in files.items()
        if entry.mode in {FILE_MODE, EXECUTABLE_MODE}
        and (not name or path.rpartition("/")[2] == name)
    }
    blobs = git.read_blobs({entry.sha for entry in plain.values()})
    for path, entry in sorted(plain.items()):
        content = send(blobs[entry.sha], path)
        if content != blobs[entry.sha]:
            yield Change(path, content, mode=entry.mode)
