"""Opens the probe of a DVC remote, of whatever kind that is."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Protocol

from dvc_branchflow.objects.bucket_probe import BucketProbe
from dvc_branchflow.objects.clients import bucket_client, versions_client
from dvc_branchflow.objects.config import RemoteConfig
from dvc_branchflow.objects.filesystem import OpenFileSystem
from dvc_branchflow.objects.folder_probe import DirectoryProbe, FileSystemProbe
from dvc_branchflow.probed import Ability, Probed


class Probe(Protocol):
    """A place to be tried out.

    Attributes:
        steps: what is tried or asked, in what way.
    """

    @property
    def steps(self) -> Mapping[Ability, str]:
        """What is tried or asked, in what way."""

    def run(self) -> Probed:
        """Try everything with files of its own, and take them away again.

        What can't be found out is unknown; no error of the place is raised.
        """


def open_probe(remote: RemoteConfig, file_system: OpenFileSystem) -> Probe:
    """Return the probe of a DVC remote. Raises: StorageError, ConfigError: it can't be set up."""
    if not remote.scheme:
        return DirectoryProbe(Path(remote.url.partition("://")[2] or remote.url))
    client = bucket_client(remote)
    if client is not None:
        return BucketProbe(
            client, partial(versions_client, remote) if remote.scheme == "s3" else None
        )
    return FileSystemProbe(file_system(remote))
