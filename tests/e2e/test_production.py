"""The whole story: two releases behind real servers, their log, a check, an alert, a verdict."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from dvc_branchflow.assignment import Assignment, assign
from tests.support.flow import Flow, edit
from tests.support.processes import kill_group, start_group
from tests.support.repos import Shell, bare_origin, clone

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow
OLD, NEW = "price@v1.0.0", "price@v1.1.0"
SHARES = {"current": 0.99, "next": 0.01}
GROUPS = Assignment("linear", [SHARES])
UNITS = [f"user-{k}" for k in range(4_000)]
ROWS_PER_REQUEST = 25


def _csv(path: Path, name: str, n: int) -> Path:
    draw = np.random.default_rng(len(name))
    sizes, colours = draw.uniform(0, 10, n), draw.choice(["red", "green", "blue"], n)
    prices = 3 * sizes + 5 * (colours == "red") + draw.normal(0, 0.5, n)
    rows = [f"{name}-{k},{s:.3f},{c},{p:.3f}" for k, (s, c, p) in enumerate(zip(sizes, colours, prices, strict=True))]  # fmt: skip
    path.write_text("\n".join(["id,size,colour,price", *rows]) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def flow(tmp_path: Path, env: dict[str, str]) -> Flow:
    """A team with two releases by the laid templates, which takes tests of its own out of the way."""
    outside = Shell(tmp_path, env)
    made = Flow(tmp_path, clone(bare_origin(tmp_path / "origin.git", outside), tmp_path / "repo", outside))  # fmt: skip
    made.branchflow("init", "--remote", str(made.store), "--model", "price", "--target", "price", "--key", "id", "--sample", "1")  # fmt: skip
    config = made.repo / "branchflow.yaml"
    lines = config.read_text(encoding="utf-8").replace(", checks: {tests: python -m pytest -q}", "")
    config.write_text(lines, encoding="utf-8")
    made.sh.git("commit", "-qam", "Test elsewhere")
    made.sh.git("push", "-q", "origin", "main")
    made.sh.git("switch", "-q", "--detach")
    made.ingest(_csv(tmp_path / "first.csv", "first", 900), partition="2026-10")
    made.branchflow("sync", "clean", "split")
    params = made.sh.git("show", "origin/dev/price:params.yaml")
    params = params.replace("features: []", "features: [size, colour]")
    for kind in ("baseline", "linear"):
        text = params.replace("kind: baseline", f"kind: {kind}")
        edit(made, "dev/price", {"params.yaml": text + "\n"}, f"Try {kind}")
        made.branchflow("pin", "dev/price")
        made.branchflow("promote", "dev/price")
        made.branchflow("release", "stable/price")
    return made


@contextmanager
def _served(flow: Flow, tag: str, log: Path, plan: Path) -> Iterator[str]:
    """A release as it is deployed: its tag checked out, its data pulled, its server started."""
    at = flow.sh.at(flow.root / tag.replace("@", "-"))
    flow.sh.git("fetch", "-q", "--tags")
    flow.sh.git("worktree", "add", "-q", "--detach", at.cwd, tag)
    at.run("dvc", "pull", "-q", "models/price.skops", "models/price.json")
    said = flow.root / f"{at.cwd.name}.out"
    with said.open("wb") as output:
        words = [sys.executable, "-u", "serve.py", "--port", "0", "--log", log, "--experiment", "linear", plan]  # fmt: skip
        process = start_group(words, output=output, env={**at.env, "BRANCHFLOW_TAG": tag}, cwd=at.cwd)  # fmt: skip
    try:
        deadline = time.monotonic() + 120
        while f"serving {tag} on port" not in said.read_text(encoding="utf-8"):
            assert process.poll() is None, said.read_text(encoding="utf-8")
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield f"http://127.0.0.1:{said.read_text(encoding='utf-8').split()[-1]}/predict"
    finally:
        kill_group(process)


def _ask(url: str, rows: list[dict[str, Any]]) -> tuple[int, dict[str, Any]]:
    request = urllib.request.Request(url, json.dumps(rows).encode())  # noqa: S310  our own server
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def _load(urls: dict[str, str], rows: list[dict[str, Any]]) -> None:
    """Ask each row of the release that its unit belongs to, some rows a request.

    A client that has no assignment of its own asks any release, and goes where it is sent.
    """
    *known, lost = rows
    queues: dict[str, list[dict[str, Any]]] = {group: [] for group in SHARES}
    for row in known:
        queues[assign(row["unit"], GROUPS)].append(row)
    requests = [
        (urls[group], queue[at : at + ROWS_PER_REQUEST])
        for group, queue in queues.items()
        for at in range(0, len(queue), ROWS_PER_REQUEST)
    ]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda request: _ask(*request), requests))
    assert {status for status, _ in answers} == {200}
    status, sent = _ask(urls["next"], [lost])
    assert (status, sent["group"], sent["tag"]) == (421, "current", OLD)
    assert _ask(urls[sent["group"]], [lost])[0] == 200
    assert _ask(urls["next"], [{key: lost[key] for key in ("size", "colour")}])[0] == 422


def _more(flow: Flow, logs: dict[str, Path], n: int) -> tuple[Path, Path]:
    """A log of as many units more, each answered as the release of its group answers; and labels.

    Things are red, so that both models' answers follow from the size, between those that are known.
    """
    draw = np.random.default_rng(4)
    known: dict[str, Any] = {}
    for group, log in logs.items():
        seen = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
        known[group] = np.array(sorted((row["size"], row["prediction"]) for row in seen)).T
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    rows, labels = ["request_id,time,tag,unit,size,colour,prediction"], ["request_id,label"]
    for at, size in enumerate(draw.uniform(6, 14, n)):
        group = assign(f"more-{at}", GROUPS)
        answer = np.interp(size, *known[group])
        tag = {"current": OLD, "next": NEW}[group]
        rows.append(f"b-{at},{now},{tag},more-{at},{size:.3f},red,{answer:.3f}")
        labels.append(f"b-{at},{3 * size + 5:.3f}")
    files = flow.root / "more.csv", flow.root / "more-labels.csv"
    for path, lines in zip(files, (rows, labels), strict=True):
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return files


def test_a_request_is_joined_to_the_raw_data_that_its_model_was_trained_on(flow: Flow) -> None:
    day = time.strftime("%Y-%m-%d", time.gmtime())
    window = f"{day}..{time.strftime('%Y-%m-%d', time.gmtime(time.time() + 2 * 24 * 3600))}"
    plan = flow.root / "experiment.yaml"
    plan.write_text(
        f"question: is the linear model better?\nkind: forward\nenvironment: prod\n"
        f"groups: {{current: {OLD}, next: {NEW}}}\nshares: {json.dumps(SHARES)}\n"
        f"metric: {{column: error, scale: mean, better: lower}}\neffect: 1\n"
        f"expected: {{value: 7, deviation: 4}}\nhorizon: {window}\n",
        encoding="utf-8",
    )
    flow.branchflow("analysis", "plan", "linear", plan)
    time.sleep(1.1)  # commits know whole seconds; the plan's is over before the first request
    draw = np.random.default_rng(3)
    logs = {group: flow.root / f"{group}.jsonl" for group in SHARES}
    rows = [
        {"request_id": f"r-{unit}", "unit": unit, "size": round(float(draw.uniform(5, 15)), 3), "colour": "red"}
        for unit in UNITS
    ]  # fmt: skip
    with ExitStack() as stack:
        urls = {
            group: stack.enter_context(_served(flow, tag, logs[group], plan))
            for group, tag in {"current": OLD, "next": NEW}.items()
        }
        _load(urls, rows)
    done = flow.branchflow("monitor", "log", "--env", "prod", *logs.values())
    assert f"logged {len(UNITS):,} rows" in done.stdout
    labels = flow.root / "labels.csv"
    labels.write_text("request_id,label\n" + "".join(f"{r['request_id']},{3 * r['size'] + 5}\n" for r in rows), encoding="utf-8")  # fmt: skip
    flow.branchflow("monitor", "label", labels)

    check = json.loads(flow.branchflow("--json", "monitor", "check", "--window", window, code=1).stdout)["result"]  # fmt: skip
    kinds = {(alert["tag"], alert["kind"]) for alert in check["opened"]}
    assert (OLD, "data") in kinds
    assert (OLD, "quality") in kinds  # its error is worse than at its release
    alert = next(alert for alert in check["opened"] if alert["kind"] == "data")
    flow.branchflow("monitor", "ack", alert["id"], "--reason", "larger things are sold now")

    found = flow.result("analysis", "report", "linear")["findings"]
    (effect,) = found["effects"]
    assert effect["effect"]["high"] < -3  # the linear model is far better
    assert sum(found["units"].values()) == len(UNITS)
    assert 20 < found["units"]["next"] < 60
    assert found["crossed"] == 0
    assert found["mismatch_p"] > 0.01
    # Before the horizon is over, so few units of the new release ship nothing yet; more do.
    assert [verdict["word"] for verdict in found["verdicts"]] == ["not yet"]
    more, more_labels = _more(flow, logs, 30_000)
    flow.branchflow("monitor", "log", more)
    flow.branchflow("monitor", "label", more_labels)
    found = flow.result("analysis", "report", "linear")["findings"]
    assert [verdict["word"] for verdict in found["verdicts"]] == ["ship"]
    assert not found["is_over"]
    assert found["effects"][0]["sequential"]["high"] < 0

    # From one logged request, by plain tools: its tag, the pins there, raw's commit, and back.
    line = json.loads(logs["next"].read_text(encoding="utf-8").splitlines()[0])
    assert (line["tag"], line["experiment"], line["group"]) == (NEW, "linear", "next")
    flow.sh.git("fetch", "-q")
    delivery = flow.sh.git("log", "-1", "--format=%H", "--grep=Source: tests", "origin/raw")
    assert {OLD, NEW} <= set(flow.sh.git("tag", "--contains", delivery).split())
    record = json.loads(flow.sh.git("show", "origin/main:runs/price/v1.1.0.json"))
    assert record["tag"] == line["tag"]
    pinned = flow.sh.git("show", f"{NEW}:pins.yaml").split()[-1]
    assert record["pins"]["split"] == pinned
    flow.sh.git("merge-base", "--is-ancestor", delivery, pinned)
    assert subprocess.run(["git", "-C", flow.repo, "status", "--porcelain"], capture_output=True, check=True).stdout == b""  # fmt: skip
