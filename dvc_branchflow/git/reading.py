"""Reads a repository: refs in one process, objects in batches."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Self

from dvc_branchflow.errors import GitError
from dvc_branchflow.git.batch import BatchReader
from dvc_branchflow.git.process import last_line, spawn
from dvc_branchflow.gitobjects import (
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
from dvc_branchflow.model import Branch, Sha
from dvc_branchflow.values import dataclass, field

_SHORT_LINE = 16  # commits that are read one by one sooner than a process starts


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


@dataclass(frozen=True, slots=True)
class Worktree:
    """A checkout of the repository: where, and the branch in it (None: detached or bare)."""

    path: Path
    branch: Branch | None


@dataclass
class GitReader:
    """A repository on disk. `common_dir` is shared between its worktrees."""

    git_dir: Path
    common_dir: Path
    toplevel: Path | None
    is_shallow: bool
    _reader: BatchReader | None = field(default=None, repr=False)
    _trees: dict[Sha, dict[str, Entry]] = field(default_factory=dict, repr=False)

    @classmethod
    def discover(cls, path: Path) -> Self:
        """Open the repository that `path` lies in.

        Raises: GitError: there is none, or git is not installed.
        """
        query = ("--absolute-git-dir", "--git-common-dir", "--is-shallow-repository")
        found = spawn(["rev-parse", *query, "--show-toplevel"], cwd=path)
        lines = found.stdout.decode(errors="surrogateescape").splitlines()
        if len(lines) < len(query):
            reason = last_line(found.stderr) or "no Git repository here"
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
        done = spawn([*where, *args], cwd=cwd or self.toplevel or self.git_dir, data=data, env=env)
        if check and done.returncode:
            command = next((arg for arg in args if not arg.startswith("-") and "=" not in arg), "")
            raise GitError(f"git {command} failed: {last_line(done.stderr)}")
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
        if not wanted:
            return {}
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

    def folder(self, tree: Sha, path: str) -> dict[str, Entry]:
        """Return what a folder of a tree holds by name; nothing where there is no such folder."""
        found = self.entry(tree, path)
        return dict(self._tree(found.sha)) if found and found.mode == TREE_MODE else {}

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
            raise GitError(f"git merge-base failed: {last_line(done.stderr)}")
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

    def close(self) -> None:
        """End the process that reads objects; another one starts when it is needed."""
        if self._reader is not None:
            self._reader.close()
            self._reader = None
