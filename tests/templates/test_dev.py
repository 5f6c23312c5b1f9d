"""The dev template for tables: its stages as they are laid, and what serves their model."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from tests.support.flow import branchflow
from tests.support.images import build
from tests.support.repos import Shell
from tests.support.servers import free_ports
from tests.support.serving import served

pytestmark = pytest.mark.slow

SIDES = {"train": 120, "validation": 40, "test": 40}
STAGES = ("tune", "evaluate", "final")
OUTS = ("models/evaluated.skops", "models/m.skops", "models/m.json")


@pytest.fixture
def laid(sh: Shell) -> Shell:
    """What `init` puts on dev/m, with a split made by hand."""
    branchflow(sh, "init", "--quiet", "--model", "m", "--target", "price")
    sh.git("switch", "--quiet", "dev/m")
    rng = np.random.default_rng(1)
    for side, count in SIDES.items():
        rows = ["size,colour,price"]
        for _ in range(count):
            size, colour = rng.uniform(0, 10), rng.choice(["red", "green"])
            rows.append(f"{size:.3f},{colour},{3 * size + 5 * (colour == 'red'):.3f}")
        path = sh.cwd / f"data/split/2024-01/{side}/00.csv"
        path.parent.mkdir(parents=True)
        path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return sh


def run(sh: Shell, kind: str, **env: str) -> dict[str, bytes]:
    """Run the stages in one process, which starts faster than three; return what they made."""
    params = sh.cwd / "params.yaml"
    values = yaml.safe_load(params.read_text(encoding="utf-8"))
    values["model"]["kind"] = kind
    params.write_text(yaml.safe_dump(values), encoding="utf-8")
    loop = f"[runpy.run_module('src.' + stage, {{}}, '__main__') for stage in {STAGES}]"
    sh.with_env(env).run("python", "-c", f"import runpy; {loop}")
    return {name: (sh.cwd / name).read_bytes() for name in OUTS}


def vouch(folder: Path, made: Mapping[str, bytes]) -> dict[str, Any]:
    """Write the lock and the card that a release would; return tag and sha256 of its model."""
    outs = [{"path": name, "md5": hashlib.md5(body).hexdigest()} for name, body in made.items()]
    lock = {"stages": {"all": {"outs": outs}}}
    (folder / "dvc.lock").write_text(yaml.safe_dump(lock), encoding="utf-8")
    model = made["models/m.skops"]
    card = f"---\nmodel_name: m\nversion: v1.2.3\n---\n\n{hashlib.md5(model).hexdigest()}\n"
    (folder / "MODEL_CARD.md").write_text(card, encoding="utf-8")
    return {"tag": "m@v1.2.3", "sha256": hashlib.sha256(model).hexdigest()}


def test_its_own_tests_pass_where_it_is_laid(laid: Shell) -> None:
    laid.run("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", timeout=240)


@pytest.mark.parametrize("kind", ["linear", "boosting"])
def test_the_same_rows_give_the_same_bytes_in_any_process(laid: Shell, kind: str) -> None:
    first = run(laid, kind, PYTHONHASHSEED="1", OMP_NUM_THREADS="1")
    assert run(laid, kind, PYTHONHASHSEED="2", OMP_NUM_THREADS="2") == first


def test_the_image_serves_with_what_it_copies_and_installs_alone(
    laid: Shell, tmp_path: Path
) -> None:
    release = vouch(laid.cwd, run(laid, "boosting"))
    image = build(laid.cwd, tmp_path / "image")
    files = {path.name for path in image.workdir.rglob("*") if path.is_file()}
    assert {"m.skops", "serve.py", "dvc.lock", "MODEL_CARD.md"} < files
    assert not files & {"00.csv", "evaluated.skops"}
    [port] = free_ports(1)
    env = image.env | {"PATH": "/usr/bin:/bin"}
    with served(image.started(port), port, cwd=image.workdir, env=env, log=tmp_path / "log") as it:
        assert it.ask("GET", "/health") == {"model": "m", **release}
        rows = [{"size": 2, "colour": "red"}, {"size": "8.5", "colour": "green"}]
        answer = it.ask("POST", "/predict", json.dumps(rows).encode())
        assert answer["predictions"] == pytest.approx([11, 25.5], abs=3)
        subprocess.run(image.asked(port), cwd=image.workdir, env=env, check=True, timeout=60)
    lean = [str(image.python), "-c", "import dvc"]
    done = subprocess.run(lean, env=env, capture_output=True, text=True, check=False)
    assert "No module named 'dvc'" in done.stderr


def test_an_image_of_a_candidate_is_served_under_the_tag_that_it_will_get(
    laid: Shell, tmp_path: Path
) -> None:
    made = run(laid, "baseline")
    vouch(laid.cwd, made)
    (laid.cwd / "MODEL_CARD.md").unlink()  # it comes with the release, after its checks
    image = build(laid.cwd, tmp_path / "image", {"BRANCHFLOW_TAG": "m@v1.0.0"})
    [port] = free_ports(1)
    env = image.env | {"PATH": "/usr/bin:/bin"}
    with served(image.started(port), port, cwd=image.workdir, env=env, log=tmp_path / "log") as it:
        assert it.ask("GET", "/health")["tag"] == "m@v1.0.0"
