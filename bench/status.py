"""Asks where things stand: the whole flow here, one checkout for `dvc status` and `git status`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace

from bench.fixtures import FILE_BYTES, Lab, content, directory, entries, pointer
from bench.measure import Bench, Case, Contender
from dvc_branchflow.git import Change, NewCommit
from dvc_branchflow.model import Oid, Out, Sha

_RAW, _SPLIT, _MODEL = "data/raw/p", "data/split", "model.bin"
_FILES = 100
_FLOW = """\
branches:
  raw: {role: raw, data: data/raw}
  split: {role: split, data: data/split, from: [raw]}
  dev/*: {role: dev, from: [split]}
  stable/*: {role: stable, from: [split], code: "dev/{}"}
"""
_CODE = b"print('train')\n"
_STAGE = "stages:\n  {name}:\n    cmd: echo done\n    deps: [{deps}]\n    outs: [{out}]\n"
_AHEAD_EVERY = 10  # one dev branch in so many has a commit that is not pushed


def cases(bench: Bench, size: Mapping[str, int]) -> Case:
    """Return the case of `models` dev and as many stable branches with `commits` commits each.

    `dvc exp show -A` reads each commit by itself, and goes once.
    """
    models, commits = size["models"], size["commits"]
    lab = Lab.make(bench.root / f"status-{models}-{commits}", _FLOW)
    _History(lab, models, commits).lay()
    lab.check_out("dev/b000", {_SPLIT: range(commits, commits + _FILES)})
    lab.fill([0, *range(commits, commits + _FILES)])
    (lab.repo / _MODEL).write_bytes(content(0))

    _check(bench, lab, models)

    def command(*words: str) -> Contender:
        return Contender(" ".join(words), lambda _: _run(bench, lab, *words))

    contenders = [
        Contender("ours", lambda _: _run(bench, lab, "git", "branchflow", "status")),
        Contender("floor", lambda _: _floor(bench, lab)),
        command("dvc", "status"),
        command("git", "status"),
        replace(command("dvc", "exp", "show", "-A", "--csv"), once=True),
    ]
    refs = lab.git.refs().direct
    total = len(lab.git.rev_list("--branches"))
    return Case({"refs": len(refs), "commits": total}, contenders)


def _check(bench: Bench, lab: Lab, models: int) -> None:
    """Raise where the fixture is not what it says: complete, clean, half of it behind."""
    told = bench.run("dvc", "status", cwd=lab.repo)
    rows = json.loads(bench.run("git", "branchflow", "status", "--json", cwd=lab.repo))
    behind = [row for row in rows["result"]["branches"] if row["behind"]]
    if "up to date" not in told or len(behind) != 2 * (models // 2):
        raise RuntimeError(f"the fixture is wrong: {told[:300]}")


def _run(bench: Bench, lab: Lab, *words: str) -> None:
    bench.run(*words, cwd=lab.repo)


def _floor(bench: Bench, lab: Lab) -> None:
    bench.floor("status", str(lab.repo), cwd=lab.repo)


@dataclass(frozen=True, slots=True)
class _History:
    """A flow with a past: raw grew, split followed, and half of the models are one step behind."""

    lab: Lab
    models: int
    commits: int

    def lay(self) -> None:
        raws = [self._raw(version) for version in range(self.commits)]
        raw_shas = self._chain(raws, [])
        splits = [self._split(v, raws[v], sha) for v, sha in enumerate(raw_shas)]
        split_shas = self._chain(splits, raw_shas)
        tips = {"raw": raw_shas[-1], "split": split_shas[-1]}
        for model in range(self.models):
            version = self.commits - 1 - model % 2
            for role in ("dev", "stable"):
                changes = self._train(version, split_shas[version])
                branch = f"{role}/b{model:03d}"
                tips[branch] = self._model(branch, changes, split_shas[version])
        self.lab.move(tips)
        self._publish(tips)
        tags = {
            f"refs/tags/b{model:03d}@v0.1.0": self.lab.git.write_tag(
                f"b{model:03d}@v0.1.0", tips[f"stable/b{model:03d}"], "release\n"
            )
            for model in range(self.models)
        }
        self.lab.move(tags)

    def _publish(self, tips: Mapping[str, Sha]) -> None:
        """Lay the git remote's refs: a few dev branches have a commit more here."""
        self.lab.git.run("remote", "add", "origin", str(self.lab.store))
        published = {}
        for place, (branch, sha) in enumerate(tips.items()):
            is_ahead = branch.startswith("dev/") and place % _AHEAD_EVERY < 2
            shown = self.lab.git.commits([sha])[sha].parents[0] if is_ahead else sha
            published[f"refs/remotes/origin/{branch}"] = shown
        self.lab.move({**published, "refs/remotes/origin/main": self.lab.tip("main")})

    def _chain(self, versions: list[list[Change]], merged: list[Sha]) -> list[Sha]:
        new = []
        for place, changes in enumerate(versions):
            first: Sha | int = place - 1 if place else self.lab.tip("main")
            new.append(NewCommit([first, *merged[place : place + 1]], f"{place}\n", changes))
        return self.lab.git.write_commits(new)

    def _model(self, branch: str, changes: list[Change], split: Sha) -> Sha:
        """One branch: the pin and the run, then small edits."""
        new = [NewCommit([self.lab.tip("main"), split], f"run {branch}\n", changes)]
        for place in range(1, self.commits):
            edit = Change("notes.md", f"step {place}\n".encode())
            new.append(NewCommit([place - 1], f"{place}\n", [edit]))
        return self.lab.git.write_commits(new)[-1]

    def _raw(self, version: int) -> list[Change]:
        return [pointer(directory(_RAW, entries(range(_FILES + version)))[0])]

    def _split(self, version: int, raw: list[Change], sha: Sha) -> list[Change]:
        dep = directory(_RAW, entries(range(_FILES + version)))[0]
        out = self._split_out(version)
        return [
            *raw,
            Change("pins.yaml", f"raw: {sha}\n".encode()),
            Change("dvc.yaml", _STAGE.format(name="split", deps=_RAW, out=_SPLIT).encode()),
            Change("dvc.lock", _lock("split", [dep], out)),
        ]

    def _train(self, version: int, sha: Sha) -> list[Change]:
        held = self._split_out(version)
        code = Out("train.py", Oid(hashlib.md5(_CODE).hexdigest()), len(_CODE))
        model = Out(_MODEL, Oid(hashlib.md5(content(0)).hexdigest()), FILE_BYTES)
        stage = _STAGE.format(name="train", deps=f"{_SPLIT}, train.py", out=_MODEL)
        return [
            pointer(held),
            Change("pins.yaml", f"split: {sha}\n".encode()),
            Change("train.py", _CODE),
            Change("dvc.yaml", stage.encode()),
            Change("dvc.lock", _lock("train", [held, code], model)),
        ]

    def _split_out(self, version: int) -> Out:
        listed = entries(range(version + 1, version + 1 + _FILES))
        out, manifest = directory(_SPLIT, listed)
        self.lab.put(out.oid, manifest)
        return out


def _lock(name: str, deps: list[Out], out: Out) -> bytes:
    lines = ["schema: '2.0'", "stages:", f"  {name}:", "    cmd: echo done"]
    for key, outs in (("deps", deps), ("outs", [out])):
        lines.append(f"    {key}:")
        for item in outs:
            lines += [f"    - path: {item.path}", "      hash: md5", f"      md5: {item.oid}"]
            lines += [f"      size: {item.size_bytes}"]
            lines += [f"      nfiles: {item.nfiles}"] if item.is_dir else []
    return ("\n".join(lines) + "\n").encode()
