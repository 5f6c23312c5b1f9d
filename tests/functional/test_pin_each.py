"""Many branches pinned at once: read, judged, proven and moved together, however many they are."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from dvc_branchflow.cli.run import main
from dvc_branchflow.errors import FlowError, StorageError
from dvc_branchflow.git import Change, Git, NewCommit
from dvc_branchflow.git.batch import BatchReader
from dvc_branchflow.manifest import Entry, manifest_oid, render
from dvc_branchflow.metafiles import pointer_path, render_pointer
from dvc_branchflow.model import Branch, Oid, Out, RefUpdate, Sha
from dvc_branchflow.objects import object_key
from dvc_branchflow.objects.directory import DirectoryStore
from dvc_branchflow.pins import pin_each
from dvc_branchflow.project import Project
from dvc_branchflow.work.worktrees import branch_lock
from tests.support.repos import Shell

BODIES = {f"{n}.txt": b"body %d" % n for n in range(12)}
CONFIG = """\
branches:
  raw: {{role: raw, data: data/raw}}
  dev/*: {{role: dev, from: [raw]{more}}}
"""


@dataclass
class Lab:
    """A clone with `raw`, which moved once, and `dev/*` as `init` leaves them; a bare origin."""

    git: Git
    store: Path
    old: Sha
    new: Sha

    @property
    def repo(self) -> Path:
        return self.git.common_dir.parent

    def pin(self, pattern: str = "dev/*", wanted: Mapping[str, str] | None = None, **more: bool):
        found = pin_each(Project.open(self.repo), pattern, wanted or {}, lambda _: None, **more)
        return {one.branch: one for one in found}

    def tips(self, prefix: str = "refs/heads/") -> dict[str, Sha]:
        refs = Git.discover(self.repo).refs().direct
        return {n.removeprefix(prefix): r.sha for n, r in refs.items() if n.startswith(prefix)}

    def put(self, branch: str, *changes: Change) -> Sha:
        """Commit on a branch here, and only here."""
        tip = self.git.resolve(f"refs/heads/{branch}")
        (sha,) = self.git.write_commits([NewCommit([tip], "by hand\n", changes)])
        self.git.update_refs([RefUpdate(f"refs/heads/{branch}", tip, sha)], "test")
        return sha

    def pinned(self, prefix: str = "refs/heads/") -> dict[str, str]:
        """Each dev branch and what its pins.yaml says."""
        names = [prefix + name for name in self.tips(prefix) if name.startswith("dev/")]
        return {name: self.git.text("show", f"{name}:pins.yaml") for name in names}


@pytest.fixture
def lay(flow_git: Git, tmp_path: Path) -> Callable[..., Lab]:
    def laid(n: int = 3, *, is_shared: bool = True, more: str = "") -> Lab:
        store = tmp_path / "store"
        for body in BODIES.values():
            _store(flow_git, store, Oid(_md5(body)), body)
        settings = f"[core]\n    remote = store\n['remote \"store\"']\n    url = {store}\n"
        files = {"branchflow.yaml": CONFIG.format(more=more), ".dvc/config": settings}
        changes = [Change(path, text.encode()) for path, text in files.items()]
        tip = flow_git.resolve("refs/heads/main")
        raw = [_published(flow_git, store, count) for count in (6, 12)]
        base, old, new, *devs = flow_git.write_commits(
            [
                NewCommit([tip], "config\n", changes),
                NewCommit([0], "one\n\nSource: test\n", [raw[0]]),
                NewCommit([1], "two\n\nSource: test\n", [raw[1]]),
                *(NewCommit([0], f"{k}\n", [Change("s.py", b"%d" % k)]) for k in range(n)),
            ]
        )
        moves = {"main": base, "raw": new} | {f"dev/{k}": sha for k, sha in enumerate(devs)}
        known = {"main": tip}
        flow_git.update_refs(
            [RefUpdate(f"refs/heads/{b}", known.get(b), sha) for b, sha in moves.items()], "lay"
        )
        if is_shared:
            flow_git.run("init", "--quiet", "--bare", str(tmp_path / "origin.git"))
            flow_git.run("remote", "add", "origin", str(tmp_path / "origin.git"))
            flow_git.run("push", "--quiet", "origin", "--all")
            flow_git.fetch("origin")
        return Lab(flow_git, store, old, new)

    return laid


def _published(git: Git, store: Path, count: int) -> Change:
    entries = [Entry(name, Oid(_md5(body))) for name, body in list(BODIES.items())[:count]]
    manifest = render(sorted(entries, key=lambda entry: entry.relpath))
    out = Out("data/raw/p", manifest_oid(manifest), 1, count)
    _store(git, store, out.oid, manifest)
    return Change(pointer_path(out.path), render_pointer(out))


def _store(git: Git, store: Path, oid: Oid, body: bytes) -> None:
    for root in (store, git.common_dir.parent / ".dvc/cache"):
        path = root / object_key(oid)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)


def _md5(body: bytes) -> str:
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


def counted(monkeypatch: pytest.MonkeyPatch, work: Callable[[], object]) -> dict[str, list[str]]:
    """The git processes that some work starts, the objects it reads, and what it asks a store."""
    seen: dict[str, list[str]] = {"processes": [], "read": [], "asked": []}
    start, ask, sizes = subprocess.Popen.__init__, BatchReader._ask, DirectoryStore.sizes

    def started(self, args, **options):
        seen["processes"].append(" ".join(args))
        start(self, args, **options)

    def asked(self, what, shas):
        seen["read"] += [*shas] if what == "contents" else []
        return ask(self, what, shas)

    def sized(self, oids):
        seen["asked"].append(" ".join(oids := [*oids]))
        return sizes(self, oids)

    with monkeypatch.context() as patch:
        patch.setattr(subprocess.Popen, "__init__", started)
        patch.setattr(BatchReader, "_ask", asked)
        patch.setattr(DirectoryStore, "sizes", sized)
        work()
    return seen


@pytest.mark.parametrize("is_shared", [False, True])
def test_twenty_branches_cost_the_processes_of_two(
    lay: Callable[..., Lab], monkeypatch: pytest.MonkeyPatch, *, is_shared: bool
) -> None:
    lab = lay(22, is_shared=is_shared)
    two = counted(monkeypatch, lambda: lab.pin("dev/2?"))
    many = counted(monkeypatch, lab.pin)
    assert len(two["processes"]) == len(many["processes"]) <= (16 if is_shared else 12)
    assert len(many["read"]) == len(set(many["read"]))
    assert many["asked"] == []  # what raw's commits hold was proven when they were published
    assert set(lab.pinned().values()) == {f"raw: {lab.new}"}


def test_samples_of_many_branches_are_proven_in_the_questions_of_one(
    lay: Callable[..., Lab], monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = lay(12, more=", sample: 0.5")
    one = counted(monkeypatch, lambda: lab.pin("dev/0"))
    many = counted(monkeypatch, lab.pin)
    assert len(one["asked"]) == len(many["asked"]) == 1
    asked = " ".join(many["asked"]).split()
    assert len(asked) == len(set(asked))
    for name in lab.pinned():
        (line,) = (x for x in lab.git.text("show", f"{name}:data/raw/p.dvc").split() if ".dir" in x)
        assert (lab.store / object_key(Oid(line))).exists()


def test_each_commit_is_what_pinning_one_branch_makes(lay: Callable[..., Lab]) -> None:
    lab = lay(2)
    found = lab.pin(wanted={"raw": lab.old})
    assert set(lab.pinned().values()) == {f"raw: {lab.old}"}
    for name, one in found.items():
        before, upstream = lab.git.commits([one.commit])[one.commit].parents
        assert (before, upstream) == (lab.git.resolve(f"{name}~1"), lab.old)
        assert (
            lab.git.text("log", "-1", "--format=%B", name).strip().endswith(f"Pin: raw@{lab.old}")
        )
        assert one.moved == ("raw",)
    assert lab.tips() == {**lab.tips(), **lab.tips("refs/remotes/origin/")}
    assert {one.commit for one in lab.pin().values()} == {lab.tips()["dev/0"], lab.tips()["dev/1"]}
    assert {one.commit for one in lab.pin().values()} == {None}


def test_a_dry_run_says_the_same_and_moves_nothing(lay: Callable[..., Lab]) -> None:
    lab = lay()
    before = lab.tips()
    planned = lab.pin(dry_run=True)
    assert lab.tips() == before
    done = lab.pin()
    assert [p.commits for p in planned.values()] == [d.commits for d in done.values()]
    assert all(one.commit is None for one in planned.values())


def refused_by_a_rule(lab: Lab) -> str:
    lab.put("dev/1", Change("big.bin", b"x" * (5 * 1024 * 1024 + 1)))
    return "big-file-in-git: 'big.bin' on 'dev/1'"


def unreadable(lab: Lab) -> str:
    lab.put("dev/1", Change("dvc.yaml", b"stages: [\n"))
    return "dvc.yaml"


def gone_two_ways(lab: Lab) -> str:
    lab.put("dev/1", Change("a", b"1"))
    (sha,) = lab.git.write_commits([NewCommit([lab.tips()["dev/0"]], "x\n", [])])
    lab.git.run("push", "--quiet", "--force", "origin", f"{sha}:refs/heads/dev/1")
    return "went different ways"


def held_by_another_command(lab: Lab) -> str:
    lock = branch_lock(Project.open(lab.repo), Branch("dev/1"), lambda _: None)
    lock.__enter__()
    lab.held = lock  # type: ignore[attr-defined]
    return "another command is at work on 'dev/1' here"


@pytest.mark.parametrize(
    "spoil", [refused_by_a_rule, unreadable, gone_two_ways, held_by_another_command]
)
def test_a_branch_that_can_t_be_pinned_is_named_and_stops_no_other(
    lay: Callable[..., Lab], spoil: Callable[[Lab], str], capsys: pytest.CaptureFixture[str]
) -> None:
    lab = lay()
    said = spoil(lab)
    lab.git.fetch("origin")
    before = lab.tips("refs/")
    code = main(["--json", "pin", "dev/*"])
    rows = {row["branch"]: row for row in json.loads(capsys.readouterr().out)["result"]}
    assert said in rows["dev/1"]["error"]["message"]
    assert rows["dev/1"]["error"]["hint"] or spoil is unreadable
    assert code == (1 if spoil is refused_by_a_rule else 3)
    after = lab.tips("refs/")
    moved = {name for name in after if before.get(name) != after[name]}
    assert moved == {f"{where}/dev/{n}" for where in ("heads", "remotes/origin") for n in (0, 2)}
    assert rows["dev/0"]["commit"] == after["heads/dev/0"]


def test_a_branch_on_which_the_user_stands_is_left_where_it_would_be_pulled_from_under_him(
    lay: Callable[..., Lab], capsys: pytest.CaptureFixture[str]
) -> None:
    lab = lay(is_shared=False)
    lab.git.run("switch", "--quiet", "dev/1", cwd=lab.repo)
    before = lab.tips()
    assert main(["pin", "dev/*"]) == 3
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines] == ["pinned", "left", "pinned"]
    assert f"is checked out in '{lab.repo}'" in lines[1]
    assert lines[1].rstrip().endswith(f"; try: git -C '{lab.repo}' switch --detach")
    assert lab.tips()["dev/1"] == before["dev/1"]


def test_a_branch_that_moves_meanwhile_has_everything_planned_anew(
    lay: Callable[..., Lab], monkeypatch: pytest.MonkeyPatch
) -> None:
    lab = lay()
    write, others = Git.write_commits, []

    def overtaken(self: Git, commits):
        made = write(self, commits)
        if len(commits) == 3 and not others:
            tip = lab.git.resolve("dev/1")
            others.extend(write(lab.git, [NewCommit([tip], "theirs\n", [Change("b", b"1")])]))
            lab.git.run("push", "--quiet", "origin", f"{others[0]}:refs/heads/dev/1")
        return made

    monkeypatch.setattr(Git, "write_commits", overtaken)
    found = lab.pin()
    tips = lab.tips("refs/remotes/origin/")
    assert {name: one.commit for name, one in found.items()} == {name: tips[name] for name in found}
    assert lab.git.commits([tips["dev/1"]])[tips["dev/1"]].parents[0] == others[0]
    assert lab.git.text("rev-list", "--count", "--first-parent", f"{lab.new}..dev/0") == "2"


def test_nothing_moves_where_the_dvc_remote_is_away(lay: Callable[..., Lab]) -> None:
    lab = lay(more=", sample: 0.5")
    before = lab.tips("refs/")
    lab.store.rename(lab.store.with_name("away"))
    with pytest.raises(StorageError, match="store"):
        lab.pin()
    assert lab.tips("refs/") == before


def test_only_branches_that_have_the_upstream_are_meant(
    lay: Callable[..., Lab], capsys: pytest.CaptureFixture[str]
) -> None:
    lab = lay(1)
    assert lab.pin("*", {"raw": ""}).keys() == {"dev/0"}
    with pytest.raises(FlowError, match="no branch that fits 'raw\\*' has any upstream"):
        lab.pin("raw*")
    assert main(["pin", "dev/*", "main"]) == 3
    assert "no branch that fits 'dev/*' has 'main'" in capsys.readouterr().err


@pytest.mark.parametrize(("hook", "moved"), [("pre-receive", 0), ("post-update", 3)])
def test_a_kill_before_the_server_says_yes_moves_no_branch_and_one_after_it_all(
    lay: Callable[..., Lab], sh: Shell, hook: str, moved: int
) -> None:
    lab = lay()
    before = lab.tips("refs/remotes/origin/")
    script = lab.repo.parent / "origin.git/hooks" / hook
    script.write_text(f"#!/bin/sh\nkill -9 $(cat {sh.cwd}/pid)\ntest {hook} = post-update\n")
    script.chmod(0o755)
    at = sh.at(lab.repo)
    command = f"echo $$ > {sh.cwd}/pid; exec git-branchflow pin 'dev/*'"
    assert at.run("sh", "-c", command, check=False).returncode == -9
    script.unlink()
    lab.git.fetch("origin")
    after = lab.tips("refs/remotes/origin/")
    assert len({name for name in after if after[name] != before[name]}) == moved
    assert not any("Pin" in at.git("log", "-1", "--format=%s", name) for name in lab.tips())
    at.run("git-branchflow", "pin", "dev/*")
    assert set(lab.pinned("refs/remotes/origin/").values()) == {f"raw: {lab.new}"}
    assert moved == 0 or lab.tips("refs/remotes/origin/") == after
