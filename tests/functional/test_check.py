"""`check` and the client's hooks, in real repositories."""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from pathlib import Path

import pytest

from dvc_branchflow.manifest import Entry, manifest_oid, render
from dvc_branchflow.model import Oid, Out
from dvc_branchflow.objects import DirectoryStore
from dvc_branchflow.project import Project
from dvc_branchflow.work.transfer import read_manifests
from tests.functional.conftest import Team, branchflow, object_path, says
from tests.support.repos import Shell, bare_origin, clone

POINTER = "outs:\n- md5: {md5}\n  size: {size}\n  hash: md5\n  path: {name}\n"


def pointer(name: str, content: str) -> str:
    md5 = hashlib.md5(content.encode(), usedforsecurity=False).hexdigest()
    return POINTER.format(md5=md5, size=len(content), name=name)


def put_object(team: Team, content: str) -> None:
    path = object_path(team.store, content)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def add_raw(
    team: Team, name: str, content: str, *, source: bool = True, store: bool = True
) -> None:
    """Commit a single-file out on raw by hand, in the checkout."""
    team.sh.git("switch", "--quiet", "raw")
    folder = team.sh.cwd / "data" / "raw"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.dvc").write_text(pointer(name, content))
    if store:
        put_object(team, content)
    team.sh.git("add", "--force", f"data/raw/{name}.dvc")
    trailer = ["--trailer", "Source: a test"] if source else []
    team.sh.git("commit", "--quiet", "--no-verify", "-m", f"Add {name}", *trailer)


def index_digest(team: Team) -> str:
    return hashlib.sha256((team.sh.cwd / ".git" / "index").read_bytes()).hexdigest()


# -- check -------------------------------------------------------------------------------------


def test_a_legal_commit_is_clean_in_every_way_of_asking(team: Team) -> None:
    add_raw(team, "a", "one")
    for args in ([], ["raw"], ["HEAD"], ["origin/raw..raw"], ["--all"], ["--staged"]):
        done = team.bf("check", *args)
        assert done.returncode == 0, (args, done.stdout)
        assert "no violations" in done.stdout


def test_a_commit_that_breaks_a_rule_is_named_with_its_author(team: Team) -> None:
    add_raw(team, "a", "one", source=False)
    sha = team.sh.git("rev-parse", "HEAD")
    done = team.bf("check", "--json")
    assert done.returncode == 1
    found = json.loads(done.stdout)["result"]["violations"]
    assert [(v["code"], v["commit"], v["ref"]) for v in found] == [("raw-source", sha, "raw")]
    assert found[0]["author"] == team.sh.git("log", "-1", "--format=%an <%ae>")
    assert found[0]["when"]
    team.sh.git("switch", "--quiet", "main")
    assert team.bf("check").returncode == 0
    for args in (["raw"], ["origin/raw..raw"], ["--all"], [sha], [sha, "--branch", "raw"]):
        assert "raw-source" in team.bf("check", *args).stdout, args


def test_what_was_put_right_is_still_in_the_history(team: Team) -> None:
    add_raw(team, "a", "one")
    add_raw(team, "b", "two")
    team.sh.git("rm", "--quiet", "data/raw/b.dvc")
    team.sh.git("commit", "--quiet", "-m", "Take it away")
    team.sh.git("revert", "--no-commit", "HEAD")
    team.sh.git("commit", "--quiet", "-m", "Put it back", "--trailer", "Source: a test")
    team.sh.git("push", "--quiet", "origin", "raw")
    assert team.bf("check").returncode == 0
    assert "raw-append-only: data/raw/b is gone" in team.bf("check", "--all").stdout


def test_ci_can_judge_a_detached_merge_by_its_targets_rules(team: Team) -> None:
    add_raw(team, "a", "one")
    team.sh.git("push", "--quiet", "origin", "raw")
    team.sh.git("switch", "--quiet", "-c", "feature", "raw~1")
    add_on_feature = team.sh.cwd / "data" / "raw" / "b.dvc"
    add_on_feature.parent.mkdir(parents=True, exist_ok=True)
    add_on_feature.write_text(pointer("b", "two"))
    put_object(team, "two")
    team.sh.git("add", "--force", "data/raw/b.dvc")
    team.sh.git("commit", "--quiet", "-m", "Add b", "--trailer", "Source: me")
    assert team.bf("check", "origin/raw..HEAD", "--branch", "raw").returncode == 0  # as GitLab does
    team.sh.git("switch", "--quiet", "--detach", "raw")
    team.sh.git("merge", "--quiet", "--no-edit", "feature")
    done = team.bf("check", "origin/raw..HEAD", "--branch", "raw")  # as GitHub does
    assert done.returncode == 0, done.stdout
    team.sh.git("rm", "--quiet", "data/raw/a.dvc")
    team.sh.git("commit", "--quiet", "-m", "Drop a")
    done = team.bf("check", "origin/raw..HEAD", "--branch", "raw", "--sarif")
    assert done.returncode == 1
    results = json.loads(done.stdout)["runs"][0]["results"]
    assert [result["ruleId"] for result in results] == ["raw-append-only"]


@pytest.mark.parametrize(
    ("args", "code", "why"),
    [
        (["--explain", "nonsense"], 2, "is no rule; there are: "),
        (["A...B"], 2, "is no range"),
        (["..raw"], 2, "is no range"),
        (["nowhere"], 3, "is no commit, branch or tag here"),
        (["--all", "--staged"], 2, "not allowed with"),
        (["--branch=-x"], 2, "is no name of a branch"),
        (["origin/raw..HEAD~0"], 2, "does not end in a branch"),
    ],
)
def test_a_request_that_makes_no_sense_says_why(
    team: Team, args: list[str], code: int, why: str
) -> None:
    done = team.bf("check", *args)
    assert done.returncode == code
    assert why in done.stderr


def test_a_repository_without_commits_or_flow_is_told_so(sh: Shell) -> None:
    sh.git("init", "--quiet", "-b", "main")
    assert branchflow(sh, "check").returncode == 3
    assert branchflow(sh, "check", "--staged").returncode == 0
    (sh.cwd / "a").write_text("a")
    sh.git("add", "a")
    sh.git("commit", "--quiet", "-m", "one")
    done = branchflow(sh, "check", "--all")
    assert done.returncode == 0
    assert "no branchflow.yaml on the main branch" in done.stdout


def test_a_shallow_clone_is_told_to_fetch_the_history(team: Team) -> None:
    add_raw(team, "a", "one")
    team.sh.git("push", "--quiet", "origin", "raw")
    url = f"file://{team.origin}"
    team.sh.at(team.base).git("clone", "--quiet", "--depth", "1", "-b", "raw", url, "shallow")
    done = branchflow(team.sh.at(team.base / "shallow"), "check")
    assert done.returncode == 3
    assert "git fetch --unshallow" in says(done)


def test_a_severity_makes_a_rule_milder_and_main_decides(team: Team) -> None:
    config = team.sh.git("show", "origin/main:branchflow.yaml")
    milder = config.replace("data: data/raw,", "data: data/raw, rules: {raw-source: warn},")
    assert milder != config
    add_raw(team, "a", "one", source=False)
    (team.sh.cwd / "branchflow.yaml").write_text(milder)  # on raw it says nothing
    team.sh.git("add", "branchflow.yaml")
    team.sh.git("commit", "--quiet", "-m", "Loosen")
    assert team.bf("check", "raw").returncode == 1
    team.put("main", {"branchflow.yaml": milder + "\n"})
    done = team.bf("check", "raw")
    assert done.returncode == 0
    assert "warn raw-source" in done.stdout
    off = milder.replace("warn", "off")
    team.put("main", {"branchflow.yaml": off + "\n"})
    assert "raw-source" not in team.bf("check", "raw").stdout


def test_why_not_answers_for_any_branch(team: Team) -> None:
    done = team.bf("check", "--why-not", "data/raw/x.dvc")
    assert done.returncode == 1
    assert "main is a main branch" in done.stdout
    assert team.bf("check", "--why-not", "docs/x.md").returncode == 0
    assert team.bf("check", "--why-not", "data/raw/x.dvc", "--branch", "raw").returncode == 0


# -- hooks in the clone ------------------------------------------------------------------------


@pytest.fixture
def hooked(team: Team) -> Team:
    assert team.bf("hooks", "install").returncode == 0
    return team


def test_checking_what_is_staged_leaves_the_index_alone(team: Team) -> None:
    add_raw(team, "a", "one")
    team.sh.git("rm", "--quiet", "data/raw/a.dvc")
    before = index_digest(team)
    assert team.bf("check", "--staged").returncode == 1
    assert index_digest(team) == before


def test_a_bad_commit_is_stopped_and_nothing_is_lost(hooked: Team) -> None:
    add_raw(hooked, "a", "one")
    hooked.sh.git("rm", "--quiet", "data/raw/a.dvc")
    done = hooked.sh.run("git", "commit", "-m", "Drop", check=False)
    assert done.returncode != 0
    assert "raw-append-only" in done.stderr
    assert hooked.sh.git("status", "--porcelain") == "D  data/raw/a.dvc"


def test_the_message_is_judged_when_it_is_there(hooked: Team) -> None:
    add_raw(hooked, "a", "one")
    folder = hooked.sh.cwd / "data" / "raw"
    (folder / "b.dvc").write_text(pointer("b", "two"))
    hooked.sh.git("add", "--force", "data/raw/b.dvc")
    done = hooked.sh.run("git", "commit", "-m", "Add b", check=False)
    assert done.returncode != 0
    assert "raw-source" in done.stderr
    commented = "Add b\n\n# Source: a comment is no trailer\n"
    done = hooked.sh.run(
        "git", "commit", "--cleanup=strip", "-F", "-", check=False, input=commented
    )
    assert done.returncode != 0
    hooked.sh.git("commit", "--quiet", "-m", "Add b", "--trailer", "Source: me")


def test_a_commit_of_one_file_is_judged_by_that_file(hooked: Team) -> None:
    add_raw(hooked, "a", "one")
    (hooked.sh.cwd / "README.md").write_text("text\n")
    hooked.sh.git("add", "README.md")
    hooked.sh.git("rm", "--quiet", "data/raw/a.dvc")
    hooked.sh.git("commit", "--quiet", "-m", "Only the text", "README.md")
    done = hooked.sh.run(
        "git", "commit", "--quiet", "-m", "And that", "data/raw/a.dvc", check=False
    )
    assert done.returncode != 0
    assert "raw-append-only" in done.stderr


def test_a_merge_that_drops_data_is_stopped(hooked: Team) -> None:
    add_raw(hooked, "a", "one")
    hooked.sh.git("branch", "side", "raw~1")
    add_raw(hooked, "b", "two")
    hooked.sh.git("switch", "--quiet", "side")
    (hooked.sh.cwd / "note.md").write_text("x")
    hooked.sh.git("add", "note.md")
    hooked.sh.git("commit", "--quiet", "-m", "Note")
    hooked.sh.git("switch", "--quiet", "raw")
    done = hooked.sh.run("git", "merge", "--no-edit", "side", check=False)
    assert done.returncode == 0, done.stderr
    hooked.sh.git("switch", "--quiet", "side")
    (hooked.sh.cwd / "note.md").write_text("y")
    hooked.sh.git("commit", "--quiet", "-am", "Note again")
    # raw as the second parent, and its data left out: only a merge's heads show that
    hooked.sh.git("branch", "--force", "raw", "side")
    done = hooked.sh.run("git", "merge-base", "raw", "side", check=False)
    hooked.sh.git("switch", "--quiet", "raw")
    theirs = hooked.sh.git("rev-parse", "raw@{1}")
    done = hooked.sh.run("git", "merge", "--no-edit", "--strategy=ours", theirs, check=False)
    assert done.returncode != 0
    assert "raw-append-only" in done.stderr


def test_a_detached_head_is_left_to_the_push(hooked: Team) -> None:
    hooked.sh.git("switch", "--quiet", "--detach", "origin/raw")
    (hooked.sh.cwd / "x.md").write_text("x")
    hooked.sh.git("add", "x.md")
    hooked.sh.git("commit", "--quiet", "-m", "x")


def test_a_push_waits_for_its_data(hooked: Team) -> None:
    add_raw(hooked, "a", "one", store=False)
    before = hooked.refs()
    done = hooked.sh.run("git", "push", "origin", "raw", check=False)
    assert done.returncode != 0
    assert "unstored" in done.stderr
    assert "data/raw/a" in done.stderr
    assert hooked.refs() == before
    put_object(hooked, "one")
    hooked.sh.git("push", "--quiet", "origin", "raw")


def test_the_data_of_the_pushed_ref_counts_and_not_the_workspace(hooked: Team) -> None:
    add_raw(hooked, "a", "one", store=False)
    hooked.sh.git("switch", "--quiet", "main")
    done = hooked.sh.run("git", "push", "origin", "raw", check=False)
    assert "unstored" in done.stderr
    hooked.sh.git("push", "--quiet", "origin", "main")


def test_a_truncated_object_is_not_whole(hooked: Team) -> None:
    add_raw(hooked, "a", "one")
    object_path(hooked.store, "one").write_text("o")
    done = hooked.sh.run("git", "push", "origin", "raw", check=False)
    assert "unstored" in done.stderr


def test_a_dvc_remote_that_is_gone_means_unknown(hooked: Team) -> None:
    add_raw(hooked, "a", "one")
    hooked.store.rename(hooked.base / "unmounted")
    done = hooked.sh.run("git", "push", "origin", "raw", check=False)
    assert done.returncode != 0
    assert "can't be reached" in done.stderr


def test_a_push_to_another_place_is_judged_as_a_whole(hooked: Team) -> None:
    add_raw(hooked, "a", "one", source=False)
    elsewhere = bare_origin(hooked.base / "elsewhere.git", hooked.sh)
    done = hooked.sh.run("git", "push", str(elsewhere), "raw", check=False)
    assert done.returncode != 0
    assert "raw-source" in done.stderr


def test_a_push_to_another_place_waits_for_its_data_too(hooked: Team) -> None:
    elsewhere = bare_origin(hooked.base / "elsewhere.git", hooked.sh)
    hooked.sh.git("push", "--quiet", str(elsewhere), "main")
    add_raw(hooked, "a", "one", store=False)
    done = hooked.sh.run("git", "push", str(elsewhere), "raw", check=False)
    assert done.returncode != 0
    assert "unstored" in done.stderr
    put_object(hooked, "one")
    hooked.sh.git("push", "--quiet", str(elsewhere), "raw")


def test_a_clone_without_main_is_not_blocked(hooked: Team) -> None:
    url = str(hooked.origin)
    hooked.sh.at(hooked.base).git("clone", "--quiet", "--single-branch", "-b", "raw", url, "single")
    single = hooked.sh.at(hooked.base / "single")
    shutil.copytree(
        hooked.sh.cwd / ".git" / "hooks", single.cwd / ".git" / "hooks", dirs_exist_ok=True
    )
    (single.cwd / "x.md").write_text("x")
    single.git("add", "x.md")
    single.git("commit", "--quiet", "-m", "x")


def test_a_hook_that_is_called_wrongly_refuses(team: Team) -> None:
    done = team.sh.run("git-branchflow-hook", "post-update", check=False)
    assert done.returncode == 1
    assert "is no hook" in done.stderr
    done = team.sh.run("git-branchflow-hook", "pre-receive", check=False, input="what is this\n")
    assert done.returncode == 1
    assert "refuses" in done.stderr


def test_two_clones_and_the_server_agree(hooked: Team) -> None:
    assert (
        hooked.sh.run(
            "git", "branchflow", "-C", hooked.origin, "hooks", "install", "--server"
        ).returncode
        == 0
    )
    other = clone(hooked.origin, hooked.base / "other", hooked.sh)
    add_raw(hooked, "a", "one")
    hooked.sh.git("push", "--quiet", "origin", "raw")
    other.git("switch", "--quiet", "raw")
    other.git("pull", "--quiet")
    other.git("rm", "--quiet", "data/raw/a.dvc")
    other.git("commit", "--quiet", "-m", "Drop")  # no hooks in this clone
    done = other.run("git", "push", "origin", "raw", check=False)
    assert "raw-append-only" in done.stderr
    assert branchflow(other, "check").returncode == 1
    assert Path(other.cwd).is_dir()


# -- bounds ------------------------------------------------------------------------------------


def test_manifests_are_read_within_bounds(team: Team, as_user: None) -> None:
    body = render([Entry("a", Oid("a" * 32))])
    out = Out("data/raw/1", manifest_oid(body))
    put = team.store / "files" / "md5" / out.oid[:2] / out.oid[2:]
    put.parent.mkdir(parents=True)
    put.write_bytes(body)
    project = Project.open(team.sh.cwd)
    found, reasons = read_manifests(project, [out], max_bytes=len(body) - 1, seconds=5)
    assert not found
    assert "too much to be judged" in reasons[out.oid]
    assert not project.cache.has(out.oid)
    found, reasons = read_manifests(project, [out], max_bytes=len(body), seconds=5)
    assert found == {out.oid: body}
    lost = Out("data/raw/2", Oid("b" * 32 + ".dir"))
    found, reasons = read_manifests(project, [out, lost], max_bytes=1000, seconds=5)
    assert found == {out.oid: body}
    assert reasons == {lost.oid: "is not on the DVC remote"}
    project.cache.path(out.oid).chmod(0o644)
    project.cache.path(out.oid).write_bytes(b"[]")
    _, reasons = read_manifests(project, [out], max_bytes=1000, seconds=5)
    assert "damaged" in reasons[out.oid]


def test_a_dvc_remote_that_hangs_is_left_behind(
    team: Team, as_user: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = Project.open(team.sh.cwd)
    monkeypatch.setattr(DirectoryStore, "sizes", lambda *_: time.sleep(30) or {})
    started = time.monotonic()
    lost = Out("data/raw/2", Oid("b" * 32 + ".dir"))
    _, reasons = read_manifests(project, [lost], max_bytes=1000, seconds=0.5)
    assert reasons == {lost.oid: "the DVC remote did not answer in time"}
    assert time.monotonic() - started < 5
