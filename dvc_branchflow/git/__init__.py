"""The only place that runs Git: reads objects in batches, writes commits without a checkout."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from dvc_branchflow.errors import GitError, LostRaceError, RejectedError
from dvc_branchflow.git.fastimport import Change, NewCommit, import_commit
from dvc_branchflow.git.process import last_line, spawn
from dvc_branchflow.git.reading import GitReader, Ref, Refs, Worktree
from dvc_branchflow.gitobjects import Commit
from dvc_branchflow.model import ZERO_SHA, Branch, RefUpdate, Sha

__all__ = [
    "NO_HOOKS", "Change", "Git", "NewCommit", "Ref", "Refs", "Worktree", "clone", "init_bare",
    "init_repository",
]  # fmt: skip

NO_HOOKS = ("-c", "core.hooksPath=/dev/null")
# A worktree of ours holds the commit's own bytes, whatever the user's settings make of his.
_OWN_WORKTREE = (
    *NO_HOOKS, "-c", "core.autocrlf=false", "-c", "core.eol=lf", "-c", "core.sparseCheckout=false",
    "-c", "core.fsmonitor=false",
)  # fmt: skip
_FETCH_PAUSES_SECONDS = (0.1, 0.2, 0.4, 0.8)


class Git(GitReader):
    """A repository to read and to write."""

    def write_commits(self, commits: Sequence[NewCommit]) -> list[Sha]:
        """Write commits in one fast-import; no ref, index or checkout is touched.

        Raises: GitError: git does not know who commits, or refuses a path.
        """
        if not commits:
            return []
        idents = [self._ident(who) for who in ("AUTHOR", "COMMITTER")]
        temporary = f"refs/branchflow/import/{os.getpid()}-{os.urandom(4).hex()}"
        script = b"".join(
            import_commit(mark, commit, temporary, idents) for mark, commit in enumerate(commits)
        )
        # The ref that fast-import insists on is taken back before it is ever written.
        script += f"reset {temporary}\nfrom {ZERO_SHA}\n\n".encode()
        script += b"".join(f"get-mark :{mark + 1}\n".encode() for mark in range(len(commits)))
        script += b"done\n"
        done = self.run(
            "fast-import", "--quiet", "--done", "--date-format=raw", "--force", data=script
        )
        return [Sha(line) for line in done.stdout.decode().split()]

    def write_staged(self, message: str) -> Commit:
        """Write what `git commit` would make of the index; no ref, index or checkout is touched.

        Git hands its hooks another index for `git commit FILE`, and the heads of a merge.
        Raises: GitError: the index has conflicts.
        """
        import shutil
        import tempfile  # 5 ms that only this needs

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
            reason = last_line(done.stderr)
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
                f"can't fetch from git remote '{git_remote}': {last_line(done.stderr)}",
                hint=f"git fetch {git_remote}",
            )

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
        reason = refused[1] if refused else last_line(done.stderr)
        raise GitError(f"can't push to git remote '{git_remote}': {reason}",
                       hint=f"git push --dry-run {git_remote}")  # fmt: skip

    def remote_tags(self, git_remote: str) -> dict[str, Sha]:
        """Return the tags that a git remote has: short name → object.

        Raises: GitError: the git remote can't be reached.
        """
        done = self.run("ls-remote", "--quiet", "--tags", "--refs", git_remote, check=False)
        if done.returncode:
            raise GitError(
                f"can't list the tags of git remote '{git_remote}': {last_line(done.stderr)}",
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
        import shutil  # 3 ms that few need

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
        import shutil

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
        found = spawn(["rev-parse", "--absolute-git-dir"], cwd=path)
        git_dir = Path(found.stdout.decode(errors="surrogateescape").strip() or "/nowhere")
        if git_dir.parent == self.common_dir / "worktrees":
            yield git_dir / "index.lock"
            yield git_dir / "HEAD.lock"


def init_repository(path: Path, branch: Branch) -> None:
    """Make an empty repository at `path`, with HEAD on an unborn `branch`."""
    done = spawn(["init", "--quiet", f"--initial-branch={branch}", str(path)], cwd=path)
    if done.returncode:
        raise GitError(f"git init failed in '{path}': {last_line(done.stderr)}")


def init_bare(path: Path) -> None:
    """Make an empty bare repository, as on a server."""
    path.mkdir(parents=True)
    done = spawn(["init", "--quiet", "--bare", "--initial-branch=main", str(path)], cwd=path)
    if done.returncode:
        raise GitError(f"git init failed in '{path}': {last_line(done.stderr)}")


def clone(source: Path, target: Path) -> None:
    """Clone a repository."""
    done = spawn(["clone", "--quiet", str(source), str(target)], cwd=source)
    if done.returncode:
        raise GitError(f"git clone failed: {last_line(done.stderr)}")
