"""Run records in real MLflow stores, and what stages logged there beside the records."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from itertools import count
from pathlib import Path
from threading import Barrier, BrokenBarrierError
from typing import Any

import pytest

from dvc_branchflow.errors import FlowError, StorageError
from dvc_branchflow.exchange import export_runs, import_runs
from dvc_branchflow.project import Project
from dvc_branchflow.tracking import Sheet, StoredRun, TrackingStore
from tests.support.flow import (
    DEV,
    FIRST_TAG,
    MODEL,
    SECOND_TAG,
    STABLE,
    Flow,
    edit,
    error_line,
    kill_when,
)
from tests.support.isolation import isolated_env
from tests.support.mlflow_server import MlflowServer, mlflow_server

pytestmark = pytest.mark.slow

TAGS = {FIRST_TAG, SECOND_TAG}
_USED = count()
_TRAIN = """
import json
import os
from pathlib import Path

import mlflow

mlflow.set_experiment("training")
with mlflow.start_run(run_name="fit"):
    mlflow.set_tag("branchflow.tag", os.environ.get("BRANCHFLOW_TAG", ""))
    mlflow.log_param("depth", 3)
    for step in range(4):
        mlflow.log_metric("loss", 1 / (step + 1), step=step)
Path("models").mkdir(exist_ok=True)
Path("models/m.json").write_text("{}")
Path("plots").mkdir(exist_ok=True)
Path("plots/errors.csv").write_text("value,error\\n1,1\\n")
Path("metrics.json").write_text(json.dumps({"error": 1.0}))
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowServer]:
    """One server for all tests; it takes seconds to start."""
    folder = tmp_path_factory.mktemp("mlflow")
    with mlflow_server(folder, isolated_env(folder / "home")) as server:
        yield server


@pytest.fixture
def server(running: MlflowServer) -> Iterator[MlflowServer]:
    """The server with nothing in it that another test has left."""
    yield running
    for name, identifier in running.experiments().items():
        if name != "Default":
            away = {"experiment_id": identifier, "new_name": f"used-{next(_USED)}"}
            running.call("experiments/update", away)
            running.call("experiments/delete", {"experiment_id": identifier})


def quiet(_: str) -> None:
    """Say nothing."""


def whole(server: MlflowServer) -> dict[str, dict[str, Any]]:
    """Tag → run of the exported records, each of which has to be there once and in full."""
    runs = [run for run in server.runs(MODEL) if "branchflow.commit" in run["tags"]]
    assert all(run["status"] == "FINISHED" for run in runs)
    assert all("branchflow.digest" in run["tags"] for run in runs)
    found = {run["run_name"]: run for run in runs}
    assert len(found) == len(runs)
    return found


def test_a_server_has_each_record_once_however_often_it_is_exported(
    flow_repo: Flow, server: MlflowServer
) -> None:
    words = ("runs", "export", "--mlflow", server.uri)
    assert flow_repo.result(*words, "--dry-run")["written"] == [FIRST_TAG, SECOND_TAG]
    assert not server.runs(MODEL)
    flow_repo.branchflow(*words)
    found = whole(server)
    for record in flow_repo.result("runs")["records"]:
        run = found[record["tag"]]
        assert run["metrics"] == record["metrics"]["metrics.json"]
        assert run["params"] == {"train.scale": "1.0"}
        assert run["tags"]["branchflow.pin.split"] == record["pins"]["split"]
        assert run["tags"]["branchflow.certificate"] == record["certificate"]
        assert run["tags"]["mlflow.source.git.commit"] == record["commit"]
        shipped = record["outs"]["models/m.json"]["sha256"]
        assert run["tags"]["branchflow.sha256.models/m.json"] == shipped
        assert run["end_time"] - run["start_time"] == int(record["seconds"] * 1000)
    done = flow_repo.branchflow(*words, "--model", MODEL)
    assert "already there: 2 records" in done.stdout
    assert whole(server) == found
    assert flow_repo.result(*words, "--model", "other")["present"] == 0


@pytest.mark.parametrize("kind", ["database", "folder"])
@pytest.mark.usefixtures("as_user")
def test_a_database_and_a_folder_take_what_is_long_or_oddly_named(
    flow_repo: Flow, tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = flow_repo.result("runs")["records"][-1]
    many = {f"p{number}": number for number in range(230)}
    odd = {"a//b": 1, "50%": "x" * 7000, "l" * 300: [1, 2], "deep": many}
    other = record | {"tag": "m@v3.0.0", "version": "v3.0.0", "params": odd}  # of one commit
    broken = {
        "v4.0.0": {"when": "never"},
        "v4.0.1": {"commit": "' OR branchflow"},
        "v4.0.2": {"seconds": float("nan")},
    }
    files = {"runs/m/v3.0.0.json": json.dumps(other)}
    for version, wrong in broken.items():
        body = other | {"tag": f"m@{version}", "version": version} | wrong
        files[f"runs/m/{version}.json"] = json.dumps(body)
    edit(flow_repo, "main", files, "Somebody's records")
    monkeypatch.chdir(flow_repo.repo)
    place = tmp_path / ("runs.db" if kind == "database" else "runs")
    uri = f"sqlite:///{place}" if kind == "database" else str(place)
    project = Project.open(flow_repo.repo)
    planned = export_runs(project, uri, quiet, dry_run=True)
    assert not place.exists()
    assert export_runs(project, uri, quiet).written == planned.written
    assert set(planned.written) == {*TAGS, "m@v3.0.0"}
    assert {str(error).split("'")[1] for error in planned.unreadable} == {
        f"runs/m/{version}.json" for version in broken
    }
    again = export_runs(project, uri, quiet)
    assert (again.written, again.completed, again.present) == ((), (), 3)
    assert not flow_repo.sh.git("status", "--porcelain", "--ignored", "--", ":!.dvc")

    from mlflow import MlflowClient

    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name(MODEL)
    runs = {run.info.run_name: run for run in client.search_runs([experiment.experiment_id])}
    assert runs.keys() == {*TAGS, "m@v3.0.0"}
    assert str(flow_repo.repo) not in experiment.artifact_location
    params = runs["m@v3.0.0"].data.params
    assert len(params) == len(many) + 3
    assert max(map(len, params.values())) == 6000
    assert "[1, 2]" in params.values()
    assert params["deep.p7"] == "7"


@pytest.mark.usefixtures("as_user")
def test_what_was_left_half_written_or_stands_twice_is_put_right(
    flow_repo: Flow, server: MlflowServer
) -> None:
    commits = {record["tag"]: record["commit"] for record in flow_repo.result("runs")["records"]}
    half = {"branchflow.tag": FIRST_TAG, "branchflow.commit": commits[FIRST_TAG]}
    for _ in range(2):
        server.log(MODEL, half, started_ms=1, is_running=True, name=FIRST_TAG)
    elsewhere = {"branchflow.tag": FIRST_TAG, "branchflow.commit": "1" * 40}
    foreign = server.log(MODEL, elsewhere, started_ms=1, name="another repository's")
    mine = server.log(MODEL, {}, started_ms=1, name="somebody's own")
    words = ["git", "branchflow", "runs", "export", "--mlflow", server.uri]
    assert kill_when(flow_repo.sh, words, f"writing {SECOND_TAG}")
    outcome = export_runs(Project.open(flow_repo.repo), server.uri, quiet)
    assert outcome.present == 1
    assert {*outcome.written, *outcome.completed} == {SECOND_TAG}
    runs = {run["run_id"]: run for run in server.runs(MODEL)}
    for untouched in (foreign, mine):
        assert runs.pop(untouched)["params"] == {"depth": "3"}
    assert {run["run_name"] for run in runs.values()} == TAGS
    assert len(runs) == 2
    for run in runs.values():
        assert run["status"] == "FINISHED"
        assert run["params"]["train.scale"] == "1.0"
        assert run["metrics"].keys() == {"error", "rows"}
        assert run["tags"]["branchflow.commit"] == commits[run["run_name"]]


@pytest.mark.usefixtures("as_user")
def test_exports_at_once_leave_each_record_once(
    flow_repo: Flow, server: MlflowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    both = Barrier(2)
    create = TrackingStore.create

    def create_together(store: TrackingStore, sheet: Sheet) -> StoredRun:
        with suppress(BrokenBarrierError):
            both.wait(timeout=10)
        return create(store, sheet)

    monkeypatch.setattr(TrackingStore, "create", create_together)
    projects = [Project.open(flow.repo) for flow in (flow_repo, flow_repo.new_clone("other"))]
    with ThreadPoolExecutor(2) as pool:
        done = [pool.submit(export_runs, project, server.uri, quiet) for project in projects]
        assert [one.result().written for one in done] == [(FIRST_TAG, SECOND_TAG)] * 2
    assert not both.broken
    assert whole(server).keys() == TAGS


@pytest.mark.usefixtures("as_user")
def test_an_export_whose_run_is_moved_away_finishes_the_other(
    flow_repo: Flow, server: MlflowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    complete = TrackingStore.complete
    taken: list[str] = []

    def overtaken(store: TrackingStore, run: StoredRun, sheet: Sheet) -> None:
        if not taken:
            taken.append(server.log(MODEL, sheet.tags, started_ms=1, name=sheet.name))
            server.call("runs/delete", {"run_id": run.run_id})
        complete(store, run, sheet)

    monkeypatch.setattr(TrackingStore, "complete", overtaken)
    export_runs(Project.open(flow_repo.repo), server.uri, quiet)
    assert taken[0] in {run["run_id"] for run in whole(server).values()}


@pytest.mark.usefixtures("as_user")
def test_an_export_that_another_one_trips_up_looks_again(
    flow_repo: Flow, server: MlflowServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    complete = TrackingStore.complete
    tripped: list[str] = []

    def overtaken(store: TrackingStore, run: StoredRun, sheet: Sheet) -> None:
        complete(store, run, sheet)
        if not tripped:
            tripped.append(run.run_id)
            raise StorageError("UNIQUE constraint failed: tags.key, tags.run_uuid")

    monkeypatch.setattr(TrackingStore, "complete", overtaken)
    export_runs(Project.open(flow_repo.repo), server.uri, quiet)
    assert tripped[0] in {run["run_id"] for run in whole(server).values()}


def test_what_a_stage_logged_comes_beside_the_record(flow_repo: Flow, server: MlflowServer) -> None:
    flow = flow_repo.inside(flow_repo.sh.with_env({"MLFLOW_TRACKING_URI": server.uri}))
    edit(flow, DEV, {"train.py": _TRAIN, "check.py": ""}, "Log to MLflow")
    flow.branchflow("promote", DEV)
    flow.branchflow("release", STABLE)
    tag = flow.result("runs")["records"][-1]["tag"]
    assert flow.result("runs", "import", "--dry-run", tag)["commit"] is None
    done = flow.branchflow("runs", "import", tag)
    assert f"imported 1 run of {tag}" in done.stdout
    flow.sh.git("fetch", "-q")
    document = json.loads(flow.sh.git("show", "origin/main:runs/m/v1.1.0.mlflow.json"))
    assert document["tag"] == tag
    [run] = document["runs"]
    assert (run["experiment"], run["name"], run["status"]) == ("training", "fit", "FINISHED")
    assert run["params"] == {"depth": "3"}
    assert run["metrics"] == {"loss": {"last": 0.25, "points": 4}}
    assert run["store"] == server.uri
    rows = flow.result("compare", FIRST_TAG, tag)["rows"]
    assert rows["mlflow.loss"] == [None, 0.25]
    before = flow.refs()
    assert f"nothing new for {tag}" in flow.branchflow("runs", "import", tag).stdout
    assert flow.refs() == before
    assert [record["tag"] for record in flow.result("runs")["records"]][-1] == tag
    assert flow.branchflow("check", "--all").returncode == 0


@pytest.mark.usefixtures("as_user")
def test_only_runs_from_the_time_of_the_release_are_taken_unasked(
    flow_repo: Flow, server: MlflowServer
) -> None:
    project = Project.open(flow_repo.repo)
    commit = flow_repo.result("runs")["records"][-1]["commit"]
    parents = flow_repo.sh.git("log", "-1", "--format=%P", commit).split()
    times = [int(flow_repo.sh.git("log", "-1", "--format=%ct", one)) for one in parents]
    released = int(flow_repo.sh.git("log", "-1", "--format=%ct", commit))
    mark = {"branchflow.tag": SECOND_TAG}
    first = max(times) * 1000

    def log(started_ms: int, name: str, *, is_running: bool = False) -> str:
        metrics = {"loss": [2.0, 1.0], "odd": ["NaN"]} if name == "good" else {}
        return server.log(
            "training", mark, started_ms=started_ms, metrics=metrics, name=name,
            is_running=is_running,
        )  # fmt: skip

    with pytest.raises(FlowError, match="no run in MLflow store"):
        import_runs(project, server.uri, SECOND_TAG, quiet)
    log(first - 1000, "too early")
    late = log((released + 60) * 1000, "too late")
    log(first, "unfinished", is_running=True)
    server.log("training", {"branchflow.tag": FIRST_TAG}, started_ms=first, name="another's")
    nothing = import_runs(project, server.uri, SECOND_TAG, quiet)
    assert not nothing.imported
    assert nothing.commit is None
    log(first, "good")
    outcome = import_runs(project, server.uri, SECOND_TAG, quiet)
    assert [run.name for run in outcome.imported] == ["good"]
    assert {left.name: left.reason for left in outcome.left_out} == {
        "too early": "started before the release's code and data were there",
        "too late": "started after the release",
        "unfinished": "is still running",
    }
    more = import_runs(project, server.uri, SECOND_TAG, quiet, run_ids=[late])
    assert [run.name for run in more.imported] == ["too late"]
    text = flow_repo.sh.at(flow_repo.origin).git("show", "main:runs/m/v1.0.1.mlflow.json")
    runs = {run["name"]: run for run in json.loads(text)["runs"]}
    assert runs.keys() == {"good", "too late"}
    assert runs["good"]["metrics"]["odd"] == {"last": None, "points": 1}


def test_a_store_that_cannot_be_used_is_named_and_its_password_is_not(flow_repo: Flow) -> None:
    at_once_only = flow_repo.sh.with_env({"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"})
    flow_repo = flow_repo.inside(at_once_only)
    uri = "http://me:hush-hush@127.0.0.1:9/"
    for words in (("export",), ("import", FIRST_TAG)):
        done = flow_repo.branchflow("-v", "runs", *words, "--mlflow", uri, code=3)
        assert "MLflow store 'http://127.0.0.1:9/'" in done.stderr
        assert "hush" not in done.stdout + done.stderr
    missing = f"sqlite:///{flow_repo.root}/none.db"
    done = flow_repo.branchflow("runs", "import", "--mlflow", missing, FIRST_TAG, code=3)
    assert "there is no MLflow store" in error_line(done)
    assert not (flow_repo.root / "none.db").exists()
    assert "neither --mlflow" in error_line(flow_repo.branchflow("runs", "export", code=2))
    done = flow_repo.branchflow("runs", "import", "--mlflow", uri, "main", code=2)
    assert "'main' is no release tag" in error_line(done)


@pytest.mark.usefixtures("as_user")
def test_without_mlflow_it_says_what_to_install(
    flow_repo: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(StorageError, match="mlflow is not installed") as caught:
        export_runs(Project.open(flow_repo.repo), "http://127.0.0.1:9", quiet)
    assert "dvc-branchflow[mlflow]" in str(caught.value.hint)


def test_the_light_client_is_enough(flow_repo: Flow) -> None:
    """What mlflow brings and mlflow-skinny does not is out of reach here."""
    heavy = ("pandas", "numpy", "scipy", "sklearn", "pyarrow", "flask", "docker", "matplotlib")
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({heavy}))\n"
        "from dvc_branchflow.cli.run import main\n"
        f"sys.exit(main(['runs', 'export', '--mlflow', 'sqlite:///{flow_repo.root}/light.db']))"
    )
    done = flow_repo.sh.run(sys.executable, "-c", code)
    assert "wrote 2 records" in done.stdout
