"""Over random histories: a gc takes what no root reaches, and nothing else; refs still pull."""

from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dvc_branchflow.project import Project
from dvc_branchflow.storage.gc import GcRequest, apply_gc, plan_gc
from tests.support.depot import Depot, lay_depot
from tests.support.isolation import isolated_env
from tests.support.repos import Shell, objects_needed

pytestmark = pytest.mark.slow
BRANCHES = ("dev/a", "dev/b", "stable/c")
PATHS = ("a.csv", "b.csv", "tree")

Act = Callable[[Depot, int], object]


def edit(depot: Depot, choice: int) -> None:
    """Other data at a path, not yet committed; contents come up again and again."""
    path = PATHS[choice % len(PATHS)]
    text = f"content {choice % 7}"
    depot.point(path, {f"{choice % 3}.csv": text, "same.csv": "same"} if path == "tree" else text)


def commit(depot: Depot, _: int) -> None:
    depot.commit()


def drop(depot: Depot, choice: int) -> None:
    (depot.repo / f"{PATHS[choice % len(PATHS)]}.dvc").unlink(missing_ok=True)


def switch(depot: Depot, choice: int) -> None:
    name = BRANCHES[choice % len(BRANCHES)]
    known = depot.sh.run("git", "rev-parse", "--verify", "-q", name, check=False).returncode == 0
    how = ["--force", name] if known else ["--force", "-c", name]
    depot.sh.git("switch", "--quiet", *how)


def merge(depot: Depot, choice: int) -> None:
    name = BRANCHES[choice % len(BRANCHES)]
    done = depot.sh.run("git", "merge", "-q", "-X", "ours", "-m", "x", name, check=False)
    if done.returncode:
        depot.sh.run("git", "merge", "--abort", check=False)


def reset(depot: Depot, _: int) -> None:
    depot.sh.run("git", "reset", "--quiet", "--hard", "HEAD~1", check=False)


def delete(depot: Depot, choice: int) -> None:
    depot.sh.run("git", "branch", "-D", "-q", BRANCHES[choice % len(BRANCHES)], check=False)


def forget(depot: Depot, _: int) -> None:
    depot.sh.git("reflog", "expire", "--expire=now", "--expire-unreachable=now", "--all")


def tag(depot: Depot, choice: int) -> None:
    depot.sh.git("tag", "--force", "-a", f"t{choice % 3}", "-m", "x")


def stash(depot: Depot, _: int) -> None:
    depot.sh.run("git", "stash", "--quiet", "--include-untracked", check=False)


def push(depot: Depot, _: int) -> None:
    depot.sh.run("git", "push", "--quiet", "--force", "--prune", "--all", check=False)


def hide(depot: Depot, choice: int) -> None:
    """A ref that no branch or tag is."""
    depot.sh.git("update-ref", f"refs/hidden/{choice % 2}", "HEAD")


ACTS: tuple[Act, ...] = (
    edit, edit, edit, commit, commit, drop, switch, merge, reset, delete, forget, tag, stash, push,
    hide,
)  # fmt: skip
steps = st.lists(st.tuples(st.sampled_from(ACTS), st.integers(0, 1000)), min_size=4, max_size=22)
_count: Iterator[int] = itertools.count()


@pytest.fixture(scope="module")
def laid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("gc")
    lay_depot(base / "team", Shell(base, isolated_env(base / "home")))
    return base


def expected(depot: Depot) -> set[str]:
    """All that is needed, read by a reader of its own: refs, reflogs, stashes, files, the index."""
    sh = depot.sh
    for number, sha in enumerate(sh.git("rev-list", "--reflog", "--all").splitlines()):
        sh.git("update-ref", f"refs/oracle/{number}", sha)
    found = objects_needed(depot.repo, depot.store)
    for name in sh.git("for-each-ref", "--format=%(refname)", "refs/oracle").splitlines():
        sh.git("update-ref", "-d", name)
    texts = [path.read_text("utf-8") for path in depot.repo.rglob("*.dvc") if path.is_file()]
    staged = sh.git("ls-files", "--stage", "*.dvc").splitlines()
    texts += [sh.git("cat-file", "blob", line.split()[1]) for line in staged]
    for text in texts:
        oid = text.partition("md5: ")[2].partition("\n")[0]
        found.add(oid)
        if oid.endswith(".dir"):
            listed = (depot.store / "files/md5" / oid[:2] / oid[2:]).read_text("utf-8")
            found |= {part[:32] for part in listed.split('"md5": "')[1:]}
    return found


@given(steps)
@settings(
    max_examples=12, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
def test_a_gc_takes_what_no_root_reaches_and_nothing_else(
    laid: Path, history: list[tuple[Act, int]]
) -> None:
    base = laid / f"run-{next(_count)}"
    shutil.copytree(laid / "team", base, symlinks=True)
    env = isolated_env(laid / "home")
    depot = Depot(base, Shell(base / "repo", env))
    depot.sh.git("remote", "set-url", "origin", str(depot.origin))
    for act, choice in history:
        act(depot, choice)
    needed = expected(depot)
    before = depot.stored()
    assert needed <= before
    kept = {name: os.environ.get(name) for name in env}
    os.environ.update(env)
    try:
        project = Project.open(depot.repo)
        plan = plan_gc(project, GcRequest(grace_seconds=0.0), lambda _: None)
        outcome = apply_gc(project, plan.run, lambda _: None, drain_seconds=0.0)
    finally:
        for name, value in kept.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
    assert depot.stored() == needed
    assert outcome.moved == len(before) - len(needed)
    shutil.rmtree(base)
