"""Several people and several processes at once: nobody's work is lost, nothing is done twice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.flow import STABLE, Ended, Flow, at_once, change_code, configure, csv_files
from tests.support.repos import Shell, missing_from_directory_remote

pytestmark = pytest.mark.slow

Command = tuple[Shell, Sequence[str | Path]]


def verb(flow: Flow, *words: str | Path) -> Command:
    return flow.sh, ["git", "branchflow", *words]


def ingest(flow: Flow, files: Sequence[Path], partition: str = "2024-03") -> Command:
    return verb(flow, "ingest", "--source", "tests", "--partition", partition, *files)


def assert_sound(flow: Flow) -> None:
    """Both repositories are whole, and all that any commit needs is on the DVC remote."""
    for sh in (flow.sh, flow.sh.at(flow.origin)):
        sh.git("fsck", "--strict", "--no-dangling")
    assert not missing_from_directory_remote(flow.origin, flow.store)


def assert_all_won(ended: Sequence[Ended]) -> None:
    lost = [end.output for end in ended if end.returncode]
    assert not lost, "\n---\n".join(lost)


@pytest.mark.parametrize("where", ["two clones", "one clone"])
def test_files_of_two_ingests_at_once_are_all_on_raw(
    flow_repo: Flow, tmp_path: Path, where: str
) -> None:
    other = flow_repo.new_clone("other") if where == "two clones" else flow_repo
    expected = set(flow_repo.raw_files())
    n_rounds = 6
    for number in range(n_rounds):
        names = [[f"{who}-{number}-{n}" for n in range(3)] for who in ("a", "b")]
        files = [csv_files(tmp_path / f"inbox-{number}", *group) for group in names]
        commits = flow_repo.sh.at(flow_repo.origin).git("rev-list", "--count", "raw")
        assert_all_won(at_once(ingest(flow_repo, files[0]), ingest(other, files[1])))
        expected |= {f"2024-03/{file.name}" for group in files for file in group}
        assert set(flow_repo.raw_files()) == expected
        now = flow_repo.sh.at(flow_repo.origin).git("rev-list", "--count", "raw")
        assert int(now) == int(commits) + 2
    assert_sound(flow_repo)


def test_four_ingests_of_the_same_files_make_one_commit(flow_repo: Flow, tmp_path: Path) -> None:
    other = flow_repo.new_clone("other")
    files = csv_files(tmp_path / "inbox", "same", "again")
    before = flow_repo.sh.at(flow_repo.origin).git("rev-list", "--count", "raw")
    assert_all_won(at_once(*[ingest(flow, files) for flow in (flow_repo, other) * 2]))
    after = flow_repo.sh.at(flow_repo.origin).git("rev-list", "--count", "raw")
    assert int(after) == int(before) + 1
    assert_sound(flow_repo)


def test_ingests_into_different_partitions_both_arrive(flow_repo: Flow, tmp_path: Path) -> None:
    files = csv_files(tmp_path / "inbox", "a", "b")
    other = flow_repo.new_clone("other")
    mine, theirs = ingest(flow_repo, files, "2024-03"), ingest(other, files, "2024-04")
    assert_all_won(at_once(mine, theirs))
    expected = {f"{month}/{file.name}" for month in ("2024-03", "2024-04") for file in files}
    assert expected <= set(flow_repo.raw_files())
    assert_sound(flow_repo)


@pytest.mark.parametrize("where", ["two clones", "one clone"])
def test_two_runs_at_once_agree(flow_repo: Flow, tmp_path: Path, where: str) -> None:
    other = flow_repo.new_clone("other") if where == "two clones" else flow_repo
    for number in range(2):
        files = csv_files(tmp_path / "inbox", f"new-{number}")
        flow_repo.ingest(*files, partition=f"2024-1{number}")
        origin = flow_repo.sh.at(flow_repo.origin)
        before = origin.git("rev-parse", "clean")
        assert_all_won(at_once(verb(flow_repo, "run", "clean"), verb(other, "run", "clean")))
        made = origin.git("rev-list", "--count", "--first-parent", f"{before}..clean")
        assert made == "1"
    assert_sound(flow_repo)


def test_ingest_during_a_run_leaves_both_whole(flow_repo: Flow, tmp_path: Path) -> None:
    flow_repo.ingest(*csv_files(tmp_path / "inbox", "first"), partition="2024-03")
    files = csv_files(tmp_path / "inbox", "second")
    running = verb(flow_repo, "run", "clean")
    assert_all_won(at_once(running, ingest(flow_repo, files, "2024-03")))
    assert {"2024-03/first.csv", "2024-03/second.csv"} <= set(flow_repo.raw_files())
    flow_repo.branchflow("run", "clean")
    rows = {row["branch"]: row for row in flow_repo.result("status")["branches"]}
    assert not rows["clean"]["behind"]
    assert rows["clean"]["files"] == len(flow_repo.raw_files())
    assert_sound(flow_repo)


def test_runs_of_different_branches_at_once(flow_repo: Flow, tmp_path: Path) -> None:
    flow_repo.ingest(*csv_files(tmp_path / "inbox", "new"), partition="2024-03")
    assert_all_won(at_once(*[verb(flow_repo, "run", name) for name in ("clean", "split", "dev/m")]))
    flow_repo.branchflow("sync")
    assert "m@v1.0.2" in flow_repo.sh.git("tag")
    assert_sound(flow_repo)


@pytest.mark.parametrize("where", ["two clones", "one clone"])
def test_two_releases_at_once_give_one(flow_repo: Flow, where: str) -> None:
    change_code(flow_repo, 1.5)
    flow_repo.branchflow("promote", "dev/m")
    other = flow_repo.new_clone("other") if where == "two clones" else flow_repo
    before = set(flow_repo.refs())
    assert_all_won(at_once(*[verb(flow, "release", STABLE) for flow in (flow_repo, other)]))
    assert set(flow_repo.refs()) - before == {"refs/tags/m@v1.1.0"}
    origin = flow_repo.sh.at(flow_repo.origin)
    assert len(origin.git("ls-tree", "--name-only", "main", "runs/m/").splitlines()) == 3
    assert origin.git("rev-parse", "m@v1.1.0^{commit}") == origin.git("rev-parse", STABLE)
    assert_sound(flow_repo)


def test_two_syncs_at_once_give_one_release(flow_repo: Flow, tmp_path: Path) -> None:
    flow_repo.ingest(*csv_files(tmp_path / "inbox", "new"), partition="2024-03")
    other = flow_repo.new_clone("other")
    before = set(flow_repo.refs())
    assert_all_won(at_once(verb(flow_repo, "sync"), verb(other, "sync")))
    assert set(flow_repo.refs()) - before == {"refs/tags/m@v1.0.2"}
    assert_sound(flow_repo)


@pytest.mark.parametrize("where", ["two clones", "one clone"])
def test_two_syncs_at_once_refuse_a_worse_model_once(flow_repo: Flow, where: str) -> None:
    change_code(flow_repo, 1.5)
    flow_repo.branchflow("promote", "dev/m")
    configure(flow_repo, "stable/*", gates={"error": {"better": "lower", "margin": "2%"}})
    other = flow_repo.new_clone("other") if where == "two clones" else flow_repo
    before = flow_repo.refs()
    ended = at_once(verb(flow_repo, "sync"), verb(other, "sync"))
    assert [end.returncode for end in ended] == [1, 1], "\n---\n".join(e.output for e in ended)
    # In two clones both can make the very same commit in one second: then both refused it first.
    first = ["was refused at" not in end.output for end in ended]
    assert any(first), "\n---\n".join(end.output for end in ended)
    assert where == "two clones" or not all(first)
    after = flow_repo.refs()
    assert {name for name in after if after[name] != before.get(name)} == {"refs/heads/main"}
    main = f"{before['refs/heads/main']}..{after['refs/heads/main']}"
    assert flow_repo.sh.at(flow_repo.origin).git("rev-list", "--count", main) == "1"
    assert_sound(flow_repo)


def test_a_sync_and_a_release_that_goes_past_the_gate_at_once(flow_repo: Flow) -> None:
    """Whoever is first: there is one release in the end, and the sync ends refused or current."""
    change_code(flow_repo, 1.5)
    flow_repo.branchflow("promote", "dev/m")
    configure(flow_repo, "stable/*", gates={"error": {"better": "lower", "margin": "2%"}})
    other = flow_repo.new_clone("other")
    before = set(flow_repo.refs())
    past = ("release", STABLE, "--allow-worse", "--reason", "we know")
    synced, released = at_once(verb(flow_repo, "sync"), verb(other, *past))
    assert released.returncode == 0, released.output
    assert synced.returncode in {0, 1}, synced.output
    assert set(flow_repo.refs()) - before == {"refs/tags/m@v1.1.0"}
    assert "current" in flow_repo.branchflow("sync").stdout.splitlines()[-1]
    assert_sound(flow_repo)


def test_a_release_keeps_what_somebody_else_put_on_main(flow_repo: Flow) -> None:
    """main moves during a release: the record goes on top of it."""
    change_code(flow_repo, 1.5)
    flow_repo.branchflow("promote", "dev/m")
    other = flow_repo.new_clone("other")
    script = "for n in 1 2 3 4 5 6; do git pull -q --rebase; echo $n > note$n; git add .; git commit -qm note; git push -q || true; sleep 0.4; done; git pull -q --rebase; git push -q"
    pushing: Command = (other.sh, ["sh", "-c", script])
    assert_all_won(at_once(verb(flow_repo, "release", STABLE), pushing))
    files = flow_repo.sh.at(flow_repo.origin).git("ls-tree", "-r", "--name-only", "main")
    assert {"note1", "note6", "runs/m/v1.1.0.json"} <= set(files.splitlines())
    assert_sound(flow_repo)
