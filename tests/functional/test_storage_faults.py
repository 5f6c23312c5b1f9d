"""A bucket that fails at random, lists what is gone and hides what is new: nothing needed is lost."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from obstore.exceptions import GenericError, PermissionDeniedError
from obstore.store import LocalStore

from dvc_branchflow.errors import BranchflowError, StorageError
from dvc_branchflow.project import Project
from dvc_branchflow.storage.gc import GcRequest, apply_gc, plan_gc
from dvc_branchflow.storage.mirror import mirror
from dvc_branchflow.storage.move import move
from dvc_branchflow.storage.repair import repair
from dvc_branchflow.storage.undelete import undelete
from dvc_branchflow.storage.verify import verify
from dvc_branchflow.work.verification import VerifyRequest
from tests.support.depot import Depot, lay_depot, md5, object_path
from tests.support.repos import Shell, missing_from_directory_remote
from tests.support.rows import DATA, garbage, released

pytestmark = [pytest.mark.usefixtures("as_user"), pytest.mark.slow]
TRIES = 60


class Flaky:
    """An obstore client on a folder that fails as often as it is told to.

    Attributes:
        errors: share of requests that end with 403, 500 or a time-out, before or after the deed.
        cuts: share of bodies that come truncated.
        gone: keys that listings still show. unseen: keys that they don't show yet.
    """

    def __init__(self, root: Path, seed: int) -> None:
        self._store = LocalStore(root, mkdir=True)
        self._random = random.Random(seed)
        self.errors = 0.0
        self.cuts = 0.0
        self.gone: list[dict[str, Any]] = []
        self.unseen: set[str] = set()

    def _may_fail(self) -> None:
        if self._random.random() < self.errors:
            raise self._random.choice(
                [GenericError("500 Internal Server Error"), PermissionDeniedError("403 Forbidden"),
                 GenericError("operation timed out")]
            )  # fmt: skip

    def _do(self, name: str, *args: Any, **options: Any) -> Any:
        self._may_fail()
        found = getattr(self._store, name)(*args, **options)
        self._may_fail()  # done, and the answer is lost
        return found

    def head(self, key: str) -> Any:
        return {**self._do("head", key), "version": None}

    def put(self, key: str, content: Any, **options: Any) -> Any:
        return {"version": None, **self._do("put", key, content, **options)}

    def copy(self, key: str, target: str) -> Any:
        return self._do("copy", key, target)

    def delete(self, key: str) -> Any:
        try:
            return self._do("delete", key)
        except FileNotFoundError:
            return None  # as S3 has it

    def get(self, key: str, **options: Any) -> Any:
        return Answer(self._do("get", key, **options), self)

    def get_range(self, key: str, **options: Any) -> Any:
        return self.cut(bytes(self._do("get_range", key, **options)))

    def list(self, prefix: str = "", **_: Any) -> Iterator[Any]:
        self._may_fail()
        for batch in self._store.list(prefix=prefix):
            self._may_fail()
            yield [meta for meta in batch if meta["path"] not in self.unseen]
        yield [meta for meta in self.gone if meta["path"].startswith(prefix)]

    def cut(self, content: bytes) -> bytes:
        return content[:-1] if self._random.random() < self.cuts else content


class Answer:
    """What `get` gives; its body may come truncated."""

    def __init__(self, found: Any, flaky: Flaky) -> None:
        self._found = found
        self._flaky = flaky
        self.meta = found.meta

    def bytes(self) -> bytes:
        return self._flaky.cut(bytes(self._found.bytes()))


@pytest.fixture
def depot(tmp_path: Path, sh: Shell) -> Depot:
    depot = lay_depot(tmp_path / "team", sh)
    text = "[core]\n    remote = store\n['remote \"store\"']\n    url = s3://bucket\n"
    depot.write(".dvc/config", text)
    depot.commit(days_ago=900)
    depot.push("main")
    return depot


@pytest.fixture
def make_flaky(depot: Depot, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Flaky]:
    def make(seed: int) -> Flaky:
        flaky = Flaky(depot.store, seed)
        for module in ("opening", "notes", "trash"):
            monkeypatch.setattr(f"dvc_branchflow.objects.{module}.bucket_client", lambda _: flaky)
        return flaky

    return make


def quiet(_: str) -> None:
    """Say nothing."""


def project_of(depot: Depot) -> Project:
    return Project.open(depot.repo)


def until_done(act: Callable[[], Any], check: Callable[[], None]) -> int:
    """Do it until it ends well; check after each try. Return how often it failed."""
    for failed in range(TRIES):
        try:
            act()
        except BranchflowError:
            check()
        else:
            check()
            return failed
    raise AssertionError("it never ended well")


@pytest.mark.parametrize("seed", range(8))
def test_a_gc_through_errors_and_cut_bodies_loses_nothing_and_finishes(
    depot: Depot, make_flaky: Callable[[int], Flaky], seed: int
) -> None:
    unneeded = garbage(depot)
    needed = released(depot)
    flaky = make_flaky(seed)

    def nothing_is_lost() -> None:
        assert needed <= depot.stored()
        trash = {path.name for path in (depot.store / "branchflow").rglob("*") if path.is_file()}
        assert unneeded <= depot.stored() | trash

    plans: list[Any] = []
    flaky.errors, flaky.cuts = 0.04, 0.1

    def plan() -> None:
        plans.append(plan_gc(project_of(depot), GcRequest(grace_seconds=0.0), quiet))

    until_done(plan, nothing_is_lost)
    run = plans[0].run

    def apply() -> None:
        apply_gc(project_of(depot), run, quiet, drain_seconds=0.0)

    until_done(apply, nothing_is_lost)
    assert depot.stored() == needed
    until_done(lambda: undelete(project_of(depot), [], quiet), nothing_is_lost)
    flaky.errors = flaky.cuts = 0.0
    undelete(project_of(depot), [], quiet)
    assert depot.stored() == needed | unneeded
    for oid in unneeded:
        content = object_path(depot.store, oid).read_bytes()
        assert md5(content) == oid[:32]


def test_listings_that_are_old_hide_nothing_needed_and_doom_nothing_new(
    depot: Depot, make_flaky: Callable[[int], Flaky]
) -> None:
    unneeded = garbage(depot)
    needed = released(depot)
    flaky = make_flaky(0)
    stray = next(oid for oid in sorted(unneeded) if not oid.endswith(".dir"))
    key = f"files/md5/{stray[:2]}/{stray[2:]}"
    flaky.gone = [dict(flaky.head(key))]
    object_path(depot.store, stray).unlink()
    folder = next(oid for oid in needed if oid.endswith(".dir"))
    flaky.unseen = {f"files/md5/{folder[:2]}/{folder[2:]}"}
    object_path(depot.cache, folder).unlink()
    plan = plan_gc(project_of(depot), GcRequest(grace_seconds=0.0), quiet)
    outcome = apply_gc(project_of(depot), plan.run, quiet, drain_seconds=0.0)
    assert outcome.moved == len(unneeded) - 1
    assert depot.stored() == needed
    assert verify(project_of(depot), VerifyRequest(), quiet).is_good


@pytest.mark.parametrize("seed", range(4))
def test_verify_and_repair_say_nothing_wrong_through_errors(
    depot: Depot, make_flaky: Callable[[int], Flaky], seed: int
) -> None:
    released(depot)
    flaky = make_flaky(seed)
    flaky.errors = 0.05
    found: list[Any] = []

    def look() -> None:
        found.append(verify(project_of(depot), VerifyRequest(deep=True), quiet))

    until_done(look, lambda: None)
    assert found[0].is_good
    lost = md5(DATA["one.csv"].encode())
    object_path(depot.store, lost).unlink()
    until_done(lambda: repair(project_of(depot), VerifyRequest(), quiet), lambda: None)
    assert not missing_from_directory_remote(depot.repo, depot.store)


@pytest.mark.parametrize("seed", range(2))
def test_a_mirror_and_a_move_through_errors_and_cut_bodies_take_nothing_damaged(
    depot: Depot, make_flaky: Callable[[int], Flaky], seed: int
) -> None:
    depot.branch("dev/x")
    files = {md5(text.encode()) for text in (*DATA.values(), "a file")}
    needed = {depot.point("tree", DATA), depot.point("a.csv", "a file"), *files}
    depot.commit()
    depot.push()
    depot.sh.git("switch", "--quiet", "main")
    backup = depot.base / "backup"
    backup.mkdir()
    config = (depot.repo / ".dvc/config").read_text(encoding="utf-8")
    depot.write(".dvc/config", f"{config}['remote \"backup\"']\n    url = {backup}\n")
    depot.commit()
    depot.push("main")
    for path in depot.cache.rglob("*"):
        if path.is_file():
            path.unlink()
    flaky = make_flaky(seed)
    flaky.errors, flaky.cuts = 0.02, 0.3
    tip = depot.sh.git("ls-remote", "origin", "dev/x")

    def nothing_is_wrong() -> None:
        assert depot.stored("backup") <= needed
        for oid in depot.stored("backup"):
            assert md5(object_path(backup, oid).read_bytes()) == oid[:32]
        has_moved = depot.sh.git("ls-remote", "origin", "dev/x") != tip
        assert not has_moved or depot.stored("backup") == needed

    def fill() -> None:
        filled = mirror(project_of(depot), "backup", (), quiet).filled
        if filled.lacking:
            raise StorageError("it said that something is missing")

    until_done(lambda: move(project_of(depot), "dev", "backup", quiet), nothing_is_wrong)
    for oid in needed:
        object_path(backup, oid).unlink()
    tip = depot.sh.git("ls-remote", "origin", "dev/x")
    until_done(fill, nothing_is_wrong)
    assert depot.stored("backup") == needed


def test_a_server_that_says_no_is_no_empty_one(
    depot: Depot, make_flaky: Callable[[int], Flaky]
) -> None:
    released(depot)
    flaky = make_flaky(0)
    flaky.errors = 1.0
    for act in (
        lambda: plan_gc(project_of(depot), GcRequest(), quiet),
        lambda: verify(project_of(depot), VerifyRequest(), quiet),
        lambda: undelete(project_of(depot), [], quiet),
        lambda: mirror(project_of(depot), "store", (), quiet),
    ):
        with pytest.raises(StorageError, match="can't be used"):
            act()
