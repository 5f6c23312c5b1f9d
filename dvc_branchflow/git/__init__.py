"""The only place that runs Git: reads objects in batches, writes commits without a checkout."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from dvc_branchflow.errors import FlowError, GitError, LostRaceError, RejectedError
from dvc_branchflow.git.batch import BatchReader, git_environment
from dvc_branchflow.gitobjects import (
    FILE_MODE,
    TREE_MODE,
    Commit,
    Entry,
    Tag,
    TreeChange,
    parse_commit,
    parse_tag,
    parse_tree,
    parse_tree_diffs,
)
from dvc_branchflow.model import ZERO_SHA, Branch, RefUpdate, Sha

NO_HOOKS = ("-c", "core.hooksPath=/dev/null")
# A worktree of ours holds the commit's own bytes, whatever the user's settings make of his.
_SHORT_LINE = 16  # commits that are read one by one sooner than a process starts
_OWN_WORKTREE = (
    *NO_HOOKS, "-c", "core.autocrlf=false", "-c", "core.eol=lf", "-c", "core.sparseCheckout=false",
    "-c", "core.fsmonitor=false",
)  # fmt: skip


class Ref(NamedTuple):
    """A ref: what it points at, and the commit behind that (the same but for annotated tags).

    `seconds` is when an annotated tag was made, since the epoch.
    """

    name: str
    sha: Sha
    commit: Sha
    kind: str
    seconds: int = 0


class Refs(NamedTuple):
    """All refs by their full names, and what `HEAD` and the remotes' HEADs name."""

    direct: dict[str, Ref]
    symbolic: dict[str, str]


_FETCH_PAUSES_SECONDS = (0.1, 0.2, 0.4, 0.8)


@dataclass(frozen=True, slots=True)
class Change:
    """One path of a commit to write: new content, an object that exists, or (neither) removal."""

    path: str
    content: bytes | None = None
    entry: Entry | None = None
    mode: str = FILE_MODE


@dataclass(frozen=True, slots=True)
class NewCommit:
    """A commit to write: the first parent's tree (or `tree`) with `changes` on top.

    A parent may be the index of an earlier commit of the same batch.
    """

    parents: Sequence[Sha | int]
    message: str
    changes: Sequence[Change]
    tree: Sha | None = None


@dataclass(frozen=True, slots=True)
class Worktree:
    """A checkout of the repository: where, and the branch in it (None: detached or bare)."""

    path: Path
    branch: Branch | None


@dataclass
class Git:
    """A repository on disk. `common_dir` is shared between its worktrees."""

    git_dir: Path
    common_dir: Path
    toplevel: Path | None
    is_shallow: bool
    _reader: BatchReader | None = field(default=None, repr=False)
    _trees: dict[Sha, dict[str, Entry]] = field(default_factory=dict, repr=False)

    @classmethod
    def discover(cls, path: Path) -> Git:
        """Open the repository that `path` lies in.

        Raises: GitError: there is none, or git is not installed.
        """
        query = ("--absolute-git-dir", "--git-common-dir", "--is-shallow-repository")
        found = _spawn(["rev-parse", *query, "--show-toplevel"], cwd=path)
        lines = found.stdout.decode(errors="surrogateescape").splitlines()
        if len(lines) < len(query):
            reason = _last_line(found.stderr) or "no Git repository here"
            hint = "git branchflow init"
            if "dubious ownership" in reason:
                hint = f"git config --global --add safe.directory '{path.resolve()}'"
            raise GitError(f"can't open '{path}': {reason}", hint=hint)
        toplevel = Path(lines[3]) if len(lines) > len(query) else None
        return cls(
            git_dir=Path(lines[0]),
            common_dir=(path / lines[1]).resolve(),
            toplevel=toplevel,
            is_shallow=lines[2] == "true",
        )

    # -- running git ---------------------------------------------------------------------------

    def run(
        self,
        *args: str,
        data: bytes | None = None,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        check: bool = True,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a git command; raise GitError with git's own last line where it fails."""
        where = [] if cwd else [f"--git-dir={self.git_dir}"]
        done = _spawn([*where, *args], cwd=cwd or self.toplevel or self.git_dir, data=data, env=env)
        if check and done.returncode:
            command = next((arg for arg in args if not arg.startswith("-") and "=" not in arg), "")
            raise GitError(f"git {command} failed: {_last_line(done.stderr)}")
        return done

    def text(self, *args: str, cwd: Path | None = None) -> str:
        """Return what a git command prints, without the final newline."""
        return self.run(*args, cwd=cwd).stdout.decode(errors="surrogateescape").rstrip("\n")

    # -- reading -------------------------------------------------------------------------------

    def refs(self) -> Refs:
        """Return all branches, remote branches and tags, and which of them HEADs name."""
        own = ("refname", "objectname", "*objectname", "objecttype", "taggerdate:unix")
        names = (*own, "symref", "HEAD")
        layout = "%00".join(f"%({name})" for name in names)
        wanted = ("refs/heads", "refs/remotes", "refs/tags")
        direct: dict[str, Ref] = {}
        symbolic: dict[str, str] = {}
        for line in self.text("for-each-ref", f"--format={layout}", *wanted).splitlines():
            name, sha, peeled, kind, made, target, is_head = line.split("\0")
            if target:
                symbolic[name] = target
            else:
                direct[name] = Ref(name, Sha(sha), Sha(peeled or sha), kind, int(made or 0))
            if is_head == "*":
                symbolic["HEAD"] = name
        return Refs(direct, symbolic)

    def resolve(self, rev: str) -> Sha:
        """Return the commit that a rev names. Raises: GitError: it names none."""
        done = self.run("rev-parse", "--verify", "--quiet", "--end-of-options",
                        f"{rev}^{{commit}}", check=False)  # fmt: skip
        if done.returncode:
            raise GitError(f"'{rev}' is no commit, branch or tag here", hint="git fetch --tags")
        return Sha(done.stdout.decode().strip())

    def has(self, sha: Sha) -> bool:
        """Whether an object is here; in a shallow clone it may not be."""
        return self.run("cat-file", "-e", sha, check=False).returncode == 0

    def read_blobs(self, shas: Iterable[Sha]) -> dict[Sha, bytes]:
        """Return the content of blobs, in one batch. Raises: GitError: one is missing."""
        return {sha: body for sha, _, body in self._batch().read(dict.fromkeys(shas))}

    def commits(self, shas: Iterable[Sha]) -> dict[Sha, Commit]:
        """Return commits with their fields, in one batch."""
        return {
            sha: parse_commit(sha, body) for sha, _, body in self._batch().read(dict.fromkeys(shas))
        }

    def tags(self, shas: Iterable[Sha]) -> dict[Sha, Tag]:
        """Return those of the objects that are annotated tags, with their fields."""
        return {
            sha: parse_tag(body)
            for sha, kind, body in self._batch().read(dict.fromkeys(shas))
            if kind == "tag"
        }

    def kinds(self, shas: Iterable[Sha]) -> dict[Sha, str]:
        """Return `commit`, `tag`, `tree` or `blob` for those of the objects that are here."""
        return dict(self._batch().kinds(dict.fromkeys(shas)))

    def sizes(self, shas: Iterable[Sha]) -> dict[Sha, int]:
        """Return the size in bytes of objects, without reading them."""
        return dict(self._batch().sizes(dict.fromkeys(shas)))

    def tree_diffs(
        self, pairs: Iterable[tuple[Sha, Sha]], specs: Sequence[str] = ()
    ) -> dict[tuple[Sha, Sha], list[TreeChange]]:
        """Return the paths at which pairs of trees differ, all pairs in one process.

        Args:
            specs: only paths that fit one of these pathspecs; none: all.
        """
        wanted = {pair: "" for pair in pairs if pair[0] != pair[1]}
        script = "".join(f"{old} {new}\n" for old, new in wanted).encode()
        layout = ("-r", "-z", "--raw", "--no-renames", "--no-abbrev", "--ignore-submodules=none")
        done = self.run("diff-tree", "--stdin", *layout, "--", *specs, data=script)
        return {(old, new): changes for old, new, changes in parse_tree_diffs(done.stdout)}

    def entry(self, tree: Sha, path: str) -> Entry | None:
        """Return what a tree holds at a path, a folder included."""
        found: Entry | None = Entry(TREE_MODE, tree)
        for part in path.split("/"):
            if found is None or found.mode != TREE_MODE:
                return None
            found = self._tree(found.sha).get(part)
        return found

    def files(self, commit: Sha) -> dict[str, Entry]:
        """Return every path in a commit's tree that is no folder, with its mode and object."""
        return self.files_of([commit])[commit]

    def files_of(self, commits: Sequence[Sha]) -> dict[Sha, dict[str, Entry]]:
        """Return `files` of many commits; a tree that they share is read once."""
        roots = {sha: commit.tree for sha, commit in self.commits(commits).items()}
        self._load_trees(roots.values())
        return {sha: dict(self._walk(tree, "")) for sha, tree in roots.items()}

    def rev_list(self, *args: str) -> list[Sha]:
        """Return the commits that `git rev-list` prints, newest first."""
        return [Sha(line) for line in self.text("rev-list", *args).splitlines()]

    def reachable(
        self, tips: Iterable[Sha], without: Iterable[Sha], *, first_parent: bool = False
    ) -> list[Sha]:
        """Return the commits behind `tips` that are not behind `without`, parents first."""
        script = "".join(f"{sha}\n" for sha in tips) + "".join(f"^{sha}\n" for sha in without)
        options = ["--first-parent"] if first_parent else []
        done = self.run("rev-list", "--topo-order", "--reverse", *options, "--stdin",
                        data=script.encode())  # fmt: skip
        return [Sha(line) for line in done.stdout.decode().splitlines()]

    def is_ancestor(self, ancestor: Sha, descendant: Sha) -> bool:
        """Whether one commit is the other or lies in its history."""
        done = self.run("merge-base", "--is-ancestor", ancestor, descendant, check=False)
        if done.returncode > 1:
            raise GitError(f"git merge-base failed: {_last_line(done.stderr)}")
        return done.returncode == 0

    def line_between(self, old: Sha, new: Sha) -> list[Commit] | None:
        """Return the commits from `new` down to `old`, without it, along first parents.

        That takes no process of its own. None: they are no short line, and git has to be asked.
        """
        line: list[Commit] = []
        sha = new
        while len(line) < _SHORT_LINE and not self.is_shallow:
            commit = self.commits([sha])[sha]
            line.append(commit)
            if not commit.parents:
                return None
            sha = commit.parents[0]
            if sha == old:
                return line
        return None

    def remotes(self) -> list[str]:
        """Return the names of the git remotes."""
        return self.text("remote").splitlines()

    def worktrees(self) -> list[Worktree]:
        """Return the checkouts of this repository."""
        found: list[Worktree] = []
        for block in self.text("worktree", "list", "--porcelain").split("\n\n"):
            fields = dict(line.partition(" ")[::2] for line in block.splitlines())
            branch = fields.get("branch", "").removeprefix("refs/heads/")
            if "worktree" in fields and "bare" not in fields:
                found.append(Worktree(Path(fields["worktree"]), Branch(branch) if branch else None))
        return found

    def identity(self) -> str:
        """Return `Name <email>` of who commits. Raises: GitError: git doesn't know."""
        return self._ident("COMMITTER").rpartition(">")[0] + ">"

    def _ident(self, who: str) -> str:
        done = self.run("var", f"GIT_{who}_IDENT", check=False)
        if done.returncode:
            raise GitError(
                "git does not know who you are",
                hint="git config --global user.name NAME; git config --global user.email EMAIL",
            )
        return done.stdout.decode(errors="surrogateescape").rstrip("\n")

    def head(self) -> Branch | None:
        """Return the branch that HEAD names, born or not; None where HEAD is detached."""
        found = self.run("symbolic-ref", "--quiet", "HEAD", check=False).stdout.decode().strip()
        name = found.removeprefix("refs/heads/")
        return Branch(name) if name != found else None

    # -- writing -------------------------------------------------------------------------------

    def write_commits(self, commits: Sequence[NewCommit]) -> list[Sha]:
        """Write commits in one fast-import; no ref, index or checkout is touched.

        Raises: GitError: git does not know who commits, or refuses a path.
        """
        if not commits:
            return []
        idents = [self._ident(who) for who in ("AUTHOR", "COMMITTER")]
        temporary = f"refs/branchflow/import/{os.getpid()}-{os.urandom(4).hex()}"
        script = b"".join(
            _import_commit(mark, commit, temporary, idents) for mark, commit in enumerate(commits)
        )
        # The ref that fast-import insists on is taken back before it is ever written.
        script += f"reset {temporary}\nfrom {ZERO_SHA}\n\n".encode()
        script += b"".join(f"get-mark :{mark + 1}\n".encode() for mark in range(len(commits)))
        script += b"done\n"
        done = self.run(
            "fast-import", "--quiet", "--done", "--date-format=raw", "--force", data=script
        )
        self.forget()
        return [Sha(line) for line in done.stdout.decode().split()]

    def write_staged(self, message: str) -> Commit:
        """Write what `git commit` would make of the index; no ref, index or checkout is touched.

        Git hands its hooks another index for `git commit FILE`, and the heads of a merge.
        Raises: GitError: the index has conflicts.
        """
        import tempfile  # 1.5 ms that only this needs

        index = Path(
            os.environ.get("GIT_INDEX_FILE") or self.text("rev-parse", "--git-path", "index")
        )
        with tempfile.TemporaryDirectory(prefix="branchflow-") as folder:
            copied = Path(folder, "index")  # write-tree would write its cache into the index
            source = (self.toplevel or self.git_dir) / index
            if source.exists():
                shutil.copyfile(source, copied)
            done = self.run("write-tree", env={"GIT_INDEX_FILE": str(copied)})
        tree = done.stdout.decode().strip()
        merged = self.run("rev-parse", "--git-path", "MERGE_HEAD").stdout.decode().strip()
        heads = [self.run("rev-parse", "--quiet", "--verify", "HEAD", check=False).stdout.decode()]
        with suppress(FileNotFoundError):
            heads += (self.toplevel or self.git_dir).joinpath(merged).read_text().split()
        heads += [
            name.removeprefix("GITHEAD_") for name in os.environ if name.startswith("GITHEAD_")
        ]
        parents = [
            arg for sha in dict.fromkeys(filter(None, map(str.strip, heads))) for arg in ("-p", sha)
        ]
        nobody = {
            f"GIT_{who}_{what}": "-"
            for who in ("AUTHOR", "COMMITTER")
            for what in ("NAME", "EMAIL")
        }
        args = ("commit-tree", tree, *parents, "-F", "-")
        made = self.run(*args, data=message.encode("utf-8", "surrogateescape"), env=nobody)
        sha = Sha(made.stdout.decode().strip())
        self.forget()
        return self.commits([sha])[sha]

    def write_tag(self, tag: str, commit: Sha, message: str, *, after: int = 0) -> Sha:
        """Write an annotated tag object; no ref is touched.

        Args:
            after: its time is later than this one, in seconds since the epoch, whatever the clock
                says.
        """
        who, seconds, zone = self._ident("COMMITTER").rsplit(" ", 2)
        tagger = f"{who} {max(int(seconds), after + 1)} {zone}"
        head = f"object {commit}\ntype commit\ntag {tag}\ntagger {tagger}\n\n"
        done = self.run("mktag", data=(head + message).encode("utf-8", "surrogateescape"))
        return Sha(done.stdout.decode().strip())

    def update_refs(self, updates: Sequence[RefUpdate], reason: str) -> None:
        """Move local refs in one transaction, each only from its old value.

        Raises: LostRaceError: one of them is no longer where the plan found it.
        """
        moves = "".join(f"update {u.ref}\0{u.new}\0{u.old or ZERO_SHA}\0" for u in updates)
        script = f"start\0{moves}prepare\0commit\0"
        done = self.run("update-ref", "-m", reason, "--create-reflog", "--stdin", "-z",
                        data=script.encode(), check=False)  # fmt: skip
        if done.returncode:
            reason = _last_line(done.stderr)
            if "exists; cannot create" in reason or "Not a directory" in reason:
                raise GitError(f"a branch is in the way of another one's name: {reason}")
            raise LostRaceError(f"a ref moved while we worked: {reason}")

    def fetch(self, git_remote: str) -> None:
        """Bring the remote's branches and release tags to `refs/remotes` and `refs/tags`.

        Another process of this clone may be moving the same refs; then it is tried again.
        Raises: GitError: the git remote can't be reached, or a ref stays locked.
        """
        refspec = f"+refs/heads/*:refs/remotes/{git_remote}/*"
        args = ("fetch", "--quiet", "--prune", "--no-write-fetch-head", "--no-auto-gc")
        for pause_seconds in (*_FETCH_PAUSES_SECONDS, None):
            done = self.run(*args, git_remote, refspec, check=False)
            if (
                done.returncode == 0
                or pause_seconds is None
                or b"cannot lock ref" not in done.stderr
            ):
                break
            time.sleep(pause_seconds)
        if done.returncode:
            raise GitError(
                f"can't fetch from git remote '{git_remote}': {_last_line(done.stderr)}",
                hint=f"git fetch {git_remote}",
            )
        self.forget()

    def push(self, git_remote: str, updates: Sequence[RefUpdate]) -> None:
        """Move refs on the git remote: all or none, each only from its old value.

        Client-side hooks stay out: `dvc install`'s would push the user's workspace instead.
        Raises: LostRaceError: one moved meanwhile. RejectedError: the server's hook said no.
        """
        leases = [f"--force-with-lease={u.ref}:{u.old or ''}" for u in updates]
        moves = [f"{u.new}:{u.ref}" for u in updates]
        plain = ("--atomic", "--porcelain", "--no-verify", "--no-follow-tags", "--no-signed")
        own = (*NO_HOOKS, "-c", f"remote.{git_remote}.mirror=false")
        done = self.run(*own, "push", *plain, *leases, git_remote, *moves, check=False)
        if done.returncode == 0:
            return
        said = (done.stdout + done.stderr).decode(errors="replace")
        if "hook declined" in said:
            reason = " ".join(re.findall(r"^remote: (.*\S)", said, re.MULTILINE))
            raise RejectedError(f"git remote '{git_remote}' refused the push: {reason[:500]}")
        if any(
            sign in said
            for sign in (
                "stale info",
                "fetch first",
                "cannot lock ref",
                "failed to update ref",
                "incorrect old value",
            )
        ):
            why = re.search(r"Unable to create .*?\.lock", said)
            held = f" ({why[0]})" if why else ""
            raise LostRaceError(
                f"'{updates[0].ref}' moved on git remote '{git_remote}' meanwhile{held}"
            )
        refused = re.search(r"^!\t\S+\t(.*)$", said, re.MULTILINE)
        reason = refused[1] if refused else _last_line(done.stderr)
        raise GitError(f"can't push to git remote '{git_remote}': {reason}",
                       hint=f"git push --dry-run {git_remote}")  # fmt: skip

    def remote_tags(self, git_remote: str) -> dict[str, Sha]:
        """Return the tags that a git remote has: short name → object.

        Raises: GitError: the git remote can't be reached.
        """
        done = self.run("ls-remote", "--quiet", "--tags", "--refs", git_remote, check=False)
        if done.returncode:
            raise GitError(
                f"can't list the tags of git remote '{git_remote}': {_last_line(done.stderr)}",
                hint=f"git ls-remote --tags {git_remote}",
            )
        lines = done.stdout.decode(errors="surrogateescape").splitlines()
        pairs = (line.split("\t", 1) for line in lines)
        return {ref.removeprefix("refs/tags/"): Sha(sha) for sha, ref in pairs}

    def add_worktree(self, path: Path, commit: Sha) -> None:
        """Lay a detached checkout at `path`, taking over what a killed run left there.

        `git worktree add` writes a HEAD of zeros first; killed there, it leaves a repository in
        which every fetch fails. Ours is made aside, with its HEAD, and appears by a rename.
        """
        admin = self.common_dir / "worktrees" / path.name
        aside = path.with_name(f"{path.name}.new")
        for leftover in (aside, admin):
            shutil.rmtree(leftover, ignore_errors=True)
        admin.parent.mkdir(exist_ok=True)
        aside.mkdir(parents=True)
        (aside / "commondir").write_text("../..\n")
        (aside / "gitdir").write_text(f"{path}/.git\n", encoding="utf-8")
        (aside / "HEAD").write_text(f"{commit}\n")
        path.mkdir(parents=True, exist_ok=True)
        (path / ".git").write_text(f"gitdir: {admin}\n", encoding="utf-8")
        aside.rename(admin)
        self.checkout_worktree(path, commit)

    def checkout_worktree(self, path: Path, commit: Sha) -> None:
        """Make what Git holds in a checkout that is ours that of a commit; the rest stays."""
        checkout = ("checkout", "--quiet", "--force", "--detach", commit)
        self.run(*_OWN_WORKTREE, *checkout, cwd=path)

    def reset_worktree(self, path: Path, commit: Sha, keep: Sequence[str]) -> None:
        """Make a checkout that is ours exactly a commit: nothing else stays but `keep`."""
        for lock in self._locks_of(path):
            lock.unlink(missing_ok=True)
        self.checkout_worktree(path, commit)
        kept = [arg for name in keep for arg in ("--exclude", name)]
        self.run("clean", "-ffdxq", *kept, cwd=path)

    def changed_paths(self, path: Path) -> list[str]:
        """Return the paths of a checkout that differ from its commit, new ones too.

        Of what is ignored, only the commit's own `.gitignore` files are asked, not the user's.
        """
        listed = (
            (*_OWN_WORKTREE, "diff", "--name-only", "--no-renames", "--no-ext-diff", "-z", "HEAD"),
            ("ls-files", "--others", "--exclude-per-directory=.gitignore", "-z"),
        )
        found = [item for args in listed for item in self.text(*args, cwd=path).split("\0")]
        return sorted({item for item in found if item})

    def put_back(self, path: Path, commit: Sha, names: Collection[str]) -> None:
        """Make paths of a checkout that is ours what they are in a commit, be that nothing."""
        there = self.files(commit)
        tracked = [name for name in names if name in there]
        for name in set(names) - set(tracked):
            if name.endswith("/"):  # a repository of its own
                shutil.rmtree(path / name)
            else:
                (path / name).unlink()
        if tracked:
            listed = "".join(f"{name}\0" for name in tracked).encode("utf-8", "surrogateescape")
            checkout = ("checkout", "--quiet", "--force", commit, "--pathspec-from-file=-")
            self.run(
                *_OWN_WORKTREE, "--literal-pathspecs", *checkout, "--pathspec-file-nul",
                data=listed, cwd=path,
            )  # fmt: skip

    def _locks_of(self, path: Path) -> Iterator[Path]:
        """Index and HEAD locks that a killed git left in a checkout that only we use."""
        found = _spawn(["rev-parse", "--absolute-git-dir"], cwd=path)
        git_dir = Path(found.stdout.decode(errors="surrogateescape").strip() or "/nowhere")
        if git_dir.parent == self.common_dir / "worktrees":
            yield git_dir / "index.lock"
            yield git_dir / "HEAD.lock"

    # -- trees ---------------------------------------------------------------------------------

    def _load_trees(self, roots: Iterable[Sha]) -> None:
        wanted = {sha for sha in roots if sha not in self._trees}
        while wanted:
            for sha, kind, body in self._batch().read(dict.fromkeys(wanted)):
                if kind != "tree":
                    raise GitError(f"Git object {sha} is a {kind}, not a tree")
                self._trees[sha] = parse_tree(body)
            wanted = {
                entry.sha
                for sha in wanted
                for entry in self._trees[sha].values()
                if entry.mode == TREE_MODE and entry.sha not in self._trees
            }

    def _tree(self, sha: Sha) -> dict[str, Entry]:
        if sha not in self._trees:
            self._trees[sha] = parse_tree(next(iter(self._batch().read([sha])))[2])
        return self._trees[sha]

    def _walk(self, tree: Sha, prefix: str) -> Iterator[tuple[str, Entry]]:
        for name, entry in self._tree(tree).items():
            if entry.mode == TREE_MODE:
                yield from self._walk(entry.sha, f"{prefix}{name}/")
            else:
                yield prefix + name, entry

    def _batch(self) -> BatchReader:
        if self._reader is None:
            self._reader = BatchReader(self.git_dir)
        return self._reader

    def forget(self) -> None:
        """Read anew from now on: git was run in a way that may have brought objects."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None


def init_repository(path: Path, branch: Branch) -> None:
    """Make an empty repository at `path`, with HEAD on an unborn `branch`."""
    done = _spawn(["init", "--quiet", f"--initial-branch={branch}", str(path)], cwd=path)
    if done.returncode:
        raise GitError(f"git init failed in '{path}': {_last_line(done.stderr)}")


def init_bare(path: Path) -> None:
    """Make an empty bare repository, as on a server."""
    path.mkdir(parents=True)
    done = _spawn(["init", "--quiet", "--bare", "--initial-branch=main", str(path)], cwd=path)
    if done.returncode:
        raise GitError(f"git init failed in '{path}': {_last_line(done.stderr)}")


def clone(source: Path, target: Path) -> None:
    """Clone a repository."""
    done = _spawn(["clone", "--quiet", str(source), str(target)], cwd=source)
    if done.returncode:
        raise GitError(f"git clone failed: {_last_line(done.stderr)}")


def _spawn(
    args: Sequence[str],
    *,
    cwd: Path,
    data: bytes | None = None,
    env: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[bytes]:
    environment = git_environment() | dict(env or {})
    stdin = subprocess.DEVNULL if data is None else None
    try:
        return subprocess.run(
            ["git", *args], cwd=cwd, env=environment, capture_output=True, check=False,
            input=data, stdin=stdin,
        )  # fmt: skip
    except FileNotFoundError as error:
        if not cwd.is_dir():
            raise FlowError(f"'{cwd}' is no folder") from error
        raise GitError("git is not installed", hint="install git 2.38 or newer") from error


def _last_line(output: bytes) -> str:
    lines = [line.strip() for line in output.decode(errors="replace").splitlines() if line.strip()]
    wanted = [line for line in lines if line.startswith(("fatal:", "error:"))] or lines
    return (
        wanted[-1].removeprefix("fatal: ").removeprefix("error: ") if wanted else "no reason given"
    )


def _import_commit(mark: int, commit: NewCommit, ref: str, idents: Sequence[str]) -> bytes:
    author, committer = idents
    message = commit.message.encode("utf-8", "surrogateescape")
    # Each commit starts from nothing; without the reset, one without parents would follow the last.
    parts = [
        f"reset {ref}\ncommit {ref}\nmark :{mark + 1}\nauthor {author}\ncommitter {committer}\n"
    ]
    parts.append(f"data {len(message)}\n")
    lines = ["".join(parts).encode("utf-8", "surrogateescape"), message, b"\n"]
    for place, parent in enumerate(commit.parents):
        name = f":{parent + 1}" if isinstance(parent, int) else parent
        lines.append(f"{'merge' if place else 'from'} {name}\n".encode())
    if commit.tree is not None:
        lines.append(f'M 040000 {commit.tree} ""\n'.encode())
    lines += [_import_change(change) for change in commit.changes]
    return b"".join([*lines, b"\n"])


def _import_change(change: Change) -> bytes:
    path = _quote(change.path)
    if change.entry is not None:
        return f"M {change.entry.mode} {change.entry.sha} ".encode() + path + b"\n"
    if change.content is None:
        return b"D " + path + b"\n"
    head = f"M {change.mode} inline ".encode() + path
    return head + f"\ndata {len(change.content)}\n".encode() + change.content + b"\n"


def _quote(path: str) -> bytes:
    raw = path.encode("utf-8", "surrogateescape")
    body = b"".join(
        bytes([byte]) if 32 < byte < 127 and byte not in b'"\\' else b"\\%03o" % byte  # noqa: PLR2004
        for byte in raw
    )
    return b'"' + body + b'"'
