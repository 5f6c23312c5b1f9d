"""What DVC remembers of the files in a checkout: their md5, by path, inode, time and size.

It is a SQLite file for each checkout, read and written here without importing DVC, which would take
longer than the work. All of it is a memory that may be lost: where DVC lays it out differently, or
holds it locked, nothing is known and nothing is remembered, and files are hashed again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from dvc_branchflow.model import Oid

if TYPE_CHECKING:
    import sqlite3

_DVC_MAJOR = 3  # part of what DVC names the folder by
_LOCK_SECONDS = 5.0
_VERSION = 1
# As dvc_data.hashfile.cache.HashesCache.set_many writes it: private API
_REMEMBER = (
    "INSERT INTO Cache(key, raw, store_time, expire_time, access_time, tag, mode, filename, value)"
    " VALUES (?, 1, 0, null, 0, null, 1, null, ?)"
    " ON CONFLICT(key, raw) DO UPDATE SET value = excluded.value"
)
_BELOW = "SELECT key, value FROM Cache WHERE raw = 1 AND key >= ? AND key < ? ORDER BY key"
_EXACT = "SELECT key, value FROM Cache WHERE raw = 1 AND key = ?"


class State:
    """DVC's memory of one checkout. `site_cache_dir` as DVC's config says it, if it does."""

    def __init__(self, root: Path, site_cache_dir: str | None = None) -> None:
        self._database = _folder(root, site_cache_dir) / "hashes" / "local" / "cache.db"

    def memory(self, path: str) -> str | None:
        """Return what is remembered of a file (see `recall`)."""
        return next((memory for _, memory in self._rows(_EXACT, (path,))), None)

    def memories_below(self, folder: str) -> Iterator[tuple[str, str]]:
        """Yield path and memory of all files below a folder, in the paths' order."""
        return self._rows(_BELOW, (f"{folder}/", f"{folder}0"))

    def remember(
        self, files: Iterable[tuple[str, Oid, os.stat_result]], *, may_create: bool
    ) -> None:
        """Remember the md5 of files: path, oid, and how the file looks now.

        Args:
            may_create: lay the memory where DVC has none yet, which takes a fifth of a second.
        """
        import sqlite3  # 5 ms

        rows = [(path, memory_of(oid, found)) for path, oid, found in files]
        with suppress(sqlite3.Error, OSError):
            if may_create and not self._database.exists():
                _create(self._database.parent)
            if rows and self._database.exists():
                with closing(_connect(self._database)) as connection, connection:
                    connection.executemany(_REMEMBER, rows)

    def _rows(self, query: str, values: tuple[str, ...]) -> Iterator[tuple[str, str]]:
        import sqlite3  # 5 ms

        if not self._database.exists():
            return
        with suppress(sqlite3.Error), closing(_connect(self._database)) as connection:
            yield from connection.execute(query, values)


def recall(memory: str, found: os.stat_result) -> Oid | None:
    """Return the md5 that a memory holds, if it is of a file that looks like this one."""
    try:
        entry = json.loads(memory)
        if entry["version"] != _VERSION or entry["checksum"] != _token(found):
            return None
        return Oid(entry["hash_info"]["md5"])
    except (ValueError, KeyError, TypeError):
        return None


def memory_of(oid: Oid, found: os.stat_result) -> str:
    """Return the memory of a file with this md5 that looks like this one."""
    return (
        f'{{"version":{_VERSION},"checksum":"{_token(found)}","size":{found.st_size},'
        f'"hash_info":{{"md5":"{oid}"}}}}'
    )


def _token(found: os.stat_result) -> str:
    """As dvc_data.hashfile.state._checksum makes it."""  # private API
    looks = f"([{found.st_ino}, {found.st_mtime!r}, {found.st_size}],)"
    return str(int.from_bytes(hashlib.md5(looks.encode(), usedforsecurity=False).digest()))


def _connect(database: Path) -> sqlite3.Connection:
    import sqlite3

    return sqlite3.connect(database, timeout=_LOCK_SECONDS)


def _folder(root: Path, site_cache_dir: str | None) -> Path:
    """Where DVC keeps what it remembers of a checkout, as dvc.repo.Repo.site_cache_dir says."""
    import getpass  # 3 ms

    site = os.environ.get("DVC_SITE_CACHE_DIR") or site_cache_dir or "/var/tmp/dvc"  # noqa: S108
    stamp = root / ".dvc" / "tmp" / "btime"
    stamp.parent.mkdir(parents=True, exist_ok=True)
    if not stamp.exists():
        stamp.touch()  # DVC would; it may not be touched again
    parts = (str(root), None, stamp.stat().st_mtime, getpass.getuser(), _DVC_MAJOR, 0)
    token = hashlib.md5(str(parts).encode(), usedforsecurity=False).hexdigest()
    return Path(site, "repo", token)


def _create(folder: Path) -> None:
    """Let DVC lay an empty memory; it takes a fifth of a second."""
    from dvc_data.hashfile.cache import HashesCache  # private API

    shared = folder.parents[2]
    umask = os.umask(0)
    try:  # every user's repositories, as DVC makes it
        shared.mkdir(mode=0o777, parents=True, exist_ok=True)
    finally:
        os.umask(umask)
    HashesCache(str(folder)).close()
