"""Outs go to the DVC remote that their role names, with plain DVC too, before and after a move."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.flow import DEV, FIRST_TAG, STABLE, Flow, copy_flow, csv_files, edit
from tests.support.isolation import isolated_env
from tests.support.plain import plain_environment
from tests.support.repos import Shell

pytestmark = pytest.mark.slow
NAMES = ("cold", "models")


@contextmanager
def away(flow: Flow, *names: str) -> Iterator[None]:
    for name in names:
        (flow.root / name).rename(flow.root / f"unmounted-{name}")
    yield
    for name in names:
        (flow.root / f"unmounted-{name}").rename(flow.root / name)


def stored(flow: Flow, name: str) -> set[str]:
    return {f"{f.parent.name}{f.name}" for f in (flow.root / name / "files/md5").glob("*/*")}


def md5_of(flow: Flow, rev: str, path: str) -> str:
    lines = flow.sh.git("show", f"{rev}:dvc.lock").splitlines()
    at = next(n for n, line in enumerate(lines) if line.strip() == f"- path: {path}")
    return next(line.split()[1] for line in lines[at:] if line.strip().startswith("md5:"))


def test_every_role_has_its_place(flow_template: Path, tmp_path: Path, env: dict[str, str]) -> None:
    flow = copy_flow(flow_template, tmp_path / "team", env)
    config = flow.sh.git("show", "origin/main:.dvc/config") + "\n"
    for name in NAMES:
        (flow.root / name).mkdir()
        config += f"['remote \"{name}\"']\n    url = ../../{name}\n"
    edit(flow, "main", {".dvc/config": config}, "Name more DVC remotes")
    flow.branchflow("storage", "move", "raw", "cold")
    flow.branchflow("storage", "move", "clean", "cold")
    flow.branchflow("storage", "move", "stable/*", "models")
    assert flow.result("release", STABLE, "--dry-run") is None  # moved data is no new data
    assert flow.result("promote", DEV, "--dry-run")["code"] == []  # where outs go is no code
    flow.branchflow("storage", "verify")
    flow.branchflow("check", "--all")

    before = stored(flow, "store")
    flow.ingest(*csv_files(flow.root / "inbox", "four"), partition="2024-03")
    flow.branchflow("sync")
    flow.sh.git("fetch", "-q", "--tags")
    cleaned = md5_of(flow, "origin/clean", "data/clean/2024-03")
    model = md5_of(flow, f"origin/{STABLE}", "models/m.json")
    assert (cleaned in stored(flow, "cold"), cleaned in stored(flow, "store")) == (True, False)
    assert (model in stored(flow, "models"), model in stored(flow, "store")) == (True, False)
    assert before < stored(flow, "store")  # split stays there
    flow.branchflow("storage", "verify")

    bin_folder = plain_environment(Path(sys.prefix) / "plain")
    plain_env = isolated_env(tmp_path / "home", bin_folder=bin_folder)
    sh = Shell(flow.new_clone("plain").repo, plain_env)
    assert sh.run("git", "branchflow", check=False).returncode
    sh.git("switch", "-q", "clean")
    with away(flow, "store", "models"):
        sh.dvc("pull", "-q")
    path = flow.root / "cold/files/md5" / cleaned[:2] / cleaned[2:]
    path.unlink()
    sh.dvc("push", "-q")
    assert path.exists()
    sh.git("checkout", "-q", "--detach", FIRST_TAG)
    with away(flow, "cold", "models"):
        sh.dvc("pull", "-q")
