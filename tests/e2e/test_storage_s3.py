"""Storage on a real S3 server, with and without versions, locked, and behind a bad network."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dvc_branchflow.errors import StorageError
from dvc_branchflow.project import Project
from dvc_branchflow.storage.empty_trash import apply_emptying, plan_emptying
from dvc_branchflow.storage.erase import erase
from dvc_branchflow.storage.gc import GcRequest, apply_gc, plan_gc
from dvc_branchflow.storage.mirror import mirror
from dvc_branchflow.storage.repair import repair
from dvc_branchflow.storage.undelete import undelete
from dvc_branchflow.storage.verify import verify
from dvc_branchflow.work.erasing import EraseRequest
from dvc_branchflow.work.verification import VerifyRequest
from tests.support.depot import Depot, lay_depot, md5
from tests.support.repos import Shell
from tests.support.rows import DATA, garbage, released
from tests.support.servers import FaultyProxy, S3Server, seaweedfs

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("as_user")]
PREFIX = "team/dvc"
KINDS = ("plain", "versioned", "suspended", "locked")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with seaweedfs(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture
def as_user(env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in env.items():
        monkeypatch.setenv(name, value)


@dataclass
class Team:
    """A depot whose objects lie in a bucket; its folder `store` is only where they are made."""

    depot: Depot
    server: S3Server
    bucket: str

    @property
    def project(self) -> Project:
        return Project.open(self.depot.repo)

    def upload(self) -> None:
        """Bring to the bucket what was made."""
        client = self.server.client()
        for path in (self.depot.store / "files").rglob("*"):
            if path.is_file():
                key = f"{PREFIX}/{path.relative_to(self.depot.store).as_posix()}"
                client.put_object(Bucket=self.bucket, Key=key, Body=path.read_bytes())

    def stored(self) -> set[str]:
        keys = self.server.keys(self.bucket, f"{PREFIX}/files/md5/")
        return {key.removeprefix(f"{PREFIX}/files/md5/").replace("/", "") for key in keys}

    def versions(self) -> list[dict[str, Any]]:
        found = self.server.client().list_object_versions(
            Bucket=self.bucket, Prefix=f"{PREFIX}/files"
        )
        return [*found.get("Versions", []), *found.get("DeleteMarkers", [])]

    def plan(self) -> Any:
        return plan_gc(self.project, GcRequest(grace_seconds=0.0), quiet)

    def apply(self, plan: Any) -> Any:
        time.sleep(1.1)  # the server's clock shows whole seconds; what came in this one is young
        return apply_gc(self.project, plan.run, quiet, drain_seconds=0.0)


def quiet(_: str) -> None:
    """Say nothing."""


@pytest.fixture
def make_team(server: S3Server, tmp_path: Path, env: dict[str, str]) -> Callable[..., Team]:
    def make(kind: str, *, through: S3Server | None = None) -> Team:
        bucket = f"{kind}-{secrets.token_hex(4)}"
        client = server.client()
        client.create_bucket(Bucket=bucket, ObjectLockEnabledForBucket=kind == "locked")
        if kind in {"versioned", "suspended"}:
            for status in ("Enabled", "Suspended") if kind == "suspended" else ("Enabled",):
                client.put_bucket_versioning(
                    Bucket=bucket, VersioningConfiguration={"Status": status}
                )
        depot = lay_depot(tmp_path / "team", Shell(tmp_path, env))
        at = through or server
        depot.write(
            ".dvc/config",
            f"[core]\n    remote = store\n['remote \"store\"']\n    url = s3://{bucket}/{PREFIX}\n"
            f"    endpointurl = {at.endpoint_url}\n    access_key_id = {at.access_key}\n"
            f"    secret_access_key = {at.secret_key}\n",
        )
        depot.commit(days_ago=900)
        depot.push("main")
        return Team(depot, server, bucket)

    return make


@pytest.mark.parametrize("kind", KINDS)
def test_a_gc_and_the_way_back_and_the_end(make_team: Callable[..., Team], kind: str) -> None:
    team = make_team(kind)
    unneeded = garbage(team.depot)
    needed = released(team.depot)
    team.upload()
    plan = team.plan()
    outcome = team.apply(plan)
    assert outcome.moved == len(unneeded)
    assert team.stored() == needed
    copies = team.server.keys(team.bucket, f"{PREFIX}/branchflow/trash/")
    has_copies = any(key.endswith(md5(b"nobody's")) for key in copies)
    assert has_copies is (kind in {"plain", "suspended"})
    assert set(undelete(team.project, [plan.run], quiet).back) == unneeded
    assert team.stored() == needed | unneeded
    assert verify(team.project, VerifyRequest(deep=True), quiet).is_good
    team.apply(team.plan())
    if kind == "locked":
        hidden = next(one for one in team.versions() if one["Key"].endswith(md5(b"nobody's")[2:]))
        team.server.client().put_object_retention(
            Bucket=team.bucket, Key=hidden["Key"], VersionId=version_of(team, hidden["Key"]),
            Retention={"Mode": "COMPLIANCE", "RetainUntilDate": datetime.now(UTC) + timedelta(days=1)},
        )  # fmt: skip
    emptying = plan_emptying(team.project, quiet, grace_seconds=0.0)
    done = apply_emptying(team.project, emptying.run, quiet)
    refused = {md5(b"nobody's")} if kind == "locked" else set()
    assert set(done.refused) == refused
    assert done.gone == len(unneeded) - len(refused)
    assert team.stored() == needed
    left = {one["Key"].rpartition("md5/")[2].replace("/", "") for one in team.versions()}
    assert left == needed | refused if kind in {"versioned", "locked"} else True
    assert team.depot.pulled("origin/stable/x")["a.csv"] == "a file"


@pytest.mark.parametrize("kind", ["plain", "versioned", "locked"])
def test_an_erasure_takes_every_version_and_says_what_the_bucket_keeps(
    make_team: Callable[..., Team], kind: str
) -> None:
    team = make_team(kind)
    team.depot.branch("raw")
    team.depot.point("data/raw/x", DATA)
    team.depot.commit()
    team.depot.push("raw")
    gone = md5(DATA["one.csv"].encode())
    team.upload()
    key = f"{PREFIX}/files/md5/{gone[:2]}/{gone[2:]}"
    client = team.server.client()
    client.delete_object(Bucket=team.bucket, Key=key)
    team.upload()  # by now there are two versions and a marker, where the bucket keeps them
    if kind == "locked":
        client.put_object_retention(
            Bucket=team.bucket, Key=key, VersionId=version_of(team, key),
            Retention={"Mode": "COMPLIANCE", "RetainUntilDate": datetime.now(UTC) + timedelta(days=1)},
        )  # fmt: skip
    outcome = erase(team.project, EraseRequest("data/raw/x/one.csv", "request 17"), quiet)
    left = [one for one in team.versions() if one["Key"] == key]
    (place,) = (one for one in outcome.places if one.name == "DVC remote 'store'")
    assert place.sees_versions
    if kind == "locked":
        assert (outcome.is_done, len(left), set(place.kept)) == (False, 1, {gone})
    else:
        assert (outcome.is_done, left) == (True, [])
        # What a run leaves that is cut off after the copies: a line in a list of the trash.
        trash = f"{PREFIX}/branchflow/trash/20260101T000000Z-cut.txt"
        client.put_object(
            Bucket=team.bucket, Key=trash, Body=f"{gone} v1\n{'0' * 32} v2\n".encode()
        )
        erase(team.project, EraseRequest("data/raw/x/one.csv", "request 17"), quiet)
        listed = client.get_object(Bucket=team.bucket, Key=trash)["Body"].read()
        assert listed == f"{'0' * 32} v2\n".encode()


def version_of(team: Team, key: str) -> str:
    found = team.server.client().list_object_versions(Bucket=team.bucket, Prefix=key)
    return str(found["Versions"][0]["VersionId"])


def test_content_is_proven_by_etag_and_damage_is_found_and_repaired(
    make_team: Callable[..., Team],
) -> None:
    team = make_team("plain")
    released(team.depot)
    team.upload()
    found = verify(team.project, VerifyRequest(), quiet)
    assert (found.proven, found.left, found.read_bytes) == (4, 0, 0)
    oid = md5(DATA["one.csv"].encode())
    key = f"{PREFIX}/files/md5/{oid[:2]}/{oid[2:]}"
    team.server.client().put_object(Bucket=team.bucket, Key=key, Body=b"X\n")
    assert verify(team.project, VerifyRequest(), quiet).left == 1
    damaged = verify(team.project, VerifyRequest(deep=True), quiet)
    assert [(one.kind, one.path) for one in damaged.findings] == [("damaged", "tree/one.csv")]
    assert not repair(team.project, VerifyRequest(deep=True), quiet).left
    assert verify(team.project, VerifyRequest(deep=True), quiet).is_good


def test_a_mirror_in_a_bucket_is_filled_through_a_bad_network_and_held_to_it(
    make_team: Callable[..., Team], server: S3Server
) -> None:
    with FaultyProxy(server) as proxy:
        team = make_team("plain", through=proxy.server)
        depot = team.depot
        config = (depot.repo / ".dvc/config").read_text(encoding="utf-8")
        _, _, options = config.partition("url = ")
        section = f"['remote \"backup\"']\n    url = {options}".replace(PREFIX, "backup")
        depot.write(".dvc/config", config + section)
        depot.commit(days_ago=900)
        depot.push("main")
        garbage(depot)
        needed = released(depot)
        big = depot.file("x" * 3_000_000)  # goes in parts
        text = f"outs:\n- md5: {big}\n  size: 3000000\n  hash: md5\n  path: b.csv\n"
        depot.write("b.csv.dvc", text)
        depot.commit()
        depot.push("stable/x")
        needed.add(big)
        team.upload()
        for path in depot.cache.rglob("*"):
            if path.is_file():
                path.unlink()

        def there() -> set[str]:
            keys = server.keys(team.bucket, "backup/files/md5/")
            return {key.removeprefix("backup/files/md5/").replace("/", "") for key in keys}

        n_cut = 0
        for n_bytes in (0, 9_000, 20_000, 3_020_000):
            proxy.cut_after(n_bytes, in_total=True)
            try:
                mirror(team.project, "backup", (), quiet)
            except StorageError:
                n_cut += 1
            proxy.pass_through()
            assert there() <= needed
        assert n_cut
        assert not mirror(team.project, "backup", (), quiet).filled.lacking
        assert there() == needed
        oid = md5(DATA["one.csv"].encode())
        key = f"backup/files/md5/{oid[:2]}/{oid[2:]}"
        server.client().put_object(Bucket=team.bucket, Key=key, Body=b"cut")
        looked = mirror(team.project, "backup", (), quiet, dry_run=True).filled
        assert [(one.kind, one.path) for one in looked.findings] == [("damaged", "tree/one.csv")]
        assert mirror(team.project, "backup", (), quiet).filled.copied == 1
        for path in depot.cache.rglob("*"):  # and it is as good as the first one
            if path.is_file():
                path.unlink()
        server.client().delete_object(Bucket=team.bucket, Key=f"{PREFIX}/{key[7:]}")
        assert repair(team.project, VerifyRequest(), quiet).repaired[0].source.endswith("'backup'")


def test_wrong_keys_are_unknown_and_never_empty(make_team: Callable[..., Team]) -> None:
    team = make_team("plain")
    garbage(team.depot)
    released(team.depot)
    team.upload()
    plan = team.plan()
    before = team.stored()
    team.depot.write(".dvc/config.local", "['remote \"store\"']\n    secret_access_key = wrong\n")
    for act in (team.plan, lambda: team.apply(plan)):
        with pytest.raises(StorageError, match="DVC remote 'store'"):
            act()
    with pytest.raises(StorageError):
        verify(team.project, VerifyRequest(), quiet)
    assert team.stored() == before


@pytest.mark.parametrize("kind", ["plain", "versioned"])
def test_a_bad_network_loses_nothing_and_the_same_command_finishes(
    make_team: Callable[..., Team], server: S3Server, kind: str
) -> None:
    with FaultyProxy(server) as proxy:
        team = make_team(kind, through=proxy.server)
        unneeded = garbage(team.depot)
        needed = released(team.depot)
        team.upload()
        plan = team.plan()
        n_cut = 0
        for n_bytes in (0, 3_000, 9_000, 15_000, 21_000, 30_000):
            proxy.cut_after(n_bytes, in_total=True)
            try:
                team.apply(plan)
            except StorageError:
                n_cut += 1
            proxy.pass_through()
            assert needed <= team.stored()
            back = undelete(team.project, [], quiet, dry_run=True).batches
            assert sum(one.objects for one in back) + len(team.stored() & unneeded) >= len(unneeded)
        assert n_cut
        team.apply(plan)
        assert team.stored() == needed
        undelete(team.project, [], quiet)
        assert team.stored() == needed | unneeded
