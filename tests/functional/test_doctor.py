"""What `storage doctor` finds out of directories and DVC's own file systems, and how it says so."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from dvc_objects.fs import MemoryFileSystem
from obstore.store import MemoryStore

from dvc_branchflow.objects import FileSystem, asking
from dvc_branchflow.objects.bucket_probe import BucketProbe
from dvc_branchflow.objects.folder_probe import DirectoryProbe, FileSystemProbe
from dvc_branchflow.probed import Ability, Answer, Probed
from tests.functional.conftest import branchflow
from tests.support.depot import Depot, lay_depot, object_path
from tests.support.repos import Shell

_AS_NOBODY = """\
import os, sys
from pathlib import Path
from dvc_branchflow.objects.folder_probe import DirectoryProbe
os.chdir(sys.argv[1])  # the folders above are closed to others
os.setgroups([])
os.setgid(65_534)
os.setuid(65_534)
for fact in DirectoryProbe(Path(".")).run().facts.values():
    print(fact.ability, fact.answer, fact.said, sep="|")
"""


@pytest.fixture
def depot(tmp_path: Path, sh: Shell) -> Depot:
    return lay_depot(tmp_path / "team", sh)


def answers(probed: Probed) -> dict[Ability, Answer]:
    return {ability: fact.answer for ability, fact in probed.facts.items()}


def test_a_directory_is_tried_out_and_left_as_it_was(depot: Depot) -> None:
    depot.file("an object", depot.store)
    before = {path: path.stat().st_mtime_ns for path in depot.store.rglob("*")}
    shown = branchflow(depot.sh, "storage", "doctor", "--dry-run")
    assert (shown.returncode, "would try" in shown.stdout) == (0, True)
    done = branchflow(depot.sh, "storage", "doctor")
    assert done.returncode == 0, done.stdout
    assert "all that is asked for an admin is there" in done.stdout
    assert {path: path.stat().st_mtime_ns for path in depot.store.rglob("*")} == before
    body = json.loads(branchflow(depot.sh, "storage", "doctor", "store", "--json").stdout)
    facts = {fact["ability"]: fact["answer"] for fact in body["result"][0]["facts"]}
    assert facts["rename"] == facts["hard links"] == facts["get"] == "yes"


def test_a_directory_that_is_away_is_unknown(depot: Depot) -> None:
    depot.store.rename(depot.base / "away")
    done = branchflow(depot.sh, "storage", "doctor")
    assert (done.returncode, "unknown" in done.stdout, "missing" in done.stdout) == (3, True, False)
    assert not depot.store.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="another user is needed to be kept out")
def test_a_user_without_rights_is_told_which(depot: Depot) -> None:
    oid = depot.file("an object", depot.store)
    seen = as_nobody(depot.store)
    assert seen["put"].startswith("no|it refuses")
    assert seen["get"].startswith("yes")
    folder = object_path(depot.store, oid).parent
    depot.store.chmod(0o777)
    seen = as_nobody(depot.store)
    assert (seen["put"], seen["delete"]) == ("yes|", "yes|")
    assert (
        seen["write in every folder"]
        == f"no|'files/md5/{folder.name}' can't be written by this user"
    )
    object_path(depot.store, oid).chmod(0o600)
    assert as_nobody(depot.store)["get"].startswith("no|it refuses")


def as_nobody(root: Path) -> dict[str, str]:
    done = subprocess.run(
        [sys.executable, "-c", _AS_NOBODY, str(root)], check=True, capture_output=True, text=True
    )
    return dict(line.split("|", 1) for line in done.stdout.splitlines())


def test_what_a_killed_probe_left_goes_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(DirectoryProbe, "_tidy", lambda *_: None)
        DirectoryProbe(tmp_path).run()
    foreign = tmp_path / "branchflow/doctor/notes.txt"
    foreign.write_text("somebody's")
    monkeypatch.setattr(asking, "STALE_SECONDS", -5.0)
    DirectoryProbe(tmp_path).run()
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [foreign]


def test_dvcs_own_file_systems_are_tried_out() -> None:
    fs = MemoryFileSystem(global_store=False)
    place = FileSystem(fs, "/remote", home=None, appears_whole=True, can_list=True)
    assert set(answers(FileSystemProbe(place).run()).values()) == {Answer.YES}
    assert not fs.fs.find("/")
    blind = FileSystem(fs, "/remote", home=None, appears_whole=True, can_list=False)
    assert answers(FileSystemProbe(blind).run())[Ability.LIST] is Answer.NO
    away = FileSystem(fs, "/remote", home="/nowhere", appears_whole=True, can_list=True)
    assert set(answers(FileSystemProbe(away).run()).values()) == {Answer.UNKNOWN}
    assert not fs.fs.find("/")


def test_a_bucket_without_settings_to_ask_for_leaves_them_unknown() -> None:
    client = MemoryStore()
    found = answers(BucketProbe(client, None).run())
    unknown = {ability for ability, answer in found.items() if answer is Answer.UNKNOWN}
    assert unknown == {
        Ability.VERSIONS, Ability.OLD_VERSIONS, Ability.UPLOADS, Ability.LOCK, Ability.LIFECYCLE
    }  # fmt: skip
    assert found[Ability.PUT] is found[Ability.DELETE] is found[Ability.CREATE] is Answer.YES
    assert not [meta for batch in client.list() for meta in batch]
