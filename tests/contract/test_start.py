"""What may not be imported on hot paths, because it costs more than the work."""

from __future__ import annotations

import subprocess
import sys

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


@pytest.mark.parametrize(
    "module", ["dvc_branchflow.cli.run", "dvc_branchflow.cli.hook", "dvc_branchflow.api"]
)
def test_starting_imports_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not HEAVY & set(done.stdout.split())


def test_the_status_command_imports_nothing_heavy(tmp_path) -> None:  # type: ignore[no-untyped-def]
    code = (
        "import sys; from dvc_branchflow.cli.run import main; "
        f"main(['-C', {str(tmp_path)!r}, 'init', '-q']); main(['-C', {str(tmp_path)!r}, 'status']); "
        "print(*sys.modules)"
    )
    env = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "GIT_CONFIG_NOSYSTEM": "1"}
    env |= {
        f"GIT_{who}_{what}": "x@y.z"
        for who in ("AUTHOR", "COMMITTER")
        for what in ("NAME", "EMAIL")
    }
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)  # fmt: skip
    assert "up to date" in done.stdout or "next:" in done.stdout
    assert not HEAVY & set(done.stdout.split())
