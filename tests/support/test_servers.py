from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import botocore.exceptions
import obstore
import pytest
from obstore.store import S3Store

from tests.support.isolation import isolated_env
from tests.support.repos import Shell, bare_origin, clone
from tests.support.servers import FaultyProxy, S3Server, free_ports, moto_server, seaweedfs

pytestmark = pytest.mark.slow

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from obstore.store import ClientConfig, RetryConfig

CONNECTION_ERRORS = (
    botocore.exceptions.ConnectionError,
    botocore.exceptions.HTTPClientError,
    botocore.exceptions.ResponseStreamingError,
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with seaweedfs(tmp_path_factory.mktemp("weed")) as running:
        running.make_bucket("bucket")
        yield running


@pytest.fixture
def proxy(server: S3Server) -> Iterator[FaultyProxy]:
    with FaultyProxy(server) as running:
        yield running


def obstore_of(server: S3Server, **retry: Any) -> S3Store:
    client: ClientConfig = {"allow_http": True}
    retries: RetryConfig = {"max_retries": 0, **retry}  # type: ignore[typeddict-item]
    return S3Store(
        "bucket",
        endpoint=server.endpoint_url,
        access_key_id=server.access_key,
        secret_access_key=server.secret_key,
        region=server.region,
        virtual_hosted_style_request=False,
        client_options=client,
        retry_config=retries,
    )


def put(server: S3Server, key: str, body: bytes) -> None:
    server.client(attempts=1).put_object(Bucket="bucket", Key=key, Body=body)


def test_free_ports_differ() -> None:
    assert len(set(free_ports(20))) == 20


def test_boto3_and_obstore_put_directly_and_through_the_proxy(
    server: S3Server, proxy: FaultyProxy
) -> None:
    for number, way in enumerate([server, proxy.server]):
        put(way, f"both/boto3-{number}", b"12")
        obstore.put(obstore_of(way), f"both/obstore-{number}", b"123")
    assert server.keys("bucket", "both/") == {
        "both/boto3-0": 2,
        "both/boto3-1": 2,
        "both/obstore-0": 3,
        "both/obstore-1": 3,
    }
    assert proxy.connections == 2


def test_keys_lists_more_than_one_page(server: S3Server) -> None:
    store = obstore_of(server)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: obstore.put(store, f"many/{number}", b"x"), range(1003)))
    assert len(server.keys("bucket", "many/")) == 1003


def test_seaweedfs_refuses_a_wrong_secret(server: S3Server) -> None:
    with pytest.raises(botocore.exceptions.ClientError, match="SignatureDoesNotMatch"):
        put(replace(server, secret_key="wrong"), "never", b"")
    assert "never" not in server.keys("bucket")


def test_moto_takes_objects_and_is_gone_afterwards() -> None:
    with moto_server() as running:
        running.make_bucket("bucket")
        put(running, "a/b", b"12345")
        assert running.keys("bucket", "a/") == {"a/b": 5}
    with pytest.raises(botocore.exceptions.EndpointConnectionError):
        running.client(attempts=1).list_buckets()


def test_proxy_refuses_and_recovers(proxy: FaultyProxy) -> None:
    proxy.refuse()
    with pytest.raises(botocore.exceptions.EndpointConnectionError):
        put(proxy.server, "refused", b"")
    assert proxy.connections == 0
    proxy.pass_through()
    put(proxy.server, "refused", b"now")


def test_proxy_refuses_a_connection_that_is_already_open(proxy: FaultyProxy) -> None:
    client = proxy.server.client(attempts=1)
    client.list_buckets()
    proxy.refuse()
    with pytest.raises(CONNECTION_ERRORS):
        client.list_buckets()


def test_proxy_cuts_an_upload(server: S3Server, proxy: FaultyProxy) -> None:
    proxy.cut_after(100_000)
    with pytest.raises(CONNECTION_ERRORS):
        put(proxy.server, "cut", b"x" * 1_000_000)
    assert 0 < proxy.forwarded_bytes <= 100_000
    assert "cut" not in server.keys("bucket")


def test_proxy_cuts_a_download(server: S3Server, proxy: FaultyProxy) -> None:
    put(server, "big", b"x" * 1_000_000)
    proxy.cut_after(300_000)
    body = proxy.server.client(attempts=1).get_object(Bucket="bucket", Key="big")["Body"]
    with pytest.raises(CONNECTION_ERRORS):
        body.read()
    with pytest.raises(obstore.exceptions.GenericError):
        obstore.get(obstore_of(proxy.server), "big").bytes()


def test_proxy_cut_in_total_stays_cut(proxy: FaultyProxy) -> None:
    proxy.cut_after(50_000, in_total=True)
    for _ in range(2):
        with pytest.raises(CONNECTION_ERRORS):
            put(proxy.server, "total", b"x" * 60_000)
    assert proxy.forwarded_bytes <= 50_000
    proxy.pass_through()
    put(proxy.server, "total", b"x" * 60_000)


def test_proxy_delays(proxy: FaultyProxy) -> None:
    proxy.delay(0.4)
    started = time.monotonic()
    put(proxy.server, "late", b"")
    assert time.monotonic() - started >= 0.4


def test_dvc_pushes_and_a_second_clone_pulls_through_the_proxy(
    server: S3Server, proxy: FaultyProxy, tmp_path: Path
) -> None:
    env = {**isolated_env(tmp_path / "home"), **proxy.server.env()}
    origin = bare_origin(tmp_path / "origin.git", Shell(tmp_path, env))
    first = clone(origin, tmp_path / "first", Shell(tmp_path, env))
    first.dvc("init", "-q")
    first.dvc("remote", "add", "-q", "-d", "s3", "s3://bucket/dvc")
    first.dvc("remote", "modify", "-q", "s3", "endpointurl", proxy.server.endpoint_url)
    (first.cwd / "data").mkdir()
    (first.cwd / "data" / "a.txt").write_text("content", encoding="utf-8")
    first.dvc("add", "-q", "data")
    first.git("add", "-A")
    first.git("commit", "-qm", "data")
    first.dvc("push", "-q")
    first.git("push", "-q", "origin", "main")
    assert len(server.keys("bucket", "dvc/files/md5/")) == 2
    second = clone(origin, tmp_path / "second", Shell(tmp_path, env))
    second.dvc("pull", "-q")
    assert (second.cwd / "data" / "a.txt").read_text(encoding="utf-8") == "content"
