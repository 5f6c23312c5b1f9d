"""Clients of obstore, set up as DVC sets up its own for the same remote."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from dvc_branchflow.errors import ConfigError, StorageError
from dvc_branchflow.objects.base import reason
from dvc_branchflow.objects.config import RemoteConfig

# Options that say nothing about the way to the bucket; `listobjects` is one that DVC ignores.
_COMMON = frozenset(
    {"cache_regions", "checksum_jobs", "jobs", "listobjects", "no_traverse", "verify"}
    | {"version_aware", "worktree"}
)
_REGION_URL = "https://s3.amazonaws.com"
_REQUEST_SECONDS, _CONNECT_SECONDS = 300, 10  # a request moves 8 MiB at most
_RETRIES = 4
_AZURE_EMULATOR = "http://127.0.0.1:10000/devstoreaccount1"
_AZURE_SETTINGS = {
    "connection_string": "connection_string",
    "account_name": "account",
    "account_key": "key",
    "sas_token": "sas_token",
}  # DVC's word: that of Azure's own tool
_AZURE_WORDS = {
    "account_name": "account_name",
    "account_key": "account_key",
    "sas_token": "sas_key",
    "tenant_id": "tenant_id",
    "client_id": "client_id",
    "client_secret": "client_secret",
}  # DVC's word: obstore's


def bucket_client(remote: RemoteConfig) -> Any | None:
    """Return an obstore client for a bucket; None where DVC's own file system has to do it.

    That is so for other kinds of remote, and for options that obstore has no word for.

    Raises: StorageError: no credentials, or a package is missing. ConfigError: a wrong option.
    """
    make, known = _KINDS.get(remote.scheme, (None, frozenset()))
    if make is None or remote.options.keys() - known - _COMMON:
        return None
    return make(remote)


def versions_client(remote: RemoteConfig) -> tuple[Any, str, str]:
    """Return botocore's S3 client, the bucket, and what keys begin with: for versions of objects.

    Raises: StorageError: it is not installed, or no S3 bucket.
    """
    try:
        import botocore.session
        from botocore.config import Config
    except ImportError as error:
        raise StorageError(
            "versions of objects need boto3, which is not installed",
            hint="pip install 'dvc-branchflow[s3]'",
        ) from error
    options = remote.options
    bucket, prefix = _place(remote)
    session = _session(options) or botocore.session.Session()
    endpoint = options.get("endpointurl") or os.environ.get("AWS_ENDPOINT_URL_S3")
    verify = options.get("ssl_verify")
    client = session.create_client(
        "s3",
        endpoint_url=endpoint or os.environ.get("AWS_ENDPOINT_URL"),
        region_name=options.get("region") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1",
        aws_access_key_id=options.get("access_key_id"),
        aws_secret_access_key=options.get("secret_access_key"),
        aws_session_token=options.get("session_token"),
        verify=False if (verify or "").lower() == "false" else verify,
        config=Config(s3={"addressing_style": "path" if endpoint else "auto"}),
    )
    return client, bucket, f"{prefix}/" if prefix else ""


def _s3(remote: RemoteConfig) -> Any:
    from obstore.store import S3Store

    options = remote.options
    bucket, prefix = _place(remote)
    session = _session(options)
    own = session.get_scoped_config() if session else {}
    endpoint = (
        options.get("endpointurl")
        or os.environ.get("AWS_ENDPOINT_URL_S3")
        or os.environ.get("AWS_ENDPOINT_URL")
        or own.get("endpoint_url")
    )
    region = (
        options.get("region")
        or os.environ.get("AWS_DEFAULT_REGION")
        or own.get("region")
        or os.environ.get("AWS_REGION")
        or ("us-east-1" if endpoint else _bucket_region(bucket))
    )
    if not endpoint and options.get("use_ssl", "").lower() == "false":
        endpoint = f"http://s3.{region}.amazonaws.com"
    style = own.get("s3", {}).get("addressing_style")
    provider = _credentials(remote, session)
    config = {
        "endpoint": endpoint,
        "region": region,
        "access_key_id": options.get("access_key_id"),
        "secret_access_key": options.get("secret_access_key"),
        "session_token": options.get("session_token"),
        "virtual_hosted_style_request": style == "virtual" if endpoint or style else None,
        "skip_signature": True if remote.is_on("allow_anonymous_login") else None,
        "server_side_encryption": options.get("sse"),
        "sse_kms_key_id": options.get("sse_kms_key_id"),
    }
    return _made(S3Store, bucket, prefix, config, remote, endpoint, provider)


def _gs(remote: RemoteConfig) -> Any:
    from obstore.store import GCSStore

    options = remote.options
    bucket, prefix = _place(remote)
    endpoint = options.get("endpointurl") or os.environ.get("STORAGE_EMULATOR_HOST")
    config = {
        "application_credentials": options.get("credentialpath"),
        "base_url": endpoint,
        "skip_signature": True if remote.is_on("allow_anonymous_login") else None,
    }
    try:
        return _made(GCSStore, bucket, prefix, config, remote, endpoint)
    except ConfigError:
        if "credentialpath" in options:
            raise
        return None  # the machine's credentials are of a kind that only Google's library reads


def _azure(remote: RemoteConfig) -> Any:
    from obstore.store import AzureStore

    container, prefix = _place(remote)
    options = _azure_options(remote.options)
    if "connection_string" in options:
        config = _azure_connection(options["connection_string"])
        return _made(AzureStore, container, prefix, config, remote, config.get("endpoint"))
    config = {word: options[key] for key, word in _AZURE_WORDS.items() if key in options}
    provider = None
    if config.keys() == {"account_name"}:
        if remote.is_on("allow_anonymous_login"):
            config["skip_signature"] = "true"
        else:
            provider = _azure_provider()
    return _made(AzureStore, container, prefix, config, remote, None, provider)


def _azure_options(options: Mapping[str, str]) -> dict[str, str]:
    """The options with what Azure's own tool is set to: in the environment, or in its file."""
    import configparser

    folder = os.environ.get("AZURE_CONFIG_DIR") or "~/.azure"
    parser = configparser.ConfigParser(interpolation=None)
    with suppress(configparser.Error, OSError):
        parser.read(Path(folder).expanduser() / "config")
    found = dict(options)
    for option, word in _AZURE_SETTINGS.items():
        value = os.environ.get(f"AZURE_STORAGE_{word.upper()}") or parser.get(
            "storage", word, fallback=None
        )
        if value:
            found.setdefault(option, value)
    return found


def _azure_connection(text: str) -> dict[str, str]:
    """What a connection string says, read as Azure's own library reads it."""
    said = {
        key.strip().lower(): value
        for key, _, value in (part.partition("=") for part in text.split(";"))
    }
    if said.get("usedevelopmentstorage") == "true":
        return {"use_emulator": "true", "endpoint": _AZURE_EMULATOR}
    account = said.get("accountname", "")
    found = {
        "account_name": account,
        "account_key": said.get("accountkey"),
        "sas_key": said.get("sharedaccesssignature"),
        "endpoint": said.get("blobendpoint")
        or f"{said.get('defaultendpointsprotocol', 'https')}://{account}.blob."
        f"{said.get('endpointsuffix', 'core.windows.net')}",
    }
    return {key: value for key, value in found.items() if value}


def _azure_provider() -> Any | None:
    """Azure's own chain (environment, roles, `az login`), as DVC uses it; None: not installed."""
    try:
        from obstore.auth.azure import AzureCredentialProvider
    except ImportError:
        return None  # obstore asks the environment and the machine itself
    return AzureCredentialProvider()


def _place(remote: RemoteConfig) -> tuple[str, str | None]:
    """The bucket and the prefix in a remote's URL."""
    bucket, _, prefix = remote.url.partition("://")[2].partition("/")
    return bucket, prefix.strip("/") or None


def _made(
    kind: Any, bucket: str, prefix: str | None, config: Mapping[str, Any], remote: RemoteConfig,
    endpoint: str | None, provider: Any = None,
) -> Any:  # fmt: skip
    try:
        return kind(
            bucket,
            prefix=prefix,
            config={key: value for key, value in config.items() if value is not None},
            client_options=_client_options(remote, endpoint),
            retry_config={"max_retries": _RETRIES},
            credential_provider=provider,
        )
    except Exception as error:
        raise ConfigError(
            f"DVC remote '{remote.name}' can't be used as configured: {reason(error)}",
            hint=f"dvc remote modify {remote.name} OPTION VALUE",
        ) from error


def _client_options(remote: RemoteConfig, endpoint: str | None) -> dict[str, Any]:
    options = remote.options
    found: dict[str, Any] = {
        "timeout": f"{_REQUEST_SECONDS}s",
        "connect_timeout": f"{_connect_seconds(options)}s",
    }
    if "read_timeout" in options:
        found["read_timeout"] = f"{options['read_timeout']}s"
    if endpoint and endpoint.startswith("http://"):
        found["allow_http"] = True
    verify = remote.options.get("ssl_verify") or os.environ.get("AWS_CA_BUNDLE", "true")
    if verify.lower() == "false":
        found["allow_invalid_certificates"] = True
    elif verify.lower() != "true":
        try:
            found["root_certificate"] = Path(verify).expanduser().read_bytes()
        except OSError as error:
            raise ConfigError(
                f"'ssl_verify' of DVC remote '{remote.name}' names no file that can be read: "
                f"'{verify}': {error.strerror}",
                hint=f"dvc remote modify {remote.name} ssl_verify PATH",
            ) from error
    return found


def _connect_seconds(options: Mapping[str, str]) -> str:
    found = options.get("connect_timeout") or options.get("connection_timeout")
    return found or str(_CONNECT_SECONDS)


def _session(options: Mapping[str, str]) -> Any | None:
    """Return botocore's view of profiles and files; None where keys are all that there is.

    Loading it takes a fifth of a second.
    """
    has_keys = "access_key_id" in options or (
        "AWS_ACCESS_KEY_ID" in os.environ and "profile" not in options
    )
    files = [os.environ.get("AWS_CONFIG_FILE"), options.get("configpath"), "~/.aws/config"]
    if has_keys and not any(Path(file).expanduser().exists() for file in files if file):
        return None
    try:
        import botocore.session
        from botocore.exceptions import BotoCoreError
    except ImportError as error:
        if has_keys:
            return None
        raise StorageError(
            "credentials for S3 come from boto3, which is not installed",
            hint="pip install 'dvc-branchflow[s3]'",
        ) from error
    session = botocore.session.Session(profile=options.get("profile"))
    for option, variable, env in (
        ("credentialpath", "credentials_file", "AWS_SHARED_CREDENTIALS_FILE"),
        ("configpath", "config_file", "AWS_CONFIG_FILE"),
    ):
        if option in options and env not in os.environ:  # as DVC has it: the environment wins
            session.set_config_variable(variable, options[option])
    try:
        session.get_scoped_config()
    except BotoCoreError as error:
        raise StorageError(f"the AWS configuration can't be used: {error}") from error
    return session


def _credentials(remote: RemoteConfig, session: Any | None) -> Any | None:
    """Return boto3's chain (profiles, files, SSO, roles), as DVC uses it; None: not needed."""
    options = remote.options
    if session is None or "access_key_id" in options or remote.is_on("allow_anonymous_login"):
        return None
    from botocore.exceptions import BotoCoreError
    from obstore.auth.boto3 import Boto3CredentialProvider

    try:
        found = session.get_credentials()
        if found is not None:
            found.get_frozen_credentials()  # an expired sign-on is told here, not in a request
    except BotoCoreError as error:
        profile = options.get("profile", "default")
        raise StorageError(
            f"no credentials for DVC remote '{remote.name}': {error}",
            hint=f"aws sso login --profile {profile}",
        ) from error
    if found is None:
        raise StorageError("no credentials for S3 were found", hint="aws configure")
    return Boto3CredentialProvider(session)


def _bucket_region(bucket: str) -> str:
    """Ask Amazon where a bucket is; it says so whoever asks."""
    import urllib.error  # 40 ms
    import urllib.request

    request = urllib.request.Request(f"{_REGION_URL}/{bucket}", method="HEAD")  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310  a constant
            headers = answer.headers
    except urllib.error.HTTPError as error:
        headers = error.headers
    except OSError:
        headers = {}
    return str(headers.get("x-amz-bucket-region") or "us-east-1")


_Maker = Callable[[RemoteConfig], Any]
_KINDS: Mapping[str, tuple[_Maker, frozenset[str]]] = {
    "s3": (
        _s3,
        frozenset(
            {"access_key_id", "allow_anonymous_login", "configpath", "connect_timeout"}
            | {"credentialpath", "endpointurl", "profile", "read_timeout", "region"}
            | {"secret_access_key", "session_token", "sse", "sse_kms_key_id", "ssl_verify"}
            | {"use_ssl"}
        ),
    ),
    "gs": (
        _gs,
        frozenset({"allow_anonymous_login", "credentialpath", "endpointurl", "projectname"}),
    ),
    "azure": (
        _azure,
        frozenset(
            {"account_key", "account_name", "allow_anonymous_login", "client_id"}
            | {"client_secret", "connection_string", "connection_timeout", "read_timeout"}
            | {"sas_token", "tenant_id", "timeout"}
        ),
    ),
}
