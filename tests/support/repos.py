"""Git and DVC repositories as a test sees them: commands, fingerprints, and what data they need.

Nothing here uses the product, so that it can be judged by it: Git plumbing, PyYAML, hashlib.
"""

from __future__ import annotations

import difflib
import functools
import hashlib
import json
import os
import re
import shlex
import stat
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

import yaml

from tests.support import warm

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

Digest = dict[str, str]

_NOT_FINGERPRINTED = frozenset({".git", ".dvc/cache", ".dvc/tmp"})
# Of an index entry's flags only those that a user sets: assume-unchanged, intent-to-add,
# skip-worktree (CE_VALID, CE_INTENT_TO_ADD, CE_SKIP_WORKTREE in Git's read-cache.h).
_USER_FLAGS = 0x8000 | 1 << 29 | 1 << 30


class CommandError(AssertionError):
    """A command did not do what the test needs; the message has all its output."""


@dataclass(frozen=True)
class Shell:
    """Runs commands in a folder with an environment, usually one from `isolated_env`."""

    cwd: Path
    env: Mapping[str, str]

    def at(self, cwd: Path) -> Shell:
        """The same shell in another folder."""
        return replace(self, cwd=cwd)

    def with_env(self, more: Mapping[str, str]) -> Shell:
        """The same shell with more variables."""
        return replace(self, env={**self.env, **more})

    def run(
        self,
        *args: str | Path,
        check: bool = True,
        input: str | None = None,  # noqa: A002 (as subprocess calls it)
        timeout: float = 120,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command and capture its output as text.

        Raises: CommandError: the exit code is not 0 and `check` is on, or `timeout` seconds
            passed.
        """
        words = [str(arg) for arg in args]
        try:
            done = warm.run(words, cwd=self.cwd, env=self.env, input=input, timeout=timeout)
        except subprocess.TimeoutExpired as error:
            raise CommandError(_report(words, self.cwd, "timed out", error)) from error
        if check and done.returncode:
            raise CommandError(_report(words, self.cwd, f"exit code {done.returncode}", done))
        return done

    def git(self, *args: str | Path) -> str:
        """Run Git; its stdout without the last newline."""
        return self.run("git", *args).stdout.removesuffix("\n")

    def dvc(self, *args: str | Path) -> str:
        """Run DVC; its stdout without the last newline."""
        return self.run("dvc", *args).stdout.removesuffix("\n")


def bare_origin(path: Path, sh: Shell) -> Path:
    """A bare repository without commits."""
    sh.run("git", "init", "--quiet", "--bare", path)
    return path


def clone(origin: Path, path: Path, sh: Shell, *, depth: int | None = None) -> Shell:
    """A clone, as a shell in it. With `depth` by URL, since Git ignores a depth for local paths."""
    shallow = [f"--depth={depth}", "--no-single-branch"] if depth else []
    source = origin.as_uri() if depth else str(origin)
    sh.run("git", "clone", "--quiet", *shallow, source, path)
    return sh.at(path)


# --- Fingerprints -----------------------------------------------------------------------------


def checkout_digest(repo: Path, *, allow: Collection[str] = ()) -> Digest:
    """What the promise "Hands off" names, as text by name; equal digests mean untouched.

    HEAD, index entries with their flags (not the stat cache), stashes, Git's and DVC's config,
    local branches, and each file, link and folder outside .git, .dvc/cache and .dvc/tmp.

    Args:
        allow: short names of branches that may move.
    """
    return {
        "HEAD": _head(repo),
        "index": _index(repo),
        "stash": _git(repo, "stash", "list", "--format=%H %gs"),
        **_config_files(repo),
        **_branches(repo, allow),
        **_worktree_files(repo),
    }


def digest_diff(before: Digest, after: Digest) -> str:
    """The differences for an assertion message, a few lines each; empty if there are none."""
    names = sorted({*before, *after})
    return "\n".join(
        _describe_change(name, before.get(name), after.get(name))
        for name in names
        if before.get(name) != after.get(name)
    )


def _describe_change(name: str, old: str | None, new: str | None) -> str:
    if old is None or new is None:
        return f"+ {name}: {new}" if old is None else f"- {name}: {old}"
    if "\n" not in old + new:
        return f"~ {name}: {old} -> {new}"
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), n=0, lineterm="")
    return "\n    ".join([f"~ {name}:", *list(lines)[2:]])


def _head(repo: Path) -> str:
    symbolic = _git(repo, "symbolic-ref", "--quiet", "HEAD", check=False)
    return symbolic or _git(repo, "rev-parse", "HEAD")


def _index(repo: Path) -> str:
    lines: list[str] = []
    for line in _git(repo, "ls-files", "--stage", "--debug").splitlines():
        if not line.startswith("  "):
            lines.append(line)
        elif "\tflags: " in line:
            flags = int(line.rpartition(" ")[2], 16) & _USER_FLAGS
            lines[-1] += f" flags={flags:x}" if flags else ""
    return "\n".join(lines)


def _config_files(repo: Path) -> Digest:
    names = ("config", "config.worktree")
    paths = [repo / _git(repo, "rev-parse", "--git-path", name) for name in names]
    found = [path for path in paths if path.is_file()]
    return {f".git/{path.name}": _text_of(path) for path in found}


def _text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="surrogateescape")


def _branches(repo: Path, allow: Collection[str]) -> Digest:
    form = "--format=%(objectname) %(refname:lstrip=2)"
    lines = _git(repo, "for-each-ref", form, "refs/heads").splitlines()
    pairs = [line.split(" ", 1) for line in lines]
    return {f"branch {name}": sha for sha, name in pairs if name not in allow}


def _worktree_files(repo: Path) -> Digest:
    return {f"file {path.relative_to(repo)}": _fingerprint(path) for path in _walk(repo, repo)}


def _walk(repo: Path, folder: Path) -> Iterator[Path]:
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name):
        path = Path(entry.path)
        if str(path.relative_to(repo)) in _NOT_FINGERPRINTED:
            continue
        yield path
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(repo, path)


def _fingerprint(path: Path) -> str:
    info = path.lstat()
    mode = f"{stat.S_IMODE(info.st_mode):o}"
    if stat.S_ISLNK(info.st_mode):
        return f"link {path.readlink()}"
    if stat.S_ISREG(info.st_mode):
        return f"{mode} {hashlib.sha256(path.read_bytes()).hexdigest()}"
    return f"{mode} {'folder' if path.is_dir() else 'special'}"


# --- What data a repository needs -------------------------------------------------------------


def objects_needed(
    repo: Path, store: Path, *, whole_history: bool = True, with_imports: bool = True
) -> set[str]:
    """All oids that a repository's commits name, with the entries of the manifests in `store`.

    Entries of a manifest that the store lacks can't be known; its own oid is in the result.
    Outs in `dvc.lock` that Git tracks at that commit are left out, and so are outs with
    `cache: false` or `push: false` (a stage's `wdir` and templated paths are not resolved).

    Args:
        store: folder of a directory remote (or of a cache), with `files/md5` below.
        whole_history: every commit that a ref reaches; else only the tips of all branches
            (remote-tracking ones too) and tags.
        with_imports: count the outs of `dvc import`, which `dvc push` doesn't push.

    Raises: yaml.YAMLError: a pointer or lock file at some commit is no YAML.
    """
    oids: set[str] = set()
    for commit in _commits(repo, whole_history=whole_history):
        oids |= _named_at(repo, commit, with_imports=with_imports)
    manifests = [oid for oid in oids if oid.endswith(".dir")]
    return oids.union(*(_manifest_entries(store, oid) for oid in manifests))


def missing_from_directory_remote(
    repo: Path, store: Path, *, whole_history: bool = True, with_imports: bool = True
) -> list[str]:
    """What a directory remote lacks or holds with wrong content; each object is hashed again.

    Returns: one line for each bad object, sorted; empty if each commit can be restored.
    """
    needed = objects_needed(repo, store, whole_history=whole_history, with_imports=with_imports)
    return [line for oid in sorted(needed) if (line := _judge_object(store, oid))]


def _judge_object(store: Path, oid: str) -> str | None:
    path = _object_path(store, oid)
    if not path.is_file():
        return f"{oid}: absent"
    with path.open("rb") as file:
        md5 = hashlib.file_digest(file, "md5").hexdigest()
    return None if md5 == oid.removesuffix(".dir") else f"{oid}: content has md5 {md5}"


def _object_path(store: Path, oid: str) -> Path:
    return store / "files" / "md5" / oid[:2] / oid[2:]


def _manifest_entries(store: Path, oid: str) -> set[str]:
    try:
        entries = json.loads(_object_path(store, oid).read_bytes())
        return {entry["md5"] for entry in entries}
    except (OSError, ValueError, KeyError, TypeError):
        return set()  # absent or damaged: `missing_from_directory_remote` names it


def _commits(repo: Path, *, whole_history: bool) -> list[str]:
    if whole_history:
        return _git(repo, "rev-list", "--all").split()
    form = "--format=%(objectname)^{commit}"
    tips = _git(repo, "for-each-ref", form, "refs/heads", "refs/remotes", "refs/tags").split()
    return sorted({_git(repo, "rev-parse", "--verify", tip) for tip in tips})


def _named_at(repo: Path, commit: str, *, with_imports: bool) -> set[str]:
    blobs = _blobs_at(repo, commit)
    oids: set[str] = set()
    for path, sha in blobs.items():
        if path.suffix == ".dvc" and path.name != ".dvc":
            oids |= _oids_of_pointer(_load(repo, sha), with_imports=with_imports)
        elif path.name == "dvc.lock":
            not_stored = set(blobs) | _not_stored(repo, path, blobs)
            oids |= _oids_of_lock(_load(repo, sha), path.parent, not_stored)
    return oids


def _blobs_at(repo: Path, commit: str) -> dict[PurePosixPath, str]:
    entries = _git(repo, "ls-tree", "-r", "-z", "--full-tree", commit).split("\0")
    matches = [re.fullmatch(r"100\d+ blob (\w+)\t(.+)", entry, re.DOTALL) for entry in entries]
    return {PurePosixPath(match[2]): match[1] for match in matches if match}


def _oids_of_pointer(pointer: dict[str, Any], *, with_imports: bool) -> set[str]:
    is_import = any("repo" in dep for dep in pointer.get("deps") or [])
    outs = [] if is_import and not with_imports else pointer.get("outs") or []
    return {out["md5"] for out in outs if "md5" in out and _is_stored(out)}


def _oids_of_lock(
    lock: dict[str, Any], folder: PurePosixPath, not_stored: Collection[PurePosixPath]
) -> set[str]:
    stages = (lock.get("stages") or {}).values()
    outs = [out for stage in stages for out in stage.get("outs") or [] if "md5" in out]
    return {out["md5"] for out in outs if _joined(folder, out["path"]) not in not_stored}


def _not_stored(
    repo: Path, lock: PurePosixPath, blobs: Mapping[PurePosixPath, str]
) -> set[PurePosixPath]:
    """Outs that `dvc.yaml` keeps out of the cache or off the remote."""
    sha = blobs.get(lock.with_name("dvc.yaml"))
    stages = (_load(repo, sha).get("stages") or {}).values() if sha else []
    bodies = [stage.get("do", stage) for stage in stages]
    kinds = ("outs", "metrics", "plots")
    outs = [out for body in bodies for kind in kinds for out in body.get(kind) or []]
    flags = [item for out in outs if isinstance(out, dict) for item in out.items()]
    return {_joined(lock.parent, path) for path, flag in flags if not _is_stored(flag or {})}


def _is_stored(out: Mapping[str, Any]) -> bool:
    return out.get("cache", True) is not False and out.get("push", True) is not False


def _joined(folder: PurePosixPath, path: str) -> PurePosixPath:
    return PurePosixPath(os.path.normpath(folder / path))


@functools.cache  # by sha, so it never goes stale; callers only read
def _load(repo: Path, sha: str) -> dict[str, Any]:
    loaded = yaml.safe_load(_git(repo, "cat-file", "blob", sha))
    return loaded if isinstance(loaded, dict) else {}


# --- Git and reports --------------------------------------------------------------------------


def _git(repo: Path, *args: str, check: bool = True) -> str:
    """Git that reads only: it takes no locks and does not refresh the index."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    quiet = {"GIT_OPTIONAL_LOCKS": "0", "GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}
    return Shell(repo, {**env, **quiet}).run("git", *args, check=check).stdout.removesuffix("\n")


def _report(
    words: Sequence[str],
    cwd: Path,
    what: str,
    streams: subprocess.CompletedProcess[str] | subprocess.TimeoutExpired,
) -> str:
    head = f"{shlex.join(words)}\nin {cwd}: {what}"
    return "\n".join(
        [head, "--- stdout", _as_text(streams.stdout), "--- stderr", _as_text(streams.stderr)]
    )


def _as_text(output: str | bytes | None) -> str:
    return output.decode(errors="replace") if isinstance(output, bytes) else output or ""
