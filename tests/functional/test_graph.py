"""The commits behind roots: what each holds, read as Git itself says it."""

from __future__ import annotations

from pathlib import Path

import pytest

from dvc_branchflow.git import Change, Git, NewCommit
from dvc_branchflow.git.batch import BatchReader
from dvc_branchflow.gitobjects import EXECUTABLE_MODE, Entry
from dvc_branchflow.model import Sha
from dvc_branchflow.project import Project
from dvc_branchflow.storage.gc import GcRequest, plan_gc
from dvc_branchflow.work.graph import Graph
from dvc_branchflow.work.naming import is_naming
from dvc_branchflow.work.roots import Holder, Kind, Roots
from tests.functional.test_status_cost import started_by
from tests.support.depot import lay_depot
from tests.support.repos import Shell


def pointer(number: int) -> bytes:
    return b"outs:\n- md5: %032x\n  size: 1\n  hash: md5\n  path: x\n" % number


def graph_of(git: Git, tips: list[Sha]) -> Graph:
    roots = Roots()
    for number, tip in enumerate(tips):
        roots.tips[Holder(Kind.BRANCH, str(number))].add(tip)
    return Graph(git, roots)


def odd_history(git: Git) -> list[Sha]:
    """A long line, and what may befall a path on it: gone, back, a folder, a link, merged."""
    (base,) = git.write_commits([NewCommit([], "base\n", [Change("x.dvc", pointer(0))])])
    line = [
        NewCommit([base if n == 0 else n - 1], f"{n}\n", [Change(f"d/{n % 7}.dvc", pointer(n))])
        for n in range(250)
    ]
    made = git.write_commits(line)
    blob = git.files(base)["x.dvc"].sha
    steps = [
        [Change("x.dvc")],
        [Change("x.dvc/y.dvc", pointer(1)), Change("code.py", b"1")],
        [Change("x.dvc/y.dvc"), Change("x.dvc", entry=Entry("120000", blob))],
        [Change("x.dvc", entry=Entry(EXECUTABLE_MODE, blob))],
        [Change("\u00e4 b/dvc.lock", b"schema: '2.0'\nstages: {}\n")],
    ]
    made += git.write_commits(
        [NewCommit([made[-1] if n == 0 else n - 1], "x\n", step) for n, step in enumerate(steps)]
    )
    return [base, *made, *git.write_commits([NewCommit([made[90], made[-1]], "merge\n", [])])]


def test_what_a_commit_holds_is_what_git_says(flow_git: Git) -> None:
    shas = odd_history(flow_git)
    graph = graph_of(flow_git, [shas[-2], shas[-1]])
    found = {step.node.sha: dict(step.files) for step in graph.wholes(reversed(shas))}
    for sha, files in flow_git.files_of(shas).items():
        assert found[sha] == {path: entry for path, entry in files.items() if is_naming(path)}
    (link,) = (step for step in graph.wholes([shas[-4]]))
    assert [one.is_stored for one in graph.named(link) if one.path == "x.dvc"] == [False]
    assert any("no plain file" in problem.why for problem in graph.problems)


def test_each_file_is_read_once_however_often_it_is_asked_for(
    flow_git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    shas = odd_history(flow_git)
    read: list[Sha] = []
    ask = BatchReader._ask

    def asked(self, what, wanted):
        read.extend(wanted if what == "contents" else [])
        return ask(self, what, wanted)

    monkeypatch.setattr(BatchReader, "_ask", asked)
    flow_git.close()
    graph = graph_of(flow_git, shas)
    list(graph.steps())
    list(graph.wholes(shas))
    list(graph.steps({shas[0]}))
    assert len(read) == len(set(read)) == 251


@pytest.mark.usefixtures("as_user")
def test_the_plan_of_a_gc_costs_the_processes_of_a_short_history(
    tmp_path: Path, sh: Shell, monkeypatch: pytest.MonkeyPatch
) -> None:
    depot = lay_depot(tmp_path / "team", sh)

    def costs(commits: int) -> int:
        for number in range(commits):
            depot.branch(f"dev/{commits}-{number}")
            depot.point("data/x", {"a": f"{commits} {number}"})
            depot.commit()
        project = Project.open(depot.repo)
        return started_by(monkeypatch, lambda: plan_gc(project, GcRequest(), lambda _: None))

    assert costs(1) == costs(8) <= 18
