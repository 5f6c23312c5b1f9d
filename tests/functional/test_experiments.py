"""Experiments as Git objects: listed and ranked with their baselines, and the params of one taken."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

import pytest

from dvc_branchflow.cli.run import main
from dvc_branchflow.errors import FlowError, UsageError
from dvc_branchflow.experiments import ExperimentList, ParamsOutcome, experiments, promote_params
from dvc_branchflow.git import Git
from dvc_branchflow.model import RefUpdate, Sha
from dvc_branchflow.project import Project
from dvc_branchflow.work.ranking import Choice
from tests.support.runs import experiment, put, split, trained

MAE = "validation.json:mae"
POINTER = f"outs:\n- md5: {'a' * 32}\n  size: 1\n  hash: md5\n  path: p\n".encode()


@pytest.fixture
def pinned(flow_git: Git) -> Sha:
    """The commit of a split with a certificate."""
    return split(flow_git, "c")


@pytest.fixture
def dev(flow_git: Git, pinned: Sha) -> Sha:
    """The tip of a dev branch that ran."""
    return put(flow_git, "dev/m", trained(pinned))


def listed(git: Git, branch: str | None = None, **choice: Any) -> ExperimentList:
    project = Project.open(git.toplevel or git.git_dir)
    return experiments(project, branch, Choice(**choice) if choice else None)


def names(found: ExperimentList) -> list[list[str]]:
    return [[run.name for run in group.runs] for group in found.groups]


def best(found: ExperimentList) -> list[list[str]]:
    return [[run.name for run in g.runs if run.commit in g.best] for g in found.groups]


def refs(git: Git) -> str:
    return git.text("for-each-ref")


# --- Listing -----------------------------------------------------------------------------------


def test_experiments_stand_with_what_they_were_run_on(flow_git: Git, pinned: Sha, dev: Sha) -> None:
    for name, value in (("b", 0.5), ("a", 1.5), ("c", 0.7)):
        experiment(flow_git, name, dev, trained(pinned, validation=value))
    found = listed(flow_git, "dev/m")
    assert names(found) == [["dev/m", "a", "b", "c"]]
    assert {run.model for run in found.groups[0].runs} == {"m"}
    ranked = listed(flow_git, metric=MAE, is_lower=True)
    assert names(ranked) == [["b", "c", "dev/m", "a"]]
    assert best(ranked) == [["b"]]
    assert names(listed(flow_git, metric=MAE, is_lower=False)) == [["a", "dev/m", "c", "b"]]


def test_each_experiment_belongs_to_the_branch_that_it_was_run_on(
    flow_git: Git, pinned: Sha, dev: Sha
) -> None:
    older = dev
    tip = put(flow_git, "dev/m", {"README.md": b"x"})
    stable = put(flow_git, "stable/m", trained(pinned, kind="boosting"), on=tip)
    gone = put(flow_git, "feature", {"x": b"1"}, on=tip)
    for name, at in (("old", older), ("new", tip), ("released", stable), ("lost", gone)):
        experiment(flow_git, name, at, trained(pinned))
    assert [set(group) for group in names(listed(flow_git, "dev/m"))] == [
        {"dev/m", "new", older[:10], "old"}
    ]
    assert names(listed(flow_git, "stable/m")) == [["stable/m", "released"]]
    every = {name for group in names(listed(flow_git)) for name in group}
    assert {"old", "new", "released", "lost", gone[:10]} <= every
    with pytest.raises(FlowError, match="nobody experiments there"):
        listed(flow_git, "split")


def test_a_commit_at_both_tips_is_the_dev_branchs(flow_git: Git, pinned: Sha, dev: Sha) -> None:
    flow_git.update_refs([RefUpdate("refs/heads/stable/m", None, dev)], "test")
    experiment(flow_git, "one", dev, trained(pinned))
    assert names(listed(flow_git, "dev/m")) == [["dev/m", "one"]]
    assert names(listed(flow_git, "stable/m")) == []


def test_what_is_not_the_same_data_is_ranked_apart(
    flow_git: Git, pinned: Sha, dev: Sha, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment(flow_git, "one", dev, trained(pinned, validation=0.9))
    other = split(flow_git, "d")
    tip = put(flow_git, "dev/m", trained(other, validation=5.0))
    experiment(flow_git, "two", tip, trained(other, validation=4.0))
    found = listed(flow_git, metric=MAE, is_lower=True)
    assert sorted(map(sorted, best(found))) == [["one"], ["two"]]
    assert main(["compare", "--experiments", "--by", MAE, "--lower"]) == 0
    out = capsys.readouterr().out
    assert "ranked apart: evaluated on different splits" in out
    assert {("one", "0.9*"), ("two", "4*")} <= {
        tuple(line.split()[:2]) for line in out.splitlines()
    }


def test_picking_by_the_test_side_is_warned_of(
    flow_git: Git, pinned: Sha, dev: Sha, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment(flow_git, "one", dev, trained(pinned, test=0.5))
    assert main(["compare", "--experiments", "--by", "mae", "--lower"]) == 0
    out = capsys.readouterr().out
    assert f"'mae' is measured on the test side, which each pick by it spends; pick by {MAE}" in out
    assert "* lowest mae: one" in out
    assert not listed(flow_git, metric=MAE, is_lower=True).notes


def test_a_metric_needs_a_way_and_has_to_be_there(flow_git: Git, pinned: Sha, dev: Sha) -> None:
    assert listed(flow_git, metric="no", is_lower=True).groups == ()
    experiment(flow_git, "one", dev, trained(pinned))
    with pytest.raises(UsageError, match="says which way 'mae' is better"):
        listed(flow_git, metric="mae")
    with pytest.raises(UsageError, match="no run has a value called 'mad'"):
        listed(flow_git, metric="mad", is_lower=True)
    for args in (
        ["--lower"],
        ["--experiments", "dev/m", "dev/m"],
        ["--by", "mae", "--lower", "--higher"],
    ):
        assert main(["compare", *args]) == 2


@pytest.mark.parametrize(
    "ref",
    ["refs/exps/stash", "refs/exps/exec/EXEC_HEAD", "refs/exps/celery/stash", "refs/exps/apply/stash",
     "refs/exps/temp/4c/0205b1c914979fed8dd5b30de55a19cdbf4633/x", "refs/exps/zz/x", "refs/exps/ab/cd/e"],
)  # fmt: skip
def test_refs_of_dvcs_own_are_no_experiments(flow_git: Git, dev: Sha, ref: str) -> None:
    flow_git.update_refs([RefUpdate(ref, None, dev)], "test")
    assert listed(flow_git).groups == ()


def test_an_experiment_that_can_not_be_read_is_named_and_the_others_listed(
    flow_git: Git, pinned: Sha, dev: Sha, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment(flow_git, "good", dev, trained(pinned))
    broken = experiment(flow_git, "broken", dev, {"dvc.lock": b"- 1\n"})
    blob = next(iter(flow_git.files(dev).values())).sha
    flow_git.run("update-ref", f"refs/exps/{dev[:2]}/{dev[2:]}/blob", blob)
    assert main(["compare", "--experiments"]) == 3
    said = capsys.readouterr()
    assert "good" in said.out
    assert f"(in commit {broken[:10]})" in said.err


def test_hundreds_of_experiments_are_read_in_one_batch(
    flow_git: Git, pinned: Sha, dev: Sha, monkeypatch: pytest.MonkeyPatch
) -> None:
    for n in range(30):
        experiment(flow_git, f"e{n}", dev, trained(pinned, validation=float(n)))
    started: list[list[str]] = []
    real = subprocess.Popen.__init__

    def start(self: Any, args: list[str], *rest: Any, **options: Any) -> None:
        started.append(args)
        real(self, args, *rest, **options)

    monkeypatch.setattr(subprocess.Popen, "__init__", start)
    assert len(listed(flow_git, "dev/m").groups[0].runs) == 31
    assert sum("cat-file" in args for args in started) == 1
    assert len(started) <= 6, started


# --- Taking the params -------------------------------------------------------------------------


def promoted(
    git: Git, name: str, branch: str | None = None, *, dry_run: bool = False
) -> ParamsOutcome:
    project = Project.open(git.toplevel or git.git_dir)
    return promote_params(project, name, branch, lambda _: None, dry_run=dry_run)


def content(git: Git, rev: str, path: str) -> str:
    return git.text("show", f"{rev}:{path}")


def test_params_are_taken_and_nothing_else(flow_git: Git, pinned: Sha, dev: Sha) -> None:
    sha = experiment(flow_git, "fox", dev, trained(pinned, kind="boosting", validation=0.1))
    before = refs(flow_git)
    plan = promoted(flow_git, "fox", dry_run=True)
    assert (plan.branch, plan.params, plan.commit) == (
        "dev/m",
        {"model.kind": ("linear", "boosting")},
        None,
    )
    assert refs(flow_git) == before
    made = promoted(flow_git, "fox")
    assert made.commit == flow_git.resolve("dev/m")
    assert flow_git.text("diff-tree", "-r", "--name-only", dev, made.commit or "") == "params.yaml"
    assert content(flow_git, "dev/m", "params.yaml") == "model:\n  kind: boosting\n  seed: 17"
    trailers = flow_git.text("log", "-1", "--format=%(trailers:key=Experiment,valueonly)", "dev/m")
    assert trailers.strip() == f"fox@{sha}"
    again = promoted(flow_git, "fox")
    assert (again.params, again.commit) == ({}, None)


def test_a_file_that_dvc_laid_out_anew_changes_in_one_line(flow_git: Git, dev: Sha) -> None:
    ours = "model: {kind: linear, seed: 17}   # as we write it\nlist: [1, 2]\n"
    base = put(flow_git, "dev/m", {"params.yaml": ours.encode()})
    theirs = "model:\n  kind: boosting\n  seed: 17\nlist:\n- 1\n- 3\n"
    experiment(flow_git, "fox", base, {"params.yaml": theirs.encode()})
    assert promoted(flow_git, "fox").params == {
        "model.kind": ("linear", "boosting"),
        "list": ([1, 2], [1, 3]),
    }
    wanted = ours.replace("linear", "boosting").replace("2]", "3]")
    assert content(flow_git, "dev/m", "params.yaml") + "\n" == wanted


def test_params_of_an_experiment_on_stable_go_to_its_dev_branch(
    flow_git: Git, pinned: Sha, dev: Sha
) -> None:
    stable = put(flow_git, "stable/m", {**trained(pinned), "MODEL_CARD.md": b"x"}, on=dev)
    experiment(flow_git, "fox", stable, trained(pinned, kind="boosting"))
    assert promoted(flow_git, "fox").branch == "dev/m"
    assert flow_git.resolve("stable/m") == stable


def test_what_the_branch_did_since_is_kept(flow_git: Git, pinned: Sha, dev: Sha) -> None:
    text = (
        "# the model\nmodel:\n  kind: linear   # or boosting\n  a: 1\n  b: 1\n  c: 1\n  seed: 17\n"
    )
    base = put(flow_git, "dev/m", {"params.yaml": text.encode()})
    experiment(flow_git, "fox", base, {"params.yaml": text.replace("linear", "boosting").encode()})
    put(flow_git, "dev/m", {"params.yaml": text.replace("17", "18").encode(), "tune.py": b"new\n"})
    assert promoted(flow_git, "fox").params == {"model.kind": ("linear", "boosting")}
    assert content(flow_git, "dev/m", "params.yaml") + "\n" == text.replace(
        "linear", "boosting"
    ).replace("17", "18")
    assert content(flow_git, "dev/m", "tune.py") == "new"


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ("model: {kind: other, seed: 17}\n", "model: {kind: boosting, seed: 17}\n"),
        (
            "model:\n  kind: linear\n  seed: 17\nx: 1\n\n\n\n",
            "x: 2\nmodel:\n  kind: linear\n  seed: 17\n",
        ),
    ],
    ids=["the same line", "the same key at both ends"],
)
def test_params_that_the_branch_changed_too_are_a_conflict(
    flow_git: Git, dev: Sha, ours: str, theirs: str
) -> None:
    experiment(flow_git, "fox", dev, {"params.yaml": theirs.encode()})
    tip = put(flow_git, "dev/m", {"params.yaml": ours.encode()})
    with pytest.raises(FlowError, match=r"the branch changed '.*' in another way since"):
        promoted(flow_git, "fox")
    assert flow_git.resolve("dev/m") == tip


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"tune.py": b"other\n", "params.yaml": b"a: 1\n"}, "changed code as well.*: tune.py"),
        ({"dvc.yaml": b"stages: {}\n"}, "changed code as well.*: dvc.yaml"),
        ({"params.yaml": None}, "changed code as well.*: params.yaml"),
        ({"new.py": b"x"}, "changed code as well.*: new.py"),
        ({"metrics.json": b"{}", ".gitignore": b"/x\n"}, "changed no params"),
        ({"params.yaml": b"a: 1\n", "data/split/p.dvc": POINTER}, "did not run on the data"),
        (
            {"params.yaml": b"a: 1\n", "pins.yaml": b"split: " + b"1" * 40},
            "did not run on the data",
        ),
        ({"params.yaml": b"a: [\n"}, "is not valid YAML"),
    ],
)
def test_what_is_more_than_params_is_refused(
    flow_git: Git,
    dev: Sha,
    files: dict[str, bytes | None],
    why: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    experiment(flow_git, "fox", dev, files)
    before = refs(flow_git)
    assert main(["promote", "--experiment", "fox"]) == 3
    (line, *_) = capsys.readouterr().err.splitlines()
    assert re.search(why, line), line
    assert refs(flow_git) == before


def test_names_that_do_not_fit_are_refused(flow_git: Git, pinned: Sha, dev: Sha) -> None:
    lost = put(flow_git, "feature", {"x": b"1"}, on=dev)
    one = experiment(flow_git, "same", dev, trained(pinned, kind="boosting"))
    tip = put(flow_git, "dev/m", {"README.md": b"x"})
    experiment(flow_git, "same", tip, trained(pinned, kind="other"))
    experiment(flow_git, "lost", lost, trained(pinned, kind="other"))
    for args, why in (
        (("no",), "there is no experiment 'no'; there are: lost, same"),
        (("same",), "several experiments are called 'same'"),
        (("lost",), "is on no dev or stable branch"),
        (("lost", "split"), "params go to dev branches"),
        (("lost", "dev/none"), "there is no branch 'dev/none'"),
    ):
        with pytest.raises(FlowError, match=why):
            promoted(flow_git, *args)
    assert promoted(flow_git, "lost", "dev/m", dry_run=True).params == {
        "model.kind": ("linear", "other")
    }
    assert promoted(flow_git, one).params == {"model.kind": ("linear", "boosting")}
    assert main(["promote"]) == 2


def test_a_checked_out_branch_is_left_alone(flow_git: Git, pinned: Sha, dev: Sha) -> None:
    experiment(flow_git, "fox", dev, trained(pinned, kind="boosting"))
    flow_git.run("switch", "--quiet", "dev/m", cwd=flow_git.toplevel)
    with pytest.raises(FlowError, match="is checked out"):
        promoted(flow_git, "fox")


def test_json_says_what_moved(
    flow_git: Git, pinned: Sha, dev: Sha, capsys: pytest.CaptureFixture[str]
) -> None:
    experiment(flow_git, "fox", dev, trained(pinned, kind="boosting"))
    assert main(["promote", "--experiment", "fox", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "branchflow/promote/1"
    assert document["result"]["params"] == {"model.kind": ["linear", "boosting"]}
