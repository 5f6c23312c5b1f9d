"""A real MLflow server on this machine, and its runs as its REST interface tells them."""

from __future__ import annotations

import json
import sys
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.request import Request, urlopen

from tests.support.processes import kill_group, start_group
from tests.support.servers import free_ports

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator, Mapping

_READY_WITHIN_SECONDS = 120.0
_STARTS = 3
_JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class MlflowServer:
    """Where the server listens, which is also its tracking URI."""

    uri: str

    def call(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """What the server answers to a POST below its REST interface."""
        url = f"{self.uri}/api/2.0/mlflow/{path}"
        request = Request(url, json.dumps(body).encode(), _JSON)  # noqa: S310  our own server
        with urlopen(request, timeout=60) as answer:  # noqa: S310
            return json.loads(answer.read())

    def experiments(self) -> dict[str, str]:
        """Name → id of every experiment."""
        found = self.call("experiments/search", {"max_results": 1000})["experiments"]
        return {one["name"]: one["experiment_id"] for one in found}

    def experiment(self, name: str) -> str:
        """The id of an experiment, which is made if there is none."""
        known = self.experiments()
        return known.get(name) or self.call("experiments/create", {"name": name})["experiment_id"]

    def runs(self, experiment: str) -> list[dict[str, Any]]:
        """The runs of an experiment that are not deleted: info, params, metrics and tags."""
        if experiment not in self.experiments():
            return []
        body = {"experiment_ids": [self.experiments()[experiment]], "max_results": 1000}
        return [_plain(run) for run in self.call("runs/search", body).get("runs", [])]

    def log(
        self,
        experiment: str,
        tags: Mapping[str, str],
        *,
        started_ms: int,
        metrics: Mapping[str, list[float | str]] | None = None,
        is_running: bool = False,
        name: str = "training",
    ) -> str:
        """Log a run as somebody's training does; return its id."""
        listed = [{"key": key, "value": value} for key, value in tags.items()]
        body = {"experiment_id": self.experiment(experiment), "start_time": started_ms}
        made = self.call("runs/create", {**body, "tags": listed, "run_name": name})
        run_id = made["run"]["info"]["run_id"]
        points = [
            {"key": key, "value": value, "timestamp": started_ms, "step": step}
            for key, values in (metrics or {}).items()
            for step, value in enumerate(values)
        ]
        params = [{"key": "depth", "value": "3"}]
        self.call("runs/log-batch", {"run_id": run_id, "metrics": points, "params": params})
        if not is_running:
            ended = {"run_id": run_id, "status": "FINISHED", "end_time": started_ms + 1000}
            self.call("runs/update", ended)
        return run_id


@contextmanager
def mlflow_server(tmp: Path, env: Mapping[str, str]) -> Iterator[MlflowServer]:
    """A server on a fresh database below `tmp`, without the background jobs that it could run."""
    process, server = _start(tmp, env)
    try:
        yield server
    finally:
        kill_group(process)


def _start(tmp: Path, env: Mapping[str, str]) -> tuple[subprocess.Popen[bytes], MlflowServer]:
    quiet = {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    log = tmp / "mlflow.log"
    for _ in range(_STARTS):
        port = free_ports(1)[0]
        args = [
            *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"),
            *("--port", str(port), "--workers", "1", "--no-serve-artifacts"),
            *("--backend-store-uri", f"sqlite:///{tmp / 'mlflow.db'}"),
            *("--default-artifact-root", str(tmp / "artifacts")),
        ]
        with log.open("ab") as output:
            process = start_group(
                args, output=output, cwd=tmp, env={**env, **quiet}, dies_with_us=True
            )
        server = MlflowServer(f"http://127.0.0.1:{port}")
        if _becomes_ready(process, server):
            return process, server
        kill_group(process)
    tail = log.read_text(encoding="utf-8", errors="replace").splitlines()[-30:]
    raise RuntimeError("the MLflow server did not start\n" + "\n".join(tail))


def _becomes_ready(process: subprocess.Popen[bytes], server: MlflowServer) -> bool:
    deadline = time.monotonic() + _READY_WITHIN_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        health = f"{server.uri}/health"
        with suppress(URLError, OSError), urlopen(health, timeout=5) as answer:  # noqa: S310
            return answer.read() == b"OK" and process.poll() is None
        time.sleep(0.1)
    return False


def _plain(run: dict[str, Any]) -> dict[str, Any]:
    data = run["data"]
    return {
        **run["info"],
        **{
            kind: {item["key"]: item["value"] for item in data.get(kind, [])}
            for kind in ("params", "metrics", "tags")
        },
    }
