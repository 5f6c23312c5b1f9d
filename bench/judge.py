"""Judges a push of many commits over many branches, beside the floor of one `git diff-tree`."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.fixtures import Lab, directory, entries, pointer
from bench.measure import Bench, Case, Contender
from dvc_branchflow.git import Change, NewCommit
from dvc_branchflow.model import ZERO_SHA, Out, Sha

_FLOW = """\
branches:
  raw: {role: raw, data: data/raw}
  split: {role: split, data: data/split, from: [raw]}
  dev/*: {role: dev, from: [raw]}
  stable/*: {role: stable, from: [raw], code: "dev/{}"}
  monitor/*: {role: monitor, data: data/monitor}
"""
_ENTRIES = 200
_KINDS = ("monitor", "dev", "stable")


def cases(bench: Bench, size: Mapping[str, int]) -> Case:
    """Return the case of `commits` commits over `branches` branches, in a tree of `files` files."""
    root = bench.root / f"judge-{size['commits']}-{size['branches']}-{size['files']}"
    lab = Lab.make(root, _FLOW)
    lines = _History(lab, size["branches"], size["commits"], size["files"]).lay()
    server = root / "origin.git"
    bench.run("git", "clone", "--quiet", "--bare", f"file://{lab.repo}", str(server), cwd=root)
    (server / ".dvc").mkdir()
    config = f"['remote \"store\"']\n    url = {lab.store}\n"
    (server / ".dvc/config.local").write_text(config)
    # What a push brings lies in a quarantine: the branches stand where they stood before it.
    shutil.copytree(lab.repo / ".git/objects", root / "quarantine")
    listed = "".join(f"{old} {new} {ref}\n" for old, new, ref in lines)

    def judge(_: int) -> None:
        cache = server / "branchflow"
        shutil.rmtree(cache, ignore_errors=True)  # cold: each manifest comes from the DVC remote
        _received(bench, server, root / "quarantine", listed)

    def floor(_: int) -> None:
        wanted = "".join(f"{new}\n^{old}\n" for old, new, _ in lines if old != ZERO_SHA)
        script = ["git", "rev-list", "--stdin"]
        shas = subprocess.run(script, cwd=lab.repo, input=wanted, check=True, text=True,
                              capture_output=True, env=bench.env).stdout  # fmt: skip
        diff = ["git", "diff-tree", "--stdin", "-r", "-m", "--root", "--raw"]
        subprocess.run(diff, cwd=lab.repo, input=shas, check=True, text=True,
                       capture_output=True, env=bench.env)  # fmt: skip

    one = "".join(f"{old} {new} {ref}\n" for old, new, ref in _last_commits(lab, lines)[:1])
    contenders = [
        Contender("ours", judge),
        Contender("floor", floor),
        Contender("ours, one commit", lambda _: _received(bench, server, root / "quarantine", one)),
    ]
    return Case(dict(size), contenders)


def _received(bench: Bench, server: Path, quarantine: Path, lines: str) -> None:
    """Run the hook as `git receive-pack` does."""
    env = {
        **bench.env,
        "GIT_QUARANTINE_PATH": str(quarantine),
        "GIT_OBJECT_DIRECTORY": str(quarantine),
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(server / "objects"),
    }
    program = shutil.which("git-branchflow-hook", path=bench.env["PATH"]) or "git-branchflow-hook"
    done = subprocess.run(
        [program, "pre-receive"], cwd=server, env=env, input=lines, text=True,
        capture_output=True, check=False,
    )  # fmt: skip
    if done.returncode:
        raise RuntimeError(f"a legal push was refused: {done.stderr[-1000:]}")


def _last_commits(lab: Lab, lines: list[tuple[Sha, Sha, str]]) -> list[tuple[Sha, Sha, str]]:
    tips = [new for _, new, _ in lines]
    commits = lab.git.commits(tips)
    return [(commits[new].parents[0], new, ref) for _, new, ref in lines]


@dataclass(frozen=True, slots=True)
class _History:
    """Monitor branches that grow, dev branches with code and pins, stable ones that promote."""

    lab: Lab
    branches: int
    commits: int
    files: int

    def lay(self) -> list[tuple[Sha, Sha, str]]:
        """Write all; return the push: old and new commit of each branch, and its ref."""
        base = self.lab.commit([self.lab.tip("main")], self._code())
        raw = self.lab.commit([self.lab.tip("main")], [pointer(self._grown("data/raw/p", 0))])
        self.lab.move({"raw": raw})
        per_branch = self.commits // self.branches
        lines: list[tuple[Sha, Sha, str]] = []
        start = dev = base
        for place in range(self.branches):
            kind = _KINDS[place % len(_KINDS)]
            name = f"{kind}/b{place - place % len(_KINDS):03d}"
            if kind == "monitor":
                old, new = self._monitor(name, per_branch)
            elif kind == "dev":
                old, new = start, dev = self._dev(base, raw, per_branch)
            else:
                old, new = self._stable(start, dev, name, per_branch)
            self.lab.move({name: old})
            lines.append((old, new, f"refs/heads/{name}"))
        return lines

    def _code(self) -> list[Change]:
        """Files that no commit of the push touches: what is not pushed must not cost."""
        return [Change(f"src/m{n % 50}/f{n}.py", f"{n}\n".encode()) for n in range(self.files)]

    def _grown(self, path: str, version: int) -> Out:
        out, manifest = directory(path, entries(range(_ENTRIES + version)))
        self.lab.put(out.oid, manifest)
        return out

    def _monitor(self, name: str, commits: int) -> tuple[Sha, Sha]:
        path = f"data/monitor/{name.partition('/')[2]}/p"
        new = [
            NewCommit(
                [place - 1 if place else self.lab.tip("main")],
                f"Log {place}\n\nSource: the bench\n",
                [pointer(self._grown(path, place))],
            )
            for place in range(commits + 1)
        ]
        shas = self.lab.git.write_commits(new)
        return shas[0], shas[-1]

    def _dev(self, base: Sha, raw: Sha, commits: int) -> tuple[Sha, Sha]:
        pins = [
            Change("pins.yaml", f"raw: {raw}\n".encode()),
            pointer(self._grown("data/raw/p", 0)),
        ]
        new = [NewCommit([base, raw], "Pin raw\n", pins)]
        for place in range(commits):
            edit = Change("src/train.py", f"step = {place}\n".encode())
            new.append(NewCommit([place], f"Step {place}\n", [edit]))
        shas = self.lab.git.write_commits(new)
        return shas[0], shas[-1]

    def _stable(self, start: Sha, dev: Sha, name: str, commits: int) -> tuple[Sha, Sha]:
        source = f"dev/{name.partition('/')[2]}"
        born = NewCommit([start], f"Promote\n\nPromoted-from: {source}@{start}\n", [])
        tip = self.lab.git.commits([dev])[dev].tree
        merge = NewCommit([0, dev], f"Promote\n\nPromoted-from: {source}@{dev}\n", [], tree=tip)
        new = [born, merge]
        for place in range(commits - 1):
            result = Change("MODEL_CARD.md", f"run {place}\n".encode())
            new.append(NewCommit([place + 1], f"Run {place}\n", [result]))
        shas = self.lab.git.write_commits(new)
        return shas[0], shas[-1]
