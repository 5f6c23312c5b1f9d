"""Broken or hostile content of branches, and odd places to stand: a reason, never a traceback."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dvc_branchflow.project import Project
from dvc_branchflow.work.worktrees import lay_worktree
from tests.functional.conftest import Team, branchflow, object_path, says
from tests.support.repos import Shell, clone

pytestmark = pytest.mark.slow

OID = "a" * 32
PIPELINE = """\
vars: [partitions.yaml]
stages:
  clean:
    matrix: {partition: "${partitions.raw}"}
    cmd: python copy.py ${item.partition}
    deps: ["data/raw/${item.partition}", work.py]
    outs: ["data/clean/${item.partition}"]
    metrics:
    - reports/${item.partition}.json: {cache: false}
""".replace("copy.py", "work.py")
WORK = """\
import pathlib, shutil, sys
p = sys.argv[1]
shutil.copytree(f"data/raw/{p}", f"data/clean/{p}")
pathlib.Path("reports").mkdir(exist_ok=True)
pathlib.Path(f"reports/{p}.json").write_text("{}")
"""
RECORD = {
    "schema": "branchflow/run/1", "tag": "m@v1.0.0", "model": "m", "version": "v1.0.0",
    "commit": "0" * 40, "code": {}, "pins": {}, "certificate": None, "params": {}, "metrics": {},
    "outs": {}, "checks": {}, "environment": {}, "seconds": 1.0, "who": "x", "when": "2024",
}  # fmt: skip

# --- Metadata on a branch ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("pins.yaml", "raw: xx\n"),
        ("pins.yaml", "raw: {a: 1}\n"),
        ("pins.yaml", "- a\n"),
        ("pins.yaml", b"\xff"),
        ("pins.yaml", f"raw: {'1' * 40}x\n"),
        ("pins.yaml", "sample: {raw: 1}\n"),
        ("dvc.lock", "["),
        ("dvc.lock", "stages: 3\n"),
        ("dvc.lock", "[" * 50_000),
        ("dvc.lock", "stages: {a: {params: {params.yaml: 3}}}\n"),
        ("dvc.lock", f"stages: {{a: {{outs: [{{path: ../x, hash: md5, md5: {OID}}}]}}}}\n"),
        ("dvc.lock", f"stages: {{a: {{outs: [{{path: .git/x, hash: md5, md5: {OID}}}]}}}}\n"),
        ("dvc.yaml", "stages: [1]\n"),
        ("dvc.yaml", "stages: {a: {deps: 3}}\n"),
        ("x.dvc", "outs: 3\n"),
        ("x.dvc", "outs: [3]\n"),
        ("x.dvc", "\0"),
        ("x.dvc", f"outs: [{{md5: {OID}, hash: md5, path: /etc/passwd}}]\n"),
        ("x.dvc", f"outs: [{{md5: {OID}, hash: md5, path: x, size: -1}}]\n"),
        ("x.dvc", "outs: [{md5: ../../x, hash: md5, path: x}]\n"),
    ],
)
def test_broken_metadata_is_named_with_its_commit(
    team: Team, path: str, content: str | bytes
) -> None:
    sha = team.put("clean", {path: content})
    done = team.bf("status")
    assert done.returncode == 3
    assert sha[:10] in says(done)
    assert team.bf("pin", "clean", "--dry-run").returncode == 3


def test_pipeline_with_yaml_anchors_is_read(team: Team) -> None:
    team.put("clean", {"dvc.yaml": "stages:\n  a: &a\n    cmd: echo hi\n  b: *a\n"})
    assert team.bf("status").returncode == 0


@pytest.mark.parametrize(
    ("lr", "locked", "is_current"),
    [
        ("0.001", "0.001", True),
        ("0.001", "0.002", False),
        ("1e-3", "0.001", True),
        ("yes", "'yes'", True),
    ],
)  # fmt: skip
def test_param_is_read_as_dvc_reads_it(
    team: Team, lr: str, locked: str, *, is_current: bool
) -> None:
    lock = f"stages:\n  a:\n    cmd: x\n    params:\n      params.yaml:\n        lr: {locked}\n"
    stage = "stages: {a: {cmd: x, params: [lr]}}\n"
    team.put("clean", {"params.yaml": f"lr: {lr}\n", "dvc.yaml": stage, "dvc.lock": lock})
    rows = json.loads(team.bf("status", "--json").stdout)["result"]["branches"]
    assert next(r for r in rows if r["branch"] == "clean")["is_current"] is is_current


@pytest.mark.parametrize("dep", ["src", "data/raw"])
def test_folder_that_changed_makes_a_result_old(team: Team, dep: str) -> None:
    lock = (
        f"stages:\n  a:\n    cmd: x\n    deps:\n    - {{path: {dep}, hash: md5, md5: {OID}.dir}}\n"
    )
    team.put("clean", {"src/a.py": "1", "dvc.yaml": f"stages: {{a: {{cmd: x, deps: [{dep}]}}}}\n"})
    team.ingest(team.file("a.csv"))
    team.bf("pin", "clean")
    team.put("clean", {"dvc.lock": lock})
    rows = json.loads(team.bf("status", "--json").stdout)["result"]["branches"]
    assert next(r for r in rows if r["branch"] == "clean")["is_current"] is False


def test_stage_that_never_ran_makes_a_result_old(team: Team) -> None:
    lock = "stages:\n  a:\n    cmd: x\n"
    team.put("clean", {"dvc.yaml": "stages: {a: {cmd: x}, b: {cmd: y}}\n", "dvc.lock": lock})
    rows = json.loads(team.bf("status", "--json").stdout)["result"]["branches"]
    assert next(r for r in rows if r["branch"] == "clean")["is_current"] is False


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("08"),
        "0x1F",
        "2024-01-01",
        "12:30",
        "1_000",
        "~",
        "'on'",
    ],
)
def test_params_that_yaml_versions_read_differently_break_nothing(team: Team, value: str) -> None:
    lock = f"stages:\n  a:\n    cmd: x\n    params:\n      params.yaml:\n        v: {value}\n"
    stage = "stages: {a: {cmd: x, params: [v]}}\n"
    team.put("clean", {"params.yaml": f"v: {value}\n", "dvc.yaml": stage, "dvc.lock": lock})
    assert team.bf("status").returncode == 0


# --- The config --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("config", "word"),
    [
        ("branches: {raw: {role: raw, dta: x}}", "did you mean 'data'"),
        ("branches: {raw: {role: rwa}}", "rwa"),
        ("branches: {raw: {role: []}}", "role"),
        ("branches: {}", "branches"),
        ("branches: {'a*b*': {role: raw}}", "a*b*"),
        ("branches: {-n: {role: raw}}", "-n"),
        ("branches: {a..b: {role: raw}}", "a..b"),
        ("branches: {raw: {role: raw}, x: {role: raw, data: data/raw/sub}}", "overlaps"),
        ("branches: {raw: {role: raw, data: ../x}}", "../x"),
        ("branches: {raw: {role: raw, data: .git/x}}", ".git/x"),
        ("branches: {raw: {role: raw, partition: sometimes}}", "sometimes"),
        ("branches: {raw: {role: raw}, clean: {role: clean, from: [rwa]}}", "did you mean 'raw'"),
        ("branches: {raw: {role: raw, sample: 0.5}}", "sample"),
        ("branches: {'dev/*': {role: dev, sample: .nan}}", "sample"),
        ("branches: {'dev/*': {role: dev, checks: [a]}}", "checks"),
        ("branches: {stable: {role: stable}}", "code"),
        ("version: 2\nbranches: {raw: {role: raw}}", "version"),
        ("tracking: -x\nbranches: {raw: {role: raw}}", "tracking"),
        ("branches: {raw: &a {role: raw}, x: *a}", "alias"),
        ("branches: {raw: {role: raw}, raw: {role: raw}}", "twice"),
        ("branches:\n  clean: {role: clean, from: [split]}\n  split: {role: split, from: [clean]}",
         "circle"),
        ("[1]", "mapping"),
        ("{" * 50_000, "deeply"),
        ("\0", "YAML"),
    ],
)  # fmt: skip
def test_config_that_is_wrong_is_named(team: Team, config: str, word: str) -> None:
    team.put("main", {"branchflow.yaml": config})
    done = team.bf("status")
    assert done.returncode == 3
    assert word in says(done)
    assert len(says(done)) < 600


@pytest.mark.parametrize("name", ["stable/v1.0", "stable/é"])
def test_branch_that_can_name_no_model_takes_status_from_nobody(team: Team, name: str) -> None:
    team.sh.git("push", "--quiet", "origin", f"HEAD:refs/heads/{name}")
    team.sh.git("fetch", "--quiet")
    assert team.bf("status").returncode == 0


def test_certificate_that_is_nested_too_deeply_is_no_certificate(team: Team) -> None:
    team.put("split", {"certificate.json": "[" * 200_000})
    assert team.bf("status").returncode in {0, 3}


@pytest.mark.parametrize("text", ["[", "3", "{}", "null", "\udcff"])
def test_certificate_that_is_none_is_none(team: Team, text: str) -> None:
    team.put("split", {"certificate.json": text.encode("utf-8", "surrogateescape")})
    assert team.bf("status").returncode == 0


def test_dvc_config_that_is_not_utf8_is_named(team: Team) -> None:
    team.put("main", {".dvc/config": b"[core]\n    remote = \xff\n"})
    assert team.ingest(team.file("a.csv")).returncode == 3


# --- Records -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body", ["[", "3", "null", '{"schema": "branchflow/run/1"}', "[" * 200_000]
)
def test_record_that_is_none_is_named(team: Team, body: str) -> None:
    team.put("main", {"runs/m/v1.0.0.json": body})
    done = team.bf("runs")
    assert done.returncode == 3
    assert "runs/m/v1.0.0.json" in says(done)


@pytest.mark.parametrize(
    ("key", "value"),
    [("metrics", 3), pytest.param("pins", {"clean": 5}), ("pins", None), ("when", 5), ("outs", {"a": 1}),
     ("code", []), ("tag", None),
     ("certificate", {})],
)  # fmt: skip
def test_record_with_a_field_of_another_type_is_named(team: Team, key: str, value: object) -> None:
    records = [RECORD, {**RECORD, "tag": "m@v1.0.1", key: value}]
    team.put("main", {f"runs/m/v1.0.{n}.json": json.dumps(r) for n, r in enumerate(records)})
    assert team.bf("runs").returncode in {0, 3}
    assert team.bf("compare", "m@v1.0.0", "m@v1.0.1").returncode in {0, 3}


def test_json_of_somebody_else_below_runs_is_passed_over(team: Team) -> None:
    team.put("main", {"runs/tensorboard.json": "{}"})
    assert team.bf("runs").returncode == 0


def test_json_in_a_tag_of_somebody_else_is_passed_over(team: Team) -> None:
    team.sh.git("tag", "--annotate", "--message", 'title\n\n{\n"a": 1\n}', "theirs")
    assert team.bf("runs").returncode == 0


# --- Words on the command line -----------------------------------------------------------------


@pytest.mark.parametrize(
    "args",
    [
        ["nonsense"],
        ["status", "extra"],
        ["run"],
        ["run", "--", "-x"],
        ["switch", "--", "--orphan"],
        ["runs", "--model=-x"],
        ["ingest", "--source", "s"],
        ["-C", "no/such/folder", "status"],
    ],
)
def test_command_line_that_makes_no_sense_is_exit_two(team: Team, args: list[str]) -> None:
    assert team.bf(*args).returncode == 2


@pytest.mark.parametrize(
    "args",
    [
        ["run", "nosuch"],
        ["run", "main"],
        ["run", "raw"],
        ["pin", "raw"],
        ["pin", "clean", "split@HEAD"],
        ["pin", "clean", "raw@nosuch"],
        ["pin", "clean", "raw@--all"],
        ["pin", "clean", "raw@main"],
        ["promote", "raw"],
        ["release", "dev/model"],
        ["release", "stable/none"],
        ["switch", "nosuch"],
        ["switch", "HEAD~99"],
        ["compare"],
        ["compare", "a", "b"],
        ["run", "é x"],
    ],
)
def test_name_that_does_not_fit_moves_nothing(team: Team, args: list[str]) -> None:
    before = team.refs()
    done = team.bf(*args)
    assert done.returncode == 3, done.stderr
    assert team.refs() == before
    assert json.loads(team.bf(*args, "--json").stdout)["schema"] == "branchflow/error/1"


def test_folder_name_that_is_too_long_is_exit_two(team: Team) -> None:
    assert team.bf("-C", "x" * 5000, "status").returncode == 2


def test_full_disk_under_stdout_is_no_bug(team: Team) -> None:
    done = team.sh.run("sh", "-c", "git-branchflow status > /dev/full", check=False)
    assert "bug" not in done.stderr


def test_state_folder_that_cannot_be_used_is_an_error_of_the_disk(team: Team) -> None:
    (team.sh.cwd / ".git" / "branchflow").write_text("")
    assert team.ingest(team.file("a.csv")).returncode == 3


# --- Places to stand ---------------------------------------------------------------------------


@pytest.mark.parametrize("verb", [["status"], ["runs"], ["run", "clean"], ["switch", "raw"]])
def test_place_without_a_flow_says_so(sh: Shell, verb: list[str]) -> None:
    assert "not a git repository" in says(branchflow(sh, *verb))
    sh.git("init", "--quiet")
    assert branchflow(sh, *verb).returncode == 3
    sh.git("commit", "--quiet", "--allow-empty", "-m", "x")
    assert branchflow(sh, *verb).returncode == 3
    sh.git("checkout", "--quiet", "--detach")
    assert branchflow(sh, *verb).returncode == 3


@pytest.mark.parametrize("place", ["docs", ".git", "detached", "worktree", "bare"])
def test_status_is_the_same_from_everywhere(team: Team, place: str) -> None:
    expected = team.bf("status").stdout
    at = team.sh
    if place == "detached":
        at.git("checkout", "--quiet", "--detach")
    elif place == "worktree":
        at.git("worktree", "add", "--quiet", "--detach", team.base / "linked", "origin/raw")
        at = at.at(team.base / "linked")
    else:
        at = at.at(team.origin if place == "bare" else at.cwd / place)
    assert branchflow(at, "status").stdout == expected


def test_stray_git_variables_lead_nowhere_else(team: Team) -> None:
    stray = team.sh.with_env(
        {"GIT_DIR": "/nowhere", "GIT_INDEX_FILE": "/nowhere", "GIT_PREFIX": "x/"}
    )
    assert branchflow(stray, "status").returncode == 0


def test_shallow_clone_is_refused_with_the_way_out(team: Team) -> None:
    at = clone(team.origin, team.base / "shallow", team.sh, depth=1)
    assert branchflow(at, "status").returncode == 0
    for verb in (["run", "clean"], ["sync"], ["pin", "clean"], ["init", "--yes"]):
        done = branchflow(at, *verb)
        assert done.returncode == 3
        assert "git fetch --unshallow" in says(done)


def test_who_has_no_name_is_told_how_to_get_one(team: Team) -> None:
    team.sh.git("config", "user.name", "")
    before = team.refs()
    done = team.ingest(team.file("a.csv"))
    assert done.returncode == 3
    assert "user.name" in says(done)
    assert team.refs() == before


def test_two_git_remotes_without_origin_are_named(team: Team) -> None:
    team.sh.git("remote", "rename", "origin", "one")
    team.sh.git("remote", "add", "two", str(team.origin))
    done = team.bf("status")
    assert done.returncode == 3
    assert "one, two" in says(done)


def test_switch_takes_the_branch_of_origin_where_there_are_two_remotes(team: Team) -> None:
    team.sh.git("remote", "add", "other", str(team.origin))
    team.sh.git("fetch", "--quiet", "other")
    assert team.bf("switch", "raw").returncode == 0


# --- What a switch may not lose ------------------------------------------------------------------


def test_switch_keeps_files_that_lie_where_data_go(team: Team) -> None:
    team.ingest(team.file("a.csv", "stored\n"))
    mine = team.sh.cwd / "data" / "raw" / "p1" / "mine.csv"
    mine.parent.mkdir(parents=True)
    mine.write_text("the only copy")
    team.bf("switch", "raw")
    assert mine.exists()


@pytest.mark.parametrize("how", ["edited", "staged"])
def test_switch_refuses_changes_in_git(team: Team, how: str) -> None:
    (team.sh.cwd / "README.md").write_text("mine")
    if how == "staged":
        team.sh.git("add", "README.md")
    done = team.bf("switch", "raw")
    assert done.returncode == 3
    assert "README.md" in says(done)
    assert team.sh.git("symbolic-ref", "HEAD") == "refs/heads/main"


def test_switch_that_cannot_fetch_changes_nothing(team: Team) -> None:
    team.ingest(team.file("a.csv"))
    team.store.rename(team.base / "away")
    other = clone(team.origin, team.base / "other", team.sh)
    assert branchflow(other, "switch", "raw").returncode == 3
    assert other.git("symbolic-ref", "HEAD") == "refs/heads/main"


# --- The worktree that a run works in ------------------------------------------------------------


@pytest.mark.usefixtures("as_user")
@pytest.mark.parametrize(
    "settings",
    [
        ["core.hooksPath=/nowhere"],
        ["core.autocrlf=true"],
    ],
)
def test_worktree_holds_the_bytes_of_the_commit(team: Team, settings: list[str]) -> None:
    for setting in settings:
        team.sh.git("config", *setting.split("=", 1))
    project = Project.open(team.sh.cwd)
    tip = project.tip("clean")
    path = lay_worktree(project, tip.branch, tip.sha)
    assert b"\r" not in (path / "README.md").read_bytes()


@pytest.mark.usefixtures("as_user")
def test_worktree_of_a_sparse_clone_is_whole(team: Team) -> None:
    team.sh.git("sparse-checkout", "set", "docs")
    project = Project.open(team.sh.cwd)
    tip = project.tip("clean")
    assert (lay_worktree(project, tip.branch, tip.sha) / "src" / "clean.py").exists()


@pytest.mark.usefixtures("as_user")
@pytest.mark.parametrize(
    "damage", ["no gitfile", "bad gitfile", "no admin", "locked", "index.lock"]
)
def test_worktree_that_is_damaged_is_laid_anew(team: Team, damage: str) -> None:
    project = Project.open(team.sh.cwd)
    tip = project.tip("clean")
    path = lay_worktree(project, tip.branch, tip.sha)
    admin = Path((path / ".git").read_text().removeprefix("gitdir: ").strip())
    if damage == "no gitfile":
        (path / ".git").unlink()
    elif damage == "bad gitfile":
        (path / ".git").write_text("")
    elif damage == "no admin":
        (admin / "HEAD").unlink()
    elif damage == "locked":
        team.sh.git("worktree", "lock", path)
        (path / ".git").unlink()
    else:
        (admin / "index.lock").write_text("")
    (path / "README.md").write_text("stale")
    again = lay_worktree(project, tip.branch, tip.sha)
    assert (again / "README.md").read_text() != "stale"


@pytest.mark.usefixtures("as_user")
def test_worktree_writes_through_no_link(team: Team) -> None:
    victim = team.file("victim", "mine")
    at = team.sh.at(team.base / "evil")
    team.sh.git("worktree", "add", "--quiet", "--detach", at.cwd, "origin/clean")
    (at.cwd / ".dvc" / "config.local").symlink_to(victim)
    at.git("add", "--force", ".dvc/config.local")
    at.git("commit", "--quiet", "-m", "Evil")
    at.git("push", "--quiet", "origin", "HEAD:clean")
    project = Project.open(team.sh.cwd)
    project.refresh()
    tip = project.tip("clean")
    lay_worktree(project, tip.branch, tip.sha)
    assert victim.read_text() == "mine"


@pytest.mark.usefixtures("as_user")
def test_cache_of_a_bare_repository_lies_in_no_worktree(team: Team) -> None:
    project = Project.open(team.origin)
    before = project.cache.root
    tip = project.tip("clean")
    lay_worktree(project, tip.branch, tip.sha)
    assert Project.open(team.origin).cache.root == before


# --- Runs (each starts DVC once) ------------------------------------------------------------------


def run_clean(team: Team, files: dict[str, str]) -> int:
    team.ingest(team.file("a.csv", "A\n"))
    team.put("clean", {"dvc.yaml": PIPELINE, "work.py": WORK, **files})
    return team.bf("run", "clean").returncode


def test_stage_that_changes_its_input_is_not_published(team: Team) -> None:
    evil = WORK + "import os\nos.chmod(f'data/raw/{p}/a.csv', 0o644)\n"
    evil += "open(f'data/raw/{p}/a.csv', 'a').write('EVIL')\n"
    before = team.put("clean", {})
    assert run_clean(team, {"work.py": evil}) in {1, 3}
    assert "dvc.lock" not in team.sh.git("ls-tree", "--name-only", "origin/clean"), before
    assert object_path(team.store, "A\n").read_text() == "A\n"


def test_metrics_that_the_user_ignores_elsewhere_are_committed(team: Team) -> None:
    ignored = team.file("ignored", "*.json\n")
    team.sh.git("config", "core.excludesFile", ignored)
    assert run_clean(team, {}) == 0
    assert "reports/p1.json" in team.sh.git("ls-tree", "-r", "--name-only", "origin/clean")


def test_module_at_the_root_of_a_branch_does_not_shadow_dvcs(team: Team) -> None:
    assert run_clean(team, {"platform.py": "raise SystemExit('mine')\n"}) == 0


def test_stage_that_fails_moves_nothing_and_keeps_its_log(team: Team) -> None:
    team.put("clean", {"dvc.yaml": PIPELINE, "work.py": "import sys\nsys.exit('no luck')\n"})
    team.ingest(team.file("a.csv", "A\n"))
    before = team.refs()
    done = team.bf("run", "clean")
    assert done.returncode == 3
    assert team.refs() == before
    log = says(done).rpartition("less '")[2].rstrip("'")
    assert "no luck" in Path(log).read_text()


def test_file_that_no_stage_declares_is_left_out_and_named(team: Team) -> None:
    team.put(
        "clean", {"dvc.yaml": PIPELINE, "work.py": WORK + "open('stray.txt', 'w').write('1')\n"}
    )
    team.ingest(team.file("a.csv", "A\n"))
    done = team.bf("run", "clean")
    assert done.returncode == 0
    assert "stray.txt" in done.stdout
    assert "stray.txt" not in team.sh.git("ls-tree", "-r", "--name-only", "origin/clean")


def test_result_of_a_stage_that_imports_from_a_folder_it_names_is_up_to_date(team: Team) -> None:
    pipeline = PIPELINE.replace("work.py]", "work.py, src]")
    files = {"dvc.yaml": pipeline, "work.py": "import src.a\n" + WORK, "src/a.py": "A = 1\n"}
    assert run_clean(team, files) == 0
    rows = json.loads(team.bf("status", "--json").stdout)["result"]["branches"]
    assert next(r for r in rows if r["branch"] == "clean")["is_current"] is True
