"""Opens a repository: hands out its gates, its config and its branches; has no verbs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from dvc_branchflow import dvcio, objects
from dvc_branchflow.config import FlowConfig, parse_config
from dvc_branchflow.errors import ConfigError, FlowError, StorageError
from dvc_branchflow.flow import BranchSpec, describe, describe_all
from dvc_branchflow.git import Git, Ref, Refs
from dvc_branchflow.gitobjects import EXECUTABLE_MODE, FILE_MODE
from dvc_branchflow.model import CONFIG_FILE, DVC_CONFIG, Branch, Oid, Out, Sha
from dvc_branchflow.plain import load_mapping
from dvc_branchflow.tombstones import FOLDER, Tombstone, is_tombstone, parse_tombstone
from dvc_branchflow.values import dataclass, field, replace


@dataclass(frozen=True, slots=True)
class Tip:
    """Where a branch stands: here (`local`), on the git remote, and which of the two counts.

    The one that is ahead counts. `is_diverged`: neither is; then the remote's counts.
    """

    branch: Branch
    sha: Sha
    local: Sha | None
    published: Sha | None
    is_diverged: bool = False

    def as_published(self) -> Tip:
        """Return the tip without the commits that only this clone has."""
        return replace(self, sha=self.published or self.sha, is_diverged=False)


@dataclass
class Project:
    """A repository that branchflow works in.

    `is_shared`: it is the one that the team shares, whatever git remotes it has of its own.
    """

    git: Git
    is_shared: bool = False
    _stores: dict[str, objects.Store] = field(default_factory=dict, repr=False)
    _notes: dict[str, objects.Notes] = field(default_factory=dict, repr=False)
    _configs: dict[Sha, FlowConfig] = field(default_factory=dict, repr=False)

    @classmethod
    def open(cls, path: Path) -> Project:
        """Open the repository around `path`. Raises: GitError: there is none."""
        return cls(Git.discover(path))

    # -- where things are ----------------------------------------------------------------------

    @property
    def state_dir(self) -> Path:
        """Our own files beside Git's: worktrees, locks, logs. All of it can be deleted."""
        return self.git.common_dir / "branchflow"

    @cached_property
    def main_checkout(self) -> Path | None:
        """The repository's first worktree, which holds DVC's cache; None in a bare repository."""
        if self.git.toplevel and self.git.git_dir.resolve() == self.git.common_dir:
            return self.git.toplevel
        trees = [tree.path for tree in self.git.worktrees()]
        theirs = [path for path in trees if self.state_dir not in path.parents and path.is_dir()]
        return theirs[0] if theirs else None

    @cached_property
    def cache(self) -> objects.Cache:
        """DVC's local cache, shared between the worktrees."""
        configured = self.dvc_config.cache.get("dir")
        if configured:
            return objects.Cache(Path(configured))
        home = self.main_checkout
        return objects.Cache(home / ".dvc" / "cache" if home else self.state_dir / "cache")

    @cached_property
    def git_remote(self) -> str | None:
        """The git remote that the team shares: the only one, or `origin`."""
        names = [] if self.is_shared else self.git.remotes()
        if len(names) > 1 and "origin" not in names:
            raise FlowError(
                f"none of the git remotes is called 'origin': {', '.join(names)}",
                hint=f"git remote rename {names[0]} origin",
            )
        return "origin" if "origin" in names else next(iter(names), None)

    # -- what is said --------------------------------------------------------------------------

    @property
    def config(self) -> FlowConfig:
        """The flow, read from the tracking branch whatever is checked out.

        Raises: ConfigError: no branch that could be it holds a `branchflow.yaml`.
        """
        if self.flow is None:
            raise ConfigError(
                f"no '{CONFIG_FILE}' on the main branch: this repository has no flow yet",
                hint="git branchflow init",
            )
        return self.flow

    @cached_property
    def flow(self) -> FlowConfig | None:
        """The flow, or None where no branch that could be the tracking one holds it.

        Raises: ConfigError: it is there, and can't be read.
        """
        for tip in self._tracking_candidates():
            config = self.config_at(tip.sha)
            if config is None or (config.tracking != tip.branch and config.tracking in self.tips):
                continue
            if config.tracking != tip.branch:
                raise ConfigError(
                    f"'{CONFIG_FILE}' on '{tip.branch}' names '{config.tracking}' as 'tracking'",
                    hint=f"set 'tracking: {tip.branch}' there",
                )
            return config
        return None

    def config_at(self, commit: Sha) -> FlowConfig | None:
        """Return the flow that a commit describes, None where it holds no `branchflow.yaml`.

        Raises: ConfigError: it is there, and can't be read.
        """
        sha = self._blob_at(commit, CONFIG_FILE)
        if sha is None:
            return None
        if sha not in self._configs:
            content = self.git.read_blobs([sha])[sha]
            self._configs[sha] = parse_config(load_mapping(content, CONFIG_FILE))
        return self._configs[sha]

    def judge_by(self, commit: Sha, config: FlowConfig) -> None:
        """Take config and DVC's settings from a commit: the first that ever brings a flow."""
        self.__dict__["flow"] = config
        self.__dict__["dvc_config"] = self.dvc_config_at(commit)

    @property
    def tracking(self) -> Tip:
        """The tip of the branch that holds the config and the run records."""
        return self.tip(self.config.tracking)

    @cached_property
    def dvc_config(self) -> objects.DvcConfig:
        """DVC's settings: those committed on the tracking branch, and this machine's own."""
        return self.dvc_config_at(self.tracking.sha)

    @property
    def shared_remotes(self) -> tuple[str, ...]:
        """The DVC remotes that the tracking branch names, without those of this user alone."""
        committed = _decoded(self._file_at(self.tracking.sha, DVC_CONFIG) or b"")
        known = self.dvc_config.remotes
        return tuple(name for name in objects.named_remotes(committed) if name in known)

    @cached_property
    def erased(self) -> Mapping[Oid, Tombstone]:
        """The objects that were erased by law, each with its tombstone on the tracking branch.

        Raises: ConfigError: a tombstone can't be read.
        """
        found: dict[Oid, Tombstone] = {}
        for tombstone in self.tombstones:
            found |= dict.fromkeys(tombstone.oids, tombstone)
        return found

    @property
    def tombstones(self) -> list[Tombstone]:
        """The tombstones on the tracking branch, oldest first; none where there is no such branch.

        Raises: ConfigError: one can't be read.
        """
        if self.flow is None or self.flow.tracking not in self.tips:
            return []
        tree = self.git.commits([self.tracking.sha])[self.tracking.sha].tree
        listed = {f"{FOLDER}/{name}": e for name, e in self.git.folder(tree, FOLDER).items()}
        plain = {FILE_MODE, EXECUTABLE_MODE}
        paths = {p: e.sha for p, e in listed.items() if is_tombstone(p) and e.mode in plain}
        blobs = self.git.read_blobs(paths.values())
        read = [parse_tombstone(blobs[sha], path) for path, sha in paths.items()]
        return sorted(read, key=lambda one: (one.when, one.id))

    def store(self, name: str | None) -> objects.Store:
        """Return the DVC remote of that name (None: the default one).

        Raises: StorageError: no such remote is configured.
        """
        name = name.lower() if name else self.dvc_config.default_remote
        if name is None:
            raise StorageError(
                "no default DVC remote is configured", hint="dvc remote add --default NAME URL"
            )
        if name not in self._stores:
            if name not in self.dvc_config.remotes:
                raise StorageError(
                    f"DVC remote '{name}' is not configured on '{self.config.tracking}'",
                    hint=f"dvc remote add {name} URL",
                )
            self._stores[name] = objects.open_store(self.dvc_config.remotes[name], _file_system)
        return self._stores[name]

    def notes(self, remote: str) -> objects.Notes:
        """Return the small files on a DVC remote, which has to be configured."""
        if remote not in self._notes:
            self._notes[remote] = objects.open_notes(self.dvc_config.remotes[remote], _file_system)
        return self._notes[remote]

    def trash(self, remote: str) -> objects.Trash:
        """Return what was set aside on a DVC remote, which has to be configured."""
        return objects.open_trash(self.dvc_config.remotes[remote], _file_system)

    def probe(self, remote: str) -> objects.Probe:
        """Return what finds out what may be done on a DVC remote, which has to be configured."""
        return objects.open_probe(self.dvc_config.remotes[remote], _file_system)

    def purge(self, remote: str) -> objects.Purge:
        """Return the way to every copy of objects on a DVC remote, which has to be configured."""
        return objects.open_purge(self.dvc_config.remotes[remote], _file_system)

    # -- branches ------------------------------------------------------------------------------

    @cached_property
    def refs(self) -> dict[str, Ref]:
        """All branches and tags, as they were when first asked for; see `refresh`."""
        return self._all_refs.direct

    @cached_property
    def _all_refs(self) -> Refs:
        return self.git.refs()

    @cached_property
    def tips(self) -> dict[Branch, Tip]:
        """Every branch here and on the git remote, whichever is ahead."""
        local = _named(self.refs, "refs/heads/")
        remote = self.git_remote
        published = _named(self.refs, f"refs/remotes/{remote}/") if remote else {}
        names = sorted(local.keys() | published.keys())
        return {name: self._tip(name, local.get(name), published.get(name)) for name in names}

    @property
    def tags(self) -> dict[str, Ref]:
        """All tags by their short name."""
        prefix = "refs/tags/"
        return {n.removeprefix(prefix): ref for n, ref in self.refs.items() if n.startswith(prefix)}

    def tip(self, branch: str) -> Tip:
        """Return where a branch stands. Raises: FlowError: there is no such branch."""
        try:
            return self.tips[Branch(branch)]
        except KeyError:
            known = ", ".join(self.tips) or "none"
            raise FlowError(f"there is no branch '{branch}'; there are: {known}") from None

    def spec(self, branch: str) -> BranchSpec:
        """Return what a branch is for, by the config."""
        return describe(self.config, branch, self.tips)

    @cached_property
    def specs(self) -> dict[Branch, BranchSpec]:
        """Every existing branch that has a role, upstream first."""
        return describe_all(self.config, self.tips)

    def is_before(self, old: Sha, new: Sha) -> bool:
        """Whether a commit is another one or lies in its history; near ones cost no process."""
        is_near = old == new or self.git.line_between(old, new) is not None
        return is_near or self.git.is_ancestor(old, new)

    def lives_elsewhere(self, out: Out) -> bool:
        """Whether an out pins a branch of another repository, on whose DVC remotes it lies."""
        return out.repo is not None and any(
            rule.repo == out.repo and out.path.startswith(f"{rule.data}/")
            for rule in self.config.rules
        )

    def as_published(self) -> Project:
        """Return the repository as the team has it: without commits that only this clone has."""
        other = Project(self.git, is_shared=self.is_shared, _configs=self._configs)
        for name in ("_all_refs", "refs", "git_remote", "main_checkout"):
            if name in self.__dict__:
                other.__dict__[name] = self.__dict__[name]
        tips = {name: tip.as_published() for name, tip in self.tips.items()}
        other.__dict__["tips"] = tips
        return other

    def refresh(self, *, fetch: bool = True) -> None:
        """Forget what was read of refs and config; with `fetch`, ask the git remote first."""
        if fetch and self.git_remote:
            self.git.fetch(self.git_remote)
        for name in ("_all_refs", "refs", "tips", "specs", "flow", "dvc_config", "erased"):
            self.__dict__.pop(name, None)

    def require_history(self, what: str) -> None:
        """Raise FlowError in a shallow clone, where `what` can't be done."""
        if self.git.is_shallow:
            raise FlowError(f"{what} needs the history, and this clone is shallow",
                            hint="git fetch --unshallow")  # fmt: skip

    def dvc_config_at(self, commit: Sha) -> objects.DvcConfig:
        """Return DVC's settings with those that a commit holds. Raises: ConfigError."""
        committed = _decoded(self._file_at(commit, DVC_CONFIG) or b"")
        home = self.main_checkout
        folder = (home or self.git.git_dir) / ".dvc"
        layers = [(_text(path), path.parent) for path in _machine_configs()]
        layers.append((committed, folder))
        layers.append((_text(folder / "config.local"), folder))
        return objects.parse_dvc_config(layers)

    def _file_at(self, commit: Sha, path: str) -> bytes | None:
        sha = self._blob_at(commit, path)
        return None if sha is None else self.git.read_blobs([sha])[sha]

    def _blob_at(self, commit: Sha, path: str) -> Sha | None:
        """The object of a plain file; None where there is none, or something else."""
        entry = self.git.entry(self.git.commits([commit])[commit].tree, path)
        is_plain = entry is not None and entry.mode in {FILE_MODE, EXECUTABLE_MODE}
        return entry.sha if entry and is_plain else None

    def _tip(self, name: Branch, local: Sha | None, published: Sha | None) -> Tip:
        if local is None or published is None or local == published:
            sha = published or local
            assert sha is not None  # noqa: S101  the name came from one of the two
            return Tip(name, sha, local, published)
        if self.is_before(published, local):
            return Tip(name, local, local, published)
        if self.is_before(local, published):
            return Tip(name, published, local, published)
        return Tip(name, published, local, published, is_diverged=True)

    def _tracking_candidates(self) -> list[Tip]:
        heads = self._all_refs.symbolic
        prefix = f"refs/remotes/{self.git_remote}/"
        own = [Branch(ref.removeprefix("refs/heads/")) for ref in (heads.get("HEAD"),) if ref]
        remote = [Branch(ref.removeprefix(prefix)) for ref in (heads.get(f"{prefix}HEAD"),) if ref]
        names = [*remote, Branch("main"), Branch("master"), *own]
        if self.git.toplevel is None:
            # On a server HEAD decides, or a `main` could be pushed beside the branch that counts.
            names = [*own, *names]
        names += self.tips  # the last resort: one of another name that names itself
        return [self.tips[name] for name in dict.fromkeys(names) if name in self.tips]


def _named(refs: dict[str, Ref], prefix: str) -> dict[Branch, Sha]:
    return {
        Branch(name.removeprefix(prefix)): ref.commit
        for name, ref in refs.items()
        if name.startswith(prefix)
    }


def _file_system(remote: objects.RemoteConfig) -> objects.FileSystem:
    return objects.FileSystem(*dvcio.open_file_system(remote.name, remote.url, remote.options))


def _machine_configs() -> list[Path]:
    """DVC's system-wide and per-user config files, the later ones first."""
    import platformdirs  # 8 ms, and few need DVC's settings

    system = os.environ.get("DVC_SYSTEM_CONFIG_DIR") or platformdirs.site_config_dir(
        "dvc", "iterative"
    )
    user = os.environ.get("DVC_GLOBAL_CONFIG_DIR") or platformdirs.user_config_dir(
        "dvc", "iterative"
    )
    return [Path(system) / "config", Path(user) / "config"]


def _text(path: Path) -> str:
    try:
        return _decoded(path.read_bytes())
    except OSError:
        return ""


def _decoded(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"a DVC config file is not UTF-8: {error}") from error
