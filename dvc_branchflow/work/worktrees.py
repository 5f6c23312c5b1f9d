"""A checkout of our own for each branch: fixed place, clean state, the shared cache."""

from __future__ import annotations

import fcntl
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from dvc_branchflow.dvcio import mend_locks
from dvc_branchflow.errors import FlowError, GitError
from dvc_branchflow.lazy import hashlib
from dvc_branchflow.model import Branch, Sha
from dvc_branchflow.objects import RemoteConfig
from dvc_branchflow.project import Project
from dvc_branchflow.work.transfer import Report

_KEPT = (".dvc/tmp", ".dvc/config.local")


@contextmanager
def branch_lock(
    project: Project, branch: Branch, report: Report, *, waits: bool = True
) -> Iterator[None]:
    """Hold a branch for this process; another one in this clone waits. The lock dies with us.

    Raises: FlowError: another one holds it, and this one is not to wait.
    """
    path = project.state_dir / "locks" / slug(branch)
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not waits:
                raise FlowError(f"another command is at work on '{branch}' here") from None
            report(f"waiting for another command on '{branch}'")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def lay_worktree(project: Project, branch: Branch, commit: Sha, keep: Iterable[str] = ()) -> Path:
    """Return a checkout of `commit` that holds nothing else; the caller holds the branch's lock.

    The place is the same for a branch each time: DVC keys its state by path. No hook of the user
    runs, and the settings of this machine (cache, absolute remotes) come along.

    Args:
        keep: paths of outs that are going to be put in place, where most of it lies already.
    """
    path = project.state_dir / "worktrees" / slug(branch)
    try:
        if (path / ".git").is_file():
            project.git.reset_worktree(path, commit, [*_KEPT, *map(_pattern, keep)])
        else:
            _add(project, path, commit)
    except GitError:  # what a killed run left is beyond repair
        _add(project, path, commit)
    _write_settings(project, path)
    mend_locks(path / ".dvc" / "tmp")
    return path


def _pattern(path: str) -> str:
    """The pattern of a `.gitignore` that a path alone matches."""
    return "/" + re.sub(r"([\\*?\[\] ])", r"\\\1", path)


def _write_settings(project: Project, path: Path) -> None:
    """Write DVC's settings for this machine, through no link that the commit may have laid."""
    folder = path / ".dvc"
    if folder.is_symlink() or (folder / "tmp").is_symlink():
        raise FlowError("'.dvc' is a link in this commit, which is not followed")
    folder.mkdir(exist_ok=True)
    settings = folder / "config.local"
    settings.unlink(missing_ok=True)
    settings.write_text(_machine_settings(project), encoding="utf-8")


def park_worktree(project: Project, branch: Branch, commit: Sha) -> None:
    """Let a branch's worktree stand on the commit that came of it, not on the one it was laid at.

    Its HEAD keeps that commit from being pruned, and shows in `git log --all`.
    """
    path = project.state_dir / "worktrees" / slug(branch)
    project.git.run("update-ref", "--no-deref", "HEAD", commit, cwd=path)


def settle_worktree(project: Project, path: Path, commit: Sha, strays: Iterable[str]) -> None:
    """Make a branch's worktree after a run exactly the commit that came of it, with its data.

    Args:
        strays: what the run left there that belongs to no commit.
    """
    project.git.checkout_worktree(path, commit)
    held = project.git.files(commit)
    for name in strays:
        if name not in held:
            _remove(path / name, path)


def _remove(path: Path, top: Path) -> None:
    """Remove a file or folder, and the folders above it that it leaves empty."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
    with suppress(OSError):  # not empty
        for folder in path.parents:
            if folder == top:
                return
            folder.rmdir()


def _add(project: Project, path: Path, commit: Sha) -> None:
    shutil.rmtree(path, ignore_errors=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    project.git.add_worktree(path, commit)


def slug(branch: str) -> str:
    """Return a file name for a branch, the same one always and for no other branch."""
    readable = re.sub(r"[^A-Za-z0-9.-]", "_", branch)[:60]
    if readable == branch:
        return readable
    digest = hashlib.blake2b(branch.encode(), digest_size=4).hexdigest()
    return f"{readable}-{digest}"


def _machine_settings(project: Project) -> str:
    """DVC's config.local for a worktree: the main checkout's, with every path made absolute."""
    config = project.dvc_config
    sections = [_section("cache", {**config.cache, "dir": str(project.cache.root)})]
    core = {key: value for key, value in config.core.items() if key in {"remote", "site_cache_dir"}}
    sections.append(_section("core", {**core, "autostage": "false"}))
    sections += [_remote_section(remote) for remote in config.remotes.values()]
    return "".join(sections)


def _remote_section(remote: RemoteConfig) -> str:
    return _section(f"'remote \"{remote.name}\"'", {"url": remote.url, **remote.options})


def _section(name: str, values: Mapping[str, str]) -> str:
    lines = [f'    {key} = "{value}"\n' for key, value in values.items()]
    return f"[{name}]\n" + "".join(lines)


def log_path(project: Project, branch: Branch, name: str) -> Path:
    """Return where the log of a run on a branch goes."""
    folder = project.state_dir / "logs" / slug(branch)
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{slug(name)}.log"
