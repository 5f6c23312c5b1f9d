"""Cleans and splits tables and folders of files with the laid templates, in bounded memory."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from bench.measure import Bench, Case, Contender

MAX_BYTES = 500 * 1024 * 1024
_TEMPLATES = Path(__file__).resolve().parent.parent / "dvc_branchflow" / "templates"
_PARTITION = "p1"
_PINNED = "partitions:\n  raw: [p1]\n  clean: [p1]\n"
_WORDS = 12


def cases(bench: Bench, size: Mapping[str, int]) -> Case:
    """Return the case of one partition: `rows` of a table, or `files` of a folder."""
    kind = "table" if "rows" in size else "files"
    root = bench.root / f"templates-{kind}-{size[next(iter(size))]}"
    clean = _lay(root / "clean", "clean", kind)
    split = _lay(root / "split", "split", kind)
    raw = clean / "data/raw" / _PARTITION
    _fill(raw, size)
    published = clean / "data/clean"

    def run_clean(_: int) -> None:
        for stage in (("scan", _PARTITION), ("duplicates",), ("clean", _PARTITION)):
            _stage(bench, clean, *stage)

    def empty(folder: Path) -> None:
        shutil.rmtree(folder, ignore_errors=True)  # as dvc does before it runs a stage

    def give(_: int) -> None:
        empty(split / "data/split")
        if not (split / "data/clean").exists():
            (split / "data").mkdir(exist_ok=True)
            shutil.copytree(published, split / "data/clean", copy_function=os.link)

    def run_split(_: int) -> None:
        for stage in (("split", _PARTITION), ("certificate",)):
            _stage(bench, split, *stage)

    def run_leaks(_: int) -> None:
        for stage in (("prints", _PARTITION), ("leaks",)):
            _stage(bench, split, *stage)

    contenders = [
        Contender("clean", run_clean, prepare=lambda _: empty(published)),
        Contender("split", run_split, prepare=give),
        Contender("leaks", run_leaks),
        Contender("floor: read all", lambda _: _read(raw)),
    ]
    return Case(dict(size), contenders, in_order=True)


def _lay(folder: Path, role: str, kind: str) -> Path:
    """A branch's checkout as `init` would lay it."""
    marks = {
        "@KIND@": kind, "@TARGET@": "y", "@KEY@": "id" if kind == "table" else "",
        "@RAW_DATA@": "data/raw", "@CLEAN_DATA@": "data/clean", "@SPLIT_DATA@": "data/split",
        "@RAW_ID@": "raw", "@CLEAN_ID@": "clean",
    }  # fmt: skip
    for source in (_TEMPLATES / role).rglob("*"):
        if source.is_file() and source.suffix != ".pyc":
            text = source.read_text(encoding="utf-8")
            for mark, value in marks.items():
                text = text.replace(mark, value)
            target = folder / source.relative_to(_TEMPLATES / role)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
    (folder / "partitions.yaml").write_text(_PINNED)
    return folder


def _stage(bench: Bench, cwd: Path, *words: str) -> None:
    """Run one stage's script; its memory is the kernel's word."""
    module, *args = words
    command = [sys.executable, "-m", f"src.{module}", *args]
    with subprocess.Popen(command, cwd=cwd, env=bench.env, stdout=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{module} failed in {cwd}")
    if usage.ru_maxrss * 1024 > MAX_BYTES:
        raise RuntimeError(f"{module} took {usage.ru_maxrss / 1024:.0f} MiB of memory")


def _fill(raw: Path, size: Mapping[str, int]) -> None:
    raw.mkdir(parents=True)
    if "rows" in size:
        _write_table(raw / "rows.csv", size["rows"])
    else:
        _write_files(raw, size["files"])


def _write_table(path: Path, rows: int) -> None:
    with path.open("w", encoding="ascii") as file:
        file.write("id,a,b,text,y\n")
        for n in range(rows):
            text = "" if n % 100 == 0 else str(n % 7)  # one row in a hundred lacks its target
            file.write(f"{n % (rows // 4 + 1)},{n},{n * 7919 % 10007},some words,{text}\n")


def _write_files(folder: Path, files: int) -> None:
    for n in range(files):
        path = folder / f"g{n % 100:02d}" / f"{n:06d}.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text(" ".join(f"w{n * 31 + k * k}" for k in range(_WORDS)), encoding="ascii")


def _read(folder: Path) -> None:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            path.read_bytes()
