"""Experiments over a real flow: planned first, read from the log by pin, judged, committed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from dvc_branchflow.assignment import Assignment, assign
from tests.support.flow import configure, error_line
from tests.support.repos import missing_from_directory_remote
from tests.support.watched import NEW, OLD, logged_rows, write_log

if TYPE_CHECKING:
    from tests.support.flow import Flow

pytestmark = pytest.mark.slow
PLAN = f"""\
question: does the new release predict more?
environment: prod
groups: {{old: {OLD}, new: {NEW}}}
shares: {{old: 0.5, new: 0.5}}
metric: {{column: prediction, scale: mean}}
effect: 5
expected: {{value: 100, deviation: 20}}
horizon: 2026-11-02..2026-11-09
segments: [colour]
guardrails:
- {{column: size, scale: mean, better: lower, margin: 3}}
"""
TAGS = {"old": OLD, "new": NEW}
BEFORE = "2026-11-01T00:00:00Z"


def _plan(
    flow: Flow, name: str, text: str = PLAN, *args: str, when: str = BEFORE, code: int = 0
) -> Any:
    path = flow.root / "experiment.yaml"
    path.write_text(text, encoding="utf-8")
    flow.sh.env["GIT_COMMITTER_DATE"] = when
    done = flow.branchflow("analysis", "plan", name, path, *args, code=code)
    del flow.sh.env["GIT_COMMITTER_DATE"]
    return done


def _log(flow: Flow, name: str, *, n: int = 900, effect: float = 12.0) -> None:
    """Two requests of each unit, answered by the release of its group."""
    halves = Assignment(name, [{"old": 0.5, "new": 0.5}])
    draw = np.random.default_rng(5)
    rows = logged_rows(2 * n)
    for at, row in enumerate(rows):
        unit = f"user-{at % n}"
        group = assign(unit, halves)
        row |= {
            "unit": unit,
            "tag": TAGS[group],
            "prediction": float(draw.normal(100, 20)) + effect * (group == "new"),
        }
    flow.branchflow("monitor", "log", "--env", "prod", write_log(flow.root / "log.jsonl", rows))


def _report(flow: Flow, name: str) -> Any:
    return flow.result("analysis", "report", name)


READ_ELSEWHERE = """\
import sys, fsspec, dvc.api, pyarrow as pa, pyarrow.parquet as pq
repo, rev = sys.argv[1:]
print(dvc.api.read("data/raw/2024-03/first.csv", repo=repo, rev=rev).splitlines()[0])
files = fsspec.filesystem("dvc", url=repo, rev=rev)
paths = files.glob("data/monitor/prod/rows-2026-11/*.parquet")
print(pa.concat_tables([pq.read_table(files.open(path)) for path in paths]).num_rows)
"""


def test_an_experiment_goes_from_its_plan_to_a_verdict_on_pinned_data(watched: Flow) -> None:
    configure(watched, "analysis/*", **{"from": ["raw", "monitor/*"]})
    by_branch = PLAN.replace(f"new: {NEW}", "new: stable/m")
    assert "252 units" in _plan(watched, "push", by_branch).stdout
    assert "is planned already" in _plan(watched, "push").stdout
    lines = watched.branchflow("analysis", "assign", "push", "user-1", "user-2").stdout.split()
    assert lines[1::2] == [
        assign(unit, Assignment("push", [{"old": 0.5, "new": 0.5}]))
        for unit in ("user-1", "user-2")
    ]
    assert "nothing is logged" in error_line(
        watched.branchflow("analysis", "report", "push", code=3)
    )
    _log(watched, "push")
    watched.branchflow("pin", "analysis/push")  # raw as well, for whoever looks closer
    outcome = _report(watched, "push")
    found = outcome["findings"]
    assert [one["word"] for one in found["verdicts"]] == ["ship"]
    assert sum(found["units"].values()) == 900
    assert found["mismatch_p"] > 0.001
    (effect,) = found["effects"]
    assert effect["effect"]["low"] < 12 < effect["effect"]["high"]
    assert effect["sequential"]["low"] < effect["effect"]["low"]
    assert {one["value"] for one in found["segments"]} == {"red", "green", "blue"}
    assert found["power"]["new"] > 0.9

    assert _report(watched, "push")["commit"] is None
    watched.sh.git("fetch", "-q")
    branch = "origin/analysis/push"
    tips = {name: watched.sh.git("rev-parse", f"origin/{name}") for name in ("raw", "monitor/prod")}
    assert set(watched.sh.git("rev-parse", f"{branch}^^2", f"{branch}^^3").split()) == {
        *tips.values()
    }
    pins = dict(
        line.split(": ") for line in watched.sh.git("show", f"{branch}:pins.yaml").splitlines()
    )
    assert {name: sha.strip("'") for name, sha in pins.items()} == tips
    stored = json.loads(watched.sh.git("show", f"{branch}:report.json"))
    assert stored["data_commit"] == watched.sh.git("rev-parse", "origin/monitor/prod")
    assert "<svg" in watched.sh.git("show", f"{branch}:report.html")
    assert watched.branchflow("check", "--all").returncode == 0
    assert missing_from_directory_remote(watched.repo, watched.store) == []

    watched.sh.git("switch", "-q", "--detach", branch)
    watched.sh.run("dvc", "pull", "-q")
    cells = json.loads((watched.repo / "explore.ipynb").read_text(encoding="utf-8"))["cells"]
    code = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "code")
    shown = watched.sh.run("python", "-c", code).stdout
    assert shown.startswith("1800 rows: ")
    assert "files, such as data/" in shown
    assert "new: ship" in shown
    assert (watched.repo / "data/raw/2024-03/first.csv").is_file()
    words = ("python", "-c", READ_ELSEWHERE, watched.repo, watched.sh.git("rev-parse", branch))
    assert watched.sh.at(watched.root).run(*words).stdout.split() == [
        "id,value,size,colour",
        "1800",
    ]

    changed = PLAN.replace("effect: 5", "effect: 1")
    assert "its plan is fixed" in error_line(_plan(watched, "push", changed, code=1))
    _plan(watched, "push", changed, "--reason", "asked for by the board")
    assert watched.branchflow("check", "--all").returncode == 0


def test_rows_before_the_plan_and_lost_units_decide_nothing(watched: Flow) -> None:
    _plan(watched, "late", when="2026-11-10T00:00:00Z")
    _plan(watched, "back", PLAN + "kind: backtest\n", when="2026-11-10T00:00:00Z")
    lost = PLAN.replace("shares: {old: 0.5, new: 0.5}", "shares: {old: 0.2, new: 0.8}")
    _plan(watched, "lost", lost)
    _log(watched, "late")
    late = _report(watched, "late")["findings"]
    assert [one["word"] for one in late["verdicts"]] == ["not yet"]
    assert (late["rows"], late["too_early"]) == (0, 1_800)
    back = _report(watched, "back")["findings"]
    assert [one["word"] for one in back["verdicts"]] == ["ship"]
    assert "backtest" in back["notes"][0]
    found = _report(watched, "lost")["findings"]
    assert [one["word"] for one in found["verdicts"]] == ["hold"]
    assert "group sizes" in found["verdicts"][0]["reason"]


def test_plans_that_cant_be_are_refused(watched: Flow) -> None:
    refs = watched.refs()
    assert "is no release" in error_line(_plan(watched, "x", PLAN.replace(NEW, "m@v9.9.9"), code=3))
    assert "did you mean 'metric'" in error_line(
        _plan(watched, "x", PLAN.replace("metric:", "metrc:"), code=3)
    )
    assert "can't be an experiment's name" in error_line(_plan(watched, "../x", code=2))
    assert "no plan of 'x'" in error_line(watched.branchflow("analysis", "report", "x", code=3))
    assert watched.refs() == refs
