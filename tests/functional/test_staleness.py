"""Which stages are going to run: those whose inputs changed, and all that comes after them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import pytest
import yaml

from dvc_branchflow.git import Change, Git, NewCommit
from dvc_branchflow.metafiles import render_pointer
from dvc_branchflow.model import Oid, Out, Sha
from dvc_branchflow.project import Project
from dvc_branchflow.work.commits import read_commit
from dvc_branchflow.work.pipeline import needed_outs
from dvc_branchflow.work.staleness import is_current, stages_to_run
from tests.support.repos import Shell

# stage → its deps and its out; `fit` reads what `clean` makes, `report` what `fit` makes.
STAGES = {
    "clean": (["clean.py"], "rows.csv"),
    "fit": (["fit.py", "rows.csv"], "model.json"),
    "report": (["model.json"], "report.json"),
    "apart": (["apart.py"], "apart.json"),
}
FILES = {
    **{name: f"{name}\n" for deps, out in STAGES.values() for name in (*deps, out)},
    "params.yaml": "depth: 3\n",
}


def md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def pipeline(stages: Mapping[str, tuple[list[str], str]]) -> str:
    declared = {
        name: {"cmd": name, "deps": deps, "params": ["depth"], "outs": [{out: {"cache": False}}]}
        for name, (deps, out) in stages.items()
    }
    return yaml.safe_dump({"stages": declared}, sort_keys=False)


def entry(path: str) -> dict[str, object]:
    return {"path": path, "hash": "md5", "md5": md5(FILES[path]), "size": len(FILES[path])}


LOCK = yaml.safe_dump(
    {
        "schema": "2.0",
        "stages": {
            name: {
                "cmd": name,
                "deps": [entry(path) for path in deps],
                "params": {"params.yaml": {"depth": 3}},
                "outs": [entry(out)],
            }
            for name, (deps, out) in STAGES.items()
        },
    }
)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, ()),
        ({"notes.md": "x"}, ()),
        ({"clean.py": "x"}, ("clean", "fit", "report")),
        ({"fit.py": "x"}, ("fit", "report")),
        ({"apart.py": "x"}, ("apart",)),
        ({"apart.py": "x", "fit.py": "x"}, ("fit", "report", "apart")),
        ({"params.yaml": "depth: 4\n"}, ("clean", "fit", "report", "apart")),
        ({"dvc.lock": "schema: '2.0'\n"}, ("clean", "fit", "report", "apart")),
        (
            {"dvc.yaml": pipeline(STAGES | {"last": (["apart.json"], "last.json")})},
            ("last",),
        ),
        ({"dvc.yaml": pipeline({"apart": STAGES["apart"]})}, ()),
    ],
)
def test_stages_that_are_behind_and_those_after_them_are_named(
    sh: Shell, as_user: None, change: dict[str, str], expected: tuple[str, ...]
) -> None:
    sh.git("init", "-q")
    for name, text in {**FILES, "dvc.yaml": pipeline(STAGES), "dvc.lock": LOCK, **change}.items():
        (sh.cwd / name).write_text(text, encoding="utf-8")
    sh.git("add", ".")
    sh.git("commit", "-qm", "All")
    project = Project.open(sh.cwd)
    data = read_commit(project.git, Sha(sh.git("rev-parse", "HEAD")))
    assert stages_to_run(project, data) == expected
    assert is_current(project, data) is (not expected)


@pytest.mark.parametrize(("code", "needed"), [("1\n", []), ("2\n", ["data/in"])])
def test_data_is_put_in_place_for_a_stage_whose_code_changed_and_for_no_other(
    flow_git: Git, code: str, needed: list[str]
) -> None:
    out = Out("data/in", Oid("0" * 32), 2)
    other = Out("data/unread", Oid("1" * 32), 2)
    deps = [{"path": out.path, "md5": out.oid}, {"path": "s.py", "md5": md5("1\n")}]
    files = {
        "data/in.dvc": render_pointer(out),
        "data/unread.dvc": render_pointer(other),
        "s.py": code.encode(),
        "dvc.yaml": b"stages: {s: {cmd: x, deps: [data/in, s.py]}}\n",
        "dvc.lock": yaml.safe_dump({"stages": {"s": {"cmd": "x", "deps": deps}}}).encode(),
    }
    changes = [Change(path, content) for path, content in files.items()]
    (sha,) = flow_git.write_commits([NewCommit([], "x\n", changes)])
    data = read_commit(flow_git, sha)
    to_run = stages_to_run(Project(flow_git), data)
    found = needed_outs(data, {one.path: one for one in (out, other)}, to_run)
    assert [one.path for one in found] == needed
