"""The only place that touches DVC's objects: the local cache, and the DVC remotes behind one face.

Objects are content-addressed (`files/md5/ab/cdef…`), so that putting one twice is harmless; each
is written under a temporary name and appears whole. A remote that can't be reached raises; it
never reads as "the object is not there".

A module is loaded when one of its names is asked for: most verbs open no store.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dvc_branchflow.lazy import on_demand

if TYPE_CHECKING:
    from dvc_branchflow.objects.aside import Trash
    from dvc_branchflow.objects.base import Store, Stored, is_md5, object_key
    from dvc_branchflow.objects.bucket import BucketStore
    from dvc_branchflow.objects.cache import Cache
    from dvc_branchflow.objects.config import (
        DvcConfig,
        RemoteConfig,
        named_remotes,
        parse_dvc_config,
        with_remote,
    )
    from dvc_branchflow.objects.directory import DirectoryStore
    from dvc_branchflow.objects.filesystem import FileSystem, FileSystemStore
    from dvc_branchflow.objects.links import Place, Placer, digests
    from dvc_branchflow.objects.notes import Notes, open_notes
    from dvc_branchflow.objects.opening import open_store
    from dvc_branchflow.objects.probe import Probe, open_probe
    from dvc_branchflow.objects.purge import Purge, open_purge
    from dvc_branchflow.objects.trash import open_trash
else:
    _HOMES = {
        "aside": "Trash",
        "base": "Store Stored is_md5 object_key",
        "bucket": "BucketStore",
        "cache": "Cache",
        "config": "DvcConfig RemoteConfig named_remotes parse_dvc_config with_remote",
        "directory": "DirectoryStore",
        "filesystem": "FileSystem FileSystemStore",
        "links": "Place Placer digests",
        "notes": "Notes open_notes",
        "opening": "open_store",
        "probe": "Probe open_probe",
        "purge": "Purge open_purge",
        "trash": "open_trash",
    }
    __getattr__ = on_demand(__name__, _HOMES)

__all__ = [
    "BucketStore",
    "Cache",
    "DirectoryStore",
    "DvcConfig",
    "FileSystem",
    "FileSystemStore",
    "Notes",
    "Place",
    "Placer",
    "Probe",
    "Purge",
    "RemoteConfig",
    "Store",
    "Stored",
    "Trash",
    "digests",
    "is_md5",
    "named_remotes",
    "object_key",
    "open_notes",
    "open_probe",
    "open_purge",
    "open_store",
    "open_trash",
    "parse_dvc_config",
    "with_remote",
]
