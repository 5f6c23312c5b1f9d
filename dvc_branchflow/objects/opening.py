"""Opens the store behind a DVC remote: which of ours reaches it, by its URL and options."""

from __future__ import annotations

from pathlib import Path

from dvc_branchflow.errors import StorageError
from dvc_branchflow.objects.base import Store
from dvc_branchflow.objects.bucket import BucketStore
from dvc_branchflow.objects.clients import bucket_client
from dvc_branchflow.objects.config import RemoteConfig
from dvc_branchflow.objects.crew import MOST
from dvc_branchflow.objects.directory import DirectoryStore
from dvc_branchflow.objects.filesystem import FileSystemStore, OpenFileSystem


def open_store(remote: RemoteConfig, file_system: OpenFileSystem) -> Store:
    """Return the store behind a DVC remote.

    Args:
        file_system: opens DVC's own file system, for what neither obstore nor we can reach.
    Raises: StorageError: it is of a kind whose objects can't be verified.
    """
    for option in ("version_aware", "worktree"):
        if remote.is_on(option):
            raise StorageError(
                f"DVC remote '{remote.name}' is cloud-versioned ('{option}'): it keeps files by "
                "their names and not by their content, so that nothing can be verified there",
                hint=f"dvc remote modify --unset {remote.name} {option}  # then `dvc push` again",
            )
    if not remote.scheme:
        return DirectoryStore(Path(remote.url.partition("://")[2] or remote.url), remote.name)
    client = bucket_client(remote)
    if client is not None:
        return BucketStore(remote.name, client, _jobs(remote))
    return FileSystemStore(remote.name, file_system(remote), _jobs(remote))


def _jobs(remote: RemoteConfig) -> int:
    jobs = remote.options.get("jobs", "")
    return int(jobs) if jobs.isdecimal() and int(jobs) else MOST
