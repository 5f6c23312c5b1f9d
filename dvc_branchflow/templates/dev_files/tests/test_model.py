"""What must hold of any model here. The files are made up, so that no pull is needed."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from http.client import HTTPConnection
from io import BytesIO
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import yaml
from PIL import Image

from serve import Server
from src import data, evaluate, final, shipped, tune
from src.log import Log

PARAMS = yaml.safe_load((Path(__file__).parents[1] / "params.yaml").read_text(encoding="utf-8"))
KINDS = ["baseline", "linear"]
GRID = {"baseline": {}, "linear": {"alpha": [0.01, 0.1]}}
OUTS = ["models/evaluated.skops", shipped.MODEL.as_posix(), shipped.CARD.as_posix()]
SIZES = {"train": 30, "validation": 10, "test": 10}


def words(rng: np.random.Generator, about: str) -> bytes:
    """Return a text of forty words, a few of them about a subject."""
    subject = {"sea": ["ship", "wave", "salt"], "hill": ["rock", "path", "goat"]}[about]
    return " ".join(rng.choice([*subject, "the", "and", "of", "it"], 40)).encode()


def picture(rng: np.random.Generator, about: str) -> bytes:
    """Return a noisy PNG, mostly blue for the sea and mostly green for a hill."""
    points = rng.integers(0, 100, (20, 24, 3), dtype=np.uint8)
    points[:, :, 2 if about == "sea" else 1] += 120
    file = BytesIO()
    Image.fromarray(points).save(file, "PNG")
    return file.getvalue()


def lay(side: str, path: str, content: bytes) -> None:
    """Write one file of the split."""
    file = data.SPLIT / "2024-01" / side / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


def lay_all() -> None:
    """Lay texts and images of the sea and of hills on all sides."""
    rng = np.random.default_rng(1)
    for side, count in SIZES.items():
        for number in range(count):
            for about in ("sea", "hill"):
                lay(side, f"{about}/{number}.txt", words(rng, about))
                lay(side, f"{about}/{number}.PNG", picture(rng, about))


def run(*, kind: str = "linear", label: str = PARAMS["data"]["label"]) -> None:
    """Run the three stages in the working directory."""
    model = {"kind": kind, "seed": 1}
    params = PARAMS | {"data": {"label": label}, "model": model, "tune": GRID}
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
def test_same_files_give_same_bytes(kind: str) -> None:
    lay_all()
    run(kind=kind)
    first = [Path(out).read_bytes() for out in OUTS]
    run(kind=kind)
    assert [Path(out).read_bytes() for out in OUTS] == first


def test_a_model_learns_what_is_there() -> None:
    lay_all()
    run()
    assert scores()["accuracy"] > 0.9
    assert scores()["macro_f1"] > 0.9
    assert [scores()[f"rows{side}"] for side in ("", "_train", "_validation")] == [40, 120, 40]
    plotted = Path("plots/confusion.csv").read_text(encoding="utf-8").splitlines()
    assert plotted[0] == "actual,predicted"
    assert len(plotted) == 41


def test_a_label_can_stand_in_the_name_and_files_without_are_left_out() -> None:
    rng = np.random.default_rng(1)
    for side, count in SIZES.items():
        lay(side, "deep/down/no label.txt", b"")
        for number in range(count):
            for about in ("sea", "hill"):
                lay(side, f"deep/down/{about}-{number}.txt", words(rng, about))
    run(label=r"(?P<label>[a-z]+)-\d+\.txt$")
    assert scores()["rows"] == 20
    assert scores()["accuracy"] > 0.9


def test_a_label_never_seen_is_counted_and_said(capsys: pytest.CaptureFixture[str]) -> None:
    lay_all()
    lay("test", "moon/1.txt", b"dust and rock")
    run()
    assert scores()["labels_unseen"] == 1
    assert 0 < scores()["log_loss"] < 35
    assert "labels that the model never saw: moon" in capsys.readouterr().err


def test_an_empty_side_is_named() -> None:
    lay_all()
    shutil.rmtree(data.SPLIT / "2024-01/validation")
    with pytest.raises(FileNotFoundError, match="side validation"):
        run()


def test_one_label_alone_teaches_nothing() -> None:
    for side in SIZES:
        lay(side, "sea/1.txt", b"waves and ships")
    run(kind="baseline")
    with pytest.raises(ValueError, match="all 1 files are 'sea'"):
        run(kind="linear")


@pytest.mark.parametrize("name", ["broken.png", "broken.txt"])
def test_a_file_that_cannot_be_read_is_named(name: str) -> None:
    lay_all()
    lay("test", f"sea/{name}", b"\xff\xfe\x00no")
    with pytest.raises(ValueError, match=re.escape(name)):
        run()


def test_an_image_too_large_for_memory_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "MAX_PIXELS", 20 * 24 - 1)
    with pytest.raises(ValueError, match="480 pixels, more than 479"):
        data.look("a.png", picture(np.random.default_rng(1), "sea"), PARAMS["features"])


def test_a_changed_model_is_not_loaded() -> None:
    lay_all()
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
        lay_all()
        run()
        with Server("127.0.0.1", 0) as server:
            Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
            yield server
            server.shutdown()


def ask(server: Server, method: str, path: str, body: bytes | None = None) -> tuple[int, dict]:
    """Return status and answer of one request."""
    connection = HTTPConnection("127.0.0.1", server.server_port, timeout=5)
    connection.request(method, path, body)
    response = connection.getresponse()
    return response.status, json.loads(response.read())


def test_server_names_its_model(server: Server) -> None:
    status, answer = ask(server, "GET", "/health")
    assert (status, answer["tag"]) == (200, "example@v1.0.0")
    assert re.fullmatch("[0-9a-f]{64}", answer["sha256"])


@pytest.mark.parametrize("about", ["sea", "hill"])
def test_server_predicts_what_the_model_does(server: Server, about: str) -> None:
    rng = np.random.default_rng(2)
    for name, content in {"a.txt": words(rng, about), "b.png": picture(rng, about)}.items():
        status, answer = ask(server, "POST", f"/predict?name={name}", content)
        assert (status, answer["tag"], answer["label"]) == (200, "example@v1.0.0", about)
        assert 0.5 < answer["probability"] <= 1


def test_server_logs_what_it_answers(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "log.jsonl"
    monkeypatch.setattr(server, "log", Log(str(log)))
    content = words(np.random.default_rng(3), "sea")
    _, answer = ask(server, "POST", "/predict?name=a.txt&request_id=r1&unit=user-1", content)
    line = json.loads(log.read_text(encoding="utf-8"))
    assert line.pop("time")
    assert line == {
        "request_id": "r1",
        "unit": "user-1",
        "tag": "example@v1.0.0",
        "prediction": "sea",
        "score": answer["probability"],
    }


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/predict", b"a text", 400),
        ("/predict?name=a.txt", b"\xff\xfe\x00", 422),
        ("/predict?name=a.png", b"no image", 422),
        ("/predict?name=a.png", b"", 422),
        ("/predict?name=a.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", 422),
    ],
)
def test_server_refuses_what_it_cannot_read(
    server: Server, path: str, body: bytes, status: int
) -> None:
    assert ask(server, "POST", path, body)[0] == status


def test_server_refuses_by_one_line_of_json(server: Server) -> None:
    for method, path, status in [("GET", "/", 404), ("POST", "/predict/", 404), ("PUT", "/", 501)]:
        assert ask(server, method, path, b"[]")[0] == status
    connection = HTTPConnection("127.0.0.1", server.server_port, timeout=5)
    connection.putrequest("POST", "/predict")
    connection.putheader("Content-Length", str(10**9 - 1))
    connection.endheaders()
    assert connection.getresponse().status == 413
