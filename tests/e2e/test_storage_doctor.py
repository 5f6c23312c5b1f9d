"""What `storage doctor` finds out on real servers, with rights taken away one by one."""

from __future__ import annotations

import json
import secrets
import urllib.request
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import boto3
import pytest

from dvc_branchflow.access.policies import User
from dvc_branchflow.objects import asking, bucket_probe
from dvc_branchflow.project import Project
from dvc_branchflow.storage.doctor import Diagnosis, doctor
from tests.support.depot import lay_depot
from tests.support.repos import Shell
from tests.support.servers import FaultyProxy, S3Server, moto_server, seaweedfs

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("as_user")]
PREFIX = "team/dvc"
OBJECT = f"{PREFIX}/files/md5/ab/{'c' * 30}"


@pytest.fixture(scope="module")
def moto() -> Iterator[S3Server]:
    with moto_server() as server:
        yield server


@pytest.fixture(scope="module")
def weed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with seaweedfs(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(params=["moto", "weed"])
def server(request: pytest.FixtureRequest) -> S3Server:
    found: S3Server = request.getfixturevalue(request.param)
    return found


class Place:
    """A bucket with an object in it, and a repository whose DVC remote it is."""

    def __init__(self, folder: Path, sh: Shell, server: S3Server, *, lock: bool = False) -> None:
        self.server = server
        self.bucket = f"b-{secrets.token_hex(6)}"
        self.client = server.client()
        self.client.create_bucket(Bucket=self.bucket, ObjectLockEnabledForBucket=lock)
        if lock:
            rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 1}}
            self.client.put_object_lock_configuration(
                Bucket=self.bucket,
                ObjectLockConfiguration={"ObjectLockEnabled": "Enabled", "Rule": rule},
            )
        self.client.put_object(Bucket=self.bucket, Key=OBJECT, Body=b"an object")
        self.depot = lay_depot(folder, sh)
        self.point(server)

    def point(self, at: S3Server, bucket: str | None = None) -> None:
        self.depot.write(
            ".dvc/config.local",
            f"['remote \"store\"']\n    url = s3://{bucket or self.bucket}/{PREFIX}\n"
            f"    endpointurl = {at.endpoint_url}\n    access_key_id = {at.access_key}\n"
            f"    secret_access_key = {at.secret_key}\n",
        )

    def deny(self, *actions: str) -> None:
        here = f"arn:aws:s3:::{self.bucket}"
        statement = {
            "Effect": "Deny", "Principal": "*", "Action": [f"s3:{action}" for action in actions],
            "Resource": [here, f"{here}/*"],
        }  # fmt: skip
        policy = {"Version": "2012-10-17", "Statement": [statement]}
        self.client.put_bucket_policy(Bucket=self.bucket, Policy=json.dumps(policy))

    def version(self, status: str = "Enabled") -> None:
        self.client.put_bucket_versioning(
            Bucket=self.bucket, VersioningConfiguration={"Status": status}
        )

    def examined(self, user: User = User.ADMIN) -> Diagnosis:
        (found,) = doctor(Project.open(self.depot.repo), (), lambda _: None, user=user)
        return found

    def left(self) -> set[str]:
        """What is there beside the object, hidden versions, markers and open uploads too."""
        found = self.client.list_object_versions(Bucket=self.bucket)
        copies = [*found.get("Versions", []), *found.get("DeleteMarkers", [])]
        copies += self.client.list_multipart_uploads(Bucket=self.bucket).get("Uploads", [])
        keys = {one["Key"] for one in copies} | set(self.server.keys(self.bucket))
        return keys - {OBJECT}


@pytest.fixture
def make(tmp_path: Path, env: dict[str, str]) -> Callable[..., Place]:
    return partial(Place, tmp_path / "team", Shell(tmp_path, env))


def answers(found: Diagnosis) -> dict[str, str]:
    return {str(fact.ability): str(fact.answer) for fact in found.facts}


def codes(found: Diagnosis, weight: str) -> set[str]:
    return {one.code for one in found.findings if one.weight == weight}


def test_a_bucket_that_can_all_is_told_and_nothing_is_left(
    make: Callable[..., Place], server: S3Server
) -> None:
    place = make(server)
    found = place.examined()
    seen = answers(found)
    assert seen.pop("versioning") == seen.pop("object lock") == "no"
    assert set(seen.values()) == {"yes"}, found.facts
    assert not codes(found, "missing") | codes(found, "unknown")
    assert codes(found, "advice") == {"no-versions", "uploads-kept"}
    assert found.closing == ("bucket", "lifecycle")
    assert not place.left()
    place.version()
    found = place.examined()
    assert answers(found)["versioning"] == "yes"
    assert codes(found, "advice") == {"versions-kept", "uploads-kept"}
    assert not place.left()


@pytest.mark.parametrize(
    ("actions", "ability", "code"),
    [
        (["PutObject"], "put", "no-put"),
        (["GetObject"], "get", "no-get"),
        (["DeleteObject", "DeleteObjectVersion"], "delete", "no-delete"),
    ],
)
def test_a_right_that_is_denied_is_missing(
    make: Callable[..., Place], moto: S3Server, actions: list[str], ability: str, code: str
) -> None:
    place = make(moto)
    place.deny(*actions)
    for _ in range(2):
        found = place.examined()
        assert answers(found)[ability] == "no"
        assert code in codes(found, "missing")
        assert found.closing[0] == "admin"
    is_kept = ability == "delete"  # one file, however often it is tried
    assert len(place.left()) == (2 if is_kept else 0)
    assert bool([one for one in found.findings if one.code == "left"]) is is_kept


def test_what_cant_be_listed_is_told_and_the_rest_is_tried(
    make: Callable[..., Place], weed: S3Server
) -> None:
    place = make(weed)
    place.deny("ListBucket")
    found = place.examined()
    assert codes(found, "missing") == {"no-list"}
    assert answers(found)["delete"] == "yes"
    place.client.delete_bucket_policy(Bucket=place.bucket)
    assert not place.left()


def test_a_setting_that_is_not_told_is_unknown_and_never_absent(
    make: Callable[..., Place], weed: S3Server
) -> None:
    place = make(weed)
    place.deny("GetLifecycleConfiguration", "GetBucketVersioning")
    found = place.examined()
    assert codes(found, "unknown") == {"no-versioning", "no-lifecycle"}
    assert not codes(found, "missing")
    assert "lifecycle" not in (found.policies or {})
    assert not codes(place.examined(User.READER), "unknown")


def test_who_is_no_user_or_finds_no_bucket_knows_nothing(
    make: Callable[..., Place], weed: S3Server
) -> None:
    place = make(weed)
    with FaultyProxy(weed) as proxy:
        place.point(proxy.server)
        proxy.refuse()
        assert set(answers(place.examined()).values()) == {"unknown"}
    place.point(S3Server(weed.endpoint_url, weed.access_key, "wrong"))
    found = place.examined()
    assert set(answers(found).values()) == {"unknown"}
    assert [one.code for one in found.findings] == ["unreachable"]
    place.point(weed, "nobodys-bucket")
    assert set(answers(place.examined()).values()) == {"unknown"}
    assert not place.left()
    names = [one["Name"] for one in weed.client().list_buckets()["Buckets"]]
    assert "nobodys-bucket" not in names


def test_rules_that_harm_are_found_and_the_printed_ones_close_the_gap(
    make: Callable[..., Place], moto: S3Server
) -> None:
    place = make(moto)
    place.version()
    rules = [
        {"ID": "tidy", "Status": "Enabled", "Filter": {"Prefix": "team/"}, "Expiration": {"Days": 30}},
        {"ID": "cold", "Status": "Enabled", "Filter": {"Prefix": OBJECT[:20]},
         "Transitions": [{"Days": 90, "StorageClass": "DEEP_ARCHIVE"}]},
        {"ID": "fast", "Status": "Enabled", "Filter": {"Prefix": ""},
         "NoncurrentVersionExpiration": {"NoncurrentDays": 1}},
        {"ID": "logs", "Status": "Enabled", "Filter": {"Prefix": "logs/"}, "Expiration": {"Days": 3}},
    ]  # fmt: skip
    place.client.put_bucket_lifecycle_configuration(
        Bucket=place.bucket, LifecycleConfiguration={"Rules": rules}
    )
    found = place.examined()
    assert codes(found, "missing") == {
        "lifecycle-deletes", "lifecycle-archives", "lifecycle-empties-trash"
    }  # fmt: skip
    printed = json.loads(json.dumps((found.policies or {})["lifecycle"]))
    place.client.put_bucket_lifecycle_configuration(
        Bucket=place.bucket, LifecycleConfiguration=printed
    )
    assert not place.examined().findings
    on = [rule["ID"] for rule in printed["Rules"] if rule["Status"] == "Enabled"]
    assert on[0] == "logs"


def test_object_lock_keeps_a_probe_and_says_so(make: Callable[..., Place], weed: S3Server) -> None:
    place = make(weed, lock=True)
    found = place.examined()
    assert answers(found)["object lock"] == "yes"
    assert {"locked", "left"} <= codes(found, "advice") | codes(found, "missing")
    assert not [key for key in place.server.keys(place.bucket) if key != OBJECT]


@pytest.mark.parametrize("kind", ["plain", "versioned"])
def test_the_next_run_takes_away_what_a_killed_one_left(
    make: Callable[..., Place], moto: S3Server, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = make(moto)
    if kind == "versioned":
        place.version()
    with monkeypatch.context() as patch:
        patch.setattr(bucket_probe.BucketProbe, "_tidy", lambda *_: None)
        place.examined()
    foreign = f"{PREFIX}/branchflow/doctor/notes.txt"
    place.client.put_object(Bucket=place.bucket, Key=foreign, Body=b"somebody's")
    assert len(place.left()) == 3
    place.examined()
    assert len(place.left()) == 3  # they could be those of one that is at work
    key = f"{PREFIX}/{asking.new_key()}-parts"
    place.client.create_multipart_upload(Bucket=place.bucket, Key=key)
    monkeypatch.setattr(asking, "STALE_SECONDS", -5.0)
    place.examined()
    assert place.left() == {foreign}


@pytest.mark.parametrize("user", list(User))
def test_the_printed_policy_gives_each_user_just_what_is_asked(
    make: Callable[..., Place], moto: S3Server, user: User
) -> None:
    place = make(moto)
    place.version()
    policies = place.examined().policies or {}
    session = boto3.session.Session(moto.access_key, moto.secret_key, region_name="us-east-1")
    iam = session.client("iam", endpoint_url=moto.endpoint_url)
    name = f"{user}-{secrets.token_hex(3)}"
    iam.create_user(UserName=name)
    policy = json.loads(json.dumps(policies[user.value]))
    if user is not User.READER:  # moto looks for the right to delete many at the bucket
        place_arn = f"arn:aws:s3:::{place.bucket}"
        quirk = {"Effect": "Allow", "Action": "s3:DeleteObject", "Resource": place_arn}
        policy["Statement"].append(quirk)
    iam.put_user_policy(UserName=name, PolicyName="p", PolicyDocument=json.dumps(policy))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    place.point(S3Server(moto.endpoint_url, key["AccessKeyId"], key["SecretAccessKey"]))
    with enforced(moto):
        found = place.examined(user)
        more = [one for one in User if list(User).index(one) > list(User).index(user)]
        others = [place.examined(one) for one in more]
    assert not codes(found, "missing") | codes(found, "unknown"), found.findings
    assert not {"reader-can-write", "can-delete-versions"} & codes(found, "advice")
    assert all(codes(other, "missing") for other in others)
    assert not place.left() or user is User.WRITER  # who may not delete versions


class enforced:  # noqa: N801  reads as what it does
    """Lets moto look at who asks."""

    def __init__(self, server: S3Server) -> None:
        self._url = f"{server.endpoint_url}/moto-api/reset-auth"

    def __enter__(self) -> None:
        self._say(b"0")

    def __exit__(self, *_: object) -> None:
        self._say(b"inf")

    def _say(self, text: bytes) -> None:
        headers = {"Content-Type": "text/plain"}
        urllib.request.urlopen(urllib.request.Request(self._url, text, headers, method="POST"))  # noqa: S310
