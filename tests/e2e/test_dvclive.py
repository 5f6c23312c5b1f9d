"""Stages that log with the real DVCLive: what it writes is in the record and at the tag."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from tests.support.flow import DEV, STABLE, Flow, edit, error_line

pytestmark = pytest.mark.slow

_PIPELINE = """\
params:
- pins.yaml
artifacts:
  m:
    path: models/m.json
    type: model
stages:
  train:
    cmd: python train.py
    deps:
    - data/split
    - train.py
    params:
    - train
    outs:
    - models/m.json
"""
_TRAIN = """\
from pathlib import Path

from dvclive import Live

with Live({options}) as live:
    live.log_params({{"rate": 0.1, "deep": {{"layers": [3, 2]}}}})
    for step in range(3):
        live.log_metric("train/loss", 1 / (step + 1))
        live.next_step()
Path("models").mkdir(exist_ok=True)
Path("models/m.json").write_text("{{}}")
Path("left.txt").write_text("no stage declares it")
Path("check.py").write_text("raise SystemExit('a check that a stage wrote')")
"""
_CHECK = """\
from pathlib import Path

assert not Path("left.txt").exists()
"""
_SINGLE = ("metrics.json", "params.yaml", "plots")
LAYOUTS = {
    "in Git": ("", ["dvclive: {cache: false}"], "dvc.yaml"),
    "in DVC": ("", ["dvclive"], "dvc.yaml"),
    "a file of its own": (
        "dvcyaml='dvclive/dvc.yaml'",
        [f"dvclive/{name}: {{cache: false}}" for name in _SINGLE],
        "dvclive/dvc.yaml",
    ),
}


def log_with_dvclive(flow: Flow, layout: str) -> None:
    """What a developer does to use DVCLive in the stage."""
    options, outs, _ = LAYOUTS[layout]
    pipeline = _PIPELINE + "".join(f"    - {out}\n" for out in outs)
    files = {"dvc.yaml": pipeline, "train.py": _TRAIN.format(options=options), "check.py": _CHECK}
    edit(flow, DEV, files, "Log with DVCLive")


def released(flow: Flow, layout: str) -> dict[str, Any]:
    """The record of a release whose stage uses DVCLive."""
    log_with_dvclive(flow, layout)
    done = flow.branchflow("run", DEV)
    assert "left out, no stage declares it: left.txt" in done.stdout
    assert LAYOUTS[layout][2] not in done.stdout
    flow.branchflow("promote", DEV)
    flow.branchflow("release", STABLE)
    return flow.result("runs")["records"][-1]


def assert_at_the_tag(flow: Flow, record: Mapping[str, Any]) -> Flow:
    """Plain DVC shows at the tag what the record says; returns the clone that was asked."""
    plain = flow.new_clone("plain")
    plain.sh.git("switch", "-q", "--detach", record["tag"])
    plain.sh.dvc("pull")
    shown = json.loads(plain.sh.dvc("metrics", "show", "--json"))[""]["data"]
    assert shown["dvclive/metrics.json"]["data"] == record["metrics"]["dvclive/metrics.json"]
    assert "up to date" in plain.sh.dvc("status")
    assert not plain.sh.git("status", "--porcelain")
    return plain


@pytest.mark.parametrize("layout", ["in Git", "a file of its own"])
def test_what_it_logs_is_in_the_record_and_at_the_tag(flow_repo: Flow, layout: str) -> None:
    record = released(flow_repo, layout)
    assert record["metrics"]["dvclive/metrics.json"]["train"] == {"loss": pytest.approx(1 / 3)}
    logged = {"rate": 0.1, "deep": {"layers": [3, 2]}}
    assert record["params"] == {"train": {"scale": 1.0}, "dvclive/params.yaml": logged}
    rows = flow_repo.result("compare")["rows"]
    assert rows["metrics.train.loss"] == [None, pytest.approx(1 / 3)]
    assert rows["params.dvclive/params.yaml.rate"] == [None, 0.1]
    assert_at_the_tag(flow_repo, record)
    assert flow_repo.branchflow("check", "--all").returncode == 0


def test_a_release_that_runs_nothing_has_its_params_all_the_same(flow_repo: Flow) -> None:
    record = released(flow_repo, "in DVC")
    fresh = assert_at_the_tag(flow_repo, record)
    fresh.branchflow("release", "--major", STABLE)
    again = fresh.result("runs")["records"][-1]
    assert again["tag"] == "m@v2.0.0"
    assert again["params"] == record["params"]
    assert "dvclive/params.yaml" in again["params"]


def test_what_it_would_write_into_code_on_stable_has_to_come_from_dev(flow_repo: Flow) -> None:
    log_with_dvclive(flow_repo, "in Git")
    flow_repo.branchflow("promote", DEV)
    before = flow_repo.refs()
    done = flow_repo.branchflow("release", STABLE, code=3)
    assert "a stage changed 'dvc.yaml', which is code" in error_line(done)
    assert f"git branchflow run {DEV}; git branchflow promote {DEV}" in done.stderr
    assert flow_repo.refs() == before
    flow_repo.branchflow("run", DEV)
    flow_repo.branchflow("promote", DEV)
    flow_repo.branchflow("release", STABLE)
    assert flow_repo.result("runs")["records"][-1]["metrics"]
