"""Experiments of the real `dvc exp run`, wherever it ran: listed, compared, and one promoted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.dvc_reads import check_releases, shown
from tests.support.flow import DEV, FIRST_TAG, SECOND_TAG, STABLE, Flow, copy_flow
from tests.support.isolation import isolated_env
from tests.support.repos import Shell, checkout_digest, digest_diff

pytestmark = pytest.mark.slow

KINDS = {"here": 0.9, "aside": 0.8, "queued": 0.7}
"""Experiment → its `train.scale`: in the workspace, in a temporary folder, from the queue."""


@pytest.fixture(scope="module")
def team(flow_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Flow:
    """A team with an experiment of each kind: two on dev/m, a queued one in a worktree on stable/m."""
    root = tmp_path_factory.mktemp("experiments")
    flow = copy_flow(flow_template, root / "team", isolated_env(root / "home"))
    flow.branchflow("run", DEV)  # on the newest split, as the second release
    flow.branchflow("switch", DEV)
    run(flow.sh, "here")
    flow.sh.git("checkout", "-q", ".")
    run(flow.sh, "aside", "--temp")
    tree = flow.sh.at(flow.root / "tree")
    flow.sh.git("worktree", "add", "-q", tree.cwd, STABLE)
    cache = f"[cache]\n    dir = {flow.repo / '.dvc/cache'}\n"
    (tree.cwd / ".dvc/config.local").write_text(cache, encoding="utf-8")
    tree.dvc("pull", "-q")
    run(tree, "queued", "--queue")
    tree.dvc("exp", "run", "--run-all")
    return flow


def run(sh: Shell, name: str, *options: str) -> None:
    sh.dvc("exp", "run", "-q", "-n", name, "-S", f"train.scale={KINDS[name]}", *options)


def listed(flow: Flow, *args: str) -> dict[str, dict[str, Any]]:
    result = flow.result("compare", "--experiments", *args)
    assert not result["unreadable"]
    return {run["name"]: run for group in result["groups"] for run in group["runs"]}


def test_each_kind_is_listed_on_its_branch_with_what_dvc_itself_shows(team: Flow) -> None:
    runs = listed(team)
    assert runs.keys() == {*KINDS, DEV, STABLE}
    by_dvc = shown(team.sh, "-aT")
    for name, ours in runs.items():
        theirs = by_dvc[SECOND_TAG if name == STABLE else name]
        assert ours["params"] == {
            "train.scale": theirs["params"]["params.yaml"]["data"]["train"]["scale"]
        }
        assert ours["metrics"] == theirs["metrics"]["metrics.json"]["data"]
        assert ours["pins"] == {"split": theirs["params"]["pins.yaml"]["data"]["split"]}
        outs = {path: out["hash"] for path, out in theirs["outs"].items()}
        assert {path: out["md5"] for path, out in ours["outs"].items()} == outs
    assert {name: runs[name]["params"]["train.scale"] for name in KINDS} == KINDS
    assert listed(team, DEV).keys() == {"here", "aside", DEV}
    assert listed(team, STABLE).keys() == {"queued", STABLE}


def test_they_stand_beside_releases_and_are_ranked_only_on_the_same_data(team: Flow) -> None:
    found = team.result("compare", "queued", SECOND_TAG, "--by", "error", "--lower")
    assert [run["kind"] for run in found["runs"]] == ["experiment", "release"]
    assert found["best"] == {"error": [SECOND_TAG]}
    for other, why in (("here", "samples of the split"), (FIRST_TAG, "split certificates")):
        apart = team.result("compare", "queued", other, "--by", "error", "--lower")
        assert apart["not_ranked"] == f"evaluated on different {why}"
        assert not apart["best"]
    text = team.branchflow("compare", "--experiments", DEV, "--by", "error", "--lower").stdout
    assert "* lowest error: aside" in text


def test_the_experiments_of_a_worktree_are_seen_from_any_other(team: Flow) -> None:
    other = team.root / "other"
    team.sh.git("worktree", "add", "-q", "--detach", other, "main")
    assert listed(team.inside(team.sh.at(other))).keys() == listed(team).keys()


def test_releases_read_the_same_for_plain_dvc_after_a_switch(team: Flow) -> None:
    tree = Shell(team.root / "switched", team.sh.env)
    team.sh.git("worktree", "add", "-q", "--detach", tree.cwd, "main")
    team.inside(tree).branchflow("switch", SECOND_TAG)
    check_releases(tree)


def test_promoted_params_make_the_same_metrics_again(team: Flow) -> None:
    """The last one: it moves dev/m, where the experiments of this file stand."""
    before = checkout_digest(team.repo)
    tip = team.refs()[f"refs/heads/{DEV}"]
    planned = team.result("promote", "--experiment", "here", "--dry-run")
    assert planned["params"] == {"train.scale": [1.0, 0.9]}
    assert team.refs()[f"refs/heads/{DEV}"] == tip
    wanted: Mapping[str, Any] = listed(team, DEV)["here"]
    said = team.branchflow("promote", "--experiment", "here").stdout
    assert said.startswith("took the params of here to dev/m: ")
    assert team.sh.git("diff", "--name-only", tip, f"origin/{DEV}") == "params.yaml"
    team.branchflow("run", DEV)
    again = team.result("compare", DEV, "here")
    assert again["rows"]["metrics.error"] == [wanted["metrics"]["error"]] * 2
    assert not again["not_ranked"]
    assert again["notes"] == []
    assert not digest_diff(before, checkout_digest(team.repo))
