"""Opens the trash of a DVC remote, of whatever kind that is."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from dvc_branchflow.objects.aside import Trash
from dvc_branchflow.objects.bucket_trash import BucketTrash
from dvc_branchflow.objects.clients import bucket_client, versions_client
from dvc_branchflow.objects.config import RemoteConfig
from dvc_branchflow.objects.directory_trash import DirectoryTrash
from dvc_branchflow.objects.filesystem import OpenFileSystem
from dvc_branchflow.objects.filesystem_trash import FileSystemTrash


def open_trash(remote: RemoteConfig, file_system: OpenFileSystem) -> Trash:
    """Return the trash of a DVC remote."""
    if not remote.scheme:
        path = Path(remote.url.partition("://")[2] or remote.url)
        return DirectoryTrash(path, remote.name)
    client = bucket_client(remote)
    if client is not None:
        versions = partial(versions_client, remote) if remote.scheme == "s3" else None
        return BucketTrash(remote.name, client, versions)
    return FileSystemTrash(remote.name, file_system(remote))
