"""DVC's own file systems, for the remotes that nothing else reaches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from dvc_branchflow.errors import StorageError

_WEBDAV = frozenset({"webdav", "webdavs"})
_EXTRAS = {"webdavs": "webdav"}  # DVC's optional packages that are not called like the URL


class RemoteFileSystem(NamedTuple):
    """The file system that DVC uses for a remote, and what kind of one it is."""

    fs: Any
    root: str
    home: str | None
    appears_whole: bool
    can_list: bool
    renames: Callable[[str, str], object] | None


def open_file_system(name: str, url: str, options: Mapping[str, str]) -> RemoteFileSystem:
    """Return DVC's own file system for a remote.

    Raises: StorageError: no such kind of remote, a wrong option, or a package is missing.
    """
    from dvc.exceptions import DvcException
    from dvc.fs import get_cloud_fs  # private API
    from dvc_objects.fs.base import ObjectFileSystem  # private API
    from dvc_objects.fs.errors import ConfigError, RemoteMissingDepsError  # private API

    try:
        kind, config, root = get_cloud_fs({}, url=url, **options)
        fs = kind(**config)
    except (ImportError, RemoteMissingDepsError) as error:
        scheme = url.partition("://")[0]
        raise StorageError(
            f"DVC remote '{name}' needs DVC's plugin for '{scheme}', which is not installed",
            hint=f"pip install 'dvc[{_EXTRAS.get(scheme, scheme)}]'",
        ) from error
    except (DvcException, ConfigError, ValueError) as error:
        raise StorageError(f"DVC remote '{name}' can't be used: {error}") from error
    root = root.rstrip("/")
    is_bucket = isinstance(fs, ObjectFileSystem)
    is_http = kind.protocol in {"http", "https"}
    return RemoteFileSystem(
        fs=fs,
        root=root,
        home=None if is_http else root.partition("/")[0] if is_bucket else root,
        appears_whole=is_bucket or is_http,
        can_list=kind.CAN_TRAVERSE,
        renames=_put_over(fs) if kind.protocol in _WEBDAV else None,
    )


def _put_over(fs: Any) -> Callable[[str, str], object]:
    """WebDAV's own move, in one request; the file system's `mv` copies, and never over a file."""
    return lambda source, target: fs.fs.client.move(source, target, overwrite=True)
