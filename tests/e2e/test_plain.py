"""What is left when branchflow is uninstalled: plain DVC, Git and GTO do all of it again."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.dvc_reads import check_plots_page, check_releases
from tests.support.flow import FIRST_TAG, SECOND_TAG, STABLE, Flow, copy_flow, have_local_branches
from tests.support.isolation import isolated_env
from tests.support.plain import plain_environment
from tests.support.repos import CommandError, Shell, missing_from_directory_remote

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def plain_bin() -> Path:
    """The environment lives beside the tests' own one, and is built only once."""
    return plain_environment(Path(sys.prefix) / "plain")


@pytest.fixture
def team(flow_template: Path, tmp_path: Path, plain_bin: Path) -> Flow:
    """A fresh clone, as a person has it who never heard of branchflow."""
    env = isolated_env(tmp_path / "home", bin_folder=plain_bin)
    flow = copy_flow(flow_template, tmp_path / "team", env, local=False)
    with pytest.raises(CommandError, match="is not a git command"):
        flow.sh.git("branchflow", "-h")
    return flow


@pytest.fixture(params=["clone", "shallow clone of the tag", "worktree"])
def released(request: pytest.FixtureRequest, team: Flow) -> Iterator[Shell]:
    """A shell in each kind of checkout of the second release."""
    if request.param == "clone":
        team.sh.git("switch", "-q", STABLE)
        yield team.sh
    elif request.param == "worktree":
        tree = team.root / "tree"
        team.sh.git("worktree", "add", "-q", tree, SECOND_TAG)
        yield team.sh.at(tree)
    else:
        target = team.root / "shallow"
        source = team.origin.as_uri()
        team.sh.git("clone", "-q", "--depth=1", "--branch", SECOND_TAG, source, target)
        yield team.sh.at(target)


def metrics(sh: Shell) -> object:
    return json.loads((sh.cwd / "metrics.json").read_text(encoding="utf-8"))


def test_pull_is_complete_and_a_deleted_model_is_made_again(released: Shell) -> None:
    released.dvc("pull")
    assert "Data and pipelines are up to date." in released.dvc("repro")
    assert not released.git("status", "--porcelain")
    before = metrics(released)
    (released.cwd / "models/m.json").unlink()
    (released.cwd / "metrics.json").unlink()
    assert "Running stage 'train'" in released.dvc("repro", "--force", "train")
    assert metrics(released) == before
    assert not released.git("status", "--porcelain")


@pytest.mark.parametrize("branch", ["clean", "split", "dev/m"])
def test_data_branches_are_up_to_date_for_plain_dvc(team: Flow, branch: str) -> None:
    team.sh.git("switch", "-q", branch)
    team.sh.dvc("pull")
    assert "Data and pipelines are up to date." in team.sh.dvc("repro")
    assert not team.sh.git("status", "--porcelain")


def test_raw_is_pulled_file_by_file(team: Flow) -> None:
    team.sh.git("switch", "-q", "raw")
    team.sh.dvc("pull")
    found = {str(path.relative_to(team.repo)) for path in team.repo.glob("data/raw/*/*.csv")}
    assert found == {f"data/raw/{name}" for name in team.raw_files()}
    assert not team.sh.git("status", "--porcelain")


def test_an_experiment_shows_pins_params_and_metrics(team: Flow) -> None:
    team.sh.git("switch", "-q", STABLE)
    team.sh.dvc("pull")
    team.sh.dvc("exp", "run", "-q", "-n", "bolder", "-S", "train.scale=2.5")
    shown = json.loads(team.sh.dvc("exp", "show", "--json"))
    head = shown[1]
    experiment = head["experiments"][0]["revs"][0]
    assert experiment["name"] == "bolder"
    pins = head["data"]["params"]["pins.yaml"]["data"]
    assert pins == {"split": team.sh.git("rev-parse", "origin/split")}
    assert experiment["data"]["params"]["params.yaml"]["data"]["train"] == {"scale": 2.5}
    errors = [rev["data"]["metrics"]["metrics.json"]["data"]["error"] for rev in (head, experiment)]
    assert errors[0] < errors[1]
    table = team.sh.dvc("exp", "show", "--csv").splitlines()[0].split(",")
    assert {"split", "error", "train.scale"} <= set(table)


def test_two_releases_differ_in_metrics_pins_and_plots(team: Flow) -> None:
    check_releases(team.sh)
    check_plots_page(team.sh)


def test_gto_lists_the_releases(team: Flow) -> None:
    shown = json.loads(team.sh.run("gto", "show", "--json").stdout)
    assert shown["m"]["version"] == "v1.0.1"
    history = team.sh.run("gto", "history", "m", "--plain").stdout
    assert "v1.0.0" in history
    assert "v1.0.1" in history


def test_the_released_model_can_be_had_by_its_name(team: Flow) -> None:
    target = Shell(team.root, team.sh.env)
    target.dvc("artifacts", "get", str(team.repo), "m", "--rev", "v1.0.0", "-o", "model.json")
    assert "mean" in json.loads((team.root / "model.json").read_text(encoding="utf-8"))


def test_lineage_is_plain_git(team: Flow) -> None:
    second = team.sh.git("tag", "--contains", "origin/raw")
    assert second == SECOND_TAG
    raw_before = team.sh.git("rev-parse", "origin/raw~1")
    assert team.sh.git("tag", "--contains", raw_before).split() == [FIRST_TAG, SECOND_TAG]


def test_gc_of_branches_and_tags_loses_nothing(team: Flow) -> None:
    """Pins are plain pointers, so `dvc gc -a -T` keeps what local branches and tags need."""
    have_local_branches(team.sh)
    # `fetch` and `gc` with -a or -T resolve a relative URL from the root of the file system, find
    # no manifest there, and `gc` goes on to delete the files of every directory.
    team.sh.dvc("remote", "modify", "--local", "store", "url", str(team.store))
    team.sh.dvc("fetch", "--all-branches", "--all-tags")
    team.sh.dvc("gc", "--all-branches", "--all-tags", "--cloud", "--force")
    assert not missing_from_directory_remote(team.repo, team.store, whole_history=False)
