"""A server that judges what is pushed, and a hand that pushes to it: commits from Git's plumbing.

The hand makes any history, tree and manifest in one line, also those that no porcelain of Git or
DVC would make, so that a test shows what the server does about them, and not the client.
"""

from __future__ import annotations

import hashlib
import itertools
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from dvc_branchflow.manifest import Entry, entries, manifest_oid, render
from dvc_branchflow.model import Oid
from tests.support.flow import Flow
from tests.support.processes import kill_group, start_group
from tests.support.repos import Shell
from tests.support.servers import free_ports

Done = subprocess.CompletedProcess[str]
Content = str | bytes

SOURCE = "Append\n\nSource: tests\n"
_DAEMON_READY_WITHIN_SECONDS = 20.0


def guard(origin: Path, sh: Shell) -> None:
    """Install the server hook in a bare repository, the way its owner does it."""
    sh.run("git", "branchflow", "-C", origin, "hooks", "install", "--server")
    assert (origin / "hooks/pre-receive").exists()


def unguard(origin: Path) -> None:
    """Take all hooks away: what is pushed now meets Git alone."""
    shutil.rmtree(origin / "hooks")


def push(sh: Shell, origin: Path | str, *refspecs: str, options: Sequence[str] = ()) -> Done:
    """Push to a repository by its URL, whatever comes of it."""
    url = origin if isinstance(origin, str) else origin.as_uri()
    return sh.run("git", "push", *options, url, *refspecs, check=False)


def assert_accepted(done: Done) -> None:
    """The push went through."""
    assert done.returncode == 0, done.stderr


def assert_refused(done: Done, *codes: str) -> None:
    """The hook, and not Git, refused the push, and named one of the rules that it breaks."""
    assert done.returncode != 0, f"went through: {done.stderr}"
    assert "Traceback" not in done.stderr, done.stderr
    assert "pre-receive hook declined" in done.stderr, done.stderr
    assert set(codes) & codes_in(done), f"names none of {codes}:\n{done.stderr}"


def codes_in(done: Done) -> set[str]:
    """Every word of the server's lines that could be a rule's code."""
    lines = [line for line in done.stderr.splitlines() if line.startswith("remote: ")]
    return {word for line in lines for word in re.findall(r"[a-z]+(?:-[a-z]+)*", line)}


@contextmanager
def git_daemon(root: Path, sh: Shell) -> Iterator[str]:
    """Serve the repositories below a folder by TCP, open for pushes; yields the folder's URL."""
    (port,) = free_ports(1)
    words = ["git", "daemon", "--reuseaddr", "--export-all", "--enable=receive-pack"]
    words += [f"--base-path={root}", "--listen=127.0.0.1", f"--port={port}", str(root)]
    with tempfile.TemporaryFile() as output:
        process = start_group(words, output=output, env=sh.env, cwd=root, dies_with_us=True)
        try:
            _wait_for(port)
            yield f"git://127.0.0.1:{port}"
        finally:
            kill_group(process)


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + _DAEMON_READY_WITHIN_SECONDS
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert time.monotonic() < deadline, "git daemon does not listen"
            time.sleep(0.02)
        else:
            return


# --- What can stand in a tree -----------------------------------------------------------------


@dataclass(frozen=True)
class Item:
    """An entry of a tree that is no plain file."""

    mode: str
    content: str


def link(target: str) -> Item:
    """A symbolic link."""
    return Item("120000", target)


def executable(content: str) -> Item:
    """A file with its mode bit set."""
    return Item("100755", content)


def submodule(sha: str) -> Item:
    """A commit of another repository."""
    return Item("160000", sha)


def object_at(sha: str) -> Item:
    """A plain file whose blob is there already."""
    return Item("100644 blob", sha)


Files = Mapping[str, Content | Item | None]


# --- The hand ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Hand:
    """Works in a clone of a team's origin, and on the DVC remote's folder, by the bytes."""

    flow: Flow
    _count: Iterator[int] = field(default_factory=itertools.count)

    @property
    def sh(self) -> Shell:
        """A shell in the clone."""
        return self.flow.sh

    def tip(self, branch: str) -> str:
        """The commit that a branch had when the clone was made."""
        return self.sh.git("rev-parse", f"refs/remotes/origin/{branch}")

    def read(self, rev: str, path: str) -> str:
        """A file at a revision."""
        return self.sh.run("git", "cat-file", "blob", f"{rev}:{path}").stdout

    def commit(
        self,
        parent: str | None,
        files: Files,
        message: str = "Work",
        *,
        merge: Sequence[str] = (),
    ) -> str:
        """A commit on nothing's branch: the parent's tree with files changed (None: removed).

        Args:
            parent: None: a commit without history and with these files only.
            merge: further parents; nothing of their trees comes along.
        """
        ref = f"refs/hand/{next(self._count)}"
        lines = [f"commit {ref}", "mark :1", "committer Some Body <body@example.com> now"]
        lines += [_data(message), *([f"from {parent}"] if parent else [])]
        lines += [f"merge {sha}" for sha in merge]
        lines += [_change(path, content) for path, content in files.items()]
        stream = "\n".join([*lines, "", "get-mark :1", "done", ""])
        done = self.sh.run(
            "git", "fast-import", "--quiet", "--done", "--date-format=now", input=stream
        )
        return done.stdout.strip()

    def blob(self, content: Content) -> str:
        """The sha of a new blob."""
        words = ["git", "hash-object", "-w", "--stdin"]
        return self.sh.run(*words, input=_text(content)).stdout.strip()

    def zeros(self, size_bytes: int) -> str:
        """The sha of a blob that is large for Git and small on the way."""
        path = self.flow.root / f"zeros-{size_bytes}"
        with path.open("wb") as file:
            file.truncate(size_bytes)
        return self.sh.git("hash-object", "-w", path)

    def tree_with(self, rev: str, name: str) -> str:
        """A commit after `rev` with a file of a name that Git's porcelain would not take."""
        listed = self.sh.run("git", "ls-tree", "-z", rev).stdout
        added = f"100644 blob {self.blob('x')}\t{name}\0"
        tree = self.sh.run("git", "mktree", "-z", input=listed + added).stdout.strip()
        return self.sh.git("commit-tree", tree, "-p", rev, "-m", "Work")

    def tag(self, name: str, target: str, *, kind: str = "commit") -> str:
        """The sha of a tag object, which no ref needs to agree with."""
        text = f"object {target}\ntype {kind}\ntag {name}\ntagger A <a@b.c> 1700000000 +0000\n\nx\n"
        words = ["git", "hash-object", "-t", "tag", "-w", "--stdin"]
        return self.sh.run(*words, input=text).stdout.strip()

    def push(self, *refspecs: str, options: Sequence[str] = ()) -> Done:
        """Push to the origin, whatever comes of it."""
        return push(self.sh, self.flow.origin, *refspecs, options=options)

    def push_legally(self, *refspecs: str) -> None:
        """Push what has to be accepted, and know of it."""
        assert_accepted(self.push(*refspecs))
        self.sh.git("fetch", "--quiet")

    # What DVC would make.

    def pinned_oid(self, rev: str, path: str) -> Oid:
        """The oid of an out that has a pointer."""
        return Oid(yaml.safe_load(self.read(rev, f"{path}.dvc"))["outs"][0]["md5"])

    def made_oid(self, rev: str, path: str) -> Oid:
        """The oid of an out of a pipeline."""
        stages = yaml.safe_load(self.read(rev, "dvc.lock"))["stages"].values()
        outs = [out for stage in stages for out in stage.get("outs", [])]
        return next(Oid(out["md5"]) for out in outs if out["path"] == path)

    def listed(self, oid: Oid) -> list[Entry]:
        """The entries of a directory on the DVC remote."""
        return list(entries(self.object_path(oid).read_bytes()))

    def object_path(self, oid: str) -> Path:
        """Where the DVC remote keeps an object."""
        return self.flow.store / "files/md5" / oid[:2] / oid[2:]

    def stored(self, content: Content) -> Oid:
        """The oid of a file, which is on the DVC remote now."""
        return self._put(Oid(hashlib.md5(_bytes(content)).hexdigest()), _bytes(content))

    def directory(self, listed: Sequence[Entry]) -> Oid:
        """The oid of a directory with these entries, whose manifest is on the DVC remote now."""
        manifest = render(listed)
        return self._put(manifest_oid(manifest), manifest)

    def _put(self, oid: Oid, content: bytes) -> Oid:
        path = self.object_path(oid)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return oid


def pointer(path: str, oid: str, *, nfiles: int = 1) -> str:
    """The `.dvc` file of an out, as DVC writes it."""
    count = f"  nfiles: {nfiles}\n" if oid.endswith(".dir") else ""
    return f"outs:\n- md5: {oid}\n  size: 100\n{count}  hash: md5\n  path: {Path(path).name}\n"


def _change(path: str, content: Content | Item | None) -> str:
    if content is None:
        return f"D {_quoted(path)}"
    if not isinstance(content, Item):
        return f"M 100644 inline {_quoted(path)}\n{_data(_text(content))}"
    if content.mode in {"160000", "100644 blob"}:
        return f"M {content.mode[:6]} {content.content} {_quoted(path)}"
    return f"M {content.mode} inline {_quoted(path)}\n{_data(content.content)}"


def _quoted(path: str) -> str:
    escaped = path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def _data(text: str) -> str:
    return f"data {len(_bytes(text))}\n{text}"


def _bytes(content: Content) -> bytes:
    return content if isinstance(content, bytes) else content.encode("utf-8", "surrogateescape")


def _text(content: Content) -> str:
    return content if isinstance(content, str) else content.decode("utf-8", "surrogateescape")
