"""What must hold of any model here. The data is made up, so that no pull is needed."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from http.client import HTTPConnection
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import yaml

from serve import Server
from src import data, evaluate, final, shipped, tune

PARAMS = yaml.safe_load((Path(__file__).parents[1] / "params.yaml").read_text(encoding="utf-8"))
KINDS = ["baseline", "linear", "boosting"]
GRID = {"baseline": {}, "linear": {"alpha": [1.0]}, "boosting": {"max_iter": [40, 50]}}
OUTS = ["models/evaluated.skops", shipped.MODEL.as_posix(), shipped.CARD.as_posix()]


def run(*, kind: str = "boosting", target: str = "price") -> None:
    """Lay made-up rows in the working directory and run the three stages on them."""
    rng = np.random.default_rng(1)
    for side, count in {"train": 400, "validation": 100, "test": 100}.items():
        rows = ["size,colour,empty,is_big,price"]
        for _ in range(count):
            size, colour = rng.uniform(0, 10), rng.choice(["red", "green", ""])
            price = 3 * size + 5 * (colour == "red") + rng.normal(0, 0.1)
            rows.append(f"{size:.3f},{colour},,{'yes' if size > 5 else 'no'},{price:.3f}")
        rows.append(f"NA,a colour only {side} has,,no,7")
        path = data.SPLIT / "2024-01" / side / "00.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    chosen = {"target": target, "features": ["size", "colour", "empty"], "task": "auto", "text": []}
    model = {"kind": kind, "seed": 1}
    params = PARAMS | {"data": PARAMS["data"] | chosen, "model": model, "tune": GRID}
    Path("params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
    for stage in (tune, evaluate, final):
        stage.main()
    outs = [{"path": out, "md5": hashlib.md5(Path(out).read_bytes()).hexdigest()} for out in OUTS]
    Path("dvc.lock").write_text(yaml.safe_dump({"stages": {"all": {"outs": outs}}}))


def scores() -> dict[str, float]:
    """Return what was measured on the test side."""
    return json.loads(Path("metrics.json").read_text(encoding="utf-8"))


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty directory."""
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("target", ["price", "is_big"])
def test_same_rows_give_same_bytes(kind: str, target: str) -> None:
    run(kind=kind, target=target)
    first = [Path(out).read_bytes() for out in OUTS]
    run(kind=kind, target=target)
    assert [Path(out).read_bytes() for out in OUTS] == first


@pytest.mark.parametrize("kind", ["linear", "boosting"])
def test_a_model_learns_what_is_there(kind: str) -> None:
    run(kind=kind)
    assert scores()["r2"] > 0.9


def test_a_changed_model_is_not_loaded() -> None:
    run(kind="baseline")
    shipped.MODEL.write_bytes(shipped.MODEL.read_bytes() + b" ")
    with pytest.raises(ValueError, match=r"dvc\.lock"):
        shipped.Shipped()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Serve a model on a free port, the same one for all tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.mktemp("served"))
        patch.setenv("BRANCHFLOW_TAG", "example@v1.0.0")
        run()
        with Server("127.0.0.1", 0) as server:
            Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
            yield server
            server.shutdown()


def ask(server: Server, method: str, path: str, body: str | None = None) -> tuple[int, dict]:
    """Return status and answer of one request."""
    connection = HTTPConnection("127.0.0.1", server.server_port, timeout=5)
    connection.request(method, path, body)
    response = connection.getresponse()
    return response.status, json.loads(response.read())


def test_server_names_its_model(server: Server) -> None:
    status, answer = ask(server, "GET", "/health")
    assert (status, answer["tag"]) == (200, "example@v1.0.0")
    assert re.fullmatch("[0-9a-f]{64}", answer["sha256"])


def test_server_predicts_what_the_model_does(server: Server) -> None:
    rows = [
        {"size": 2, "colour": "red"},
        {"size": "8.5", "colour": None},
        {"size": "", "colour": "?"},
    ]
    status, answer = ask(server, "POST", "/predict", json.dumps(rows))
    assert (status, answer["tag"]) == (200, "example@v1.0.0")
    assert answer["predictions"][:2] == pytest.approx([11, 25.5], abs=1)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("{", 400),
        ("[" * 100_000, 400),
        ("\udcff".encode("utf-8", "surrogatepass").decode("latin-1"), 400),
        ("{}", 422),
        ("[1]", 422),
        ('[{"size": 1}]', 422),
        ('[{"size": "big", "colour": "red"}]', 422),
        ('[{"size": [1], "colour": "red"}]', 422),
        ('[{"size": 1e999, "colour": "red"}]', 422),
    ],
)
def test_server_refuses_what_it_cannot_read(server: Server, body: str, status: int) -> None:
    assert ask(server, "POST", "/predict", body)[0] == status


def test_server_refuses_by_one_line_of_json(server: Server) -> None:
    for method, path, status in [("GET", "/", 404), ("POST", "/predict/", 404), ("PUT", "/", 501)]:
        assert ask(server, method, path, "[]")[0] == status
    connection = HTTPConnection("127.0.0.1", server.server_port, timeout=5)
    connection.putrequest("POST", "/predict")
    connection.putheader("Content-Length", str(10**9 - 1))
    connection.endheaders()
    assert connection.getresponse().status == 413
