"""The lockbox of the test side, and the list of rejects, over a real flow."""

from __future__ import annotations

import json

import pytest

from tests.support.flow import DEV, FIRST_TAG, STABLE, Flow, edit

pytestmark = pytest.mark.slow


def marked(flow: Flow) -> None:
    """Say in dvc.yaml that `train` looks at the test side; limit the looks to one."""
    text = flow.sh.git("show", f"origin/{DEV}:dvc.yaml") + "\n"
    changed = text.replace("  train:\n", "  train:\n    meta: {side: test}\n")
    assert changed != text
    edit(flow, DEV, {"dvc.yaml": changed}, "Mark the evaluation")
    config = flow.sh.git("show", "origin/main:branchflow.yaml") + "\n"
    limited = config.replace("role: dev,", "role: dev, test_looks: 1,")
    limited = limited.replace("role: stable,", "role: stable, test_looks: 2,")
    assert limited != config
    edit(flow, "main", {"branchflow.yaml": limited}, "Limit the looks")


def looks(flow: Flow) -> list[dict[str, object]]:
    return json.loads(flow.branchflow("runs", "--test-looks", "--json").stdout)["result"]


def test_a_model_looks_as_often_as_its_limit_allows_or_says_why(flow_repo: Flow) -> None:
    assert looks(flow_repo) == []
    marked(flow_repo)
    flow_repo.branchflow("run", DEV)
    found = looks(flow_repo)
    assert [(look["branch"], look["stages"], look["reason"]) for look in found] == [
        (DEV, ["train"], None)
    ]
    certificate = found[0]["certificate"]
    released = json.loads(flow_repo.branchflow("runs", "--json").stdout)["result"]["records"]
    assert certificate == released[-1]["certificate"]

    edit(flow_repo, DEV, {"params.yaml": "train:\n  scale: 3\n"}, "Another scale")
    before = flow_repo.sh.git("ls-remote", "origin")
    done = flow_repo.branchflow("run", DEV, code=1)
    assert "for 'm' so far: 1, and the limit is 1" in done.stderr
    assert flow_repo.sh.git("ls-remote", "origin") == before
    flow_repo.branchflow("run", DEV, "--reason", "the first one\nhad a bug")
    assert [look["reason"] for look in looks(flow_repo)] == [None, "the first one had a bug"]

    flow_repo.branchflow("promote", DEV)
    flow_repo.branchflow("release", STABLE, code=1)
    flow_repo.branchflow("release", STABLE, "--reason", "agreed in the review")
    record = json.loads(flow_repo.branchflow("runs", "--json").stdout)["result"]["records"][-1]
    assert record["test"] == {"certificate": certificate, "stages": ["train"], "looks": 3}
    card = flow_repo.sh.git("show", f"{record['tag']}:MODEL_CARD.md")
    assert "Looks at this test side by this model so far: 3." in card
    assert "Reason: agreed in the review" in flow_repo.sh.git("log", "-1", record["tag"])
    shown = flow_repo.branchflow("runs", "--test-looks").stdout
    assert "3 of 3" in shown
    assert flow_repo.branchflow("check", "--all").returncode == 0


def test_rejects_are_listed_for_each_run(flow_repo: Flow) -> None:
    report = """\
import json, sys
exec(open("clean.py").read())
path = Path("reports/clean", sys.argv[1] + ".json")
counts = json.loads(path.read_text())
rejected = counts["rows"] - counts["kept"]
path.write_text(json.dumps({**counts, "rejected": rejected, "reasons": {"no number": rejected}}))
"""
    text = flow_repo.sh.git("show", "origin/clean:dvc.yaml") + "\n"
    changed = text.replace("python clean.py", "python report.py").replace(
        "    - clean.py\n", "    - clean.py\n    - report.py\n"
    )
    edit(flow_repo, "clean", {"dvc.yaml": changed, "report.py": report}, "Count the rejects")
    flow_repo.branchflow("run", "clean")
    rows = json.loads(flow_repo.branchflow("rejects", "--json").stdout)["result"]
    assert len(rows) == 2
    assert all(row["rows"] == row["kept"] + row["rejected"] for row in rows)
    assert all(row["is_current"] for row in rows)
    shown = flow_repo.branchflow("rejects", "--why").stdout
    assert "no number" in shown
    assert FIRST_TAG not in shown
