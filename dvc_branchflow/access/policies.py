"""The least that each kind of user has to be allowed in a bucket, as IAM and bucket policies."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

_VERSION = "2012-10-17"
ADMIN_ARN = "arn:aws:iam::ACCOUNT:role/ADMIN"
"""Stands for who runs gc, in the bucket policy: nobody but the reader knows the name."""


class User(StrEnum):
    """Who uses a DVC remote: CI and the server's hook read, people write, one cleans up."""

    READER = "reader"
    WRITER = "writer"
    ADMIN = "admin"


def iam_policy(user: User, bucket: str, base: str) -> dict[str, Any]:
    """Return the identity policy of a user.

    Args:
        base: what the DVC remote's keys begin with: empty, or ending in a slash.
    """
    place = f"arn:aws:s3:::{bucket}"
    found = [
        _statement("List", ["s3:ListBucket"], [place], base),
        _statement("Read", ["s3:GetObject"], [f"{place}/{base}*"]),
    ]
    send = ["s3:PutObject", "s3:AbortMultipartUpload"]
    if user is User.WRITER:
        data = ("files/md5/*", "runs/*", "branchflow/leases/*", "branchflow/doctor/*")
        own = ("branchflow/leases/*", "branchflow/doctor/*")
        found += [
            _statement("Write", send, [f"{place}/{base}{path}" for path in data]),
            _statement(
                "TakeBackItsOwn", ["s3:DeleteObject"], [f"{place}/{base}{path}" for path in own]
            ),
        ]
    elif user is User.ADMIN:
        clean = ["s3:DeleteObject", "s3:DeleteObjectVersion"]
        look = [
            "s3:GetBucketVersioning", "s3:GetLifecycleConfiguration",
            "s3:GetBucketObjectLockConfiguration", "s3:ListBucketMultipartUploads",
        ]  # fmt: skip
        found += [
            _statement("WriteAndCleanUp", [*send, *clean], [f"{place}/{base}*"]),
            _statement("ListVersions", ["s3:ListBucketVersions"], [place], base),
            _statement("LookAtTheBucket", look, [place]),
        ]
    return {"Version": _VERSION, "Statement": found}


def bucket_policy(bucket: str, base: str) -> dict[str, Any]:
    """Return the bucket's policy: whatever rights a key has, objects are the admin's to delete."""
    place = f"arn:aws:s3:::{bucket}/{base}"
    return {
        "Version": _VERSION,
        "Statement": [
            {
                "Sid": "OnlyTheAdminDeletes",
                "Effect": "Deny",
                "Principal": "*",
                "Action": ["s3:DeleteObject", "s3:DeleteObjectVersion"],
                "Resource": [f"{place}files/md5/*", f"{place}runs/*", f"{place}branchflow/trash/*"],
                "Condition": {"ArnNotLike": {"aws:PrincipalArn": ADMIN_ARN}},
            }
        ],
    }


def _statement(
    name: str, actions: Sequence[str], resources: Sequence[str], below: str = ""
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "Sid": name, "Effect": "Allow", "Action": list(actions), "Resource": list(resources)
    }  # fmt: skip
    if below:
        found["Condition"] = {"StringLike": {"s3:prefix": [below.rstrip("/"), f"{below}*"]}}
    return found
