"""Decides where things lie, in which order they come, and which settings there are."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

RAW = Path("@RAW_DATA@")
CLEAN = Path("@CLEAN_DATA@")
SCANNED = Path("scanned")
REPEATS = Path("repeats")
# For tables that only these scripts read: file names may hold any byte.
INNER = {"encoding": "utf-8", "errors": "surrogateescape", "newline": ""}
REASONS = ("file", "row", "reason")  # row 0: the whole file


def settings() -> dict[str, Any]:
    """Return what `params.yaml` says, or end with one line that says what is wrong there."""
    params = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))["clean"]
    choices = {"kind": ("table", "files"), "duplicates": ("reject", "keep")}
    choices["unknown"] = ("reject", "accept")
    for name, known in choices.items():
        if params.get(name) not in known:
            sys.exit(f"params.yaml: clean.{name} is {params.get(name)!r}, not {' or '.join(known)}")
    return params


def raw_files(partition: str) -> list[tuple[str, Path]]:
    """Return name and path of each file of a partition, in the order of the names."""
    source = RAW / partition
    found = [path for path in source.rglob("*") if path.is_file()]
    return sorted((path.relative_to(source).as_posix(), path) for path in found)


def table(path: Path) -> Path:
    """Make the folder of a file that is about to be written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
