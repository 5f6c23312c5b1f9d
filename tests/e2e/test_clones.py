"""Every kind of clone: with only `origin/*` branches, shallow, of one branch, and a worktree."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.flow import (
    CHECK,
    DEV,
    FIRST_TAG,
    SECOND_TAG,
    STABLE,
    Flow,
    change_code,
    copy_flow,
    csv_files,
    edit,
    error_line,
)

pytestmark = pytest.mark.slow


@pytest.fixture
def fresh(flow_template: Path, tmp_path: Path, env: dict[str, str]) -> Flow:
    """A flow seen from a clone as `git clone` leaves it."""
    return copy_flow(flow_template, tmp_path / "team", env, local=False)


def local_branches(flow: Flow) -> list[str]:
    return flow.sh.git("for-each-ref", "--format=%(refname:lstrip=2)", "refs/heads").splitlines()


def test_every_verb_works_where_only_main_is_local(fresh: Flow, tmp_path: Path) -> None:
    files = csv_files(tmp_path / "inbox", "four")
    change_code(fresh, 1.5)
    fresh.branchflow("status")
    assert len(fresh.result("runs")["records"]) == 2
    fresh.branchflow("compare", FIRST_TAG, SECOND_TAG)
    fresh.ingest(*files, partition="2024-03")
    fresh.branchflow("pin", "clean", "raw@origin/raw~1")
    fresh.branchflow("pin", "clean")
    fresh.branchflow("run", "clean")
    fresh.branchflow("sync")
    fresh.branchflow("run", DEV)
    fresh.branchflow("promote", DEV)
    fresh.branchflow("release", STABLE)
    assert local_branches(fresh) == ["main"]
    assert fresh.sh.git("tag").split() == [FIRST_TAG, SECOND_TAG, "m@v1.0.2", "m@v1.1.0"]
    assert "2024-03/four.csv" in fresh.raw_files()
    status = fresh.result("status")["branches"]
    assert not [row["branch"] for row in status if row["behind"] or not row["is_current"]]
    records = fresh.sh.at(fresh.origin).git("ls-tree", "-r", "--name-only", "main", "runs")
    assert len(records.splitlines()) == 4


def test_switch_goes_to_branches_that_are_only_on_the_origin(fresh: Flow) -> None:
    fresh.branchflow("switch", "split")
    assert fresh.sh.git("symbolic-ref", "--short", "HEAD") == "split"
    months = {path.relative_to(fresh.repo).parts[2] for path in fresh.repo.glob("data/split/*/*/*")}
    assert months == {"2024-01", "2024-02"}
    fresh.branchflow("switch", FIRST_TAG)
    assert fresh.sh.git("describe", "--exact-match") == FIRST_TAG
    assert not fresh.sh.git("status", "--porcelain")
    assert "up to date" in fresh.sh.dvc("status")


def test_switch_refuses_what_would_be_lost(fresh: Flow) -> None:
    fresh.branchflow("switch", STABLE)
    model = fresh.repo / "models/m.json"
    model.chmod(0o644)
    model.unlink()
    model.write_text("tuned by hand\n", encoding="utf-8")
    assert "models/m.json" in error_line(fresh.branchflow("switch", "main", code=3))
    assert model.read_text(encoding="utf-8") == "tuned by hand\n"


@pytest.mark.parametrize(
    "verb",
    [
        ["ingest", "--source", "tests", "FILE"],
        ["pin", "clean"],
        ["run", "clean"],
        ["sync"],
        ["promote", DEV],
        ["release", STABLE],
    ],
    ids=lambda verb: verb[0],
)
def test_a_shallow_clone_is_told_to_deepen(fresh: Flow, tmp_path: Path, verb: list[str]) -> None:
    shallow = fresh.new_clone("shallow", depth=1)
    refs = fresh.refs()
    files = csv_files(tmp_path / "inbox", "four")
    words = [str(files[0]) if word == "FILE" else word for word in verb]
    for options in ([], ["--dry-run"]):
        done = shallow.branchflow(*words, *options, code=3)
        assert "this clone is shallow" in error_line(done)
        assert "  try: git fetch --unshallow" in done.stderr
    assert fresh.refs() == refs


def test_a_shallow_clone_shows_the_flow_and_its_releases(fresh: Flow) -> None:
    fresh.ingest(*csv_files(fresh.root / "inbox", "four"), partition="2024-03")
    shallow = fresh.new_clone("shallow", depth=1)
    assert "raw" in shallow.branchflow("status").stdout
    assert len(shallow.result("runs")["records"]) == 2
    shallow.branchflow("compare", FIRST_TAG, SECOND_TAG)
    shallow.branchflow("switch", STABLE)
    assert json.loads((shallow.repo / "models/m.json").read_text(encoding="utf-8"))["mean"] > 0


def test_a_deepened_clone_works(fresh: Flow) -> None:
    shallow = fresh.new_clone("shallow", depth=1)
    shallow.sh.git("fetch", "-q", "--unshallow")
    shallow.ingest(*csv_files(fresh.root / "inbox", "four"), partition="2024-03")
    assert "2024-03/four.csv" in fresh.raw_files()


def test_a_linked_worktree_is_as_good_as_the_clone(fresh: Flow) -> None:
    tree = fresh.root / "tree"
    fresh.sh.git("worktree", "add", "-q", tree, STABLE)
    beside = fresh.inside(fresh.sh.at(tree))
    beside.ingest(*csv_files(fresh.root / "inbox", "four"), partition="2024-03")
    beside.branchflow("run", "clean")
    assert "2024-03/four.csv" in fresh.raw_files()
    rows = {row["branch"]: row for row in beside.result("status")["branches"]}
    assert not rows["clean"]["behind"]
    assert not beside.sh.git("status", "--porcelain")
    assert (fresh.repo / ".dvc/cache/files/md5").is_dir()
    assert not (tree / ".dvc/cache").exists()


def test_a_clone_of_one_branch_is_completed_on_the_way(fresh: Flow) -> None:
    single = fresh.root / "single"
    fresh.sh.git("clone", "-q", "--single-branch", "--branch", "main", fresh.origin, single)
    flow = fresh.inside(fresh.sh.at(single))
    flow.ingest(*csv_files(fresh.root / "inbox", "four"), partition="2024-03")
    flow.branchflow("run", "clean")
    assert "2024-03/four.csv" in fresh.raw_files()


@pytest.mark.parametrize("verb", [["promote", DEV], ["release", STABLE, "--major"]])
def test_a_stale_clone_goes_by_the_newest_config(fresh: Flow, verb: list[str]) -> None:
    change_code(fresh, 1.5)
    config = (fresh.repo / "branchflow.yaml").read_text(encoding="utf-8")
    stricter = config.replace(CHECK, "echo much stricter; false")
    edit(fresh, "main", {"branchflow.yaml": stricter}, "Check more")
    done = fresh.branchflow(*verb, code=1)
    assert "much stricter" in error_line(done)


def test_a_stale_clone_builds_on_the_newest_branches(fresh: Flow) -> None:
    other = fresh.new_clone("other")
    other.ingest(*csv_files(fresh.root / "inbox", "four"), partition="2024-03")
    other.branchflow("run", "clean")
    fresh.branchflow("run", "split")
    commits = fresh.sh.at(fresh.origin).git("show", "split:pins.yaml")
    assert fresh.refs()["refs/heads/clean"] in commits
