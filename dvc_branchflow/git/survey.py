"""Reads all that a repository could still need: every ref, reflog, worktree, and their history."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import NamedTuple

from dvc_branchflow.errors import GitError, LostRaceError
from dvc_branchflow.git import Git, Ref
from dvc_branchflow.gitobjects import Entry
from dvc_branchflow.model import Sha

_FETCHES = 4
_SHA = re.compile(r"[0-9a-f]{40}\b")
_PSEUDO_REF = re.compile(r"[A-Z_]*HEAD")
_PROMISED = r"^(remote\..*\.(promisor|partialclonefilter)|extensions\.partialclone)$"


class Node(NamedTuple):
    """A commit in the graph; `seconds` is the committer's time since the epoch."""

    sha: Sha
    tree: Sha
    seconds: int
    parents: tuple[Sha, ...]


class Place(NamedTuple):
    """A checkout with an index of its own, and its files (None: bare, or the folder is gone)."""

    git_dir: Path
    top: Path | None
    is_locked: bool


def every_ref(git: Git) -> list[Ref]:
    """Return every ref of the repository below `refs/`, symbolic ones left out."""
    names = ("refname", "objectname", "*objectname", "objecttype", "symref")
    layout = "%00".join(f"%({name})" for name in names)
    found: list[Ref] = []
    for line in git.text("for-each-ref", f"--format={layout}").splitlines():
        name, sha, peeled, kind, target = line.split("\0")
        if not target:
            found.append(Ref(name, Sha(sha), Sha(peeled or sha), kind))
    return found


def bring_refs(git: Git, git_remote: str) -> dict[str, Sha]:
    """Return every ref that a git remote has now, tags peeled; their history is here then.

    No ref, config or FETCH_HEAD here is touched.
    Raises: GitError: the git remote can't be reached.
    """
    for _ in range(_FETCHES):
        direct, peeled = _ask(git, git_remote)
        here = git.kinds(direct.values())
        lacking = [name for name, sha in direct.items() if sha not in here]
        if not lacking:
            return direct | peeled
        # What has no destination is fetched, and no ref is written. One may vanish meanwhile.
        git.run(
            "fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--no-auto-gc", "--stdin",
            git_remote, data="".join(f"{name}\n" for name in lacking).encode(), check=False,
        )  # fmt: skip
    raise LostRaceError(
        f"refs of git remote '{git_remote}' can't be fetched: {', '.join(lacking[:4])}",
        hint=f"git fetch {git_remote} {lacking[0]}",
    )


def reflogs(git: Git) -> dict[Sha, str]:
    """Return what every reflog of every worktree remembers: commit → where (`stash@{1}`)."""
    args = ("--walk-reflogs", "--all", "--no-commit-header", "--format=%H %gD")
    lines = git.text("rev-list", *args).splitlines()
    return {Sha(sha): name for sha, _, name in (line.partition(" ") for line in reversed(lines))}


def history(git: Git, tips: Iterable[Sha]) -> list[Node]:
    """Return every commit behind `tips`, children before their parents.

    Raises: GitError: a commit is missing here.
    """
    wanted = "".join(f"{sha}\n" for sha in dict.fromkeys(tips))
    if not wanted:
        return []
    layout = "--format=%H %T %ct %P"
    done = git.run("rev-list", "--no-commit-header", "--topo-order", layout, "--stdin",
                   data=wanted.encode())  # fmt: skip
    found: list[Node] = []
    for line in done.stdout.decode().splitlines():
        sha, tree, seconds, *parents = line.split(" ")
        behind = tuple(Sha(parent) for parent in parents if parent)
        found.append(Node(Sha(sha), Sha(tree), int(seconds), behind))
    return found


def unreached(git: Git, reached: Iterable[Sha]) -> list[Sha]:
    """Return the commits that lie in the object database, and are none of those."""
    layout = "--batch-check=%(objecttype) %(objectname)"
    lines = git.text("cat-file", "--batch-all-objects", "--unordered", layout).splitlines()
    known = set(reached)
    named = (line.partition(" ")[2] for line in lines if line.startswith("commit "))
    return [Sha(sha) for sha in named if sha not in known]


def places(git: Git) -> list[Place]:
    """Return the repository's own checkout (or bare folder) and every linked worktree."""
    first = git.text("worktree", "list", "--porcelain").partition("\n\n")[0].splitlines()
    own = Path(first[0].removeprefix("worktree ")) if "bare" not in first else None
    found = [Place(git.common_dir, own, is_locked=False)]
    for link in sorted((git.common_dir / "worktrees").glob("*/gitdir")):
        top = Path(link.read_text(errors="surrogateescape").rstrip("\n")).parent
        is_locked = (link.parent / "locked").exists()
        found.append(Place(link.parent, top if top.is_dir() else None, is_locked))
    return found


def heads(git: Git, place: Place, branches: Collection[str]) -> dict[Sha, str]:
    """Return the commits that a checkout stands on or works with: HEAD, MERGE_HEAD and the like.

    Args:
        branches: the full names of those whose tips are known: a HEAD on one of them is left out.
    """
    found: dict[Sha, str] = {}
    is_known = False
    for file in sorted(place.git_dir.iterdir()):
        if not _PSEUDO_REF.fullmatch(file.name) or not file.is_file():
            continue
        for line in file.read_text(errors="surrogateescape").splitlines():
            if _SHA.match(line):
                found[Sha(line[:40])] = file.name
            elif file.name == "HEAD":
                is_known = line.removeprefix("ref: ") in branches
    if is_known:
        return found
    head = git.run(f"--git-dir={place.git_dir}", "rev-parse", "--verify", "--quiet", "HEAD",
                   check=False).stdout.decode().strip()  # fmt: skip
    return found | ({Sha(head): "HEAD"} if head else {})


def staged(git: Git, place: Place, specs: Sequence[str]) -> list[tuple[str, Entry]]:
    """Return what the index of a checkout holds at paths, all sides of a conflict too."""
    where = f"--git-dir={place.git_dir}"
    asked = ("ls-files", "--stage", "-z", "--full-name", "--", *specs)
    done = git.run(where, *asked, cwd=git.common_dir)
    found: list[tuple[str, Entry]] = []
    for line in done.stdout.decode(errors="surrogateescape").split("\0"):
        head, _, path = line.partition("\t")
        if path:
            mode, sha, _ = head.split(" ")
            found.append((path, Entry(mode, Sha(sha))))
    return found


def present(git: Git, top: Path, specs: Sequence[str]) -> list[Path]:
    """Return the files of a checkout that fit, whether Git tracks, ignores or doesn't know them."""
    # DVC's cache may hold millions of files, and no pointer.
    asked = ("ls-files", "--cached", "--others", "--exclude=/.dvc/cache", "-z", "--", *specs)
    listed = git.text(*asked, cwd=top)
    paths = {top / path for path in listed.split("\0") if path}
    return sorted(path for path in paths if path.is_file())


def is_partial(git: Git) -> bool:
    """Whether this is a partial clone, in which some objects lie only on the git remote."""
    return git.run("config", "--get-regexp", _PROMISED, check=False).returncode == 0


def _ask(git: Git, git_remote: str) -> tuple[dict[str, Sha], dict[str, Sha]]:
    done = git.run("ls-remote", "--quiet", git_remote, check=False)
    if done.returncode:
        raise GitError(
            f"git remote '{git_remote}' can't be reached, so that its refs are unknown",
            hint=f"git ls-remote {git_remote}",
        )
    lines = done.stdout.decode(errors="surrogateescape").splitlines()
    pairs = [line.split("\t", 1) for line in lines]
    named = {name: Sha(sha) for sha, name in pairs if name.startswith("refs/")}
    peeled = {name[:-3]: sha for name, sha in named.items() if name.endswith("^{}")}
    return {n: sha for n, sha in named.items() if not n.endswith("^{}")}, peeled
