"""A kill at any point of a gc: nothing needed is gone, all can be brought back, it finishes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dvc_branchflow.project import Project
from dvc_branchflow.storage.gc import GcRequest, plan_gc
from tests.support.depot import Depot, lay_depot, md5
from tests.support.flow import kill_when
from tests.support.killer import kill_at, kill_points, run_to_end
from tests.support.repos import Shell

pytestmark = pytest.mark.slow
N_STRAYS = 1000
Kill = Callable[[list[str]], bool]
GC = """\
import sys
from pathlib import Path
from dvc_branchflow.project import Project
from dvc_branchflow.storage.gc import apply_gc
say = lambda text: print(text, flush=True)
apply_gc(Project.open(Path(".")), sys.argv[1], say, drain_seconds=0.0)
"""
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
    restore = [sys.executable, "-c", BACK]

    def collect() -> list[str]:
        """A gc by a plan of its own: what was brought back is not what an older plan listed."""
        request = GcRequest(grace_seconds=0.0)
        plan = plan_gc(Project.open(depot.repo), request, lambda _: None)
        assert plan.objects == N_STRAYS
        return [sys.executable, "-c", GC, plan.run]

    def finish(command: list[str], expected: set[str]) -> float:
        done = run_to_end(command, env, depot.repo)
        assert done.returncode == 0, done.output
        assert depot.stored() == expected
        return done.duration_seconds

    def in_trash() -> bool:
        return len(depot.stored()) < len(whole)

    def nothing_is_lost() -> None:
        assert needed <= depot.stored()
        assert everything(depot) == whole

    def by_clock(delay: float) -> Kill:
        return lambda command: kill_at(command, env, depot.repo, delay)

    gc_seconds, back_seconds = finish(collect(), needed), finish(restore, whole)
    said: list[Kill] = [
        lambda command: kill_when(depot.sh, command, "to set aside"),
        lambda command: kill_when(depot.sh, command, in_trash),
    ]
    n_killed = 0
    for kill in [*said, *(by_clock(delay) for delay in kill_points(gc_seconds, 3))]:
        command = collect()
        n_killed += kill(command)
        nothing_is_lost()
        finish(command, needed)
        finish(restore, whole)
    assert n_killed >= len(said)
    for delay in kill_points(back_seconds, 2):
        finish(collect(), needed)
        kill_at(restore, env, depot.repo, delay)
        nothing_is_lost()
        finish(restore, whole)
