"""What moves, and what does not, when a release is held back: for each way that there is."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.flow import (
    DEV,
    PIPELINES,
    SECOND_TAG,
    STABLE,
    Flow,
    built_once,
    configure,
    copy_flow,
    csv_files,
    edit,
    error_line,
    refs_of,
    worker_root,
)
from tests.support.isolation import isolated_env
from tests.support.repos import checkout_digest, digest_diff, missing_from_directory_remote

pytestmark = pytest.mark.slow

MAIN = "refs/heads/main"
NOT_WORSE = {"error": {"better": "lower", "margin": "2%"}}
# The stage does at its end what a test asks of it, by Python code in the environment.
TRAIN = (
    PIPELINES[DEV]["train.py"] + '\n    import os\n\n    exec(os.environ.get("DURING_TRAIN", ""))\n'
)
WRITE = "Path('metrics.json').write_text({!r})".format
PUSH_A_NOTE = """\
import subprocess
subprocess.run("git clone -q $ORIGIN other && cd other && date > note && git add note && \
git commit -qm Note && git push -q origin main; cd .. && rm -rf other", shell=True, check=True)
"""


@dataclass(frozen=True)
class Case:
    """A way to hold a release back.

    Attributes:
        says: what the error says.
        code: the exit code.
        stable: keys of `stable/*` in branchflow.yaml.
        prepare: what else is so before.
        during: what the stage does at its end.
        moves: the refs of the origin that move, and `adds` the kinds of files that main gets.
        runs: whether the pipeline runs at all, and `stores` whether its data is pushed.
    """

    name: str
    says: str
    code: int = 1
    stable: dict[str, object] = field(default_factory=dict)
    prepare: Callable[[Flow], object] = lambda _: None
    during: str = ""
    moves: frozenset[str] = frozenset()
    adds: tuple[str, ...] = ()
    runs: bool = True
    stores: bool = False


def check(command: str) -> dict[str, object]:
    return {"checks": {"ours": command}}


def hook(script: str) -> Callable[[Flow], object]:
    def lay(flow: Flow) -> None:
        path = flow.origin / "hooks/pre-receive"
        path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
        path.chmod(0o755)

    return lay


def store_away(flow: Flow) -> None:
    flow.store.rename(flow.root / "away")
    flow.store.write_text("no folder\n", encoding="utf-8")


def on_record(**keys: object) -> dict[str, object]:
    return {"moves": frozenset({MAIN}), "adds": ("refused",), **keys}


CASES = [
    Case(
        "a metric is worse", "'m@v1.1.0' is refused: error is 234.043, wanted at most 85.9327",
        stable={"gates": NOT_WORSE}, **on_record(),
    ),
    Case(
        "a metric is missing", "auc is missing, wanted a number",
        stable={"gates": {"auc": {"better": "higher", "margin": "100%"}}}, **on_record(),
    ),
    Case(
        "a metric is no number", "error is 'nan', wanted at most 168.495",
        stable={"gates": {"error": {"better": "lower", "margin": "100%"}}},
        during=WRITE('{"error": NaN, "rows": 1}'), **on_record(),
    ),
    Case(
        "main moves while it runs", "error is 234.043",
        stable={"gates": NOT_WORSE}, during=PUSH_A_NOTE, **on_record(adds=("note", "refused")),
    ),
    Case(
        "the server refuses the record", "not on a Friday",
        stable={"gates": NOT_WORSE}, prepare=hook("echo not on a Friday >&2; exit 1"),
    ),
    Case(
        "a check says no", "check 'ours' failed on 'stable/m': the image is too large",
        stable=check("echo the image is too large; exit 5"),
    ),
    Case(
        "a check is killed", "check 'ours' was killed on 'stable/m' by signal 9",
        code=3, stable=check("kill -9 $$"),
    ),
    Case(
        "a check can't run", "check 'ours' can't run on 'stable/m'",
        code=3, stable=check("no-such-command --at-all"),
    ),
    Case(
        "a check writes no result", "check 'ours' wrote no JSON object of up to 16 KiB",
        code=3, stable=check("echo '[1]' > $BRANCHFLOW_RESULT"),
    ),
    Case(
        "the limit of looks is reached", "so far: 2, and the limit is 1",
        stable={"test_looks": 1}, runs=False,
    ),
    Case(
        "a stage fails", "the pipeline failed", code=3, during="raise SystemExit('out of memory')",
    ),
    Case("the store is away", "DVC remote 'store'", code=3, prepare=store_away),
    Case(
        "the server refuses the tag", "no tags today",
        prepare=hook("grep -q refs/tags && echo no tags today >&2 && exit 1; exit 0"),
        stores=True,
    ),
]  # fmt: skip


@pytest.fixture(scope="session")
def worse_template(flow_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A flow with a worse model on stable that has not been trained yet; copy it."""
    shared = worker_root(tmp_path_factory.getbasetemp())
    env = isolated_env(shared / "worse-home")

    def build(folder: Path) -> None:
        flow = copy_flow(flow_template, folder, env)
        marked = PIPELINES[DEV]["dvc.yaml"].replace(
            "  train:\n", "  train:\n    meta: {side: test}\n"
        )
        files = {"train.py": TRAIN, "dvc.yaml": marked, "params.yaml": "train:\n  scale: 1.5\n"}
        edit(flow, DEV, files, "A worse model")
        flow.branchflow("run", DEV)
        edit(flow, DEV, {"train.py": TRAIN + "# looked at twice\n"}, "Say so")
        flow.branchflow("run", DEV)
        flow.branchflow("promote", DEV)

    return built_once(shared / "worse", build)


@pytest.fixture
def worse(worse_template: Path, tmp_path: Path, env: dict[str, str]) -> Flow:
    return copy_flow(worse_template, tmp_path / "team", env)


def files_on_main(flow: Flow) -> set[str]:
    return set(flow.sh.at(flow.origin).git("ls-tree", "-r", "--name-only", "main").splitlines())


def stored(flow: Flow) -> set[Path]:
    return {path for path in flow.root.glob("[as]*/files/md5/*/*") if path.is_file()}


def moved(before: dict[str, str], after: dict[str, str]) -> set[str]:
    return {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}


def refused_records(flow: Flow) -> list[dict[str, object]]:
    origin = flow.sh.at(flow.origin)
    paths = sorted(path for path in files_on_main(flow) if "/refused/" in path)
    return [json.loads(origin.git("show", f"main:{path}")) for path in paths]


def record_of(flow: Flow, tag: str) -> dict[str, object]:
    version = tag.rpartition("@")[2]
    return json.loads(flow.sh.at(flow.origin).git("show", f"main:runs/m/{version}.json"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_what_holds_a_release_back_moves_nothing_else(worse: Flow, case: Case) -> None:
    configure(worse, "stable/*", **case.stable)
    case.prepare(worse)
    during = {"DURING_TRAIN": case.during, "ORIGIN": str(worse.origin)}
    flow = worse.inside(worse.sh.with_env(during))
    flow.sh.git("fetch", "-q")
    shared, here = flow.refs(), refs_of(flow.sh)
    files, objects = files_on_main(flow), stored(flow)
    checkout = checkout_digest(flow.repo)

    done = flow.branchflow("release", STABLE, code=case.code)

    assert case.says in error_line(done)
    assert ("· dvc repro" in done.stderr) is case.runs
    assert moved(shared, flow.refs()) == case.moves
    followed = {name.replace("heads", "remotes/origin") for name in case.moves}
    assert moved(here, refs_of(flow.sh)) - {"refs/remotes/origin/HEAD"} == followed
    added = sorted(
        path.removeprefix("runs/m/").split("/")[0] for path in files_on_main(flow) - files
    )
    assert added == sorted(case.adds)
    assert files <= files_on_main(flow)
    assert (stored(flow) != objects) is case.stores
    assert not digest_diff(checkout, checkout_digest(flow.repo))
    if flow.store.is_dir():
        assert not missing_from_directory_remote(flow.origin, flow.store)


def test_a_refused_candidate_is_on_record_once_and_not_trained_again(worse: Flow) -> None:
    configure(worse, "stable/*", gates=NOT_WORSE)
    looks = len(worse.result("runs", "--test-looks"))
    first = worse.branchflow("sync", code=1)
    assert "· dvc repro" in first.stderr
    assert (
        "refused  'm@v1.1.0' is refused: error is 234.043, wanted at most 85.9327" in first.stdout
    )
    [record] = refused_records(worse)
    assert (record["tag"], record["commit"], record["checks"]) == ("m@v1.1.0", "", {})
    assert record["metrics"]["metrics.json"]["error"] == pytest.approx(234.043, abs=1e-3)
    assert record["gates"]["against"] == SECOND_TAG
    assert record["gates"]["same_split"] is True
    assert [one["gate"] for one in record["refused"]] == ["error"]

    refs = worse.refs()
    other = worse.new_clone("other")
    for flow in (worse, other):
        for words in (["sync"], ["sync", "--dry-run"], ["release", STABLE]):
            again = flow.branchflow(*words, code=1)
            assert "dvc repro" not in again.stderr
            assert f"'m@v1.1.0' was refused at {record['when']}: error is 234.043" in (
                again.stdout + again.stderr
            )
    step = json.loads(worse.branchflow("sync", "--json", code=1).stdout)["result"][-1]
    assert (step["verdict"], step["error"]["code"]) == ("refused", "rejected")
    assert worse.refs() == refs
    assert [look["reason"] for look in worse.result("runs", "--test-looks")][looks:] == [
        "refused as m@v1.1.0"
    ]
    assert [one["tag"] for one in worse.result("runs", "--refused")["records"]] == ["m@v1.1.0"]
    worse.branchflow("check", "--all")


def test_what_is_released_all_the_same_says_why(worse: Flow) -> None:
    configure(worse, "stable/*", gates=NOT_WORSE, test_looks=1)
    assert "needs a reason" in error_line(
        worse.branchflow("release", STABLE, "--allow-worse", code=2)
    )
    worse.branchflow("release", STABLE, "--reason", "agreed", code=1)
    assert len(refused_records(worse)) == 1
    worse.branchflow("release", STABLE, "--allow-worse", "--reason", "the old one\nis illegal")
    record = record_of(worse, "m@v1.1.0")
    assert record["reason"] == "the old one\nis illegal"
    assert not record["gates"]["results"][0]["reason"].startswith("passed")
    assert record["refused"] == []
    message = worse.sh.git("log", "-1", "--format=%(trailers:key=Reason)", "m@v1.1.0").strip()
    assert message == "Reason: the old one is illegal"
    card = worse.sh.git("show", "m@v1.1.0:MODEL_CARD.md")
    assert "**Released all the same**: the old one is illegal" in card
    assert "stable/m  current" in worse.branchflow("sync").stdout
    worse.branchflow("check", "--all")


def test_a_wider_margin_lets_a_refused_candidate_be_tried_again(worse: Flow) -> None:
    configure(worse, "stable/*", gates=NOT_WORSE)
    worse.branchflow("release", STABLE, code=1)
    configure(worse, "stable/*", gates={"error": {"better": "lower", "margin": "300%"}})
    worse.branchflow("sync")
    assert "refs/tags/m@v1.1.0" in worse.refs()
    assert record_of(worse, "m@v1.1.0")["candidate"] == refused_records(worse)[0]["candidate"]


def test_new_data_is_another_candidate_held_against_the_release_on_the_old_split(
    worse: Flow, tmp_path: Path
) -> None:
    configure(worse, "stable/*", gates=NOT_WORSE)
    worse.branchflow("sync", code=1)
    worse.ingest(*csv_files(tmp_path / "inbox", "new"), partition="2024-03")
    done = worse.branchflow("sync", code=1)
    assert f"the gates compare with {SECOND_TAG} on another split" in done.stderr
    first, second = sorted(refused_records(worse), key=lambda record: record["when"])
    assert [one["gates"]["same_split"] for one in (first, second)] == [True, False]
    assert first["candidate"] != second["candidate"]


def test_a_tag_made_by_hand_switches_no_gate_off(worse: Flow) -> None:
    configure(worse, "stable/*", gates=NOT_WORSE)
    worse.sh.git("tag", "-am", "By hand", "m@v1.0.2", f"origin/{STABLE}")
    worse.sh.git("push", "-q", "origin", "m@v1.0.2")
    done = worse.branchflow("release", STABLE, "--major", code=1)
    assert "'m@v2.0.0' is refused: error is 234.043, wanted at most 85.9327" in error_line(done)
    assert refused_records(worse)[0]["gates"]["against"] == SECOND_TAG


def test_checks_see_exactly_the_tree_that_is_tagged_and_leave_word(worse: Flow) -> None:
    look = "git rev-parse HEAD^{tree}; git status --porcelain; ls stray* check.py models"
    result = (
        """printf '{"digest": "sha256:%s", "odd": NaN}' "$BRANCHFLOW_TAG" > $BRANCHFLOW_RESULT"""
    )
    quiet = "test -f MODEL_CARD.md && python check.py"
    configure(worse, "stable/*", checks={"look": f"{look}; true", "image": result, "quiet": quiet})
    during = "Path('stray').write_text('x'); Path('stray.d').mkdir(); Path('stray.d/x').touch(); "
    during += "Path('check.py').write_text('broken(')"
    flow = worse.inside(worse.sh.with_env({"DURING_TRAIN": during}))
    done = flow.branchflow("release", STABLE)
    assert "· left out, no stage declares it: stray" in done.stderr
    record = record_of(flow, "m@v1.1.0")
    assert record["commit"] == flow.sh.git("rev-parse", "m@v1.1.0^{commit}")
    said = record["checks"]["look"]["output"].splitlines()
    assert said[0] == flow.sh.git("rev-parse", "m@v1.1.0^{tree}")
    assert said[1:] == [
        "ls: cannot access 'stray*': No such file or directory", "check.py", "models:", "m.json",
    ]  # fmt: skip
    assert record["checks"]["image"]["result"] == {"digest": "sha256:m@v1.1.0", "odd": "nan"}
    assert record["checks"]["quiet"]["output"] == ""
    assert shlex.split(record["checks"]["quiet"]["command"])[0] == "test"
