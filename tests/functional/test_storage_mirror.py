"""`storage mirror`: a further DVC remote gets all that refs need, proven, and is held to it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dvc_branchflow.errors import StorageError
from dvc_branchflow.project import Project
from dvc_branchflow.storage.gc import GcRequest, apply_gc, plan_gc
from dvc_branchflow.storage.mirror import mirror
from dvc_branchflow.storage.repair import repair
from dvc_branchflow.storage.verify import verify
from dvc_branchflow.work.verification import VerifyRequest
from tests.functional.conftest import branchflow
from tests.support.depot import FLOW, Depot, lay_depot, md5, object_path
from tests.support.repos import Shell, missing_from_directory_remote
from tests.support.rows import DATA, garbage

pytestmark = pytest.mark.usefixtures("as_user")
ONE, FILE, OLD = (md5(text.encode()) for text in (DATA["one.csv"], "a file", "old"))
REMOTES = ("store", "backup", "other")


@pytest.fixture
def depot(tmp_path: Path, sh: Shell) -> Depot:
    """A directory and a file with an older version, garbage, and nothing in the cache."""
    depot = lay_depot(tmp_path / "team", sh, remotes=REMOTES)
    garbage(depot)
    depot.branch("stable/x")
    depot.point("a.csv", "old")
    depot.commit()
    depot.point("tree", DATA)
    depot.point("a.csv", "a file")
    depot.commit()
    depot.push()
    forget_cache(depot)
    return depot


def forget_cache(depot: Depot) -> None:
    for path in depot.cache.rglob("*"):
        if path.is_file():
            path.unlink()


def done(depot: Depot, *refs: str, **options: bool) -> Any:
    return mirror(Project.open(depot.repo), "backup", refs, lambda _: None, **options).filled


def damage(root: Path, oid: str, content: bytes = b"?") -> None:
    path = object_path(root, oid)
    path.chmod(0o644)
    path.write_bytes(content)


def needed(depot: Depot) -> set[str]:
    tree = depot.pointer("tree", DATA, depot.base / "aside")[0]
    return {tree, FILE, OLD, *(md5(text.encode()) for text in DATA.values())}


def test_a_mirror_gets_what_refs_need_and_nothing_else(depot: Depot) -> None:
    check = ("--json", "storage", "mirror", "backup", "--check")
    before = branchflow(depot.sh, *check)
    assert (before.returncode, depot.stored("backup")) == (1, set())
    result = json.loads(before.stdout)["result"]["filled"]
    assert (result["lacking"], result["objects"]) == (5, 0)
    assert {one["path"] for one in result["findings"]} == {
        "a.csv", "tree", "tree/one.csv", "tree/two.csv",
    }  # fmt: skip
    assert "would copy 5 objects" in branchflow(
        depot.sh, "storage", "mirror", "backup", "--dry-run"
    ).stdout  # fmt: skip
    assert depot.stored("backup") == set()
    copied = branchflow(depot.sh, "storage", "mirror", "backup")
    assert copied.returncode == 0, copied.stderr
    assert "copied 5 objects" in copied.stdout
    assert "all there: 5 objects" in copied.stdout
    assert depot.stored("backup") == needed(depot)
    assert missing_from_directory_remote(depot.repo, depot.base / "backup") == []
    assert branchflow(depot.sh, *check).returncode == 0


def test_it_goes_on_where_it_stopped_and_leaves_the_cache_as_it_is(depot: Depot) -> None:
    assert done(depot, "stable/x~1").copied == 1
    assert done(depot).copied == 4
    assert done(depot).copied == 0
    cached = {f.parent.name + f.name for f in (depot.cache / "files").rglob("*") if f.is_file()}
    assert all(oid.endswith(".dir") for oid in cached)


def test_only_a_good_copy_is_taken_wherever_it_lies(depot: Depot) -> None:
    depot.file("a file", depot.cache, depot.base / "other")
    depot.file("old", depot.base / "other")
    depot.file(DATA["one.csv"], depot.cache)
    damage(depot.cache, FILE, b"a lie!")
    damage(depot.store, FILE, b"a lie!")
    object_path(depot.store, OLD).unlink()
    object_path(depot.store, ONE).unlink()
    assert not done(depot).lacking
    assert missing_from_directory_remote(depot.repo, depot.base / "backup") == []


def test_what_nobody_has_is_named_and_its_directory_is_not_called_whole(depot: Depot) -> None:
    damage(depot.store, ONE)
    outcome = done(depot)
    assert {one.path for one in outcome.findings} == {"tree", "tree/one.csv"}
    assert (outcome.copied, outcome.lacking) == (3, 2)
    assert not any(oid.endswith(".dir") for oid in depot.stored("backup"))
    assert branchflow(depot.sh, "storage", "mirror", "backup").returncode == 1


def test_a_copy_of_the_wrong_size_is_found_and_replaced(depot: Depot) -> None:
    done(depot)
    for oid in (ONE, FILE):
        damage(depot.base / "backup", oid, b"longer than it was")
    looked = done(depot, dry_run=True)
    assert {(one.kind, one.path) for one in looked.findings} == {
        ("damaged", "a.csv"), ("damaged", "tree/one.csv"),
    }  # fmt: skip
    assert done(depot).copied == 2
    assert missing_from_directory_remote(depot.repo, depot.base / "backup") == []


@pytest.mark.parametrize("away", ["backup", "store"])
def test_a_dvc_remote_that_is_away_is_unknown_and_nothing_is_claimed(
    depot: Depot, away: str
) -> None:
    (depot.base / away).rename(depot.base / "unmounted")
    outcome = branchflow(depot.sh, "storage", "mirror", "backup")
    assert outcome.returncode == 3
    assert f"DVC remote '{away}' can't be reached" in outcome.stderr


def test_a_place_that_the_team_does_not_know_is_refused(depot: Depot) -> None:
    with pytest.raises(StorageError, match="'elsewhere' is no DVC remote"):
        mirror(Project.open(depot.repo), "elsewhere", (), lambda _: None)


# -- how many copies there have to be --------------------------------------------------------------


@pytest.fixture
def copied(depot: Depot) -> Depot:
    """The same, where a stable branch asks for two copies, on `store` and one of two mirrors."""
    depot.sh.git("switch", "--quiet", "main")
    flow = FLOW.replace("stable/*: {", "stable/*: {copies: 2, ")
    depot.config(f"mirrors: [backup, other]\n{flow}")
    return depot


def verified(depot: Depot, *refs: str) -> Any:
    return verify(Project.open(depot.repo), VerifyRequest(refs), lambda _: None)


def test_verify_asks_for_the_copies_that_a_role_wants(copied: Depot) -> None:
    copied.sh.git("tag", "-a", "x@v1.0.0", "-m", "x", "origin/stable/x")
    found = branchflow(copied.sh, "--json", "storage", "verify")
    assert found.returncode == 1
    result = json.loads(found.stdout)["result"]
    assert {(one["remote"], one["kind"]) for one in result["findings"]} == {("backup", "missing")}
    assert len(result["findings"]) == 5
    assert result["copies"] == [{"branches": "stable/*", "wanted": 2, "fewest": 1}]
    assert result["releases"][0]["is_whole"]  # it can be pulled
    assert "copies of stable/*: 1 of 2" in branchflow(copied.sh, "storage", "verify").stdout
    assert not verified(copied, "x@v1.0.0").is_good
    assert verified(copied, "origin/main").is_good
    done(copied)
    assert branchflow(copied.sh, "storage", "verify").returncode == 0
    damage(copied.base / "backup", FILE)
    assert [(one.remote, one.kind) for one in verified(copied).findings] == [("backup", "damaged")]
    copied.file("a file", copied.base / "other")
    assert verified(copied).is_good  # any mirror counts


def test_repair_puts_a_missing_copy_back_and_takes_from_a_mirror(copied: Depot) -> None:
    done(copied)
    object_path(copied.base / "backup", ONE).unlink()
    object_path(copied.store, FILE).unlink()
    outcome = repair(Project.open(copied.repo), VerifyRequest(), lambda _: None)
    assert {(one.oid, one.remote, one.source) for one in outcome.repaired} == {
        (ONE, "backup", "DVC remote 'store'"),
        (FILE, "store", "DVC remote 'backup'"),
    }
    assert verified(copied).is_good


def test_gc_takes_from_a_mirror_just_what_nothing_needs(copied: Depot) -> None:
    done(copied)
    stray = copied.file("a stray", copied.base / "backup")
    plan = plan_gc(Project.open(copied.repo), GcRequest(("backup",), 0.0), lambda _: None)
    assert any("2" in note and "stable/*" in note for note in plan.notes)
    apply_gc(Project.open(copied.repo), plan.run, lambda _: None, drain_seconds=0.0)
    assert copied.stored("backup") == needed(copied)
    assert stray not in copied.stored("backup")
    assert verified(copied).is_good


def test_a_mirror_that_is_away_gives_no_verdict(copied: Depot) -> None:
    (copied.base / "other").rename(copied.base / "unmounted")
    assert branchflow(copied.sh, "storage", "verify").returncode == 3


def test_another_name_for_the_same_place_is_no_second_copy(copied: Depot) -> None:
    config = (copied.repo / ".dvc/config").read_text(encoding="utf-8")
    copied.write(".dvc/config", config.replace("../../backup", "../../store"))
    copied.commit()
    copied.push("main")
    assert {one.remote for one in verified(copied).findings} == {"other"}
