"""The split certificate is seen wherever releases are: in `status`, `runs` and `compare`."""

from __future__ import annotations

import json

import pytest

from tests.support.flow import FIRST_TAG, SECOND_TAG, Flow

pytestmark = pytest.mark.slow


def certificate(flow: Flow, rev: str) -> str:
    found: str = json.loads(flow.sh.git("show", f"{rev}:certificate.json"))["certificate"]
    return found


def split_of(flow: Flow, tag: str) -> str:
    """The commit of split that a release was trained on."""
    lines = flow.sh.git("show", f"{tag}:pins.yaml").splitlines()
    return next(line.partition(": ")[2] for line in lines if line.startswith("split:"))


def test_status_runs_and_compare_show_the_certificate(flow_repo: Flow) -> None:
    flow_repo.sh.git("fetch", "-q", "--tags")
    first, second = (
        certificate(flow_repo, split_of(flow_repo, t)) for t in (FIRST_TAG, SECOND_TAG)
    )
    assert first != second == certificate(flow_repo, "origin/split")

    row = next(r for r in flow_repo.result("status")["branches"] if r["branch"] == "split")
    assert row["certificate"] == second
    assert f"certificate {second[:7]}" in flow_repo.branchflow("status").stdout

    assert [run["certificate"] for run in flow_repo.result("runs")["records"]] == [first, second]
    shown = flow_repo.branchflow("runs").stdout.splitlines()
    for tag, wanted in ((FIRST_TAG, first), (SECOND_TAG, second)):
        assert wanted[:7] in next(line for line in shown if line.startswith(tag))

    done = flow_repo.branchflow("compare", FIRST_TAG, SECOND_TAG)
    assert first[:10] in done.stdout
    assert second[:10] in done.stdout
    assert "not ranked" in done.stdout
