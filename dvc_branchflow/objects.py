"""The only place that touches DVC's objects: the local cache, and the DVC remotes behind one face.

Objects are content-addressed (`files/md5/ab/cdef…`), so that putting one twice is harmless; each
is written under a temporary name and appears whole. A remote that can't be reached raises; it
never reads as "the object is not there".
"""

from __future__ import annotations

import configparser
import hashlib
import os
import re
import shutil
import stat
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from dvc_branchflow.errors import ConfigError, StorageError
from dvc_branchflow.model import Oid

if TYPE_CHECKING:
    from concurrent.futures import Executor  # 6 ms, and none of our callers needs it to start

PREFIX = "files/md5"
_CHUNK = 1024 * 1024
_PARALLEL = 32
_LIST_ABOVE = 2000  # objects asked for by name up to here; above it, listing is fewer requests
_READ_ONLY = 0o444
_T = TypeVar("_T")
_SECTION = re.compile(r"""^['"]?remote "(.+?)"['"]?$""")


class Store(Protocol):
    """Objects in one place. Errors of the place raise StorageError."""

    def sizes(self, oids: Iterable[Oid]) -> dict[Oid, int]:
        """Return the size in bytes of those objects that are there."""

    def put(self, sources: Mapping[Oid, Path]) -> None:
        """Store objects whose content lies in files, and prove that they arrived whole."""

    def get(self, targets: Mapping[Oid, Path]) -> None:
        """Copy objects to files that appear only when whole and proven by their md5."""


@dataclass(frozen=True, slots=True)
class RemoteConfig:
    """A DVC remote as the config files describe it; `url` is absolute."""

    name: str
    url: str
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DvcConfig:
    """What DVC's config files say, the later ones first."""

    core: Mapping[str, str]
    cache: Mapping[str, str]
    remotes: Mapping[str, RemoteConfig]

    @property
    def default_remote(self) -> str | None:
        """The name of the default DVC remote."""
        return self.core.get("remote")


def parse_dvc_config(layers: Iterable[tuple[str, Path]]) -> DvcConfig:
    """Return the settings in DVC config texts, the later layers winning.

    Args:
        layers: text of each config file, and the folder that relative URLs in it start from.
    Raises: ConfigError: not what DVC writes.
    """
    core: dict[str, str] = {}
    cache: dict[str, str] = {}
    remotes: dict[str, dict[str, str]] = {}
    for text, folder in layers:
        parser = configparser.ConfigParser(interpolation=None, strict=False)
        try:
            parser.read_string(text)
        except configparser.Error as error:
            reason = " ".join(str(error).split())
            raise ConfigError(f"'{folder / 'config'}' is no DVC config: {reason[:160]}") from error
        for section in parser.sections():
            values = {key: value.strip("\"'") for key, value in parser[section].items()}
            match = _SECTION.match(section)
            if match:
                if "url" in values:
                    values["url"] = _absolute(values["url"], folder)
                remotes.setdefault(match[1], {}).update(values)
            elif section in {"core", "cache"}:
                (core if section == "core" else cache).update(values)
                if section == "cache" and "dir" in values:
                    cache["dir"] = _absolute(values["dir"], folder)
    found = {
        name: RemoteConfig(name, values.pop("url"), values)
        for name, values in remotes.items()
        if "url" in values
    }
    return DvcConfig(core, cache, found)


def open_store(remote: RemoteConfig) -> Store:
    """Return the store behind a DVC remote.

    Raises: StorageError: a kind of remote that we can't verify objects on.
    """
    scheme = remote.url.partition("://")[0] if "://" in remote.url else ""
    if scheme in {"", "file"}:
        return DirectoryStore(Path(remote.url.removeprefix("file://")), remote.name)
    if scheme == "s3":
        return BucketStore(remote.name, _s3(remote))
    raise StorageError(
        f"DVC remote '{remote.name}' is of kind '{scheme}'; branchflow handles s3 and directories",
        hint="git branchflow init --remote s3://BUCKET/PREFIX",
    )


def object_key(oid: Oid) -> str:
    """Return where DVC keeps an object below a cache's or remote's root."""
    return f"{PREFIX}/{oid[:2]}/{oid[2:]}"


class Cache:
    """DVC's local cache: where every object passes through on its way in or out."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def path(self, oid: Oid) -> Path:
        """Return where the object lies, or would."""
        return self.root / object_key(oid)

    def has(self, oid: Oid) -> bool:
        """Whether the object is in the cache."""
        return self.path(oid).exists()

    def add_bytes(self, oid: Oid, content: bytes) -> None:
        """Put a small object, such as a manifest, into the cache."""
        target = self.path(oid)
        if not target.exists():
            with _appearing(target) as partial:
                partial.write_bytes(content)

    def add_files(
        self, sources: Iterable[Path], executor: Executor | None = None
    ) -> Iterator[tuple[Path, Oid, int]]:
        """Copy files into the cache; yield each with its oid and size in bytes, in order.

        Raises: StorageError: a file can't be read, or changed while it was read.
        """
        work = [(path, self.root) for path in sources]
        results = (
            map(_add_file, work)
            if executor is None
            else executor.map(_add_file, work, chunksize=64)
        )
        for (path, _), (oid, size) in zip(work, results, strict=True):
            yield path, oid, size

    def manifest(self, oid: Oid) -> bytes:
        """Return a directory's manifest. Raises: StorageError: it is damaged."""
        content = self.path(oid).read_bytes()
        if hashlib.md5(content, usedforsecurity=False).hexdigest() + ".dir" != oid:
            raise StorageError(
                f"manifest {oid} in the cache is damaged", hint=f"rm '{self.path(oid)}'"
            )
        return content


class DirectoryStore:
    """A DVC remote that is a directory."""

    def __init__(self, root: Path, name: str) -> None:
        self._root = root
        self._name = name

    def sizes(self, oids: Iterable[Oid]) -> dict[Oid, int]:
        """Return the size of those objects that are there; a missing root is "unknown"."""
        if not self._root.is_dir():
            raise StorageError(
                f"DVC remote '{self._name}' can't be reached: no directory '{self._root}'",
                hint=f"mkdir -p '{self._root}'  # if it really is a new one",
            )
        found: dict[Oid, int] = {}
        for oid in oids:
            try:
                entry = (self._root / object_key(oid)).stat()
                if stat.S_ISREG(entry.st_mode):
                    found[oid] = entry.st_size
            except FileNotFoundError:
                continue
            except OSError as error:
                raise self._unreachable(error) from error
        return found

    def put(self, sources: Mapping[Oid, Path]) -> None:
        """Copy objects in; each appears whole, with the size of its source."""
        for oid, source in sources.items():
            try:
                with _appearing(self._root / object_key(oid)) as partial:
                    shutil.copyfile(source, partial)
                    _prove(partial, oid, f"{self._name}' on its way from the cache '{source}")
            except OSError as error:
                raise self._unreachable(error) from error

    def get(self, targets: Mapping[Oid, Path]) -> None:
        """Copy objects out, each proven by its md5."""
        for oid, target in targets.items():
            source = self._root / object_key(oid)
            try:
                with _appearing(target) as partial:
                    shutil.copyfile(source, partial)
                    _prove(partial, oid, self._name)
            except FileNotFoundError as error:
                raise _absent(oid, self._name) from error
            except OSError as error:
                raise self._unreachable(error) from error

    def _unreachable(self, error: OSError) -> StorageError:
        return StorageError(f"DVC remote '{self._name}' can't be used: {error}")


class BucketStore:
    """A DVC remote that is a bucket, through obstore."""

    def __init__(self, name: str, store: Any) -> None:
        self._name = name
        self._store = store

    def sizes(self, oids: Iterable[Oid]) -> dict[Oid, int]:
        """Return the size of those objects that are there: by name for few, by listing for many."""
        wanted = list(dict.fromkeys(oids))
        if len(wanted) > _LIST_ABOVE:
            return self._listed(set(wanted))
        found = self._gather(wanted, self._head)
        return {oid: size for oid, size in zip(wanted, found, strict=True) if size is not None}

    def put(self, sources: Mapping[Oid, Path]) -> None:
        """Upload objects; the size that the server then reports has to be the source's."""

        async def upload(oid: Oid) -> None:
            source = sources[oid]
            _prove(source, oid, "the cache")
            await self._store.put_async(object_key(oid), source)
            size = await self._head(oid)
            if size != source.stat().st_size:
                raise StorageError(f"object {oid} did not arrive whole on '{self._name}'")

        self._gather(list(sources), upload)

    def get(self, targets: Mapping[Oid, Path]) -> None:
        """Download objects, each proven by its md5."""

        async def download(oid: Oid) -> None:
            with _appearing(targets[oid]) as partial:
                try:
                    response = await self._store.get_async(object_key(oid))
                except FileNotFoundError as error:
                    raise _absent(oid, self._name) from error
                with partial.open("wb") as file:
                    async for chunk in response.stream(min_chunk_size=_CHUNK):
                        file.write(chunk)
                _prove(partial, oid, self._name)

        self._gather(list(targets), download)

    async def _head(self, oid: Oid) -> int | None:
        try:
            meta = await self._store.head_async(object_key(oid))
        except FileNotFoundError:
            return None
        return int(meta["size"])

    def _listed(self, wanted: set[Oid]) -> dict[Oid, int]:
        found: dict[Oid, int] = {}
        try:
            for batch in self._store.list(prefix=PREFIX, chunk_size=10_000):
                for meta in batch:
                    oid = Oid(meta["path"].removeprefix(f"{PREFIX}/").replace("/", "", 1))
                    if oid in wanted:
                        found[oid] = int(meta["size"])
        except Exception as error:
            raise self._unreachable(error) from error
        return found

    def _gather(self, oids: list[Oid], work: Callable[[Oid], Awaitable[_T]]) -> list[_T]:
        import asyncio  # 20 ms that only a bucket needs

        async def everything() -> list[_T]:
            gate = asyncio.Semaphore(_PARALLEL)

            async def one(oid: Oid) -> _T:
                async with gate:
                    return await work(oid)

            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(one(oid)) for oid in oids]
            return [task.result() for task in tasks]

        try:
            return asyncio.run(everything())
        except ExceptionGroup as group:
            error = _first(group)
            if isinstance(error, StorageError):
                raise error from None
            raise self._unreachable(error) from error

    def _unreachable(self, error: Exception) -> StorageError:
        reason = " ".join(str(error).split())
        return StorageError(f"DVC remote '{self._name}' can't be used: {reason[:240]}")


@contextmanager
def _appearing(target: Path) -> Iterator[Path]:
    """Give a temporary file beside `target` that becomes it, read-only, if all goes well."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.parent / f".branchflow-{os.urandom(8).hex()}.tmp"
    try:
        yield partial
        partial.chmod(_READ_ONLY)  # as DVC does; it rehashes what is writable
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _add_file(work: tuple[Path, Path]) -> tuple[Oid, int]:
    """Copy one file into a cache while hashing it, so that what is stored is what was hashed."""
    path, root = work
    digest = hashlib.md5(usedforsecurity=False)
    size = 0
    partial = root / f".branchflow-{os.urandom(8).hex()}.tmp"
    try:
        root.mkdir(parents=True, exist_ok=True)
        with path.open("rb") as source, partial.open("wb") as copy:
            before = os.fstat(source.fileno())
            while chunk := source.read(_CHUNK):
                digest.update(chunk)
                copy.write(chunk)
                size += len(chunk)
            after = os.fstat(source.fileno())
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            raise StorageError(f"'{path}' changed while it was read", hint="run the command again")
        oid = Oid(digest.hexdigest())
        target = root / object_key(oid)
        target.parent.mkdir(parents=True, exist_ok=True)
        partial.chmod(_READ_ONLY)
        partial.replace(target)  # also over a damaged one: what we hold is proven
    except OSError as error:
        raise StorageError(f"can't take in '{path}': {error.strerror or error}") from error
    finally:
        partial.unlink(missing_ok=True)
    return oid, size


def _prove(path: Path, oid: Oid, where: str) -> None:
    with path.open("rb") as file:
        found = hashlib.file_digest(file, _md5).hexdigest()
    if found != oid.removesuffix(".dir"):
        raise StorageError(
            f"object {oid} on '{where}' is damaged: its content has md5 {found}",
            hint="put a good copy back with `dvc push` from a clone that has it in its cache",
        )


def _md5() -> Any:
    return hashlib.md5(usedforsecurity=False)


def _absent(oid: Oid, where: str) -> StorageError:
    return StorageError(
        f"object {oid} is neither in the cache nor on DVC remote '{where}'",
        hint="dvc push  # in a clone that has it in its cache",
    )


def _first(group: BaseExceptionGroup[Exception]) -> Exception:
    error: Exception | BaseExceptionGroup[Exception] = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _absolute(url: str, folder: Path) -> str:
    if "://" in url:
        return url
    return str(Path(os.path.normpath(folder / Path(url).expanduser())))


def _s3(remote: RemoteConfig) -> Any:
    """Return an obstore S3 client that sees what DVC's own would: options, profile, environment."""
    from obstore.store import S3Store

    bucket, _, prefix = remote.url.removeprefix("s3://").partition("/")
    options = remote.options
    endpoint = options.get("endpointurl")
    settings: dict[str, Any] = {
        "endpoint": endpoint,
        "region": options.get("region") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1",
        "access_key_id": options.get("access_key_id"),
        "secret_access_key": options.get("secret_access_key"),
        "session_token": options.get("session_token"),
        "virtual_hosted_style_request": False if endpoint else None,
        "skip_signature": True if _is_on(options.get("allow_anonymous_login")) else None,
    }
    client: dict[str, Any] = {"allow_http": bool(endpoint and endpoint.startswith("http://"))}
    if options.get("ssl_verify", "").lower() == "false":
        client["allow_invalid_certificates"] = True
    config = {key: value for key, value in settings.items() if value is not None}
    keyed = {"access_key_id", "skip_signature"} & config.keys() or "AWS_ACCESS_KEY_ID" in os.environ
    provider = None if keyed else _credential_chain(options)
    make: Any = S3Store
    return make(
        bucket, prefix=prefix or None, config=config, client_options=client,
        retry_config={"max_retries": 4}, credential_provider=provider,
    )  # fmt: skip


def _credential_chain(options: Mapping[str, str]) -> Any:
    """Return boto3's chain (profiles, files, SSO, instance roles), as DVC uses it."""
    try:
        import boto3
        from obstore.auth.boto3 import Boto3CredentialProvider
    except ImportError as error:
        raise StorageError(
            "credentials for S3 come from boto3, which is not installed",
            hint="pip install 'dvc-branchflow[s3]'",
        ) from error
    session = boto3.Session(profile_name=options.get("profile"))
    if session.get_credentials() is None:
        raise StorageError("no credentials for S3 were found", hint="aws configure")
    return Boto3CredentialProvider(session)


def _is_on(value: str | None) -> bool:
    return (value or "").lower() in {"true", "1", "yes", "on"}
