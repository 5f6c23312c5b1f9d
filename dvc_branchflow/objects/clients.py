"""Clients of obstore, set up as DVC sets up its own for the same remote."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from dvc_branchflow.errors import StorageError
from dvc_branchflow.objects.config import RemoteConfig


def s3_client(remote: RemoteConfig) -> Any:
    """Return an obstore S3 client that sees what DVC's own would: options, profile, environment."""
    from obstore.store import S3Store

    bucket, _, prefix = remote.url.removeprefix("s3://").partition("/")
    options = remote.options
    endpoint = options.get("endpointurl")
    settings: dict[str, Any] = {
        "endpoint": endpoint,
        "region": options.get("region") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1",
        "access_key_id": options.get("access_key_id"),
        "secret_access_key": options.get("secret_access_key"),
        "session_token": options.get("session_token"),
        "virtual_hosted_style_request": False if endpoint else None,
        "skip_signature": True if _is_on(options.get("allow_anonymous_login")) else None,
    }
    client: dict[str, Any] = {"allow_http": bool(endpoint and endpoint.startswith("http://"))}
    if options.get("ssl_verify", "").lower() == "false":
        client["allow_invalid_certificates"] = True
    config = {key: value for key, value in settings.items() if value is not None}
    keyed = {"access_key_id", "skip_signature"} & config.keys() or "AWS_ACCESS_KEY_ID" in os.environ
    provider = None if keyed else _credential_chain(options)
    make: Any = S3Store
    return make(
        bucket, prefix=prefix or None, config=config, client_options=client,
        retry_config={"max_retries": 4}, credential_provider=provider,
    )  # fmt: skip


def _credential_chain(options: Mapping[str, str]) -> Any:
    """Return boto3's chain (profiles, files, SSO, instance roles), as DVC uses it."""
    try:
        import boto3
        from obstore.auth.boto3 import Boto3CredentialProvider
    except ImportError as error:
        raise StorageError(
            "credentials for S3 come from boto3, which is not installed",
            hint="pip install 'dvc-branchflow[s3]'",
        ) from error
    session = boto3.Session(profile_name=options.get("profile"))
    if session.get_credentials() is None:
        raise StorageError("no credentials for S3 were found", hint="aws configure")
    return Boto3CredentialProvider(session)


def _is_on(value: str | None) -> bool:
    return (value or "").lower() in {"true", "1", "yes", "on"}
