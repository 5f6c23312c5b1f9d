"""The same flow on a real S3 server and on moto; what wrong keys and a bad network do to it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.flow import (
    DEV,
    FIRST_MONTH,
    FIRST_TAG,
    SECOND_MONTH,
    SECOND_TAG,
    STABLE,
    Flow,
    csv_files,
    error_line,
    laid_flow,
)
from tests.support.repos import objects_needed
from tests.support.servers import FaultyProxy, S3Server, moto_server, seaweedfs

pytestmark = pytest.mark.slow

BUCKET = "team-data"
PREFIX = "churn/dvc"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with seaweedfs(tmp_path_factory.mktemp("s3")) as server:
        server.make_bucket(BUCKET)
        yield server


@pytest.fixture(scope="module")
def moto() -> Iterator[S3Server]:
    with moto_server() as server:
        server.make_bucket(BUCKET)
        yield server


@pytest.fixture
def make_flow(env: dict[str, str], tmp_path: Path) -> Callable[[S3Server], Flow]:
    """A flow on a server, in a part of the bucket of its own."""

    def make(server: S3Server) -> Flow:
        url = f"s3://{BUCKET}/{PREFIX}/{tmp_path.name}"
        where = {**env, **server.env()}
        return laid_flow(tmp_path / "team", where, remote=url, endpoint_url=server.endpoint_url)

    return make


def stored(server: S3Server, flow: Flow) -> set[str]:
    """The oids of all objects that the flow has on the server."""
    prefix = f"{PREFIX}/{flow.root.parent.name}/files/md5/"
    return {key.removeprefix(prefix).replace("/", "", 1) for key in server.keys(BUCKET, prefix)}


def assert_all_stored(server: S3Server, flow: Flow) -> None:
    flow.sh.git("fetch", "-q", "--tags")
    needed = objects_needed(flow.repo, flow.repo / ".dvc/cache")
    assert needed
    assert needed <= stored(server, flow)


def test_the_whole_flow_on_a_real_server(
    make_flow: Callable[[S3Server], Flow], server: S3Server, tmp_path: Path
) -> None:
    flow = make_flow(server)
    inbox = tmp_path / "inbox"
    flow.ingest(*csv_files(inbox, "one", "two"), partition=FIRST_MONTH)
    flow.branchflow("sync")
    flow.branchflow("run", DEV)
    flow.branchflow("promote", DEV)
    flow.branchflow("release", STABLE)
    flow.ingest(*csv_files(inbox, "three"), partition=SECOND_MONTH)
    second = flow.new_clone("second")
    second.branchflow("sync")
    assert_all_stored(server, flow)
    status = second.result("status")
    assert {row["branch"]: row["behind"] for row in status["branches"] if row["branch"] != DEV} == {
        "main": [], "raw": [], "clean": [], "split": [], STABLE: [],
    }  # fmt: skip
    third = flow.new_clone("third")
    third.branchflow("switch", FIRST_TAG)
    metrics = json.loads((third.repo / "metrics.json").read_text(encoding="utf-8"))
    assert (third.repo / "models/m.json").is_file()
    third.branchflow("switch", SECOND_TAG)
    assert json.loads((third.repo / "metrics.json").read_text(encoding="utf-8")) != metrics
    assert not third.sh.git("status", "--porcelain")
    assert "Data and pipelines are up to date." in third.sh.dvc("status")
    fourth = flow.new_clone("fourth")
    fourth.sh.git("switch", "-q", STABLE)
    fourth.sh.dvc("pull")
    assert "Data and pipelines are up to date." in fourth.sh.dvc("repro")


def test_a_flow_on_moto(
    make_flow: Callable[[S3Server], Flow], moto: S3Server, tmp_path: Path
) -> None:
    flow = make_flow(moto)
    flow.ingest(*csv_files(tmp_path / "inbox", "one", "two"))
    flow.branchflow("run", "clean")
    assert_all_stored(moto, flow)
    second = flow.new_clone("second")
    second.sh.git("switch", "-q", "clean")
    second.sh.dvc("pull")
    assert "Data and pipelines are up to date." in second.sh.dvc("repro")


@pytest.mark.parametrize("wrong", ["AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"])
def test_wrong_keys_are_told_in_one_line(
    make_flow: Callable[[S3Server], Flow], server: S3Server, tmp_path: Path, wrong: str
) -> None:
    flow = make_flow(server)
    refs = flow.refs()
    intruder = flow.inside(flow.sh.with_env({wrong: "0" * 20}))
    files = csv_files(tmp_path / "inbox", "one")
    done = intruder.branchflow("ingest", "--source", "tests", *files, code=3)
    assert "DVC remote 'store'" in error_line(done)
    failure = json.loads(
        intruder.branchflow("--json", "ingest", "--source", "tests", *files, code=3).stdout
    )
    assert failure["error"]["code"] == "storage"
    assert flow.refs() == refs
    assert not stored(server, flow)


@pytest.fixture
def far_flow(
    make_flow: Callable[[S3Server], Flow], server: S3Server
) -> Iterator[tuple[Flow, FaultyProxy]]:
    """A flow whose DVC remote is behind a bad network."""
    with FaultyProxy(server) as proxy:
        yield make_flow(proxy.server), proxy


@pytest.mark.parametrize("fault", ["refuse", "cut at once", "cut in the middle", "cut at the end"])
def test_an_ingest_that_lost_the_server_finishes_when_run_again(
    far_flow: tuple[Flow, FaultyProxy], server: S3Server, tmp_path: Path, fault: str
) -> None:
    flow, proxy = far_flow
    refs = flow.refs()
    files = csv_files(tmp_path / "inbox", *(f"file-{n}" for n in range(12)), n_rows=2000)
    size = sum(file.stat().st_size for file in files)
    if fault == "refuse":
        proxy.refuse()
    else:
        share = {"cut at once": 0.02, "cut in the middle": 0.5, "cut at the end": 0.98}[fault]
        proxy.cut_after(int(size * share), in_total=True)
    done = flow.branchflow("ingest", "--source", "tests", *files, code=3)
    assert "DVC remote 'store' can't be used" in error_line(done)
    assert flow.refs() == refs
    proxy.pass_through()
    flow.ingest(*files)
    assert_all_stored(server, flow)
    pulled = flow.new_clone("second")
    pulled.sh.git("switch", "-q", "raw")
    pulled.sh.dvc("pull")
    found = sorted(path.name for path in pulled.repo.glob("data/raw/*/*.csv"))
    assert found == sorted(file.name for file in files)


def test_a_connection_that_is_cut_once_is_tried_again(
    far_flow: tuple[Flow, FaultyProxy], server: S3Server, tmp_path: Path
) -> None:
    flow, proxy = far_flow
    files = csv_files(tmp_path / "inbox", *(f"file-{n}" for n in range(4)), n_rows=2000)
    proxy.cut_after(300_000)
    flow.ingest(*files)
    assert_all_stored(server, flow)


def test_a_run_that_lost_the_server_moves_nothing_and_finishes_when_run_again(
    far_flow: tuple[Flow, FaultyProxy], server: S3Server, tmp_path: Path
) -> None:
    flow, proxy = far_flow
    flow.ingest(*csv_files(tmp_path / "inbox", "one"))
    refs = flow.refs()
    proxy.refuse()
    done = flow.branchflow("run", "clean", code=3)
    # Who notices first is either we or `dvc repro`, which asks the server for its run-cache.
    assert proxy.server.endpoint_url in error_line(done)
    assert flow.refs() == refs
    proxy.pass_through()
    flow.branchflow("run", "clean")
    assert flow.refs()["refs/heads/clean"] != refs["refs/heads/clean"]
    assert_all_stored(server, flow)
