"""The split template as it is laid, on data made by hand: in this process, or in a repository."""

from __future__ import annotations

import csv
import importlib
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import yaml

TEMPLATE = Path(__file__).parents[2] / "dvc_branchflow/templates/split"
SIDES = ("train", "validation", "test")
Data = Mapping[str, Mapping[str, bytes]]
"""Partition → path below it → content."""


def _modules(*names: str) -> list[ModuleType]:
    """Import the template's modules, and leave the name `src` to other templates' tests."""
    others = {name: sys.modules.pop(name) for name in list(sys.modules) if is_src(name)}
    sys.path.insert(0, str(TEMPLATE))
    try:
        return [importlib.import_module(f"src.{name}") for name in names]
    finally:
        sys.path.remove(str(TEMPLATE))
        for name in [name for name in sys.modules if is_src(name)]:
            del sys.modules[name]
        sys.modules.update(others)


def is_src(name: str) -> bool:
    return name == "src" or name.startswith("src.")


rule, tree, split, prints, near, leaks, certificate = _modules(
    "rule", "tree", "split", "prints", "near", "leaks", "certificate"
)


def params(kind: str, *, key: str = "", target: str = "", **own: Any) -> dict[str, Any]:
    """The template's params.yaml; `own` are further settings by section: split={…}, leaks={…}."""
    text = (TEMPLATE / "params.yaml").read_text(encoding="utf-8")
    for mark, value in {"@KIND@": kind, "@KEY@": key, "@TARGET@": target}.items():
        text = text.replace(mark, value)
    found = yaml.safe_load(text)
    for section, settings in own.items():
        found[section] |= settings
    return found


def table(header: str, rows: Iterable[Iterable[str]]) -> bytes:
    """A CSV file."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(header.split())
    writer.writerows(rows)
    return buffer.getvalue().encode()


def write(folder: Path, data: Data) -> None:
    for partition, files in data.items():
        (folder / partition).mkdir(parents=True, exist_ok=True)
        for name, content in files.items():
            path = folder / partition / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


@dataclass(frozen=True)
class Outcome:
    """What the scripts leave, and `placed`: a sample's id and content as JSON → its sides."""

    folder: Path
    reports: Mapping[str, Any]
    placed: Mapping[str, set[str]]

    @property
    def sides(self) -> dict[str, Any]:
        """Rows and digest of each side: what the certificate is the digest of."""
        return certificate.add(list(self.reports.values()))


def split_all(folder: Path, data: Data, given: dict[str, Any]) -> Outcome:
    """Split all partitions, in the order in which they stand."""
    write(folder / "clean", data)
    reports: dict[str, Any] = {}
    placed: dict[str, set[str]] = {}
    decided = rule.Rule(given["split"])
    for partition in data:
        kind, out = split.kind_of(given), folder / "split" / partition
        out.mkdir(parents=True)
        read = kind.read(folder / "clean" / partition)
        reports[partition] = split.split(read, kind, out, decided)
        for side in (path for path in out.iterdir() if path.is_dir()):
            for sample in kind.read(side):
                placed.setdefault(json.dumps(kind.identity(sample)), set()).add(side.name)
    return Outcome(folder, reports, placed)


def leaks_of(folder: Path, given: dict[str, Any]) -> dict[str, Any]:
    """Take the fingerprints of what lies in `split`, compare, and return the report."""
    partitions = sorted(path for path in (folder / "split").iterdir())
    shutil.rmtree(folder / "prints", ignore_errors=True)
    for partition in partitions:
        (folder / "prints" / partition.name).mkdir(parents=True)
        out = folder / "prints" / partition.name
        prints.take(split.kind_of(given), partition, out, given["leaks"])
    decided = rule.Rule(given["split"])
    has_groups = split.kind_of(given).has_groups
    checks = leaks.checks_of(
        given["leaks"], decided.sides, is_timed=bool(decided.time), has_groups=has_groups
    )
    allowed = {frozenset(pair) for pair in given["leaks"]["allow"]}
    folders = [folder / "prints" / partition.name for partition in partitions]
    return leaks.report_of(
        {name: check(folders, allowed=allowed) for name, check in checks.items()}
    )


def pairs(report: Mapping[str, Any], check: str) -> list[tuple[str, str]]:
    """The ids that a check names, the earlier side first."""
    return [(p["a"]["id"], p["b"]["id"]) for p in report["pairs"] if p["check"] == check]


def name_on(side: str, given: dict[str, Any], form: str) -> str:
    """The first name of this form, `a{}.png`, that the rule puts on a side."""
    decided = rule.Rule(given["split"])
    names = (form.format(number) for number in range(10_000))
    return next(name for name in names if decided.place([name])[0] == side)


def laid(folder: Path, given: dict[str, Any]) -> Path:
    """What `init` puts on the split branch."""
    shutil.copytree(TEMPLATE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    marks = {"@CLEAN_DATA@": "data/clean", "@SPLIT_DATA@": "data/split", "@CLEAN_ID@": "clean"}
    for path in [folder / "dvc.yaml", *folder.glob("src/*.py")]:
        text = path.read_text(encoding="utf-8")
        for mark, value in marks.items():
            text = text.replace(mark, value)
        path.write_text(text, encoding="utf-8")
    (folder / "params.yaml").write_text(yaml.safe_dump(given, sort_keys=False), encoding="utf-8")
    return folder


def script(
    folder: Path, name: str, *args: str, without: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a laid script as its stage does; hide a module from it."""
    start = f"import runpy, sys; sys.argv = {['', *args]!r}; "
    hide = f"sys.modules[{without!r}] = None; " if without else ""
    code = f"{start}{hide}runpy.run_module('src.{name}', run_name='__main__')"
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )
