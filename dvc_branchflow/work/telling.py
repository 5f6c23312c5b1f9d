"""Tells somebody of an alert: a command of the config's own, or a URL."""

from __future__ import annotations

import subprocess
import urllib.error
import urllib.request

from dvc_branchflow.environ import clean_environment
from dvc_branchflow.errors import RunError

_SECONDS = 30


def tell(target: str, message: bytes) -> None:
    """Hand a JSON document to a shell command on its standard input, or to a URL by POST.

    Raises: RunError: it did not take it.
    """
    if target.startswith(("http://", "https://")):
        _post(target, message)
        return
    try:
        done = subprocess.run(  # noqa: S602  a command of the config on the tracking branch
            target, shell=True, input=message, capture_output=True, timeout=_SECONDS,
            env=clean_environment(), check=False,
        )  # fmt: skip
    except subprocess.TimeoutExpired as error:
        raise RunError(f"'{target}' took more than {_SECONDS} s over an alert") from error
    if done.returncode:
        said = (done.stderr or done.stdout).decode(errors="replace").strip()[-200:]
        raise RunError(f"'{target}' ended with {done.returncode} over an alert: {said}")


def _post(url: str, message: bytes) -> None:
    headers = {"Content-Type": "application/json", "User-Agent": "dvc-branchflow"}
    request = urllib.request.Request(url, data=message, headers=headers, method="POST")  # noqa: S310  http(s) only
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS):  # noqa: S310
            return
    except (urllib.error.URLError, OSError, ValueError) as error:
        raise RunError(f"'{url}' did not take an alert: {error}") from error
