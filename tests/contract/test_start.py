"""What may not be imported on hot paths, because it costs more than the work."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {
    "dvc",
    "dvc_data",
    "sklearn",
    "scipy",
    "pydantic",
    "pandas",
    "rich",
    "obstore",
    "boto3",
    "numpy",
    "mlflow",
}


# Verbs that `status` must not pay for.
OTHERS = {"ingest", "init", "monitor", "pins", "releases", "runs", "storage", "switch"}


@pytest.mark.parametrize(
    "code",
    [
        "import dvc_branchflow.cli.run, dvc_branchflow.cli.commands as c; c.load()",
        "import dvc_branchflow.cli.hook",
        "import dvc_branchflow.api",
    ],
    ids=["every command", "hook", "api"],
)
def test_starting_imports_nothing_heavy(code: str) -> None:
    assert not HEAVY & loaded_by(code)


def test_the_status_command_imports_nothing_heavy_and_no_other_verb(tmp_path: Path) -> None:
    env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1"}
    env |= {
        f"GIT_{who}_{what}": "x@y.z"
        for who in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    }
    call = "from dvc_branchflow.cli.run import main; assert main(['-C', {at!r}, {verb!r}]) == 0"
    at = str(tmp_path / "repo")
    loaded_by(call.format(at=at, verb="init"), env)
    loaded = loaded_by(call.format(at=at, verb="status"), env)
    assert "dvc_branchflow.status" in loaded
    assert not (HEAVY | {f"dvc_branchflow.{name}" for name in OTHERS}) & loaded


def loaded_by(code: str, env: dict[str, str] | None = None) -> set[str]:
    """The modules that a fresh Python has loaded when it is through with some code."""
    shown = f"{code}; import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", shown], capture_output=True, text=True, check=True, env=env)  # fmt: skip
    return set(done.stdout.split())
