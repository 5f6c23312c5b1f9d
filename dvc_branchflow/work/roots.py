"""Everything that could still need data: refs here and on git remotes, reflogs, checkouts, leases.

What can't be read is a problem, never nothing: whoever deletes has to stop at one.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from enum import StrEnum
from pathlib import Path

from dvc_branchflow.errors import BranchflowError, FlowError, GitError
from dvc_branchflow.git import Ref, survey
from dvc_branchflow.git.survey import Place
from dvc_branchflow.gitobjects import EXECUTABLE_MODE, FILE_MODE
from dvc_branchflow.model import Sha
from dvc_branchflow.project import Project
from dvc_branchflow.values import dataclass, field
from dvc_branchflow.work.naming import Named, is_naming, named

NAMING = ("*.dvc", "dvc.lock", "*/dvc.lock")
"""Git's pathspecs of the files that `is_naming`."""
MAX_BYTES = 64 * 1024 * 1024


class Kind(StrEnum):
    """What holds data; the last ones only count where nothing before them does."""

    BRANCH = "branch"
    TAG = "tag"
    EXPERIMENTS = "experiments"
    REF = "ref"
    PIN = "pin"
    LEASE = "lease"
    STASH = "stash"
    CHECKOUT = "checkout"
    REFLOG = "reflog"
    RUN_CACHE = "run-cache"


_WEAK = frozenset({Kind.STASH, Kind.CHECKOUT, Kind.REFLOG, Kind.RUN_CACHE})
_QUEUE = frozenset({"stash", "celery", "exec", "apply", "temp"})


@dataclass(frozen=True, slots=True, order=True)
class Holder:
    """Something that may need objects: a branch by its short name, a tag, all experiments."""

    kind: Kind
    name: str

    @property
    def is_weak(self) -> bool:
        """Whether it counts only for what no branch, tag, ref or lease holds."""
        return self.kind in _WEAK


_REFLOGS = Holder(Kind.REFLOG, "reflogs")
_CHECKOUTS = Holder(Kind.CHECKOUT, "checkouts")
EXPERIMENTS = Holder(Kind.EXPERIMENTS, "experiments")


@dataclass(frozen=True, slots=True)
class Problem:
    """What can't be read. `id` is what `--lost` takes to go on without it; empty: nothing does."""

    what: str
    why: str
    id: str = ""

    def __str__(self) -> str:
        return f"{self.what}: {self.why}"


@dataclass
class Roots:
    """Where the search for needed objects starts.

    Attributes:
        tips: holder → the commits that it names itself.
        loose: holder → objects that no commit names, such as those of an uncommitted pointer.
    """

    tips: defaultdict[Holder, set[Sha]] = field(default_factory=lambda: defaultdict(set))
    loose: defaultdict[Holder, set[Named]] = field(default_factory=lambda: defaultdict(set))
    problems: list[Problem] = field(default_factory=list)


def add_roots(project: Project, roots: Roots) -> None:
    """Take in all of Git's that could need data, on fresh refs of every git remote.

    Raises: FlowError: this clone lacks a part of the history. GitError: a git remote is away.
    """
    require_all_history(project)
    for git_remote in project.git.remotes():
        _remote_refs(project, git_remote, roots)
    project.refresh()
    refs = survey.every_ref(project.git)
    _own_refs(project, refs, roots)
    for sha, name in survey.reflogs(project.git).items():
        holder = _holder(name.partition("@")[0], "")
        roots.tips[holder if holder.kind is Kind.STASH else _REFLOGS].add(sha)
    branches = {ref.name for ref in refs if ref.name.startswith("refs/heads/")}
    for place in survey.places(project.git):
        _checkout(project, place, branches, roots)
    _keep_commits(project, roots)


def require_all_history(project: Project) -> None:
    """Raise FlowError in a clone that lacks commits or objects, where "absent" means nothing."""
    git = project.git
    project.require_history("knowing what is needed")
    if survey.is_partial(git):
        raise FlowError(
            "this is a partial clone, which lacks objects; what is needed can't be known here",
            hint="git clone URL  # without --filter",
        )
    if (git.common_dir / "info" / "grafts").exists():
        raise FlowError("'.git/info/grafts' hides a part of the history", hint="git replace --help")


def branch_holder(name: str) -> Holder:
    """Return the holder that a branch is, by its short name."""
    return Holder(Kind.BRANCH, name)


def _remote_refs(project: Project, git_remote: str, roots: Roots) -> None:
    try:
        found = survey.bring_refs(project.git, git_remote)
    except GitError as error:
        if error.hint:
            raise
        raise GitError(error.message, hint=f"git remote remove {git_remote}") from error
    prefix = "" if git_remote == project.git_remote else f"{git_remote}/"
    for name, sha in found.items():
        roots.tips[_holder(name, prefix)].add(sha)


def _own_refs(project: Project, refs: Iterable[Ref], roots: Roots) -> None:
    remote = project.git_remote
    for ref in refs:
        name = ref.name
        if remote and name.startswith(f"refs/remotes/{remote}/"):
            name = "refs/heads/" + name.removeprefix(f"refs/remotes/{remote}/")
        roots.tips[_holder(name, "")].add(ref.commit)


def _holder(ref: str, prefix: str) -> Holder:
    """Return the holder that a ref belongs to; those nobody tells apart are taken together."""
    _, space, rest = (*ref.split("/", 2), "", "")[:3]
    if space == "heads":
        return Holder(Kind.BRANCH, prefix + rest)
    if space == "remotes":
        return Holder(Kind.BRANCH, rest)
    if space == "tags":
        return Holder(Kind.TAG, rest)
    if space == "exps":
        is_queue = rest.partition("/")[0] in _QUEUE
        return Holder(Kind.STASH, "experiments' queue") if is_queue else EXPERIMENTS
    if space == "stash":
        return Holder(Kind.STASH, "stash")
    return Holder(Kind.REF, f"{prefix}refs/{space}")


def _keep_commits(project: Project, roots: Roots) -> None:
    """Follow tags of tags, and forget what names a tree or a blob: no history is behind it."""
    shas = {sha for tips in roots.tips.values() for sha in tips}
    kinds = project.git.kinds(shas)
    for tips in roots.tips.values():
        for sha in [sha for sha in tips if kinds.get(sha) != "commit"]:
            tips.discard(sha)
            if sha not in kinds:
                roots.problems.append(Problem(f"commit {sha}", "a ref names it, and it is missing"))
            elif kinds[sha] == "tag" and (target := _peeled(project, sha)):
                tips.add(target)


def _peeled(project: Project, tag: Sha) -> Sha | None:
    try:
        return project.git.resolve(tag)
    except GitError:
        return None


# -- checkouts -------------------------------------------------------------------------------------


def _checkout(project: Project, place: Place, branches: Collection[str], roots: Roots) -> None:
    heads = survey.heads(project.git, place, branches)
    kinds = project.git.kinds(heads)
    roots.tips[_CHECKOUTS] |= {sha for sha in heads if kinds.get(sha) == "commit"}
    for where, path, content in _staged(project, place):
        _take(roots, where, path, content)
    if place.top is None:
        if place.is_locked:
            roots.problems.append(
                Problem(f"worktree '{place.git_dir.name}'", "it is locked, and its folder is away")
            )
        return
    for top in [place.top, *_temporary(place.top)]:
        for file in survey.present(project.git, top, NAMING):
            path = file.relative_to(top).as_posix()
            if is_naming(path):
                _take_file(roots, file, path)


def _staged(project: Project, place: Place) -> Iterator[tuple[str, str, bytes]]:
    entries = [
        (path, entry.sha)
        for path, entry in survey.staged(project.git, place, NAMING)
        if is_naming(path) and entry.mode in {FILE_MODE, EXECUTABLE_MODE}
    ]
    blobs = project.git.read_blobs(sha for _, sha in entries)
    where = place.top or place.git_dir
    yield from ((f"index of '{where}'", path, blobs[sha]) for path, sha in entries)


def _temporary(top: Path) -> list[Path]:
    """The folders in which `dvc exp run --temp` and the queue's workers are at work."""
    found = (top / ".dvc" / "tmp" / "exps").glob("**/.git")
    return [git.parent for git in found if git.is_dir()]


def _take_file(roots: Roots, file: Path, path: str) -> None:
    try:
        content = file.read_bytes() if file.stat().st_size <= MAX_BYTES else b""
    except FileNotFoundError:
        return  # gone since the folder was read
    except OSError as error:
        roots.problems.append(Problem(f"'{file}'", str(error)))
        return
    _take(roots, f"checkout '{file.parent}'", path, content)


def _take(roots: Roots, where: str, path: str, content: bytes) -> None:
    try:
        roots.loose[_CHECKOUTS] |= set(named(content, path))
    except BranchflowError as error:
        roots.problems.append(Problem(f"'{path}' in the {where}", error.message))
