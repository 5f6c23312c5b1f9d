"""Another repository that only a URL ties to this one, as a mirror among our own files."""

from __future__ import annotations

from dvc_branchflow.git import Git, init_bare
from dvc_branchflow.lazy import hashlib
from dvc_branchflow.model import parse_repository
from dvc_branchflow.project import Project


def repository_at(project: Project, url: str) -> Project:
    """Return the repository at a URL with fresh refs.

    Raises: GitError: it can't be reached. ConfigError: the URL is an option or a command.
    """
    parse_repository(url)
    name = hashlib.blake2b(url.encode(), digest_size=8).hexdigest()
    path = project.state_dir / "repositories" / name
    if not (path / "HEAD").exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        init_bare(path)
    git = Git.discover(path)
    git.run("config", "remote.origin.url", url)
    git.run("config", "remote.origin.fetch", "+refs/heads/*:refs/remotes/origin/*")
    found = Project(git)
    found.refresh()
    return found
