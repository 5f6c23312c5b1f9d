"""`storage gc`, `undelete` and `empty-trash` on a directory: nothing needed goes, all else may."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dvc_branchflow.errors import BranchflowError, ConfigError, StorageError, UsageError
from dvc_branchflow.git import Git
from dvc_branchflow.ingest import IngestRequest, ingest
from dvc_branchflow.model import Oid
from dvc_branchflow.objects import Stored
from dvc_branchflow.objects.directory_trash import DirectoryTrash
from dvc_branchflow.objects.doomed import Doomed, condemn
from dvc_branchflow.project import Project
from dvc_branchflow.storage import gc
from dvc_branchflow.storage.empty_trash import apply_emptying, plan_emptying
from dvc_branchflow.storage.gc import GcOutcome, GcRequest, apply_gc, plan_gc
from dvc_branchflow.storage.undelete import undelete
from dvc_branchflow.work import marks, plans
from dvc_branchflow.work.marks import AtWork, Quiet
from dvc_branchflow.work.plans import Plan
from tests.functional.conftest import branchflow, says
from tests.support.depot import Depot, lay_depot, md5, object_path
from tests.support.repos import Shell, missing_from_directory_remote
from tests.support.rows import DATA, ROWS, Row, garbage

pytestmark = [pytest.mark.usefixtures("as_user"), pytest.mark.slow]
NOW = GcRequest(grace_seconds=0.0)
TRASH = "branchflow/trash"


@pytest.fixture
def depot(tmp_path: Path, sh: Shell) -> Depot:
    return lay_depot(tmp_path / "team", sh)


def project_of(depot: Depot) -> Project:
    return Project.open(depot.repo)


def planned(depot: Depot, request: GcRequest = NOW) -> Plan:
    return plan_gc(project_of(depot), request, lambda _: None)


def applied(depot: Depot, plan: Plan, **options: Any) -> GcOutcome:
    options = {"drain_seconds": 0.0, **options}
    return apply_gc(project_of(depot), plan.run, lambda _: None, **options)


def collect(depot: Depot) -> GcOutcome:
    return applied(depot, planned(depot))


def brought_back(depot: Depot, *names: str) -> Any:
    return undelete(project_of(depot), names, lambda _: None)


def in_trash(depot: Depot) -> set[str]:
    return {path.name for path in (depot.store / TRASH).rglob("*") if path.is_file()}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_no_row_of_the_table_loses_anything_and_what_none_needs_goes(
    depot: Depot, row: Row
) -> None:
    unneeded = garbage(depot)
    needed = row(depot)
    before = depot.stored()
    assert needed | unneeded <= before
    outcome = collect(depot)
    assert before - depot.stored() == unneeded == in_trash(depot)
    assert (outcome.moved, outcome.restored) == (len(unneeded), ())
    brought_back(depot)
    assert depot.stored() == before


def test_the_plan_says_for_what_it_was_and_why_it_may_go(depot: Depot) -> None:
    text = (depot.repo / "branchflow.yaml").read_text(encoding="utf-8")
    depot.config(f"{text}retention: {{dev: 30d}}\n")
    garbage(depot)
    depot.branch("dev/x")
    depot.point("model.csv", "checkpoint")
    depot.commit(days_ago=60)
    depot.point("model.csv", "newer")
    depot.commit(days_ago=9)
    plan = planned(depot)
    groups = {(one.branch, one.path): one for one in plan.groups}
    assert groups["dev/x", "model.csv"].objects == 1
    assert "'dev/x' need it that are past their retention" in groups["dev/x", "model.csv"].why
    tree = groups["", "tree"]
    assert (tree.objects, "no ref reaches" in tree.why) == (3, True)
    assert "only a directory lists it" in groups["", f"directory {stray_folder()[:10]}"].why
    assert "no commit" in groups["", ""].why
    assert plan.objects == sum(one.objects for one in plan.groups) == 7
    assert "retention of dev branches: 30 days" in plan.notes
    shown = branchflow(depot.sh, "storage", "gc", "--grace", "0d").stdout
    assert "model.csv" in shown
    assert "7 objects, " in shown


def stray_folder() -> str:
    listed = [{"md5": md5(b"a stray's"), "relpath": "x"}]
    return md5(json.dumps(listed).encode())


def test_a_plan_touches_nothing(depot: Depot) -> None:
    garbage(depot)
    before = {path: path.stat().st_ctime_ns for path in depot.store.rglob("*")}
    refs = depot.sh.git("for-each-ref")
    planned(depot)
    assert {path: path.stat().st_ctime_ns for path in depot.store.rglob("*")} == before
    assert depot.sh.git("for-each-ref") == refs
    assert not depot.sh.git("status", "--porcelain")


def test_what_is_younger_than_the_grace_period_stays(depot: Depot) -> None:
    n_garbage = len(garbage(depot))
    plan = planned(depot, GcRequest())
    assert (plan.objects, plan.young[0]) == (0, n_garbage)
    # The own time of a copied file can be old; that it came just now counts.
    depot.put(b"copied with its time", depot.store, age_days=900)
    assert planned(depot, GcRequest()).objects == 0


def test_only_the_remotes_that_were_named_are_cleaned(tmp_path: Path, sh: Shell) -> None:
    depot = lay_depot(tmp_path / "team", sh, remotes=("store", "mirror"))
    for name in depot.remotes:
        depot.file("stray", depot.base / name)
    applied(depot, planned(depot, GcRequest(("mirror",), 0.0)))
    assert (len(depot.stored("store")), len(depot.stored("mirror"))) == (1, 0)
    with pytest.raises(StorageError, match="is no DVC remote"):
        planned(depot, GcRequest(("nowhere",)))


# -- between plan and deed -------------------------------------------------------------------------


def test_what_became_needed_since_the_plan_stays(depot: Depot) -> None:
    oids = garbage(depot)
    plan = planned(depot)
    other = depot.new_clone("colleague")
    other.branch("dev/y")
    oid = other.point("a.csv", "nobody's", depot.store)
    other.commit()
    other.push("dev/y")
    outcome = applied(depot, plan)
    assert oid in depot.stored()
    assert outcome.spared == {"needed": 1}
    assert outcome.moved == len(oids) - 1


def test_a_copy_that_came_anew_since_the_plan_stays(depot: Depot) -> None:
    garbage(depot)
    plan = planned(depot)
    path = object_path(depot.store, md5(b"nobody's"))
    path.unlink()
    depot.file("nobody's", depot.store)
    assert applied(depot, plan).spared == {"changed": 1}
    assert path.exists()


def test_what_came_since_the_plan_is_not_taken(depot: Depot) -> None:
    garbage(depot)
    plan = planned(depot)
    oid = depot.file("later", depot.store)
    applied(depot, plan)
    assert oid in depot.stored()


def test_a_plan_that_was_changed_or_is_none_is_refused(depot: Depot) -> None:
    garbage(depot)
    plan = planned(depot)
    file = Path(plan.file)
    text = file.read_text(encoding="utf-8")
    before = depot.stored()
    for broken in (text.replace(md5(b"nobody's"), "0" * 32), text[: len(text) // 2], "", "{}\n"):
        file.write_text(broken, encoding="utf-8")
        with pytest.raises(ConfigError):
            applied(depot, plan)
    with pytest.raises(UsageError, match="is no plan"):
        apply_gc(project_of(depot), "abc", lambda _: None)
    assert depot.stored() == before


def test_plans_go_once_applied_or_old_and_never_before(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    garbage(depot)
    waiting = Path(planned(depot, GcRequest(grace_seconds=1.0)).file)
    plan = planned(depot)
    copy = depot.base / "the.plan"
    copy.write_bytes(Path(plan.file).read_bytes())
    assert applied(depot, plan).moved
    assert not applied(depot, plan).moved  # once more does no harm
    changed = waiting.with_name("gc-000000000000.plan")
    changed.write_text("a note of somebody's")
    planned(depot)
    assert not Path(plan.file).exists()
    assert waiting.exists()
    apply_gc(project_of(depot), str(copy), lambda _: None, drain_seconds=0.0)
    assert {path.name for path in depot.base.glob("the*")} == {"the.plan"}
    monkeypatch.setattr(plans, "_OLD_SECONDS", -5)
    fresh = Path(planned(depot).file)
    assert set(waiting.parent.iterdir()) == {fresh, changed}


def test_a_remote_that_moved_since_the_plan_is_left_alone(depot: Depot) -> None:
    garbage(depot)
    plan = planned(depot)
    (depot.base / "elsewhere").mkdir()
    depot.write(".dvc/config.local", "['remote \"store\"']\n    url = ../../elsewhere\n")
    with pytest.raises(StorageError, match="not where the plan found it"):
        applied(depot, plan)


@pytest.mark.parametrize("step", ["plan", "apply", "look again"])
def test_anything_that_cant_be_read_stops_it_and_nothing_is_gone(
    depot: Depot, step: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    garbage(depot)
    before = depot.stored()

    def break_it() -> None:
        depot.write("a.csv.dvc", "half wri")

    if step == "plan":
        break_it()
        with pytest.raises(StorageError, match="not all known"):
            planned(depot)
    else:
        plan = planned(depot)
        if step == "apply":
            break_it()
        else:
            monkeypatch.setattr(
                DirectoryTrash, "set_aside", after(DirectoryTrash.set_aside, break_it)
            )
        with pytest.raises(StorageError, match="not all known"):
            applied(depot, plan)
    assert depot.stored() == before
    assert not in_trash(depot)


def after(method: Callable[..., Any], act: Callable[[], Any]) -> Callable[..., Any]:
    """The method, and something that happens right after it each time."""

    def both(*args: Any, **options: Any) -> Any:
        found = method(*args, **options)
        act()
        return found

    return both


def before(method: Callable[..., Any], act: Callable[[], Any]) -> Callable[..., Any]:
    """The method, and something that happens right before it, once."""
    waiting = [act]

    def both(*args: Any, **options: Any) -> Any:
        while waiting:
            waiting.pop()()
        return method(*args, **options)

    return both


def test_a_lost_manifest_stops_it_until_it_is_given_up(depot: Depot) -> None:
    depot.branch("dev/x")
    oid = depot.point("tree", DATA)
    depot.commit()
    for place in (depot.store, depot.cache):
        object_path(place, oid).unlink()
    done = branchflow(depot.sh, "storage", "gc", "--grace", "0d")
    assert done.returncode == 3
    assert f"--lost {oid}" in done.stderr
    plan = planned(depot, GcRequest(grace_seconds=0.0, lost=(oid,)))
    assert {one.path for one in plan.groups} == {""}
    assert plan.objects == 2
    assert applied(depot, plan).moved == 2


# -- races -----------------------------------------------------------------------------------------


def colleague_pushes(depot: Depot, text: str = "nobody's") -> Callable[[], None]:
    """Plain git and dvc, by somebody who saw that the object lies on the remote already."""
    other = depot.new_clone("colleague")
    other.branch("dev/y")
    other.write("a.csv.dvc", other.pointer("a.csv", text, other.cache)[1])
    other.commit()
    return lambda: other.push("dev/y")


def test_a_plain_push_between_our_look_and_our_hands_gets_its_data_back(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    garbage(depot)
    plan = planned(depot)
    push = colleague_pushes(depot)
    monkeypatch.setattr(DirectoryTrash, "set_aside", before(DirectoryTrash.set_aside, push))
    outcome = applied(depot, plan)
    assert outcome.restored == (md5(b"nobody's"),)
    assert md5(b"nobody's") in depot.stored()


def test_a_killed_gc_is_looked_after_by_the_next_one(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    garbage(depot)
    plan = planned(depot)
    push = colleague_pushes(depot)
    with monkeypatch.context() as patch:
        patch.setattr(gc._Applier, "_look_again", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            applied(depot, plan)
    assert md5(b"nobody's") not in depot.stored()
    push()
    assert applied(depot, plan).restored == (md5(b"nobody's"),)


def test_a_plain_push_after_all_looks_loses_nothing_for_good(depot: Depot) -> None:
    garbage(depot)
    collect(depot)
    colleague_pushes(depot)()
    verified = branchflow(depot.sh, "storage", "verify")
    assert "missing on store: a.csv" in verified.stdout
    plan = plan_emptying(project_of(depot), lambda _: None, grace_seconds=0.0)
    outcome = apply_emptying(project_of(depot), plan.run, lambda _: None)
    assert outcome.back == (md5(b"nobody's"),)
    assert branchflow(depot.sh, "storage", "verify").returncode == 0


def file_to_ingest(depot: Depot) -> tuple[Path, str]:
    """A file whose object lies on the DVC remote, old and needed by nothing."""
    depot.branch("raw")
    depot.write("README.md", "raw\n")
    depot.commit()
    depot.push("raw")
    file = depot.base / "in.csv"
    file.write_text("old\n", encoding="utf-8")
    return file, depot.file("old\n", depot.store)


def take_in(depot: Depot, file: Path) -> None:
    request = IngestRequest(paths=[file], source="a test", branch="raw", partition="p")
    ingest(project_of(depot), request, lambda _: None)


@pytest.mark.parametrize("moment", ["look", "push"])
def test_our_push_keeps_its_data_whenever_a_gc_comes(
    depot: Depot, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """The object is on the remote when the push asks, and a gc wants it right then."""
    file, oid = file_to_ingest(depot)
    plan = planned(depot)
    other = depot.new_clone("admin")
    Path(plan.file).rename(depot.base / "the.plan")

    def clean_up(drain_seconds: float) -> None:
        named = str(depot.base / "the.plan")
        apply_gc(project_of(other), named, lambda _: None, drain_seconds=drain_seconds)

    if moment == "look":  # a whole gc between asking for the object and the last look
        monkeypatch.setattr(Quiet, "holds", before(Quiet.holds, lambda: clean_up(0.0)))
        take_in(depot, file)
    else:  # a gc that begins after the last look, before the ref has moved
        gcs = threading.Thread(target=clean_up, args=(4.0,))

        def begin() -> None:
            gcs.start()
            time.sleep(1.0)

        monkeypatch.setattr(Git, "push", before(Git.push, begin))
        take_in(depot, file)
        gcs.join()
    assert oid in depot.stored()
    assert not missing_from_directory_remote(depot.repo, depot.store)


def test_without_the_mark_the_race_would_be_lost(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The two tests above can fail: a push that believes its first look loses the object."""
    file, oid = file_to_ingest(depot)
    plan = planned(depot)

    def clean_up(*_: object) -> bool:
        applied(depot, plan)
        return True

    monkeypatch.setattr(Quiet, "holds", clean_up)
    take_in(depot, file)
    assert oid not in depot.stored()


def test_a_push_waits_for_a_gc_and_not_for_a_dead_one(
    depot: Depot, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, _ = file_to_ingest(depot)
    said: list[str] = []
    with AtWork(project_of(depot), ["store"], "a" * 12, lambda _: None):
        pushing = threading.Thread(target=take_in, args=(depot, file))
        pushing.start()
        pushing.join(4.0)
        assert pushing.is_alive()
    pushing.join(30.0)
    assert not pushing.is_alive()
    with AtWork(project_of(depot), ["store"], "a" * 12, lambda _: None):
        left = (depot.store / marks.MARK).read_bytes()
    (depot.store / marks.MARK).write_bytes(left)
    monkeypatch.setattr(marks, "_DEAD_SECONDS", 1.0)
    quiet = Quiet(project_of(depot), said.append)
    quiet.look(None)
    assert any("waiting for a gc of Test Person" in text for text in said)


def test_a_gc_that_was_held_up_takes_nothing(depot: Depot, monkeypatch: pytest.MonkeyPatch) -> None:
    garbage(depot)
    plan = planned(depot)
    stored = depot.stored()
    monkeypatch.setattr(marks, "_LOST_SECONDS", -1.0)
    with pytest.raises(StorageError, match="held up"):
        applied(depot, plan)
    assert depot.stored() == stored


def test_two_gcs_dont_work_at_once(depot: Depot) -> None:
    garbage(depot)
    plan = planned(depot)
    with gc._alone(project_of(depot)), pytest.raises(BranchflowError, match="another gc"):
        applied(depot, plan)


# -- the trash -------------------------------------------------------------------------------------


def test_what_dvc_sees_is_not_in_the_trash(depot: Depot) -> None:
    garbage(depot)
    depot.branch("dev/x")
    depot.point("a.csv", "kept")
    depot.commit()
    depot.push("dev/x")
    collect(depot)
    assert depot.pulled("origin/dev/x", "fresh")["a.csv"] == "kept"
    assert "in sync" in depot.sh.dvc("status", "--cloud")


def test_single_objects_and_runs_are_brought_back(depot: Depot) -> None:
    oids = garbage(depot)
    outcome = collect(depot)
    oid = md5(b"nobody's")
    assert brought_back(depot, oid).back == (oid,)
    assert depot.stored() == {oid}
    with pytest.raises(UsageError, match="lies in the trash"):
        brought_back(depot, "0" * 32)
    shown = branchflow(depot.sh, "storage", "undelete", outcome.run, "--dry-run").stdout
    assert f"{outcome.run}  store" in shown
    assert set(brought_back(depot, outcome.run).back) == oids - {oid}
    assert "the trash is empty" in branchflow(depot.sh, "storage", "undelete").stdout
    assert not (depot.store / TRASH).exists()


def test_bringing_back_replaces_nothing_that_is_there_again(depot: Depot) -> None:
    garbage(depot)
    collect(depot)
    oid = md5(b"nobody's")
    other = object_path(depot.store, oid)
    other.parent.mkdir(parents=True, exist_ok=True)
    other.write_bytes(b"NOBODY'S")
    brought_back(depot)
    assert other.read_bytes() == b"NOBODY'S"
    assert in_trash(depot) == {oid}


def test_the_trash_is_emptied_by_a_plan_and_not_before_its_time(depot: Depot) -> None:
    n_garbage = len(garbage(depot))
    collect(depot)
    quiet: Any = lambda _: None  # noqa: E731
    young = plan_emptying(project_of(depot), quiet)
    assert (young.objects, young.young[0]) == (0, n_garbage)
    plan = plan_emptying(project_of(depot), quiet, grace_seconds=0.0)
    rehearsed = apply_emptying(project_of(depot), plan.run, quiet, dry_run=True)
    assert len(in_trash(depot)) == n_garbage
    outcome = apply_emptying(project_of(depot), plan.run, quiet)
    assert outcome.gone == rehearsed.gone == n_garbage
    assert not in_trash(depot)
    with pytest.raises(UsageError, match="is a plan of"):
        applied(depot, plan)


def test_repair_takes_from_the_trash_what_nobody_else_has(depot: Depot) -> None:
    garbage(depot)
    collect(depot)
    colleague_pushes(depot)()
    object_path(depot.cache, md5(b"nobody's")).unlink(missing_ok=True)
    done = branchflow(depot.sh, "storage", "repair")
    assert done.returncode == 0, done.stdout
    assert "from its trash" in done.stdout


def test_only_the_check_can_make_a_proof() -> None:
    copy = Stored(Oid("0" * 32), 1, 1.0)
    with pytest.raises(TypeError):
        Doomed("objects", (copy,), object())
    doomed, spared = condemn("objects", [copy], {copy.oid: copy}, lambda _: True, 2.0)
    assert (doomed.copies, spared) == ((), {copy.oid: "needed"})
    doomed, spared = condemn("objects", [copy], {copy.oid: copy}, lambda _: False, 1.0)
    assert (doomed.copies, spared) == ((), {copy.oid: "young"})
    doomed, _ = condemn("objects", [copy], {copy.oid: copy}, lambda _: False, 2.0)
    assert doomed.at("objects") == (copy,)
    with pytest.raises(TypeError):
        doomed.at("trash")


def test_the_command_asks_for_yes_and_says_the_way_back(depot: Depot, tmp_path: Path) -> None:
    garbage(depot)
    plan = planned(depot)
    stored = depot.stored()
    shown = branchflow(depot.sh, "storage", "gc", "--apply", plan.run)
    assert "may be set aside" in shown.stdout
    tried = branchflow(depot.sh, "storage", "gc", "--apply", plan.run, "--yes", "--dry-run")
    assert "would set aside 6 objects" in tried.stdout
    assert depot.stored() == stored
    refused = branchflow(depot.sh, "storage", "gc", "--grace", "forever")
    assert (refused.returncode, "has an end" in says(refused)) == (2, True)


@pytest.mark.slow
def test_the_command_sets_aside_and_says_the_way_back(depot: Depot) -> None:
    garbage(depot)
    plan = planned(depot)
    done = branchflow(depot.sh, "storage", "gc", "--apply", plan.file, "--yes")
    assert f"undelete {plan.run}" in done.stdout
    assert not depot.stored()
    assert branchflow(depot.sh, "storage", "undelete", plan.run).returncode == 0
    assert len(depot.stored()) == 6
