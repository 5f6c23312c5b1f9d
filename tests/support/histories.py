"""Small histories over a whole flow, made of steps that keep the rules and steps that break one.

A `World` is a shared bare repository, a clone of it and a DVC remote. Each operation adds commits
to the clone, and says which rule it breaks. No DVC runs and nothing is checked out.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from dvc_branchflow.errors import ConfigError
from dvc_branchflow.git import Change, Git, NewCommit, clone, init_bare
from dvc_branchflow.gitobjects import EXECUTABLE_MODE, FILE_MODE, LINK_MODE
from dvc_branchflow.manifest import Entry, manifest_oid, render
from dvc_branchflow.metafiles import (
    parse_lock,
    parse_pointer,
    pointer_path,
    render_pins,
    render_pointer,
)
from dvc_branchflow.model import ZERO_SHA, Branch, Oid, Out, Pins, Sample, Sha
from dvc_branchflow.objects import object_key
from dvc_branchflow.plain import dump_yaml
from dvc_branchflow.sampling import sampled

HEADS, TAGS = "refs/heads/", "refs/tags/"
FLOW = """\
branches:
  main:
  raw: {role: raw, data: data/raw}
  clean: {role: clean, data: data/clean, rules: {clean-accounts: warn}}
  split: {role: split, data: data/split}
  dev/*: {role: dev}
  dev/small: {role: dev, sample: 0.5}
  stable/*: {role: stable, code: "dev/{}"}
"""
# Relative to the folder of the config file: it names the same place in the bare repository.
_DVC_CONFIG = "[core]\n    remote = store\n['remote \"store\"']\n    url = ../../store\n"
_PUBLISHES = {"raw": "data/raw", "clean": "data/clean", "split": "data/split"}
_UPSTREAM = {"clean": "raw", "split": "clean"}
_CLEAN = """\
stages:
  clean:
    cmd: python clean.py
    deps: [data/raw/p1]
    outs: [data/clean]
    metrics: [{reports/clean.json: {cache: false}}]
"""
_SPLIT = """\
stages:
  split: {cmd: python split.py, deps: [data/clean], outs: [data/split]}
"""
_TRAIN = """\
stages:
  train: {cmd: python src/train.py, deps: [data/split, src/train.py], outs: [model.bin]}
"""
_LFS = (
    b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 123456789\n"
)


class Unfit(Exception):  # noqa: N818  no error: the operation has nothing to act on
    """An operation does not fit what the branches hold by now."""


class File(NamedTuple):
    """A file in a commit."""

    content: bytes
    mode: str = FILE_MODE


class Move(NamedTuple):
    """A ref that a history moves; ZERO_SHA: not there."""

    ref: str
    old: Sha
    new: Sha


class Step(NamedTuple):
    """A commit that was made on a branch, and where all refs stood before."""

    branch: str
    sha: Sha
    before: Mapping[str, Sha]


class Expected(NamedTuple):
    """A rule that an operation broke; `commit` is where, None: by the move of the ref itself."""

    code: str
    ref: str
    commit: Sha | None


Tree = Mapping[str, File]
Changes = Mapping[str, File | None]


@dataclass
class World:
    """Three folders with a flow in them, and the history that is being made.

    Attributes:
        tips: full name → object, as the history has moved the refs by now.
        base: the same, as the bare repository and the clone have them.
        dirty: branches that broke a rule: what a further operation there breaks can't be told.
        hidden: the manifests that are never to reach the DVC remote.
        is_cached: whether the clone's own cache holds the manifests, too.
        is_hidden: whether only the clone's cache holds one, so that the server can't judge it.
    """

    root: Path
    git: Git
    tips: dict[str, Sha] = field(default_factory=dict)
    base: dict[str, Sha] = field(default_factory=dict)
    parents: dict[Sha, tuple[Sha, ...]] = field(default_factory=dict)
    trees: dict[Sha, Tree] = field(default_factory=dict)
    entries: dict[Oid, dict[str, str]] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    expected: list[Expected] = field(default_factory=list)
    dirty: set[str] = field(default_factory=set)
    hidden: set[Oid] = field(default_factory=set)
    is_cached: bool = True
    is_hidden: bool = False
    _count: Iterator[int] = field(default_factory=itertools.count)

    def __repr__(self) -> str:
        return "World(…)"

    @property
    def origin(self) -> Path:
        return self.root / "origin.git"

    @property
    def repo(self) -> Path:
        return self.root / "repo"

    @property
    def store(self) -> Path:
        return self.root / "store"

    def copy(self, root: Path) -> World:
        """The same world in another, new folder, with nothing done in it yet."""
        shutil.copytree(self.root, root, symlinks=True)
        known = dict(self.parents), dict(self.trees), dict(self.entries)
        return World(
            root, Git.discover(root / "repo"), dict(self.tips), dict(self.tips), *known,
            _count=itertools.count(1000),
        )  # fmt: skip

    # -- what there is -----------------------------------------------------------------------------

    def tip(self, branch: str) -> Sha:
        """Where a branch stands by now."""
        try:
            return self.tips[HEADS + branch]
        except KeyError:
            raise Unfit from None

    def files(self, branch: str) -> Tree:
        """What is on a branch by now."""
        return self.trees[self.tip(branch)]

    def moves(self) -> list[Move]:
        """What a push of everything would move."""
        refs = sorted(self.tips.keys() | self.base.keys())
        found = [
            Move(r, self.base.get(r, ZERO_SHA), self.tips.get(r, ZERO_SHA))
            for r in refs
        ]  # fmt: skip
        return [move for move in found if move.old != move.new]

    def history(self, sha: Sha) -> set[Sha]:
        """A commit and all behind it."""
        seen: set[Sha] = set()
        rest = [sha]
        while rest:
            at = rest.pop()
            if at not in seen:
                seen.add(at)
                rest += self.parents[at]
        return seen

    def is_forward(self, move: Move) -> bool:
        """Whether a move takes nothing away."""
        if ZERO_SHA in (move.old, move.new):
            return move.old == ZERO_SHA
        return move.old in self.history(move.new)

    def outs(self, sha: Sha, below: str) -> dict[str, Out]:
        """The outs of a commit at or below a path; what can't be read is passed over."""
        found: dict[str, Out] = {}
        for path, file in self.trees[sha].items():
            outs: Sequence[Out] = ()
            with suppress(ConfigError):
                if path.endswith(".dvc") and file.mode == FILE_MODE:
                    outs = parse_pointer(file.content, path)
                elif path == "dvc.lock" and file.mode == FILE_MODE:
                    outs = [o for one in parse_lock(file.content) for o in one.outs.values()]
            found |= {o.path: o for o in outs if f"{o.path}/".startswith(f"{below}/")}
        return found

    def listed(self, branch: str, path: str) -> dict[str, str]:
        """What a directory out of a branch holds: name → content."""
        out = self.outs(self.tip(branch), path).get(path)
        if out is None or out.oid not in self.entries:
            raise Unfit
        return self.entries[out.oid]

    # -- making things -----------------------------------------------------------------------------

    def fresh(self) -> int:
        """A number that was not used yet."""
        return next(self._count)

    def directory(
        self, path: str, entries: Mapping[str, str], *, kept: Sequence[str] = ("cache", "store")
    ) -> Out:
        """A directory out; its files are on the DVC remote, its manifest wherever it is `kept`."""
        listed = [Entry(name, self.stored(text)) for name, text in entries.items()]
        manifest = render(listed)
        out = Out(path, manifest_oid(manifest), sum(map(len, entries.values())), len(entries))
        self.entries[out.oid] = dict(entries)
        if out.oid in self.hidden:
            return out
        self.hidden |= {out.oid} if "store" not in kept else set()
        places = {"cache": self.repo / ".dvc/cache", "store": self.store}
        for name in kept:
            if name == "store" or self.is_cached:
                _put(places[name] / object_key(out.oid), manifest)
        return out

    def stored(self, text: str) -> Oid:
        """The oid of a file, which is on the DVC remote now."""
        oid = Oid(hashlib.md5(text.encode()).hexdigest())
        _put(self.store / object_key(oid), text.encode())
        return oid

    def commit(self, parents: Sequence[Sha], changes: Changes, message: str = "Work") -> Sha:
        """A commit on top of its first parent's tree; no ref moves."""
        tree = dict(self.trees[parents[0]]) if parents else {}
        written: list[Change] = []
        for path, file in changes.items():
            if file is None:
                tree.pop(path, None)
                written.append(Change(path))
            else:
                tree[path] = file
                written.append(Change(path, file.content, mode=file.mode))
        subject, *rest = message.split("\n")
        text = "\n".join([f"{subject} {self.fresh()}", *rest, ""])
        sha = self.git.write_commits([NewCommit(parents, text, written)])[0]
        self.parents[sha] = tuple(parents)
        self.trees[sha] = tree
        return sha

    def step(
        self, branch: str, changes: Changes, message: str = "Work", *, merge: Sequence[Sha] = ()
    ) -> Sha:
        """A commit on a branch."""
        parents = [self.tip(branch), *(sha for sha in merge if sha != self.tip(branch))]
        return self.arrive(branch, self.commit(parents, changes, message))

    def arrive(self, branch: str, sha: Sha) -> Sha:
        """Move a branch to a commit that was made before."""
        self.steps.append(Step(branch, sha, dict(self.tips)))
        self.tips[HEADS + branch] = sha
        return sha

    def breaks(self, code: str, ref: str, commit: Sha | None, *reads: str) -> None:
        """Note a broken rule, unless something that was broken before could hide it."""
        if not self.dirty & {ref, *reads}:
            self.expected.append(Expected(code, ref, commit))
        self.dirty.add(ref)

    def still_expected(self) -> list[Expected]:
        """The broken rules that a push of everything would show."""
        moved = {move.ref.removeprefix(HEADS): move for move in self.moves()}
        return [
            one for one in self.expected if one.ref in moved and self._brings(one, moved[one.ref])
        ]

    def _brings(self, one: Expected, move: Move) -> bool:
        if one.code == "ref-deleted":
            return move.new == ZERO_SHA
        if one.code == "ref-rewritten":
            return move.new != ZERO_SHA and not self.is_forward(move)
        commit = one.commit
        if move.new == ZERO_SHA or commit is None:
            return commit is None
        if move.ref.startswith(TAGS):
            return move.new == commit
        return commit in self.history(move.new)


# -- the base --------------------------------------------------------------------------------------


def lay(root: Path) -> World:
    """Make a world whose branches keep every rule, and which both repositories know."""
    init_bare(root / "origin.git")
    (root / "store").mkdir()
    clone(root / "origin.git", root / "repo")
    world = World(root, Git.discover(root / "repo"))
    files = {
        ".dvc/config": _DVC_CONFIG,
        ".dvc/.gitignore": "/config.local\n/tmp\n/cache\n",
        ".dvcignore": "",
        "branchflow.yaml": FLOW,
        "README.md": "a flow\n",
    }
    main = world.commit([], {path: File(text.encode()) for path, text in files.items()}, "Lay")
    world.tips[HEADS + "main"] = main
    for branch in ("raw", "clean", "split", "dev/x", "dev/small", "feature"):
        world.tips[HEADS + branch] = main
    p1 = world.directory("data/raw/p1", {f"f{n}": f"row {n}" for n in range(4)})
    world.step("raw", {"data/raw/p1.dvc": File(render_pointer(p1))}, "Add\n\nSource: a test")
    world.step("clean", {"dvc.yaml": File(_CLEAN.encode()), "clean.py": File(b"1\n")})
    world.step("split", {"dvc.yaml": File(_SPLIT.encode()), "split.py": File(b"1\n")})
    code = {
        "dvc.yaml": File(_TRAIN.encode()),
        "src/train.py": File(b"1\n"),
        "params.yaml": File(b"depth: 1\n"),
        "run.sh": File(b"#!/bin/sh\n", EXECUTABLE_MODE),
    }
    world.step("dev/x", code)
    world.step("dev/small", code)
    for branch in ("clean", "split", "dev/x", "dev/small"):
        repin(world, branch)
        if branch in _UPSTREAM:
            run(world, branch)
    _be_born(world, "stable/x", world.tip("dev/x"))
    run(world, "stable/x")
    world.step("feature", {"notes.md": File(b"a thought\n")})
    world.step("main", {"README.md": File(b"the flow\n")})
    world.tips[TAGS + "x@v1.0.0"] = world.git.write_tag("x@v1.0.0", world.tip("stable/x"), "x\n")
    world.tips[TAGS + "seen"] = world.tip("main")
    set_refs(root / "repo", {}, world.tips)
    git(root / "repo", "push", "--quiet", "--all", "origin")
    git(root / "repo", "push", "--quiet", "--tags", "origin")
    for place in ("repo", "origin.git"):
        git(root / place, "gc", "--quiet", "--prune=now")
        shutil.rmtree(git_dir(root / place) / "hooks", ignore_errors=True)
        shutil.rmtree(git_dir(root / place) / "logs", ignore_errors=True)
    git(root / "repo", "config", "remote.origin.url", "../origin.git")
    world.steps.clear()
    return world


def git(at: Path, *args: str, data: str | None = None) -> str:
    """Run plain git."""
    done = subprocess.run(
        ["git", *args], cwd=at, input=data, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def git_dir(repository: Path) -> Path:
    """Where a repository keeps its things."""
    return repository / ".git" if (repository / ".git").is_dir() else repository


def set_refs(at: Path, before: Mapping[str, Sha], after: Mapping[str, Sha]) -> None:
    """Move refs by force, whatever a rule says: names in neither stay."""
    lines = [f"update {ref} {sha}\n" for ref, sha in after.items() if before.get(ref) != sha]
    lines += [f"delete {ref}\n" for ref in before.keys() - after.keys()]
    # A deleted name can be the folder of a new one.
    git(at, "update-ref", "--stdin", data="".join(sorted(lines)))


def tracked(refs: Mapping[str, Sha]) -> dict[str, Sha]:
    """Refs of the shared repository as the clone knows them."""
    return {
        f"refs/remotes/origin/{ref.removeprefix(HEADS)}": sha
        for ref, sha in refs.items()
        if ref.startswith(HEADS)
    }


def repin(
    world: World,
    branch: str,
    at: Sha | None = None,
    *,
    has_parent: bool = True,
    fraction: float | None = None,
) -> Sha:
    """Pin a branch's upstream: record, content and lineage.

    Args:
        fraction: how much of it; None: what the flow's config asks for.
    """
    upstream = _UPSTREAM.get(branch, "split")
    sha = at or world.tip(upstream)
    data = _PUBLISHES[upstream]
    files = world.files(branch)
    changes: dict[str, File | None] = {
        path: None for path in files if path.endswith(".dvc") and f"{path}/".startswith(data)
    }
    part = fraction or (0.5 if branch == "dev/small" else 1.0)
    sample = Sample(part, branch)
    for path, out in world.outs(sha, data).items():
        held = out if part == 1 else _sampled(world, out, sample)
        changes[pointer_path(path)] = File(render_pointer(held))
    name = Branch(upstream)
    pins = Pins({name: sha}, {name: sample} if part < 1 else {})
    changes["pins.yaml"] = File(render_pins(pins))
    return world.step(branch, changes, f"Pin {upstream}", merge=[sha] if has_parent else [])


def _sampled(world: World, out: Out, sample: Sample) -> Out:
    entries = world.entries.get(out.oid)
    if entries is None:
        raise Unfit
    chosen = sampled([Entry(name, Oid("")) for name in entries], sample)
    return world.directory(out.path, {entry.relpath: entries[entry.relpath] for entry in chosen})


def run(world: World, branch: str, entries: Mapping[str, str] | None = None) -> Sha:
    """Run a branch's pipeline on what it has pinned."""
    return world.step(branch, _results(world, branch, entries), "Run")


def _results(
    world: World, branch: str, entries: Mapping[str, str] | None = None, *, rejected: int = 0
) -> Changes:
    if branch == "clean":
        read = "data/raw/p1"
        made = {f"c-{name}": f"clean {text}" for name, text in world.listed(branch, read).items()}
        count = len(made)
        report = {"files": count, "files_kept": count, "files_rejected": rejected}
        text = json.dumps(report)
        outs = {"data/clean": world.directory("data/clean", entries or made).oid,
                "reports/clean.json": Oid(hashlib.md5(text.encode()).hexdigest())}  # fmt: skip
        lock = _lock(world, branch, "clean", read, outs)
        return {"dvc.lock": lock, "reports/clean.json": File(text.encode())}
    if branch == "split":
        read = "data/clean"
        made = {}
        for name, text in world.listed(branch, read).items():
            made[f"{'test' if text[-1] in '13579' else 'train'}/{name}"] = text
        outs = {"data/split": world.directory("data/split", entries or made).oid}
        return {"dvc.lock": _lock(world, branch, "split", read, outs)}
    number = world.fresh()
    outs = {"model.bin": world.stored(f"model {number}")}
    lock = _lock(world, branch, "train", "data/split", outs)
    return {"dvc.lock": lock, "MODEL_CARD.md": File(f"model {number}\n".encode())}


def _lock(world: World, branch: str, name: str, read: str, outs: Mapping[str, Oid]) -> File:
    held = world.outs(world.tip(branch), read)
    if read not in held:
        raise Unfit
    stage = {
        "cmd": "python",
        "deps": [{"path": read, "hash": "md5", "md5": held[read].oid}],
        "outs": [{"path": path, "hash": "md5", "md5": oid} for path, oid in outs.items()],
    }
    return File(dump_yaml({"schema": "2.0", "stages": {name: stage}}))


def _be_born(world: World, branch: str, source: Sha) -> Sha:
    """Make a stable branch out of a dev commit."""
    code = branch.replace("stable/", "dev/")
    return world.arrive(
        branch, world.commit([source], {}, f"Promote\n\nPromoted-from: {code}@{source}")
    )


def _put(path: Path, content: bytes) -> None:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


# -- operations that keep the rules ----------------------------------------------------------------

Operation = Callable[[World, int], None]
LEGAL: dict[str, Operation] = {}
ILLEGAL: dict[str, Operation] = {}
SOURCE = "Add\n\nSource: a test"


def legal(operation: Operation) -> Operation:
    """Take an operation in."""
    LEGAL[operation.__name__] = operation
    return operation


def illegal(operation: Operation) -> Operation:
    """Take an operation in."""
    ILLEGAL[operation.__name__] = operation
    return operation


def perform(world: World, name: str, choice: int) -> None:
    """Do an operation where it fits."""
    with suppress(Unfit):
        (LEGAL.get(name) or ILLEGAL[name])(world, choice)


def _grown(world: World, branch: str = "raw", count: int = 1) -> dict[str, str]:
    numbers = [world.fresh() for _ in range(count)]
    return world.listed(branch, "data/raw/p1") | {f"f{n}": f"row {n}" for n in numbers}


def _p1(
    world: World, entries: Mapping[str, str], kept: Sequence[str] = ("cache", "store")
) -> Changes:
    out = world.directory("data/raw/p1", entries, kept=kept)
    return {"data/raw/p1.dvc": File(render_pointer(out))}


@legal
def append(world: World, choice: int) -> None:
    world.step("raw", _p1(world, _grown(world, count=choice + 1)), SOURCE)


@legal
def new_partition(world: World, choice: int) -> None:
    number = world.fresh()
    out = world.directory(f"data/raw/q{number}", {"f": f"row {number}"})
    world.step("raw", {f"{out.path}.dvc": File(render_pointer(out))}, SOURCE)


@legal
def append_twice_and_merge(world: World, choice: int) -> None:
    """Two colleagues append at once; the merge holds both; `choice`: which parent comes first."""
    start = world.tip("raw")
    before = world.listed("raw", "data/raw/p1")
    ours, theirs = _grown(world), _grown(world)
    first = world.step("raw", _p1(world, ours), SOURCE)
    second = world.commit([start], _p1(world, theirs), SOURCE)
    both = _p1(world, before | ours | theirs)
    if choice % 2:
        world.arrive("raw", world.commit([second, first], both, "Merge"))
    else:
        world.step("raw", both, "Merge", merge=[second])


@legal
def repin_and_run(world: World, choice: int) -> None:
    branch = ("clean", "split", "stable/x", "clean")[choice]
    repin(world, branch)
    run(world, branch)


@legal
def repin_dev(world: World, choice: int) -> None:
    repin(world, ("dev/x", "dev/small")[choice % 2], fraction=0.3 if choice == 3 else None)


@legal
def repin_to_an_older_commit(world: World, choice: int) -> None:
    base = world.base[HEADS + "raw"]
    if base not in world.history(world.tip("raw")):
        raise Unfit
    repin(world, "clean", base)
    run(world, "clean")


@legal
def code_on_dev(world: World, choice: int) -> None:
    file = (
        {"src/train.py": File(f"{world.fresh()}\n".encode())},
        {"src/train.py": File(b"2\n", EXECUTABLE_MODE)},
        {"src/link.py": File(b"train.py", LINK_MODE)},
        {"params.yaml": File(f"depth: {world.fresh()}\n".encode())},
    )
    world.step("dev/x", file[choice])


@legal
def promote(world: World, choice: int) -> None:
    """The tree of dev, with the results that stable has; sometimes a run afterwards."""
    source = world.tip("dev/x")
    if choice % 2 and len(world.parents[source]) == 1:
        source = world.parents[source][0]
    stable = world.files("stable/x")
    wanted = dict(world.trees[source])
    wanted |= {p: stable[p] for p in ("dvc.lock", "MODEL_CARD.md", "params.yaml") if p in stable}
    if "pins.yaml" not in wanted:
        raise Unfit
    changes: dict[str, File | None] = dict.fromkeys(stable.keys() - wanted.keys())
    changes |= {path: file for path, file in wanted.items() if stable.get(path) != file}
    message = f"Promote\n\nPromoted-from: dev/x@{source}"
    world.step("stable/x", changes, message, merge=[source])
    if choice > 1:
        run(world, "stable/x")


@legal
def tune_stable(world: World, choice: int) -> None:
    world.step("stable/x", {"params.yaml": File(f"depth: {world.fresh()}\n".encode())})


@legal
def release(world: World, choice: int) -> None:
    run(world, "stable/x")
    name = f"x@v1.0.{world.fresh()}"
    world.tips[TAGS + name] = world.git.write_tag(name, world.tip("stable/x"), "x\n")


@legal
def assign(world: World, choice: int) -> None:
    """What becomes of the first release, in GTO's words."""
    what = ("#prod", "#prod!", "@v1.0.0!", "@deprecated")[choice]
    name = f"x{what}#{world.fresh()}"
    world.tips[TAGS + name] = world.git.write_tag(name, _released(world), "x\n")


@legal
def document(world: World, choice: int) -> None:
    path = ("README.md", "docs/a.md", "runs/x/v1.json", "docs/ä b.md")[choice]
    world.step("main", {path: File(f"{world.fresh()}\n".encode())})


@legal
def merge_main(world: World, choice: int) -> None:
    """Main may come into any branch: nothing changes there but the documents."""
    branch = ("raw", "clean", "dev/x", "split")[choice]
    documents = {
        p: f for p, f in world.files("main").items() if p == "README.md" or p[:5] == "docs/"
    }
    world.step(branch, documents, "Merge main", merge=[world.tip("main")])


@legal
def foxtrot(world: World, choice: int) -> None:
    """A merge the wrong way round: what the branch had is the second parent."""
    branch = ("main", "dev/x", "raw", "clean")[choice]
    start = world.tip(branch)
    ours, theirs = (f"docs/{world.fresh()}.md" for _ in range(2))
    world.step(branch, {ours: File(b"ours\n")})
    side = world.commit([start], {theirs: File(b"theirs\n")})
    merged = world.commit([side, world.tip(branch)], {ours: File(b"ours\n")}, "Merge")
    world.arrive(branch, merged)


@legal
def append_three_times_at_once(world: World, choice: int) -> None:
    """An octopus."""
    start = world.tip("raw")
    grown = [_grown(world) for _ in range(3)]
    sides = [world.commit([start], _p1(world, entries), SOURCE) for entries in grown[1:]]
    world.step("raw", _p1(world, grown[0]), SOURCE)
    together = {name: text for entries in grown for name, text in entries.items()}
    world.step("raw", _p1(world, together), "Merge", merge=sides)


@legal
def commit_nothing(world: World, choice: int) -> None:
    world.step(("raw", "stable/x", "split", "main")[choice], {})


@legal
def merge_documents(world: World, choice: int) -> None:
    """What a forge's button makes of a pull request."""
    path = f"docs/{world.fresh()}.md"
    side = world.commit([world.tip("main")], {path: File(b"draft\n")})
    side = world.commit([side], {path: File(b"done\n")})
    world.step("main", {path: File(b"done\n")}, "Merge", merge=[side])


@legal
def work_on_a_feature(world: World, choice: int) -> None:
    world.step("feature", {f"src/part{choice}.py": File(f"{world.fresh()}\n".encode())})


@legal
def merge_a_feature(world: World, choice: int) -> None:
    """Onto dev, from a branch without a role."""
    part = File(f"{world.fresh()}\n".encode())
    world.step("feature", {f"src/part{choice}.py": part})
    tips = [world.tip("feature")]
    world.step("dev/x", {f"src/part{choice}.py": part}, "Merge feature", merge=tips)


@legal
def new_dev_branch(world: World, choice: int) -> None:
    """From another dev branch, from its very commit, or from main with a pin of its own."""
    name = f"dev/y{world.fresh()}"
    start = world.tip("main" if choice == 3 else "dev/x")
    world.tips[HEADS + name] = start
    if choice == 1:
        world.step(name, {"src/train.py": File(f"{world.fresh()}\n".encode())})
    elif choice == 2:
        world.step(name, {"src/train.py": File(f"{world.fresh()}\n".encode())})
        repin(world, name)
        _be_born(world, name.replace("dev/", "stable/"), world.tip(name))
    elif choice == 3:
        world.step(name, {"dvc.yaml": File(_TRAIN.encode())})
        repin(world, name)


@legal
def rewrite_what_may_be(world: World, choice: int) -> None:
    branch = ("dev/x", "feature")[choice % 2]
    start = world.parents[world.tip(branch)][0]
    if branch == "dev/x" and "pins.yaml" not in world.trees[start]:
        raise Unfit  # without its pin there is less to see
    lost = world.tip(branch)
    is_promoted = any(
        lost in world.history(sha) for ref, sha in world.tips.items() if "stable/" in ref
    )
    if is_promoted and lost != world.base[HEADS + branch]:
        raise Unfit  # the shared repository would never have seen the promoted commit on dev
    sha = world.commit([start], {"src/train.py": File(f"{world.fresh()}\n".encode())})
    world.arrive(branch, sha)


@legal
def drop_a_feature(world: World, choice: int) -> None:
    world.tips.pop(HEADS + "feature", None)


@legal
def other_tags(world: World, choice: int) -> None:
    if choice == 0:
        world.tips.pop(TAGS + "seen", None)
    elif choice == 1:
        world.tips[TAGS + "seen"] = world.tip("dev/x")
    else:
        world.tips[f"{TAGS}note{world.fresh()}"] = world.tip(("raw", "feature")[choice % 2])


@legal
def release_another_model(world: World, choice: int) -> None:
    name = f"z{world.fresh()}"
    world.tips[f"{HEADS}dev/{name}"] = world.tip("dev/x")
    born = _be_born(world, f"stable/{name}", world.tip("dev/x"))
    tag = f"{name}@v1.0.0"
    world.tips[TAGS + tag] = world.git.write_tag(tag, born, "x\n")
    if choice % 2:
        run(world, f"stable/{name}")


# -- operations that break one ---------------------------------------------------------------------


@illegal
def lose_an_entry(world: World, choice: int) -> None:
    entries = world.listed("raw", "data/raw/p1")
    gone = sorted(entries)[choice % len(entries)]
    kept = {name: text for name, text in _grown(world).items() if name != gone}
    sha = world.step("raw", _p1(world, kept), SOURCE)
    world.breaks("raw-append-only", "raw", sha)


@illegal
def change_an_entry(world: World, choice: int) -> None:
    entries = world.listed("raw", "data/raw/p1")
    name = sorted(entries)[choice % len(entries)]
    sha = world.step("raw", _p1(world, entries | {name: f"other {world.fresh()}"}), SOURCE)
    world.breaks("raw-append-only", "raw", sha)


@illegal
def name_no_source(world: World, choice: int) -> None:
    message = ("Add", "Add\n\nSource: a\n\nmore", "Add\n\nSource:", "Add\n\nResource: a")[choice]
    changes = _p1(world, _grown(world))
    parents = [world.tip("raw")]
    sha = world.arrive("raw", world.commit(parents, changes, message))
    world.breaks("raw-source", "raw", sha)


@illegal
def lose_an_out(world: World, choice: int) -> None:
    changes: tuple[Changes, ...] = (
        {"data/raw/p1.dvc": None},
        {"data/raw/p1.dvc": File(b"../../x.dvc", LINK_MODE)},
        {"data/raw/p1.dvc": File(b"outs: [\n")},
        {"data/raw/p1.dvc": File(b"outs:\n- md5: " + b"a0" * 16 + b"\n  hash: md5\n  path: p1\n")},
    )
    sha = world.step("raw", changes[choice], SOURCE)
    lost = "data/raw/p1" in world.outs(world.parents[sha][0], "data/raw")
    if lost:
        world.breaks("raw-append-only" if choice in {0, 3} else "bad-metadata", "raw", sha)


@illegal
def lose_one_side_of_a_merge(world: World, choice: int) -> None:
    start = world.tip("raw")
    ours, theirs = _grown(world), _grown(world)
    first = world.step("raw", _p1(world, ours), SOURCE)
    second = world.commit([start], _p1(world, theirs), SOURCE)
    wins = (ours, theirs)[choice % 2]
    parents = [first, second] if choice < 2 else [second, first]
    sha = world.arrive("raw", world.commit(parents, _p1(world, wins), "Merge"))
    world.breaks("raw-append-only", "raw", sha)


@illegal
def lose_an_entry_for_a_while(world: World, choice: int) -> None:
    """On a side line, or on the branch itself; the end holds everything."""
    entries = world.listed("raw", "data/raw/p1")
    kept = dict(sorted(entries.items())[1:])
    whole = _p1(world, entries)
    if choice % 2:
        side = world.commit([world.tip("raw")], _p1(world, kept), SOURCE)
        world.step("raw", whole, "Merge", merge=[side])
    else:
        side = world.step("raw", _p1(world, kept), SOURCE)
        world.step("raw", whole, SOURCE)
    world.breaks("raw-append-only", "raw", side)


@illegal
def push_to_the_wrong_branch(world: World, choice: int) -> None:
    """A pipeline's branch to raw; a branch with data to main."""
    if choice % 2:
        tip = world.tip("clean")
        if world.tip("raw") not in world.history(tip):
            tip = repin(world, "clean")
        world.arrive("raw", tip)
        world.breaks("raw-no-pipeline", "raw", None, "clean")
    else:
        tip = world.tip(("dev/x", "raw")[choice // 2])
        lacks = {p: f for p, f in world.trees[tip].items() if p.endswith((".dvc", "dvc.yaml"))}
        sha = world.step("main", lacks, "Merge", merge=[tip])
        world.breaks("main-no-outs", "main", sha, "dev/x", "raw")


@illegal
def hold_too_much_on_dev(world: World, choice: int) -> None:
    """All, more than the config asks for, less than said, and a sample where there is none."""
    if choice == 2:
        repin(world, "dev/small")
        out = world.directory("data/split", {"train/f": f"other {world.fresh()}"})
        sha = world.step("dev/small", {"data/split.dvc": File(render_pointer(out))})
        world.breaks("pins-true", "dev/small", sha, "split")
    elif choice == 3:
        sha = repin(world, "dev/x", fraction=0.5)
        world.breaks("pins-true", "dev/x", sha, "split")
    else:
        sha = repin(world, "dev/small", fraction=(1.0, 0.9)[choice])
        world.breaks("dev-sample", "dev/small", sha, "split")


@illegal
def run_on_raw(world: World, choice: int) -> None:
    sha = world.step("raw", {"dvc.yaml": File(_CLEAN.encode())}, SOURCE)
    world.breaks("raw-no-pipeline", "raw", sha)


@illegal
def hide_a_manifest(world: World, choice: int) -> None:
    """The server can't see it; the clone may have it."""
    kept = ("cache",) if choice % 2 else ()
    world.is_hidden |= bool(kept) and world.is_cached
    sha = world.step("raw", _p1(world, _grown(world), kept=kept), SOURCE)
    world.breaks("unproven", "raw", sha)


@illegal
def pin_a_lie(world: World, choice: int) -> None:
    """About the commit: of another branch, of none; about the lineage; about the content."""
    branch = ("clean", "split", "dev/x", "stable/x")[choice]
    upstream = _UPSTREAM.get(branch, "split")
    name = Branch(upstream)
    other = (world.tip("main"), Sha("1" * 40), Sha("e" * 40), world.tip("feature"))[choice]
    pins = File(render_pins(Pins({name: other})))
    sha = world.step(branch, {"pins.yaml": pins})
    world.breaks("pins-true", branch, sha)


@illegal
def pin_another_content(world: World, choice: int) -> None:
    branch = ("clean", "split", "dev/x", "stable/x")[choice]
    data = _PUBLISHES[_UPSTREAM.get(branch, "split")]
    path = f"{data}/p1" if branch == "clean" else data
    out = world.directory(path, {"f": f"other {world.fresh()}"})
    changes: dict[str, File | None] = {pointer_path(path): File(render_pointer(out))}
    if world.fresh() % 2 and pointer_path(path) in world.files(branch):
        changes = {pointer_path(path): None}
    sha = world.step(branch, changes)
    world.breaks("pins-true", branch, sha)


@illegal
def pin_without_lineage(world: World, choice: int) -> None:
    append(world, 0)
    sha = repin(world, "clean", has_parent=False)
    world.breaks("pins-true", "clean", sha, "raw")


@illegal
def forget_the_pins(world: World, choice: int) -> None:
    branch = ("clean", "split", "dev/x", "stable/x")[choice]
    if "pins.yaml" not in world.files(branch):
        raise Unfit
    sha = world.step(branch, {"pins.yaml": None})
    world.breaks("pins-true", branch, sha)


@illegal
def read_other_data(world: World, choice: int) -> None:
    branch = ("clean", "split", "stable/x", "stable/x")[choice]
    results = dict(_results(world, branch))
    lock = results["dvc.lock"]
    assert lock is not None
    read = {"clean": "data/raw/p1", "split": "data/clean"}.get(branch, "data/split")
    held = world.outs(world.tip(branch), read)[read].oid
    results["dvc.lock"] = File(lock.content.replace(held.encode(), b"a0" * 16 + b".dir"))
    sha = world.step(branch, results)
    world.breaks("inputs-true", branch, sha)


@illegal
def count_wrongly(world: World, choice: int) -> None:
    sha = world.step("clean", _results(world, "clean", rejected=1), "Run")
    world.breaks("clean-accounts", "clean", sha)


@illegal
def leak_the_test(world: World, choice: int) -> None:
    entries = world.listed("split", "data/split")
    tests = [name for name in sorted(entries) if name.startswith("test/")]
    if not tests:
        raise Unfit
    name = tests[choice % len(tests)]
    changed = entries | {name.replace("test/", "train/"): entries[name]}
    if choice % 2:
        del changed[name]
    sha = run(world, "split", changed)
    world.breaks("split-stays" if choice % 2 else "split-disjoint", "split", sha)


@illegal
def code_on_stable(world: World, choice: int) -> None:
    changes: tuple[Changes, ...] = (
        {"src/train.py": File(f"{world.fresh()}\n".encode())},
        {"run.sh": File(b"#!/bin/sh\n")},
        {"src/link.py": File(b"/etc/passwd", LINK_MODE)},
        {"src/train.py": None},
    )
    if choice == 2 and "src/link.py" in world.files("stable/x"):
        raise Unfit
    sha = world.step("stable/x", changes[choice])
    world.breaks("stable-code", "stable/x", sha)


@illegal
def merge_code_into_stable(world: World, choice: int) -> None:
    code = {"src/extra.py": File(f"{world.fresh()}\n".encode())}
    side = world.commit([world.tip(("feature", "dev/x", "main", "stable/x")[choice])], code)
    sha = world.step("stable/x", code, "Merge", merge=[side])
    world.breaks("stable-code", "stable/x", sha)


@illegal
def promote_from_elsewhere(world: World, choice: int) -> None:
    source = world.commit([world.tip("stable/x")], {"src/train.py": File(b"evil\n")})
    name = ("dev/x", "dev/y", "feature", "main")[choice]
    message = f"Promote\n\nPromoted-from: {name}@{source}"
    sha = world.step("stable/x", {"src/train.py": File(b"evil\n")}, message, merge=[source])
    world.breaks("stable-code", "stable/x", sha)


@illegal
def hold_a_model_on_dev(world: World, choice: int) -> None:
    out = Out("model.bin", world.stored(f"model {world.fresh()}"), 3)
    sha = world.step("dev/x", {"model.bin.dvc": File(render_pointer(out))})
    world.breaks("dev-stable-outs", "dev/x", sha, "stable/x")


@illegal
def sit_in_a_foreign_home(world: World, choice: int) -> None:
    """On branches that are not downstream of the owner."""
    branch, home = (("dev/x", "data/raw"), ("split", "data/raw"), ("raw", "data/clean"),
                    ("stable/x", "data/clean"))[choice]  # fmt: skip
    out = world.directory(f"{home}/s{world.fresh()}", {"f": f"row {world.fresh()}"})
    sha = world.step(branch, {pointer_path(out.path): File(render_pointer(out))}, SOURCE)
    world.breaks("outs-at-home", branch, sha)


@illegal
def put_an_out_on_main(world: World, choice: int) -> None:
    out = world.directory(f"things{world.fresh()}", {"f": f"row {world.fresh()}"})
    sha = world.step("main", {pointer_path(out.path): File(render_pointer(out))})
    world.breaks("main-no-outs", "main", sha)


@illegal
def commit_what_no_branch_takes(world: World, choice: int) -> None:
    branch = ("feature", "dev/x", "main", "raw")[choice]
    number = world.fresh()
    kinds = (
        ("lfs-pointer", {f"big{number}.bin": File(_LFS)}),
        ("hostile-path", {f"docs/{number}\n.md": File(b"x\n")}),
        ("big-file-in-git", {f"big{number}.bin": File(bytes(5 * 1024 * 1024 + 1))}),
    )
    code, changes = kinds[(number + choice) % len(kinds)]
    sha = world.step(branch, changes)
    world.breaks(code, branch, sha)
    if number % 2:  # taken back, and still in the history
        world.step(branch, dict.fromkeys(changes))


@illegal
def hide_a_file_behind_a_merge(world: World, choice: int) -> None:
    """A commit on a side line holds what no branch takes; the merge does not."""
    branch = ("feature", "dev/x", "main", "raw")[choice]
    path = f"side{world.fresh()}.bin"
    side = world.commit([world.tip(branch)], {path: File(_LFS)})
    world.step(branch, {}, "Merge", merge=[world.commit([side], {path: None})])
    world.breaks("lfs-pointer", branch, side)


@illegal
def break_metadata(world: World, choice: int) -> None:
    branch, path, content = (
        ("clean", "dvc.lock", b"stages: 1\n"),
        ("split", "pins.yaml", b"clean: a\nclean: b\n"),
        (
            "dev/x",
            "src/a.dvc",
            b"outs:\n- md5: " + b"a0" * 16 + b"\n  hash: md5\n  path: ../../../a\n",
        ),
        ("stable/x", "dvc.yaml", b"stages: &a\n  b: *a\n"),
    )[choice]
    sha = world.step(branch, {path: File(content)})
    world.breaks("bad-metadata", branch, sha)


@illegal
def break_the_config(world: World, choice: int) -> None:
    contents = (
        File(b"branches: 1\n"),
        None,
        File(b"x", LINK_MODE),
        File(b"tracking: raw\n" + FLOW.encode()),
    )
    sha = world.step("main", {"branchflow.yaml": contents[choice]})
    world.breaks("config-valid", "main", sha)


@illegal
def drop_the_rules(world: World, choice: int) -> None:
    """A config that turns rules off comes with the commit that breaks one."""
    if world.files("main").get("branchflow.yaml") != File(FLOW.encode()):
        raise Unfit  # it would mend what an earlier operation broke
    off = FLOW.replace("data: data/raw}", "data: data/raw, rules: {raw-append-only: off}}")
    gone = FLOW.replace("  raw: {role: raw, data: data/raw}\n", "")
    gone = gone.replace("data: data/clean,", "data: data/clean, from: [],")
    world.step("main", {"branchflow.yaml": File((off, gone)[choice % 2].encode())})
    world.dirty.add("main")
    lose_an_entry(world, choice)


@illegal
def rewrite(world: World, choice: int) -> None:
    branch = ("raw", "main", "clean", "stable/x")[choice]
    start = world.parents[world.base[HEADS + branch]]
    if start:
        kept = world.trees[world.tip(branch)]
        before = world.trees[start[0]]
        changes = {path: file for path, file in kept.items() if before.get(path) != file}
        world.arrive(branch, world.commit([start[0]], changes, SOURCE))
        world.breaks("ref-rewritten", branch, None)


@illegal
def set_back(world: World, choice: int) -> None:
    branch = ("raw", "split", "clean", "stable/x")[choice]
    world.tips[HEADS + branch] = world.parents[world.base[HEADS + branch]][0]
    world.breaks("ref-rewritten", branch, None)


@illegal
def delete(world: World, choice: int) -> None:
    branch = ("raw", "main", "split", "stable/x")[choice]
    world.tip(branch)
    del world.tips[HEADS + branch]
    world.breaks("ref-deleted", branch, None)


@illegal
def make_a_false_release(world: World, choice: int) -> None:
    ref = f"{TAGS}x@v2.0.{world.fresh()}"
    name = ref.removeprefix(TAGS)
    stable, dev = world.tip("stable/x"), world.commit([world.tip("dev/x")], {})
    objects = (
        lambda: stable,
        lambda: world.git.write_tag(name, dev, "x\n"),
        lambda: world.git.write_tag("x@v9.9.9", stable, "x\n"),
        lambda: world.git.write_tag(name, world.git.write_tag(name, stable, "x\n"), "x\n"),
    )
    if choice == 3:  # `write_tag` says "commit"; a tag of a tag is made by hand
        inner = objects[2]()
        head = f"object {inner}\ntype tag\ntag {name}\ntagger A <a@b> 1700000000 +0000\n\nx\n"
        sha = Sha(git(world.repo, "mktag", data=head).strip())
    else:
        sha = objects[choice]()
    world.tips[ref] = sha
    world.breaks("tag-true", ref, sha, "stable/x")


@illegal
def make_a_false_assignment(world: World, choice: int) -> None:
    ref = f"{TAGS}x#prod#{world.fresh()}"
    name = ref.removeprefix(TAGS)
    if choice == 0:
        sha = _released(world)
    elif choice == 1:
        sha = world.git.write_tag("x#prod#1", _released(world), "x\n")
    else:
        never = world.commit([world.tip(("dev/x", "stable/x")[choice - 2])], {})
        sha = world.git.write_tag(name, never, "x\n")
    world.tips[ref] = sha
    world.breaks("channel-true", ref, sha, "stable/x")


@illegal
def move_a_release(world: World, choice: int) -> None:
    ref = f"{TAGS}x@v1.0.0"
    name = ref.removeprefix(TAGS)
    if choice == 0:
        world.tips.pop(ref, None)
    elif choice == 1:
        world.tips[ref] = world.tip("stable/x")
    elif choice == 2:
        world.tips[ref] = world.git.write_tag(name, world.tip("dev/x"), "x\n")
    else:
        world.tips[ref] = world.git.write_tag(name, world.tip("stable/x"), "again\n")
    world.breaks("tag-moved", ref, None)


def _released(world: World) -> Sha:
    """The commit of the release that was there from the start."""
    tag = world.base[TAGS + "x@v1.0.0"]
    return world.git.tags([tag])[tag].target


@illegal
def take_a_trick_name(world: World, choice: int) -> None:
    name = ("a;rm -rf".replace(" ", "$IFS"), "RAW", "dev/$(id)", "-x")[choice]
    world.tips[HEADS + name] = world.tip("feature")
    world.breaks("ref-name", name, None)
