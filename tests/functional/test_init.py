"""`init` over what people have: nothing of theirs is lost, broken, or pushed half-way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.functional.conftest import Team, branchflow, says
from tests.support.repos import Shell, bare_origin, checkout_digest, clone, digest_diff


def existing(sh: Shell, name: str = "repo", **files: str | bytes) -> Shell:
    """A repository with one commit; `__` in a name is a slash, `DOT` a dot."""
    at = sh.at(sh.cwd / name)
    sh.run("git", "init", "--quiet", at.cwd)
    for key, content in files.items():
        path = at.cwd / key.replace("__", "/").replace("DOT", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    at.git("add", "--all")
    at.git("commit", "--quiet", "--allow-empty", "-m", "Start")
    return at


def test_staged_files_of_a_repository_without_commits_survive(sh: Shell) -> None:
    at = sh.at(sh.cwd / "repo")
    sh.run("git", "init", "--quiet", at.cwd)
    (at.cwd / "precious.csv").write_text("the only copy")
    at.git("add", "precious.csv")
    branchflow(at, "init")
    assert (at.cwd / "precious.csv").exists()


def test_untracked_files_of_a_repository_without_commits_survive(sh: Shell) -> None:
    at = sh.at(sh.cwd / "repo")
    sh.run("git", "init", "--quiet", at.cwd)
    (at.cwd / "precious.csv").write_text("the only copy")
    assert branchflow(at, "init").returncode == 0
    assert (at.cwd / "precious.csv").read_text() == "the only copy"


def test_a_file_that_init_would_lay_is_not_overwritten(sh: Shell) -> None:
    (sh.cwd / "README.md").write_text("mine")
    done = branchflow(sh, "init")
    assert done.returncode == 3
    assert "README.md" in says(done)
    assert (sh.cwd / "README.md").read_text() == "mine"
    assert not (sh.cwd / ".git").exists()


@pytest.mark.parametrize(
    "settings",
    [
        "[core]\n    analytics = false\n",
        "[cache]\n    type = copy\n",
        pytest.param("['remote \"store\"']\n    url = ../../elsewhere\n"),
        pytest.param("[core]  # ours\n    analytics = false\n"),
        "['remote \"x\"']\n    url = ../../elsewhere\n[core]\n    remote = x\n",
    ],
)
def test_dvc_still_reads_the_config_of_an_existing_project(sh: Shell, settings: str) -> None:
    at = existing(sh, DOTdvc__config=settings)
    assert branchflow(at, "init", "--yes").returncode == 0
    assert at.run("dvc", "config", "--list", check=False).returncode == 0


def test_existing_dvc_remote_that_is_no_default_leaves_a_flow_that_can_ingest(sh: Shell) -> None:
    at = existing(sh, DOTdvc__config="['remote \"x\"']\n    url = ../../elsewhere\n")
    (sh.cwd / "a.csv").write_text("a")
    branchflow(at, "init", "--yes")
    assert branchflow(at, "ingest", "--source", "s", sh.cwd / "a.csv").returncode == 0


def test_existing_commits_need_a_yes_and_nothing_changes_without(sh: Shell) -> None:
    at = existing(sh, a="1")
    before = checkout_digest(at.cwd)
    done = branchflow(at, "init")
    assert done.returncode == 3
    assert "--yes" in says(done)
    assert not digest_diff(before, checkout_digest(at.cwd))
    assert branchflow(at, "init", "--dry-run").returncode == 0
    assert not digest_diff(before, checkout_digest(at.cwd))


def test_dirty_checkout_keeps_its_changes(sh: Shell) -> None:
    at = existing(sh, a="1", b="1")
    (at.cwd / "a").write_text("edited")
    (at.cwd / "b").write_text("staged")
    at.git("add", "b")
    assert branchflow(at, "init", "--yes").returncode == 0
    assert (at.cwd / "a").read_text() == "edited"
    assert at.git("diff", "--cached", "--name-only") == "b"


@pytest.mark.parametrize("change", ["edited", "untracked"])
def test_checkout_that_cannot_follow_stops_init_before_anything_is_pushed(
    sh: Shell, change: str
) -> None:
    bare_origin(sh.cwd / "origin.git", sh)
    at = clone(sh.cwd / "origin.git", sh.cwd / "repo", sh)
    (at.cwd / ".gitignore").write_text("mine\n")
    at.git("add", ".gitignore")
    at.git("commit", "--quiet", "-m", "Start")
    at.git("push", "--quiet", "origin", "HEAD")
    at.git("fetch", "--quiet")
    (at.cwd / (".gitignore" if change == "edited" else "README.md")).write_text("my own\n")
    before = at.git("ls-remote", "origin")
    done = branchflow(at, "init", "--yes")
    assert done.returncode == 3
    assert at.git("ls-remote", "origin") == before


def test_twice_is_nothing_the_second_time(team: Team) -> None:
    before = team.refs()
    done = team.bf("init")
    assert done.returncode == 0
    assert "nothing to do" in done.stdout
    assert team.refs() == before


def test_second_model_adds_one_branch_and_moves_no_other(team: Team) -> None:
    before = set(team.refs().splitlines())
    assert team.bf("init", "--model", "second", "--yes").returncode == 0
    new = set(team.refs().splitlines()) - before
    assert [line.split("\t")[1] for line in new] == ["refs/heads/dev/second"]


@pytest.mark.parametrize(
    "name",
    [
        "my repo",
        "é",
        "it's",
        "a,b",
        "a#b",
        "%(x)s",
    ],
)
def test_default_store_is_where_dvc_looks_too(sh: Shell, name: str) -> None:
    at = sh.at(sh.cwd / name)
    at.cwd.mkdir()
    done = branchflow(at, "init")
    if done.returncode == 0:
        wide = at.with_env({"COLUMNS": "1000"})
        listed = wide.run("dvc", "remote", "list", check=False).stdout
        assert str(at.cwd.with_name(f"{name}-store")) in listed
    else:
        assert done.returncode in {2, 3}
        assert name in says(done)


def test_default_store_of_a_subfolder_lies_outside_of_the_repository(sh: Shell) -> None:
    at = existing(sh, sub__a="1")
    branchflow(at.at(at.cwd / "sub"), "init", "--yes")
    assert not (at.cwd / "sub-store").exists()


@pytest.mark.parametrize("path", ["DOTgitignore", "DOTgitattributes", "DOTdvc__config"])
def test_file_that_is_not_utf8_is_kept_or_named(sh: Shell, path: str) -> None:
    at = existing(sh, **{path: b"caf\xe9\n"})
    done = branchflow(at, "init", "--yes")
    assert done.returncode in {0, 3}


@pytest.mark.parametrize("what", ["remote is a file", "folder is a file", "folder in a file"])
def test_place_that_cannot_be_used_is_an_error_of_the_user(sh: Shell, what: str) -> None:
    (sh.cwd / "file").write_text("")
    args = {
        "remote is a file": ["-C", "new", "init", "--remote", sh.cwd / "file"],
        "folder is a file": ["-C", "file", "init"],
        "folder in a file": ["-C", "file/below", "init"],
    }[what]
    assert branchflow(sh, *args).returncode in {2, 3}


def test_branch_in_the_way_of_a_pattern_is_named(sh: Shell) -> None:
    at = existing(sh, a="1")
    at.git("branch", "dev")
    done = branchflow(at, "init", "--yes")
    assert done.returncode == 3
    assert "moved" not in says(done)
    assert at.git("branch", "--format=%(refname:short)").split() == ["dev", "main"]
    assert at.git("log", "--format=%s", "main") == "Start"


@pytest.mark.parametrize("shown", ["feature", "raw"])
def test_config_on_a_branch_of_another_name_is_found_whatever_is_checked_out(
    sh: Shell, shown: str
) -> None:
    at = existing(sh, a="1")
    at.git("branch", "--move", "trunk")
    assert branchflow(at, "init", "--yes").returncode == 0
    at.git("branch", "feature")
    at.git("switch", "--quiet", shown)
    assert branchflow(at, "status").returncode == 0


def test_pipeline_with_yaml_anchors_on_main_is_no_obstacle(sh: Shell) -> None:
    pipeline = "stages:\n  a: &a\n    cmd: echo hi\n  b: *a\n"
    at = existing(sh, dvcDOTyaml=pipeline, DOTdvc__config="")
    assert branchflow(at, "init", "--yes").returncode == 0
    assert branchflow(at, "status").returncode == 0


@pytest.mark.parametrize(
    "args",
    [
        ["--model", "a b"],
        ["--model", "../x"],
        ["--model=-x"],
        ["--remote", "s3://a b"],
        ["--sample", "0"],
        ["--sample", "nan"],
        ["--sample", "x"],
        ["--target", 'a"b'],
        ["--key", "a\nb"],
    ],
)
def test_bad_option_is_a_usage_error_and_makes_nothing(sh: Shell, args: list[str]) -> None:
    done = branchflow(sh, "init", *args)
    assert done.returncode == 2, done.stderr
    assert list(sh.cwd.iterdir()) == []


def test_tiny_sample_is_written_as_a_number(sh: Shell) -> None:
    done = branchflow(sh, "init", "--sample", "0.001")
    assert done.returncode == 0
    assert "sample: 0.001" in Path(sh.cwd, "branchflow.yaml").read_text()


def test_plain_dvc_reads_every_branch_before_the_first_pin(sh: Shell) -> None:
    """Each data branch has a matrix over partitions that are still to come."""
    at = existing(sh)
    assert branchflow(at, "init", "--yes").returncode == 0
    shown = json.loads(at.run("dvc", "exp", "show", "--all-commits", "--json").stdout)
    assert {"clean", "split"} <= {one["name"] for one in shown}
    assert not [one for one in shown if one["error"]]
