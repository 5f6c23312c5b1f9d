"""`storage erase` on directories: gone from all branches and all places, provably, and for good."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from dvc_branchflow.cli.render.erasure import erased as rendered
from dvc_branchflow.errors import RejectedError, StorageError
from dvc_branchflow.ingest import IngestRequest, ingest
from dvc_branchflow.model import Oid
from dvc_branchflow.objects.aside import aside_key
from dvc_branchflow.objects.doomed import Forgotten, forget
from dvc_branchflow.objects.purge import DirectoryPurge
from dvc_branchflow.project import Project
from dvc_branchflow.storage.empty_trash import apply_emptying, plan_emptying
from dvc_branchflow.storage.erase import EraseOutcome, check_erasures, erase, plan_erasure
from dvc_branchflow.storage.gc import GcRequest, plan_gc
from dvc_branchflow.storage.repair import repair
from dvc_branchflow.storage.undelete import undelete
from dvc_branchflow.storage.verify import verify
from dvc_branchflow.work.erasing import EraseRequest
from dvc_branchflow.work.verification import VerifyRequest
from tests.functional.conftest import branchflow, says
from tests.support.depot import Depot, lay_depot, md5, object_path
from tests.support.repos import Shell

pytestmark = pytest.mark.usefixtures("as_user")
MONTH = "data/raw/2024-01"
PATH = f"{MONTH}/ann.csv"
ANN = "ann,17\n"
GONE = md5(ANN.encode())


@pytest.fixture
def depot(tmp_path: Path, sh: Shell) -> Depot:
    """Raw with a month of two files, and the same content on a dev branch; two DVC remotes."""
    made = lay_depot(tmp_path / "team", sh, remotes=("store", "mirror"))
    made.branch("raw")
    made.point(MONTH, {"ann.csv": ANN, "bob.csv": "bob,18\n"}, made.cache, made.store)
    made.point("data/raw/2024-02", {"eve.csv": "eve,19\n"}, made.cache, made.store)
    made.commit(days_ago=9)
    made.push("raw")
    made.branch("dev/x")
    made.point("mine.csv", ANN)
    made.point("other.csv", "other\n")
    made.commit(days_ago=8)
    made.push("dev/x")
    made.sh.git("switch", "--quiet", "--detach", "main")
    return made


def quiet(_: str) -> None:
    """Say nothing."""


def project_of(depot: Depot) -> Project:
    return Project.open(depot.repo)


def erased(depot: Depot, what: str = PATH) -> EraseOutcome:
    return erase(project_of(depot), EraseRequest(what, "request 17"), quiet)


def copies(depot: Depot, oid: str = GONE) -> list[Path]:
    """Every file below the team's folder that is called by the object's id, or holds it."""
    files = (path for path in depot.base.rglob("*") if path.is_file())
    return [path for path in files if oid in {md5(path.read_bytes()), path.name}]


def spread(depot: Depot) -> None:
    """Bring copies to where an erasure has to look as well."""
    depot.file(ANN, depot.base / "mirror")
    for remote, key in (("mirror", aside_key("0123456789ab", Oid(GONE))), ("store", "")):
        path = depot.base / remote / (key or f"{GONE[:2]}/{GONE[2:]}")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(ANN, encoding="utf-8")


def test_nothing_is_left_of_it_and_every_tip_still_pulls(depot: Depot) -> None:
    spread(depot)
    plan = plan_erasure(project_of(depot), EraseRequest(PATH, "request 17"), quiet)
    before = depot.sh.git("ls-remote", "origin")
    assert {one.branch for one in plan.branches} == {"raw", "dev/x"}
    assert {one.name: one.copies for one in plan.places if one.copies} == {
        "DVC remote 'store'": 2, "DVC remote 'mirror'": 2, str(depot.cache): 1
    }  # fmt: skip
    assert depot.sh.git("ls-remote", "origin") == before
    assert len(copies(depot)) == 5

    outcome = erased(depot)
    assert (outcome.is_done, outcome.held) == (True, ())
    assert copies(depot) == []
    depot.sh.git("fetch", "--quiet")
    raw = {path: text for path, text in depot.pulled("origin/raw").items() if path.endswith(".csv")}
    assert raw == {f"{MONTH}/bob.csv": "bob,18\n", "data/raw/2024-02/eve.csv": "eve,19\n"}
    assert "other.csv" in depot.pulled("origin/dev/x")
    (check,) = check_erasures(project_of(depot), [], quiet)
    assert (check.is_good, check.objects, bool(check.proven)) == (True, 1, True)


def test_the_pointer_is_what_dvc_writes_and_nothing_else_changes(depot: Depot) -> None:
    outcome = erased(depot)
    git = depot.sh.git
    for name in ("raw", "dev/x", "main~1"):
        assert git("log", "-1", "--format=%s", f"origin/{name}") == "Erase 1 object"
    listed = git("diff", "--name-only", "origin/raw~1", "origin/raw").splitlines()
    assert listed == [f"{MONTH}.dvc", f"tombstones/{outcome.plan.id}.json"]
    _, pointer = depot.pointer(MONTH, {"bob.csv": "bob,18\n"})
    assert git("show", f"origin/raw:{MONTH}.dvc") + "\n" == pointer
    stone = json.loads(git("show", f"origin/main:tombstones/{outcome.plan.id}.json"))
    assert stone["objects"] == {GONE: [MONTH, "mine.csv"]}
    assert stone["reason"] == "request 17"
    assert "ann" not in git("show", "--format=%B", "origin/raw")
    assert not git("ls-tree", "--name-only", "origin/dev/x", "mine.csv.dvc")


def test_verify_repair_gc_undelete_and_ingest_know_it(depot: Depot, tmp_path: Path) -> None:
    erased(depot)
    depot.file(ANN, depot.cache)  # somebody's cache still has it
    aside = depot.store / aside_key("0123456789ab", Oid(GONE))
    aside.parent.mkdir(parents=True)
    aside.write_text(ANN, encoding="utf-8")
    project = project_of(depot)
    found = verify(project, VerifyRequest(), quiet)
    assert (found.is_good, found.erased) == (True, 1)
    outcome = repair(project, VerifyRequest(), quiet)
    assert (outcome.repaired, outcome.left) == ((), ())
    assert undelete(project, [], quiet).back == ()
    with pytest.raises(RejectedError, match="request 17"):
        undelete(project, [GONE], quiet)
    plan = plan_emptying(project, quiet, grace_seconds=0.0)
    emptied = apply_emptying(project, plan.run, quiet)
    assert (emptied.gone, emptied.back) == (1, ())
    assert not object_path(depot.store, GONE).exists()
    depot.file(ANN, depot.store)
    assert plan_gc(project, GcRequest(grace_seconds=0.0), quiet).objects == 1

    file = tmp_path / "other-name.csv"
    file.write_text(ANN, encoding="utf-8")
    with pytest.raises(RejectedError, match=r"'other-name\.csv' was erased .*request 17"):
        ingest(project, IngestRequest([file], "tests"), quiet)
    assert not object_path(depot.cache, GONE).exists()


def test_a_check_finds_what_came_back(depot: Depot) -> None:
    outcome = erased(depot)
    assert branchflow(depot.sh, "storage", "erase", "--check").returncode == 0
    depot.file(ANN, depot.base / "mirror")
    done = branchflow(depot.sh, "--json", "storage", "erase", "--check", outcome.plan.id)
    assert done.returncode == 1
    (found,) = json.loads(done.stdout)["result"]
    assert [place["name"] for place in found["back"]] == ["DVC remote 'mirror'"]
    assert erased(depot, GONE).is_done  # the same again takes it
    assert copies(depot) == []


def test_a_dvc_remote_that_is_away_is_named_and_the_same_command_finishes(depot: Depot) -> None:
    spread(depot)
    away = depot.base / "away"
    (depot.base / "mirror").rename(away)
    words = ("storage", "erase", PATH, "--reason", "request 17", "--yes")
    done = branchflow(depot.sh, *words)
    assert done.returncode == 3
    assert "copies may remain: DVC remote 'mirror'" in says(done)
    assert {away} == {path for path in (away, depot.store, depot.cache) if copies_in(path)}
    with pytest.raises(StorageError, match="copies may be there"):
        check_erasures(project_of(depot), [], quiet)
    tips = depot.sh.git("ls-remote", "origin")
    away.rename(depot.base / "mirror")
    done = branchflow(depot.sh, *words)
    assert (done.returncode, copies(depot)) == (0, [])
    moved = set(depot.sh.git("ls-remote", "origin").splitlines()) - set(tips.splitlines())
    assert {line.partition("\t")[2] for line in moved} <= {"HEAD", "refs/heads/main"}


def copies_in(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() and GONE in _names(path)]


def _names(path: Path) -> set[str]:
    return {md5(path.read_bytes())}


def test_who_can_not_be_moved_keeps_everything_as_it_is(depot: Depot) -> None:
    """A manifest that can't be stored, or a rule that refuses, leaves refs and objects alone."""
    before = depot.sh.git("ls-remote", "origin")
    files = (depot.store / "files" / "md5").rename(depot.base / "elsewhere")
    depot.store.joinpath("files").rmdir()
    depot.store.rmdir()
    with pytest.raises(StorageError):
        erased(depot)
    assert depot.sh.git("ls-remote", "origin") == before
    assert list(files.rglob(GONE[2:]))


@pytest.mark.parametrize(
    ("what", "why"),
    [
        ("data/raw/2024-01/none.csv", "is on no branch"),
        ("../secret", "is not a plain path"),
        (md5(b""), "is the empty file"),
        ("0" * 32 + ".dir", "nobody here has the manifest"),
    ],
)
def test_what_can_not_be_meant_is_refused(depot: Depot, what: str, why: str) -> None:
    done = branchflow(depot.sh, "storage", "erase", what, "--reason", "x", "--yes")
    assert (done.returncode in {2, 3}, why in says(done)) == (True, True), done.stderr


def test_a_folder_goes_as_a_whole_and_its_partition_stays_empty(depot: Depot) -> None:
    outcome = erased(depot, MONTH)
    assert len(outcome.plan.objects) == 2
    assert outcome.is_done
    assert "2024-02/eve.csv" in " ".join(depot.pulled("origin/raw"))


def test_a_branch_that_holds_it_again_keeps_it_and_is_named(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a hook on the server a push can win the race; nothing that it needs goes."""

    def with_a_push(project: Project, *_: object, **__: object) -> None:
        publish(*_args(project, *_), **__)
        depot.sh.git("push", "--quiet", "origin", f"{old}:refs/heads/dev/late")

    from dvc_branchflow.storage import erase as module

    publish: Callable[..., None] = module.publish
    _args = lambda *words: words  # noqa: E731
    old = depot.sh.git("rev-parse", "origin/dev/x")
    monkeypatch.setattr(module, "publish", with_a_push)
    outcome = erased(depot)
    assert (outcome.is_done, outcome.held) == (False, ("dev/late",))
    assert object_path(depot.store, GONE).exists()


def test_what_nobody_but_its_owner_may_move_is_named(depot: Depot) -> None:
    git = depot.sh.git
    git("tag", "old", "origin/dev/x")
    git("push", "--quiet", "origin", "old")
    depot.branch("mine", "origin/dev/x")
    depot.write("notes.txt", "mine alone")
    depot.commit()
    git("switch", "--quiet", "--detach", "main")
    depot.point("kept.csv", ANN)
    before = git("for-each-ref", "refs/heads", "refs/tags/old")
    outcome = erased(depot)
    assert {"old", "branch mine in this clone alone", "checkouts"} <= set(outcome.plan.left)
    told = rendered(outcome)
    assert "can't be pulled whole any more" in told
    assert "branch mine in this clone alone" in told
    assert outcome.is_done
    mine = {line for line in before.splitlines() if line.endswith(("heads/mine", "tags/old"))}
    assert mine <= set(git("for-each-ref").splitlines())


def test_only_the_check_can_say_what_may_be_erased(depot: Depot) -> None:
    with pytest.raises(TypeError, match="only `forget`"):
        Forgotten(frozenset({Oid(GONE)}), object())
    there = DirectoryPurge(depot.store, "the store")
    found = there.find([Oid(GONE)])
    for named, held in (((), ()), ((GONE,), (GONE,))):
        there.delete(forget([Oid(GONE)], named, held), found)
    assert object_path(depot.store, GONE).exists()
