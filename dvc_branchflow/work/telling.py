"""Tells somebody of an alert: a command of the config's own, or a URL.

Who is killed after telling and before noting it tells again. Both carry the same key, so that
whoever listens can leave the second one out.
"""

from __future__ import annotations

import subprocess
import urllib.error
import urllib.request

from dvc_branchflow.environ import clean_environment
from dvc_branchflow.errors import RunError

KEY_VARIABLE, KEY_HEADER = "BRANCHFLOW_ALERT", "Idempotency-Key"
_SECONDS = 30


def tell(target: str, key: str, message: bytes) -> None:
    """Hand a JSON document to a shell command on its standard input, or to a URL by POST.

    Args:
        key: the same for the same news; in the command's environment, or a header of the request.
    Raises: RunError: it did not take it.
    """
    if target.startswith(("http://", "https://")):
        _post(target, key, message)
        return
    try:
        done = subprocess.run(  # noqa: S602  a command of the config on the tracking branch
            target, shell=True, input=message, capture_output=True, timeout=_SECONDS,
            env={**clean_environment(), KEY_VARIABLE: key}, check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise RunError(f"'{target}' took more than {_SECONDS} s over an alert") from error
    if done.returncode:
        said = (done.stderr or done.stdout).decode(errors="replace").strip()[-200:]
        raise RunError(f"'{target}' ended with {done.returncode} over an alert: {said}")


def _post(url: str, key: str, message: bytes) -> None:
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "dvc-branchflow",
        KEY_HEADER: f'"{key}"',
    }
    request = urllib.request.Request(url, data=message, headers=headers, method="POST")  # noqa: S310  http(s) only
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS):  # noqa: S310
            return
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise RunError(f"'{url}' did not take an alert: {error}") from error
