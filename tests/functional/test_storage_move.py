"""`storage move`: data first, then config and pointers at once; old commits stay where they were."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dvc_branchflow.errors import StorageError, UsageError
from dvc_branchflow.project import Project
from dvc_branchflow.storage.gc import GcRequest, plan_gc
from dvc_branchflow.storage.move import move
from dvc_branchflow.storage.verify import verify
from dvc_branchflow.work.verification import VerifyRequest
from tests.functional.conftest import branchflow
from tests.support.depot import FLOW, Depot, lay_depot, md5, object_path
from tests.support.repos import Shell
from tests.support.rows import DATA

pytestmark = pytest.mark.usefixtures("as_user")
OLD, NEW = md5(b"old"), md5(b"new")
CONFIG = f"# what is what\n{FLOW}"


@pytest.fixture
def depot(tmp_path: Path, sh: Shell) -> Depot:
    """A raw branch with two commits, and a dev branch that has other data."""
    depot = lay_depot(tmp_path / "team", sh, remotes=("store", "cold"), flow=CONFIG)
    depot.branch("dev/x")
    depot.point("a.csv", "a developer's")
    depot.commit()
    depot.push()
    depot.branch("raw", "main")
    depot.point("data/raw/a.csv", "old")
    depot.commit()
    depot.point("data/raw/tree", DATA)
    depot.point("data/raw/b.csv", "new")
    depot.commit()
    depot.push()
    depot.sh.git("switch", "--quiet", "--detach")
    return depot


def moved(depot: Depot, what: str = "raw", **options: bool) -> Any:
    return move(Project.open(depot.repo), what, "cold", lambda _: None, **options)


def refs(depot: Depot) -> str:
    return depot.sh.git("ls-remote", "origin")


def raws(depot: Depot) -> set[str]:
    tree = depot.pointer("data/raw/tree", DATA, depot.base / "aside")[0]
    return {tree, OLD, NEW, *(md5(text.encode()) for text in DATA.values())}


def without(depot: Depot, remote: str, rev: str) -> dict[str, str]:
    """What plain `dvc pull` brings at a rev while one DVC remote is not there."""
    (depot.base / remote).rename(depot.base / "away")
    try:
        return depot.pulled(rev)
    finally:
        (depot.base / "away").rename(depot.base / remote)


def test_a_role_moves_and_every_commit_is_pulled_from_where_it_says(depot: Depot) -> None:
    before = refs(depot)
    old_tip = depot.sh.git("rev-parse", "origin/raw")
    plan = branchflow(depot.sh, "storage", "move", "raw", "cold", "--dry-run")
    assert plan.returncode == 0
    assert "raw: changes data/raw/a.csv.dvc, data/raw/b.csv.dvc, data/raw/tree.dvc" in plan.stdout
    assert "would copy 5 objects" in plan.stdout
    assert (refs(depot), depot.stored("cold")) == (before, set())
    done = branchflow(depot.sh, "--json", "storage", "move", "raw", "cold")
    assert done.returncode == 0, done.stdout
    assert json.loads(done.stdout)["result"]["filled"]["copied"] == 5
    assert depot.stored("cold") == raws(depot)
    config = depot.sh.git("show", "origin/main:branchflow.yaml")
    assert config == CONFIG.replace("raw: {", "raw: {remote: cold, ").rstrip()
    tip = depot.sh.git("show", "origin/raw:data/raw/b.csv.dvc")
    assert tip == depot.pointer("data/raw/b.csv", "new")[1] + "  remote: cold"
    assert without(depot, "store", "origin/raw")["data/raw/tree/one.csv"] == DATA["one.csv"]
    assert without(depot, "cold", old_tip)["data/raw/b.csv"] == "new"
    assert verify(Project.open(depot.repo), VerifyRequest(), lambda _: None).is_good
    assert plan_gc(Project.open(depot.repo), GcRequest((), 0.0), lambda _: None).objects == 0
    after = refs(depot)
    again = moved(depot)
    assert (again.filled.copied, refs(depot)) == (0, after)
    assert [(one.files, one.commit) for one in again.branches] == [((), None)]


def test_what_is_ingested_afterwards_goes_there(depot: Depot) -> None:
    moved(depot)
    file = depot.base / "c.csv"
    file.write_text("later", encoding="utf-8")
    done = branchflow(depot.sh, "ingest", "--source", "x", "--partition", "tree", file)
    assert done.returncode == 0, done.stderr
    later = md5(b"later")
    assert (later in depot.stored("cold"), later in depot.stored()) == (True, False)


@pytest.mark.parametrize("lost", [OLD, NEW])
def test_nothing_moves_before_all_data_is_there(depot: Depot, lost: str) -> None:
    before = refs(depot)
    for place in (depot.store, depot.cache):
        object_path(place, lost).unlink()
    with pytest.raises(StorageError, match="is nowhere"):
        moved(depot)
    assert refs(depot) == before


@pytest.mark.parametrize("away", ["store", "cold"])
def test_a_dvc_remote_that_is_away_moves_nothing(depot: Depot, away: str) -> None:
    before = refs(depot)
    object_path(depot.cache, OLD).unlink()
    (depot.base / away).rename(depot.base / "unmounted")
    done = branchflow(depot.sh, "storage", "move", "raw", "cold")
    assert (done.returncode, refs(depot)) == (3, before)
    assert f"DVC remote '{away}' can't be reached" in done.stderr


def test_a_branch_that_only_this_clone_has_is_left_and_others_of_its_entry_move(
    depot: Depot,
) -> None:
    depot.branch("dev/mine", "dev/x")
    depot.commit()
    tip = depot.sh.git("rev-parse", "dev/mine")
    depot.sh.git("switch", "--quiet", "--detach", "origin/raw")
    outcome = moved(depot, "dev")
    assert outcome.left == ("dev/mine",)
    assert [one.branch for one in outcome.branches] == ["dev/x", "main"]
    assert "dev/mine" not in refs(depot)
    assert depot.sh.git("rev-parse", "dev/mine") == tip
    assert depot.stored("cold") == {md5(b"a developer's")}


def test_an_out_that_names_another_place_on_purpose_stays_there(depot: Depot) -> None:
    depot.sh.git("switch", "--quiet", "raw")
    private = depot.base / "private"
    config = (depot.repo / ".dvc/config").read_text(encoding="utf-8")
    depot.write(".dvc/config", f"{config}['remote \"private\"']\n    url = {private}\n")
    text = depot.pointer("data/raw/p.csv", "secret", private)[1]
    depot.write("data/raw/p.csv.dvc", f"{text}  remote: private\n")
    depot.commit()
    depot.push("raw")
    depot.sh.git("switch", "--quiet", "--detach")
    moved(depot)
    assert "remote: private" in depot.sh.git("show", "origin/raw:data/raw/p.csv.dvc")
    assert md5(b"secret") not in depot.stored("cold")


@pytest.mark.parametrize(
    ("what", "message"),
    [("dev/x", "is no entry"), ("main", "has no outs"), ("row", "there are: raw, dev/")],
)
def test_what_can_not_be_moved_is_said(depot: Depot, what: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        moved(depot, what)


# -- what a pipeline makes ------------------------------------------------------------------------

PIPELINE = """\
stages:
  clean:
    cmd: cp data/raw/a.csv clean.csv   # no more than that
    deps: [data/raw/a.csv]
    outs:
    - clean.csv
"""


def laid_clean(depot: Depot) -> None:
    """A branch with a pipeline, whose own settings don't know the DVC remote `cold` yet."""
    depot.branch("clean", "main")
    known = (depot.repo / ".dvc/config").read_text(encoding="utf-8")
    depot.write(".dvc/config", known.partition("['remote \"cold\"']")[0])
    depot.write("dvc.yaml", PIPELINE)
    depot.commit()
    depot.push()
    depot.sh.git("switch", "--quiet", "main")


def configured(depot: Depot, clean: str) -> None:
    depot.sh.git("switch", "--quiet", "main")
    depot.config(f"{CONFIG}  clean: {{role: clean, data: clean.csv, from: [raw]{clean}}}\n")
    depot.sh.git("switch", "--quiet", "--detach")


@pytest.mark.slow
def test_what_a_pipeline_makes_goes_where_the_config_says_from_the_first_run_on(
    depot: Depot,
) -> None:
    laid_clean(depot)
    configured(depot, ", remote: cold")
    done = branchflow(depot.sh, "run", "clean")
    assert done.returncode == 0, done.stderr
    text = depot.sh.git("show", "origin/clean:dvc.yaml")
    assert text + "\n" == PIPELINE.replace("- clean.csv", "- clean.csv: {remote: cold}")
    assert depot.stored("cold") == {OLD}
    assert depot.pulled("origin/clean")["clean.csv"] == "old"


@pytest.mark.slow
def test_a_remote_that_is_only_written_into_the_config_is_no_move(depot: Depot) -> None:
    laid_clean(depot)
    configured(depot, "")
    assert branchflow(depot.sh, "run", "clean").returncode == 0
    configured(depot, ", remote: cold")
    before = refs(depot)
    done = branchflow(depot.sh, "run", "clean")
    assert (done.returncode, refs(depot)) == (3, before)
    assert "try: git branchflow storage move 'clean' cold" in done.stderr
    assert branchflow(depot.sh, "storage", "move", "clean", "cold").returncode == 0
    assert branchflow(depot.sh, "run", "clean").returncode == 0
    assert depot.stored("cold") == {OLD}
    assert "../../cold" in depot.sh.git("show", "origin/clean:.dvc/config")
