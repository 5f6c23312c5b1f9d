"""What `status` asks of git: as many processes for two hundred branches as for two."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from dvc_branchflow.git import Change, Git, NewCommit
from dvc_branchflow.git.batch import BatchReader
from dvc_branchflow.model import RefUpdate, Sha
from dvc_branchflow.project import Project
from dvc_branchflow.status import FlowStatus, status

CONFIG = b"""\
branches:
  raw: {role: raw}
  dev/*: {role: dev, from: [raw]}
"""


def lay(git: Git, n_branches: int) -> None:
    """Branches that are one commit ahead of the git remote's, all with the same code."""
    git.run("remote", "add", "origin", "/nowhere")
    tip = git.resolve("refs/heads/main")
    (base,) = git.write_commits([NewCommit([tip], "x\n", [Change("branchflow.yaml", CONFIG)])])
    code = [Change("dvc.yaml", b"stages: {s: {cmd: x, deps: [s.py]}}\n"), Change("s.py", b"1")]
    new = git.write_commits(
        [
            *(NewCommit([base], f"{n}\n", code) for n in range(n_branches)),
            *(NewCommit([n], "ahead\n", [Change("note", b"%d" % n)]) for n in range(n_branches)),
        ]
    )
    moves = [RefUpdate("refs/heads/main", tip, base), RefUpdate("refs/remotes/origin/main", None, base)]  # fmt: skip
    for n in range(n_branches):
        moves.append(RefUpdate(f"refs/remotes/origin/dev/{n}", None, new[n]))
        moves.append(RefUpdate(f"refs/heads/dev/{n}", None, new[n_branches + n]))
    git.update_refs(moves, "x")


def started_by(monkeypatch: pytest.MonkeyPatch, work: Callable[[], object]) -> int:
    """How many processes some work starts."""
    count, start = 0, subprocess.Popen.__init__

    def counted(*args, **options):
        nonlocal count
        count += 1
        start(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(subprocess.Popen, "__init__", counted)
        work()
    return count


def looked(git: Git, monkeypatch: pytest.MonkeyPatch) -> tuple[FlowStatus, int, list[Sha]]:
    """The status, the processes that it started, and the objects that were read."""
    read: list[Sha] = []
    found: list[FlowStatus] = []
    ask = BatchReader._ask

    def counted_ask(self, what, shas):
        if what == "contents":
            read.extend(shas)
        return ask(self, what, shas)

    def look() -> None:
        found.append(status(Project(Git.discover(git.git_dir.parent))))

    with monkeypatch.context() as patch:
        patch.setattr(BatchReader, "_ask", counted_ask)
        started = started_by(monkeypatch, look)
    return found[0], started, read


@pytest.mark.parametrize("n_branches", [2, 40])
def test_status_starts_few_processes_and_reads_no_object_twice(
    flow_git: Git, monkeypatch: pytest.MonkeyPatch, n_branches: int
) -> None:
    lay(flow_git, n_branches)
    found, started, read = looked(flow_git, monkeypatch)
    assert [row.unpushed for row in found.branches if row.role == "dev"] == [1] * n_branches
    assert started <= 6
    assert len(read) == len(set(read))


def test_a_branch_that_is_far_ahead_or_merged_is_counted_right(
    flow_git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    lay(flow_git, 3)
    tips = [flow_git.resolve(f"refs/heads/dev/{n}") for n in range(3)]
    far = flow_git.write_commits(
        [NewCommit([tips[0] if n == 0 else n - 1], f"{n}\n", []) for n in range(30)]
    )[-1]
    (merged,) = flow_git.write_commits([NewCommit([tips[1], tips[2]], "merge\n", [])])
    flow_git.update_refs(
        [
            RefUpdate("refs/heads/dev/0", tips[0], far),
            RefUpdate("refs/heads/dev/1", tips[1], merged),
        ],
        "x",
    )
    found, *_ = looked(flow_git, monkeypatch)
    unpushed = {row.branch: row.unpushed for row in found.branches}
    assert unpushed == {"main": 0, "dev/0": 31, "dev/1": 4, "dev/2": 1}
    flow_git.update_refs([RefUpdate("refs/heads/dev/2", tips[2], far)], "x")
    assert looked(flow_git, monkeypatch)[0].diverged == ("dev/2",)


def test_the_checkout_that_holds_the_cache_is_known_without_asking_but_from_another_worktree(
    flow_git: Git, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    top = flow_git.toplevel
    flow_git.run("worktree", "add", "--quiet", "--detach", str(tmp_path / "other"), "main")
    here, there = Project.open(top), Project.open(tmp_path / "other")
    assert started_by(monkeypatch, lambda: here.main_checkout) == 0
    assert started_by(monkeypatch, lambda: there.main_checkout) == 1
    assert here.main_checkout == there.main_checkout == top
