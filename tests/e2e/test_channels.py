"""Releases in channels: assigned, shown, rolled back; `gto` and `dvc` say the same."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from dvc_branchflow import rollout
from dvc_branchflow.errors import FlowError
from dvc_branchflow.git import Git
from dvc_branchflow.model import Sha
from dvc_branchflow.project import Project
from tests.support.flow import (
    FIRST_TAG,
    MODEL,
    SECOND_TAG,
    STABLE,
    Flow,
    at_once,
    error_line,
    kill_when,
)
from tests.support.repos import Shell, checkout_digest, digest_diff

pytestmark = pytest.mark.slow

TAGS = "refs/tags/"


def gto(flow: Flow, *args: str) -> str:
    return flow.sh.run("gto", *args).stdout


def by_gto(flow: Flow, verb: str, *args: str) -> None:
    """Let `gto` make and push a tag, in a second of its own: its order knows only seconds."""
    time.sleep(1)
    gto(flow, verb, MODEL, *args, "--push")


def in_use(flow: Flow) -> dict[str, str]:
    """Channel → version, of our model."""
    (model,) = flow.result("show", MODEL)
    return {channel: held["version"] for channel, held in model["channels"].items()}


def in_gto(flow: Flow) -> dict[str, str]:
    shown = json.loads(gto(flow, "show", "--json"))[MODEL]["stage"]
    return {channel: version for channel, version in shown.items() if version}


def new_tags(flow: Flow, before: dict[str, str]) -> list[str]:
    """The tags that the origin got; nothing else there may have moved."""
    after = flow.refs()
    assert before.items() <= after.items()
    assert all(ref.startswith(TAGS) for ref in after.keys() - before.keys())
    return sorted(ref.removeprefix(TAGS) for ref in after.keys() - before.keys())


def object_of(flow: Flow, tag: str) -> Path:
    """A release's model as it lies in the store."""
    lock = flow.sh.git("show", f"{tag}:dvc.lock").partition("models/m.json")[2]
    md5 = lock.partition("md5: ")[2].split()[0]
    return flow.store / "files/md5" / md5[:2] / md5[2:]


def test_a_release_goes_into_channels_and_back_and_gto_agrees(flow_repo: Flow) -> None:
    flow, before = flow_repo, flow_repo.refs()
    checkout = checkout_digest(flow.repo)
    planned = flow.branchflow("assign", FIRST_TAG, "prod", "--dry-run").stdout
    assert "would assign m@v1.0.0 to prod: m#prod#1" in planned
    assert new_tags(flow, before) == []
    flow.branchflow("assign", FIRST_TAG, "prod", "--reason", "the first\none")
    flow.branchflow("assign", SECOND_TAG, "prod")
    flow.branchflow("assign", SECOND_TAG, "staging/eu")
    assert "is in prod already" in flow.branchflow("assign", SECOND_TAG, "prod").stdout
    assert in_use(flow) == in_gto(flow) == {"prod": "v1.0.1", "staging/eu": "v1.0.1"}
    done = flow.branchflow("rollback", MODEL, "prod", "--reason", "too slow").stdout
    assert "rolled back prod from m@v1.0.1 to m@v1.0.0: m#prod#4" in done
    assert in_use(flow) == in_gto(flow) == {"prod": "v1.0.0", "staging/eu": "v1.0.1"}
    # Twice goes on back, and not to and fro.
    assert "nothing was in" in error_line(flow.branchflow("rollback", MODEL, "prod", code=3))
    assert "already" in flow.branchflow("rollback", MODEL, "prod", "--to", FIRST_TAG).stdout
    assert new_tags(flow, before) == ["m#prod#1", "m#prod#2", "m#prod#4", "m#staging/eu#3"]
    assert not digest_diff(checkout, checkout_digest(flow.repo))

    ours = flow.result("show", MODEL, "--history")
    theirs = json.loads(gto(flow, "history", MODEL, "--json", "--asc"))
    assert [(e["event"], e["version"], e["channel"], e["commit"], e["tag"]) for e in ours] == [
        (e["event"], e["version"], e["stage"], e["commit"], e["ref"]) for e in theirs
    ]
    reasons = {event["tag"]: event["reason"] for event in ours if event["reason"]}
    assert reasons == {"m#prod#1": "the first one", "m#prod#4": "too slow"}
    row = next(row for row in flow.result("status")["branches"] if row["branch"] == STABLE)
    assert row["channels"] == {"prod": "v1.0.0", "staging/eu": "v1.0.1"}
    assert "m@v1.0.1; prod v1.0.0; staging/eu v1.0.1" in flow.branchflow("status").stdout


def test_we_read_what_gto_makes_and_go_on_from_there(flow_repo: Flow) -> None:
    flow = flow_repo
    for version in ("v1.0.0", "v1.0.1"):
        by_gto(flow, "assign", "--version", version, "--stage", "prod")
    assert in_use(flow) == in_gto(flow) == {"prod": "v1.0.1"}
    by_gto(flow, "deprecate", "v1.0.1", "prod")
    assert in_use(flow) == in_gto(flow) == {"prod": "v1.0.0"}
    flow.branchflow("assign", SECOND_TAG, "prod")
    assert f"{TAGS}m#prod#4" in flow.refs()
    assert in_use(flow) == in_gto(flow) == {"prod": "v1.0.1"}
    by_gto(flow, "deprecate", "v1.0.1")
    assert in_use(flow) == in_gto(flow) == {"prod": "v1.0.0"}
    assert "taken back" in error_line(flow.branchflow("assign", SECOND_TAG, "dev", code=3))
    by_gto(flow, "deprecate")
    assert flow.result("show") == []
    assert json.loads(gto(flow, "show", "--json")) == {}
    assert [e["event"] for e in flow.result("show", MODEL, "--history")][-1] == "deprecation"


@pytest.mark.parametrize("how", ["--rev=v1.0.0", "--stage=prod"])
def test_dvc_gets_the_model_of_a_channel_from_the_bare_repository(
    flow_repo: Flow, how: str
) -> None:
    flow = flow_repo
    flow.branchflow("assign", SECOND_TAG, "prod")
    flow.branchflow("assign", FIRST_TAG, "prod")
    outside = Shell(flow.root, flow.sh.env)
    outside.dvc(
        "artifacts", "get", str(flow.origin), MODEL, how, "-o", "got.json",
        "--remote-config", f"url={flow.store}",  # in a bare repository a relative URL leads nowhere
    )  # fmt: skip
    assert (flow.root / "got.json").read_bytes() == object_of(flow, FIRST_TAG).read_bytes()


def test_a_release_that_is_not_whole_on_its_remote_goes_nowhere(flow_repo: Flow) -> None:
    """Neither by an assignment nor by a roll-back, though its objects are all in the cache."""
    flow = flow_repo
    flow.branchflow("assign", FIRST_TAG, "prod")
    flow.branchflow("assign", SECOND_TAG, "prod")
    before = flow.refs()
    model = object_of(flow, FIRST_TAG)
    kept = model.read_bytes()
    for damage in (model.unlink, lambda: model.write_bytes(kept[:-1])):
        model.chmod(0o644)
        damage()
        for words in (["assign", FIRST_TAG, "staging"], ["rollback", MODEL, "prod"]):
            for dry in ([], ["--dry-run"]):
                done = flow.branchflow(*words, *dry, code=1)
                assert f"'models/m.json' of '{FIRST_TAG}' is not whole" in error_line(done)
        model.write_bytes(kept)
    hidden = flow.store.rename(flow.root / "away")
    flow.store.write_text("no folder")
    assert error_line(flow.branchflow("rollback", MODEL, "prod", code=3))
    flow.store.unlink()
    hidden.rename(flow.store)
    assert new_tags(flow, before) == []
    flow.branchflow("rollback", MODEL, "prod")
    assert in_use(flow) == {"prod": "v1.0.0"}


def test_only_a_release_that_the_team_has_goes_into_a_channel(flow_repo: Flow) -> None:
    flow, sh = flow_repo, flow_repo.sh
    sh.git("tag", "-a", "m@v1.0.9", "-m", "mine", "origin/stable/m~1")
    sh.git("tag", "m@v1.1.0", "origin/stable/m")
    sh.git("tag", "-a", "m@v1.2.0", "-m", "no record", "origin/dev/m")
    sh.git("push", "-q", "origin", "m@v1.1.0", "m@v1.2.0")
    before = flow.refs()
    expected = {
        "m@v1.0.9": "is not on git remote 'origin'",
        "m@v1.1.0": "is no annotated tag",
        "m@v1.2.0": "has no run record",
        "m@v3.0.0": "there is no release 'm@v3.0.0'; there are: m@v1.0.0, m@v1.0.1",
        "other@v1.0.0": "there is no release",
        "stable/m": "is no tag of a release",
        "m#prod#1": "is no tag of a release",
    }
    for tag, reason in expected.items():
        assert reason in error_line(flow.branchflow("assign", tag, "prod", code=3))
    assert "can't name a channel" in error_line(flow.branchflow("assign", FIRST_TAG, "a b", code=2))
    assert "is in channel" in error_line(flow.branchflow("rollback", MODEL, "prod", code=3))
    assert "no release of a model" in error_line(flow.branchflow("show", "other", code=3))
    shallow = flow.new_clone("shallow", depth=1)
    for words in (["assign", FIRST_TAG, "prod"], ["show"], ["rollback", MODEL, "prod"]):
        assert "shallow" in error_line(shallow.branchflow(*words, code=3))
    assert new_tags(flow, before) == []
    sh.git("tag", "-d", "m@v1.0.1")
    sh.git("tag", "-a", "m@v1.0.1", "-m", "another one", "origin/stable/m~1")
    done = flow.branchflow("assign", FIRST_TAG, "prod", code=3)
    assert "tag 'm@v1.0.1' of git remote 'origin' here is another one" in error_line(done)


def test_without_a_git_remote_the_tags_are_here(flow_repo: Flow) -> None:
    flow = flow_repo
    flow.sh.git("remote", "remove", "origin")
    flow.branchflow("assign", FIRST_TAG, "prod")
    flow.branchflow("assign", SECOND_TAG, "prod")
    flow.branchflow("rollback", MODEL, "prod")
    assert in_use(flow) == in_gto(flow) == {"prod": "v1.0.0"}
    assert flow.sh.git("tag", "--list", "m#*").split() == ["m#prod#1", "m#prod#2", "m#prod#3"]


@pytest.mark.parametrize("where", ["two clones", "one clone"])
def test_two_assignments_at_once_get_numbers_in_order(flow_repo: Flow, where: str) -> None:
    other = flow_repo.new_clone("other") if where == "two clones" else flow_repo
    for number in range(3):
        words = ["git", "branchflow", "assign"]
        channel = f"c{number}"
        ended = at_once(
            (flow_repo.sh, [*words, FIRST_TAG, channel]), (other.sh, [*words, SECOND_TAG, channel])
        )
        assert [end.returncode for end in ended] == [0, 0], ended
        flow_repo.sh.git("fetch", "-q", "--tags")
        told = [e for e in flow_repo.result("show", "--history") if e["channel"] == channel]
        numbers = [int(event["tag"].rpartition("#")[2]) for event in told]
        assert numbers == [2 * number + 1, 2 * number + 2]
        assert in_use(flow_repo)[channel] == in_gto(flow_repo)[channel] == told[-1]["version"]


def test_what_came_in_while_tags_were_listed_is_no_leftover(
    flow_repo: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed, others = Git.remote_tags, iter([("assign", SECOND_TAG, "prod")])

    def late(git: Git, git_remote: str) -> dict[str, Sha]:
        tags = listed(git, git_remote)
        for words in others:
            flow_repo.branchflow(*words)
        return tags

    monkeypatch.setattr(Git, "remote_tags", late)
    project = Project.open(flow_repo.sh.cwd)
    rollout.assign(project, FIRST_TAG, "prod", lambda _: None)
    told = flow_repo.result("show", "--history")
    first, second = (e["when"] for e in told if e["channel"] == "prod")
    assert first < second
    assert in_use(flow_repo) == in_gto(flow_repo) == {"prod": "v1.0.0"}


def test_a_roll_back_never_undoes_what_nobody_looked_at(
    flow_repo: Flow, as_user: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two people roll back at once: the second is told so, and doesn't go one further back."""
    flow, other = flow_repo, flow_repo.new_clone("other")
    for tag in (FIRST_TAG, SECOND_TAG, FIRST_TAG):
        flow.branchflow("assign", tag, "prod")
    project = Project.open(flow.repo)
    push = project.git.push
    rivals = [["rollback", MODEL, "prod", "--reason", "too slow"]]

    def late(*args: object) -> None:
        if rivals:
            other.branchflow(*rivals.pop())
        push(*args)  # type: ignore[arg-type]

    monkeypatch.setattr(project.git, "push", late)
    with pytest.raises(FlowError, match="was moved meanwhile, by 'm#prod#4'"):
        rollout.rollback(project, MODEL, "prod", lambda _: None)
    assert in_use(flow) == {"prod": "v1.0.1"}


def test_a_killed_assignment_is_there_or_not_and_the_same_again_finishes(flow_repo: Flow) -> None:
    flow, before = flow_repo, flow_repo.refs()
    words = ["git", "branchflow", "assign", FIRST_TAG, "prod"]
    assert kill_when(flow.sh, words, "looking for")
    assert new_tags(flow, before) == []
    kill_when(flow.sh, words, "pushing")
    assert new_tags(flow, before) in ([], ["m#prod#1"])
    flow.branchflow(*words[2:])
    assert new_tags(flow, before) == ["m#prod#1"]
    assert in_use(flow) == {"prod": "v1.0.0"}
