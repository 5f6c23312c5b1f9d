"""Lays the flow over a repository: config, documents, and a role template on each branch."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from importlib.resources import files as package_files
from importlib.resources.abc import Traversable
from itertools import chain, count
from pathlib import Path

from dvc_branchflow.config import FlowConfig, parse_config
from dvc_branchflow.errors import ConfigError, FlowError, GitError, UsageError
from dvc_branchflow.flow import identifier
from dvc_branchflow.git import NO_HOOKS, Change, NewCommit, init_repository
from dvc_branchflow.model import CONFIG_FILE, Branch, RefUpdate, Role, Sha, parse_model
from dvc_branchflow.objects import parse_dvc_config
from dvc_branchflow.plain import load_mapping
from dvc_branchflow.project import Project, Tip
from dvc_branchflow.values import dataclass
from dvc_branchflow.work.publish import Move, publish
from dvc_branchflow.work.transfer import Report

_DVC_CONFIG = ".dvc/config"
_DVC_FILES: Mapping[str, str] = {
    ".dvc/.gitignore": "/config.local\n/tmp\n/cache\n",
    ".dvcignore": "# What dvc should pass over, in the form of .gitignore.\n__pycache__/\n",
}
# Two dvc.lock files merge without a conflict into one that no run ever made.
_ATTRIBUTES = ("dvc.lock -merge", ".gitignore merge=union", "**/.gitignore merge=union")
_IGNORED = (
    "/models/", "/prints/", "/rejects/", "/repeats/", "/scanned/", "/mlruns/", "/mlflow.db",
    "__pycache__/", ".pytest_cache/",
)  # fmt: skip
_CONFIG = """\
# The flow of this repository: which branch is for what, and which feeds which.
version: 1
tracking: {tracking}
branches:
  raw:      {{role: raw,    data: data/raw, partition: "%Y-%m"}}
  clean:    {{role: clean,  data: data/clean, from: [raw]}}
  split:    {{role: split,  data: data/split, from: [clean]}}
  dev/*:    {{role: dev,    from: [split], sample: {sample}, checks: {{tests: {tests}}}}}
  stable/*: {{role: stable, code: "dev/{{}}", from: [split], checks: {{tests: {tests}}}}}
  monitor/*: {{role: monitor, data: data/monitor}}
  analysis/*: {{role: analysis, from: ["monitor/*"]}}
"""
_ASSIGNMENT = "assignment.py"
_TESTS = "python -m pytest -q"
_REMOTE_NAME = "store"
KINDS = ("table", "files")
# What DVC's config can hold between quotes: no quotes, no control characters, no interpolation.
_URL = re.compile(r"(?:[a-z][a-z0-9+]*://)[^\s\"%\x00-\x1f]+|(?![a-z0-9+]+://)[^\"%\x00-\x1f]+")


@dataclass(frozen=True, slots=True)
class InitRequest:
    """What to lay: where data goes, the first model, and what the templates need to know.

    `kind`: `table` for CSV files whose rows are the samples, `files` where each file is one.
    """

    remote: str | None = None
    endpoint_url: str | None = None
    model: str = "model"
    target: str = ""
    key: str = ""
    sample: float = 0.1
    kind: str = "table"


@dataclass(frozen=True, slots=True)
class LaidBranch:
    """A branch to make or extend, with the files that are new on it."""

    branch: Branch
    is_new: bool
    added: tuple[str, ...]
    changed: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class InitPlan:
    """What init is going to lay. `remote` is the DVC remote's URL where it is new."""

    path: Path
    is_new_repository: bool
    touches_existing: bool
    remote: str | None
    branches: tuple[LaidBranch, ...]


@dataclass(frozen=True, slots=True)
class _Files:
    """A branch's files to write, and those of them that change what is there."""

    wanted: Mapping[str, str]
    there: Mapping[str, bytes]

    def changes(self) -> list[Change]:
        return [
            Change(path, text.encode("utf-8", "surrogateescape"))
            for path, text in self.wanted.items()
            if self.there.get(path) != text.encode("utf-8", "surrogateescape")
        ]


def plan(path: Path, request: InitRequest) -> InitPlan:
    """Work out what init would lay in a folder. Raises: UsageError: a request that can't be."""
    return _Layout(path, request).plan()


def init(path: Path, request: InitRequest, report: Report) -> InitPlan:
    """Lay the flow: commits for all branches, moved together; then main's files in the checkout.

    What is there is never overwritten: a file that exists stays, lists of ignored paths grow.
    Running it again adds what is missing, such as a second model.
    """
    layout = _Layout(path, request)
    planned = layout.plan()
    layout.apply(report)
    return planned


class _Layout:
    """The plan's working state: the repository as it is, and what goes on each branch."""

    def __init__(self, path: Path, request: InitRequest) -> None:
        self.path = path.resolve()
        self.request = request
        parse_model(request.model)
        if request.kind not in KINDS:
            raise UsageError(f"'{request.kind}' is no kind of data: {', '.join(KINDS)}")
        self.project = self._open()
        self.tracking = self._tracking()
        self.config = self._config()
        self.dvc_config = self._existing(_DVC_CONFIG)
        here = self.path / ".dvc"
        known = parse_dvc_config([(_text(self.dvc_config or b"", _DVC_CONFIG), here)])
        self.known_remotes = known.remotes.keys()
        self.remote = None if known.default_remote else self._remote_url()
        if known.default_remote and request.remote:
            raise UsageError(
                f"the default DVC remote is '{known.default_remote}' already",
                hint=f"leave --remote out, or: dvc remote modify {known.default_remote} url URL",
            )

    def plan(self) -> InitPlan:
        laid = []
        for branch, files in self._branches().items():
            changes = files.changes()
            if changes:
                added = tuple(c.path for c in changes if c.path not in files.there)
                changed = tuple(c.path for c in changes if c.path in files.there)
                laid.append(LaidBranch(branch, not self._tip(branch), added, changed))
        old = self.project is not None and bool(self.project.tips)
        return InitPlan(self.path, self.project is None, old, self.remote, tuple(laid))

    def apply(self, report: Report) -> None:
        if self.project is None:
            self.path.mkdir(parents=True, exist_ok=True)
            self._refuse_overwriting(self.path)
            init_repository(self.path, self.tracking)
            self.project = Project.open(self.path)
        elif self.project.git.toplevel:
            self._refuse_overwriting(self.project.git.toplevel)
        if self.remote and "://" not in self.remote:
            Path(self.remote).mkdir(parents=True, exist_ok=True)
        commits, places = self._commits()
        shas = self.project.git.write_commits(commits)
        new = {branch: shas[index] for branch, index in places.items()}
        report(f"laying {', '.join(new) or 'nothing new'}")
        self._move(self.project, new, report)

    def _move(self, project: Project, new: Mapping[Branch, Sha], report: Report) -> None:
        """Move the branches, and with the tracking one the checkout that shows it."""
        main = new.get(self.tracking)
        shown = main is not None and self._is_checked_out(project)
        was_unborn = self._tip(self.tracking) is None
        if main and shown and not was_unborn and project.git_remote is None:
            self._fast_forward(project, main)
            project.refresh()
        tips = {branch: project.tips.get(branch) for branch in new}
        moves = [Move(b, tips[b], sha) for b, sha in new.items() if _sha(tips[b]) != sha]
        if moves:
            publish(project, moves, reason="branchflow init", report=report)
        if main and shown:
            self._show(project, main, was_unborn=was_unborn)

    def _show(self, project: Project, main: Sha, *, was_unborn: bool) -> None:
        if not was_unborn:
            self._fast_forward(project, main)
            return
        ref = f"refs/heads/{self.tracking}"
        if ref not in project.refs:
            project.git.update_refs([RefUpdate(ref, None, main)], "branchflow init")
        project.git.run("read-tree", "-m", "-u", main, cwd=self._top(project))

    def _fast_forward(self, project: Project, main: Sha) -> None:
        merge = (*NO_HOOKS, "merge", "--ff-only", "--quiet", main)
        project.git.run(*merge, cwd=self._top(project))

    def _is_checked_out(self, project: Project) -> bool:
        head = project.git.run("symbolic-ref", "--quiet", "HEAD", check=False).stdout.decode()
        return project.git.toplevel is not None and head.strip() == f"refs/heads/{self.tracking}"

    @staticmethod
    def _top(project: Project) -> Path:
        return project.git.toplevel or project.git.git_dir

    # -- what is there ---------------------------------------------------------------------------

    def _open(self) -> Project | None:
        if not self.path.exists():
            return None
        try:
            project = Project.open(self.path)
        except GitError:
            return None
        project.require_history("init")
        if project.git_remote:
            project.refresh()
        return project

    def _tracking(self) -> Branch:
        if self.project is None:
            return Branch("main")
        head = self.project.git.run("symbolic-ref", "--short", "--quiet", "HEAD", check=False)
        current = head.stdout.decode().strip()
        for name in ("main", "master", current):
            if Branch(name) in self.project.tips:
                return Branch(name)
        return Branch(current or "main")

    def _config(self) -> FlowConfig:
        existing = self._existing(CONFIG_FILE)
        return parse_config(load_mapping(existing or self._config_text().encode(), CONFIG_FILE))

    def _config_text(self) -> str:
        sample, tests = self.request.sample, _TESTS
        if not 0 < sample <= 1:
            raise UsageError(f"--sample {sample} is no fraction between 0 and 1")
        return _CONFIG.format(tracking=self.tracking, sample=f"{sample:g}", tests=tests)

    def _existing(self, path: str) -> bytes | None:
        return self._there(self.tracking).get(path)

    def _tip(self, branch: str) -> Sha | None:
        tip = self.project.tips.get(Branch(branch)) if self.project else None
        return tip.sha if tip else None

    def _there(self, branch: str) -> dict[str, bytes]:
        tip = self._tip(branch)
        if tip is None or self.project is None:
            return {}
        git = self.project.git
        files = git.files(tip)
        blobs = git.read_blobs(entry.sha for entry in files.values() if entry.mode != "160000")
        return {path: blobs[entry.sha] for path, entry in files.items() if entry.sha in blobs}

    # -- what is wanted --------------------------------------------------------------------------

    def _branches(self) -> dict[Branch, _Files]:
        common = self._common()
        wanted: dict[Branch, _Files] = {}
        there = self._there(self.tracking)
        main = {CONFIG_FILE: self._config_text(), **self._template("main")}
        kept = {path: text for path, text in main.items() if path not in there}
        wanted[self.tracking] = _Files({**self._grown(common, there), **kept}, there)
        for role in (Role.RAW, Role.CLEAN, Role.SPLIT, Role.DEV):
            for branch in self._names(role):
                if self._tip(branch) is None:
                    wanted[branch] = _Files({**common, **self._template(role)}, {})
        return wanted

    def _names(self, role: Role) -> list[Branch]:
        rules = self.config.with_role(role)
        if role is Role.DEV:
            return [Branch(rules[0].pattern.replace("*", self.request.model))] if rules else []
        return [Branch(rule.pattern) for rule in rules if "*" not in rule.pattern]

    def _common(self) -> dict[str, str]:
        """What every branch carries: the same remotes, the same ignored paths."""
        config = _text(self.dvc_config or b"", _DVC_CONFIG)
        if self.remote:
            taken = self.known_remotes
            config = _with_remote(config, self.remote, self.request.endpoint_url, taken)
        return {
            **_DVC_FILES,
            _DVC_CONFIG: config,
            ".gitignore": "".join(f"{line}\n" for line in self._ignored()),
            ".gitattributes": "".join(f"{line}\n" for line in _ATTRIBUTES),
        }

    def _ignored(self) -> list[str]:
        """Return the paths that Git ignores on every branch."""
        # `?*`, not `*`: to DVC's reader of .gitignore, `data/raw/*` ignores the folder itself as
        # well, and the pointers in it are lost.
        lines: list[str] = []
        for rule in self.config.rules:
            if rule.data:
                folder = f"{rule.data}/*" if "*" in rule.pattern else rule.data
                lines += [f"/{folder}/?*", f"!/{folder}/*.dvc"]
        return [*lines, *_IGNORED]

    @staticmethod
    def _grown(common: Mapping[str, str], there: Mapping[str, bytes]) -> dict[str, str]:
        """The common files for a branch that has some: lists grow, all else stays."""
        grown: dict[str, str] = {}
        for path, text in common.items():
            old = there.get(path)
            if old is None or path == _DVC_CONFIG:
                grown[path] = text
            elif path in {".gitignore", ".gitattributes"}:
                lines = old.decode(errors="surrogateescape").splitlines()
                more = [line for line in text.splitlines() if line not in lines]
                if more:
                    grown[path] = "".join(f"{line}\n" for line in [*lines, *more])
        return grown

    def _template(self, role: str) -> dict[str, str]:
        """A role's files; a kind of data may have its own in place of some."""
        package = package_files("dvc_branchflow")
        templates = package / "templates"
        listed = _walk(templates / role, "") + _walk(templates / f"{role}_{self.request.kind}", "")
        if role == Role.DEV:  # what is served assigns units as we do, without us
            listed.append((f"src/{_ASSIGNMENT}", package / _ASSIGNMENT))
        marks = self._marks()
        found: dict[str, str] = {}
        for relpath, file in listed:
            text = file.read_text(encoding="utf-8")
            for mark, value in marks.items():
                text = text.replace(mark, value)
            found[relpath] = text
        return found

    def _marks(self) -> dict[str, str]:
        marks = {
            "@MODEL@": self.request.model,
            "@TARGET@": _quotable(self.request.target),
            "@KEY@": _quotable(self.request.key),
            "@KIND@": self.request.kind,
        }
        for role in (Role.RAW, Role.CLEAN, Role.SPLIT):
            rules = self.config.with_role(role)
            name = rules[0].pattern if rules else role.value
            data = (rules[0].data if rules else None) or f"data/{role}"
            word = role.value.upper()
            marks |= {f"@{word}@": name, f"@{word}_ID@": identifier(name), f"@{word}_DATA@": data}
        return marks

    def _remote_url(self) -> str:
        given = self.request.remote
        top = (self.project.git.toplevel if self.project else None) or self.path
        if given is None:
            given = str(top.parent / f"{top.name}-store")
        if not _URL.fullmatch(given):
            raise UsageError(f"'{given}' can't be the URL or path of a DVC remote")
        if "://" in given:
            return given
        return str((Path.cwd() / Path(given).expanduser()).resolve())

    # -- what is written -------------------------------------------------------------------------

    def _commits(self) -> tuple[list[NewCommit], dict[Branch, int]]:
        """A root that all new branches share, and one commit on top of it for each."""
        commits = [NewCommit([], "Lay the ground that all branches share\n", self._ground())]
        places: dict[Branch, int] = {}
        for branch, files in self._branches().items():
            changes = files.changes()
            if not changes:
                continue
            tip = self._tip(branch)
            subject = f"Lay the flow on {branch}\n"
            commits.append(NewCommit([tip or 0], subject, changes))
            places[branch] = len(commits) - 1
        return commits, places

    def _ground(self) -> list[Change]:
        return [Change(path, text.encode()) for path, text in self._common().items()]

    def _refuse_overwriting(self, top: Path) -> None:
        """Refuse, before anything moves, what would lose a file or leave the checkout behind."""
        planned = self._branches()
        for branch in planned:
            self._refuse_clash(branch)
        if self.project is None or self._is_checked_out(self.project):
            files = planned[self.tracking]
            changes = files.changes()
            for change in changes:
                if change.path not in files.there and (top / change.path).exists():
                    raise FlowError(
                        f"'{change.path}' exists in '{top}', but is not in Git",
                        hint=f"git add '{change.path}'; git commit",
                    )
            if self.project is not None:
                self._refuse_dirty(self.project, [change.path for change in changes])

    def _refuse_dirty(self, project: Project, paths: list[str]) -> None:
        top = self._top(project)
        staged = project.git.text("ls-files", cwd=top) if self._tip(self.tracking) is None else ""
        changed = (
            project.git.text("diff", "--name-only", "HEAD", "--", *paths, cwd=top)
            if (paths and self._tip(self.tracking))
            else ""
        )
        for path in (staged or changed).splitlines():
            raise FlowError(f"'{path}' is not committed", hint="git commit")

    def _refuse_clash(self, branch: str) -> None:
        tips = self.project.tips if self.project else {}
        for other in tips:
            if other.startswith(f"{branch}/") or branch.startswith(f"{other}/"):
                raise FlowError(
                    f"Git can't have '{branch}' beside the branch '{other}'",
                    hint=f"git branch --move '{other}' NEW_NAME",
                )


def _sha(tip: Tip | None) -> Sha | None:
    return tip.sha if tip else None


def _with_remote(config: str, url: str, endpoint_url: str | None, taken: Collection[str]) -> str:
    """DVC's config with a default remote of ours, into the sections that are there."""
    names = chain([_REMOTE_NAME], (f"{_REMOTE_NAME}-{number}" for number in count(2)))
    name = next(name for name in names if name not in taken)
    remote = f"['remote \"{name}\"']"
    wanted = {
        "[core]": [f"    remote = {name}"],
        "[cache]": ['    type = "reflink,hardlink,copy"'],
        remote: [f'    url = "{url}"'],
    }
    if endpoint_url:
        wanted[remote].append(f'    endpointurl = "{endpoint_url}"')
    lines = config.splitlines()
    for section, values in wanted.items():
        if section == "[cache]" and any(re.match(r"\s*type\s*=", line) for line in lines):
            continue
        word = re.escape(section[1:-1])
        places = [n for n, line in enumerate(lines) if re.match(rf"\s*\[\s*{word}\s*\]", line)]
        if places:
            lines[places[0] + 1 : places[0] + 1] = values
        else:
            lines += [section, *values]
    return "".join(f"{line}\n" for line in lines)


def _text(content: bytes, path: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise ConfigError(f"'{path}' is not UTF-8: {error}") from error


def _quotable(text: str) -> str:
    if re.search(r"[\x00-\x1f\"\\]", text):
        raise UsageError(f"{text!r} can't stand in a template: quotes or control characters")
    return text


def _walk(folder: Traversable, prefix: str) -> list[tuple[str, Traversable]]:
    found: list[tuple[str, Traversable]] = []
    if not folder.is_dir():
        return found
    for item in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if item.name == "__pycache__" or item.name.endswith(".pyc"):
            continue
        if item.is_dir():
            found += _walk(item, f"{prefix}{item.name}/")
        else:
            found.append((prefix + item.name, item))
    return found
