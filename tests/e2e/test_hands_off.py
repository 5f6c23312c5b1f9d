"""The user's checkout, index, stash, config and current branch are theirs: no verb touches them."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pytest

from tests.support.flow import (
    DEV,
    FIRST_TAG,
    SECOND_TAG,
    STABLE,
    Flow,
    change_code,
    csv_files,
    error_line,
)
from tests.support.repos import checkout_digest, digest_diff

pytestmark = pytest.mark.slow

# Verb, and the local branches that it may move where they are not checked out.
STEPS: list[tuple[list[str], set[str]]] = [
    (["status"], set()),
    (["runs"], set()),
    (["compare", FIRST_TAG, SECOND_TAG], set()),
    (["ingest", "--source", "tests", "--partition", "2024-03", "NEW"], {"raw"}),
    (["pin", "clean"], {"clean"}),
    (["run", "clean"], {"clean"}),
    (["sync"], {"clean", "split", STABLE, "main"}),
    (["run", DEV], {DEV}),
    (["promote", DEV], {STABLE}),
    (["release", STABLE], {STABLE, "main"}),
    (["status"], set()),
]


@pytest.fixture
def new_files(tmp_path: Path) -> list[Path]:
    return csv_files(tmp_path / "inbox", "four")


def make_a_mess(flow: Flow) -> None:
    """Everything that a user may have lying around: staged, changed, stashed, untracked."""
    sh = flow.sh
    (flow.repo / "README.md").write_text("stashed\n", encoding="utf-8")
    sh.git("stash", "-q")
    (flow.repo / "README.md").write_text("changed\n", encoding="utf-8")
    (flow.repo / "staged.txt").write_text("staged\n", encoding="utf-8")
    sh.git("add", "staged.txt")
    (flow.repo / "staged.txt").write_text("staged, then changed\n", encoding="utf-8")
    (flow.repo / "untracked.txt").write_text("untracked\n", encoding="utf-8")
    (flow.repo / "script.sh").write_text("echo\n", encoding="utf-8")
    (flow.repo / "script.sh").chmod(0o755)
    sh.git("add", "--intent-to-add", "script.sh")
    (flow.repo / "data/raw/2024-01").mkdir(parents=True, exist_ok=True)
    (flow.repo / "data/raw/2024-01/mine.csv").write_text("id,value\n", encoding="utf-8")
    sh.git("config", "user.signingkey", "none")


def assert_untouched(
    flow: Flow, before: dict[str, str], after: dict[str, str], allow: Collection[str]
) -> None:
    moved = {f"branch {name}" for name in allow}
    kept = [{k: v for k, v in digest.items() if k not in moved} for digest in (before, after)]
    assert not digest_diff(*kept)


@pytest.mark.parametrize("branch", ["main", DEV])
def test_no_verb_touches_the_checkout(flow_repo: Flow, branch: str, new_files: list[Path]) -> None:
    change_code(flow_repo, 1.5)
    flow_repo.sh.git("fetch", "-q")
    flow_repo.sh.git("switch", "-q", branch)
    if branch == DEV:
        flow_repo.sh.git("pull", "-q", "--ff-only")
        flow_repo.sh.dvc("pull")
    if not (flow_repo.repo / "README.md").exists():
        (flow_repo.repo / "README.md").write_text("mine\n", encoding="utf-8")
        flow_repo.sh.git("add", "README.md")
        flow_repo.sh.git("commit", "-qm", "Say what this is")
        flow_repo.sh.git("push", "-q")
    make_a_mess(flow_repo)
    for words, may_move in STEPS:
        verb = [str(new_files[0]) if word == "NEW" else word for word in words]
        before = checkout_digest(flow_repo.repo)
        if words[0] not in {"status", "runs", "compare"}:
            refs = flow_repo.refs()
            flow_repo.branchflow(*verb, "--dry-run")
            assert_untouched(flow_repo, before, checkout_digest(flow_repo.repo), ())
            assert flow_repo.refs() == refs, f"{words} --dry-run moved a ref"
        flow_repo.branchflow(*verb)
        after = checkout_digest(flow_repo.repo)
        assert_untouched(flow_repo, before, after, may_move - {branch})
    assert "m@v1.1.0" in flow_repo.sh.git("tag")


@pytest.mark.parametrize(
    ("branch", "verb"),
    [
        ("raw", ["ingest", "--source", "tests", "NEW"]),
        ("clean", ["pin", "clean", "raw@raw~1"]),
        ("clean", ["run", "clean"]),
        ("clean", ["sync", "clean"]),
        (STABLE, ["promote", DEV]),
        (STABLE, ["release", STABLE]),
        ("main", ["release", STABLE]),
    ],
)
def test_without_a_git_remote_a_checked_out_branch_is_not_moved(
    flow_repo: Flow, branch: str, verb: list[str], new_files: list[Path]
) -> None:
    flow_repo.branchflow("ingest", "--source", "tests", "--partition", "2024-03", *new_files)
    flow_repo.sh.git("remote", "remove", "origin")
    flow_repo.sh.git("switch", "-q", branch)
    make_a_mess(flow_repo)
    before = checkout_digest(flow_repo.repo)
    words = [str(new_files[0]) if word == "NEW" else word for word in verb]
    done = flow_repo.branchflow(*words, code=3)
    if verb[0] != "sync":  # its table of steps says why
        assert f"'{branch}' is checked out in" in error_line(done)
    assert not digest_diff(before, checkout_digest(flow_repo.repo))


def test_without_a_git_remote_the_flow_goes_on_beside_the_checkout(
    flow_repo: Flow, new_files: list[Path]
) -> None:
    flow_repo.sh.git("remote", "remove", "origin")
    flow_repo.sh.git("switch", "-q", "--detach", "main")
    flow_repo.branchflow("ingest", "--source", "tests", "--partition", "2024-03", *new_files)
    before = checkout_digest(flow_repo.repo, allow=["clean", "split", STABLE, "main"])
    flow_repo.branchflow("sync")
    after = checkout_digest(flow_repo.repo, allow=["clean", "split", STABLE, "main"])
    assert not digest_diff(before, after)
    assert "m@v1.0.2" in flow_repo.sh.git("tag")
    assert "up to date" in flow_repo.branchflow("status").stdout
