"""`ingest` of what lies on disks: taken whole, or refused by name with nothing moved."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.functional.conftest import Team, object_path, says
from tests.support.repos import checkout_digest, clone, digest_diff

pytestmark = pytest.mark.slow


def refused(team: Team, *args: str | Path, code: int, partition: str = "p1") -> str:
    """Ingest what has to be refused; nothing may have moved. Return what was said."""
    before = team.refs()
    done = team.ingest(*args, partition=partition)
    assert done.returncode == code, done.stderr
    assert team.refs() == before
    return says(done)


# --- Bytes ------------------------------------------------------------------------------------


def test_damaged_cache_object_is_not_stored_in_place_of_the_file(team: Team) -> None:
    path = object_path(team.cache, "good content\n")
    path.parent.mkdir(parents=True)
    path.write_text("goo")
    team.ingest(team.file("a.csv", "good content\n"))
    assert team.damaged() == []


def test_damaged_cache_object_never_replaces_a_good_one_on_the_remote(team: Team) -> None:
    source = team.file("a.csv", "good content\n")
    assert team.ingest(source).returncode == 0
    cached = object_path(team.cache, "good content\n")
    cached.chmod(0o644)
    cached.write_text("edited through a hard link")
    team.ingest(source, partition="p2")
    assert object_path(team.store, "good content\n").read_text() == "good content\n"


def test_truncated_object_on_the_remote_is_stored_again(team: Team) -> None:
    source = team.file("a.csv", "good content\n")
    assert team.ingest(source).returncode == 0
    stored = object_path(team.store, "good content\n")
    stored.chmod(0o644)
    stored.write_text("goo")
    assert team.ingest(source, partition="p2").returncode == 0
    assert team.damaged() == []


def test_commit_with_a_local_tag_is_pushed_only_with_its_data(team: Team) -> None:
    mine = clone(team.origin, team.base / "mine", team.sh)
    mine.git("switch", "--quiet", "raw")
    oid = "0123456789abcdef0123456789abcdef"
    pointer = f"outs:\n- md5: {oid}\n  size: 3\n  hash: md5\n  path: lost\n"
    (mine.cwd / "data" / "raw").mkdir(parents=True)
    (mine.cwd / "data" / "raw" / "lost.dvc").write_text(pointer)
    mine.git("add", "--all")
    mine.git("commit", "--quiet", "-m", "Not pushed yet", "--trailer", "Source: me")
    mine.git("tag", "keep")
    before = team.refs()
    done = mine.run(
        "git-branchflow", "ingest", "--source", "s", "--partition", "p", team.file("a"), check=False
    )
    assert done.returncode == 3
    assert team.refs() == before


def test_unpushed_commit_without_its_data_is_not_pushed(team: Team) -> None:
    mine = clone(team.origin, team.base / "mine", team.sh)
    mine.git("switch", "--quiet", "raw")
    oid = "0123456789abcdef0123456789abcdef"
    pointer = f"outs:\n- md5: {oid}\n  size: 3\n  hash: md5\n  path: lost\n"
    (mine.cwd / "data" / "raw").mkdir(parents=True)
    (mine.cwd / "data" / "raw" / "lost.dvc").write_text(pointer)
    mine.git("add", "--all")
    mine.git("commit", "--quiet", "-m", "Not pushed yet", "--trailer", "Source: me")
    before = team.refs()
    done = mine.run(
        "git-branchflow", "ingest", "--source", "s", "--partition", "p", team.file("a"), check=False
    )
    assert done.returncode == 3
    assert "data/raw/lost" in done.stderr
    assert team.refs() == before


def test_remote_directory_that_is_gone_moves_nothing(team: Team) -> None:
    team.store.rename(team.base / "unmounted")
    assert "can't be reached" in refused(team, team.file("a.csv"), code=3)
    (team.base / "unmounted").rename(team.store)
    assert team.ingest(team.file("a.csv")).returncode == 0
    assert team.damaged() == []


@pytest.mark.parametrize("what", ["a file for the folder", "a folder for the object"])
def test_remote_that_refuses_an_object_moves_nothing(team: Team, what: str) -> None:
    if what == "a file for the folder":
        (team.store / "files").write_text("")
    else:
        object_path(team.store, "one\n").mkdir(parents=True)
    assert "'store' can't be used" in refused(team, team.file("a.csv", "one\n"), code=3)


def test_damaged_manifest_in_the_cache_or_on_the_remote_moves_nothing(team: Team) -> None:
    assert team.ingest(team.file("a.csv")).returncode == 0
    manifest = next(team.cache.glob("files/md5/*/*.dir"))
    manifest.chmod(0o644)
    manifest.write_bytes(b"[]")
    assert "is damaged" in refused(team, team.file("b.csv"), code=3)
    manifest.unlink()
    stored = team.store / manifest.relative_to(team.cache)
    stored.chmod(0o644)
    stored.write_bytes(b"[]")
    assert "is damaged" in refused(team, team.file("b.csv"), code=3)
    stored.unlink()
    assert "neither in the cache nor on" in refused(team, team.file("b.csv"), code=3)


def test_cache_that_is_a_file_is_an_error_of_the_disk(team: Team) -> None:
    team.cache.write_text("")
    assert "cache" in refused(team, team.file("a.csv"), code=3)


# --- Names ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a b.csv", "é.csv", "-n", "a'b\"c", "x" * 200, "#a", "a:b", "~"])
def test_odd_name_goes_in_and_comes_out(team: Team, name: str) -> None:
    assert team.ingest("--", team.file(name)).returncode == 0
    assert team.ingest("--", team.file(name)).stdout.startswith("nothing new")
    assert team.damaged() == []


@pytest.mark.parametrize(
    "name", ["a\nb", "a\\b", "a\tb", os.fsdecode(b"\xff.csv"), ".dvcignore", ".git/config"]
)
def test_name_that_cannot_go_in_is_refused(team: Team, name: str) -> None:
    team.file(f"d/{name}")
    refused(team, team.base / "in" / "d", code=2)
    done = team.ingest(team.base / "in" / "d", "--json")
    assert '"code": "usage"' in done.stdout


def test_names_of_dvc_files_inside_a_partition_do_not_confuse_dvc(team: Team) -> None:
    for name in ("dvc.yaml", "dvc.lock", "x.dvc", ".gitignore", "pins.yaml"):
        team.file(f"d/{name}", "no: [yaml")
    assert team.ingest(team.base / "in" / "d").returncode == 0
    other = clone(team.origin, team.base / "other", team.sh)
    other.git("switch", "--quiet", "raw")
    assert other.run("dvc", "pull", "--quiet", check=False).returncode == 0


def test_file_where_a_folder_is_and_the_other_way_round_is_refused(team: Team) -> None:
    assert team.ingest(team.file("a/b")).returncode == 0  # as `b`
    team.file("b/c")
    assert "is a file, not a folder" in refused(team, team.base / "in" / "b", code=1)


def test_other_content_under_a_name_that_is_there_is_refused(team: Team) -> None:
    assert team.ingest(team.file("a.csv", "1")).returncode == 0
    assert "other content" in refused(team, team.file("a.csv", "2"), code=1)


def test_two_files_for_one_name_are_refused(team: Team) -> None:
    said = refused(team, team.file("x/a.csv", "1"), team.file("y/a.csv", "2"), code=2)
    assert "a.csv" in said


# --- Kinds of paths ---------------------------------------------------------------------------


def test_link_that_leads_outside_is_refused(team: Team) -> None:
    team.file("d/a")
    (team.base / "in" / "d" / "l").symlink_to("/etc/passwd")
    assert "leads outside" in refused(team, team.base / "in" / "d", code=2)


def test_no_hint_deletes_what_the_user_has(team: Team) -> None:
    team.file("d/a")
    (team.base / "in" / "d" / "l").symlink_to("/etc")
    assert "rm " not in refused(team, team.base / "in" / "d", code=2)


def test_link_to_itself_is_refused(team: Team) -> None:
    (team.base / "in").mkdir()
    (team.base / "in" / "l").symlink_to("l")
    refused(team, team.base / "in" / "l", code=2)


@pytest.mark.parametrize("kind", ["missing", "dangling", "fifo", "too long"])
def test_path_that_is_no_file_is_refused(team: Team, kind: str) -> None:
    path = team.base / ("x" * 300 if kind == "too long" else kind)
    if kind == "dangling":
        path.symlink_to("nowhere")
    if kind == "fifo":
        os.mkfifo(path)
    assert str(path)[:20] in refused(team, path, code=2)


def test_empty_folder_is_refused_and_an_empty_file_taken(team: Team) -> None:
    (team.base / "empty").mkdir()
    refused(team, team.base / "empty", code=2)
    assert team.ingest(team.file("empty.csv", "")).returncode == 0
    assert team.damaged() == []


@pytest.mark.parametrize("text", ["", "\n\n", "x" * 70_000, "no/such\0no/other"])
def test_bad_list_on_stdin_is_refused(team: Team, text: str) -> None:
    done = team.bf("ingest", "--source", "s", "-", input=text)
    assert done.returncode == 2


def test_long_list_on_stdin_is_taken(team: Team) -> None:
    path = str(team.file("a.csv"))
    done = team.bf(
        "ingest", "--source", "s", "--partition", "p", "-", input="\0".join([path] * 5000)
    )
    assert done.returncode == 0
    assert "appended 1 file" in done.stdout


# --- Where to ---------------------------------------------------------------------------------


@pytest.mark.parametrize("partition", ["..", ".", "a/b", "x.dvc", "-n", ".git", "a\nb", "\\", ""])
def test_partition_that_is_no_plain_word_is_refused(team: Team, partition: str) -> None:
    if partition == "":
        pytest.skip("the same as none given")
    done = team.ingest(team.file("a.csv"), partition=partition)
    assert done.returncode in {2, 3}


@pytest.mark.parametrize("partition", ["dvc.yaml", "dvc.lock", ".dvcignore"])
def test_partition_that_dvc_would_act_on_is_refused(team: Team, partition: str) -> None:
    refused(team, team.file("a.csv"), code=2, partition=partition)


@pytest.mark.parametrize(
    "partition",
    [
        "1e5",
        pytest.param("0o17"),
        "2024-01-01",
        "null",
        "on",
        "a b",
        "007",
    ],
)
def test_partition_that_yaml_could_misread_comes_back_through_dvc(
    team: Team, partition: str
) -> None:
    assert team.ingest(team.file("a.csv"), partition=partition).returncode == 0
    pointer = team.sh.git("show", f"origin/raw:data/raw/{partition}.dvc")
    # As DVC reads it: YAML 1.2.
    assert YAML(typ="safe", pure=True).load(pointer)["outs"][0]["path"] == partition


@pytest.mark.parametrize("source", ["", "  ", "a\nb"])
def test_source_has_to_be_one_line(team: Team, source: str) -> None:
    done = team.bf("ingest", f"--source={source}", team.file("a.csv"))
    assert done.returncode == 2


def test_branch_that_takes_no_files_is_refused(team: Team) -> None:
    done = team.bf("ingest", "--source", "s", "--branch", "clean", team.file("a.csv"))
    assert done.returncode == 3
    done = team.bf("ingest", "--source", "s", "--branch=--all", team.file("a.csv"))
    assert done.returncode == 2


# --- Hands off --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "setting",
    [
        "commit.gpgSign=true",
        "color.ui=always",
        "log.showSignature=true",
        "fetch.prune=true",
        "fetch.pruneTags=true",
        "status.branch=true",
        "core.hooksPath=/nowhere",
        "core.quotePath=false",
        "core.abbrev=4",
        "i18n.commitEncoding=latin1",
        "diff.external=false",
        "push.default=nothing",
        "push.gpgSign=true",
    ],
)
def test_the_users_git_settings_change_nothing(team: Team, setting: str) -> None:
    team.sh.git("config", *setting.split("=", 1))
    before = checkout_digest(team.sh.cwd)
    assert team.ingest(team.file("a.csv")).returncode == 0
    assert team.bf("status").returncode == 0
    assert not digest_diff(before, checkout_digest(team.sh.cwd))
    assert team.damaged() == []


def test_tags_of_the_user_are_not_pushed(team: Team) -> None:
    team.sh.git("config", "push.followTags", "true")
    team.sh.git("fetch", "--quiet")
    team.sh.git("tag", "--annotate", "--message=mine", "private", "origin/raw")
    assert team.ingest(team.file("a.csv")).returncode == 0
    assert "private" not in team.refs()


@pytest.mark.parametrize("hook", ["pre-push", "post-checkout", "pre-commit", "post-merge"])
def test_hook_that_fails_stays_out(team: Team, hook: str) -> None:
    path = team.sh.cwd / ".git" / "hooks" / hook
    path.write_text("#!/bin/sh\nexit 1\n")
    path.chmod(0o755)
    assert team.ingest(team.file("a.csv")).returncode == 0


def test_server_that_says_no_is_exit_one_with_its_reason(team: Team) -> None:
    path = team.origin / "hooks" / "pre-receive"
    path.write_text("#!/bin/sh\necho not on a Friday\nexit 1\n")
    path.chmod(0o755)
    assert "not on a Friday" in refused(team, team.file("a.csv"), code=1)


def test_origin_that_is_gone_moves_nothing(team: Team) -> None:
    local = team.sh.git("for-each-ref")
    team.origin.rename(team.base / "away")
    done = team.ingest(team.file("a.csv"))
    assert done.returncode == 3
    assert "git remote 'origin'" in says(done)
    assert team.sh.git("for-each-ref") == local


@pytest.mark.parametrize("name", ["test", "train.1", "validation"])
def test_partition_is_not_called_like_a_side(team: Team, name: str) -> None:
    done = team.ingest(team.file("a.csv"), partition=name)
    assert done.returncode == 2
    assert "that of a split's side" in done.stderr
