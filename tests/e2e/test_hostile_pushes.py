"""What the server never takes: pushes against the rules, made with Git's plumbing.

Each of them would go through without the hook: that is proved right after it was refused.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import yaml

from dvc_branchflow.manifest import Entry
from dvc_branchflow.model import Oid
from dvc_branchflow.tombstones import Tombstone, render_tombstone
from tests.support.flow import DEV, FIRST_TAG, MODEL, SECOND_TAG, STABLE, copy_flow
from tests.support.isolation import isolated_env
from tests.support.repos import Shell
from tests.support.server_hooks import (
    SOURCE,
    Content,
    Files,
    Hand,
    Item,
    assert_accepted,
    assert_refused,
    executable,
    git_daemon,
    guard,
    link,
    object_at,
    pointer,
    push,
    submodule,
    unguard,
)

pytestmark = pytest.mark.slow

MONTH = "data/raw/2024-01"
LATER_MONTH = "data/raw/2024-02"
CLEAN_MONTH = "data/clean/2024-01"
SPLIT_MONTH = "data/split/2024-01"
NEW_TAG = "m@v1.0.2"
PROD = "m#prod#1"
MIB = 1024 * 1024
NO_SHA = "1234567890" * 4
SOME_OID = "0123456789abcdef" * 2
LFS_POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'ab' * 32}\nsize 12345\n"
EVIL_TRAIN = "print('whatever')\n"

Attack = Callable[[Hand], Sequence[str]]
ATTACKS = []


def hostile(*codes: str) -> Callable[[Attack], Attack]:
    """Enter an attack, which returns what to push; any one of the codes has to be named."""

    def enter(attack: Attack) -> Attack:
        ATTACKS.append(pytest.param(attack, codes, id=attack.__name__))
        return attack

    return enter


@pytest.fixture(scope="module")
def guarded(flow_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished flow with the hook on its origin; copy it, don't work in it."""
    root = tmp_path_factory.mktemp("guarded")
    for name in ("origin.git", "store"):
        shutil.copytree(flow_template / name, root / name, symlinks=True)
    sh = Shell(root / "origin.git", isolated_env(root / "home"))
    guard(sh.cwd, sh)
    sh.git("config", "receive.denyDeleteCurrent", "ignore")
    return root


@pytest.fixture
def hand(guarded: Path, tmp_path: Path, env: dict[str, str]) -> Hand:
    return Hand(copy_flow(guarded, tmp_path / "team", env, local=False))


def branch(sha: str, name: str, *, force: bool = False) -> str:
    """What to push so that a branch of the origin comes to stand at a commit."""
    return f"{'+' * force}{sha}:refs/heads/{name}"


def tag(sha: str, name: str, *, force: bool = False) -> str:
    return f"{'+' * force}{sha}:refs/tags/{name}"


def on(hand: Hand, name: str, files: Files, message: str = "Work", **more: Sequence[str]) -> str:
    """A commit on a branch's tip, and the push of it."""
    return branch(hand.commit(hand.tip(name), files, message, **more), name)


# --- raw --------------------------------------------------------------------------------------


def month_of(hand: Hand, *, month: str = MONTH) -> list[Entry]:
    return hand.listed(hand.pinned_oid(hand.tip("raw"), month))


def month_with(hand: Hand, listed: Sequence[Entry], *, month: str = MONTH) -> dict[str, str]:
    """The pointer of a month that has these files."""
    return {f"{month}.dvc": pointer(month, hand.directory(listed), nfiles=len(listed))}


def month_without_its_first_file(hand: Hand) -> dict[str, str]:
    return month_with(hand, month_of(hand)[1:])


def month_with_one_more(hand: Hand, *, month: str = MONTH) -> dict[str, str]:
    """A legal append."""
    more = Entry("more.csv", hand.stored("id,value\nmore,1\n"))
    return month_with(hand, [*month_of(hand, month=month), more], month=month)


@hostile("raw-append-only")
def a_raw_entry_is_removed_inside_a_manifest(hand: Hand) -> Sequence[str]:
    return [on(hand, "raw", month_without_its_first_file(hand), SOURCE)]


@hostile("raw-append-only")
def a_raw_entry_gets_other_content(hand: Hand) -> Sequence[str]:
    first, *others = month_of(hand)
    changed = Entry(first.relpath, hand.stored("id,value\none-0,0\n"))
    return [on(hand, "raw", month_with(hand, [changed, *others]), SOURCE)]


@hostile("raw-append-only")
def a_raw_entry_is_renamed(hand: Hand) -> Sequence[str]:
    first, *others = month_of(hand)
    renamed = Entry(f"other/{first.relpath}", first.oid)
    return [on(hand, "raw", month_with(hand, [renamed, *others]), SOURCE)]


@hostile("raw-append-only")
def a_raw_entry_is_removed_and_put_back_in_one_push(hand: Hand) -> Sequence[str]:
    raw = hand.tip("raw")
    removed = hand.commit(raw, month_without_its_first_file(hand), SOURCE)
    back = hand.commit(removed, {f"{MONTH}.dvc": hand.read(raw, f"{MONTH}.dvc")}, SOURCE)
    return [branch(back, "raw")]


@hostile("raw-append-only")
def a_raw_entry_is_removed_below_other_legal_commits(hand: Hand) -> Sequence[str]:
    removed = hand.commit(hand.tip("raw"), month_without_its_first_file(hand), SOURCE)
    file = hand.stored("id,value\nnew,1\n")
    month = month_with(hand, [Entry("new.csv", file)], month="data/raw/2024-03")
    return [branch(hand.commit(removed, month, SOURCE), "raw")]


@hostile("raw-append-only")
def a_raw_month_is_lost_in_a_foxtrot_merge(hand: Hand) -> Sequence[str]:
    raw = hand.tip("raw")
    before = hand.sh.git("rev-parse", f"{raw}~1")
    side = hand.commit(before, month_with_one_more(hand), SOURCE)
    return [branch(hand.commit(side, {}, "Merge", merge=[raw]), "raw")]


@hostile("raw-append-only")
def a_raw_entry_is_removed_by_a_merge_itself(hand: Hand) -> Sequence[str]:
    raw = hand.tip("raw")
    side = hand.commit(raw, month_with_one_more(hand, month=LATER_MONTH), SOURCE)
    merged = hand.commit(raw, month_without_its_first_file(hand), "Merge", merge=[side])
    return [branch(merged, "raw")]


@hostile("raw-append-only")
def a_raw_entry_is_removed_behind_a_merge_into_main(hand: Hand) -> Sequence[str]:
    bad = hand.commit(hand.tip("raw"), month_without_its_first_file(hand), SOURCE)
    merged = on(hand, "main", {"notes.md": "x\n"}, "Merge", merge=[bad])
    return [merged, branch(hand.commit(bad, {"README.md": "x\n"}), "raw")]


@hostile("raw-append-only")
def a_raw_entry_is_removed_behind_an_earlier_merge_into_main(hand: Hand) -> Sequence[str]:
    bad = hand.commit(hand.tip("raw"), month_without_its_first_file(hand), SOURCE)
    assert_accepted(hand.push(on(hand, "main", {"notes.md": "x\n"}, "Merge", merge=[bad])))
    return [branch(hand.commit(bad, {"README.md": "x\n"}), "raw")]


@hostile("raw-append-only", "bad-metadata")
def a_raw_pointer_becomes_a_link(hand: Hand) -> Sequence[str]:
    return [on(hand, "raw", {f"{MONTH}.dvc": link("2024-02.dvc")}, SOURCE)]


@hostile("raw-append-only")
def a_raw_pointer_is_deleted(hand: Hand) -> Sequence[str]:
    return [on(hand, "raw", {f"{MONTH}.dvc": None}, SOURCE)]


@hostile("raw-append-only")
def a_raw_pointer_is_emptied(hand: Hand) -> Sequence[str]:
    return [on(hand, "raw", {f"{MONTH}.dvc": "outs: []\n"}, SOURCE)]


@hostile("raw-append-only")
def an_out_of_raw_beside_its_data_is_removed(hand: Hand) -> Sequence[str]:
    labels = {"labels.csv.dvc": pointer("labels.csv", hand.stored("id,label\n"))}
    hand.push_legally(on(hand, "raw", labels, SOURCE))
    return [on(hand, "raw", {"labels.csv.dvc": None}, SOURCE)]


@hostile("raw-append-only", "bad-metadata")
def a_second_pointer_hides_what_becomes_of_the_first(hand: Hand) -> Sequence[str]:
    old = hand.read(hand.tip("raw"), f"{MONTH}.dvc")
    files = {"data/raw/0.dvc": old, "data/raw/zz.dvc": old, **month_without_its_first_file(hand)}
    return [on(hand, "raw", files, SOURCE)]


@hostile("raw-append-only")
def a_raw_directory_becomes_one_file(hand: Hand) -> Sequence[str]:
    one = pointer(MONTH, hand.stored("id,value\n"))
    return [on(hand, "raw", {f"{MONTH}.dvc": one}, SOURCE)]


@hostile("raw-source")
def raw_grows_without_a_source(hand: Hand) -> Sequence[str]:
    return [on(hand, "raw", month_with_one_more(hand), "Append\n\nThe source: unknown\n")]


@hostile("raw-source")
def raw_grows_with_an_empty_source(hand: Hand) -> Sequence[str]:
    return [on(hand, "raw", month_with_one_more(hand), "Append\n\nSource:\n")]


@hostile("raw-no-pipeline")
def a_pipeline_on_raw(hand: Hand) -> Sequence[str]:
    return [on(hand, "raw", {"dvc.yaml": "stages:\n  a:\n    cmd: date\n"}, SOURCE)]


@hostile("raw-no-pipeline")
def a_pipeline_in_a_folder_of_raw(hand: Hand) -> Sequence[str]:
    return [on(hand, "raw", {"tools/dvc.yaml": "stages:\n  a:\n    cmd: date\n"}, SOURCE)]


# --- Erased by law ----------------------------------------------------------------------------

ERASE = "Erase a file\n\nReason: asked for\n"


def tombstone_of(oid: str) -> dict[str, bytes]:
    """The file that says that an object was erased."""
    stone = Tombstone("asked for", "A <a@b.c>", "2024-01-01T00:00:00Z", {oid: (MONTH,)})
    return {stone.path: render_tombstone(stone)}


def erased_first_file(hand: Hand) -> tuple[Entry, Files]:
    """The first file of a month, and a commit's files that erase it by the rules."""
    first, *others = month_of(hand)
    return first, {**month_with(hand, others), **tombstone_of(first.oid)}


def with_first_file_erased(hand: Hand) -> Entry:
    """Erase it: on raw, and on main for all."""
    first, files = erased_first_file(hand)
    hand.push_legally(
        on(hand, "raw", files, ERASE), on(hand, "main", tombstone_of(first.oid), ERASE)
    )
    return first


@hostile("raw-append-only")
def a_tombstone_names_another_object(hand: Hand) -> Sequence[str]:
    files = {**month_without_its_first_file(hand), **tombstone_of(SOME_OID)}
    return [on(hand, "raw", files, ERASE)]


@hostile("raw-append-only")
def a_tombstone_covers_one_file_of_two_that_go(hand: Hand) -> Sequence[str]:
    files = {**month_with(hand, []), **tombstone_of(month_of(hand)[0].oid)}
    return [on(hand, "raw", files, ERASE)]


@hostile("raw-append-only")
def a_tombstone_comes_after_the_removal(hand: Hand) -> Sequence[str]:
    first = month_of(hand)[0]
    removed = hand.commit(hand.tip("raw"), month_without_its_first_file(hand), SOURCE)
    return [branch(hand.commit(removed, tombstone_of(first.oid), ERASE), "raw")]


@hostile("bad-metadata", "raw-append-only")
def a_tombstone_lies_under_the_name_of_another(hand: Hand) -> Sequence[str]:
    content = tombstone_of(month_of(hand)[0].oid).popitem()[1]
    files = {**month_without_its_first_file(hand), "tombstones/0123456789ab.json": content}
    return [on(hand, "raw", files, ERASE)]


@hostile("erased-stays")
def a_tombstone_for_what_is_still_there(hand: Hand) -> Sequence[str]:
    return [on(hand, "raw", tombstone_of(month_of(hand)[0].oid), ERASE)]


@hostile("raw-append-only")
def an_erasure_changes_the_name_of_another_file(hand: Hand) -> Sequence[str]:
    first, second = month_of(hand)
    renamed = month_with(hand, [Entry("c.csv", second.oid)])
    return [on(hand, "raw", {**renamed, **tombstone_of(first.oid)}, ERASE)]


@hostile("raw-source")
def an_erasure_brings_a_file_along(hand: Hand) -> Sequence[str]:
    _, files = erased_first_file(hand)
    more = [*month_of(hand)[1:], Entry("more.csv", hand.stored("id,value\nmore,1\n"))]
    return [on(hand, "raw", {**files, **month_with(hand, more)}, ERASE)]


@hostile("tombstone-stays")
def a_tombstone_is_taken_away(hand: Hand) -> Sequence[str]:
    first = with_first_file_erased(hand)
    return [on(hand, "main", dict.fromkeys(tombstone_of(first.oid)))]


@hostile("tombstone-stays", "bad-metadata")
def a_tombstone_is_altered(hand: Hand) -> Sequence[str]:
    first = with_first_file_erased(hand)
    ((path, content),) = tombstone_of(first.oid).items()
    return [on(hand, "raw", {path: content.replace(b"asked for", b"a whim")})]


@hostile("erased-stays")
def what_was_erased_comes_back_to_raw(hand: Hand) -> Sequence[str]:
    first = with_first_file_erased(hand)
    back = Entry("other-name.csv", first.oid)
    return [on(hand, "raw", month_with(hand, [*month_of(hand), back]), SOURCE)]


@hostile("erased-stays", "tombstone-stays")
def a_branch_of_raw_from_before_the_erasure_is_merged(hand: Hand) -> Sequence[str]:
    before = hand.tip("raw")
    side = hand.commit(before, month_with_one_more(hand), SOURCE)
    with_first_file_erased(hand)
    theirs = {f"{MONTH}.dvc": hand.read(side, f"{MONTH}.dvc")}
    return [on(hand, "raw", theirs, SOURCE, merge=[side])]


@hostile("erased-stays")
def what_was_erased_comes_back_on_a_dev_branch(hand: Hand) -> Sequence[str]:
    first = with_first_file_erased(hand)
    return [on(hand, DEV, {"mine.csv.dvc": pointer("mine.csv", first.oid)})]


@hostile("erased-stays")
def what_was_erased_comes_back_on_a_new_branch(hand: Hand) -> Sequence[str]:
    first = with_first_file_erased(hand)
    kept = {"mine.csv.dvc": pointer("mine.csv", first.oid)}
    return [branch(hand.commit(hand.tip(DEV), kept), "dev/other")]


# --- Refs -------------------------------------------------------------------------------------


@hostile("ref-rewritten")
def history_of_raw_is_rewritten(hand: Hand) -> Sequence[str]:
    before = hand.sh.git("rev-parse", f"{hand.tip('raw')}~1")
    return [branch(hand.commit(before, month_with_one_more(hand), SOURCE), "raw", force=True)]


@hostile("ref-rewritten")
def raw_goes_back_to_an_older_commit(hand: Hand) -> Sequence[str]:
    return [branch(hand.sh.git("rev-parse", f"{hand.tip('raw')}~1"), "raw", force=True)]


@hostile("ref-rewritten")
def the_last_commit_of_raw_is_amended(hand: Hand) -> Sequence[str]:
    raw = hand.tip("raw")
    later = {f"{LATER_MONTH}.dvc": hand.read(raw, f"{LATER_MONTH}.dvc")}
    amended = hand.commit(hand.sh.git("rev-parse", f"{raw}~1"), later, SOURCE)
    return [branch(amended, "raw", force=True)]


@hostile("ref-rewritten")
def raw_is_replaced_by_a_branch_without_history(hand: Hand) -> Sequence[str]:
    files = {path: hand.read(hand.tip("raw"), path) for path in (f"{MONTH}.dvc", ".dvc/config")}
    return [branch(hand.commit(None, files, SOURCE), "raw", force=True)]


@hostile("ref-rewritten")
def main_is_rewritten(hand: Hand) -> Sequence[str]:
    before = hand.sh.git("rev-parse", f"{hand.tip('main')}~1")
    return [branch(hand.commit(before, {"notes.md": "new\n"}), "main", force=True)]


@hostile("ref-deleted")
def raw_is_deleted(hand: Hand) -> Sequence[str]:
    return [":refs/heads/raw"]


@hostile("ref-deleted")
def raw_is_renamed(hand: Hand) -> Sequence[str]:
    return [branch(hand.tip("raw"), "feature/raw"), ":refs/heads/raw"]


@hostile("ref-deleted")
def main_is_deleted(hand: Hand) -> Sequence[str]:
    return [":refs/heads/main"]


@hostile("ref-deleted")
def stable_is_deleted(hand: Hand) -> Sequence[str]:
    return [f":refs/heads/{STABLE}"]


@hostile("too-many-refs")
def a_thousand_refs_in_one_push(hand: Hand) -> Sequence[str]:
    tip = hand.tip("main")
    return [branch(tip, f"feature/number-{number}") for number in range(1000)]


# --- Whose path it is -------------------------------------------------------------------------


@hostile("outs-at-home")
def a_pointer_of_dev_lies_where_raw_publishes(hand: Hand) -> Sequence[str]:
    return [on(hand, DEV, {"data/raw/x.dvc": pointer("x", hand.stored("x"))})]


@hostile("outs-at-home")
def a_stage_of_dev_writes_where_split_publishes(hand: Hand) -> Sequence[str]:
    return [on(hand, DEV, with_out(hand, DEV, "data/split/extra"))]


@hostile("outs-at-home")
def a_stage_of_clean_writes_where_raw_publishes(hand: Hand) -> Sequence[str]:
    return [on(hand, "clean", with_out(hand, "clean", "data/raw/extra"))]


@hostile("outs-at-home")
def an_out_of_dev_covers_what_others_publish(hand: Hand) -> Sequence[str]:
    everything = hand.directory([Entry("raw/x.csv", hand.stored("x"))])
    return [on(hand, DEV, {"data.dvc": pointer("data", everything)})]


@hostile("outs-at-home")
def an_out_of_raw_moves_to_where_clean_publishes(hand: Hand) -> Sequence[str]:
    moved = {f"{MONTH}.dvc": None, f"{CLEAN_MONTH}.dvc": hand.read(hand.tip("raw"), f"{MONTH}.dvc")}
    return [on(hand, "raw", moved, SOURCE)]


def with_out(hand: Hand, name: str, path: str) -> dict[str, str]:
    """A branch's pipeline with one stage and its out more, as `dvc repro` leaves it."""
    pipeline = yaml.safe_load(hand.read(hand.tip(name), "dvc.yaml"))
    lock = yaml.safe_load(hand.read(hand.tip(name), "dvc.lock"))
    pipeline["stages"]["extra"] = {"cmd": "true", "outs": [path]}
    out = {"path": path, "hash": "md5", "md5": hand.stored("extra"), "size": 5}
    lock["stages"]["extra"] = {"cmd": "true", "outs": [out]}
    return {"dvc.yaml": yaml.safe_dump(pipeline), "dvc.lock": yaml.safe_dump(lock)}


@hostile("main-no-outs")
def a_pointer_on_main(hand: Hand) -> Sequence[str]:
    return [on(hand, "main", {"model.json.dvc": pointer("model.json", hand.stored("x"))})]


@hostile("main-no-outs")
def a_pipeline_with_outs_on_main(hand: Hand) -> Sequence[str]:
    pipeline = "stages:\n  a:\n    cmd: date > table\n    outs: [table]\n"
    out = {"path": "table", "hash": "md5", "md5": hand.stored("table"), "size": 5}
    lock = {"schema": "2.0", "stages": {"a": {"cmd": "date > table", "outs": [out]}}}
    return [on(hand, "main", {"dvc.yaml": pipeline, "dvc.lock": yaml.safe_dump(lock)})]


@hostile("dev-sample")
def dev_holds_the_full_data_and_says_so(hand: Hand) -> Sequence[str]:
    pinned = yaml.safe_load(hand.read(hand.tip(DEV), "pins.yaml"))
    return [on(hand, DEV, full_data(hand, {"split": pinned["split"]}))]


@hostile("dev-sample")
def dev_calls_the_full_data_a_sample(hand: Hand) -> Sequence[str]:
    pinned = yaml.safe_load(hand.read(hand.tip(DEV), "pins.yaml"))
    pinned["sample"]["split"]["fraction"] = 1.0
    return [on(hand, DEV, full_data(hand, pinned))]


@hostile("dev-sample", "pins-true")
def dev_holds_the_full_data_and_says_nothing(hand: Hand) -> Sequence[str]:
    return [on(hand, DEV, full_data(hand, None))]


def full_data(hand: Hand, pins: object) -> dict[str, str]:
    full = hand.made_oid(hand.tip("split"), SPLIT_MONTH)
    files = {f"{SPLIT_MONTH}.dvc": pointer(SPLIT_MONTH, full, nfiles=4)}
    return files | ({"pins.yaml": yaml.safe_dump(pins)} if pins else {})


@hostile("dev-stable-outs")
def dev_holds_a_model_made_by_hand(hand: Hand) -> Sequence[str]:
    return [on(hand, DEV, {"models/m.json.dvc": pointer("m.json", hand.stored("by hand"))})]


# --- Code on stable ---------------------------------------------------------------------------


@hostile("stable-code")
def stable_gets_code_by_a_plain_commit(hand: Hand) -> Sequence[str]:
    return [on(hand, STABLE, {"train.py": EVIL_TRAIN})]


@hostile("stable-code")
def stable_gets_another_file_by_a_plain_commit(hand: Hand) -> Sequence[str]:
    return [on(hand, STABLE, {"conftest.py": EVIL_TRAIN})]


@hostile("stable-code")
def stable_loses_a_file_by_a_plain_commit(hand: Hand) -> Sequence[str]:
    return [on(hand, STABLE, {"check.py": None})]


@hostile("stable-code")
def stable_gets_another_pipeline(hand: Hand) -> Sequence[str]:
    pipeline = hand.read(hand.tip(STABLE), "dvc.yaml").replace("train.scale", "train.other")
    return [on(hand, STABLE, {"dvc.yaml": pipeline})]


@hostile("stable-code")
def code_on_stable_comes_and_goes_in_one_push(hand: Hand) -> Sequence[str]:
    evil = hand.commit(hand.tip(STABLE), {"train.py": EVIL_TRAIN})
    train = hand.read(hand.tip(STABLE), "train.py")
    return [branch(hand.commit(evil, {"train.py": train}), STABLE)]


@hostile("stable-code")
def stable_gets_code_by_the_merge_of_a_feature_branch(hand: Hand) -> Sequence[str]:
    feature = hand.commit(hand.tip(STABLE), {"train.py": EVIL_TRAIN})
    merged = hand.commit(hand.tip(STABLE), {"train.py": EVIL_TRAIN}, "Merge", merge=[feature])
    return [branch(feature, "feature/x"), branch(merged, STABLE)]


@hostile("stable-code")
def stable_gets_code_by_a_fast_forward_to_a_feature_branch(hand: Hand) -> Sequence[str]:
    feature = hand.commit(hand.tip(STABLE), {"train.py": EVIL_TRAIN})
    return [branch(feature, "feature/x"), branch(feature, STABLE)]


@hostile("stable-code")
def a_promotion_is_reverted_on_stable(hand: Hand) -> Sequence[str]:
    before = hand.read(hand.tip(STABLE), "train.py")
    code = {"train.py": f"{before}# better\n"}
    dev = hand.commit(hand.tip(DEV), code)
    message = f"Promote\n\nPromoted-from: {DEV}@{dev}\n"
    promoted = hand.commit(hand.tip(STABLE), code, message, merge=[dev])
    hand.push_legally(branch(dev, DEV), branch(promoted, STABLE))
    return [on(hand, STABLE, {"train.py": before}, f"Revert\n\nThis reverts {promoted}.\n")]


@hostile("stable-code")
def stable_gets_code_by_a_submodule(hand: Hand) -> Sequence[str]:
    modules = '[submodule "lib"]\n\tpath = lib\n\turl = https://example.com/lib\n'
    return [on(hand, STABLE, {".gitmodules": modules, "lib": submodule(NO_SHA)})]


@hostile("stable-code")
def stable_gets_a_submodule_and_nothing_that_says_so(hand: Hand) -> Sequence[str]:
    return [on(hand, STABLE, {"lib": submodule(NO_SHA)})]


@hostile("stable-code")
def a_submodule_takes_the_place_of_code_on_stable(hand: Hand) -> Sequence[str]:
    return [on(hand, STABLE, {"train.py": submodule(NO_SHA)})]


@hostile("stable-code")
def a_link_takes_the_place_of_code_on_stable(hand: Hand) -> Sequence[str]:
    return [on(hand, STABLE, {"train.py": link("metrics.json")})]


@hostile("stable-code")
def a_link_of_the_same_bytes_takes_the_place_of_code_on_stable(hand: Hand) -> Sequence[str]:
    same = Item("120000", hand.read(hand.tip(STABLE), "train.py"))
    return [on(hand, STABLE, {"train.py": same})]


@hostile("stable-code")
def code_on_stable_becomes_executable(hand: Hand) -> Sequence[str]:
    same = executable(hand.read(hand.tip(STABLE), "train.py"))
    return [on(hand, STABLE, {"train.py": same})]


@hostile("stable-code")
def new_code_on_stable_is_called_an_out_in_its_lock(hand: Hand) -> Sequence[str]:
    return [on(hand, STABLE, {"helper.py": EVIL_TRAIN, **lock_with(hand, "helper.py")})]


@hostile("stable-code")
def changed_code_on_stable_is_called_an_out_in_its_lock(hand: Hand) -> Sequence[str]:
    return [on(hand, STABLE, {"train.py": EVIL_TRAIN, **lock_with(hand, "train.py")})]


@hostile("stable-code")
def a_folder_of_code_on_stable_is_called_an_out_in_its_lock(hand: Hand) -> Sequence[str]:
    return [on(hand, STABLE, {"src/train.py": EVIL_TRAIN, **lock_with(hand, "src")})]


def lock_with(hand: Hand, path: str) -> dict[str, str]:
    lock = yaml.safe_load(hand.read(hand.tip(STABLE), "dvc.lock"))
    out = {"path": path, "hash": "md5", "md5": hand.stored(EVIL_TRAIN), "size": 18}
    lock["stages"]["train"]["outs"].append(out)
    return {"dvc.lock": yaml.safe_dump(lock)}


@hostile("stable-code")
def a_stable_branch_is_made_without_a_promotion(hand: Hand) -> Sequence[str]:
    tip = hand.commit(hand.tip(DEV), {"train.py": EVIL_TRAIN})
    return [branch(tip, "dev/other"), branch(tip, "stable/other")]


@hostile("stable-code", "tag-true")
def a_release_of_code_that_a_forced_dev_branch_hides(hand: Hand) -> Sequence[str]:
    evil = hand.commit(hand.tip(STABLE), {"train.py": EVIL_TRAIN})
    back = hand.commit(evil, {"train.py": hand.read(hand.tip(STABLE), "train.py")})
    released = tag(hand.tag(NEW_TAG, evil), NEW_TAG)
    return [branch(evil, DEV, force=True), branch(back, STABLE), released]


@hostile("stable-code", "tag-true")
def a_release_of_code_that_a_second_trailer_hides(hand: Hand) -> Sequence[str]:
    train = hand.read(hand.tip(STABLE), "train.py")
    evil = hand.commit(hand.tip(STABLE), {"train.py": EVIL_TRAIN})
    trailers = f"Promoted-from: {DEV}@{evil}\nPromoted-from: {DEV}@{hand.tip(DEV)}\n"
    back = hand.commit(evil, {"train.py": train}, f"Promote\n\n{trailers}")
    return [branch(back, STABLE), tag(hand.tag(NEW_TAG, evil), NEW_TAG)]


@hostile("stable-code")
def code_on_stable_lies_below_a_pin(hand: Hand) -> Sequence[str]:
    return [on(hand, STABLE, {f"{SPLIT_MONTH}/train.py": EVIL_TRAIN})]


@hostile("stable-code")
def a_promotion_names_a_commit_that_is_on_no_dev_branch(hand: Hand) -> Sequence[str]:
    evil = hand.commit(hand.tip(DEV), {"train.py": EVIL_TRAIN})
    return [promotion(hand, evil, f"{DEV}@{evil}", {"train.py": EVIL_TRAIN})]


@hostile("stable-code")
def a_promotion_names_a_commit_that_is_on_a_feature_branch_only(hand: Hand) -> Sequence[str]:
    evil = hand.commit(hand.tip(DEV), {"train.py": EVIL_TRAIN})
    promoted = promotion(hand, evil, f"{DEV}@{evil}", {"train.py": EVIL_TRAIN})
    return [branch(evil, "feature/x"), promoted]


@hostile("stable-code")
def a_promotion_names_a_commit_of_another_models_dev_branch(hand: Hand) -> Sequence[str]:
    evil = hand.commit(hand.tip(DEV), {"train.py": EVIL_TRAIN})
    promoted = promotion(hand, evil, f"dev/other@{evil}", {"train.py": EVIL_TRAIN})
    return [branch(evil, "dev/other"), promoted]


@hostile("stable-code")
def a_promotion_names_a_commit_that_does_not_exist(hand: Hand) -> Sequence[str]:
    dev = hand.tip(DEV)
    return [promotion(hand, dev, f"{DEV}@{NO_SHA}", {"train.py": EVIL_TRAIN})]


@hostile("stable-code")
def a_promotion_brings_more_than_the_commit_it_names(hand: Hand) -> Sequence[str]:
    dev = hand.tip(DEV)
    return [promotion(hand, dev, f"{DEV}@{dev}", {"train.py": EVIL_TRAIN})]


def promotion(hand: Hand, merged: str, named: str, files: Files) -> str:
    return on(hand, STABLE, files, f"Promote\n\nPromoted-from: {named}\n", merge=[merged])


# --- Pins -------------------------------------------------------------------------------------


@hostile("pins-true")
def a_pin_names_a_commit_that_is_not_on_the_upstream(hand: Hand) -> Sequence[str]:
    grown = month_with_one_more(hand)
    side = hand.commit(hand.tip("raw"), grown, SOURCE)
    files = {**grown, "pins.yaml": f"raw: {side}\n"}
    return [on(hand, "clean", files, merge=[side])]


@hostile("pins-true")
def a_pin_names_a_commit_of_a_feature_branch(hand: Hand) -> Sequence[str]:
    grown = month_with_one_more(hand)
    side = hand.commit(hand.tip("raw"), grown, SOURCE)
    files = {**grown, "pins.yaml": f"raw: {side}\n"}
    return [branch(side, "feature/raw"), on(hand, "clean", files, merge=[side])]


@hostile("pins-true")
def a_pin_names_a_commit_whose_data_the_upstream_never_published(hand: Hand) -> Sequence[str]:
    test, train = sides(hand)
    listed = [*test, *train, Entry("train/x.csv", hand.stored("id,value\nx,1\n"))]
    side = hand.commit(hand.tip("split"), split_with(hand, listed))
    merged = on(hand, "split", {"notes.md": "x\n"}, "Merge and keep ours", merge=[side])
    full = pointer(SPLIT_MONTH, hand.directory(listed), nfiles=len(listed))
    files = {f"{SPLIT_MONTH}.dvc": full, "pins.yaml": f"split: {side}\n"}
    return [merged, on(hand, STABLE, files, merge=[side])]


@hostile("pins-true")
def a_pin_names_a_commit_that_does_not_exist(hand: Hand) -> Sequence[str]:
    return [on(hand, "clean", {"pins.yaml": f"raw: {NO_SHA}\n"})]


@hostile("pins-true")
def a_pin_names_an_older_commit_than_its_data(hand: Hand) -> Sequence[str]:
    older = hand.sh.git("rev-parse", f"{hand.tip('raw')}~1")
    return [on(hand, "clean", {"pins.yaml": f"raw: {older}\n"})]


@hostile("pins-true")
def a_pin_holds_other_content_than_the_upstream_published(hand: Hand) -> Sequence[str]:
    return [on(hand, "clean", month_with_one_more(hand))]


@hostile("pins-true")
def a_pin_leaves_a_part_out(hand: Hand) -> Sequence[str]:
    return [on(hand, "clean", {f"{LATER_MONTH}.dvc": None})]


@hostile("pins-true", "outs-at-home")
def a_pin_adds_a_part_of_its_own(hand: Hand) -> Sequence[str]:
    own = month_with(hand, month_of(hand), month="data/raw/2024-09")
    return [on(hand, "clean", own)]


@hostile("pins-true")
def a_pin_of_stable_holds_other_content_than_split_published(hand: Hand) -> Sequence[str]:
    listed = hand.listed(hand.made_oid(hand.tip("split"), SPLIT_MONTH))
    other = pointer(SPLIT_MONTH, hand.directory(listed[1:]), nfiles=len(listed) - 1)
    return [on(hand, STABLE, {f"{SPLIT_MONTH}.dvc": other})]


@hostile("pins-true")
def a_pinned_commit_is_not_in_the_branchs_history(hand: Hand) -> Sequence[str]:
    grown = month_with_one_more(hand)
    hand.push_legally(on(hand, "raw", grown, SOURCE))
    files = {**grown, "pins.yaml": f"raw: {hand.tip('raw')}\n"}
    return [on(hand, "clean", files)]


@hostile("pins-true")
def a_sample_is_not_what_the_pin_says(hand: Hand) -> Sequence[str]:
    listed = hand.listed(hand.pinned_oid(hand.tip(DEV), SPLIT_MONTH))
    chosen = [*listed[:-1], Entry(listed[-1].relpath, hand.stored("easier"))]
    other = pointer(SPLIT_MONTH, hand.directory(chosen), nfiles=len(chosen))
    return [on(hand, DEV, {f"{SPLIT_MONTH}.dvc": other})]


@hostile("pins-true", "outs-at-home")
def the_pins_are_gone_and_the_data_stay(hand: Hand) -> Sequence[str]:
    return [on(hand, "clean", {"pins.yaml": None})]


@hostile("clean-accounts")
def a_report_of_clean_does_not_add_up(hand: Hand) -> Sequence[str]:
    report = json.dumps({"rows": 80, "kept": 60, "rejected": 8})
    return [on(hand, "clean", {"reports/clean/2024-01.json": f"{report}\n"})]


# --- The split --------------------------------------------------------------------------------


def split_with(hand: Hand, listed: Sequence[Entry], *, path: str = SPLIT_MONTH) -> Files:
    """What changes in the split's lock when a partition has these files."""
    lock = hand.read(hand.tip("split"), "dvc.lock")
    old = hand.made_oid(hand.tip("split"), path)
    return {"dvc.lock": lock.replace(old, hand.directory(listed))}


def sides(hand: Hand) -> tuple[list[Entry], list[Entry]]:
    listed = hand.listed(hand.made_oid(hand.tip("split"), SPLIT_MONTH))
    test = [entry for entry in listed if entry.relpath.startswith("test/")]
    return test, [entry for entry in listed if entry not in test]


@hostile("split-stays")
def a_sample_moves_from_test_to_train(hand: Hand) -> Sequence[str]:
    (moved, *test), train = sides(hand)
    return [on(hand, "split", split_with(hand, [*test, *train, Entry("train/x.csv", moved.oid)]))]


@hostile("split-stays")
def a_sample_moves_from_test_to_train_under_its_name(hand: Hand) -> Sequence[str]:
    (old, *test), train = sides(hand)
    freed = [entry for entry in train if entry.relpath != old.relpath.replace("test/", "train/")]
    moved = Entry(old.relpath.replace("test/", "train/"), old.oid)
    return [on(hand, "split", split_with(hand, [*test, *freed, moved]))]


@hostile("split-stays")
def a_sample_moves_from_train_to_test_of_another_month(hand: Hand) -> Sequence[str]:
    test, (moved, *train) = sides(hand)
    later = "data/split/2024-02"
    listed = hand.listed(hand.made_oid(hand.tip("split"), later))
    lock = str(split_with(hand, [*test, *train])["dvc.lock"])
    old = hand.made_oid(hand.tip("split"), later)
    new = hand.directory([*listed, Entry("test/x.csv", moved.oid)])
    return [on(hand, "split", {"dvc.lock": lock.replace(old, new)})]


@hostile("split-stays")
def a_sample_moves_behind_a_merge_into_clean(hand: Hand) -> Sequence[str]:
    (moved, *test), train = sides(hand)
    files = split_with(hand, [*test, *train, Entry("train/x.csv", moved.oid)])
    bad = hand.commit(hand.tip("split"), files)
    merged = on(hand, "clean", {}, "Merge", merge=[bad])
    return [merged, branch(hand.commit(bad, {"notes.md": "x\n"}), "split")]


@hostile("split-disjoint")
def one_content_stands_on_two_sides(hand: Hand) -> Sequence[str]:
    test, train = sides(hand)
    listed = [*test, *train, Entry("train/x.csv", test[0].oid)]
    return [on(hand, "split", split_with(hand, listed))]


@hostile("split-disjoint")
def one_content_stands_on_two_sides_of_different_months(hand: Hand) -> Sequence[str]:
    test, _ = sides(hand)
    later = "data/split/2024-02"
    listed = hand.listed(hand.made_oid(hand.tip("split"), later))
    more = [*listed, Entry("train/x.csv", test[0].oid)]
    return [on(hand, "split", split_with(hand, more, path=later))]


# --- The config -------------------------------------------------------------------------------


def config_with(hand: Hand, name: str, **more: object) -> str:
    """branchflow.yaml with the entry of a branch changed."""
    config = yaml.safe_load(hand.read(hand.tip("main"), "branchflow.yaml"))
    config["branches"][name] |= more
    return yaml.safe_dump(config)


@hostile("raw-append-only")
def a_config_turns_the_rule_off_in_the_same_push(hand: Hand) -> Sequence[str]:
    config = config_with(hand, "raw", rules={"raw-append-only": "off"})
    bad = on(hand, "raw", month_without_its_first_file(hand), SOURCE)
    return [on(hand, "main", {"branchflow.yaml": config}), bad]


@hostile("raw-append-only")
def a_config_turns_the_rule_to_a_warning_in_the_same_push(hand: Hand) -> Sequence[str]:
    config = config_with(hand, "raw", rules={"raw-append-only": "warn"})
    bad = on(hand, "raw", month_without_its_first_file(hand), SOURCE)
    return [bad, on(hand, "main", {"branchflow.yaml": config})]


@hostile("raw-append-only")
def a_config_makes_raw_a_dev_branch_in_the_same_push(hand: Hand) -> Sequence[str]:
    config = yaml.safe_load(hand.read(hand.tip("main"), "branchflow.yaml"))
    config["branches"] = {"raw": {"role": "dev"}, "main": {"role": "main"}}
    changed = on(hand, "main", {"branchflow.yaml": yaml.safe_dump(config)})
    return [changed, on(hand, "raw", month_without_its_first_file(hand), SOURCE)]


@hostile("raw-append-only")
def a_config_on_raw_itself_drops_the_rules(hand: Hand) -> Sequence[str]:
    config = {"branchflow.yaml": "branches: {raw: {role: dev}}\n"}
    return [on(hand, "raw", {**config, **month_without_its_first_file(hand)}, SOURCE)]


@hostile("config-valid")
def a_config_that_is_no_yaml(hand: Hand) -> Sequence[str]:
    return [on(hand, "main", {"branchflow.yaml": "branches: {raw: [\n"})]


@hostile("config-valid")
def a_config_with_an_unknown_key(hand: Hand) -> Sequence[str]:
    return [on(hand, "main", {"branchflow.yaml": config_with(hand, "raw", rolle="raw")})]


@hostile("config-valid")
def a_config_that_is_removed(hand: Hand) -> Sequence[str]:
    return [on(hand, "main", {"branchflow.yaml": None})]


@hostile("config-valid", "bad-metadata")
def a_config_that_is_a_link(hand: Hand) -> Sequence[str]:
    return [on(hand, "main", {"branchflow.yaml": link("README.md")})]


# --- Tags -------------------------------------------------------------------------------------


@hostile("tag-moved")
def a_release_tag_is_moved(hand: Hand) -> Sequence[str]:
    return [tag(hand.tag(FIRST_TAG, hand.tip(STABLE)), FIRST_TAG, force=True)]


@hostile("tag-moved")
def a_release_tag_gets_another_message(hand: Hand) -> Sequence[str]:
    same = hand.sh.git("rev-parse", f"{SECOND_TAG}^{{commit}}")
    return [tag(hand.tag(SECOND_TAG, same), SECOND_TAG, force=True)]


@hostile("tag-moved")
def a_release_tag_is_deleted(hand: Hand) -> Sequence[str]:
    return [f":refs/tags/{FIRST_TAG}"]


@hostile("tag-moved")
def a_release_tag_becomes_a_lightweight_one(hand: Hand) -> Sequence[str]:
    same = hand.sh.git("rev-parse", f"{FIRST_TAG}^{{commit}}")
    return [tag(same, FIRST_TAG, force=True)]


@hostile("tag-moved")
def a_channels_tag_is_moved(hand: Hand) -> Sequence[str]:
    hand.push_legally(tag(hand.tag(PROD, hand.tip(STABLE)), PROD))
    first = hand.sh.git("rev-parse", f"{FIRST_TAG}^{{commit}}")
    return [tag(hand.tag(PROD, first), PROD, force=True)]


@hostile("tag-true")
def a_new_release_tag_is_lightweight(hand: Hand) -> Sequence[str]:
    return [tag(hand.tip(STABLE), NEW_TAG)]


@hostile("tag-true")
def a_new_release_tag_points_at_a_dev_commit(hand: Hand) -> Sequence[str]:
    return [tag(hand.tag(NEW_TAG, hand.tip(DEV)), NEW_TAG)]


@hostile("tag-true")
def a_new_release_tag_points_at_a_commit_of_no_branch(hand: Hand) -> Sequence[str]:
    side = hand.commit(hand.tip(STABLE), {"train.py": EVIL_TRAIN})
    return [tag(hand.tag(NEW_TAG, side), NEW_TAG)]


@hostile("tag-true")
def a_new_release_tag_points_at_a_file(hand: Hand) -> Sequence[str]:
    return [tag(hand.tag(NEW_TAG, hand.blob("x"), kind="blob"), NEW_TAG)]


@hostile("tag-true")
def a_new_release_tag_carries_another_name(hand: Hand) -> Sequence[str]:
    return [tag(hand.tag("m@v9.0.0", hand.tip(STABLE)), NEW_TAG)]


@hostile("tag-true")
def a_new_release_tag_points_at_a_pinned_commit_of_split(hand: Hand) -> Sequence[str]:
    return [tag(hand.tag(NEW_TAG, hand.tip("split")), NEW_TAG)]


@hostile("tag-true")
def a_release_gets_a_second_tag_elsewhere(hand: Hand) -> Sequence[str]:
    """GTO reads the same version out of both, and `dvc artifacts get` takes the later one."""
    name = f"{FIRST_TAG}#7"
    return [tag(hand.tag(name, hand.tip(STABLE)), name)]


@hostile("tag-true")
def a_first_release_candidate_is_of_a_dev_commit(hand: Hand) -> Sequence[str]:
    name = f"{MODEL}@v9.0.0-rc.1"
    return [tag(hand.tag(name, hand.tip(DEV)), name)]


@hostile("channel-true")
def what_was_never_released_is_put_into_a_channel(hand: Hand) -> Sequence[str]:
    never = hand.sh.git("rev-parse", f"{hand.tip(STABLE)}~2")
    return [tag(hand.tag(PROD, never), PROD)]


@hostile("channel-true")
def a_channel_gets_a_lightweight_tag(hand: Hand) -> Sequence[str]:
    return [tag(hand.sh.git("rev-parse", f"{FIRST_TAG}^{{commit}}"), PROD)]


@hostile("channel-true")
def a_channels_tag_carries_another_name(hand: Hand) -> Sequence[str]:
    return [tag(hand.tag(f"{MODEL}#staging#1", hand.tip(STABLE)), PROD)]


@hostile("channel-true")
def a_release_of_another_model_is_put_into_a_channel(hand: Hand) -> Sequence[str]:
    """A tag that nobody judges, since no branch makes its model, makes no release of ours."""
    other, dev = f"{MODEL}x@v1.0.0", hand.tip(DEV)
    return [tag(hand.tag(other, dev), other), tag(hand.tag(PROD, dev), PROD)]


@hostile("tag-moved")
def a_deprecation_is_deleted(hand: Hand) -> Sequence[str]:
    name = f"{MODEL}@deprecated"
    hand.push_legally(tag(hand.tag(name, hand.tip(STABLE)), name))
    return [f":refs/tags/{name}"]


@hostile("inputs-true")
def a_release_names_data_that_its_run_never_read(hand: Hand) -> Sequence[str]:
    stable, split = hand.tip(STABLE), hand.sh.git("rev-parse", f"{hand.tip('split')}~1")
    files = {"pins.yaml": f"split: {split}\n", "data/split/2024-02.dvc": None}
    unread = hand.commit(stable, files)
    return [branch(unread, STABLE), tag(hand.tag(NEW_TAG, unread), NEW_TAG)]


# --- Large, and not what it seems -------------------------------------------------------------


@hostile("lfs-pointer")
def a_git_lfs_pointer(hand: Hand) -> Sequence[str]:
    return [on(hand, DEV, {"weights.bin": LFS_POINTER})]


@hostile("big-file-in-git")
def a_file_of_6_mib(hand: Hand) -> Sequence[str]:
    return [on(hand, DEV, {"weights.bin": object_at(hand.zeros(6 * MIB))})]


@hostile("big-file-in-git")
def a_file_of_100_mb(hand: Hand) -> Sequence[str]:
    return [on(hand, "main", {"weights.bin": object_at(hand.zeros(100 * 1000 * 1000))})]


@hostile("big-file-in-git")
def a_big_file_on_a_branch_without_a_role(hand: Hand) -> Sequence[str]:
    big = hand.commit(hand.tip("main"), {"weights.bin": object_at(hand.zeros(6 * MIB))})
    return [branch(big, "feature/x")]


@hostile("big-file-in-git")
def a_big_file_that_comes_and_goes_in_a_merged_side_branch(hand: Hand) -> Sequence[str]:
    dev = hand.tip(DEV)
    big = hand.commit(dev, {"weights.bin": object_at(hand.zeros(6 * MIB))})
    gone = hand.commit(big, {"weights.bin": None})
    return [branch(hand.commit(dev, {"notes.md": "x\n"}, "Merge", merge=[gone]), DEV)]


@hostile("big-file-in-git")
def a_big_file_that_a_merge_itself_brings(hand: Hand) -> Sequence[str]:
    side = hand.commit(hand.tip(DEV), {"notes.md": "x\n"})
    files = {"notes.md": "x\n", "weights.bin": object_at(hand.zeros(6 * MIB))}
    return [branch(hand.commit(hand.tip(DEV), files, "Merge", merge=[side]), DEV)]


@hostile("big-file-in-git", "bad-metadata")
def a_pointer_of_50_mb(hand: Hand) -> Sequence[str]:
    line = f"- md5: {SOME_OID}\n  size: 1\n  hash: md5\n  path: x\n"
    text = "outs:\n" + line * (50_000_000 // len(line))
    return [on(hand, DEV, {"evil.dvc": text})]


# --- Metadata that does harm ------------------------------------------------------------------


def out_at(path: str) -> str:
    return f"outs:\n- md5: {SOME_OID}\n  size: 1\n  hash: md5\n  path: {path}\n"


BOMB = "".join(
    f"{name}: &{name} [{', '.join([f'*{other}'] * 9)}]\n"
    for other, name in zip("abcdefgh", "bcdefghi", strict=True)
)
EVIL_METADATA: dict[str, tuple[str, Content | Item]] = {
    "a path out of the repository": ("evil.dvc", out_at("../evil")),
    "a long way out of the repository": ("data/evil.dvc", out_at("x/../../../../evil")),
    "an absolute path": ("evil.dvc", out_at("/etc/cron.d/evil")),
    "a path into .git": ("evil.dvc", out_at(".git/hooks/post-checkout")),
    "a working folder outside": ("evil.dvc", f"wdir: ../..\n{out_at('evil')}"),
    "a key that stands twice": ("evil.dvc", out_at("evil") + out_at("other")),
    "aliases that explode": ("evil.dvc", f"a: &a [x, x]\n{BOMB}outs: []\n"),
    "NUL bytes": ("evil.dvc", b"outs:\n- md5: \0\0\0\n  path: x\0y\n"),
    "no UTF-8": ("evil.dvc", b"outs:\n- path: \xff\xfe\xfa\n"),
    "thousands of brackets": ("evil.dvc", f"outs: {'[' * 100_000}"),
    "deep nesting by indentation": (
        "evil.dvc",
        "".join(f"{' ' * depth}a:\n" for depth in range(2000)),
    ),
    "an oid that is a path": ("evil.dvc", out_at("evil").replace(SOME_OID, "../../../etc/passwd")),
    "a tag that calls Python": ("evil.dvc", "outs: !!python/object/apply:os.system ['id']\n"),
    "a pointer that is a link": ("evil.dvc", link("/etc/passwd")),
    "a lock whose aliases explode": ("dvc.lock", f"a: &a [x, x]\n{BOMB}stages: {{}}\n"),
    "a lock of NUL bytes": ("dvc.lock", b"\0" * 1000),
    "a lock whose out leads outside": (
        "dvc.lock",
        json.dumps(
            {
                "schema": "2.0",
                "stages": {
                    "a": {
                        "cmd": "a",
                        "outs": [{"path": "../x", "hash": "md5", "md5": SOME_OID}],
                    }
                },
            }
        ),
    ),
    "a lock that is a link": ("dvc.lock", link("metrics.json")),
    "a pipeline whose aliases explode": ("dvc.yaml", f"a: &a [x, x]\n{BOMB}stages: {{}}\n"),
    "a pipeline whose out leads outside": (
        "dvc.yaml",
        "stages:\n  a:\n    cmd: a\n    outs: [../../evil]\n",
    ),
    "a pipeline whose out is absolute": (
        "dvc.yaml",
        "stages:\n  a:\n    cmd: a\n    outs: [/tmp/evil]\n",
    ),
    "a pipeline whose working folder is outside": (
        "dvc.yaml",
        "stages:\n  a:\n    cmd: a\n    wdir: ../..\n    outs: [evil]\n",
    ),
    "a pipeline in a folder whose out leads outside": (
        "sub/dvc.yaml",
        "stages:\n  a:\n    cmd: a\n    outs: [../../evil]\n",
    ),
    "pins that stand twice": ("pins.yaml", f"split: {NO_SHA}\nsplit: {NO_SHA}\n"),
    "pins that are a list": ("pins.yaml", f"- {NO_SHA}\n"),
    "pins that are a link": ("pins.yaml", link("params.yaml")),
    "pins whose commit is an option": ("pins.yaml", "split: --output=pwned\n"),
}


@pytest.mark.parametrize("name", EVIL_METADATA)
def test_metadata_that_does_harm_is_refused(hand: Hand, name: str) -> None:
    path, content = EVIL_METADATA[name]
    refuses(hand, [on(hand, DEV, {path: content})], "bad-metadata")


EVIL_FRACTIONS = ["-0.5", "0", ".nan", ".inf", f"1{'0' * 400}", "[0.5]", "'0.5'"]


@pytest.mark.parametrize("fraction", EVIL_FRACTIONS, ids=lambda text: text[:8])
def test_a_sample_that_is_no_fraction_is_refused(hand: Hand, fraction: str) -> None:
    pins = hand.read(hand.tip(DEV), "pins.yaml").replace("fraction: 0.5", f"fraction: {fraction}")
    refspec = on(hand, DEV, {"pins.yaml": pins})
    refuses(hand, [refspec], "bad-metadata", "pins-true", "dev-sample")


HOSTILE_NAMES = [".git", ".GIT", "..", "line\nbreak", "escape\x1b[2J", "git~1"]


@pytest.mark.parametrize("name", HOSTILE_NAMES, ids=repr)
def test_a_hostile_file_name_is_refused(hand: Hand, name: str) -> None:
    refuses(hand, [branch(hand.tree_with(hand.tip(DEV), name), DEV)], "hostile-path")


# --- Names of refs ----------------------------------------------------------------------------

TRICKS = {
    "a command": "dev/$(touch${IFS}pwned)",
    "a command in backticks": "dev/`touch${IFS}pwned`",
    "a second command": "dev/x;touch${IFS}pwned;",
    "a pipe": "dev/x|touch${IFS}pwned",
    "quotes": "dev/x'\"touch${IFS}pwned\"'",
    "a redirection": "dev/x>pwned",
    "an option": "dev/--output=pwned",
    "another case of raw": "Raw",
    "another case below dev": "dev/M",
    "a variable": "dev/$HOME",
    "an escape": "dev/%2e%2e",
    "what looks like a full ref": "refs/heads/raw",
}


@pytest.mark.parametrize("trick", TRICKS)
def test_a_branch_name_that_is_a_trick_is_refused_and_does_nothing(hand: Hand, trick: str) -> None:
    refuses(hand, [branch(hand.tip(DEV), TRICKS[trick])], "ref-name")


def test_a_tag_name_that_is_a_trick_is_refused_and_does_nothing(hand: Hand) -> None:
    refuses(hand, [tag(hand.tip("main"), "$(touch${IFS}pwned)")], "ref-name")


# --- Roles that the flow does not have yet ------------------------------------------------------


def with_role(hand: Hand, name: str, **entry: object) -> None:
    """Have main's config give a branch a role."""
    config = yaml.safe_load(hand.read(hand.tip("main"), "branchflow.yaml"))
    config["branches"][name] = entry
    hand.push_legally(on(hand, "main", {"branchflow.yaml": yaml.safe_dump(config)}))


LOG = "data/monitor/2024-01"


def log_with(hand: Hand, *names: str) -> dict[str, str]:
    listed = [Entry(name, hand.stored(name)) for name in names]
    return {f"{LOG}.dvc": pointer(LOG, hand.directory(listed), nfiles=len(listed))}


@hostile("monitor-append-only")
def what_production_saw_is_changed(hand: Hand) -> Sequence[str]:
    with_role(hand, "monitor/*", role="monitor", data="data/monitor")
    log = hand.commit(None, log_with(hand, "a", "b"), SOURCE)
    hand.push_legally(branch(log, "monitor/m"))
    return [branch(hand.commit(log, log_with(hand, "a", "c"), SOURCE), "monitor/m")]


@hostile("monitor-source")
def what_production_saw_has_no_source(hand: Hand) -> Sequence[str]:
    with_role(hand, "monitor/*", role="monitor", data="data/monitor")
    return [branch(hand.commit(None, log_with(hand, "a")), "monitor/m")]


@hostile("analysis-plan")
def data_are_looked_at_before_there_is_a_plan(hand: Hand) -> Sequence[str]:
    with_role(hand, "analysis/*", role="analysis", **{"from": ["raw"]})
    raw = hand.tip("raw")
    paths = [f"{MONTH}.dvc", f"{LATER_MONTH}.dvc"]
    files = {**{path: hand.read(raw, path) for path in paths}, "pins.yaml": f"raw: {raw}\n"}
    looked = hand.commit(hand.tip("main"), files, merge=[raw])
    return [branch(hand.commit(looked, {"experiment.yaml": "question: x\n"}), "analysis/x")]


# --- All of them ------------------------------------------------------------------------------


def refuses(hand: Hand, refspecs: Sequence[str], *codes: str) -> None:
    """The hook refuses a push and nothing moves; without the hook all of it moves."""
    before = hand.flow.refs()
    assert_refused(hand.push(*refspecs), *codes)
    assert hand.flow.refs() == before
    assert not [path for path in hand.flow.root.parent.rglob("*") if path.name == "pwned"]
    unguard(hand.flow.origin)
    assert_accepted(hand.push(*refspecs))
    assert hand.flow.refs() != before


@pytest.mark.parametrize(("attack", "codes"), ATTACKS)
def test_a_hostile_push_is_refused(hand: Hand, attack: Attack, codes: Sequence[str]) -> None:
    refuses(hand, attack(hand), *codes)


def test_hostile_pushes_over_tcp_are_refused(hand: Hand) -> None:
    before = hand.flow.refs()
    raw = on(hand, "raw", month_without_its_first_file(hand), SOURCE)
    attacks = {
        "raw-append-only": raw,
        "ref-deleted": ":refs/heads/raw",
        "stable-code": on(hand, STABLE, {"train.py": EVIL_TRAIN}),
        "big-file-in-git": on(hand, DEV, {"weights.bin": object_at(hand.zeros(6 * MIB))}),
        "ref-name": branch(hand.tip(DEV), "dev/$(touch${IFS}pwned)"),
    }
    legal = on(hand, "main", {"docs/notes.md": "A note.\n"})
    with git_daemon(hand.flow.root, hand.sh) as url:
        for code, refspec in attacks.items():
            assert_refused(push(hand.sh, f"{url}/origin.git", refspec), code)
        assert hand.flow.refs() == before
        assert_accepted(push(hand.sh, f"{url}/origin.git", legal))


def test_one_bad_ref_holds_back_the_whole_push(hand: Hand) -> None:
    refuses(
        hand,
        [
            on(hand, "main", {"docs/notes.md": "A note.\n"}),
            on(hand, "raw", month_without_its_first_file(hand), SOURCE),
            branch(hand.commit(hand.tip(DEV), {"notes.md": "x\n"}), "feature/x"),
        ],
        "raw-append-only",
    )


def test_all_that_is_wrong_is_said_at_once(hand: Hand) -> None:
    refspecs = [
        on(hand, "raw", month_without_its_first_file(hand)),
        on(hand, "main", {"x.dvc": pointer("x", hand.stored("x"))}),
        on(hand, STABLE, {"train.py": EVIL_TRAIN}),
        f":refs/tags/{FIRST_TAG}",
    ]
    done = hand.push(*refspecs)
    for code in ("raw-append-only", "main-no-outs", "stable-code", "tag-moved"):
        assert_refused(done, code)


# --- What the server can't see ----------------------------------------------------------------


def test_an_append_is_refused_while_the_dvc_remote_is_away(hand: Hand) -> None:
    append = on(hand, "raw", month_with_one_more(hand), SOURCE)
    before = hand.flow.refs()
    away = hand.flow.store.rename(hand.flow.root / "away")
    assert_refused(hand.push(append), "unproven")
    assert hand.flow.refs() == before
    away.rename(hand.flow.store)
    assert_accepted(hand.push(append))


def test_an_append_whose_manifest_was_not_pushed_is_refused(hand: Hand) -> None:
    append = month_with_one_more(hand)
    oid = yaml.safe_load(append[f"{MONTH}.dvc"])["outs"][0]["md5"]
    hand.object_path(oid).unlink()
    refuses(hand, [on(hand, "raw", append, SOURCE)], "unproven")


def test_an_append_whose_manifest_is_not_what_its_oid_says_is_refused(hand: Hand) -> None:
    shorter = month_without_its_first_file(hand)
    oid = yaml.safe_load(shorter[f"{MONTH}.dvc"])["outs"][0]["md5"]
    old = hand.pinned_oid(hand.tip("raw"), MONTH)
    hand.object_path(oid).write_bytes(hand.object_path(old).read_bytes())
    refuses(hand, [on(hand, "raw", shorter, SOURCE)], "unproven")


@pytest.mark.parametrize("relpath", ["../../evil", "/etc/cron.d/evil", ".git/hooks/evil", "a\nb"])
def test_a_raw_manifest_that_leads_elsewhere_is_refused(hand: Hand, relpath: str) -> None:
    listed = [*month_of(hand), Entry(relpath, hand.stored("evil"))]
    append = on(hand, "raw", month_with(hand, listed), SOURCE)
    refuses(hand, [append], "bad-metadata", "hostile-path", "unproven", "raw-append-only")


def test_a_raw_manifest_that_is_no_manifest_is_refused(hand: Hand) -> None:
    text = b'[{"md5": "x", "relpath": "one.csv"}'
    oid = Oid(hand.stored(text) + ".dir")
    hand.object_path(oid).write_bytes(text)
    bad = {f"{MONTH}.dvc": pointer(MONTH, oid, nfiles=2)}
    refuses(hand, [on(hand, "raw", bad, SOURCE)], "unproven", "bad-metadata", "raw-append-only")


# --- What is meant to fool the judge ----------------------------------------------------------


def test_a_config_counts_once_it_is_on_main(hand: Hand) -> None:
    config = config_with(hand, "raw", rules={"raw-append-only": "off"})
    bad = on(hand, "raw", month_without_its_first_file(hand), SOURCE)
    assert_refused(hand.push(bad), "raw-append-only")
    hand.push_legally(on(hand, "main", {"branchflow.yaml": config}))
    assert_accepted(hand.push(bad))


def test_what_another_ref_puts_in_a_commits_place_is_not_judged(hand: Hand) -> None:
    bad = hand.commit(hand.tip("raw"), month_without_its_first_file(hand), SOURCE)
    good = hand.commit(hand.tip("raw"), month_with_one_more(hand), SOURCE)
    hand.push(f"{good}:refs/replace/{bad}")
    before = hand.flow.refs()
    assert_refused(hand.push(branch(bad, "raw")), "raw-append-only")
    assert hand.flow.refs() == before


@pytest.mark.parametrize("name", ["main", "heads/main", "raw"])
def test_a_tag_named_like_a_branch_does_not_stand_in_for_it(hand: Hand, name: str) -> None:
    config = {"branchflow.yaml": "branches: {raw: {role: dev}}\n"}
    hand.push(tag(hand.commit(hand.tip("main"), config), name))
    before = hand.flow.refs()
    bad = on(hand, "raw", month_without_its_first_file(hand), SOURCE)
    assert_refused(hand.push(bad), "raw-append-only")
    assert hand.flow.refs() == before


def test_what_a_server_fetched_does_not_stand_in_for_its_own_branches(hand: Hand) -> None:
    server = hand.sh.at(hand.flow.origin)
    server.git("remote", "add", "origin", "https://example.com/upstream.git")
    config = {"branchflow.yaml": "branches: {raw: {role: dev}}\n"}
    hand.push(f"{hand.commit(hand.tip('main'), config)}:refs/remotes/origin/main")
    before = hand.flow.refs()
    bad = on(hand, "raw", month_without_its_first_file(hand), SOURCE)
    assert_refused(hand.push(bad), "raw-append-only")
    assert hand.flow.refs() == before


def test_a_branch_that_the_servers_head_waits_for_does_not_bring_its_own_rules(hand: Hand) -> None:
    server = hand.sh.at(hand.flow.origin)
    server.git("symbolic-ref", "HEAD", "refs/heads/master")
    config = {"branchflow.yaml": "tracking: master\nbranches: {raw: {role: dev}}\n"}
    hand.push(branch(hand.commit(hand.tip("main"), config), "master"))
    before = hand.flow.refs()
    bad = on(hand, "raw", month_without_its_first_file(hand), SOURCE)
    assert_refused(hand.push(bad), "raw-append-only")
    assert hand.flow.refs() == before


def test_a_refused_commit_is_refused_again(hand: Hand) -> None:
    bad = on(hand, "raw", month_without_its_first_file(hand), SOURCE)
    for _ in range(2):
        assert_refused(hand.push(bad), "raw-append-only")
    legal = on(hand, "raw", month_with_one_more(hand), SOURCE)
    assert_accepted(hand.push(legal))
    assert_refused(hand.push(bad.replace(":", "^{commit}:"), options=["--force"]), "ref-rewritten")


def test_a_bad_commit_on_a_feature_branch_is_refused_when_it_reaches_raw(hand: Hand) -> None:
    bad = hand.commit(hand.tip("raw"), month_without_its_first_file(hand), SOURCE)
    hand.push_legally(branch(bad, "feature/x"))
    refuses(hand, [branch(bad, "raw")], "raw-append-only")
