"""One behaviour of all stores of objects, whatever they are made of."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import ssl
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import ip_address
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from dvc_objects.fs import MemoryFileSystem
from obstore.store import LocalStore, MemoryStore

from dvc_branchflow.dvcio import open_file_system
from dvc_branchflow.errors import ConfigError, StorageError
from dvc_branchflow.model import Oid
from dvc_branchflow.objects import (
    BucketStore,
    Cache,
    DirectoryStore,
    FileSystem,
    FileSystemStore,
    RemoteConfig,
    Store,
    object_key,
    open_store,
)
from dvc_branchflow.objects import bucket as bucket_module
from tests.support.isolation import isolated_env
from tests.support.repos import Shell
from tests.support.servers import (
    S3Server,
    azure_server,
    free_ports,
    gcs_server,
    http_server,
    seaweedfs,
    ssh_server,
    webdav_server,
)

ABSENT = Oid("0" * 32)
SMALL = 64  # bytes up to which the stores of these tests send an object in one request


def of_file_system(remote: RemoteConfig) -> FileSystem:
    return FileSystem(*open_file_system(remote.name, remote.url, remote.options))


def directory(root: Path) -> Store:
    root.mkdir()
    return DirectoryStore(root, "place")


def bucket_in_memory(_root: Path) -> Store:
    return BucketStore("place", MemoryStore())


def bucket_on_disk(root: Path) -> Store:
    return BucketStore("place", LocalStore(root, mkdir=True))


def dvc_in_memory(_root: Path) -> Store:
    fs = MemoryFileSystem(global_store=False)
    place = FileSystem(fs, "/remote", home=None, appears_whole=True, can_list=True)
    return FileSystemStore("place", place)


def dvc_local(root: Path) -> Store:
    root.mkdir()
    return FileSystemStore("place", of_file_system(RemoteConfig("place", str(root))))


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with seaweedfs(tmp_path_factory.mktemp("s3")) as server:
        server.make_bucket("bucket")
        yield server


def on_s3(server: S3Server, root: Path, bucket: str = "bucket", **options: str) -> Store:
    keys = {"access_key_id": server.access_key, "secret_access_key": server.secret_key}
    given = {"endpointurl": server.endpoint_url, **keys, **options}
    remote = RemoteConfig("place", f"s3://{bucket}/{root.parent.name}", given)
    return open_store(remote, of_file_system)


@pytest.fixture
def s3_store(s3: S3Server, tmp_path: Path) -> Store:
    return on_s3(s3, tmp_path / "store")


@pytest.fixture
def s3_through_dvc(s3: S3Server, tmp_path: Path) -> Store:
    store = on_s3(s3, tmp_path / "store", acl="private")  # obstore has no word for it
    assert isinstance(store, FileSystemStore)
    return store


@pytest.fixture
def ssh_store(tmp_path: Path) -> Iterator[Store]:
    root = tmp_path / "far"
    root.mkdir()
    with ssh_server(tmp_path / "ssh") as options:
        port = options.pop("port")
        yield open_store(
            RemoteConfig("place", f"ssh://127.0.0.1:{port}{root}", options), of_file_system
        )


@pytest.fixture(scope="module")
def webdav(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RemoteConfig]:
    root = tmp_path_factory.mktemp("webdav")
    with webdav_server(root) as (url, options):
        yield RemoteConfig("place", url, options)


@pytest.fixture(scope="module")
def google(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RemoteConfig]:
    with gcs_server(tmp_path_factory.mktemp("google"), "bucket") as options:
        yield RemoteConfig("place", "gs://bucket", options)


@pytest.fixture(scope="module")
def azure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RemoteConfig]:
    program = shutil.which("azurite-blob")
    if program is None:
        pytest.skip("no `azurite-blob` here; `make proof` gets it from npm")
    with azure_server(tmp_path_factory.mktemp("azure"), program) as options:
        remote = RemoteConfig("place", "azure://bucket", options)
        of_file_system(remote).fs.fs.mkdir("bucket")
        yield remote


def below(remote: RemoteConfig, tmp_path: Path) -> RemoteConfig:
    """A folder of its own on a server that tests share; WebDAV has to be told to make it."""
    if remote.url.startswith("webdav"):
        of_file_system(remote).fs.makedirs(tmp_path.name)
    return replace(remote, url=f"{remote.url}/{tmp_path.name}")


@pytest.fixture
def webdav_store(webdav: RemoteConfig, tmp_path: Path) -> Store:
    return open_store(below(webdav, tmp_path), of_file_system)


@pytest.fixture
def google_store(google: RemoteConfig, tmp_path: Path) -> Store:
    store = open_store(below(google, tmp_path), of_file_system)
    assert isinstance(store, BucketStore)
    return store


@pytest.fixture
def azure_store(azure: RemoteConfig, tmp_path: Path) -> Store:
    store = open_store(below(azure, tmp_path), of_file_system)
    assert isinstance(store, BucketStore)
    return store


LOCAL = [directory, bucket_in_memory, bucket_on_disk, dvc_in_memory, dvc_local]
SERVED = ["s3_store", "s3_through_dvc", "ssh_store", "webdav_store", "google_store", "azure_store"]
KINDS = ["webdav", "google", "azure"]


@pytest.fixture(params=[*LOCAL, *(pytest.param(name, marks=pytest.mark.slow) for name in SERVED)])
def store(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(bucket_module, "_SMALL", SMALL)
    if isinstance(request.param, str):
        found: Store = request.getfixturevalue(request.param)
        return found
    make: Callable[[Path], Store] = request.param
    return make(tmp_path / "store")


def oid_of(content: bytes) -> Oid:
    digest = hashlib.md5(content).hexdigest()
    return Oid(f"{digest}.dir" if content.startswith(b"[") else digest)


def cached(folder: Path, *contents: bytes) -> dict[Oid, Path]:
    """Files in a cache by their oid; what starts with `[` is a directory's manifest."""
    found = {}
    for content in contents:
        oid = oid_of(content)
        path = folder / object_key(oid)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        found[oid] = path
    return found


CONTENTS = (b"one", b"three", b"[]", b"", b"big" * SMALL)


def targets(folder: Path, oids: Any) -> dict[Oid, Path]:
    return {oid: folder / object_key(oid) for oid in oids}


def test_what_was_put_is_there_and_comes_back(store: Store, tmp_path: Path) -> None:
    sources = cached(tmp_path / "cache", *CONTENTS)
    assert store.sizes(sources) == {}
    store.put(sources)
    assert store.sizes([*sources, ABSENT]) == {
        oid: path.stat().st_size for oid, path in sources.items()
    }
    places = targets(tmp_path / "second", sources)
    store.get(places)
    for oid, path in places.items():
        assert path.read_bytes() == sources[oid].read_bytes()
        assert stat.S_IMODE(path.stat().st_mode) == 0o444
    assert not list((tmp_path / "second").rglob("*.tmp"))


def test_putting_again_changes_nothing(store: Store, tmp_path: Path) -> None:
    sources = cached(tmp_path / "cache", *CONTENTS)
    store.put(sources)
    store.put(sources)
    assert store.sizes(sources) == {oid: path.stat().st_size for oid, path in sources.items()}


def test_a_listing_names_every_object_with_its_size(store: Store, tmp_path: Path) -> None:
    assert list(store.listing()) == []
    sources = cached(tmp_path / "cache", *CONTENTS)
    store.put(sources)
    found = {one.oid: one.size_bytes for one in store.listing()}
    assert found == {oid: path.stat().st_size for oid, path in sources.items()}
    assert all(one.modified_seconds > 1e9 for one in store.listing())


def test_a_damaged_source_is_not_stored(store: Store, tmp_path: Path) -> None:
    for content in (b"small", b"large" * SMALL):
        ((oid, path),) = cached(tmp_path / "cache", content).items()
        path.write_bytes(content[::-1])
        with pytest.raises(StorageError, match=f"{oid} on .* is damaged"):
            store.put({oid: path})
        assert store.sizes([oid]) == {}


def test_a_damaged_object_never_appears_and_is_mended_by_a_good_copy(
    store: Store, tmp_path: Path
) -> None:
    for content in (b"small", b"large" * SMALL):
        oid = oid_of(content)
        damage(store, oid, content[:-2] + b"??", tmp_path)
        target = targets(tmp_path / "second", [oid])
        with pytest.raises(StorageError, match=f"{oid} on 'place' is damaged"):
            store.get(target)
        assert not list((tmp_path / "second").rglob("*.*"))
        store.put(cached(tmp_path / "cache", content))
        store.get(target)
        assert target[oid].read_bytes() == content


def damage(store: Store, oid: Oid, content: bytes, tmp_path: Path) -> None:
    """Lay something else where an object belongs."""
    key = object_key(oid)
    if isinstance(store, BucketStore):
        store._store.put(key, content)
    elif isinstance(store, FileSystemStore):
        path = f"{store._place.root}/{key}"
        store._fs.makedirs(path.rpartition("/")[0])
        store._fs.pipe_file(path, content)
    else:
        path = tmp_path / "store" / key
        path.parent.mkdir(parents=True)
        path.write_bytes(content)


def test_what_is_asked_for_and_not_there_is_told(store: Store, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match=f"{ABSENT} is neither in the cache nor on DVC remote"):
        store.get(targets(tmp_path / "second", [ABSENT]))
    assert not list((tmp_path / "second").rglob("*.*"))


@pytest.mark.parametrize("make", [directory, dvc_local])
def test_a_place_that_is_gone_is_unknown_and_never_empty(
    make: Callable[[Path], Store], tmp_path: Path
) -> None:
    store = make(tmp_path / "store")
    sources = cached(tmp_path / "cache", b"one")
    (tmp_path / "store").rmdir()
    for act in (
        lambda: store.sizes(sources),
        lambda: list(store.listing()),
        lambda: store.get(targets(tmp_path / "second", sources)),
    ):
        with pytest.raises(StorageError, match="can't be reached"):
            act()


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"acl": "private"}], ids=["obstore", "dvc"])
def test_a_bucket_that_is_gone_is_unknown_and_never_empty(
    s3: S3Server, tmp_path: Path, options: dict[str, str]
) -> None:
    store = on_s3(s3, tmp_path / "store", "nowhere", **options)
    with pytest.raises(StorageError, match="DVC remote 'place' can't be"):
        store.sizes([ABSENT])
    with pytest.raises(StorageError, match="DVC remote 'place' can't be"):
        list(store.listing())


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_refuses_or_is_gone_is_unknown_and_never_empty(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    remote = request.getfixturevalue(kind)
    sources = cached(tmp_path / "cache", b"one")
    for broken, says in unusable(remote, tmp_path):
        for act in acts(open_store(broken, of_file_system), sources, tmp_path):
            with pytest.raises(StorageError, match=f"^DVC remote 'place' can't be .*{says}") as it:
                act()
            assert "\n" not in str(it.value)


def acts(
    store: Store, sources: dict[Oid, Path], tmp_path: Path
) -> tuple[Callable[[], object], ...]:
    return (
        lambda: store.sizes(sources),
        lambda: list(store.listing()),
        lambda: store.digests(sources),
        lambda: store.get(targets(tmp_path / "second", sources)),
        lambda: store.put(sources),
    )


def unusable(remote: RemoteConfig, tmp_path: Path) -> Iterator[tuple[RemoteConfig, str]]:
    """A remote whose folder or bucket is missing, that lets us not in, and that is down."""
    port = free_ports(1)[0]
    options = dict(remote.options)
    away = replace(remote, url=f"{remote.url}-nowhere")
    if remote.url.startswith("webdav"):
        yield replace(remote, url=f"{remote.url}/nowhere"), "no 'http://.*/nowhere'"
        yield replace(remote, options={**options, "password": "wrong"}), "401"
        yield replace(remote, url=f"webdav://127.0.0.1:{port}/x"), "refused"
    elif remote.url.startswith("gs"):
        yield away, "404"
        key = tmp_path / "key.json"
        account = json.loads(Path(options["credentialpath"]).read_text())
        key.write_text(json.dumps({**account, "private_key_id": "wrong"}))
        yield replace(remote, options={**options, "credentialpath": str(key)}), "40[13]"
        yield (
            replace(remote, options={**options, "endpointurl": f"http://127.0.0.1:{port}"}),
            "refused",
        )
    else:
        yield away, "404"
        text = options["connection_string"]
        wrong = re.sub(r"AccountKey=....", "AccountKey=AAAA", text)
        yield replace(remote, options={"connection_string": wrong}), "403"
        down = re.sub(r"127.0.0.1:\d+", f"127.0.0.1:{port}", text)
        yield replace(remote, options={"connection_string": down}), "refused"


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_plain_dvc_pulls_what_was_put(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    remote = below(request.getfixturevalue(kind), tmp_path)
    manifest = json.dumps([{"md5": oid_of(b"one"), "relpath": "a.csv"}]).encode()
    open_store(remote, of_file_system).put(cached(tmp_path / "cache", b"one", manifest))
    # Else Google's client asks a service for the kind of the bucket, by gRPC, and for minutes.
    env = {**isolated_env(tmp_path / "home"), "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false"}
    sh = Shell(tmp_path / "repo", env)
    (sh.cwd / ".dvc").mkdir(parents=True)
    lines = "\n".join(f"{key} = {value}" for key, value in remote.options.items())
    (sh.cwd / ".dvc/config").write_text(
        f"[core]\nno_scm = true\nremote = far\n['remote \"far\"']\nurl = {remote.url}\n{lines}\n"
    )
    (sh.cwd / "data.dvc").write_text(
        f"outs:\n- md5: {oid_of(manifest)}\n  hash: md5\n  path: data\n"
    )
    sh.dvc("pull", "-q")
    assert (sh.cwd / "data/a.csv").read_bytes() == b"one"


def test_a_directory_that_was_replaced_while_it_was_listed_is_an_error(tmp_path: Path) -> None:
    root = tmp_path / "store"
    store = directory(root)
    store.put(cached(tmp_path / "cache", *CONTENTS))
    listing = store.listing()
    next(listing)
    root.rename(tmp_path / "unmounted")
    root.mkdir()
    with pytest.raises(StorageError, match="changed while it was listed"):
        list(listing)


def test_a_listing_passes_over_what_is_not_an_object(tmp_path: Path) -> None:
    store = directory(tmp_path / "store")
    sources = cached(tmp_path / "cache", b"one")
    store.put(sources)
    (oid,) = sources
    folder = (tmp_path / "store" / object_key(oid)).parent
    (folder / ".branchflow-00.tmp").write_text("half")
    (folder / "é").write_text("odd")
    (folder.parent / "README").write_text("a file among folders")
    (folder / ("0" * 30)).mkdir()
    assert [one.oid for one in store.listing()] == [oid]


def test_folders_in_a_shared_directory_are_the_groups(tmp_path: Path) -> None:
    root = tmp_path / "store"
    store = directory(root)
    root.chmod(0o2775)
    sources = cached(tmp_path / "cache", b"one")
    before = os.umask(0o077)
    try:
        store.put(sources)
    finally:
        os.umask(before)
    (oid,) = sources
    place = root / object_key(oid)
    assert [stat.S_IMODE(path.stat().st_mode) for path in (place.parent, place)] == [0o2775, 0o444]


class Counted:
    """An obstore client that counts its requests, and answers wrongly when told to."""

    def __init__(self, store: Any) -> None:
        self.store = store
        self.calls: list[str] = []
        self.knows_conditions = True
        self.etag: str | None = None

    def put(self, *args: Any, **options: Any) -> Any:
        mode = options.get("mode", "overwrite")
        self.calls.append(mode)
        if mode == "create" and not self.knows_conditions:
            raise NotImplementedError("501 Not Implemented")
        return self._answer(self.store.put(*args, **options))

    def head(self, *args: Any) -> Any:
        self.calls.append("head")
        return self._answer(self.store.head(*args))

    def get(self, *args: Any, **options: Any) -> Any:
        self.calls.append("get")
        return self.store.get(*args, **options)

    def get_range(self, *args: Any, **options: Any) -> Any:
        self.calls.append("range")
        return self.store.get_range(*args, **options)

    def list(self, *args: Any, **options: Any) -> Any:
        self.calls.append("list")
        return self.store.list(*args, **options)

    def _answer(self, answer: Any) -> Any:
        return {**answer, "e_tag": self.etag} if self.etag else answer


@pytest.fixture
def counted() -> Counted:
    return Counted(MemoryStore())


def test_an_object_whose_md5_the_server_tells_takes_one_request(
    counted: Counted, tmp_path: Path
) -> None:
    sources = cached(tmp_path / "cache", b"one")
    (oid,) = sources
    counted.etag = f'"{oid}"'
    BucketStore("place", counted).put(sources)
    assert counted.calls == ["create"]
    BucketStore("place", counted).put(sources)
    assert counted.calls == ["create", "create", "head"]


def test_where_the_server_tells_no_md5_the_size_is_asked_for(
    counted: Counted, tmp_path: Path
) -> None:
    BucketStore("place", counted).put(cached(tmp_path / "cache", b"one"))
    assert counted.calls == ["create", "head"]


def test_a_server_that_knows_no_conditions_is_asked_once(counted: Counted, tmp_path: Path) -> None:
    counted.knows_conditions = False
    store = BucketStore("place", counted)
    for content in (b"one", b"two", b"three"):
        store.put(cached(tmp_path / "cache", content))
    assert [call for call in counted.calls if call != "head"] == ["create", *3 * ["overwrite"]]


def test_a_large_object_comes_by_parts(
    counted: Counted, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bucket_module, "_PART_BYTES", 10)
    sources = cached(tmp_path / "cache", b"0123456789" * 3, b"0123456789", b"01234567890")
    store = BucketStore("place", counted)
    store.put(sources)
    counted.calls.clear()
    places = targets(tmp_path / "second", sources)
    store.get(places)
    assert sorted(counted.calls) == [*3 * ["get"], *3 * ["range"]]
    assert all(path.read_bytes() == sources[oid].read_bytes() for oid, path in places.items())


@pytest.mark.parametrize(("n_others", "way"), [(0, "list"), (9_000, "head")])
def test_sizes_come_from_a_listing_where_that_is_shorter(
    counted: Counted, tmp_path: Path, n_others: int, way: str
) -> None:
    asked = [Oid(hashlib.md5(b"%d" % n).hexdigest()) for n in range(300)]
    for oid in [*asked, *(Oid(hashlib.md5(b"x%d" % n).hexdigest()) for n in range(n_others))]:
        counted.store.put(object_key(oid), b"x")
    assert BucketStore("place", counted).sizes([*asked, ABSENT]) == dict.fromkeys(asked, 1)
    asked_by_name = counted.calls.count("head")
    assert asked_by_name == (0 if way == "list" else len(asked) + 1)


def test_full_folders_are_listed_by_themselves_and_an_error_in_one_is_no_end(
    counted: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lists() -> int:
        counted.calls.clear()
        assert {one.oid for one in BucketStore("place", counted).listing()} == oids
        return counted.calls.count("list")

    oids: set[Oid] = set()
    assert lists() == 1  # as many as one answer names need no more, in how few folders they lie
    oids = {Oid(f"{n % 2:02x}{n:030x}") for n in range(300)}
    for oid in oids:
        counted.store.put(object_key(oid), b"x")
    assert lists() == 1
    monkeypatch.setattr(bucket_module, "_LIST_CHUNK", 50)
    assert lists() == 1 + 256
    monkeypatch.setattr(bucket_module, "_FULL", 0)
    assert lists() == 1

    def broken(prefix: str, **options: Any) -> Iterator[Any]:
        if prefix.endswith("/01"):
            raise OSError("connection reset")
        yield from counted.store.list(prefix, **options)

    monkeypatch.undo()
    monkeypatch.setattr(bucket_module, "_LIST_CHUNK", 50)
    counted.list = broken  # type: ignore[method-assign]
    listing = BucketStore("place", counted).listing()
    next(listing)
    listing.close()  # type: ignore[attr-defined]  # what is under way is waited for, no more
    with pytest.raises(StorageError, match="DVC remote 'place' can't be used: connection reset"):
        list(BucketStore("place", counted).listing())


def test_an_error_in_the_middle_of_a_listing_is_no_end(counted: Counted, tmp_path: Path) -> None:
    def broken(*_: Any, **__: Any) -> Iterator[list[Any]]:
        yield counted.store.list().collect()
        raise OSError("connection reset")

    BucketStore("place", counted).put(cached(tmp_path / "cache", b"one"))
    counted.list = broken  # type: ignore[method-assign]
    listing = BucketStore("place", counted).listing()
    next(listing)
    with pytest.raises(StorageError, match="DVC remote 'place' can't be used: connection reset"):
        next(listing)


@pytest.mark.slow
def test_a_read_only_place_gives_and_refuses(tmp_path: Path) -> None:
    sources = cached(tmp_path / "site", b"one")
    with http_server(tmp_path / "site") as url:
        store = open_store(RemoteConfig("place", url), of_file_system)
        assert store.sizes([*sources, ABSENT]) == dict.fromkeys(sources, 3)
        places = targets(tmp_path / "second", sources)
        store.get(places)
        assert [path.read_bytes() for path in places.values()] == [b"one"]
        with pytest.raises(StorageError, match="DVC remote 'place' can't be used"):
            store.put(cached(tmp_path / "cache", b"two"))
        with pytest.raises(StorageError, match="can't be listed"):
            list(store.listing())


class EmptyBucket(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        pass


def self_signed(folder: Path) -> Path:
    """A key and the certificate of 127.0.0.1 that it signed itself, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tests")])
    now = datetime.now(UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, now, now + timedelta(days=1))
        .add_extension(address, critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = folder / "server.pem"
    file.write_bytes(made.public_bytes(serialization.Encoding.PEM) + secret)
    (folder / "ca.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    return file


def test_a_certificate_is_verified_as_the_remote_says(tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), EmptyBucket) as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self_signed(tmp_path))
        server.socket = context.wrap_socket(server.socket, server_side=True)
        Thread(target=server.serve_forever, daemon=True).start()
        keys = {"access_key_id": "A", "secret_access_key": "S"}
        given = {"endpointurl": f"https://127.0.0.1:{server.server_port}", **keys}

        def listed(**options: str) -> list[Any]:
            remote = RemoteConfig("place", "s3://bucket/x", {**given, **options})
            return list(open_store(remote, of_file_system).listing())

        assert listed(ssl_verify="false") == listed(ssl_verify=str(tmp_path / "ca.pem")) == []
        for unknown in ({}, {"ssl_verify": "true"}):
            with pytest.raises(StorageError, match=r"place' can't be used: .*ertificate"):
                listed(**unknown)
        server.shutdown()


@pytest.mark.parametrize("option", ["version_aware", "worktree"])
def test_a_cloud_versioned_remote_is_refused(option: str) -> None:
    remote = RemoteConfig("place", "s3://bucket/x", {option: "true"})
    with pytest.raises(StorageError, match=f"cloud-versioned .'{option}'") as caught:
        open_store(remote, of_file_system)
    assert f"--unset place {option}" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("ftp://host/x", "Unsupported URL type"),
        ("oss://bucket/x", "needs DVC's plugin for 'oss'"),
    ],
)
def test_a_kind_that_is_not_there_is_told(url: str, says: str) -> None:
    with pytest.raises(StorageError, match=says):
        open_store(RemoteConfig("place", url), of_file_system)


def test_a_wrong_option_is_told() -> None:
    remote = RemoteConfig("place", "ssh://host/x", {"colour": "red"})
    with pytest.raises(StorageError, match="colour"):
        open_store(remote, of_file_system)
    given = {"region": "x", "access_key_id": "x", "ssl_verify": "/nowhere"}
    remote = RemoteConfig("place", "s3://bucket/x", given)
    with pytest.raises(ConfigError, match="'ssl_verify' of DVC remote 'place' names no file"):
        open_store(remote, of_file_system)


def test_many_files_are_taken_in_by_several_processes(tmp_path: Path) -> None:
    (tmp_path / "inbox").mkdir()
    files = [tmp_path / "inbox" / str(n) for n in range(1200)]
    for n, file in enumerate(files):
        file.write_bytes(b"%d" % n)
    cache = Cache(tmp_path / "cache")
    assert cache.add_files(files) == [(oid_of(b"%d" % n), len(str(n))) for n in range(1200)]
    assert all(cache.path(oid_of(b"%d" % n)).read_bytes() == b"%d" % n for n in range(1200))
    files[-1].unlink()
    with pytest.raises(StorageError, match="can't take in"):
        cache.add_files(files)


def test_a_copy_of_an_object_asks_the_system_no_more_than_it_has_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    contents = {Oid(hashlib.md5(b"%d" % n).hexdigest()): b"%d" % n for n in range(20)}
    for oid, content in contents.items():
        (tmp_path / oid).write_bytes(content)
    store = directory(tmp_path / "store")
    asked: Counter[str] = Counter()

    def count(name: str) -> None:
        call = getattr(os, name)

        def counted(*args, **options):
            asked[name] += 1
            return call(*args, **options)

        monkeypatch.setattr(os, name, counted)

    for name in ("open", "close", "replace", "unlink", "fdopen"):
        count(name)
    store.put({oid: tmp_path / oid for oid in contents})
    monkeypatch.undo()
    again = len({oid[:2] for oid in contents})  # a folder is made where opening a file fails
    assert asked["open"] == 2 * len(contents) + again
    assert (asked["close"], asked["replace"]) == (2 * len(contents), len(contents))
    assert asked.keys().isdisjoint({"unlink", "fdopen"})
    assert store.digests(contents) == {oid: str(oid) for oid in contents}
