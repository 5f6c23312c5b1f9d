"""What the server always takes: the flow done right, by plain Git and plain DVC or by our verbs."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest
import yaml

from dvc_branchflow.manifest import Entry
from tests.support.flow import (
    DEV,
    FIRST_TAG,
    MODEL,
    SECOND_TAG,
    STABLE,
    Flow,
    change_code,
    copy_flow,
    csv_files,
    finished_flow,
    laid_flow,
)
from tests.support.isolation import isolated_env
from tests.support.repos import Shell, bare_origin, missing_from_directory_remote
from tests.support.server_hooks import (
    SOURCE,
    Files,
    Hand,
    assert_accepted,
    git_daemon,
    guard,
    object_at,
    pointer,
)

pytestmark = pytest.mark.slow

MONTH = "data/raw/2024-01"
FIVE_MIB = 5 * 1024 * 1024
RELEASES = ("m@v1.0.0", "m@v1.1.0")


def assert_clean(flow: Flow) -> None:
    """The judge finds nothing in the whole history, and all that it names is stored."""
    flow.sh.git("fetch", "-q", "--tags")
    done = flow.branchflow("check", "--all")
    assert not missing_from_directory_remote(flow.origin, flow.store), done.stdout


# --- By hand ----------------------------------------------------------------------------------


@pytest.fixture
def laid(tmp_path: Path, env: dict[str, str]) -> Flow:
    """A flow laid into an origin that was guarded while it was empty; no data yet."""
    return laid_flow(guarded_root(tmp_path / "team", env), env)


def guarded_root(root: Path, env: dict[str, str]) -> Path:
    root.mkdir()
    sh = Shell(root, env)
    guard(bare_origin(root / "origin.git", sh), sh)
    return root


def test_the_whole_flow_by_plain_git_and_plain_dvc_is_accepted(laid: Flow, tmp_path: Path) -> None:
    one, two, three, four, five = csv_files(tmp_path / "inbox", "one", "two", "three", "four", "v")
    colleague = laid.new_clone("colleague").sh
    for sh in (laid.sh, colleague):
        sh.git("switch", "-q", "raw")
    add_files(laid.sh, "2024-01", one)
    laid.sh.git("push", "-q", "origin", "raw")
    add_files(laid.sh, "2024-01", two)
    laid.sh.git("push", "-q", "origin", "raw")
    add_files(colleague, "2024-02", three)
    colleague.git("pull", "-q", "--no-rebase", "--no-edit", "origin", "raw")
    colleague.git("push", "-q", "origin", "raw")
    merge_a_pull_request(laid.sh, "2024-03", four)

    pin_and_run(laid.sh, "clean", "raw", raw_pointers(laid.sh))
    pin_and_run(laid.sh, "split", "clean", pointers_of_outs(laid.sh, "clean", "data/clean"))
    laid.branchflow("pin", DEV)
    laid.sh.git("switch", "-q", DEV)
    laid.sh.git("pull", "-q")
    run_and_push(laid.sh, DEV, "Train on the sample")

    release_for_the_first_time(laid.sh)
    promote_and_release_again(laid.sh)
    assert set(RELEASES) <= set(laid.sh.at(laid.origin).git("tag").split())
    laid.ingest(five, partition="2024-04")
    laid.branchflow("sync")
    assert_clean(laid)


def add_files(sh: Shell, month: str, *files: Path) -> None:
    """Append files to a month of raw, and store and commit them; not pushed to Git yet."""
    folder = sh.cwd / "data/raw" / month
    folder.mkdir(parents=True, exist_ok=True)
    for file in files:
        shutil.copy(file, folder)
    sh.dvc("add", "-q", folder)
    sh.git("add", "-A")
    sh.git("commit", "-qm", f"Add files to {month}", "--trailer", "Source: the weather station")
    sh.dvc("push", "-q")


def merge_a_pull_request(sh: Shell, month: str, *files: Path) -> None:
    sh.git("pull", "-q", "--ff-only", "origin", "raw")
    sh.git("switch", "-q", "-c", "add-files")
    add_files(sh, month, *files)
    sh.git("push", "-q", "origin", "add-files")
    sh.git("switch", "-q", "raw")
    sh.git("merge", "-q", "--no-ff", "-m", "Merge pull request #1", "add-files")
    sh.git("push", "-q", "origin", "raw")
    sh.git("push", "-q", "origin", ":add-files")


def raw_pointers(sh: Shell) -> dict[str, str]:
    sh.git("fetch", "-q")
    paths = sh.git("ls-tree", "-r", "--name-only", "origin/raw", "data/raw/").splitlines()
    return {path: sh.run("git", "show", f"origin/raw:{path}").stdout for path in paths}


def pointers_of_outs(sh: Shell, branch: str, data: str) -> dict[str, str]:
    """What `dvc.lock` says of a branch's outs, as pointer files."""
    stages = yaml.safe_load(sh.git("show", f"origin/{branch}:dvc.lock"))["stages"].values()
    outs = [out for stage in stages for out in stage["outs"] if out["path"].startswith(data)]
    return {f"{out['path']}.dvc": yaml.safe_dump(_pointed(out), sort_keys=False) for out in outs}


def _pointed(out: Mapping[str, object]) -> dict[str, object]:
    keys = ("md5", "size", "nfiles", "hash")
    name = Path(str(out["path"])).name
    return {"outs": [{key: out[key] for key in keys if key in out} | {"path": name}]}


def pin(sh: Shell, upstream: str, pointers: Mapping[str, str]) -> None:
    """Put pointers and the records of a pin into the checkout."""
    commit = sh.git("rev-parse", f"origin/{upstream}")
    months = sorted(Path(path).stem for path in pointers)
    records = {
        "pins.yaml": yaml.safe_dump({upstream: commit}),
        "partitions.yaml": yaml.safe_dump({"partitions": {upstream: months}}),
    }
    for path, text in {**pointers, **records}.items():
        (sh.cwd / path).parent.mkdir(parents=True, exist_ok=True)
        (sh.cwd / path).write_text(text, encoding="utf-8")


def pin_and_run(sh: Shell, branch: str, upstream: str, pointers: Mapping[str, str]) -> None:
    sh.git("switch", "-q", branch)
    sh.git("merge", "-q", "--no-commit", "-s", "ours", f"origin/{upstream}")
    pin(sh, upstream, pointers)
    run_and_push(sh, branch, f"Pin {upstream}")


def run_and_push(sh: Shell, branch: str, message: str) -> None:
    run_and_commit(sh, message)
    sh.git("push", "-q", "origin", branch)


def run_and_commit(sh: Shell, *message: str) -> None:
    sh.dvc("pull", "-q", "--allow-missing")
    sh.dvc("repro", "-q")
    sh.git("add", "-A")
    sh.git("commit", "-qm", *message)
    sh.dvc("push", "-q")


def release_for_the_first_time(sh: Shell) -> None:
    dev = sh.git("rev-parse", DEV)
    sh.git("switch", "-q", "--no-track", "-c", STABLE, DEV)
    pin(sh, "split", pointers_of_outs(sh, "split", "data/split"))
    run_and_commit(sh, "Promote and train", "--trailer", f"Promoted-from: {DEV}@{dev}")
    tag_and_push(sh, RELEASES[0])


def promote_and_release_again(sh: Shell) -> None:
    sh.git("switch", "-q", DEV)
    (sh.cwd / "params.yaml").write_text("train:\n  scale: 1.5\n", encoding="utf-8")
    with (sh.cwd / "train.py").open("a", encoding="utf-8") as file:
        file.write("# better\n")
    sh.git("commit", "-qam", "Scale")
    sh.git("push", "-q", "origin", DEV)
    dev = sh.git("rev-parse", DEV)
    sh.git("switch", "-q", STABLE)
    sh.git("merge", "-q", "--no-commit", "-s", "ours", DEV)
    sh.git("checkout", "-q", DEV, "--", "train.py", "params.yaml")
    sh.git("commit", "-qm", "Promote", "--trailer", f"Promoted-from: {DEV}@{dev}")
    run_and_commit(sh, "Train")
    tag_and_push(sh, RELEASES[1])


def tag_and_push(sh: Shell, name: str) -> None:
    sh.git("tag", "-a", "-m", f"Release {name}", name)
    sh.git("push", "-q", "--atomic", "origin", STABLE, name)


# --- By our verbs -----------------------------------------------------------------------------


def test_the_whole_flow_by_our_verbs_is_accepted(tmp_path: Path, env: dict[str, str]) -> None:
    flow = finished_flow(guarded_root(tmp_path / "team", env), env)
    change_code(flow, 1.5)
    flow.branchflow("run", DEV)
    flow.branchflow("promote", DEV)
    flow.branchflow("release", STABLE)
    assert "m@v1.1.0" in flow.sh.at(flow.origin).git("tag").split()
    flow.branchflow("assign", SECOND_TAG, "prod")
    flow.branchflow("assign", "m@v1.1.0", "prod")
    flow.branchflow("rollback", MODEL, "prod")
    assert "m#prod#3" in flow.sh.at(flow.origin).git("tag").split()
    assert_clean(flow)


# --- One push each ----------------------------------------------------------------------------

Push = Callable[[Hand], Sequence[str]]
LEGAL = []


def legal(make: Push) -> Push:
    """Enter a push that has to be accepted."""
    LEGAL.append(pytest.param(make, id=make.__name__))
    return make


@pytest.fixture(scope="module")
def guarded(flow_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished flow with the hook on its origin; copy it, don't work in it."""
    root = tmp_path_factory.mktemp("guarded")
    for name in ("origin.git", "store", "repo"):
        shutil.copytree(flow_template / name, root / name, symlinks=True)
    guard(root / "origin.git", Shell(root, isolated_env(root / "home")))
    return root


@pytest.fixture
def hand(guarded: Path, tmp_path: Path, env: dict[str, str]) -> Hand:
    return Hand(copy_flow(guarded, tmp_path / "team", env, local=False))


def on(hand: Hand, name: str, files: Files, message: str = "Work", **more: Sequence[str]) -> str:
    return f"{hand.commit(hand.tip(name), files, message, **more)}:refs/heads/{name}"


@legal
def documents_on_main(hand: Hand) -> Sequence[str]:
    return [on(hand, "main", {"docs/notes.md": "A note.\n", "README.md": "New.\n"})]


@legal
def a_changed_config(hand: Hand) -> Sequence[str]:
    config = yaml.safe_load(hand.read(hand.tip("main"), "branchflow.yaml"))
    config["branches"] |= {"monitor/*": {"role": "monitor"}}
    return [on(hand, "main", {"branchflow.yaml": yaml.safe_dump(config)})]


@legal
def a_config_that_is_broken_and_mended_in_one_push(hand: Hand) -> Sequence[str]:
    main = hand.tip("main")
    broken = hand.commit(main, {"branchflow.yaml": "branches: 7\n"})
    mended = {"branchflow.yaml": hand.read(main, "branchflow.yaml"), "docs/notes.md": "x\n"}
    return [f"{hand.commit(broken, mended)}:refs/heads/main"]


@legal
def branches_without_a_role(hand: Hand) -> Sequence[str]:
    tip = hand.commit(hand.tip("main"), {"src/idea.py": "1\n"})
    names = ["feature/idea", "dependabot/pip/pandas-2.x", "JIRA-12_fix", "hotfix/1.0.3"]
    page = hand.commit(None, {"index.html": "<p>Hello</p>\n"})
    return [*(f"{tip}:refs/heads/{name}" for name in names), f"{page}:refs/heads/gh-pages"]


@legal
def a_feature_branch_of_every_branch(hand: Hand) -> Sequence[str]:
    names = ["raw", "clean", "split", DEV, STABLE]
    tips = [(hand.commit(hand.tip(name), {"notes.md": "x\n"}), name) for name in names]
    return [f"{tip}:refs/heads/feature/{name.replace('/', '-')}" for tip, name in tips]


@legal
def fifty_branches_at_once(hand: Hand) -> Sequence[str]:
    tip = hand.commit(hand.tip(DEV), {"idea.py": "1\n"})
    return [f"{tip}:refs/heads/dev/idea-{number}" for number in range(50)]


@legal
def a_deleted_dev_branch(hand: Hand) -> Sequence[str]:
    return [f":refs/heads/{DEV}"]


@legal
def a_dev_branch_pushed_by_force(hand: Hand) -> Sequence[str]:
    before = hand.sh.git("rev-parse", f"{hand.tip(DEV)}~1")
    return [f"+{hand.commit(before, {'train.py': '# anew'})}:refs/heads/{DEV}"]


@legal
def another_dev_branch(hand: Hand) -> Sequence[str]:
    return [f"{hand.commit(hand.tip(DEV), {'train.py': '# other'})}:refs/heads/dev/other"]


@legal
def the_merge_of_one_dev_branch_into_another(hand: Hand) -> Sequence[str]:
    side = hand.commit(hand.tip(DEV), {"idea.py": "1\n"})
    main = hand.commit(hand.tip(DEV), {"train.py": "# better\n"})
    merged = hand.commit(main, {"idea.py": "1\n"}, "Merge", merge=[side])
    return [f"{merged}:refs/heads/{DEV}"]


@legal
def tags_that_are_no_releases(hand: Hand) -> Sequence[str]:
    tip, channel = hand.tip("main"), f"{MODEL}#prod#1"
    tags = {"nightly": tip, "paper-v1": hand.tag("paper-v1", tip), "v1.0": tip}
    tags[channel] = hand.tag(channel, hand.tip(STABLE))
    return [f"{sha}:refs/tags/{name}" for name, sha in tags.items()]


@legal
def tags_in_which_gto_says_what_became_of_a_release(hand: Hand) -> Sequence[str]:
    words = ["#prod", "#prod#1", "#eu/prod#2", "#prod!#3", "@v1.0.1!#4", "@deprecated"]
    names = [f"{MODEL}{word}" for word in words]
    return [f"{hand.tag(name, hand.tip(STABLE))}:refs/tags/{name}" for name in names]


@legal
def tags_that_are_no_releases_and_move(hand: Hand) -> Sequence[str]:
    hand.push_legally(*(f"{hand.tip('main')}:refs/tags/{name}" for name in ("nightly", "old")))
    return [f"+{hand.tip('raw')}:refs/tags/nightly", ":refs/tags/old"]


@legal
def a_release_of_an_older_commit_of_stable(hand: Hand) -> Sequence[str]:
    first = hand.sh.git("rev-parse", f"{FIRST_TAG}^{{commit}}")
    return [f"{hand.tag('m@v1.0.2', first)}:refs/tags/m@v1.0.2"]


@legal
def notes_of_git(hand: Hand) -> Sequence[str]:
    hand.sh.git("notes", "add", "-m", "Looks good", hand.tip("raw"))
    return ["refs/notes/commits"]


def grown(hand: Hand, *names: str, month: str = MONTH) -> dict[str, str]:
    """The pointer of a month with more files."""
    old = hand.listed(hand.pinned_oid(hand.tip("raw"), month))
    listed = [*old, *(Entry(name, hand.stored(f"id,value\n{name},1\n")) for name in names)]
    return {f"{month}.dvc": pointer(month, hand.directory(listed), nfiles=len(listed))}


@legal
def an_append_to_raw(hand: Hand) -> Sequence[str]:
    return [on(hand, "raw", grown(hand, "a.csv", "b/c.csv", "ü b.csv"), SOURCE)]


@legal
def a_file_of_its_own_on_raw(hand: Hand) -> Sequence[str]:
    file = hand.stored("id,value\n")
    return [on(hand, "raw", {"data/raw/extra.csv.dvc": pointer("extra.csv", file)}, SOURCE)]


@legal
def a_document_on_raw_without_a_source(hand: Hand) -> Sequence[str]:
    return [on(hand, "raw", {"README.md": "What this is.\n"})]


@legal
def two_appends_to_one_month_that_meet_in_a_merge(hand: Hand) -> Sequence[str]:
    ours = hand.commit(hand.tip("raw"), grown(hand, "a.csv"), SOURCE)
    theirs = hand.commit(hand.tip("raw"), grown(hand, "b.csv"), SOURCE)
    merged = hand.commit(ours, grown(hand, "a.csv", "b.csv"), "Merge", merge=[theirs])
    return [f"{merged}:refs/heads/raw"]


@legal
def two_appends_to_two_months_that_meet_in_a_foxtrot_merge(hand: Hand) -> Sequence[str]:
    later = "data/raw/2024-02"
    theirs = hand.commit(hand.tip("raw"), grown(hand, "b.csv", month=later), SOURCE)
    hand.push_legally(f"{theirs}:refs/heads/raw")
    before = hand.sh.git("rev-parse", f"{theirs}~1")
    ours = hand.commit(before, grown(hand, "a.csv"), SOURCE)
    both = {f"{later}.dvc": hand.read(theirs, f"{later}.dvc")}
    return [f"{hand.commit(ours, both, 'Merge', merge=[theirs])}:refs/heads/raw"]


@legal
def an_append_and_its_pin_in_one_push(hand: Hand) -> Sequence[str]:
    raw = hand.commit(hand.tip("raw"), grown(hand, "a.csv"), SOURCE)
    files = {**grown(hand, "a.csv"), "pins.yaml": f"raw: {raw}\n"}
    return [f"{raw}:refs/heads/raw", on(hand, "clean", files, "Pin raw", merge=[raw])]


@legal
def a_pin_set_back_to_an_older_commit(hand: Hand) -> Sequence[str]:
    older = hand.sh.git("rev-parse", f"{hand.tip('raw')}~1")
    files = {"pins.yaml": f"raw: {older}\n", "data/raw/2024-02.dvc": None}
    return [on(hand, "clean", files, "Pin an older raw")]


@legal
def a_card_and_params_on_stable(hand: Hand) -> Sequence[str]:
    files = {"MODEL_CARD.md": "A model.\n", "params.yaml": "train:\n  scale: 2.0\n"}
    return [on(hand, STABLE, files)]


@legal
def code_and_its_promotion_in_one_push(hand: Hand) -> Sequence[str]:
    code = {"train.py": "# better\n", "helper.py": "1\n", "check.py": None}
    dev = hand.commit(hand.tip(DEV), code)
    message = f"Promote\n\nPromoted-from: {DEV}@{dev}\n"
    return [f"{dev}:refs/heads/{DEV}", on(hand, STABLE, code, message, merge=[dev])]


@legal
def a_file_of_5_mib(hand: Hand) -> Sequence[str]:
    return [on(hand, DEV, {"table.bin": object_at(hand.zeros(FIVE_MIB))})]


@legal
def a_pipeline_that_uses_aliases_and_templates(hand: Hand) -> Sequence[str]:
    pipeline = hand.read(hand.tip(DEV), "dvc.yaml")
    more = "  extra: &extra\n    cmd: date\n    deps: [/etc/hosts, train.py]\n  again: *extra\n"
    return [on(hand, DEV, {"dvc.yaml": f"{pipeline}{more}"})]


@pytest.mark.parametrize("make", LEGAL)
def test_a_legal_push_is_accepted(hand: Hand, make: Push) -> None:
    refspecs = make(hand)
    before = hand.flow.refs()
    assert_accepted(hand.push(*refspecs, options=["--atomic"]))
    assert hand.flow.refs() != before


def test_an_experiment_of_dvc_is_accepted(
    guarded: Path, tmp_path: Path, env: dict[str, str]
) -> None:
    flow = copy_flow(guarded, tmp_path / "team", env)
    flow.sh.git("switch", "-q", DEV)
    flow.sh.dvc("checkout", "-q")
    flow.sh.dvc("exp", "run", "-q", "-S", "train.scale=2.0", "-n", "try")
    # DVC writes to a repository that it finds as a folder; by TCP it has to ask the server.
    with git_daemon(flow.root, flow.sh) as url:
        flow.sh.dvc("exp", "push", f"{url}/origin.git", "try")
    assert any(ref.startswith("refs/exps/") for ref in flow.refs())
