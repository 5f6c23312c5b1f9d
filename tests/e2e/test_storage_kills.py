"""A kill at any point of a gc: nothing needed is gone, all can be brought back, it finishes."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from dvc_branchflow.project import Project
from dvc_branchflow.storage.gc import GcRequest, plan_gc
from tests.support.depot import Depot, lay_depot, md5, object_path
from tests.support.flow import kill_when
from tests.support.killer import kill_at, kill_points, run_to_end
from tests.support.repos import Shell

pytestmark = pytest.mark.slow
N_STRAYS = 1000
N_FILES = 2500
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


def test_a_killed_mirror_leaves_only_whole_objects_and_a_killed_move_all_or_nothing(
    tmp_path: Path, sh: Shell, env: dict[str, str]
) -> None:
    depot = lay_depot(tmp_path / "team", sh, remotes=("store", "backup"))
    depot.branch("raw")
    files = {f"{n}.csv": f"kept {n}\n" for n in range(N_FILES)}
    folder = depot.point("data/raw/tree", files, depot.store)
    depot.commit()
    depot.push("raw")
    depot.sh.git("switch", "--quiet", "--detach")
    needed = {folder, *(md5(text.encode()) for text in files.values())}
    before = depot.sh.git("ls-remote", "origin")

    def are_whole() -> None:
        for oid in depot.stored("backup"):
            assert md5(object_path(depot.base / "backup", oid).read_bytes()) == oid[:32]

    def empty() -> None:
        shutil.rmtree(depot.base / "backup" / "files", ignore_errors=True)

    fill = ["git-branchflow", "storage", "mirror", "backup"]
    seconds = run_to_end(fill, env, depot.repo).duration_seconds
    assert depot.stored("backup") == needed
    empty()
    n_killed = kill_when(depot.sh, fill, lambda: len(depot.stored("backup")) > N_FILES // 10)
    for delay in kill_points(seconds, 3)[1:]:
        n_killed += kill_at(fill, env, depot.repo, delay)
        are_whole()
    assert n_killed
    assert run_to_end(fill, env, depot.repo).returncode == 0
    assert depot.stored("backup") == needed
    are_whole()

    move = ["git-branchflow", "storage", "move", "raw", "backup"]
    empty()
    moments: list[str | Callable[[], bool]] = [
        lambda: len(depot.stored("backup")) > N_FILES // 2, "pushing",
    ]  # fmt: skip
    for moment in moments:
        kill_when(depot.sh, move, moment)
        after = depot.sh.git("ls-remote", "origin")
        moved = [name for name in ("raw", "main") if tip(after, name) != tip(before, name)]
        assert moved in ([], ["raw", "main"])
        assert not moved or depot.stored("backup") == needed
    assert run_to_end(move, env, depot.repo).returncode == 0
    assert "remote: backup" in depot.sh.git("show", "origin/raw:data/raw/tree.dvc")
    assert "remote: backup" in depot.sh.git("show", "origin/main:branchflow.yaml")
    assert depot.stored("backup") == needed


def tip(listed: str, branch: str) -> str:
    return next(line for line in listed.splitlines() if line.endswith(f"refs/heads/{branch}"))
