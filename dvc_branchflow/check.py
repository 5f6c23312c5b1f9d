"""Judges commits by the roles' rules: for a user, for Git's hooks, and for CI."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from dvc_branchflow.errors import ConfigError, FlowError, StorageError, UsageError
from dvc_branchflow.git import Ref
from dvc_branchflow.model import ZERO_SHA, Branch, Sha, Verdict, Violation, parse_sha
from dvc_branchflow.policy.catalog import RULES, Rule
from dvc_branchflow.policy.moves import short_name
from dvc_branchflow.policy.places import Placement, place
from dvc_branchflow.project import Project
from dvc_branchflow.values import dataclass, replace
from dvc_branchflow.work.judging import HEADS, TAGS, Case, RefMove, judge, shared_refs
from dvc_branchflow.work.publish import new_needs
from dvc_branchflow.work.transfer import called, lacking

_NAMED = 5  # missing objects that are named one by one
_CUT = re.compile(r"^# -+ >8 -+\n.*", re.MULTILINE | re.DOTALL)
_COMMENT = re.compile(r"^#.*\n?", re.MULTILINE)
_NOTHING = Verdict((), 0, ())


@dataclass(frozen=True, slots=True)
class CheckRequest:
    """What to judge: one of these; nothing: the current branch's commits that are not shared yet.

    Attributes:
        rev: a branch, tag or commit, or a range `A..B`.
        branch: by whose rules; needed where `rev` doesn't say it.
        every: all that all refs hold.
        staged: what `git commit` would make now.
    """

    rev: str | None = None
    branch: str | None = None
    every: bool = False
    staged: bool = False


def check(project: Project, request: CheckRequest) -> Verdict:
    """Judge what a request names. Raises: UsageError, FlowError: it names nothing to judge."""
    if request.every:
        return _judge_everything(project)
    if request.staged:
        return _judge_staged(project, message=None)
    project.require_history("check")
    if request.rev and ".." in request.rev:
        return _judge(project, _range(project, request.rev, request.branch))
    return _judge(project, _single(project, request.rev, request.branch))


def explain(code: str) -> Rule:
    """Return a rule. Raises: UsageError: there is none of that code."""
    if code not in RULES:
        raise UsageError(f"'{code[:60]}' is no rule; there are: {', '.join(sorted(RULES))}")
    return RULES[code]


def why_not(project: Project, path: str, branch: str | None) -> Placement:
    """Say what a branch (None: the current one) is for, and whether a file may go there."""
    name = branch or project.git.head()
    if name is None:
        raise UsageError("no branch is checked out", hint="give --branch NAME")
    owners = {name: spec.data for name, spec in project.specs.items() if spec.data}
    return place(project.spec(name), path, owners)


# -- hooks -----------------------------------------------------------------------------------------


def before_commit(project: Project, message: Path | None) -> Verdict:
    """Judge a commit that is about to be made, for Git's pre-commit and commit-msg hooks.

    Args:
        message: the file that holds its message; None: it is not written yet.
    """
    text = None
    if message is not None:
        content = message.read_text(encoding="utf-8", errors="surrogateescape")
        text = _COMMENT.sub("", _CUT.sub("", content))
    return _judge_staged(project, message=text)


def before_push(project: Project, remote: str, lines: Iterable[str]) -> Verdict:
    """Judge the refs of a push, and whether all their objects are on the DVC remotes.

    Args:
        remote: the git remote's name, or its URL where it has none.
        lines: `LOCAL_REF LOCAL_SHA REMOTE_REF REMOTE_SHA`, as Git tells its hook.
    """
    moves = [_move(ref, old, new) for _, new, ref, old in map(_four, lines)]
    if not moves:
        return _NOTHING
    known = remote if remote in project.git.remotes() else None
    before = shared_refs(project, known) if known else {}
    verdict = _judge(project, moves, before)
    if verdict.is_refused:
        return verdict
    return replace(verdict, violations=verdict.violations + _unstored(project, moves, known))


def on_receive(project: Project, lines: Iterable[str]) -> Verdict:
    """Judge a push that a server receives, for Git's pre-receive hook.

    Args:
        lines: `OLD NEW REF`, as Git tells its hook.
    """
    project = Project(project.git, is_shared=True)
    words = [line.rstrip("\n").split(" ", 2) for line in lines]
    moves = [_move(ref, old, new) for old, new, ref in words]
    return judge(project, Case(tuple(moves), project.refs)) if moves else _NOTHING


# -- what is judged --------------------------------------------------------------------------------


def _judge_everything(project: Project) -> Verdict:
    project.require_history("check --all")
    moves = [RefMove(HEADS + name, None, tip.sha) for name, tip in project.tips.items()]
    moves += [RefMove(n, None, ref.sha) for n, ref in project.refs.items() if n.startswith(TAGS)]
    return judge(project, Case(tuple(moves), {}, is_history=True))


def _judge_staged(project: Project, message: str | None) -> Verdict:
    branch = project.git.head()
    if branch is None:
        return replace(_NOTHING, notes=("no branch is checked out: the push will be judged",))
    commit = project.git.write_staged(message or "staged")
    old = commit.parents[0] if commit.parents else None
    move = RefMove(HEADS + branch, old, commit.sha)
    found = _judge(project, [move], has_message=message is not None)
    unnamed = (replace(one, commit=None, author="", when="") for one in found.violations)
    return replace(found, violations=tuple(unnamed))  # it is no commit yet


def _range(project: Project, rev: str, branch: str | None) -> list[RefMove]:
    first, _, last = rev.partition("..")
    if last.startswith(".") or not first:
        raise UsageError(f"'{rev[:80]}' is no range: give A..B")
    new = project.git.resolve(last or "HEAD")
    name = branch or _branch_of(project, last or "HEAD")
    if name is None:
        raise UsageError(f"'{rev[:80]}' does not end in a branch", hint="give --branch NAME")
    # A range is what B has and A lacks, also where A went on: B would be merged then.
    base = project.git.run("merge-base", project.git.resolve(first), new, check=False)
    return [RefMove(HEADS + name, Sha(base.stdout.decode().strip()) or None, new)]


def _single(project: Project, rev: str | None, branch: str | None) -> list[RefMove]:
    if rev and rev in project.tags and branch is None:
        return [RefMove(TAGS + rev, None, project.tags[rev].sha)]
    new = project.git.resolve(rev or branch or "HEAD")
    name = branch or _branch_of(project, rev or "HEAD")
    if name is None:
        name = _branch_with(project, new)
    shared = shared_refs(project, project.git_remote).get(HEADS + name)
    parents = project.git.commits([new])[new].parents
    is_ahead = shared and shared.commit != new and project.git.is_ancestor(shared.commit, new)
    old = shared.commit if shared and is_ahead else next(iter(parents), None)
    return [RefMove(HEADS + name, old, new)]


def _branch_of(project: Project, rev: str) -> Branch | None:
    """The branch that a rev names, here or on the git remote."""
    if rev == "HEAD":
        return project.git.head()
    name = Branch(rev.removeprefix(HEADS).removeprefix(f"{project.git_remote}/"))
    return name if name in project.tips else None


def _branch_with(project: Project, sha: Sha) -> Branch:
    """The first branch of the flow, upstream first, that a commit is on."""
    for name in project.specs:
        if project.git.is_ancestor(sha, project.tips[name].sha):
            return name
    raise FlowError(f"commit {sha[:10]} is on no branch that has a role", hint="give --branch NAME")


def _judge(
    project: Project,
    moves: Sequence[RefMove],
    before: Mapping[str, Ref] | None = None,
    *,
    has_message: bool = True,
) -> Verdict:
    """Judge moves as the shared repository would, were its refs where they start."""
    known = shared_refs(project, project.git_remote) if before is None else before
    start = {m.ref: Ref(m.ref, m.old, m.old, "commit") for m in moves if m.old}
    return judge(project, Case(tuple(moves), {**known, **start}, has_message=has_message))


def _four(line: str) -> tuple[str, str, str, str]:
    local, new, ref, old = line.rstrip("\n").split(" ")
    return local, new, ref, old


def _move(ref: str, old: str, new: str) -> RefMove:
    values = [None if sha == ZERO_SHA else parse_sha(sha) for sha in (old, new)]
    return RefMove(ref, values[0], values[1])


def _unstored(
    project: Project, moves: Sequence[RefMove], remote: str | None
) -> tuple[Violation, ...]:
    """What of the data behind the refs is not on its DVC remote; "can't tell" counts as such.

    Args:
        remote: the git remote's name; None where it has none, and nothing is known of it.
    """
    olds = project.git.kinds(move.old for move in moves if move.old)
    proven = [f"--remotes={remote}"] if remote else list(olds)
    found: list[Violation] = []
    for move in moves:
        if move.new is None:
            continue
        name = short_name(move.ref)
        try:
            tip = project.git.resolve(move.new)
            missing = {
                oid: (path, need.remote)
                for needs in new_needs(project, [tip], proven)
                for need in needs
                for oid, path in lacking(project, need).items()
            }
        except (ConfigError, StorageError) as error:
            found.append(Violation("unstored", name, error.message, error.hint or ""))
            continue
        for oid, (path, store) in list(missing.items())[:_NAMED]:
            where = f"(object {oid}) is not on {called(store)}"
            found.append(Violation("unstored", name, where, "", path=path))
    return tuple(found)
