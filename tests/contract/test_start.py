"""What may not be imported on hot paths, because it costs more than the work."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from dvc_branchflow import dvcio, objects, watch

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
# Not heavy, and still a millisecond or more that a start need not take.
UNUSED = {"configparser", "datetime", "decimal", "hashlib", "platformdirs", "shutil", "sqlite3"}
# Verbs and gates that `status` must not pay for.
OTHERS = ("ingest", "init", "monitor", "objects.", "pins", "releases", "runs", "storage", "switch")


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
    assert not (HEAVY | {"yaml"}) & loaded
    assert not [name for name in loaded if name.startswith(tuple(f"dvc_branchflow.{o}" for o in OTHERS))]  # fmt: skip


def test_what_only_some_verbs_need_is_not_loaded_with_the_version_or_the_status() -> None:
    code = (
        "from dvc_branchflow.cli.run import main\ntry: main(['--version'])\nexcept SystemExit: pass"
    )
    shown = loaded_by(code)
    assert "dvc_branchflow.cli.commands.look" not in shown
    assert not UNUSED & (shown | loaded_by("import dvc_branchflow.status"))


@pytest.mark.parametrize("gate", [dvcio, objects, watch])
def test_a_package_offers_every_name_that_it_lists(gate: ModuleType) -> None:
    assert all(hasattr(gate, name) for name in gate.__all__)
    with pytest.raises(AttributeError):
        gate.nothing  # noqa: B018


def loaded_by(code: str, env: dict[str, str] | None = None) -> set[str]:
    """The modules that a fresh Python has loaded when it is through with some code."""
    shown = f"{code}; import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", shown], capture_output=True, text=True, check=True, env=env)  # fmt: skip
    return set(done.stdout.split())
