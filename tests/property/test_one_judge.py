"""One judge: the server, the hooks of a clone, CI and `check` say the same of the same commits.

Each history starts from a flow that keeps every rule, and goes on with steps that do or don't.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, example, given, note, settings
from hypothesis import strategies as st

from dvc_branchflow import check
from dvc_branchflow.check import CheckRequest
from dvc_branchflow.errors import BranchflowError
from dvc_branchflow.model import ZERO_SHA, Sha, Verdict, Violation
from dvc_branchflow.policy.catalog import RULES
from dvc_branchflow.project import Project
from tests.support.histories import (
    HEADS,
    ILLEGAL,
    LEGAL,
    Move,
    Step,
    World,
    git,
    lay,
    perform,
    set_refs,
    tracked,
)
from tests.support.isolation import isolated_env

pytestmark = pytest.mark.slow

Deed = tuple[str, int]
Template = Callable[[Path], World]
Found = frozenset[tuple[str, str, str | None, str, str]]
"""A verdict without its wording: code, ref, commit, path, severity."""

_WHEN = "1700000000 +0000"  # commits get the same ids in each run
_OF_ANY_BRANCH = frozenset({"lfs-pointer", "hostile-path", "big-file-in-git"})
_OF_MOVES = frozenset(
    {
        "ref-rewritten",
        "ref-deleted",
        "ref-name",
        "tag-moved",
        "tag-true",
        "channel-true",
        "config-valid",
    }
)

choices = st.integers(0, 3)
legal = st.tuples(st.sampled_from(sorted(LEGAL)), choices)
illegal = st.tuples(st.sampled_from(sorted(ILLEGAL)), choices)
mixed = st.tuples(
    st.lists(legal, max_size=3),
    st.lists(illegal, min_size=1, max_size=2),
    st.lists(legal, max_size=2),
).map(lambda parts: [*parts[0], *parts[1], *parts[2]])


def few(examples: int) -> settings:
    """So many histories, the same ones in each run: half a second each is no time for luck."""
    return settings(
        max_examples=examples, deadline=None, derandomize=True, database=None,
        phases=(Phase.explicit, Phase.generate, Phase.shrink),
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )  # fmt: skip


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Template]:
    """Copies a world; this process sees nothing of the user's until all tests here are done."""
    env = isolated_env(tmp_path_factory.mktemp("home"))
    env |= {"GIT_AUTHOR_DATE": _WHEN, "GIT_COMMITTER_DATE": _WHEN}
    kept = {"PYTEST_CURRENT_TEST", "PYTEST_XDIST_WORKER", "PYTEST_XDIST_TESTRUNUID"}
    with pytest.MonkeyPatch.context() as patch:
        for name in set(os.environ) - set(env) - kept:
            patch.delenv(name)
        for name, value in env.items():
            patch.setenv(name, value)
        yield lay(tmp_path_factory.mktemp("lawful")).copy


# -- the faces -------------------------------------------------------------------------------------


@contextmanager
def world_after(
    template: Template, deeds: Iterable[Deed], *, is_cached: bool = True
) -> Iterator[World]:
    """A world of an example's own in which everything was done, and nothing is pushed yet."""
    with tempfile.TemporaryDirectory(prefix="one-judge-") as folder:
        world = template(Path(folder, "world"))
        world.is_cached = is_cached
        for name, choice in deeds:
            perform(world, name, choice)
        set_refs(world.repo, world.base, world.tips)
        yield world


def received(world: World, moves: Sequence[Move]) -> Verdict:
    """What the server's hook finds; the objects are in a quarantine."""
    quarantine = {
        "GIT_QUARANTINE_PATH": str(world.repo / ".git/objects"),
        "GIT_OBJECT_DIRECTORY": str(world.repo / ".git/objects"),
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(world.origin / "objects"),
    }
    lines = [f"{move.old} {move.new} {move.ref}" for move in moves]
    with variables(quarantine):
        return ask(world.origin, lambda project: check.on_receive(project, lines))


def about_to_push(world: World, moves: Sequence[Move]) -> Verdict:
    """What the clone's pre-push hook finds."""
    lines = [f"{_local(move)} {move.new} {move.ref} {move.old}" for move in moves]
    return ask(world.repo, lambda project: check.before_push(project, "origin", lines))


def checked(world: World, rev: str, branch: str) -> Verdict:
    """What CI's `check OLD..NEW --branch NAME` finds, or a user's `check NAME`."""
    request = CheckRequest(rev=rev, branch=branch)
    return ask(world.repo, lambda project: check.check(project, request))


def everything(repository: Path) -> Verdict:
    """What `check --all` finds."""
    return ask(repository, lambda project: check.check(project, CheckRequest(every=True)))


def ask(repository: Path, question: Callable[[Project], Verdict]) -> Verdict:
    """Ask a newly opened project, and leave no process behind."""
    project = Project.open(repository)
    try:
        return question(project)
    finally:
        project.git.close()


@contextmanager
def variables(more: Mapping[str, str]) -> Iterator[None]:
    """Set variables of this process for a while."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in more.items():
            patch.setenv(name, value)
        yield


def found(verdict: Verdict, *apart: str) -> Found:
    """A verdict to compare, some codes apart."""
    return frozenset(
        (one.code, one.ref, one.commit, one.path, str(one.severity))
        for one in verdict.violations
        if one.code not in apart
    )


def _local(move: Move) -> str:
    return "(delete)" if move.new == ZERO_SHA else move.ref


def accept(world: World) -> None:
    """Move all refs by force, here and there, as a server without a hook would."""
    share_objects(world)
    set_refs(world.origin, world.base, world.tips)
    set_refs(world.repo, tracked(world.base), tracked(world.tips))


def share_objects(world: World) -> None:
    """Let the bare repository have all that the clone has."""
    alternates = world.origin / "objects/info/alternates"
    alternates.write_text(f"{world.repo / '.git/objects'}\n")


# -- the promises ----------------------------------------------------------------------------------


@few(15)
@given(deeds=st.lists(legal, min_size=1, max_size=7), is_cached=st.booleans())
def test_a_legal_history_passes_everywhere(
    template: Template, deeds: list[Deed], *, is_cached: bool
) -> None:
    with world_after(template, deeds, is_cached=is_cached) as world:
        moves = world.moves()
        assert received(world, moves).violations == ()
        assert about_to_push(world, moves).violations == ()
        accept(world)
        assert everything(world.origin).violations == ()
        assert everything(world.repo).violations == ()


@pytest.mark.slow
@few(22)
@given(deeds=mixed, is_cached=st.booleans())
@example(deeds=[("drop_the_rules", 0)], is_cached=True)
@example(deeds=[("break_the_config", 0), ("code_on_dev", 0)], is_cached=True)
@example(deeds=[("hide_a_file_behind_a_merge", 0), ("other_tags", 3)], is_cached=True)
@example(
    deeds=[("assign", 1), ("move_a_release", 0), ("make_a_false_assignment", 0)], is_cached=True
)
@example(deeds=[("make_a_false_assignment", 3), ("assign", 2)], is_cached=False)
def test_the_server_the_clone_and_ci_agree(
    template: Template, deeds: list[Deed], *, is_cached: bool
) -> None:
    with world_after(template, deeds, is_cached=is_cached) as world:
        moves = world.moves()
        verdict = received(world, moves)
        assert_expected(world, verdict)
        assert_same_push(world, moves, verdict)
        for move in moves:
            if move.ref.startswith(HEADS) and ZERO_SHA not in move[1:] and world.is_forward(move):
                alone = received(world, [move])
                assert_same_push(world, [move], alone)
                if not world.is_hidden:
                    name = move.ref.removeprefix(HEADS)
                    for rev in (f"{move.old}..{move.new}", name):
                        assert found(checked(world, rev, name)) == found(alone), f"check {rev}"


@few(18)
@given(deeds=mixed)
@example(deeds=[("delete", 2), ("read_other_data", 2)])
def test_what_slipped_in_is_found_later(template: Template, deeds: list[Deed]) -> None:
    with world_after(template, deeds) as world:
        verdict = received(world, world.moves())
        is_judged_alike = _config(world, world.tips) == _config(world, world.base)
        accept(world)
        if is_judged_alike:
            later = {(o.code, o.path) for o in everything(world.origin).violations}
            assert {(o.code, o.path) for o in verdict.violations if _stays(world, o)} <= later


@few(22)
@given(deeds=mixed, place=st.integers(0, 20))
def test_a_commit_hook_says_what_the_server_would(
    template: Template, deeds: list[Deed], place: int
) -> None:
    with world_after(template, deeds) as world:
        steps = [one for one in world.steps if _is_plain(world, one)]
        broken = {one.commit for one in world.expected}
        steps = [one for one in steps if place % 4 == 0 or one.sha in broken] or steps
        if not steps or world.is_hidden:
            return
        step = steps[place // 4 % len(steps)]
        ref = HEADS + step.branch
        share_objects(world)
        for repository, names in ((world.origin, _as_is), (world.repo, tracked)):
            set_refs(repository, names(world.base), names(step.before))
        set_refs(world.repo, world.tips, step.before)
        git(world.repo, "symbolic-ref", "HEAD", ref)
        verdict = received(world, [Move(ref, step.before[ref], step.sha)])
        silent, spoken = staged(world, step)
        assert spoken == without_commits(verdict)
        needs_message = [code for code, rule in RULES.items() if rule.needs_message]
        assert silent == without_commits(verdict, *needs_message)


@few(5)
@given(deeds=mixed)
def test_a_real_push_is_judged_the_same(template: Template, deeds: list[Deed]) -> None:
    with world_after(template, deeds) as world:
        moves = world.moves()
        hook = world.origin / "hooks/pre-receive"
        hook.parent.mkdir()
        hook.write_text("#!/bin/sh\nexec git-branchflow-hook pre-receive\n")
        hook.chmod(0o755)
        verdict = received(world, moves)
        refspecs = [
            f"+{'' if m.new == ZERO_SHA else m.new}:{m.ref}".replace("+:", ":") for m in moves
        ]
        push = ["git", "push", "--no-verify", "origin", *refspecs]
        done = subprocess.run(push, cwd=world.repo, capture_output=True, text=True, check=False)
        note(done.stderr)
        was_refused = "pre-receive hook declined" in done.stderr
        assert was_refused == verdict.is_refused
        assert codes_in(done.stderr) == {(o.code, str(o.severity)) for o in verdict.violations}


def test_a_clone_that_lacks_the_upstream_branch_never_says_yes(
    template: Template, tmp_path: Path
) -> None:
    """As CI has it that fetches one branch, or a server to which dev is pushed before split."""
    with world_after(template, [("pin_another_content", 2)]) as world:
        (move,) = world.moves()
        assert received(world, [move]).is_refused
        accept(world)
        one = tmp_path / "one"
        git(tmp_path, "clone", "--quiet", "--single-branch", str(world.origin), str(one))
        git(one, "fetch", "--quiet", "origin", f"{move.ref}:refs/remotes/origin/dev/x")
        request = CheckRequest(rev=f"{move.old}..{move.new}", branch="dev/x")
        with suppress(BranchflowError):  # "can't tell" is no yes
            assert ask(one, lambda project: check.check(project, request)).is_refused


def assert_expected(world: World, verdict: Verdict) -> None:
    """Each rule that was broken is named, at its commit."""
    for one in world.still_expected():
        note(f"expected: {one}")
        hits = [v for v in verdict.violations if v.code == one.code]
        if one.commit is not None and one.code != "config-valid":  # said of the tip
            hits = [v for v in hits if v.commit == one.commit]
        if one.code not in _OF_ANY_BRANCH:
            hits = [v for v in hits if v.ref == one.ref]
        assert hits, verdict.violations


def assert_same_push(world: World, moves: Sequence[Move], verdict: Verdict) -> None:
    """The clone's hook says what the server says, and besides what is not stored."""
    ours = about_to_push(world, moves)
    if world.is_hidden:
        assert ours.is_refused or not verdict.is_refused
    else:
        assert found(ours, "unstored") == found(verdict)


def staged(world: World, step: Step) -> list[Found]:
    """What the clone's pre-commit and commit-msg hooks find; there is no commit to name yet."""
    parents = world.parents[step.sha]
    message = world.root / "message"
    message.write_text(git(world.repo, "log", "-1", "--format=%B", step.sha))
    with variables({"GIT_INDEX_FILE": str(world.root / "index")}):
        git(world.repo, "read-tree", step.sha)
        if parents[1:]:
            merged = world.repo / ".git/MERGE_HEAD"
            merged.write_text("".join(f"{sha}\n" for sha in parents[1:]))
        return [
            without_commits(
                ask(world.repo, lambda project, text=text: check.before_commit(project, text))
            )
            for text in (None, message)
        ]


def without_commits(verdict: Verdict, *apart: str) -> Found:
    """A verdict to compare with that on a commit which is not made yet."""
    return frozenset(
        (code, ref, None, path, level) for code, ref, _, path, level in found(verdict, *apart)
    )


def codes_in(said: str) -> set[tuple[str, str]]:
    """Code and severity of the violations that a server printed."""
    lines = [line.removeprefix("remote: ").split() for line in said.splitlines()]
    words = [(line[1].removesuffix(":"), line[0]) for line in lines if len(line) > 1]
    return {(code, level) for code, level in words if code in RULES and level in {"error", "warn"}}


def _is_plain(world: World, step: Step) -> bool:
    """Whether a commit was made on top of its branch, and under the config that stands."""
    before = step.before.get(HEADS + step.branch)
    is_on_top = before is not None and world.parents[step.sha][:1] == (before,)
    return is_on_top and _config(world, step.before) == _config(world, world.base)


def _stays(world: World, one: Violation) -> bool:
    """Whether a violation has to be found in the history for good.

    Not so how a ref moved, nor where code was promoted from: a dev branch may be rewritten later,
    so that its commit only has to be in the stable branch's history then. What stable makes is
    asked of its tip, which force may have set back. And what raw swallowed is raw's to answer for.
    """
    stable = f"{HEADS}stable/x"
    is_set_back = any(move.ref == stable and not world.is_forward(move) for move in world.moves())
    raw = world.tips.get(f"{HEADS}raw")
    swallowed = world.history(raw) if raw and one.ref != "raw" else set()
    return not (
        one.code in _OF_MOVES
        or (one.code == "stable-code" and not one.path)
        or (one.code == "dev-stable-outs" and is_set_back)
        or one.commit in swallowed
    )


def _as_is(refs: Mapping[str, Sha]) -> Mapping[str, Sha]:
    return refs


def _config(world: World, refs: Mapping[str, Sha]) -> object:
    sha = refs.get(f"{HEADS}main")
    return world.trees[sha].get("branchflow.yaml") if sha else None
