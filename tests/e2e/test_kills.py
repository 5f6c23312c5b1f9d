"""A kill at any point of a verb: refs are old or new, data is complete, the same command finishes."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.flow import (
    DEV,
    SECOND_TAG,
    STABLE,
    Checkpoint,
    Flow,
    change_code,
    configure,
    copy_flow,
    csv_files,
    kill_when,
)
from tests.support.killer import kill_at, kill_points, run_to_end
from tests.support.repos import checkout_digest, digest_diff, missing_from_directory_remote
from tests.support.watched import logged_rows, write_log

pytestmark = pytest.mark.slow

N_FILES = 40
N_ROWS = 200


@dataclass(frozen=True)
class Case:
    """A verb with something to do.

    Attributes:
        moves: the refs of the origin that it moves; `together`: all of them or none.
        said: progress lines at which it is killed, besides `n_times` moments by the clock.
        code: the exit code of a run that is left alone; 1 where a gate refuses its candidate.
    """

    name: str
    words: Sequence[str]
    moves: frozenset[str]
    said: Sequence[str]
    n_times: int
    prepare: Callable[[Flow], object]
    together: bool = True
    code: int = 0


def new_month(flow: Flow) -> None:
    flow.ingest(*csv_files(flow.root / "inbox", "new"), partition="2024-03")


def new_clean_month(flow: Flow) -> None:
    new_month(flow)
    flow.branchflow("run", "clean")


def new_code(flow: Flow) -> None:
    change_code(flow, 1.5)


def promoted_code(flow: Flow) -> None:
    new_code(flow)
    flow.branchflow("promote", DEV)


def gate(flow: Flow) -> None:
    """A gate that is passed, and a check that leaves a result."""
    gates = {"error": {"better": "lower", "margin": "900%"}}
    checks = {"tests": "python check.py", "image": "echo '{\"digest\": 1}' > $BRANCHFLOW_RESULT"}
    configure(flow, "stable/*", gates=gates, checks=checks)


def worse_code(flow: Flow) -> None:
    promoted_code(flow)
    configure(flow, "stable/*", gates={"error": {"better": "lower", "margin": "2%"}})


def gated_code(flow: Flow) -> None:
    promoted_code(flow)
    gate(flow)


def gated_month(flow: Flow) -> None:
    new_month(flow)
    gate(flow)


def new_files(flow: Flow) -> None:
    csv_files(flow.root / "inbox", *(f"file-{n:02d}" for n in range(N_FILES)))


def new_requests(flow: Flow) -> None:
    write_log(flow.root / "requests.jsonl", logged_rows(N_ROWS, tag=SECOND_TAG))


HEADS = "refs/heads/"
CASES = [
    Case(
        "ingest",
        ["ingest", "--source", "tests", "--partition", "2024-02", "../inbox"],
        frozenset({HEADS + "raw"}),
        ["files to hash", "objects to store", "pushing"],
        2,
        new_files,
    ),
    Case("pin", ["pin", "clean"], frozenset({HEADS + "clean"}), ["pushing"], 2, new_month),
    Case(
        "monitor log",
        ["monitor", "log", "--env", "prod", "../requests.jsonl"],
        frozenset({HEADS + "monitor/prod"}),
        ["reading", "objects to store", "pushing"],
        1,
        new_requests,
    ),
    Case(
        "run",
        ["run", "split"],
        frozenset({HEADS + "split"}),
        ["dvc repro", "objects to store", "pushing"],
        1,
        new_clean_month,
    ),
    Case(
        "promote", ["promote", DEV], frozenset({HEADS + STABLE}), ["check", "pushing"], 2, new_code
    ),
    Case(
        "release",
        ["release", STABLE],
        frozenset({HEADS + STABLE, HEADS + "main", "refs/tags/m@v1.1.0"}),
        ["dvc repro", "check 'tests'", "objects to store", "pushing"],
        1,
        gated_code,
    ),
    Case(
        "refused sync",
        ["sync"],
        frozenset({HEADS + "main"}),
        ["dvc repro", "pushing main"],
        1,
        worse_code,
        code=1,
    ),
    Case(
        "sync",
        ["sync"],
        frozenset(
            {HEADS + "clean", HEADS + "split", HEADS + STABLE, HEADS + "main", "refs/tags/m@v1.0.2"}
        ),
        ["pushing split", "check 'image'"],
        0,
        gated_month,
        together=False,
    ),
]


def assert_sound(flow: Flow, *, just_killed: bool = False) -> None:
    """Both repositories are whole, and what each branch and tag needs is on the DVC remote."""
    flow.sh.at(flow.origin).git("fsck", "--strict", "--no-dangling")
    found = flow.sh.run("git", "fsck", "--strict", "--no-dangling", check=False).stderr.splitlines()
    # `git worktree add` itself writes a HEAD of zeros first; our next command mends it.
    known = "/HEAD: detached HEAD points at nothing" if just_killed else "\n"
    assert not [line for line in found if not line.endswith(known)]
    assert not missing_from_directory_remote(flow.origin, flow.store, whole_history=False)
    # Not the whole history: the HEAD of our own worktree is in it, and may be ahead of its data.
    assert not missing_from_directory_remote(flow.repo, flow.store, whole_history=False)


def moved_refs(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def assert_finished(flow: Flow, case: Case, before: dict[str, str], output: str) -> None:
    moved = moved_refs(before, flow.refs())
    assert moved == case.moves, output
    assert "refs/branchflow" not in flow.sh.git("for-each-ref")
    assert_sound(flow)
    if case.name == "ingest":
        assert len(flow.raw_files()) == 3 + N_FILES
    if case.name == "monitor log":
        subjects = flow.sh.at(flow.origin).git("log", "--format=%s", "monitor/prod")
        assert [line for line in subjects.splitlines() if line.startswith("Log")] == [
            f"Log {N_ROWS} rows of {SECOND_TAG}"
        ]
    if case.name in {"release", "sync"}:
        tag = next(name.removeprefix("refs/tags/") for name in case.moves if "tags" in name)
        origin = flow.sh.at(flow.origin)
        assert origin.git("rev-parse", f"{tag}^{{commit}}") == origin.git("rev-parse", STABLE)
        records = origin.git("ls-tree", "-r", "--name-only", "main", "runs").splitlines()
        assert records[-1] == f"runs/m/{tag.rpartition('@')[2]}.json"
        assert [record["tag"] for record in flow.result("runs")["records"]][-1] == tag
        assert flow.sh.git("rev-parse", tag) == origin.git("rev-parse", tag)
        assert flow.result("runs")["records"][-1]["checks"]["image"]["result"] == {"digest": 1}
    if case.name == "refused sync":
        assert len(flow.result("runs", "--refused")["records"]) == 1
        assert flow.result("runs")["records"][-1]["tag"] == SECOND_TAG


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_killed_verb_leaves_old_or_new_and_finishes_when_run_again(
    flow_template: Path, tmp_path: Path, env: dict[str, str], case: Case
) -> None:
    flow = copy_flow(flow_template, tmp_path / "team", env)
    case.prepare(flow)
    before = flow.refs()
    checkout = checkout_digest(flow.repo, allow=[name.removeprefix(HEADS) for name in case.moves])
    start = Checkpoint(flow.root, tmp_path / "kept")
    words = ["git", "branchflow", *case.words]
    whole = run_to_end(words, env, flow.repo)
    assert whole.returncode == case.code, whole.output
    assert_finished(flow, case, before, whole.output)

    def by_clock(delay: float) -> bool:
        return kill_at(words, env, flow.repo, delay)

    def by_line(text: str) -> bool:
        return kill_when(flow.sh, words, text)

    kills = [functools.partial(by_line, text) for text in case.said] + [
        functools.partial(by_clock, delay)
        for delay in kill_points(whole.duration_seconds, case.n_times)
    ]
    n_killed = 0
    for kill in kills:
        start.restore()
        n_killed += kill()
        where = f"killed by {kill}"
        moved = moved_refs(before, flow.refs())
        assert moved <= case.moves, where
        assert not case.together or moved in (set(), case.moves), where
        release = {name for name in moved if name == HEADS + "main" or "tags" in name}
        assert len(release) in ({0, 1} if case.code else {0, 2}), where
        assert_sound(flow, just_killed=True)
        now = checkout_digest(flow.repo, allow=[name.removeprefix(HEADS) for name in case.moves])
        assert not digest_diff(checkout, now), where
        again = run_to_end(words, env, flow.repo)
        assert again.returncode == case.code, f"{where}\n{again.output}"
        assert_finished(flow, case, before, f"{where}\n{again.output}")
    assert n_killed >= len(case.said)
    assert not missing_from_directory_remote(flow.origin, flow.store)


def test_a_kill_inside_git_worktree_add_leaves_a_clone_that_works(
    flow_repo: Flow, tmp_path: Path
) -> None:
    def has_head_of_zeros() -> bool:
        heads = (flow_repo.repo / ".git/worktrees").glob("*/HEAD")
        return any(head.read_bytes().startswith(b"0000000000") for head in heads)

    kill_when(flow_repo.sh, ["git", "branchflow", "run", "clean"], has_head_of_zeros)
    flow_repo.ingest(*csv_files(tmp_path / "inbox", "new"), partition="2024-03")
    flow_repo.branchflow("run", "clean")
    flow_repo.sh.git("log", "--all", "--oneline")
    flow_repo.sh.git("fsck", "--strict", "--no-dangling")


def test_a_kill_between_the_push_and_the_local_refs_is_mended_by_the_next_command(
    flow_repo: Flow,
) -> None:
    """What counts is on the origin; here a hook there kills the client when all is accepted."""
    promoted_code(flow_repo)
    hook = flow_repo.origin / "hooks/post-update"
    hook.write_text("#!/bin/sh\nkill -9 $(cat ../client.pid)\n", encoding="utf-8")
    hook.chmod(0o755)
    script = "echo $$ > ../client.pid; exec git-branchflow release stable/m"
    done = flow_repo.sh.run("sh", "-c", script, check=False)
    assert done.returncode == -9
    hook.unlink()
    assert "refs/tags/m@v1.1.0" in flow_repo.refs()
    assert flow_repo.sh.git("tag").split()[-1] == SECOND_TAG
    assert_sound(flow_repo)
    before = flow_repo.refs()
    flow_repo.branchflow("release", STABLE)
    assert flow_repo.refs() == before
    assert flow_repo.sh.git("tag").split()[-1] == "m@v1.1.0"
    assert flow_repo.result("runs")["records"][-1]["tag"] == "m@v1.1.0"
