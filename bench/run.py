"""Runs a pipeline whose only stage does nothing: what is around `dvc repro`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bench.fixtures import Lab, directory, entries, pointer
from bench.measure import Bench, Case, Contender
from dvc_branchflow.git import Change

_PATH = "data/raw/p"
_BRANCH = "dev/m"
_FLOW = "branches:\n  raw: {role: raw, data: data/raw}\n  dev/*: {role: dev, from: [raw]}\n"
_PIPELINE = f"""\
params: [pins.yaml]
stages:
  s:
    cmd: echo 1 > made.txt
    deps: [{_PATH}, s.py]
    outs: [made.txt]
"""


def cases(bench: Bench, size: Mapping[str, int]) -> Case:
    """Return the case of a stage that depends on a directory of `files` files, and on code."""
    files = size["files"]
    root = bench.root / f"run-{files}"
    lab = _lab(root, files)
    plain = root / "plain"
    bench.run("git", "worktree", "add", "-q", "--detach", str(plain), _BRANCH, cwd=lab.repo)
    cache = f"[cache]\n    dir = {lab.repo}/.dvc/cache\n"
    (plain / ".dvc/config.local").write_text(cache)
    bench.run("dvc", "checkout", "-q", f"{_PATH}.dvc", cwd=plain)

    def commit_code(turn: int) -> None:
        change = Change("s.py", b"%d" % turn)
        lab.move({_BRANCH: lab.commit([lab.tip(_BRANCH)], [change])})

    def edit_code(turn: int) -> None:
        (plain / "s.py").write_text(f"{turn}, plain")

    def run(_: int) -> None:
        bench.run("git", "branchflow", "run", "-q", _BRANCH, cwd=lab.repo)

    def repro(_: int) -> None:
        bench.run("dvc", "repro", "-q", cwd=plain)

    contenders = [Contender("ours", run, commit_code), Contender("dvc repro", repro, edit_code)]
    return Case({"files": files}, contenders)


def _lab(root: Path, files: int) -> Lab:
    lab = Lab.make(root, _FLOW)
    out, manifest = directory(_PATH, entries(range(files)))
    lab.fill(range(files))
    lab.put(out.oid, manifest)
    raw = lab.commit([lab.tip("main")], [pointer(out)])
    texts = {
        "pins.yaml": f"raw: {raw}\n",
        "dvc.yaml": _PIPELINE,
        "s.py": "start",
        ".gitignore": f"/{_PATH}\n/made.txt\n",
    }
    changes = [Change(path, text.encode()) for path, text in texts.items()]
    lab.move({"raw": raw})
    lab.move({_BRANCH: lab.commit([lab.tip("main"), raw], [pointer(out), *changes])})
    return lab
