"""Ways in which an object can be needed, each the only one: what no garbage collector may lose.

A row leaves a `Depot` in which something needs objects, and returns their ids. `GARBAGE` does the
opposite: it leaves objects that nothing needs any more.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from tests.support.depot import Depot, md5

Row = Callable[[Depot], set[str]]
DATA = {"one.csv": "1\n", "two.csv": "2\n"}


def _everything(*oids: str) -> set[str]:
    return {*oids, *(md5(text.encode()) for text in DATA.values())}


def local_tip(depot: Depot) -> set[str]:
    depot.branch("dev/x")
    oid = depot.point("a.csv", "local tip")
    depot.commit()
    return {oid}


def other_local_tip(depot: Depot) -> set[str]:
    needed = local_tip(depot)
    depot.sh.git("switch", "--quiet", "main")
    return needed


def directory(depot: Depot) -> set[str]:
    depot.branch("dev/x")
    oid = depot.point("tree", DATA)
    depot.commit()
    return _everything(oid)


def older_commit(depot: Depot) -> set[str]:
    depot.branch("dev/x")
    old = depot.point("a.csv", "old")
    depot.commit()
    new = depot.point("a.csv", "new")
    depot.commit()
    return {old, new}


def import_of_an_old_commit(depot: Depot) -> set[str]:
    depot.branch("raw")
    old = depot.point("data/raw/a.csv", "as imported")
    sha = depot.commit()
    depot.point("data/raw/a.csv", "newer")
    depot.commit()
    depot.branch("dev/x")
    source = f"{{url: ., rev: raw, rev_lock: {sha}}}"
    text = (
        f"md5: {'0' * 32}\nfrozen: true\ndeps:\n- path: data/raw/a.csv\n  repo: {source}\n"
        f"outs:\n- md5: {old}\n  size: 11\n  hash: md5\n  path: b.csv\n"
    )
    depot.write("b.csv.dvc", text)
    depot.commit()
    depot.sh.git("branch", "-D", "--quiet", "raw")
    return {old}


def annotated_tag(depot: Depot) -> set[str]:
    depot.branch("stable/x")
    oid = depot.point("a.csv", "released")
    depot.commit()
    depot.sh.git("tag", "-a", "x@v1.0.0", "-m", "x")
    depot.push("x@v1.0.0")
    _forget_branch(depot, "stable/x")
    return {oid}


def lightweight_tag_of_a_tag(depot: Depot) -> set[str]:
    needed = annotated_tag(depot)
    depot.sh.git("tag", "-a", "again", "-m", "x", "x@v1.0.0")
    depot.sh.git("tag", "light", "again")
    for name in ("x@v1.0.0", "again"):
        depot.sh.git("tag", "-d", name)
    depot.push("--delete", "x@v1.0.0")
    return needed


def remote_branch_only(depot: Depot) -> set[str]:
    depot.branch("dev/x")
    oid = depot.point("a.csv", "pushed")
    depot.commit()
    depot.push("dev/x")
    depot.sh.git("switch", "--quiet", "main")
    depot.sh.git("branch", "-D", "--quiet", "dev/x")
    _expire(depot)
    return {oid}


def pushed_and_not_yet_fetched(depot: Depot) -> set[str]:
    other = depot.new_clone("colleague")
    other.branch("dev/y")
    oid = other.point("a.csv", "a colleague's", depot.store)
    other.commit()
    other.push("dev/y")
    return {oid}


def custom_ref_of_the_origin(depot: Depot) -> set[str]:
    other = depot.new_clone("colleague")
    other.branch("feature")
    oid = other.point("a.csv", "a merge request", depot.store)
    other.commit()
    other.push("HEAD:refs/merge-requests/7/head")
    return {oid}


def unpushed_in_another_clone(depot: Depot) -> set[str]:
    other = depot.new_clone("colleague")
    other.branch("dev/y")
    oid = other.point("tree", DATA, depot.store, other.cache)
    other.commit()
    other.sh.run("git-branchflow", "storage", "lease", "--for", "7d")
    return _everything(oid)


def leased_without_its_manifest(depot: Depot) -> set[str]:
    """The directory was never pushed, but its files lie on the DVC remote for another reason."""
    other = depot.new_clone("colleague")
    other.branch("dev/y")
    other.point("tree", DATA, other.cache)
    for text in DATA.values():
        other.file(text, depot.store)
    other.commit()
    other.sh.run("git-branchflow", "storage", "lease", "--for", "7d")
    return _everything()


def another_repository(depot: Depot) -> set[str]:
    """A repository of its own that has the same folder as its DVC remote."""
    sh = depot.sh.at(depot.base / "neighbour")
    sh.cwd.mkdir()
    sh.git("init", "--quiet")
    other = depot.inside(sh)
    config = (depot.repo / ".dvc/config").read_text(encoding="utf-8")
    other.write(".dvc/config", config)
    other.write("branchflow.yaml", "branches: {main: , raw: {role: raw}}\n")
    oid = other.point("tree", DATA, depot.store, other.cache)
    other.commit()
    other.sh.run("git-branchflow", "storage", "lease", "--everything", "--for", "7d")
    return _everything(oid)


def another_git_remote(depot: Depot) -> set[str]:
    fork = depot.base / "fork.git"
    depot.sh.git("init", "--quiet", "--bare", str(fork))
    depot.sh.git("remote", "add", "fork", str(fork))
    depot.branch("dev/forked")
    oid = depot.point("a.csv", "in a fork")
    depot.commit()
    depot.sh.git("push", "--quiet", "fork", "dev/forked")
    _forget_branch(depot, "dev/forked")
    depot.sh.git("update-ref", "-d", "refs/remotes/fork/dev/forked")
    return {oid}


def experiment_ref(depot: Depot) -> set[str]:
    depot.branch("dev/x")
    oid = depot.point("a.csv", "an experiment's")
    sha = depot.commit()
    depot.sh.git("update-ref", f"refs/exps/{sha[:2]}/{sha[2:]}/brave-one", sha)
    _forget_branch(depot, "dev/x")
    return {oid}


def stash(depot: Depot) -> set[str]:
    needed = set()
    for n in (1, 2):
        depot.branch(f"dev/{n}")
        depot.commit()
        needed.add(depot.point("a.csv", f"stashed {n}"))
        depot.sh.git("add", "-A")
        depot.sh.git("stash", "--quiet")
        depot.sh.git("switch", "--quiet", "main")
    return needed


def stashed_untracked(depot: Depot) -> set[str]:
    oid = depot.point("a.csv", "never added")
    depot.sh.git("stash", "--quiet", "--include-untracked")
    return {oid}


def custom_ref(depot: Depot) -> set[str]:
    depot.branch("dev/x")
    oid = depot.point("a.csv", "kept by hand")
    sha = depot.commit()
    depot.sh.git("update-ref", "refs/backup/one", sha)
    _forget_branch(depot, "dev/x")
    return {oid}


def reflog(depot: Depot) -> set[str]:
    depot.branch("dev/x")
    oid = depot.point("a.csv", "amended away")
    depot.commit()
    depot.point("a.csv", "instead")
    depot.sh.git("commit", "--quiet", "-a", "--amend", "-m", "x")
    return {oid}


def run_cache(depot: Depot) -> set[str]:
    oid = depot.file("a run's")
    text = f"cmd: echo\ndeps:\n- path: d\n  hash: md5\n  md5: {'0' * 32}\n  size: 1\nouts:\n"
    text += f"- path: m\n  hash: md5\n  md5: {oid}\n  size: 7\n"
    path = depot.store / "runs" / "ab" / ("ab" * 32) / ("cd" * 32)
    path.parent.mkdir(parents=True)
    path.write_text(text, encoding="utf-8")
    return {oid}


def own_run_cache(depot: Depot) -> set[str]:
    needed = run_cache(depot)
    depot.cache.mkdir(parents=True, exist_ok=True)
    (depot.store / "runs").rename(depot.cache / "runs")
    return needed


def detached_worktree(depot: Depot) -> set[str]:
    tree = _worktree(depot)
    oid = tree.point("a.csv", "on no branch", depot.store)
    tree.commit()
    admin = next((depot.repo / ".git/worktrees").iterdir())
    (admin / "logs/HEAD").unlink()
    return {oid}


def index_of_another_worktree(depot: Depot) -> set[str]:
    tree = _worktree(depot)
    oid = tree.point("a.csv", "staged elsewhere", depot.store)
    tree.sh.git("add", "-A")
    (tree.repo / "a.csv.dvc").unlink()
    return {oid}


def file_in_another_worktree(depot: Depot) -> set[str]:
    return {_worktree(depot).point("deep/er/a.csv", "uncommitted elsewhere", depot.store)}


def uncommitted_pointer(depot: Depot) -> set[str]:
    return {depot.point("deep/a.csv", "uncommitted here")}


def ignored_pointer(depot: Depot) -> set[str]:
    depot.write(".gitignore", "*.dvc\n")
    return {depot.point("a.csv", "ignored here")}


def staged_pointer(depot: Depot) -> set[str]:
    oid = depot.point("a.csv", "staged here")
    depot.sh.git("add", "-A")
    (depot.repo / "a.csv.dvc").unlink()
    return {oid}


def uncommitted_lock(depot: Depot) -> set[str]:
    oid = depot.file("a stage's")
    text = (
        f"schema: '2.0'\nstages:\n  t:\n    cmd: echo\n    outs:\n    - path: m\n      md5: {oid}\n"
    )
    depot.write("sub/dvc.lock", text)
    return {oid}


def merge_head(depot: Depot) -> set[str]:
    depot.branch("dev/x")
    oid = depot.point("a.csv", "to be merged")
    depot.commit()
    depot.sh.git("switch", "--quiet", "main")
    depot.sh.git("merge", "--quiet", "--no-ff", "--no-commit", "dev/x")
    depot.sh.git("rm", "-q", "--cached", "a.csv.dvc")
    (depot.repo / "a.csv.dvc").unlink()
    depot.sh.git("branch", "-D", "--quiet", "dev/x")
    _expire(depot)
    return {oid}


def pinned_commit(depot: Depot) -> set[str]:
    """A pin names a commit that no ref reaches any more."""
    depot.branch("raw")
    old = depot.point("data/raw/a.csv", "older than the pin")
    depot.commit()
    new = depot.point("data/raw/a.csv", "pinned")
    sha = depot.commit()
    depot.branch("dev/x", "main")
    depot.write("pins.yaml", f"raw: {sha}\n")
    depot.commit()
    depot.sh.git("branch", "-D", "--quiet", "raw")
    _expire(depot)
    return {old, new}


def one_blob_at_two_paths(depot: Depot) -> set[str]:
    depot.branch("dev/x")
    oid, text = depot.pointer("a.csv", "the same")
    for path in ("one/a.csv.dvc", "two/a.csv.dvc"):
        depot.write(path, text)
    depot.commit()
    (depot.repo / "one/a.csv.dvc").unlink()
    depot.commit()
    return {oid}


def reverted_before_a_merge(depot: Depot) -> set[str]:
    depot.branch("dev/x")
    depot.point("a.csv", "first")
    depot.commit()
    depot.branch("dev/side", "dev/x")
    oid = depot.point("a.csv", "for a while")
    depot.commit()
    depot.point("a.csv", "first")
    depot.commit()
    depot.sh.git("switch", "--quiet", "dev/x")
    depot.commit()
    depot.sh.git("merge", "--quiet", "--no-ff", "-m", "x", "dev/side")
    depot.sh.git("branch", "-D", "--quiet", "dev/side")
    _expire(depot)
    return {oid}


def old_dvc(depot: Depot) -> set[str]:
    """A pointer of DVC 2, and a lock of DVC 1: their objects may have been migrated since."""
    depot.branch("dev/x")
    first, second = depot.file("of DVC 2"), depot.file("of DVC 1")
    depot.write("a.csv.dvc", f"outs:\n- md5: {first}\n  size: 8\n  path: a.csv\n")
    lock = f"train:\n  cmd: echo\n  outs:\n  - path: m\n    md5: {second}\n"
    depot.write("dvc.lock", lock)
    depot.commit()
    return {first, second}


ROWS: Mapping[str, Row] = {
    row.__name__: row
    for row in (
        local_tip, other_local_tip, directory, older_commit, import_of_an_old_commit,
        annotated_tag, lightweight_tag_of_a_tag, remote_branch_only, pushed_and_not_yet_fetched,
        custom_ref_of_the_origin, unpushed_in_another_clone, leased_without_its_manifest,
        another_repository, another_git_remote, experiment_ref, stash, stashed_untracked,
        custom_ref, reflog, run_cache, own_run_cache, detached_worktree,
        index_of_another_worktree, file_in_another_worktree, uncommitted_pointer, ignored_pointer,
        staged_pointer, uncommitted_lock, merge_head, pinned_commit, one_blob_at_two_paths,
        reverted_before_a_merge, old_dvc,
    )
}  # fmt: skip


def released(depot: Depot) -> set[str]:
    """What the tip of a pushed stable branch needs: a directory and a file."""
    depot.branch("stable/x")
    oid = depot.point("tree", DATA)
    other = depot.point("a.csv", "a file")
    depot.commit()
    depot.push("stable/x")
    return _everything(oid, other)


def garbage(depot: Depot) -> set[str]:
    """Objects of a branch that was deleted everywhere, and some that no commit ever named."""
    depot.branch("dev/gone")
    kept = {"kept.csv": "in both\n", "lost.csv": "in one\n"}
    oid = depot.point("tree", kept)
    depot.commit()
    depot.push("dev/gone")
    _forget_branch(depot, "dev/gone")
    depot.push("--delete", "dev/gone")
    stray = depot.file("nobody's", depot.store)
    listed = [{"md5": depot.file("a stray's", depot.store), "relpath": "x"}]
    stray_dir = depot.put(json.dumps(listed).encode(), depot.store, suffix=".dir")
    files = {md5(text.encode()) for text in kept.values()}
    return {oid, stray, stray_dir, listed[0]["md5"], *files}


def _forget_branch(depot: Depot, name: str) -> None:
    depot.sh.git("switch", "--quiet", "main")
    depot.sh.git("branch", "-D", "--quiet", name)
    _expire(depot)


def _expire(depot: Depot) -> None:
    depot.sh.git("reflog", "expire", "--expire=now", "--expire-unreachable=now", "--all")


def _worktree(depot: Depot) -> Depot:
    tree = depot.inside(depot.sh.at(depot.base / "worktree"))
    depot.sh.git("worktree", "add", "--quiet", "--detach", str(tree.repo), "main")
    return tree
