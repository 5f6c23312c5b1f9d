"""A switch of the user's own checkout: exactly the data, and nothing lost of what only lies there."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dvc_branchflow.project import Project
from dvc_branchflow.switch import switch
from dvc_branchflow.work.placing import Checkout
from tests.functional.conftest import Team, object_path, says

P1 = Path("data", "raw", "p1")


@pytest.fixture
def raw(team: Team) -> Team:
    """A checkout of `raw` with two files, and `before`: a tag where it had only the first."""
    team.ingest(team.file("a.csv", "one\n"), team.file("keep.csv", "kept\n"))
    team.sh.git("fetch", "--quiet")
    team.sh.git("tag", "before", "origin/raw")
    team.ingest(team.file("b.csv", "two\n"), team.file("c.csv", "three\n"))
    assert team.bf("switch", "raw").returncode == 0
    return team


def names(team: Team) -> set[str]:
    folder = team.sh.cwd / P1
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def up_to_date(team: Team) -> bool:
    return "up to date" in team.sh.dvc("status")


def test_a_switch_there_and_back_places_exactly_what_the_commit_says(raw: Team) -> None:
    assert names(raw) == {"a.csv", "b.csv", "c.csv", "keep.csv"}
    kept = (raw.sh.cwd / P1 / "keep.csv").stat().st_ino
    assert raw.bf("switch", "before").returncode == 0
    assert names(raw) == {"a.csv", "keep.csv"}
    assert up_to_date(raw)
    assert raw.bf("switch", "main").returncode == 0
    assert not (raw.sh.cwd / P1).exists()
    assert raw.bf("switch", "raw").returncode == 0
    assert names(raw) == {"a.csv", "b.csv", "c.csv", "keep.csv"}
    assert up_to_date(raw)
    assert (raw.sh.cwd / P1 / "keep.csv").stat().st_ino != kept


@pytest.mark.parametrize("what", ["edited", "added", "renamed"])
def test_what_is_not_committed_is_not_lost(raw: Team, what: str) -> None:
    folder = raw.sh.cwd / P1
    if what == "edited":
        (folder / "b.csv").write_text("2wo\n")
    elif what == "added":
        (folder / "mine.csv").write_text("mine\n")
    else:
        (folder / "b.csv").rename(folder / "d.csv")
    before = names(raw)
    done = raw.bf("switch", "before")
    assert done.returncode == 3
    assert "nobody has a copy" in says(done)
    assert names(raw) == before
    assert raw.sh.git("symbolic-ref", "HEAD") == "refs/heads/raw"


def test_what_dvc_ignores_stays(raw: Team) -> None:
    (raw.sh.cwd / ".dvcignore").write_text("*.swp\n")
    raw.sh.git("commit", "-qam", "Ignore")
    (raw.sh.cwd / P1 / "b.swp").write_text("open in an editor")
    assert raw.bf("switch", "before").returncode == 0
    assert names(raw) == {"a.csv", "b.swp", "keep.csv"}


def test_the_only_copy_of_a_file_goes_to_the_cache_before_it_goes(raw: Team) -> None:
    for content in ("one\n", "two\n", "three\n", "kept\n"):
        object_path(raw.cache, content).unlink()
    shutil.move(raw.store, raw.base / "away")
    assert raw.bf("switch", "before").returncode == 0
    assert names(raw) == {"a.csv", "keep.csv"}
    assert object_path(raw.cache, "two\n").read_text() == "two\n"
    assert raw.bf("switch", "raw").returncode == 0
    assert (raw.sh.cwd / P1 / "c.csv").read_text() == "three\n"


@pytest.mark.usefixtures("as_user")
@pytest.mark.parametrize("made", [0, 1], ids=["before all", "in the middle"])
def test_a_switch_that_was_killed_is_finished_by_the_same_command(
    raw: Team, monkeypatch: pytest.MonkeyPatch, made: int
) -> None:
    raw.ingest(raw.file("z.csv", "z\n"), partition="p2")
    raw.bf("switch", "raw")
    raw.sh.git("pull", "-q", "--ff-only")
    assert raw.bf("switch", "raw").returncode == 0
    make, count = Checkout.make, iter(range(9))

    def killed(self: Checkout, *args: object) -> None:
        if next(count) == made:
            raise KeyboardInterrupt
        make(self, *args)  # type: ignore[arg-type]

    monkeypatch.setattr(Checkout, "make", killed)
    with pytest.raises(KeyboardInterrupt):
        switch(Project.open(raw.sh.cwd), "before", lambda _: None)
    monkeypatch.undo()
    done = raw.bf("switch", "before")
    assert done.returncode == 0, done.stderr
    assert names(raw) == {"a.csv", "keep.csv"}
    assert up_to_date(raw)
    assert not list((raw.sh.cwd / ".git" / "branchflow" / "switching").iterdir())


def test_a_git_that_refuses_leaves_the_data_alone(raw: Team) -> None:
    raw.put("clean", {"in-the-way.txt": "theirs"})
    (raw.sh.cwd / "in-the-way.txt").write_text("mine")
    before = names(raw)
    assert raw.bf("switch", "clean").returncode == 3
    assert names(raw) == before
    assert up_to_date(raw)
    assert not list((raw.sh.cwd / ".git" / "branchflow" / "switching").iterdir())
