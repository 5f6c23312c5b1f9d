"""What is needed: every way to need an object is found, and nothing else is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dvc_branchflow.errors import BranchflowError, FlowError, StorageError
from dvc_branchflow.project import Project
from dvc_branchflow.work.census import Census, require_all_known, take_census
from dvc_branchflow.work.parts import COUNT, key
from tests.support.depot import Depot, lay_depot, object_path
from tests.support.repos import Shell
from tests.support.rows import ROWS

pytestmark = pytest.mark.usefixtures("as_user")


@pytest.fixture
def depot(tmp_path: Path, sh: Shell) -> Depot:
    return lay_depot(tmp_path / "team", sh)


def census_of(depot: Depot, **options: Any) -> Census:
    return take_census(Project.open(depot.repo), lambda _: None, **options)


def needed(census: Census) -> set[bytes]:
    files = {found for part in range(COUNT) for found, _ in census.needs.parts.keys(part)}
    return files | {key(oid) for oid in census.needs.reach.outs}


@pytest.mark.slow
def test_the_history_of_a_whole_flow_is_read_as_an_independent_reader_does(flow_repo: Any) -> None:
    from tests.support.repos import objects_needed

    census = census_of(Depot(flow_repo.root, flow_repo.sh))
    expected = objects_needed(flow_repo.repo, flow_repo.store)
    assert {key(oid) for oid in expected} <= needed(census)
    assert not census.needs.problems
    assert {oid for oid in expected if oid.endswith(".dir")} == {
        oid for oid in census.needs.reach.outs if oid.endswith(".dir")
    }


def committed(depot: Depot, path: str, text: str) -> str:
    depot.branch("dev/x")
    depot.write(path, text)
    return depot.commit()


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a.csv.dvc", "<<<<<<< ours\n"),
        ("a.csv.dvc", ""),
        ("sub/dvc.lock", "stages: [\n"),
        ("pins.yaml", "raw: nonsense\n"),
        ("pins.yaml", f"raw: {'1' * 40}\n"),
    ],
)
def test_a_commit_that_cant_be_read_is_a_problem_until_it_is_given_up(
    depot: Depot, path: str, text: str
) -> None:
    sha = committed(depot, path, text)
    depot.sh.git("switch", "--quiet", "main")
    problem, *others = census_of(depot).needs.problems
    assert not others
    assert sha[:10] in str(problem)
    with pytest.raises(StorageError, match="not all known") as error:
        require_all_known([problem], "storage gc")
    assert f"--lost {problem.id}" in str(error.value.hint)
    assert not census_of(depot, lost=[problem.id]).needs.problems


def test_what_is_given_up_still_keeps_every_id_that_stands_in_it(depot: Depot) -> None:
    oid = depot.file("in a conflict")
    committed(depot, "a.csv.dvc", f"<<<<<<< ours\nouts:\n- md5: {oid}\n=======\n")
    depot.sh.git("switch", "--quiet", "main")
    problem = census_of(depot).needs.problems[0]
    assert key(oid) in needed(census_of(depot, lost=[problem.id]))


def test_an_uncommitted_file_that_cant_be_read_is_a_problem_that_has_no_way_out(
    depot: Depot,
) -> None:
    depot.write("a.csv.dvc", "half wri")
    problem = census_of(depot).needs.problems[0]
    assert "a.csv.dvc" in str(problem)
    with pytest.raises(StorageError) as error:
        require_all_known([problem])
    assert error.value.hint is None


def test_a_manifest_that_is_nowhere_is_a_problem(depot: Depot) -> None:
    depot.branch("dev/x")
    oid = depot.point("tree", {"x": "1"})
    depot.commit()
    object_path(depot.store, oid).unlink()
    assert not census_of(depot).needs.problems  # the cache has it
    object_path(depot.cache, oid).unlink()
    problem = census_of(depot).needs.problems[0]
    assert (problem.id, "tree" in problem.what) == (oid, True)


@pytest.mark.parametrize("damaged", ["cache", "store", "both"])
def test_a_damaged_manifest_is_taken_from_where_it_is_good(depot: Depot, damaged: str) -> None:
    depot.branch("dev/x")
    oid = depot.point("tree", {"x": "1"})
    depot.commit()
    for place in (depot.cache, depot.store):
        if damaged in {place.name, "both"}:
            path = object_path(place, oid)
            path.chmod(0o644)
            path.write_text("[]", encoding="utf-8")
    problems = census_of(depot).needs.problems
    assert [problem.id for problem in problems] == ([oid] if damaged == "both" else [])


def test_a_manifest_comes_from_whichever_remote_has_it(tmp_path: Path, sh: Shell) -> None:
    depot = lay_depot(tmp_path / "team", sh, remotes=("store", "mirror"))
    depot.branch("dev/x")
    oid = depot.point("tree", {"x": "1"}, depot.base / "mirror")
    depot.commit()
    assert not census_of(depot).needs.problems
    assert object_path(depot.cache, oid).exists()


def test_a_dvc_remote_that_is_away_stops_it(depot: Depot) -> None:
    depot.store.rmdir()
    with pytest.raises(StorageError, match="can't be reached"):
        census_of(depot)


def test_a_git_remote_that_is_away_stops_it(depot: Depot) -> None:
    depot.sh.git("remote", "add", "fork", str(depot.base / "nowhere.git"))
    with pytest.raises(BranchflowError, match=r"fork' can't be reached"):
        census_of(depot)


@pytest.mark.parametrize("options", [["--depth=1"], ["--filter=blob:none"]])
def test_a_clone_that_lacks_history_stops_it(depot: Depot, options: list[str]) -> None:
    depot.sh.at(depot.origin).git("config", "uploadpack.allowFilter", "true")
    lean = depot.base / "lean"
    depot.sh.git("clone", "--quiet", *options, depot.origin.as_uri(), str(lean))
    with pytest.raises(FlowError, match=r"shallow|partial"):
        census_of(depot.inside(depot.sh.at(lean)))


def test_grafts_that_hide_history_stop_it(depot: Depot) -> None:
    sha = depot.sh.git("rev-parse", "HEAD")
    depot.write(".git/info/grafts", f"{sha}\n")
    with pytest.raises(FlowError, match="hides a part"):
        census_of(depot)


def test_a_worktree_on_a_disk_that_is_away_is_a_problem(depot: Depot) -> None:
    tree = depot.base / "away"
    depot.sh.git("worktree", "add", "--quiet", "--detach", "--lock", str(tree), "main")
    tree.rename(depot.base / "unplugged")
    assert "its folder is away" in str(census_of(depot).needs.problems[0])


def test_settings_of_the_user_dont_hide_pointers(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    oid = ROWS["older_commit"](depot)
    monkeypatch.setenv("GIT_LITERAL_PATHSPECS", "1")
    depot.sh.git("config", "diff.orderFile", "/nowhere")
    depot.sh.git("config", "log.showSignature", "true")
    depot.sh.git("config", "core.quotePath", "false")
    assert {key(one) for one in oid} <= needed(census_of(depot))


def test_a_remote_of_this_user_alone_is_left_out(depot: Depot) -> None:
    (depot.base / "mine").mkdir()
    text = "['remote \"mine\"']\n    url = ../../mine\n['remote \"gone\"']\n    url = /nowhere\n"
    depot.write(".dvc/config.local", text)
    assert census_of(depot).stock.remotes == ("store",)


def test_two_names_for_one_place_count_once(tmp_path: Path, sh: Shell) -> None:
    depot = lay_depot(tmp_path / "team", sh)
    config = (depot.repo / ".dvc/config").read_text(encoding="utf-8")
    depot.write(".dvc/config", config + "['remote \"again\"']\n    url = ../../store/\n")
    depot.commit()
    depot.push()
    assert census_of(depot).stock.remotes == ("store",)


def test_a_bare_repository_is_looked_after_where_it_lies(depot: Depot) -> None:
    needs = ROWS["older_commit"](depot)
    depot.push("dev/x")
    assert {key(oid) for oid in needs} <= needed(census_of(depot.inside(depot.sh.at(depot.origin))))


def retained(depot: Depot, kept: str) -> None:
    text = (depot.repo / "branchflow.yaml").read_text(encoding="utf-8")
    depot.config(f"{text}retention: {kept}\n")


def test_old_commits_of_a_role_keep_nothing_when_the_config_says_so(depot: Depot) -> None:
    retained(depot, "{dev: 30d}")
    depot.branch("dev/x")
    dropped = depot.point("a.csv", "checkpoint")
    still = depot.point("b.csv", "never changed")
    depot.commit(days_ago=60)
    tagged = depot.point("a.csv", "released")
    depot.commit(days_ago=50)
    depot.sh.git("tag", "keep")
    young = depot.point("a.csv", "young")
    depot.commit(days_ago=10)
    tip = depot.point("a.csv", "tip")
    depot.commit(days_ago=9)
    found = needed(census_of(depot))
    assert {key(oid) for oid in (still, tagged, young, tip)} <= found
    assert key(dropped) not in found


def test_what_another_branch_or_pin_keeps_outlives_a_roles_retention(depot: Depot) -> None:
    retained(depot, "{dev: 30d}")
    depot.branch("dev/x")
    pinned = depot.point("a.csv", "pinned")
    sha = depot.commit(days_ago=90)
    merged = depot.point("a.csv", "on stable's own line too")
    depot.commit(days_ago=80)
    depot.sh.git("branch", "stable/x")
    dropped = depot.point("a.csv", "dropped")
    depot.commit(days_ago=70)
    depot.point("a.csv", "tip")
    depot.write("pins.yaml", f"dev/x: {sha}\n")
    depot.commit(days_ago=60)
    found = needed(census_of(depot))
    assert {key(pinned), key(merged)} <= found
    assert key(dropped) not in found


def test_old_experiments_and_runs_are_dropped_when_the_config_says_so(depot: Depot) -> None:
    retained(depot, "{experiments: 30d, run-cache: 0d}")
    depot.branch("dev/x")
    oid = depot.point("a.csv", "an experiment's")
    sha = depot.commit(days_ago=40)
    depot.sh.git("update-ref", f"refs/exps/{sha[:2]}/{sha[2:]}/old", sha)
    depot.sh.git("switch", "--quiet", "main")
    depot.sh.git("branch", "-D", "--quiet", "dev/x")
    depot.sh.git("reflog", "expire", "--expire=now", "--expire-unreachable=now", "--all")
    run = ROWS["run_cache"](depot)
    assert not {key(one) for one in (oid, *run)} & needed(census_of(depot))
