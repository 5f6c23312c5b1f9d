"""A laid server assigns units as the package does, from the plan's file, with no package there."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import dvc_branchflow
from dvc_branchflow.assignment import assign
from dvc_branchflow.experiment.plan import parse_plan

PACKAGE = Path(dvc_branchflow.__file__).parent
UNITS = [f"user-{k}" for k in range(3_000)] + [str(k) for k in range(500)] + ["", "ü", "\ud800"]
PLAN: dict[str, Any] = {
    "question": "which?", "environment": "prod", "effect": 0.1, "expected": 0.5,
    "metric": {"column": "correct", "scale": "rate"}, "horizon": "2026-12-01..2026-12-15",
    "groups": {"b": "m@v1.0.0", "a": "m@v1.1.0", "c": "m@v1.2.0"},
}  # fmt: skip
SHARES = [
    {"shares": {"b": 0.98, "a": 0.01, "c": 0.01}},
    {"shares": {"b": 0.3333, "a": 0.3333, "c": 0.3334}},
    {"ramp": [{"b": 1}, {"b": 0.9, "a": 0.1}], "shares": {"b": 0.25, "a": 0.25, "c": 0.5}},
    {"ramp": [{"b": 0.5, "c": 0.5}], "shares": {"b": 0.6, "a": 0.3, "c": 0.1}},
]
SCRIPT = """
import json, sys
sys.modules["dvc_branchflow"] = None  # what is not installed
from src.assignment import assign
from src.experiment import Experiment
names, units = json.load(sys.stdin)
plans = [Experiment(name, f"{name}.yaml", "m@v1.0.0") for name in names]
print(json.dumps([[assign(unit, one.assignment) for unit in units] for one in plans]))
"""


@pytest.fixture
def laid(tmp_path: Path) -> Path:
    """The two files of a laid `src` that an assignment takes."""
    (tmp_path / "src").mkdir()
    shutil.copy(PACKAGE / "templates/dev/src/experiment.py", tmp_path / "src")
    shutil.copy(PACKAGE / "assignment.py", tmp_path / "src")
    return tmp_path


def test_a_laid_server_assigns_as_the_package_does(laid: Path) -> None:
    plans = {f"plan-{k}": PLAN | shares for k, shares in enumerate(SHARES)}
    for name, plan in plans.items():
        (laid / f"{name}.yaml").write_text(json.dumps(plan), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=laid, input=json.dumps([list(plans), UNITS]), capture_output=True, text=True, check=True,
    )  # fmt: skip
    for (name, plan), groups in zip(plans.items(), json.loads(done.stdout), strict=True):
        ours = parse_plan(name, plan).assignment
        assert groups == [assign(unit, ours) for unit in UNITS], name
        assert len(set(groups)) == 3
