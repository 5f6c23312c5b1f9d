"""The only place that touches DVC's objects: the local cache, and the DVC remotes behind one face.

Objects are content-addressed (`files/md5/ab/cdef…`), so that putting one twice is harmless; each
is written under a temporary name and appears whole. A remote that can't be reached raises; it
never reads as "the object is not there".
"""

from __future__ import annotations

from pathlib import Path

from dvc_branchflow.errors import StorageError
from dvc_branchflow.objects.base import Store, Stored, Trash, object_key
from dvc_branchflow.objects.bucket import BucketStore
from dvc_branchflow.objects.cache import Cache
from dvc_branchflow.objects.clients import s3_client
from dvc_branchflow.objects.config import DvcConfig, RemoteConfig, parse_dvc_config
from dvc_branchflow.objects.directory import DirectoryStore

__all__ = [
    "BucketStore",
    "Cache",
    "DirectoryStore",
    "DvcConfig",
    "RemoteConfig",
    "Store",
    "Stored",
    "Trash",
    "object_key",
    "open_store",
    "parse_dvc_config",
]


def open_store(remote: RemoteConfig) -> Store:
    """Return the store behind a DVC remote.

    Raises: StorageError: a kind of remote that we can't verify objects on.
    """
    scheme = remote.url.partition("://")[0] if "://" in remote.url else ""
    if scheme in {"", "file"}:
        return DirectoryStore(Path(remote.url.removeprefix("file://")), remote.name)
    if scheme == "s3":
        return BucketStore(remote.name, s3_client(remote))
    raise StorageError(
        f"DVC remote '{remote.name}' is of kind '{scheme}'; branchflow handles s3 and directories",
        hint="git branchflow init --remote s3://BUCKET/PREFIX",
    )
