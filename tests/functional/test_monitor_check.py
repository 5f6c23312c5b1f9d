"""Checks over a real flow: the baseline from the tag, alerts as commits, late labels, being told."""

from __future__ import annotations

import http.server
import json
import re
import signal
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.support.flow import at_once, configure, copy_flow, edit, error_line, have_local_branches
from tests.support.repos import Shell, bare_origin, clone, missing_from_directory_remote
from tests.support.watched import NEW, OLD, logged_rows, training_file, write_log

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.support.flow import Flow

pytestmark = pytest.mark.slow
BRANCH = "monitor/prod"
PLAN = f"""\
question: does it predict more?
kind: backtest
environment: prod
groups: {{old: {OLD}, new: {NEW}}}
shares: {{old: 0.5, new: 0.5}}
unit: request_id
metric: {{column: prediction, scale: mean}}
effect: 5
expected: {{value: 100, deviation: 20}}
horizon: 2026-11-02..2026-11-09
"""
WAITS = """\
from pathlib import Path
from dvc_branchflow.project import Project
from dvc_branchflow.work.watchbook import waits_for_alert
project = Project.open(Path.cwd())
project.refresh()
print(waits_for_alert(project, "m"))
"""
FIRST, SECOND, THIRD = (
    "2026-11-02..2026-11-09", "2026-11-09..2026-11-16", "2026-11-16..2026-11-23",
)  # fmt: skip


def _log(flow: Flow, rows: list[dict[str, Any]]) -> None:
    flow.branchflow("monitor", "log", "--env", "prod", write_log(flow.root / "log.jsonl", rows))


def _check(flow: Flow, window: str, code: int = 0) -> Any:
    done = flow.branchflow("--json", "monitor", "check", "prod", "--window", window, code=code)
    return json.loads(done.stdout)["result"]


def _watch(flow: Flow, settings: str) -> None:
    text = flow.sh.git("show", "origin/main:branchflow.yaml").replace(
        "data: data/monitor}", f"data: data/monitor, watch: {{{settings}}}}}"
    )
    edit(flow, "main", {"branchflow.yaml": text + "\n"}, "Set what is watched")


def _tip(flow: Flow) -> str:
    return flow.sh.at(flow.origin).git("rev-parse", BRANCH)


def _show(flow: Flow, path: str) -> str:
    return flow.sh.at(flow.origin).git("show", f"{BRANCH}:{path}")


def _listed(flow: Flow, folder: str) -> list[str]:
    return flow.sh.at(flow.origin).git("ls-tree", "--name-only", BRANCH, f"{folder}/").splitlines()


def test_a_model_of_files_is_judged_by_what_it_answered(watched: Flow) -> None:
    recipe = {"label": "(?P<label>.)", "features": {"words": 4096, "grid": 8}}
    edit(watched, "stable/m", {"tuned.json": json.dumps(recipe)}, "Read files")
    watched.sh.git("fetch", "-q")
    tag = "m@v1.9.0"
    watched.sh.git("tag", "-a", tag, "-m", "reads files", "origin/stable/m")
    watched.sh.git("push", "-q", "origin", tag)
    times = [f"2026-11-{day:02d}T10:00:00Z" for day in (3, 10) for _ in range(400)]
    rows = [
        {"request_id": f"f-{k}", "time": time, "tag": tag, "score": 0.9,
         "prediction": "sea" if k % 10 < (9 if k < 400 else 2) else "hill"}
        for k, time in enumerate(times)
    ]  # fmt: skip
    _log(watched, rows)
    labels = watched.root / "labels.csv"
    labels.write_text("request_id,label\n" + "".join(f"f-{k},sea\n" for k in range(400)), "utf-8")
    watched.branchflow("monitor", "label", labels)
    (first,) = _check(watched, FIRST)["checks"][0]["releases"]
    assert "whole files" in first["notes"][0]
    assert (first["baseline"], first["features"]) == (None, [])
    assert first["quality"]["labels"] == 400
    moved = _check(watched, SECOND, code=1)
    assert [alert["kind"] for alert in moved["opened"]] == ["predictions"]


def test_a_model_is_watched_from_its_first_log_to_an_answered_alert(watched: Flow) -> None:
    assert "nothing is logged" in error_line(watched.branchflow("monitor", "check", "prod", code=3))
    _log(watched, logged_rows(600) + logged_rows(300, tag=NEW, prefix="n"))
    quiet = _check(watched, FIRST)
    both = {release["tag"]: release for release in quiet["checks"][0]["releases"]}
    assert {tag: one["baseline"]["rows"] for tag, one in both.items()} == {OLD: 3_000, NEW: 3_500}
    for tag in (OLD, NEW):  # exactly what the tag's commit pins
        pinned = watched.sh.git("show", f"{tag}:pins.yaml").split()[-1]
        assert both[tag]["baseline"]["pins"] == {"split": pinned}
        assert both[tag]["commit"] == watched.sh.git("rev-parse", f"{tag}^{{commit}}")
    assert (quiet["opened"], quiet["joined"]) == ([], [])
    assert _check(watched, FIRST)["commit"] is None  # the same question has its answer

    _log(watched, logged_rows(600, start="2026-11-09T00:00:00", shift=3, prefix="s"))
    loud = _check(watched, SECOND, code=1)
    assert sorted(alert["kind"] for alert in loud["opened"]) == ["data", "outliers"]
    assert {f["subject"] for a in loud["opened"] for s in a["seen"] for f in s["findings"]} == {
        "size",
        "rows",
    }
    watched.sh.git("fetch", "-q")
    assert "2 open alerts" in watched.branchflow("status").stdout
    tip = _tip(watched)
    assert _check(watched, SECOND, code=1)["commit"] is None
    assert _tip(watched) == tip

    _log(watched, logged_rows(600, start="2026-11-16T00:00:00", shift=3, prefix="t"))
    again = _check(watched, THIRD, code=1)
    assert again["opened"] == []
    assert [len(alert["seen"]) for alert in again["joined"]] == [2, 2]
    assert len(_listed(watched, "alerts")) == 2

    first = next(alert["id"] for alert in loud["opened"] if alert["kind"] == "data")
    assert "answered" in watched.branchflow("monitor", "ack", first[:6], "--reason", "known").stdout
    assert "answered by" in error_line(
        watched.branchflow("monitor", "ack", first, "--reason", "no", code=1)
    )
    assert "no alert 'x'" in error_line(
        watched.branchflow("monitor", "ack", "x", "--reason", "y", code=2)
    )
    assert [alert["kind"] for alert in watched.result("monitor", "alerts")] == ["outliers"]
    everything = watched.result("monitor", "alerts", "--all", "--env", "prod")
    assert {alert["kind"]: (alert["acknowledged"] or {}).get("reason") for alert in everything} == {
        "data": "known",
        "outliers": None,
    }

    page = _show(watched, "report.html")
    assert not re.search(r"<script|https?://|url\(|@import", page)
    assert page.count("<svg") >= 6
    assert watched.branchflow("check", "--all").returncode == 0
    assert missing_from_directory_remote(watched.repo, watched.store) == []


def test_late_labels_have_their_windows_judged_again_and_both_verdicts_stay(watched: Flow) -> None:
    _log(watched, logged_rows(400))
    _log(watched, logged_rows(400, start="2026-11-09T00:00:00", prefix="later"))
    before = _check(watched, FIRST)["checks"][0]
    labels = watched.root / "labels.csv"
    rows = {row["request_id"]: row["prediction"] for row in logged_rows(400)}
    labels.write_text(
        "request_id,label\n" + "".join(f"{k},{v + 7}\n" for k, v in rows.items()), encoding="utf-8"
    )
    watched.branchflow("monitor", "label", "--env", "prod", labels)
    found = _check(watched, SECOND)["checks"]
    assert [one["window"][:10] for one in found] == ["2026-11-09", "2026-11-02"]
    later = found[1]
    assert (later["labels"], later["earlier"]) == (400, [before["id"]])
    quality = later["releases"][0]["quality"]
    assert quality["metrics"]["mae"]["estimate"] == pytest.approx(7)
    assert quality["metrics"]["bias"]["estimate"] == pytest.approx(-7)
    assert before["releases"][0]["quality"] is None
    stored = [json.loads(_show(watched, path)) for path in _listed(watched, "checks")]
    assert [one["id"] for one in stored if one["window"] == before["window"]].count(
        before["id"]
    ) == 1
    assert len(stored) == 3
    again = _check(watched, SECOND)
    assert (len(again["checks"]), again["commit"]) == (1, None)  # all is judged on what there is


class _Inbox(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append((self.headers["Idempotency-Key"], json.loads(body)))  # type: ignore[attr-defined]
        self.send_response(self.server.answer)  # type: ignore[attr-defined]
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_each_alert_is_told_once_by_webhook_or_command(watched: Flow) -> None:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Inbox) as server:
        server.got, server.answer = [], 500  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever, daemon=True).start()
        _watch(
            watched, f"notify: 'http://127.0.0.1:{server.server_port}/', limits: {{outliers: 1}}"
        )
        _log(watched, logged_rows(400, shift=3))
        failed = watched.branchflow("monitor", "check", "prod", "--window", FIRST, code=1)
        assert "nobody was told" in failed.stderr
        server.answer = 200  # type: ignore[attr-defined]
        for _ in range(2):
            _check(watched, FIRST, code=1)
        server.shutdown()
        keys, told = zip(*server.got, strict=True)  # type: ignore[attr-defined]
    (alert,) = watched.result("monitor", "alerts")
    assert [one["kind"] for one in told] == ["data", "data"]
    assert keys == (f'"{alert["id"]}"',) * 2
    assert alert["notified"]
    # The first time, whoever asked is killed before it can note that somebody was told.
    told, lived = watched.root / "told", watched.root / "lived"
    command = (
        f"echo $BRANCHFLOW_ALERT >> {told}; test -e {lived} || {{ touch {lived}; kill -9 $PPID; }}"
    )
    text = watched.sh.git("show", "origin/main:branchflow.yaml")
    text = re.sub(r"notify: '[^']*'", f"notify: '{command}'", text)
    edit(watched, "main", {"branchflow.yaml": text + "\n"}, "Tell by command")
    watched.branchflow("monitor", "ack", alert["id"], "--reason", "seen")
    _log(watched, logged_rows(400, start="2026-11-09T00:00:00", shift=3, prefix="s"))
    watched.branchflow("monitor", "check", "prod", "--window", SECOND, code=-signal.SIGKILL)
    for _ in range(2):
        _check(watched, SECOND, code=1)
    (alert,) = watched.result("monitor", "alerts")
    assert told.read_text(encoding="utf-8").split() == [alert["id"]] * 2


def _watching_repository(watched: Flow, tmp_path: Path, env: Mapping[str, str]) -> Shell:
    """A clone of a second repository that watches the releases of the first."""
    edit(watched, "main", {".dvc/config": f"[core]\n    remote = store\n['remote \"store\"']\n    url = {watched.store}\n"}, "Name the store")  # fmt: skip
    outside = Shell(tmp_path, dict(env))
    sh = clone(bare_origin(tmp_path / "watch.git", outside), tmp_path / "watch", outside)
    sh.run("git", "branchflow", "init", "--remote", str(tmp_path / "watch-store"))
    text = (sh.cwd / "branchflow.yaml").read_text(encoding="utf-8")
    text = text.replace(
        "data: data/monitor}", f"data: data/monitor, watch: {{releases: {watched.origin}}}}}"
    )
    (sh.cwd / "branchflow.yaml").write_text(text, encoding="utf-8")
    sh.git("commit", "-qam", "Watch another repository")
    sh.git("push", "-q", "origin", "main")
    return sh


def test_an_environment_may_live_in_a_repository_of_its_own(
    watched: Flow, tmp_path: Path, env: Mapping[str, str]
) -> None:
    sh = _watching_repository(watched, tmp_path, env)
    log = write_log(tmp_path / "log.jsonl", logged_rows(300))
    sh.run("git", "branchflow", "monitor", "log", "--env", "prod", log)
    done = sh.run("git", "branchflow", "--json", "monitor", "check", "prod", "--window", FIRST)
    (release,) = json.loads(done.stdout)["result"]["checks"][0]["releases"]
    assert release["baseline"]["rows"] == 3_000
    assert release["commit"] == watched.sh.git("rev-parse", f"{OLD}^{{commit}}")
    assert BRANCH not in watched.sh.git("ls-remote", watched.origin)

    # The team of the model plans there, and pins rows that only a URL ties to its repository.
    configure(watched, "monitor/*", repo=f"{tmp_path}/watch.git")
    plan = watched.root / "experiment.yaml"
    plan.write_text(PLAN, encoding="utf-8")
    watched.branchflow("analysis", "plan", "away", plan)
    assert watched.result("analysis", "report", "away")["findings"]["rows"] == 300
    assert watched.result("analysis", "report", "away")["commit"] is None
    assert "lives in" in error_line(
        watched.branchflow("monitor", "log", "--env", "prod", log, code=3)
    )
    assert watched.branchflow("check", "--all").returncode == 0
    assert BRANCH not in watched.sh.git("ls-remote", watched.origin)
    watched.branchflow("storage", "gc", "--dry-run")  # what lies elsewhere keeps no gc waiting
    back = ("--from-monitor", "prod", "--window", FIRST, "--unlabelled", "--dry-run")
    assert "would append 1 file" in watched.branchflow("ingest", *back).stdout
    analyst = watched.new_clone("analyst")
    analyst.branchflow("switch", "analysis/away")
    analyst.sh.run("dvc", "pull", "-q")
    assert analyst.sh.run("dvc", "status").stdout == "Data and pipelines are up to date.\n"
    rows = analyst.repo / "data/monitor/prod/rows-2026-11"
    assert len(list(rows.glob("*.parquet"))) == 1
    more = write_log(tmp_path / "more.jsonl", logged_rows(20, prefix="more"))
    sh.run("git", "branchflow", "monitor", "log", "--env", "prod", more)
    analyst.sh.run("dvc", "update", "-q", f"{rows}.dvc")
    assert len(list(rows.glob("*.parquet"))) == 2
    assert watched.result("analysis", "report", "away")["findings"]["rows"] == 320
    by_dvc = (analyst.repo / f"{rows}.dvc").read_text(encoding="utf-8")
    watched.sh.git("fetch", "-q")
    ours = watched.sh.git("show", "origin/analysis/away:data/monitor/prod/rows-2026-11.dvc")
    assert yaml.safe_load(ours) == yaml.safe_load(by_dvc)
    message = watched.sh.git("log", "-1", "--format=%B", "origin/analysis/away")
    assert f"Pin: {BRANCH}@{yaml.safe_load(ours)['deps'][0]['repo']['rev_lock']} of " in message

    # An alert there is a reason to retrain here.
    configure(watched, "monitor/*", watch={"retrain": True})
    assert watched.sh.run("python", "-c", WAITS).stdout == "True\n"
    late = logged_rows(300, start="2026-11-09T00:00:00", shift=3, prefix="late")
    sh.run("git", "branchflow", "monitor", "log", write_log(tmp_path / "late.jsonl", late))
    sh.run("git", "branchflow", "monitor", "check", "--window", SECOND, check=False)
    assert watched.sh.run("python", "-c", WAITS).stdout == "False\n"


def test_two_who_log_at_once_both_get_their_rows_in(watched: Flow) -> None:
    other = watched.new_clone("other")
    logs = [
        write_log(watched.root / f"{name}.jsonl", logged_rows(50, prefix=name)) for name in "ab"
    ]
    ended = at_once(
        *((flow.sh, ("git", "branchflow", "monitor", "log", "--env", "prod", log))
          for flow, log in zip((watched, other), logs, strict=True))
    )  # fmt: skip
    assert [one.returncode for one in ended] == [0, 0], ended
    quiet = _check(watched, FIRST)["checks"][0]
    assert quiet["rows"] == 100


def test_a_release_without_a_recipe_is_judged_by_what_is_trained_on_and_logged(
    watched_template: Path, tmp_path: Path, env: Mapping[str, str]
) -> None:
    flow = copy_flow(watched_template, tmp_path / "team", env, local=False)
    have_local_branches(flow.sh)
    flow.sh.git("switch", "-q", "--detach")
    rows = [{**row, "tag": "m@v1.0.1", "value": 100.0} for row in logged_rows(250)]
    _log(flow, rows)
    (release,) = _check(flow, FIRST)["checks"][0]["releases"]
    assert [feature["name"] for feature in release["features"]] == ["value"]


def test_sync_retrains_a_watched_model_only_while_an_alert_is_open(watched: Flow) -> None:
    _watch(watched, "retrain: true")
    _log(watched, logged_rows(400, shift=3))
    watched.ingest(training_file(watched.root / "inbox", "third", 50), partition="2024-05")
    steps = {step["branch"]: step["verdict"] for step in watched.result("sync")}
    assert steps["stable/m"] == "waiting"
    _check(watched, FIRST, code=1)
    assert watched.result("sync", "--dry-run")[-1]["verdict"] == "behind"
    steps = {step["branch"]: step["tag"] for step in watched.result("sync")}
    assert steps["stable/m"] == "m@v1.1.2"


def test_broken_files_on_the_branch_are_named_and_hide_nothing_else(watched: Flow) -> None:
    _log(watched, logged_rows(250))
    edit(watched, BRANCH, {"alerts/bad.json": "[" * 5_000}, "Break an alert")
    watched.sh.git("fetch", "-q")
    assert "1 open alert" in watched.branchflow("status").stdout
    said = error_line(watched.branchflow("monitor", "alerts", code=3))
    assert "'alerts/bad.json' can't be read" in said
    edit(watched, BRANCH, {"alerts/bad.json": "{}", "checks/bad.json": '{"id": 3}'}, "And a check")
    watched.sh.git("fetch", "-q")
    said = error_line(watched.branchflow("monitor", "check", "--window", FIRST, code=3))
    assert "'checks/bad.json' can't be read" in said
    edit(watched, BRANCH, {"log-schema.json": '{"columns": []}'}, "And the schema")
    log = write_log(watched.root / "log.jsonl", logged_rows(3, prefix="x"))
    said = error_line(watched.branchflow("monitor", "log", log, code=3))
    assert "'log-schema.json' is no schema of a log" in said
