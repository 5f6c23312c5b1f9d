"""A kill at any point of a gc: nothing needed is gone, all can be brought back, it finishes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from dvc_branchflow.project import Project
from dvc_branchflow.storage.gc import GcRequest, plan_gc
from tests.support.depot import Depot, lay_depot, md5
from tests.support.flow import kill_when
from tests.support.killer import kill_at, kill_points, run_to_end
from tests.support.repos import Shell

pytestmark = pytest.mark.slow
N_STRAYS = 300
SCRIPT = """\
import sys
from pathlib import Path
from dvc_branchflow.project import Project
from dvc_branchflow.storage.{module} import {name}
options = {options}
{name}(Project.open(Path(".")), *sys.argv[1:], print, **options)
print("done", flush=True)
"""
GC = SCRIPT.format(module="gc", name="apply_gc", options={"drain_seconds": 0.0})
BACK = """\
from pathlib import Path
from dvc_branchflow.project import Project
from dvc_branchflow.storage.undelete import undelete
undelete(Project.open(Path(".")), [], lambda text: print(text, flush=True))
"""


def everything(depot: Depot) -> set[str]:
    """All objects, where DVC finds them or in the trash."""
    trash = {path.name for path in (depot.store / "branchflow/trash").rglob("*") if path.is_file()}
    return depot.stored() | trash


def test_a_killed_gc_and_a_killed_undelete_lose_nothing(
    tmp_path: Path, sh: Shell, env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    depot = lay_depot(tmp_path / "team", sh)
    depot.branch("stable/x")
    files = {f"{n}.csv": f"kept {n}\n" for n in range(50)}
    folder = depot.point("tree", files)
    depot.commit()
    depot.push("stable/x")
    needed = {folder, *(md5(text.encode()) for text in files.values())}
    for n in range(N_STRAYS):
        depot.file(f"stray {n}", depot.store)
    whole = depot.stored()
    plan = plan_gc(Project.open(depot.repo), GcRequest(grace_seconds=0.0), lambda _: None)
    collect = [sys.executable, "-c", GC, plan.run]
    restore = [sys.executable, "-c", BACK]
    full = run_to_end(collect, env, depot.repo)
    assert full.returncode == 0, full.output
    assert depot.stored() == needed
    back = run_to_end(restore, env, depot.repo)
    assert back.returncode == 0, back.output
    assert depot.stored() == whole
    n_killed = 0
    for said in ("objects to set aside", "reading refs"):
        n_killed += kill_when(depot.sh, collect, said)
        assert needed <= depot.stored()
        assert everything(depot) == whole
    for command, seconds in ((collect, full.duration_seconds), (restore, back.duration_seconds)):
        for delay in kill_points(seconds, 4):
            n_killed += kill_at(command, env, depot.repo, delay)
            assert needed <= depot.stored()
            assert everything(depot) == whole
    assert n_killed >= 4
    plan = plan_gc(Project.open(depot.repo), GcRequest(grace_seconds=0.0), lambda _: None)
    again = run_to_end([sys.executable, "-c", GC, plan.run], env, depot.repo)
    assert again.returncode == 0, again.output
    assert depot.stored() == needed
    assert run_to_end(restore, env, depot.repo).returncode == 0
    assert depot.stored() == whole
