"""A gc beside plain DVC: its experiments, its queue, its run-cache, and a pull of every ref after."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dvc_branchflow.project import Project
from dvc_branchflow.storage.gc import GcRequest, apply_gc, plan_gc
from tests.support.depot import Depot, lay_depot, md5
from tests.support.flow import Flow
from tests.support.repos import Shell, missing_from_directory_remote

pytestmark = pytest.mark.slow
PIPELINE = """\
stages:
  copy:
    cmd: cp a.csv b.csv
    deps: [a.csv]
    params: [x]
    outs: [b.csv]
"""


@pytest.fixture(autouse=True)
def as_user(env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in env.items():
        monkeypatch.setenv(name, value)


def collect(repo: Path) -> int:
    plan = plan_gc(Project.open(repo), GcRequest(grace_seconds=0.0), lambda _: None)
    return apply_gc(Project.open(repo), plan.run, lambda _: None, drain_seconds=0.0).moved


def queue(depot: Depot, text: str) -> str:
    """Queue an experiment on data that only its stash names; it lies on the DVC remote."""
    depot.point("a.csv", text, depot.store, depot.repo / ".dvc/cache")
    depot.write("a.csv", text)
    depot.sh.dvc("exp", "run", "--queue", "-S", f"x={len(text)}")
    depot.sh.git("checkout", "--quiet", "a.csv.dvc")
    return md5(text.encode())


def test_what_dvcs_experiments_queue_and_run_cache_need_stays(tmp_path: Path, sh: Shell) -> None:
    depot = lay_depot(tmp_path / "team", sh)
    depot.branch("dev/x")
    depot.point("a.csv", "base")
    depot.write("a.csv", "base")
    depot.write("dvc.yaml", PIPELINE)
    depot.write("params.yaml", "x: 1\n")
    depot.sh.dvc("repro", "-q")
    depot.commit()
    depot.push("dev/x")
    needed = {queue(depot, "queued first"), queue(depot, "and queued second")}
    tree = depot.inside(depot.sh.at(depot.base / "worktree"))
    depot.sh.git("worktree", "add", "--quiet", "--detach", str(tree.repo), "dev/x")
    needed.add(queue(tree, "queued in a worktree"))
    depot.point("a.csv", "saved")
    depot.write("a.csv", "saved")
    depot.sh.dvc("commit", "--force", "-q")
    depot.sh.dvc("exp", "save", "-q", "-n", "kept")
    needed.add(md5(b"saved"))
    depot.sh.git("checkout", "--quiet", "--force", "dev/x")
    depot.point("a.csv", "only in the run-cache")
    depot.write("a.csv", "only in the run-cache")
    depot.sh.dvc("repro", "-q")
    depot.sh.dvc("push", "-q", "--run-cache")
    needed.add(md5(b"only in the run-cache"))
    depot.sh.git("checkout", "--quiet", "--force", "dev/x")
    shutil.rmtree(depot.cache / "runs")
    stray = depot.file("nobody's", depot.store)
    assert needed <= depot.stored()
    assert collect(depot.repo) == 1
    assert needed <= depot.stored()
    assert stray not in depot.stored()


def test_after_a_gc_every_branch_and_release_pulls_with_plain_dvc(flow_repo: Flow) -> None:
    flow = flow_repo
    stray = flow.store / "files/md5/00" / ("0" * 30)
    stray.parent.mkdir(parents=True, exist_ok=True)
    stray.write_text("nobody's", encoding="utf-8")
    assert collect(flow.repo) == 1
    assert not missing_from_directory_remote(flow.origin, flow.store)
    fresh = flow.new_clone("fresh").sh
    for rev in ("origin/clean", "origin/stable/m", "m@v1.0.0", "m@v1.0.1", "origin/dev/m"):
        fresh.git("checkout", "--quiet", "--detach", rev)
        fresh.dvc("pull", "--quiet", "--force")
        assert "Data and pipelines are up to date." in fresh.dvc("status")
        shutil.rmtree(fresh.cwd / ".dvc/cache")
