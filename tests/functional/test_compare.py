"""`compare` over any refs: what is shown of each, and when the runs are ranked."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dvc_branchflow.cli.run import main
from dvc_branchflow.compare import CodeChange, Comparison, compare
from dvc_branchflow.errors import FlowError, GitError
from dvc_branchflow.git import Git
from dvc_branchflow.model import RefUpdate, Sha
from dvc_branchflow.project import Project
from dvc_branchflow.work.views import RunView
from tests.support.runs import CODE, PIPELINE, experiment, put, record, split, trained


def compared(git: Git, *refs: str) -> Comparison:
    return compare(Project.open(git.toplevel or git.git_dir), refs)


def release(git: Git, version: str, commit: Sha, **more: Any) -> str:
    """A release with its tag and the record in it."""
    body = record(version, commit=commit, **more)
    tag = body["tag"]
    made = git.write_tag(tag, commit, f"Release\n\n{json.dumps(body, indent=2)}\n")
    git.update_refs([RefUpdate(f"refs/tags/{tag}", None, made)], "test")
    return str(tag)


@pytest.fixture
def pinned(flow_git: Git) -> Sha:
    """The commit of a split with a certificate."""
    return split(flow_git, "c")


@pytest.fixture
def dev(flow_git: Git, pinned: Sha) -> Sha:
    """The tip of a dev branch that ran."""
    return put(flow_git, "dev/m", trained(pinned))


def views(found: Comparison) -> dict[str, RunView]:
    return {run.name: run for run in found.runs}


def test_a_branch_is_read_from_its_tip(flow_git: Git, pinned: Sha, dev: Sha) -> None:
    put(flow_git, "dev/other", trained(pinned, kind="boosting", validation=0.5), on=dev)
    run = views(compared(flow_git, "dev/m", "dev/other"))["dev/other"]
    assert (run.kind, run.model, run.certificate) == ("branch", "other", "c" * 64)
    assert run.pins == {"split": pinned}
    assert run.params == {"model.kind": "boosting", "model.seed": 17}
    assert run.metrics == {"mae": 2.0, "rows": 9, "validation.json:mae": 0.5}
    assert run.test_side == ("mae", "rows")
    assert run.outs == {"models/m.bin": {"md5": run.outs["models/m.bin"]["md5"], "size": 8}}


def test_releases_branches_experiments_and_commits_stand_side_by_side(
    flow_git: Git, pinned: Sha, dev: Sha
) -> None:
    old = put(flow_git, "dev/m", {"tune.py": CODE + b"print(2)\n", "README.md": b"x\n"})
    tip = put(flow_git, "dev/m", trained(pinned, kind="boosting"))
    tag = release(flow_git, "v1.0.0", dev, code={"promoted": f"dev/m@{dev}"})
    experiment(flow_git, "quick-fox", tip, trained(pinned, kind="linear", validation=0.1))
    found = compared(flow_git, tag, "dev/m", "quick-fox", old[:12])
    assert [run.kind for run in found.runs] == ["release", "branch", "experiment", "commit"]
    fox = views(found)["quick-fox"]
    assert (fox.model, fox.baseline, fox.metrics["validation.json:mae"]) == ("m", tip, 0.1)
    assert found.rows["metrics", "mae"] == (20.0, 2.0, 2.0, 2.0)
    assert found.rows["params", "model.kind"] == (None, "boosting", "linear", "linear")
    assert found.rows["code", "promoted"] == (f"dev/m@{dev}", None, None, None)
    # What a run made is no code: the params of the branch differ by a line, the commit by two more.
    assert found.rows["code", "changed"] == (
        CodeChange(0, 0, 0), CodeChange(2, 2, 1), CodeChange(1, 1, 0), CodeChange(2, 2, 0),
    )  # fmt: skip
    assert found.notes == (f"{old[:12]}: its results were not made from what is committed",)


def test_where_outs_go_is_no_code(flow_git: Git, pinned: Sha) -> None:
    old = put(flow_git, "dev/m", trained(pinned))
    moved = PIPELINE.replace(b"[models/m.bin]", b"[models/m.bin: {remote: other}]")
    new = put(flow_git, "dev/m", {"dvc.yaml": moved, ".dvc/config": b"[core]\nremote = other\n"})
    assert moved != PIPELINE
    assert compared(flow_git, old, new).rows["code", "changed"][1] == CodeChange(0, 0, 0)


def test_a_tag_without_a_record_is_read_from_its_commit(flow_git: Git, dev: Sha) -> None:
    flow_git.update_refs([RefUpdate("refs/tags/mine", None, dev)], "test")
    assert views(compared(flow_git, "mine", "dev/m"))["mine"].kind == "commit"


def test_without_names_the_last_two_releases_of_one_model_are_compared(
    flow_git: Git, dev: Sha
) -> None:
    for patch in (0, 1, 2):
        release(flow_git, f"v1.0.{patch}", dev)
    release(flow_git, "v1.0.1", dev, model="x", tag="x@v1.0.1")
    assert [run.name for run in compared(flow_git).runs] == ["m@v1.0.1", "m@v1.0.2"]


@pytest.mark.parametrize("refs", [(), ("dev/m",), ("dev/m", "dev/m")])
def test_it_takes_two(flow_git: Git, dev: Sha, refs: tuple[str, ...]) -> None:
    with pytest.raises(FlowError, match="no two"):
        compared(flow_git, *refs)


def test_what_is_not_there_is_named(flow_git: Git, dev: Sha) -> None:
    with pytest.raises(GitError, match="'nosuch' is no commit, branch or tag here"):
        compared(flow_git, "dev/m", "nosuch")


# --- Ranking -----------------------------------------------------------------------------------


def gated(git: Git, pinned: Sha) -> None:
    """A stable branch whose gates say which way its metrics are better."""
    gates = b'    gates: {mae: {better: lower}, "validation.json:r2": {better: higher}, other: {better: lower}}\n'
    config = git.read_blobs([git.files(git.resolve("main"))["branchflow.yaml"].sha])
    text = next(iter(config.values())).replace(
        b'code: "dev/{}"}\n', b'code: "dev/{}",\n' + gates + b"  }\n"
    )
    put(git, "main", {"branchflow.yaml": text})
    put(git, "stable/m", trained(pinned))


def test_the_best_is_marked_where_a_gate_says_what_is_better(
    flow_git: Git, pinned: Sha, capsys: pytest.CaptureFixture[str]
) -> None:
    gated(flow_git, pinned)
    for patch, (mae, r2) in enumerate([(3.0, 0.1), (2.0, 0.3), (2.0, 0.2)]):
        metrics = {"metrics.json": {"mae": mae, "rows": patch}, "validation.json": {"r2": r2}}
        release(flow_git, f"v1.0.{patch}", flow_git.resolve("stable/m"), metrics=metrics)
    tags = [f"m@v1.0.{patch}" for patch in (0, 1, 2)]
    found = compared(flow_git, *tags)
    assert found.best == {"mae": ("m@v1.0.1", "m@v1.0.2"), "validation.json:r2": ("m@v1.0.1",)}
    assert main(["compare", *tags]) == 0
    shown = {tuple(line.split()[-4:]) for line in capsys.readouterr().out.splitlines()}
    assert {("mae", "3", "2*", "2*"), ("rows", "0", "1", "2")} <= shown


def test_nothing_is_ranked_on_different_certificates(
    flow_git: Git, pinned: Sha, capsys: pytest.CaptureFixture[str]
) -> None:
    gated(flow_git, pinned)
    tags = [
        release(flow_git, f"v1.0.{n}", pinned, certificate=letter * 64)
        for n, letter in enumerate("cd")
    ]
    found = compared(flow_git, *tags)
    assert found.best == {}
    assert main(["compare", *tags]) == 0
    out = capsys.readouterr().out
    assert "not ranked: evaluated on different split certificates" in out
    assert "*" not in out


def test_the_same_split_in_two_samples_is_not_the_same_data(
    flow_git: Git, pinned: Sha, dev: Sha
) -> None:
    put(flow_git, "dev/small", trained(pinned, sample=0.1), on=dev)
    assert (
        compared(flow_git, "dev/m", "dev/small").not_ranked
        == "evaluated on different samples of the split"
    )


@pytest.mark.parametrize("is_same", [True, False])
def test_without_certificates_equal_pins_are_what_counts(flow_git: Git, *, is_same: bool) -> None:
    first = put(flow_git, "split", {"x": b"1"})
    other = first if is_same else put(flow_git, "split", {"x": b"2"})
    put(flow_git, "dev/m", trained(first))
    put(flow_git, "dev/n", trained(other))
    assert (compared(flow_git, "dev/m", "dev/n").not_ranked == "") is is_same


# --- Files that are odd ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content", "metrics"),
    [
        ("a.yaml", b"x: 1\ny: {z: .5}\n", {"a.yaml:x": 1, "a.yaml:y.z": 0.5}),
        ("a.toml", b"x = 1\n[y]\nz = 0.5\n", {"a.toml:x": 1, "a.toml:y.z": 0.5}),
        ("a.json", b'{"x": 1e400, "y": true, "z": "1", "w": [1]}', {}),
        ("a.json", b"3", {"a.json:": 3}),
        ("live/metrics.json", b'{"x": 1}', {"live/metrics.json:x": 1}),
    ],
)
def test_metrics_are_read_as_dvc_reads_them(
    flow_git: Git, pinned: Sha, name: str, content: bytes, metrics: dict[str, float]
) -> None:
    top = b"metrics: [a.yaml, a.toml, a.json, live]\n"
    put(flow_git, "dev/m", {**trained(pinned), "dvc.yaml": PIPELINE + top, name: content})
    put(flow_git, "dev/n", trained(pinned))
    found = views(compared(flow_git, "dev/m", "dev/n"))["dev/m"].metrics
    assert found == {"mae": 2.0, "rows": 9, "validation.json:mae": 1.0, **metrics}


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"\xff",
        b"[" * 100_000,
        b'{"a":' * 5_000 + b"1" + b"}" * 5_000,
        b" " * (5 * 1024 * 1024),
    ],
    ids=["no JSON", "no UTF-8", "deep list", "deep mapping", "too large"],
)
def test_metrics_that_can_not_be_read_are_said_and_the_rest_is_compared(
    flow_git: Git, pinned: Sha, dev: Sha, content: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    put(flow_git, "dev/n", {**trained(pinned), "metrics.json": content})
    found = compared(flow_git, "dev/m", "dev/n")
    assert (
        found.rows["metrics", "validation.json:mae"] == (1.0, None) or found.rows["metrics", "mae"]
    )
    assert any(note.startswith("dev/n: 'metrics.json' ") for note in found.notes)
    assert main(["compare", "dev/m", "dev/n"]) == 0
    assert "dev/n: 'metrics.json' " in capsys.readouterr().out


def test_all_metrics_of_a_commit_together_are_bounded(flow_git: Git, pinned: Sha, dev: Sha) -> None:
    large = b'{"a": 1' + b" " * (3 * 1024 * 1024) + b"}"
    files = {**trained(pinned), "metrics.json": large, "validation.json": large}
    put(flow_git, "dev/n", files)
    found = compared(flow_git, "dev/m", "dev/n")
    assert views(found)["dev/n"].metrics == {"a": 1}
    assert "dev/n: 'validation.json' is not here, or too large" in found.notes


@pytest.mark.parametrize(
    "files", [{"pins.yaml": b"split: x\n"}, {"dvc.yaml": b"["}, {"dvc.lock": b"- 1\n"}]
)
def test_metadata_that_can_not_be_read_is_named(
    flow_git: Git, dev: Sha, files: dict[str, bytes]
) -> None:
    put(flow_git, "dev/n", files, on=dev)
    assert main(["compare", "dev/m", "dev/n"]) == 3


def test_pins_of_commits_that_are_not_here_are_shown_and_not_ranked(
    flow_git: Git, pinned: Sha, dev: Sha
) -> None:
    put(flow_git, "dev/n", {"pins.yaml": b"split: " + b"1" * 40 + b"\n"}, on=dev)
    put(
        flow_git,
        "dev/o",
        {"pins.yaml": b"split: " + flow_git.commits([dev])[dev].tree.encode() + b"\n"},
        on=dev,
    )
    found = compared(flow_git, "dev/n", "dev/o")
    assert [run.certificate for run in found.runs] == [None, None]
    assert found.not_ranked


def test_a_link_or_a_submodule_in_the_place_of_metrics_is_passed_over(
    flow_git: Git, pinned: Sha, dev: Sha
) -> None:
    flow_git.run("update-ref", "refs/heads/dev/n", dev)
    tree = flow_git.commits([dev])[dev].tree
    entries = flow_git.text("ls-tree", tree).splitlines()
    odd = [
        f"160000 commit {'1' * 40}\tmetrics.json" if e.endswith("\tmetrics.json") else e
        for e in entries
    ]
    odd = [e.replace("100644", "120000") if e.endswith("\tvalidation.json") else e for e in odd]
    made = flow_git.run("mktree", "--missing", data="\n".join(odd).encode()).stdout.decode().strip()
    commit = flow_git.run("commit-tree", made, "-p", dev, "-m", "odd").stdout.decode().strip()
    flow_git.run("update-ref", "refs/heads/dev/n", commit)
    assert views(compared(flow_git, "dev/m", "dev/n"))["dev/n"].metrics == {}
