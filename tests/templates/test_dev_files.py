"""The dev template for folders of files: its stages as they are laid, on data made by hand."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from sklearn.datasets import load_digits

pytestmark = pytest.mark.slow

TEMPLATES = Path(__file__).parents[2] / "dvc_branchflow/templates"
MARKS = {"@MODEL@": "m", "@SPLIT_DATA@": "data/split", "@SPLIT@": "split"}
STAGES = ("tune", "evaluate", "final")
SIDES = {"train": 20, "validation": 6, "test": 6}
SUBJECTS = {"sea": "ship wave salt", "hill": "rock path goat"}
SHARED_WITH_TABLES = (
    "Dockerfile",
    "pytest.ini",
    "src/__init__.py",
    "src/experiment.py",
    "src/log.py",
    "src/origin.py",
    "src/stored.py",
    "tests/conftest.py",
    "tests/test_experiment.py",
    "tests/test_stored.py",
)


def laid(folder: Path, *, kind: str = "linear") -> Path:
    """What `init --kind files` puts on dev/m."""
    own = TEMPLATES / "dev_files"
    sources = {name: TEMPLATES / "dev" / name for name in SHARED_WITH_TABLES}
    sources["src/assignment.py"] = TEMPLATES.parent / "assignment.py"
    sources |= {p.relative_to(own).as_posix(): p for p in own.rglob("*") if p.suffix != ".pyc"}
    for name, source in sources.items():
        if source.is_file():
            text = source.read_text(encoding="utf-8")
            for mark, value in MARKS.items():
                text = text.replace(mark, value)
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8")
    params = folder / "params.yaml"
    text = params.read_text(encoding="utf-8")
    params.write_text(text.replace("kind: baseline", f"kind: {kind}"), encoding="utf-8")
    return folder


def samples(*, images: bool = True) -> Iterator[tuple[str, bytes]]:
    """Path below the split and content of texts and images of two subjects."""
    rng = np.random.default_rng(3)
    for side, count in SIDES.items():
        for label, about in SUBJECTS.items():
            for number in range(count):
                words = rng.choice([*about.split(), "the", "and", "of"], 30)
                month = f"2024-0{number % 2 + 1}"
                yield f"{month}/{side}/{label}/{number}.txt", " ".join(words).encode()
            for number in range(count if images else 0):
                points = rng.integers(0, 99, (9, 11, 3), dtype=np.uint8)
                points[:, :, list(SUBJECTS).index(label)] += 100
                yield f"2024-01/{side}/{label}/deep/{label}/{number}.png", as_png(points)


def as_png(points: np.ndarray) -> bytes:
    buffer = BytesIO()
    Image.fromarray(points).save(buffer, "PNG")
    return buffer.getvalue()


def fill(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        path = folder / "data/split" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def python(folder: Path, *args: str, **env: str) -> str:
    """Run Python in the folder; return what it said on stderr."""
    environ = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"} | env
    done = subprocess.run(
        [sys.executable, *args],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stderr


def run(folder: Path, *, without: str = "", **env: str) -> str:
    """Run the stages in one process, which starts faster than three; hide a module from it."""
    hide = f"sys.modules[{without!r}] = None; " if without else ""
    loop = f"[runpy.run_module('src.' + stage, {{}}, '__main__') for stage in {STAGES}]"
    return python(folder, "-c", f"import runpy, sys; {hide}{loop}", **env)


def made(folder: Path) -> dict[str, bytes]:
    """Every out and metric that dvc.yaml names, by its path."""
    stages = yaml.safe_load((folder / "dvc.yaml").read_text(encoding="utf-8"))["stages"].values()
    outs = [out for stage in stages for out in [*stage["outs"], *stage.get("metrics", [])]]
    paths = [out if isinstance(out, str) else next(iter(out)) for out in outs]
    return {path: (folder / path).read_bytes() for path in paths}


def metrics(folder: Path) -> dict[str, float]:
    return json.loads((folder / "metrics.json").read_text(encoding="utf-8"))


def test_its_own_tests_pass_where_it_is_laid(tmp_path: Path) -> None:
    python(laid(tmp_path, kind="baseline"), "-m", "pytest", "-q", "-p", "no:cacheprovider")


@pytest.mark.parametrize("kind", ["baseline", "linear"])
def test_the_same_files_give_the_same_bytes_anywhere(tmp_path: Path, kind: str) -> None:
    files = dict(samples())
    here, there = laid(tmp_path / "here", kind=kind), laid(tmp_path / "there", kind=kind)
    fill(here, files)
    fill(there, dict(reversed(files.items())))
    said = run(here, PYTHONHASHSEED="1", OMP_NUM_THREADS="1")
    run(there, PYTHONHASHSEED="2", OMP_NUM_THREADS="2")
    assert made(here) == made(there)
    assert not said
    written = {p.relative_to(here).as_posix() for p in here.rglob("*") if p.is_file()}
    laid_files = {p.relative_to(tmp_path).as_posix() for p in laid(tmp_path).rglob("*")}
    new = {p for p in written - laid_files if not p.startswith("data/") and "__pycache__" not in p}
    assert new == set(made(here))


def test_a_linear_model_tells_real_images_apart_and_the_baseline_does_not(tmp_path: Path) -> None:
    digits = load_digits()
    files = {}
    for number, (points, label) in enumerate(
        zip(digits.images[:900], digits.target[:900], strict=True)
    ):
        side = ("train", "train", "train", "validation", "test")[number % 5]
        grey = as_png((points * 15).astype(np.uint8))
        files[f"2024-01/{side}/{label}/{number}.png"] = grey
    scores = {}
    for kind in ("baseline", "linear"):
        folder = laid(tmp_path / kind, kind=kind)
        fill(folder, files)
        run(folder)
        scores[kind] = metrics(folder)
    counts = {"rows": 180, "rows_train": 540, "rows_validation": 180, "labels": 10}
    assert counts.items() <= scores["linear"].items()
    assert scores["baseline"]["accuracy"] < 0.2
    assert min(scores["linear"][name] for name in ("accuracy", "macro_f1")) > 0.9
    assert scores["linear"]["log_loss"] < scores["baseline"]["log_loss"]


def test_texts_alone_need_no_pillow(tmp_path: Path) -> None:
    folder = laid(tmp_path)
    fill(folder, dict(samples(images=False)))
    run(folder, without="PIL")
    assert metrics(folder)["accuracy"] > 0.9


@pytest.mark.parametrize("kind", ["dev", "dev_files"])
def test_a_stage_depends_on_every_module_that_it_imports(kind: str) -> None:
    own = TEMPLATES / kind / "src"
    sources = {
        path.stem: path for path in [*(TEMPLATES / "dev/src").glob("*.py"), *own.glob("*.py")]
    }
    stages = yaml.safe_load((TEMPLATES / kind / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    for name in STAGES:
        found, waiting = set(), [name]
        while waiting:
            module = waiting.pop()
            found.add(module)
            for node in ast.walk(ast.parse(sources[module].read_text(encoding="utf-8"))):
                if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("src"):
                    names = (
                        [node.module[4:]] if node.module != "src" else [a.name for a in node.names]
                    )
                    waiting += [n for n in names if n not in found]
        deps = [dep for dep in stages[name]["deps"] if dep.startswith("src/")]
        assert deps == sorted(f"src/{module}.py" for module in found)
    assert stages["evaluate"]["meta"] == {"side": "test"}
    assert [name for name in stages if "meta" in stages[name]] == ["evaluate"]
