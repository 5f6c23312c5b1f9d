"""A flow over a folder of files, by the laid templates: texts and images, broken ones among them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.support.flow import FIRST_MONTH, SECOND_MONTH, Flow, edit
from tests.support.images import build
from tests.support.isolation import WITHOUT_TESTS
from tests.support.repos import Shell, bare_origin, clone, missing_from_directory_remote
from tests.support.servers import free_ports
from tests.support.serving import served
from tests.templates.real_data import images, mails

pytestmark = pytest.mark.slow

SUBJECTS = {"sea": "ship wave salt tide sail", "hill": "rock path goat cliff moss"}
DEV = "dev/scene"
STABLE = "stable/scene"
TAG = "scene@v1.0.0"


def text(rng: np.random.Generator, about: str) -> bytes:
    """Sixty words, most of them said nowhere else, so that no two texts are nearly the same."""
    own = ["".join(rng.choice([*"abcdefgh"], 6)) for _ in range(45)]
    return " ".join(rng.permutation([*own, *rng.choice(SUBJECTS[about].split(), 15)])).encode()


def image_of(rng: np.random.Generator, about: str) -> bytes:
    """Large random blocks, bluish for the sea and greenish for hills; a JPEG."""
    blocks = rng.integers(0, 130, (8, 8, 3), dtype=np.uint8)
    blocks[:, :, 2 if about == "sea" else 1] += 120
    file = BytesIO()
    Image.fromarray(blocks.repeat(6, axis=0).repeat(6, axis=1)).save(file, "JPEG")
    return file.getvalue()


def inbox(folder: Path, *, seed: int, count: int) -> Path:
    """A folder for each subject, with texts and images."""
    rng = np.random.default_rng(seed)
    for about in SUBJECTS:
        (folder / about).mkdir(parents=True)
        for number in range(count):
            (folder / about / f"{seed}-{number}.txt").write_bytes(text(rng, about))
            (folder / about / f"{seed}-{number}.jpg").write_bytes(image_of(rng, about))
    return folder


def break_some(folder: Path) -> set[str]:
    """Put broken files among the good ones; return their paths."""
    good = (folder / "sea/1-0.jpg").read_bytes()
    broken = {
        "sea/cut.jpg": good[: len(good) // 2],
        "sea/nothing.jpg": b"",
        "hill/blank.txt": b"",
        "hill/not-utf8.txt": b"a \xff\xfe goat \x80",
        "hill/a-text.jpg": b"only words here",
        "hill/again.jpg": (folder / "hill/1-3.jpg").read_bytes(),
    }
    for name, content in broken.items():
        (folder / name).write_bytes(content)
    return {f"{folder.name}/{name}" for name in broken}


@pytest.fixture
def flow(tmp_path: Path, env: dict[str, str]) -> Flow:
    """An origin, a store and a clone, laid for files.

    The laid project's own tests run in tests/templates; here it is enough that a check is.
    """
    root = tmp_path / "team"
    root.mkdir()
    outside = Shell(root, env | WITHOUT_TESTS)
    made = Flow(root, clone(bare_origin(root / "origin.git", outside), root / "repo", outside))
    made.branchflow(
        *("init", "--kind", "files", "--model", "scene", "--sample", "0.5"),
        *("--remote", made.store),
    )
    made.sh.git("fetch", "-q")
    return made


def scores(flow: Flow) -> dict[str, float]:
    """The measures of the newest release."""
    return flow.result("runs")["records"][-1]["metrics"]["metrics.json"]


def assert_served(flow: Flow, record: Mapping[str, Any], tmp_path: Path) -> None:
    """A colleague's switch to a release gives a folder whose server and image run as they are."""
    there = flow.new_clone("serving")
    there.branchflow("switch", record["tag"])
    image = build(there.repo, tmp_path / "image")
    ports = free_ports(2)
    plain = {"PATH": "/usr/bin:/bin"}
    ways = (
        (["python", "serve.py", "--port", str(ports[0])], there.repo, there.sh.env),
        (image.started(ports[1]), image.workdir, image.env | plain),
    )
    health = {
        "model": "scene",
        "tag": record["tag"],
        "sha256": record["outs"]["models/scene.skops"]["sha256"],
    }
    rng = np.random.default_rng(9)
    for port, (args, cwd, env) in zip(ports, ways, strict=True):
        with served(args, port, cwd=cwd, env=env, log=tmp_path / f"{port}.log") as server:
            assert server.ask("GET", "/health") == health
            for about in SUBJECTS:
                answer = server.ask("POST", "/predict?name=a.jpg", image_of(rng, about))
                assert (answer["label"], answer["tag"]) == (about, record["tag"])
    assert not there.sh.git("status", "--porcelain")


def test_a_folder_of_files_goes_all_the_way_to_a_release(flow: Flow, tmp_path: Path) -> None:
    folder = inbox(tmp_path / "inbox", seed=1, count=40)
    broken = break_some(folder)
    flow.ingest(folder)
    flow.branchflow("sync")
    params = flow.sh.git("show", f"origin/{DEV}:params.yaml") + "\n"
    linear = params.replace("kind: baseline", "kind: linear")
    assert linear != params
    edit(flow, DEV, {"params.yaml": linear}, "Try a linear model")
    flow.branchflow("run", DEV)
    flow.branchflow("promote", DEV)
    flow.branchflow("release", STABLE)

    rows = flow.result("rejects")
    assert [row["files_rejected"] for row in rows] == [len(broken)]
    assert rows[0]["files"] == 160 + len(broken) == rows[0]["files_kept"] + len(broken)
    assert sum(rows[0]["reasons"].values()) == len(broken)
    shown = flow.branchflow("rejects", "--why").stdout
    assert all(reason in shown for reason in rows[0]["reasons"])

    record = flow.result("runs")["records"][-1]
    assert record["tag"] == TAG
    assert record["test"]["stages"] == ["evaluate"]
    measured = scores(flow)
    assert sum(measured[f"rows{side}"] for side in ("", "_train", "_validation")) == 160
    assert measured["accuracy"] > 0.8

    flow.ingest(inbox(tmp_path / "more", seed=2, count=10), partition=SECOND_MONTH)
    flow.branchflow("sync")
    assert flow.result("runs")["records"][-1]["tag"] == "scene@v1.0.1"
    grown = scores(flow)
    assert sum(grown[f"rows{side}"] for side in ("", "_train", "_validation")) == 200

    assert_served(flow, record, tmp_path)
    assert flow.branchflow("check", "--all").returncode == 0
    fresh = flow.new_clone("fresh").sh
    for branch in ("raw", "clean", "split", DEV, STABLE):
        fresh.git("switch", "-q", branch)
        fresh.dvc("pull")
        assert "up to date" in fresh.dvc("status")
        assert not fresh.git("status", "--porcelain")
    assert not missing_from_directory_remote(fresh.cwd, flow.store)

    fresh.git("switch", "-q", "clean")
    fresh.dvc("pull")
    table = (fresh.cwd / f"rejects/{FIRST_MONTH}.csv").read_text(encoding="utf-8")
    clean = fresh.cwd / "data/clean"
    paths = [path.relative_to(clean) for path in clean.rglob("*") if path.is_file()]
    kept = {"/".join(path.parts[1:]) for path in paths}
    assert all(name in table for name in broken)
    assert not broken & kept
    assert len(kept) == 200


def test_dev_holds_a_part_of_the_files_of_every_folder(flow: Flow, tmp_path: Path) -> None:
    flow.ingest(inbox(tmp_path / "inbox", seed=1, count=30))
    flow.branchflow("sync")
    flow.branchflow("run", DEV)
    sh = flow.new_clone("fresh").sh
    files: dict[str, set[str]] = {}
    for branch in ("split", DEV):
        sh.git("switch", "-q", branch)
        sh.dvc("pull")
        found = (path for path in sh.cwd.glob("data/split/*/*/**/*") if path.is_file())
        files[branch] = {path.relative_to(sh.cwd).as_posix() for path in found}
    assert len(files["split"]) == 120
    assert files[DEV] < files["split"]
    folders = {branch: {name.rpartition("/")[0] for name in files[branch]} for branch in files}
    assert folders[DEV] == folders["split"]
    metrics = json.loads((sh.cwd / "metrics.json").read_text(encoding="utf-8"))
    held = sum(metrics[f"rows{side}"] for side in ("", "_train", "_validation"))
    assert held == len(files[DEV])


def stolen_mails() -> dict[str, bytes]:
    """Twelve real mails, and each of them again in other white space."""
    chosen = sorted(path for path in mails() if path.startswith("easy-ham-2"))[:12]
    texts = {f"{at}.txt": mails()[path].body for at, path in enumerate(chosen)}
    return texts | {f"again-{name}": b"\n".join(body.split()) for name, body in texts.items()}


def stolen_photographs() -> dict[str, bytes]:
    """Six real photographs, and each of them again, saved by another program, smaller."""
    names = ("flower.jpg", "hopper.jpg", "iptc.jpg", "iss634.webp", "pil_sample_rgb.jpg", "rgb.jpg")
    photos = {name: images()[name] for name in names if name in images()}
    for name in list(photos):
        with Image.open(BytesIO(photos[name])) as photo:
            smaller, out = photo.convert("RGB").reduce(2), BytesIO()
        smaller.save(out, "JPEG", quality=70)
        photos |= {f"again-{copy}-{name}.jpg": out.getvalue() + bytes(copy) for copy in range(3)}
    return photos


@pytest.mark.parametrize(
    ("kind", "threshold", "files"),
    [("text", "0.9", stolen_mails), ("image", "12", stolen_photographs)],
)
def test_what_comes_again_in_other_clothes_stops_the_split(
    flow: Flow, tmp_path: Path, kind: str, threshold: str, files: Callable[[], dict[str, bytes]]
) -> None:
    folder = tmp_path / "inbox"
    folder.mkdir()
    for name, content in files().items():
        (folder / name).write_bytes(content)
    flow.ingest(folder)
    params = flow.sh.git("show", "origin/split:params.yaml") + "\n"
    near = params.replace("kind: none  ", f"kind: {kind}  ")
    near = near.replace("threshold: 0.9", f"threshold: {threshold}")
    assert near != params
    edit(flow, "split", {"params.yaml": near}, "Look for copies")
    before = flow.refs()["refs/heads/split"]
    flow.branchflow("run", "clean")
    done = flow.branchflow("run", "split", code=1)
    assert "split-leak-free: 'reports/leaks.json'" in done.stderr
    assert "near: " in done.stderr
    assert "again-" in done.stderr
    assert flow.refs()["refs/heads/split"] == before

    edit(flow, "split", {"params.yaml": params + "\n"}, "Look no more")
    flow.branchflow("run", "split")
