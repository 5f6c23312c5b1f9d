"""What DVC's config says of a remote, and what obstore is told of it; nothing is connected."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest

from dvc_branchflow.errors import ConfigError, StorageError
from dvc_branchflow.objects import RemoteConfig, crew, parse_dvc_config
from dvc_branchflow.objects.base import reason
from dvc_branchflow.objects.clients import bucket_client
from dvc_branchflow.objects.crew import Pace, each

HERE = Path("/repo/.dvc")
REGION = {"region": "eu-central-1"}
CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBdzCCAR2gAwIBAgIUEfZuwTLMMZeKbpcJuVh828frwJowCgYIKoZIzj0EAwIw
EDEOMAwGA1UEAwwFdGVzdHMwIBcNMjYxMTI0MTQwNjM5WhgPMjEyNjEwMzExNDA2
MzlaMBAxDjAMBgNVBAMMBXRlc3RzMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAE
qXX+a9NhpYxPhAlKwOA7LNrpX4WZIoz4ypESCu98ySs+Uc2VwcH4EEVrn0vU8+rM
1HH4uD/6spMc7n83SsJstKNTMFEwHQYDVR0OBBYEFAjruH/tjgYVkDPYjx7/UAuq
U4mHMB8GA1UdIwQYMBaAFAjruH/tjgYVkDPYjx7/UAuqU4mHMA8GA1UdEwEB/wQF
MAMBAf8wCgYIKoZIzj0EAwIDSAAwRQIhAIa8rFjKnWn9Iz0jcxeLwBqSQBDmdsoM
mzzQeOEvXYlkAiBzYSd/Ea1arA351sSryLP1hz2UvYecM+MhyAwlc44Wwg==
-----END CERTIFICATE-----
"""
KEYS = {"access_key_id": "A", "secret_access_key": "S"}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def remotes(text: str) -> Any:
    return parse_dvc_config([(text, HERE)]).remotes


def test_a_remote_below_another_one_has_its_settings() -> None:
    found = remotes(
        "['remote \"base\"']\nurl = s3://b/root/\nendpointurl = http://e\nregion = r\n"
        "['remote \"Part\"']\nurl = remote://base/sub/folder\nregion = other\n"
    )
    assert found["part"].url == "s3://b/root/sub/folder"
    assert found["part"].options == {"endpointurl": "http://e", "region": "other"}


@pytest.mark.parametrize("url", ["remote://nobody/x", "remote://loop/x"])
def test_a_remote_below_nothing_is_told(url: str) -> None:
    with pytest.raises(ConfigError, match="the URL of DVC remote 'loop' names"):
        remotes(f"['remote \"loop\"']\nurl = {url}\n")


def test_names_are_lower_case_and_paths_start_at_the_config() -> None:
    text = "[core]\nremote = Near\n['remote \"Near\"']\nurl = ../store\ncredentialpath = keys\n"
    config = parse_dvc_config([(text, HERE)])
    near = config.remotes[config.default_remote or ""]
    assert (near.url, near.options["credentialpath"]) == ("/repo/store", "/repo/.dvc/keys")
    assert (near.scheme, RemoteConfig("n", "s3://b/x").scheme) == ("", "s3")


def client(url: str, **options: str) -> Any:
    return bucket_client(RemoteConfig("far", url, options))


def test_s3_is_told_what_the_remote_says() -> None:
    made = client(
        "s3://bucket/some/prefix/", endpointurl="http://127.0.0.1:1", session_token="T", jobs="3",
        sse="aws:kms", sse_kms_key_id="K", connect_timeout="7", read_timeout="9",
        listobjects="true", **KEYS, **REGION,
    )  # fmt: skip
    assert made.prefix == "some/prefix"
    assert made.config == {
        "bucket": "bucket", "endpoint": "http://127.0.0.1:1", "region": "eu-central-1",
        "access_key_id": "A", "secret_access_key": "S", "session_token": "T",
        "virtual_hosted_style_request": "false", "server_side_encryption": "aws:kms",
        "sse_kms_key_id": "K",
    }  # fmt: skip
    options = made.client_options
    assert (options["allow_http"], options["connect_timeout"]) == ("true", "7s")
    assert (options["read_timeout"], options["timeout"]) == ("9s", "300s")


def test_tls_is_as_the_remote_says(tmp_path: Path) -> None:
    assert "endpoint" not in client("s3://b", **KEYS, **REGION).config
    plain = client("s3://b", use_ssl="false", **KEYS, **REGION)
    assert plain.config["endpoint"] == "http://s3.eu-central-1.amazonaws.com"
    lax = client("s3://b", ssl_verify="false", **KEYS, **REGION)
    assert lax.client_options["allow_invalid_certificates"] == "true"
    (tmp_path / "ca.pem").write_text(CERTIFICATE)
    own = client("s3://b", ssl_verify=str(tmp_path / "ca.pem"), **KEYS, **REGION)
    assert "root_certificate" in own.client_options
    with pytest.raises(ConfigError, match="names no file that can be read"):
        client("s3://b", ssl_verify="/nowhere", **KEYS, **REGION)


def test_an_anonymous_remote_needs_no_keys() -> None:
    made = client("s3://b", allow_anonymous_login="true", **REGION)
    assert made.config["skip_signature"] == "true"
    assert made.credential_provider is None


def aws_files(folder: Path) -> dict[str, str]:
    (folder / "keys").write_text(
        "[default]\naws_access_key_id = D\naws_secret_access_key = S\n"
        "[team]\naws_access_key_id = T\naws_secret_access_key = S\naws_session_token = X\n"
    )
    (folder / "config").write_text(
        "[profile team]\nregion = us-west-2\nendpoint_url = https://team.example\n"
        "s3 =\n  addressing_style = virtual\n"
    )
    return {"credentialpath": str(folder / "keys"), "configpath": str(folder / "config")}


def test_a_profile_gives_keys_region_and_endpoint(tmp_path: Path) -> None:
    made = client("s3://b", profile="team", **aws_files(tmp_path))
    assert made.config["region"] == "us-west-2"
    assert made.config["endpoint"] == "https://team.example"
    assert made.config["virtual_hosted_style_request"] == "true"
    keys = made.credential_provider()
    assert (keys["access_key_id"], keys["token"]) == ("T", "X")


def test_a_profile_counts_more_than_keys_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "E")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "S")
    files = aws_files(tmp_path)
    assert client("s3://b", profile="team", **files).credential_provider()["access_key_id"] == "T"
    assert client("s3://b", **files, **REGION).credential_provider()["access_key_id"] == "E"
    assert client("s3://b", **REGION).credential_provider is None  # and boto3 is not loaded


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (REGION, "no credentials for S3 were found"),
        ({"profile": "nobody", **REGION}, "profile .*nobody.* could not be found"),
    ],
)
def test_missing_credentials_are_told(options: dict[str, str], says: str) -> None:
    with pytest.raises(StorageError, match=says):
        client("s3://b", **options)


def test_an_expired_sign_on_is_told_with_its_repair(tmp_path: Path) -> None:
    (tmp_path / "config").write_text(
        "[profile team]\nsso_start_url = https://x\nsso_region = us-east-1\n"
        "sso_account_id = 1\nsso_role_name = r\nregion = us-east-1\n"
    )
    with pytest.raises(StorageError, match="SSO") as caught:
        client("s3://b", profile="team", configpath=str(tmp_path / "config"))
    assert caught.value.hint == "aws sso login --profile team"


def test_options_without_a_word_in_obstore_go_through_dvc() -> None:
    assert client("s3://b", acl="private", **KEYS, **REGION) is None
    assert client("azure://c", exclude_managed_identity_credential="true") is None
    assert client("ssh://host/x") is None
    assert client("/a/folder") is None


def test_google_is_told_what_the_remote_says() -> None:
    made = client("gs://bucket/x", allow_anonymous_login="true", endpointurl="http://h", projectname="p")  # fmt: skip
    assert made.prefix == "x"
    assert made.config == {"bucket": "bucket", "base_url": "http://h", "skip_signature": "true"}
    assert made.client_options["allow_http"] == "true"


def test_azure_is_told_what_the_remote_says() -> None:
    key = base64.b64encode(b"key").decode()
    made = client(
        "azure://box/x", account_name="other", account_key="other",  # as DVC's client has it
        connection_string=f"BlobEndpoint=http://h/acc;AccountName=acc;AccountKey={key}",
    )  # fmt: skip
    assert made.prefix == "x"
    assert made.config == {
        "container_name": "box", "account_name": "acc", "account_key": key,
        "endpoint": "http://h/acc",
    }  # fmt: skip
    signed = client("azure://box", account_name="acc", sas_token="?sv=1&sig=2")
    assert signed.config["sas_key"] == "?sv=1&sig=2"


@pytest.mark.parametrize(
    ("text", "config"),
    [
        (
            "defaultendpointsprotocol=https;ACCOUNTNAME=acc;AccountKey=a2V5;EndpointSuffix=azure.example",
            {"account_name": "acc", "account_key": "a2V5", "endpoint": "https://acc.blob.azure.example"},
        ),
        (
            "AccountName=acc;SharedAccessSignature=sv=1&sig=2",
            {"account_name": "acc", "sas_key": "sv=1&sig=2",
             "endpoint": "https://acc.blob.core.windows.net"},
        ),
        (
            "UseDevelopmentStorage=true",
            {"use_emulator": "true", "endpoint": "http://127.0.0.1:10000/devstoreaccount1"},
        ),
    ],
)  # fmt: skip
def test_a_connection_string_is_read_as_azure_reads_it(text: str, config: dict[str, str]) -> None:
    made = client("azure://box", connection_string=text).config
    assert made == {"container_name": "box", **config}


def test_what_azures_own_tool_is_set_to_counts_after_the_remotes_options(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (home / ".azure").mkdir()
    (home / ".azure/config").write_text("[storage]\naccount = file\nkey = a2V5\n")
    found = client("azure://box").config
    assert (found["account_name"], found["account_key"]) == ("file", "a2V5")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT", "variable")
    assert client("azure://box").config["account_name"] == "variable"
    assert client("azure://box", account_name="own").config["account_name"] == "own"


def test_an_account_alone_signs_on_or_is_anonymous() -> None:
    assert client("azure://box", account_name="acc").credential_provider is not None
    public = client("azure://box", account_name="acc", allow_anonymous_login="true")
    assert (public.credential_provider, public.config["skip_signature"]) == (None, "true")
    keyed = client(
        "azure://box", account_name="acc", account_key="a2V5", allow_anonymous_login="true"
    )
    assert "skip_signature" not in keyed.config


def test_a_key_that_obstore_cant_read_is_told_unless_it_is_the_machines(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match=r"as configured: .*No such file"):
        client("gs://b", credentialpath=str(home / "none.json"))
    (home / "federated.json").write_text('{"type": "external_account"}')
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(home / "federated.json"))
    assert client("gs://b") is None  # Google's own library reads it, and DVC uses that


def test_an_error_of_a_client_is_said_in_one_line() -> None:
    refused = (
        "Generic S3 error: Error performing list request: Error performing GET http://h/b?prefix=x "
        "in 1.5ms, after 4 retries, max_retries: 4, retry_timeout: 180s  - HTTP error: error "
        'sending request\n\nDebug source:\nGeneric {\n  message: "Connection refused",\n}'
    )
    wanted = (
        "Generic S3 error: GET http://h/b: HTTP error: error sending request: Connection refused"
    )
    assert reason(OSError(refused)) == wanted
    nobody = "Error performing GET http://169.254.169.254/token in 1ms - 403"
    assert reason(OSError(nobody)).startswith("no credentials were found")
    assert reason(OSError()) == "OSError"


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def settled(seconds_at: Any, most: int = 64) -> int:
    """Where the pace comes to rest, when a request takes so long with so many at once."""
    clock = Clock()
    pace = Pace(most, clock)
    for _ in range(3000):
        clock.now += seconds_at(pace.limit) / pace.limit
        pace.done(0)
    return pace.limit


def test_more_go_at_once_while_that_brings_more() -> None:
    assert settled(lambda _: 0.05) == 64
    assert settled(lambda _: 0.05, most=3) == 3
    assert settled(lambda limit: 0.05 * max(1.0, limit / 24)) < 64


def test_fewer_go_at_once_when_a_server_chokes() -> None:
    assert settled(lambda limit: 0.05 * max(1.0, (limit / 12) ** 3)) <= 20


def test_the_first_error_ends_the_work() -> None:
    done: list[int] = []

    def work(item: int) -> None:
        if item == 5:
            raise StorageError("no")
        done.append(item)

    with pytest.raises(StorageError, match="no"):
        each(range(10_000), work, Pace(4))
    assert len(done) < 10_000
    each(range(100), done.append, Pace())
    assert set(range(100)) <= set(done)


def test_what_is_under_way_stays_within_an_amount(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crew, "_IN_FLIGHT_BYTES", 10)
    seen: list[int] = []
    under_way: list[int] = []

    def work(item: int) -> None:
        under_way.append(item)
        seen.append(sum(under_way))
        under_way.remove(item)

    each([3, 4, 20, 5, 6] * 50, work, Pace(), lambda item: item)
    assert max(seen) == 20
    assert len(seen) == 250
