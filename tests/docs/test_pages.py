"""Every command in the README and the documentation works, and prints what the page shows."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dvc_branchflow.assignment import Assignment, assign
from tests.docs.pages import Kept, beginnings, run_page, steps
from tests.support.isolation import WITHOUT_TESTS, isolated_env
from tests.support.watched import NEW, OLD, logged_rows, write_log

if TYPE_CHECKING:
    from tests.support.flow import Flow

ROOT = Path(__file__).resolve().parents[2]
FLIGHTS = ROOT / "docs" / "flights"
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *ROOT.joinpath("docs").rglob("*.md")]
    if "_build" not in path.parts
)
WITH_COMMANDS = [page for page in PAGES if steps(ROOT.joinpath(page).read_text(encoding="utf-8"))]
TRAINS = {"README.md", "docs/tutorial.md"}  # these fit models and run the template's own checks
# Pages that go through real pipelines; the others stay in `make test-fast`.
RUNS = {
    f"docs/how-to/{name}.md"
    for name in (
        "adopt",
        "ci",
        "compare",
        "failed-run",
        "gates",
        "retrain",
        "rules",
        "test-side",
        "undo",
    )
}
# Pages about what production saw: in a clone of the team of tests/support/watched.py, with its log.
PRODUCTION = {"docs/how-to/monitor.md", "docs/how-to/experiment.md"}
ALONE = [page for page in WITH_COMMANDS if page not in PRODUCTION]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    shared = beginnings([ROOT / page for page in ALONE])
    return Kept(tmp_path_factory.mktemp("pages"), shared)


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=[pytest.mark.slow] * (page in TRAINS | RUNS)) for page in ALONE],
)
def test_commands_of_a_page_work(page: str, kept: Kept) -> None:
    folder = kept.root / "work"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for source, name in (("01", "january"), ("02", "february")):
        shutil.copy(FLIGHTS / f"flights-2013-{source}.csv", folder / f"{name}.csv")
    shutil.copytree(FLIGHTS, folder / "flights-data")
    # The templates' own tests are run elsewhere; here it is enough that a check is.
    env = isolated_env(kept.root / "home") | WITHOUT_TESTS
    problems = run_page(ROOT / page, folder, env, kept)
    assert not problems, "\n\n".join(problems)


@pytest.mark.slow
@pytest.mark.parametrize("page", sorted(PRODUCTION))
def test_commands_about_production_work(page: str, watched: Flow) -> None:
    tags = {"current": OLD, "next": NEW}
    halves = Assignment("next", [dict.fromkeys(tags, 0.5)])
    rows = logged_rows(1_800, shift=2, seconds=4 * 24 * 3600)
    for at, row in enumerate(rows):
        row["unit"] = f"user-{at % 900}"
        group = assign(row["unit"], halves)
        row |= {"tag": tags[group], "prediction": row["prediction"] + 12 * (group == "next")}
    write_log(watched.repo / "requests.jsonl", rows)
    labels = "".join(f"{row['request_id']},{row['prediction'] + 3:.3f}\n" for row in rows)
    (watched.repo / "labels.csv").write_text(f"request_id,label\n{labels}", encoding="utf-8")
    # The plan has to be older than the rows, and these have a fixed date for the pages' sake.
    env = watched.sh.env | {"GIT_COMMITTER_DATE": "2026-11-01T00:00:00Z"}
    problems = run_page(ROOT / page, watched.repo, env)
    assert not problems, "\n\n".join(problems)


def test_pages_with_commands_are_found() -> None:
    assert set(WITH_COMMANDS) > TRAINS | RUNS | PRODUCTION


def test_a_page_that_says_what_is_not_so_is_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    folder = tmp_path / "work"
    folder.mkdir()
    env = isolated_env(tmp_path / "home")
    page.write_text("```console\n$ cd /\n$ pwd; echo 3 files\n/\n5 files\n```\n")
    assert run_page(page, folder, env) == []
    for wrong in ("$ echo yes\nno", "$ false\n$ true", "$ true\nerror: fails", "$ exit"):
        page.write_text(f"```console\n{wrong}\n```\n")
        assert len(run_page(page, folder, env)) >= 1, wrong


def test_a_page_goes_on_from_what_another_left(tmp_path: Path) -> None:
    pages = [tmp_path / f"{name}.md" for name in ("one", "other")]
    folder = tmp_path / "work"
    folder.mkdir()
    env = isolated_env(tmp_path / "home")
    begin = f"$ echo ran >> {tmp_path}/count\n$ mkdir new; cd new; echo made\nmade\n"
    pages[0].write_text(f"```console\n{begin}$ touch file\n```\n")
    pages[1].write_text(f"```console\n{begin}$ ls; pwd\n{folder}/new\n$ ls file # fails\n```\n")
    kept = Kept(tmp_path, beginnings(pages))
    assert [run_page(page, folder, env, kept) for page in pages] == [[], []]
    assert (tmp_path / "count").read_text() == "ran\n"
