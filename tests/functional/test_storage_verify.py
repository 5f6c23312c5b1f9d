"""`storage verify` and `storage repair`: nothing missing or damaged is called complete."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from dvc_branchflow.cli.render import storage as render
from dvc_branchflow.objects import DirectoryStore
from dvc_branchflow.project import Project
from dvc_branchflow.storage import verify as verify_module
from dvc_branchflow.storage.repair import repair
from dvc_branchflow.storage.verify import verify
from dvc_branchflow.work.verification import VerifyRequest
from tests.functional.conftest import branchflow, says
from tests.support.depot import Depot, lay_depot, md5, object_path
from tests.support.repos import Shell, missing_from_directory_remote
from tests.support.rows import DATA

pytestmark = pytest.mark.usefixtures("as_user")
FILE = md5(DATA["one.csv"].encode())
DEEP = VerifyRequest(deep=True)


@pytest.fixture
def depot(tmp_path: Path, sh: Shell) -> Depot:
    """A release of a directory and a file, and another remote beside the default one."""
    depot = lay_depot(tmp_path / "team", sh, remotes=("store", "mirror"))
    depot.branch("stable/x")
    depot.point("tree", DATA)
    depot.point("a.csv", "a file")
    depot.commit()
    depot.sh.git("tag", "-a", "x@v1.0.0", "-m", "x")
    depot.push("stable/x", "x@v1.0.0")
    return depot


def found(depot: Depot, request: VerifyRequest = VerifyRequest()) -> Any:  # noqa: B008
    return verify(Project.open(depot.repo), request, lambda _: None)


def mended(depot: Depot, request: VerifyRequest = VerifyRequest(), **options: bool) -> Any:  # noqa: B008
    return repair(Project.open(depot.repo), request, lambda _: None, **options)


def damage(root: Path, oid: str, content: bytes) -> None:
    path = object_path(root, oid)
    path.chmod(0o644)
    path.write_bytes(content)


def findings(found: Any) -> list[tuple[str, str, str]]:
    return [(one.kind, one.remote, one.path) for one in found.findings]


def test_all_that_is_there_is_good_and_the_exit_code_says_so(depot: Depot) -> None:
    done = branchflow(depot.sh, "storage", "verify")
    assert (done.returncode, "all there: 4 objects" in done.stdout) == (0, True)
    assert "x@v1.0.0  all there, never proven" in done.stdout


def test_a_file_is_missed_though_its_manifest_is_there(depot: Depot) -> None:
    object_path(depot.store, FILE).unlink()
    done = branchflow(depot.sh, "--json", "storage", "verify")
    assert done.returncode == 1
    result = json.loads(done.stdout)["result"]
    assert [one["path"] for one in result["findings"]] == ["tree/one.csv"]
    assert result["findings"][0]["refs"] == ["stable/x", "x@v1.0.0"]
    assert not result["releases"][0]["is_whole"]
    assert "not whole" in branchflow(depot.sh, "storage", "verify").stdout


def test_of_a_great_many_some_are_named_and_all_are_counted(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify_module, "_NAMED", 1)
    depot.branch("dev/y")
    oids = [depot.point(f"{name}.csv", name) for name in ("b", "c", "d", "e", "f", "g")]
    depot.commit()
    depot.push("dev/y")
    for oid in [*oids, FILE]:
        object_path(depot.store, oid).unlink()
    result = found(depot)
    assert (len(result.findings), result.more) == (1, 6)
    assert not result.releases[0].is_whole  # whichever was named
    assert "7 objects missing or damaged" in render.verified(result, deep=False)
    assert not found(depot, VerifyRequest(("x@v1.0.0",))).more


def test_an_object_of_another_size_is_damaged_without_a_deep_look(depot: Depot) -> None:
    damage(depot.store, FILE, b"1")
    damage(depot.store, md5(b"a file"), b"a")
    assert findings(found(depot)) == [
        ("damaged", "store", "a.csv"),
        ("damaged", "store", "tree/one.csv"),
    ]


def test_an_object_of_the_right_size_is_damaged_at_a_deep_look(depot: Depot) -> None:
    damage(depot.store, FILE, b"X\n")
    assert found(depot).is_good
    assert findings(found(depot, DEEP)) == [("damaged", "store", "tree/one.csv")]


def test_a_pointer_that_tells_a_wrong_size_is_no_damage(depot: Depot) -> None:
    text = (depot.repo / "tree.dvc").read_text(encoding="utf-8")
    depot.write("tree.dvc", text.replace("size: 4", "size: 5"))
    depot.commit()
    depot.push("stable/x")
    assert found(depot).is_good


def test_a_manifest_that_is_gone_or_damaged_is_found(depot: Depot) -> None:
    oid = depot.pointer("tree", DATA)[0]
    object_path(depot.store, oid).unlink()
    assert findings(found(depot)) == [("missing", "store", "tree")]
    depot.folder(DATA, depot.store)
    damage(depot.store, oid, b"[]")
    assert findings(found(depot)) == [("damaged", "store", "tree")]
    object_path(depot.cache, oid).unlink()
    assert findings(found(depot)) == [("unread", "store", "tree")]


def test_what_old_commits_need_is_verified_too(depot: Depot) -> None:
    depot.branch("raw")
    oid = depot.point("data/raw/a.csv", "old")
    commit = depot.commit()
    depot.point("data/raw/a.csv", "new")
    depot.commit()
    depot.push("raw")
    object_path(depot.store, oid).unlink()
    result = found(depot)
    assert [(one.path, one.commit, one.refs) for one in result.findings] == [
        ("data/raw/a.csv", commit, ("raw",))
    ]
    assert missing_from_directory_remote(depot.repo, depot.store) == [f"{oid}: absent"]
    assert found(depot, VerifyRequest(("x@v1.0.0",))).is_good
    assert not found(depot, VerifyRequest((commit,))).is_good


def test_what_is_not_pushed_is_not_asked_for(depot: Depot) -> None:
    depot.branch("dev/x")
    depot.point("b.csv", "mine", depot.cache)
    depot.commit()
    assert found(depot).is_good
    assert not found(depot, VerifyRequest(("dev/x",))).is_good


PIPELINE = """\
stages:
  t:
    cmd: echo
    outs:
    - kept.csv
    - local.csv: {push: false}
    - elsewhere.csv: {remote: mirror}
    metrics:
    - m.json: {cache: false}
"""


def test_only_what_dvc_would_push_is_asked_for_and_where_it_would_push_it(depot: Depot) -> None:
    outs = ""
    for name in ("kept.csv", "local.csv", "elsewhere.csv", "m.json"):
        oid = depot.file(name, depot.cache)
        outs += f"    - path: {name}\n      hash: md5\n      md5: {oid}\n      size: {len(name)}\n"
    depot.write("dvc.yaml", PIPELINE)
    depot.write("dvc.lock", f"schema: '2.0'\nstages:\n  t:\n    cmd: echo\n    outs:\n{outs}")
    depot.write("m.json", "m.json")
    oid, text = depot.pointer("off.csv", "off", depot.cache)
    depot.write("off.csv.dvc", text + "  push: false\n")
    source = "deps:\n- path: x\n  repo: {url: u, rev_lock: r}\n"
    depot.write("imported.csv.dvc", f"frozen: true\n{source}{text.replace('off', 'imported')}")
    depot.commit()
    depot.push("stable/x")
    expected = [("missing", "store", "kept.csv"), ("missing", "mirror", "elsewhere.csv")]
    assert sorted(findings(found(depot))) == sorted(expected)
    depot.sh.dvc("push", "-q", "kept.csv", "elsewhere.csv")
    assert found(depot).is_good


def test_a_branch_with_another_default_remote_is_verified_there(depot: Depot) -> None:
    depot.branch("dev/x", "stable/x")
    config = (depot.repo / ".dvc/config").read_text(encoding="utf-8")
    depot.write(".dvc/config", config.replace("remote = store", "remote = mirror"))
    depot.point("b.csv", "b", depot.base / "mirror")
    depot.commit()
    depot.push("dev/x")
    asked = {
        ("missing", "mirror", path) for path in ("a.csv", "tree", *(f"tree/{n}" for n in DATA))
    }
    assert set(findings(found(depot))) == asked
    assert not found(depot, VerifyRequest(("stable/x",))).findings


def test_what_cant_be_told_is_unknown_and_not_good(depot: Depot) -> None:
    depot.branch("dev/x")
    depot.write("a.csv.dvc", f"outs:\n- md5: {FILE}\n  size: 2\n  path: a.csv\n")  # DVC 2
    text = f"outs:\n- md5: {FILE}\n  size: 2\n  hash: md5\n  path: b.csv\n  remote: nowhere\n"
    depot.write("b.csv.dvc", text)
    depot.write("c.csv.dvc", "half wri")
    depot.commit()
    depot.push("dev/x")
    result = found(depot)
    assert not result.is_good
    assert len(result.unknown) == 3
    done = branchflow(depot.sh, "storage", "verify")
    assert done.returncode == 1
    assert "unknown: " in done.stdout


def test_a_remote_that_is_away_is_no_verdict(depot: Depot) -> None:
    depot.store.rename(depot.base / "unmounted")
    done = branchflow(depot.sh, "storage", "verify")
    assert done.returncode == 3
    assert "can't be reached" in says(done)


def test_an_object_that_a_listing_passed_over_is_not_missing(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing = DirectoryStore.listing

    def stale(store: DirectoryStore) -> Any:
        return (one for one in listing(store) if one.oid != FILE)

    monkeypatch.setattr(DirectoryStore, "listing", stale)
    assert found(depot).is_good


# -- deep ------------------------------------------------------------------------------------------


def reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every object whose content is read from now on."""
    seen: list[str] = []
    digests = DirectoryStore.digests

    def noted(store: DirectoryStore, oids: Any) -> Any:
        seen.extend(oids)
        return digests(store, oids)

    monkeypatch.setattr(DirectoryStore, "digests", noted)
    return seen


def test_a_pass_that_was_cut_short_goes_on_and_the_next_one_begins_anew(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = reads(monkeypatch)
    n_runs = 0
    while found(depot, VerifyRequest(deep=True, max_bytes=10)).left:
        n_runs += 1
    assert n_runs
    assert len(seen) == len(set(seen)) == 4
    release = found(depot).releases[0]
    assert release.proven
    found(depot, DEEP)
    assert len(seen) == 8


def test_a_budget_of_time_is_kept(depot: Depot, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = reads(monkeypatch)
    result = found(depot, VerifyRequest(deep=True, seconds=0.0))
    assert (result.left, seen) == (4, [])


def test_a_copy_that_was_written_anew_is_read_anew(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert found(depot, DEEP).releases[0].proven
    damage(depot.store, FILE, b"X\n")
    later = time.time() + 60
    os.utime(object_path(depot.store, FILE), (later, later))
    result = found(depot)
    assert (result.proven, result.left, result.releases[0].proven) == (3, 1, "")


def test_proofs_can_be_deleted_or_cut_off_at_any_time(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    found(depot, DEEP)
    files = [path for path in (depot.repo / ".git/branchflow/proofs").rglob("*") if path.is_file()]
    assert files
    for path in files:
        path.write_bytes(path.read_bytes()[:-3])
    assert found(depot).proven == 0
    assert found(depot, DEEP).is_good
    assert found(depot).proven == 4


def test_a_sample_reads_some_objects_and_others_the_next_time(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    depot.point("many", {f"{n}": f"file {n}" for n in range(60)})
    depot.commit()
    depot.push("stable/x")
    seen = reads(monkeypatch)
    found(depot, VerifyRequest(deep=True, share=0.3))
    first = set(seen)
    assert 5 < len(first) < 45
    seen.clear()
    found(depot, VerifyRequest(deep=True, share=0.3))
    assert set(seen) - first


# -- repair ----------------------------------------------------------------------------------------


def test_repair_takes_the_cache_first_and_then_another_remote(depot: Depot) -> None:
    oid = md5(b"a file")
    for one in (FILE, oid):
        object_path(depot.store, one).unlink()
    object_path(depot.cache, oid).unlink()
    depot.file("a file", depot.base / "mirror")
    planned = mended(depot, dry_run=True)
    assert not object_path(depot.store, FILE).exists()
    assert not object_path(depot.cache, oid).exists()
    done = mended(depot)
    assert {(one.path, one.source) for one in done.repaired} == {
        ("tree/one.csv", str(depot.cache)),
        ("a.csv", "DVC remote 'mirror'"),
    }
    assert {one.path for one in planned.repaired} == {one.path for one in done.repaired}
    assert not done.left
    assert not missing_from_directory_remote(depot.repo, depot.store)


def test_repair_replaces_what_is_damaged_and_takes_nothing_that_is(depot: Depot) -> None:
    damage(depot.store, FILE, b"X\n")
    damage(depot.cache, FILE, b"Y\n")
    assert [one.path for one in mended(depot, DEEP).left] == ["tree/one.csv"]
    depot.file(DATA["one.csv"], depot.base / "mirror")
    damage(depot.base / "mirror", FILE, b"Z\n")
    assert [one.path for one in mended(depot, DEEP).left] == ["tree/one.csv"]
    damage(depot.base / "mirror", FILE, DATA["one.csv"].encode())
    assert not mended(depot, DEEP).left
    assert not missing_from_directory_remote(depot.repo, depot.store)


def test_a_manifest_is_not_put_back_while_one_of_its_files_is_missing(depot: Depot) -> None:
    oid = depot.pointer("tree", DATA)[0]
    for one in (oid, FILE):
        object_path(depot.store, one).unlink()
    object_path(depot.cache, FILE).unlink()
    assert {one.path for one in mended(depot).left} == {"tree", "tree/one.csv"}
    assert not object_path(depot.store, oid).exists()
    depot.file(DATA["one.csv"], depot.cache)
    done = branchflow(depot.sh, "storage", "repair")
    assert done.returncode == 0, done.stdout
    assert "put back 2 objects" in done.stdout


def test_repair_finds_the_files_of_a_manifest_that_it_brought_back(depot: Depot) -> None:
    """The clone that repairs has nothing; all is on the mirror."""
    depot.folder(DATA, depot.base / "mirror")
    other = depot.new_clone("second")
    for oid in (FILE, depot.pointer("tree", DATA)[0]):
        object_path(depot.store, oid).unlink()
    object_path(depot.base / "mirror", md5(DATA["two.csv"].encode())).unlink()
    assert not mended(other).left
    assert not missing_from_directory_remote(depot.repo, depot.store)


def test_repair_ends_with_1_where_nobody_has_it(depot: Depot) -> None:
    for place in (depot.store, depot.cache):
        object_path(place, FILE).unlink()
    done = branchflow(depot.sh, "storage", "repair")
    assert done.returncode == 1
    assert "missing on store: tree/one.csv" in done.stdout


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["--sample", "0.5"], "verify --deep"),
        (["--deep", "--sample", "2"], "no share"),
        (["--deep", "--budget", "soon"], "no amount"),
        (["no-such-ref"], "is no commit, branch or tag"),
    ],
)
def test_what_makes_no_sense_is_told(depot: Depot, args: list[str], message: str) -> None:
    done = branchflow(depot.sh, "storage", "verify", *args)
    assert done.returncode in {2, 3}
    assert message in says(done)
