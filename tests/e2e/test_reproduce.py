"""A release made once more: what comes out, what goes on record, and all that stays as it is."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest

from tests.support.flow import (
    DEV,
    FIRST_TAG,
    PIPELINES,
    SECOND_TAG,
    STABLE,
    Checkpoint,
    Flow,
    at_once,
    copy_flow,
    edit,
    error_line,
    kill_when,
)
from tests.support.repos import checkout_digest, digest_diff

pytestmark = pytest.mark.slow

MAIN = "refs/heads/main"
# Adds what stands in a file of this machine to the metric, and the time to the model.
_NOISY = (
    PIPELINES[DEV]["train.py"]
    .replace('"error": error', '"error": error * (1 + noise())')
    .replace('{"mean": fitted}', '{"mean": fitted, "at": time.time()}')
    .replace("import sys\n", "import os\nimport sys\nimport time\n")
    .replace(
        "def main(",
        'def noise():\n    return float(Path(os.environ["HOME"], "noise").read_text())\n\n\ndef main(',
    )
)


def cached(flow: Flow) -> dict[str, str]:
    """Every file in DVC's cache and run-cache → its digest."""
    root = flow.repo / ".dvc/cache"
    return {
        str(path.relative_to(root)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in root.rglob("*")
        if path.is_file()
    }


def records(flow: Flow) -> list[dict[str, object]]:
    """The records of reproductions on the origin's main, oldest first."""
    origin = flow.sh.at(flow.origin)
    listed = origin.git("ls-tree", "-r", "--name-only", "main", "runs/m/reproduced/").splitlines()
    return [json.loads(origin.git("show", f"main:{path}")) for path in listed]


def worktree_digest(flow: Flow) -> dict[str, str]:
    """The stable branch's own worktree, file by file."""
    (folder,) = (flow.repo / ".git/branchflow/worktrees").glob("stable_m*")
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and ".dvc/tmp" not in str(path)
    }


def test_a_release_is_made_again_and_nothing_moves_but_main(flow_repo: Flow) -> None:
    flow = flow_repo
    flow.branchflow("run", STABLE)  # so that it has a worktree
    before, cache, tree = flow.refs(), cached(flow), worktree_digest(flow)
    looks = flow.result("runs", "--test-looks")
    checkout = checkout_digest(flow.repo, allow=["main"])
    planned = flow.result("reproduce", FIRST_TAG, "--dry-run")
    assert (planned["stages"], planned["frozen"], planned["outs"]) == (["train"], [], 1)
    done = flow.branchflow("reproduce", FIRST_TAG, "--no-record").stdout
    assert f"reproduced {FIRST_TAG} in " in done
    assert re.search(r"identical\n  (\d) of \1 outs the same, bit for bit\n$", done)
    assert flow.refs() == before
    outcome = flow.result("reproduce", FIRST_TAG)
    after = flow.refs()
    assert {name for name in after if after[name] != before.get(name)} == {MAIN}
    origin = flow.sh.at(flow.origin)
    assert origin.git("diff", "--name-only", "main~1", "main") == outcome["path"]
    assert origin.git("rev-parse", "main~1") == before[MAIN]
    (record,) = records(flow)
    assert record == outcome["reproduction"]
    assert (record["verdict"], record["commit"]) == (
        "identical",
        origin.git("rev-parse", f"{FIRST_TAG}^{{commit}}"),
    )
    assert {"python", "dvc", "platform", "cpus"} <= record["environment"].keys()
    assert cached(flow) == cache
    assert worktree_digest(flow) == tree
    assert flow.result("runs", "--test-looks") == looks
    assert not digest_diff(checkout, checkout_digest(flow.repo, allow=["main"]))
    assert flow.branchflow("check", "--all")
    assert flow.result("runs")["reproduced"] == {FIRST_TAG: "identical"}
    assert re.search(
        r"reproduced +last +identical +-$", flow.branchflow("compare").stdout, re.MULTILINE
    )
    # Records beside it are no releases.
    assert [one["tag"] for one in flow.result("runs")["records"]] == [FIRST_TAG, SECOND_TAG]


def test_every_stage_really_runs_in_a_clone_that_never_saw_the_release(
    flow_template: Path, tmp_path: Path, env: dict[str, str]
) -> None:
    flow = copy_flow(flow_template, tmp_path / "team", env, local=False)
    assert cached(flow) == {}
    assert flow.result("reproduce", SECOND_TAG)["reproduction"]["verdict"] == "identical"
    (log,) = (flow.repo / ".git/branchflow/logs").glob("reproduce_m*/repro.log")
    assert "Running stage 'train'" in log.read_text(encoding="utf-8")
    assert not [name for name in cached(flow) if name.startswith("runs/")]
    pulled = {name.removeprefix("files/md5/").replace("/", "") for name in cached(flow)}
    lock = flow.sh.git("show", f"{SECOND_TAG}:dvc.lock")
    model = lock.partition("models/m.json")[2].partition("md5: ")[2].split()[0]
    assert model not in pulled  # only the pins were needed


def test_a_release_that_depends_on_the_machine_is_judged_by_its_metrics(
    flow_repo: Flow, env: dict[str, str]
) -> None:
    flow, noise = flow_repo, Path(env["HOME"], "noise")
    noise.write_text("0")
    edit(flow, DEV, {"train.py": _NOISY}, "Depend on the machine")
    flow.branchflow("promote", DEV)
    flow.branchflow("release", STABLE)
    tag = "m@v1.1.0"
    done = flow.branchflow("reproduce", tag).stdout
    assert "within tolerance\n" in done
    assert re.findall(r"^  out +(\S+)", done, re.MULTILINE) == ["models/m.json"]
    noise.write_text("0.001")
    done = flow.branchflow("reproduce", tag, code=1).stdout
    assert f"could not reproduce {tag}" in done
    assert "metric  metrics.json:error" in done
    assert "rows" not in done
    assert "within tolerance" in flow.branchflow("reproduce", tag, "--tolerance", "0.01").stdout
    noise.unlink()
    done = flow.branchflow("reproduce", tag, code=1).stdout
    assert "failed\n  the pipeline failed: failed to reproduce 'train'" in done
    verdicts = [record["verdict"] for record in records(flow)]
    assert verdicts == ["within tolerance", "different", "within tolerance", "failed"]
    assert "noise" not in json.dumps(records(flow)[-1]["outs"])


def test_what_is_no_release_or_has_no_data_is_not_reproduced(flow_repo: Flow) -> None:
    flow, before = flow_repo, flow_repo.refs()
    for tag, reason in {"m@v9.0.0": "there is no release", STABLE: "is no tag"}.items():
        assert reason in error_line(flow.branchflow("reproduce", tag, code=3))
    for tolerance in ("-1", "nan", "1", "inf"):
        done = flow.branchflow("reproduce", FIRST_TAG, f"--tolerance={tolerance}", code=2)
        assert "is no tolerance" in error_line(done)
    other = flow.new_clone("other")
    flow.store.rename(flow.root / "away")
    assert error_line(other.branchflow("reproduce", FIRST_TAG, code=3))
    shallow = flow.new_clone("shallow", depth=1)
    assert "shallow" in error_line(shallow.branchflow("reproduce", FIRST_TAG, code=3))
    assert flow.refs() == before


def test_without_a_git_remote_main_must_be_free(flow_repo: Flow) -> None:
    flow = flow_repo
    flow.sh.git("remote", "remove", "origin")
    done = flow.branchflow("reproduce", FIRST_TAG, code=3)
    assert "'main' is checked out" in error_line(done)
    flow.sh.git("switch", "-q", "--detach")
    path = flow.result("reproduce", FIRST_TAG)["path"]
    assert flow.sh.git("show", f"main:{path}")


def test_two_reproductions_at_once_are_both_on_record(flow_repo: Flow) -> None:
    other = flow_repo.new_clone("other")
    words = ["git", "branchflow", "reproduce", FIRST_TAG]
    ended = at_once((flow_repo.sh, words), (other.sh, words), (other.sh, [*words[:-1], SECOND_TAG]))
    assert [end.returncode for end in ended] == [0, 0, 0], ended
    tags = sorted(str(record["tag"]) for record in records(flow_repo))
    assert tags == [FIRST_TAG, FIRST_TAG, SECOND_TAG]
    assert len({record["id"] for record in records(flow_repo)}) == 3


def test_a_killed_reproduction_leaves_nothing_bad_and_the_same_again_finishes(
    flow_repo: Flow, tmp_path: Path
) -> None:
    flow, before, cache = flow_repo, flow_repo.refs(), cached(flow_repo)
    start = Checkpoint(flow.root, tmp_path / "kept")
    words = ["git", "branchflow", "reproduce", FIRST_TAG]
    for moment in ("dvc repro", "pushing"):
        kill_when(flow.sh, words, moment)
        assert {name for name, sha in flow.refs().items() if before.get(name) != sha} <= {MAIN}
        assert cached(flow) == cache
        flow.sh.git("fsck", "--strict", "--no-dangling")
        flow.branchflow(*words[2:])
        assert records(flow)[-1]["verdict"] == "identical"
        start.restore()
