"""`storage erase` in a whole flow, with plain DVC afterwards; and a kill at any point of it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.support.depot import Depot, lay_depot, md5, object_path
from tests.support.flow import DEV, FIRST_MONTH, FIRST_TAG, SECOND_TAG, STABLE, Flow, kill_when
from tests.support.isolation import isolated_env
from tests.support.plain import plain_environment
from tests.support.repos import Shell, missing_from_directory_remote
from tests.support.server_hooks import guard

pytestmark = pytest.mark.slow
WHY = ("--reason", "request 17", "--yes")
ANN = "ann,17\n"
GONE = md5(ANN.encode())


def erase(flow: Flow, path: str) -> str:
    """Erase a file of the first month; return its md5."""
    outcome = flow.result("storage", "erase", path, *WHY)
    assert (outcome["held"], outcome["plan"]["unknown"]) == ([], [])
    (oid,) = outcome["plan"]["objects"]
    return str(oid)


def copies(*folders: Path, oid: str) -> list[Path]:
    """The files that hold an object, in whatever folder and under whatever name."""
    files = (path for folder in folders for path in folder.rglob("*") if path.is_file())
    return [path for path in files if md5(path.read_bytes()) == oid]


def test_raw_derived_and_sampled_files_are_erased_and_the_flow_goes_on(
    flow_repo: Flow, tmp_path: Path
) -> None:
    flow = flow_repo
    flow.sh.git("switch", "--quiet", "--detach", "origin/main")
    guard(flow.origin, flow.sh)
    tags = [flow.sh.git("rev-parse", tag) for tag in (FIRST_TAG, SECOND_TAG)]
    gone = {
        erase(flow, f"data/{folder}/{FIRST_MONTH}/{name}")
        for folder, name in (("raw", "one.csv"), ("clean", "one.csv"), ("split", "train/one.csv"))
    }
    assert len(gone) == 3
    for oid in gone:
        assert copies(flow.root, oid=oid) == []
    assert tags == [flow.sh.git("rev-parse", tag) for tag in (FIRST_TAG, SECOND_TAG)]
    runs = flow.result("runs")
    assert {tag: len(ids) for tag, ids in runs["erased"].items()} == {FIRST_TAG: 3, SECOND_TAG: 3}
    assert "data erased" in flow.branchflow("runs").stdout
    assert "was erased since" in flow.branchflow("compare", FIRST_TAG, SECOND_TAG).stdout
    found = flow.result("storage", "verify")
    assert (found["findings"], found["erased"]) == ([], 3)
    assert {one["tag"] for one in found["releases"] if one["erased"]} == {FIRST_TAG, SECOND_TAG}
    flow.branchflow("check", "--all")

    plain = isolated_env(
        tmp_path / "plain", bin_folder=plain_environment(Path(sys.prefix) / "plain")
    )
    tips = Flow(flow.root, flow.sh.with_env(plain)).new_clone("fresh").sh
    for branch in ("raw", "clean", "split", DEV, STABLE):
        tips.git("switch", "--quiet", "--detach", f"origin/{branch}")
        tips.dvc("pull", "--quiet")
    assert not (tips.cwd / "data/split" / FIRST_MONTH / "train/one.csv").exists()
    assert (tips.cwd / "data/split" / FIRST_MONTH / "train/two.csv").exists()

    steps = {step["branch"] for step in flow.result("sync")}
    assert {"clean", "split", STABLE} <= steps
    assert flow.result("storage", "verify")["findings"] == []
    missing = missing_from_directory_remote(flow.origin, flow.store)
    assert {line.partition(":")[0] for line in missing} == gone
    flow.branchflow("storage", "erase", "--check")


def team(base: Path, sh: Shell) -> Depot:
    """Raw with a month of two files; one of them on a dev branch as well."""
    depot = lay_depot(base, sh)
    depot.branch("raw")
    depot.point("data/raw/2024-01", {"ann.csv": ANN, "bob.csv": "bob,18\n"})
    depot.commit()
    depot.push("raw")
    depot.branch("dev/x")
    depot.point("mine.csv", ANN)
    depot.commit()
    depot.push("dev/x")
    depot.sh.git("switch", "--quiet", "--detach", "main")
    return depot


@pytest.mark.parametrize("moment", ["pushing raw", "refs moved", "gone"])
def test_a_kill_leaves_old_or_new_and_the_same_command_finishes(
    tmp_path: Path, sh: Shell, moment: str
) -> None:
    depot = team(tmp_path / "team", sh)
    origin = depot.sh.at(depot.origin)
    before = (depot.origin / "refs/heads/raw").read_text()
    moments = {
        "refs moved": lambda: (depot.origin / "refs/heads/raw").read_text() != before,
        "gone": lambda: not object_path(depot.store, GONE).exists(),
    }
    command = ["git", "branchflow", "storage", "erase", "data/raw/2024-01/ann.csv", *WHY]
    kill_when(depot.sh, command, moments.get(moment, moment))
    heads = origin.git("for-each-ref", "--format=%(objectname)", "refs/heads").split()
    asked = [origin.run("git", "grep", "-q", "nfiles: 2", sha, check=False) for sha in heads]
    holds_it = any(one.returncode == 0 for one in asked)
    assert object_path(depot.store, GONE).exists() or not holds_it
    done = depot.sh.run(*command)
    assert "no copy is left" in done.stdout
    assert copies(depot.base, oid=GONE) == []
    assert depot.sh.run("git", "branchflow", "storage", "erase", "--check").returncode == 0
    log = origin.git("log", "--format=%s", "main").splitlines()
    assert [line.partition(" ")[0] for line in log[:2]] == ["Prove", "Erase"]
    assert origin.git("rev-list", "--count", "raw") == "3"
