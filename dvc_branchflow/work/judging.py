"""The one judge: reads what a set of ref moves brings, and has the roles' rules decide on it.

`check`, the client's hooks, the server's pre-receive, CI and every verb that moves a ref ask here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cached_property

from dvc_branchflow.channels import Kind, parse_gto_tag
from dvc_branchflow.config import FlowConfig
from dvc_branchflow.errors import ConfigError, FlowError, RejectedError
from dvc_branchflow.flow import BranchSpec, describe_all
from dvc_branchflow.git import Ref
from dvc_branchflow.gitobjects import Tag, utc_text
from dvc_branchflow.model import (
    CONFIG_FILE,
    Branch,
    Oid,
    Out,
    Role,
    Severity,
    Sha,
    Verdict,
    Violation,
)
from dvc_branchflow.policy.any_branch import judge_paths
from dvc_branchflow.policy.catalog import RULES
from dvc_branchflow.policy.facts import RefFacts, TagFacts
from dvc_branchflow.policy.judge import judge_commit, needed_manifests, settle
from dvc_branchflow.policy.moves import judge_number, judge_ref, short_name
from dvc_branchflow.project import Project
from dvc_branchflow.values import dataclass, replace
from dvc_branchflow.work.commits import read_commit
from dvc_branchflow.work.facts import FactsReader
from dvc_branchflow.work.folders import folder_oid, outs_below
from dvc_branchflow.work.history import History
from dvc_branchflow.work.lines import Lines
from dvc_branchflow.work.transfer import read_manifests

HEADS, TAGS = "refs/heads/", "refs/tags/"
_MAX_MANIFEST_BYTES = 1024**3
_MAX_SECONDS = 60.0
_Asked = tuple[Out, str, BranchSpec, Sha]  # a directory, the rule that asks, for which commit
_NO_FLOW = "no branchflow.yaml on the main branch: only sizes, names and paths were judged"


@dataclass(frozen=True, slots=True)
class RefMove:
    """A ref to be judged: from `old` (None: new) to the object `new` (None: deleted)."""

    ref: str
    old: Sha | None
    new: Sha | None


@dataclass(frozen=True, slots=True)
class Case:
    """What is to be judged.

    Attributes:
        moves: the refs that are to move.
        before: full name → ref, as the shared repository has them.
        is_history: judge all that the refs hold, as it stands, instead of a move.
        has_message: whether the commits' messages are there to be judged.
    """

    moves: tuple[RefMove, ...]
    before: Mapping[str, Ref]
    is_history: bool = False
    has_message: bool = True


def judge(project: Project, case: Case) -> Verdict:
    """Judge ref moves by the rules of the flow that stands on the tracking branch now.

    Where there is none yet, the one that the moves bring counts. Nothing is run, and nothing is
    written but manifests into the cache.
    """
    moves = tuple(short_name(move.ref) for move in case.moves)
    too_many = () if case.is_history else tuple(judge_number(len(case.moves)))
    if too_many:
        return Verdict(moves, 0, too_many)
    # What counts is the config that the team has, not one that this clone has not pushed.
    return _Judgement(project.as_published(), case).verdict()


def shared_refs(project: Project, remote: str | None) -> dict[str, Ref]:
    """Return branches and tags as a git remote has them, by what this clone knows of it.

    Args:
        remote: None: this repository itself is what the team shares.
    """
    prefix = f"refs/remotes/{remote}/" if remote else HEADS
    found = {
        HEADS + name.removeprefix(prefix): ref
        for name, ref in project.refs.items()
        if name.startswith(prefix)
    }
    # Of a clone's tags nobody knows which are shared.
    tags = {name: ref for name, ref in project.refs.items() if name.startswith(TAGS)}
    return found if remote else found | tags


def require_lawful(project: Project, case: Case) -> None:
    """Raise RejectedError where rules refuse the moves, with the first violation, and by ref."""
    verdict = judge(project, case)
    errors = [one for one in verdict.violations if one.severity is Severity.ERROR]
    if errors:
        by_ref: dict[str, list[Violation]] = {}
        for one in errors:
            by_ref.setdefault(one.ref, []).append(one)
        raise _rejected(errors, {ref: _rejected(found, {}) for ref, found in by_ref.items()})


def _rejected(errors: Sequence[Violation], refused: Mapping[str, RejectedError]) -> RejectedError:
    first = errors[0]
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    where = f"'{first.path}' on " if first.path else ""
    return RejectedError(
        f"{first.code}: {where}'{first.ref}' {first.found}{more}",
        hint=first.repair,
        refused=refused,
    )


class _Judgement:
    """The state of one judgement: what was read, and what was found so far."""

    def __init__(self, project: Project, case: Case) -> None:
        self._project = project
        self._case = case
        self._git = project.git
        self._history = History(self._git)
        self._objects, self._commits = self._peeled()
        self._config = self._flow()
        self._specs = self._described()
        self._owners = {name: spec.data for name, spec in self._specs.items() if spec.data}
        self._new = self._reachable()
        self._history.load(self._new)
        self._lines = Lines(
            self._git, self._history, self._specs, self._tips(), self._new,
            is_history=case.is_history,
        )  # fmt: skip
        self._own = self._own_commits()
        self._history.load(sha for shas in self._own.values() for sha in shas)
        self._unproven: list[Violation] = []
        self._tags = {move.ref: self._tag(move) for move in case.moves}

    def verdict(self) -> Verdict:
        """Have everything judged."""
        found = [*self._judge_refs(), *self._judge_branches(), *self._judge_config()]
        found = [*self._unproven, *found]
        judged = {*self._new, *(sha for shas in self._own.values() for sha in shas)}
        return Verdict(
            refs=tuple(short_name(move.ref) for move in self._case.moves),
            commits=len(judged),
            violations=tuple(self._settled(found)),
            notes=tuple(self._notes()),
        )

    def _notes(self) -> Iterator[str]:
        if self._config is None:
            yield _NO_FLOW
        elif self._case.is_history and self._project.erased:
            number = len(self._project.erased)
            yield f"objects that were erased by law: {number}; git branchflow storage erase --check"

    # -- reading -----------------------------------------------------------------------------------

    def _peeled(self) -> tuple[dict[Sha, Tag], dict[str, Sha]]:
        """The annotated tags that are to be there, and the commit behind each ref."""
        wanted = {move.ref: move.new for move in self._case.moves if move.new}
        kinds = self._git.kinds(wanted.values())
        tags = self._git.tags(sha for sha, kind in kinds.items() if kind == "tag")
        behind = {ref: tags[sha].target if sha in tags else sha for ref, sha in wanted.items()}
        kinds = self._git.kinds(behind.values())
        return tags, {ref: sha for ref, sha in behind.items() if kinds.get(sha) == "commit"}

    def _flow(self) -> FlowConfig | None:
        """The config that counts: what stands on the tracking branch, before anything moves."""
        try:
            config = self._project.flow
        except ConfigError:
            # Only a push of a config that can be read, and of nothing else, gets out of this.
            config = self._first_flow() if len(self._case.moves) == 1 else None
            if config is None:
                raise
        return config or self._first_flow()

    def _first_flow(self) -> FlowConfig | None:
        """The flow that the moves bring to a repository without one."""
        for ref, sha in self._commits.items():
            if ref.startswith(HEADS):
                with suppress(ConfigError):
                    config = self._project.config_at(sha)
                    if config is not None and config.tracking == _branch(ref):
                        self._project.judge_by(sha, config)
                        return config
        return None

    def _described(self) -> dict[Branch, BranchSpec]:
        """What each branch is for; a data branch that is not here owns its path all the same."""
        if self._config is None:
            return {}
        refs = (*self._case.before, *self._commits)
        names = {_branch(ref) for ref in refs if ref.startswith(HEADS)}
        owners = {Branch(r.pattern) for r in self._config.rules if r.data and "*" not in r.pattern}
        return describe_all(self._config, names | owners)

    def _reachable(self) -> list[Sha]:
        """The commits that the moves bring, parents first."""
        before = [] if self._case.is_history else [r.commit for r in self._case.before.values()]
        known = [sha for sha, kind in self._git.kinds(before).items() if kind == "commit"]
        return self._git.reachable(self._commits.values(), known) if self._commits else []

    def _tips(self) -> dict[Branch, list[Sha]]:
        """Where each branch stands, after the moves first, then before them."""
        gone = {move.ref for move in self._case.moves if move.new is None}
        tips: dict[Branch, list[Sha]] = {}
        for ref in (*self._case.before, *self._commits):
            if ref.startswith(HEADS):
                before = self._case.before.get(ref)
                after = None if ref in gone else self._commits.get(ref)
                shas = [after, before.commit if before else None]
                tips[_branch(ref)] = list(dict.fromkeys(sha for sha in shas if sha))
        return tips

    def _own_commits(self) -> dict[Branch, list[Sha]]:
        """The commits of each branch that has a role and is to move."""
        own: dict[Branch, list[Sha]] = {}
        for move in self._case.moves:
            spec = self._specs.get(_branch(move.ref))
            if spec is not None and move.ref in self._commits:
                others = {n for n, s in self._specs.items() if s.role is Role.MAIN} - {spec.branch}
                others |= {name for name in (*spec.upstreams, spec.code) if name}
                own[spec.branch] = self._lines.own(spec, move.old, self._commits[move.ref], others)
        return own

    # -- judging refs ------------------------------------------------------------------------------

    def _judge_refs(self) -> Iterator[Violation]:
        known: dict[str, set[str]] = {}
        for ref in (*self._case.before, *self._commits):
            known.setdefault(ref.lower(), set()).add(ref)
        for move in self._case.moves:
            clashes = known.get(move.ref.lower(), set()) - {move.ref}
            tag = self._tags[move.ref]
            facts = RefFacts(
                move.ref, move.old, move.new,
                is_forward=self._is_forward(move),
                clash=short_name(min(clashes)) if clashes and move.old is None else "",
                tag=tag,
            )  # fmt: skip
            stable = self._specs[tag.stable[0]] if tag and tag.stable else None
            owned = (
                [self._owners[n] for n in stable.upstreams if n in self._owners] if stable else []
            )
            yield from judge_ref(facts, self._specs.get(_branch(move.ref)), owned)

    def _is_forward(self, move: RefMove) -> bool:
        if move.old is None or move.ref not in self._commits or not move.ref.startswith(HEADS):
            return True
        return self._lines.is_behind(move.old, self._commits[move.ref])

    def _tag(self, move: RefMove) -> TagFacts | None:
        """What is to be known of a new tag of GTO's."""
        parsed = parse_gto_tag(move.ref.removeprefix(TAGS)) if move.ref.startswith(TAGS) else None
        if parsed is None or move.new is None or move.old is not None:
            return None
        model = parsed.model.rpartition(":")[2]
        roles = [spec for spec in self._specs.values() if spec.role is Role.STABLE]
        stable = [spec.branch for spec in roles if spec.model == model]
        tag = self._objects.get(move.new)
        commit = self._commits.get(move.ref)
        facts = TagFacts(
            kind=parsed.kind,
            name=tag.name if tag else None,
            is_of_commit=commit is not None and (tag is None or tag.target_kind == "commit"),
            stable=tuple(stable),
        )
        if commit is None or not stable:
            return facts
        if parsed.kind is not Kind.REGISTRATION:
            return replace(facts, is_released=commit in self._releases.get(parsed.model, ()))
        self._history.load_held([commit])
        return replace(
            facts,
            is_on_stable=any(self._lines.is_made_on(self._specs[name], commit) for name in stable),
            held=self._history.held(commit),
            folders=self._folders_read(self._specs[stable[0]], commit),
        )

    @cached_property
    def _releases(self) -> dict[str, set[Sha]]:
        """Each model's released commits, by the tags that are here and those of the moves.

        Of a clone's tags nobody knows which are shared; the server knows its own.
        """
        moved = [
            (move.ref.removeprefix(TAGS), sha)
            for move in self._case.moves
            for sha in (move.old, move.new)
            if sha is not None and move.ref.startswith(TAGS)
        ]
        kinds = self._git.kinds(sha for _, sha in moved)
        tags = self._git.tags(sha for sha, kind in kinds.items() if kind == "tag")
        known = [(name, tags[sha].target) for name, sha in moved if sha in tags]
        known += [(n, ref.commit) for n, ref in self._project.tags.items() if ref.kind == "tag"]
        found: dict[str, set[Sha]] = {}
        for name, commit in known:
            parsed = parse_gto_tag(name)
            if parsed is not None and parsed.kind is Kind.REGISTRATION:
                found.setdefault(parsed.model, set()).add(commit)
        return found

    def _folders_read(self, spec: BranchSpec, commit: Sha) -> dict[str, Oid]:
        """The oids of those deps of a release's stages that are folders above its data."""
        try:
            data = read_commit(self._git, commit)
        except ConfigError:
            return {}  # said as bad-metadata
        deps = {path for stage in data.stages for path in stage.deps} - data.outs.keys()
        below = {dep: outs_below(data, dep) for dep in deps}
        folders = {dep: [out for out in outs if out.is_dir] for dep, outs in below.items() if outs}
        asked = {
            out.oid: (out, "inputs-true", spec, commit) for outs in folders.values() for out in outs
        }
        manifests = self._manifests(asked)
        return {
            dep: oid
            for dep, outs in folders.items()
            if all(out.oid in manifests for out in outs)
            and (oid := folder_oid(self._git, data, dep, manifests)) is not None
        }

    # -- judging commits ---------------------------------------------------------------------------

    def _judge_branches(self) -> Iterator[Violation]:
        old = {_branch(move.ref): move.old for move in self._case.moves}
        reader = FactsReader(
            self._git, self._history, self._lines, self._specs, self._own, old,
            erased=() if self._case.is_history else self._project.erased,
            new=self._new, is_history=self._case.is_history,
        )  # fmt: skip
        facts = [(self._specs[name], one) for name in self._own for one in reader.facts(name)]
        asked: dict[Oid, _Asked] = {}
        for spec, one in facts:
            for code, out in needed_manifests(spec, one, self._owners):
                asked.setdefault(out.oid, (out, code, spec, one.sha))
        manifests = self._manifests(asked)
        for spec, one in facts:
            yield from judge_commit(spec, one, self._owners, manifests)
        told = {sha for shas in self._own.values() for sha in shas}
        for sha, name in self._lines.brought_by(self._commits).items():
            if sha not in told:
                for found in judge_paths(self._history.introduced(sha)):
                    yield replace(found, ref=name, commit=sha)

    def _manifests(self, asked: Mapping[Oid, _Asked]) -> dict[Oid, bytes]:
        """The manifests that rules ask for; what can't be had is noted as unproven."""
        if not asked:
            return {}
        outs = [out for out, *_ in asked.values()]
        found, reasons = read_manifests(
            self._project, outs, max_bytes=_MAX_MANIFEST_BYTES, seconds=_MAX_SECONDS
        )
        self._unproven += [_not_seen(*asked[oid], reason) for oid, reason in reasons.items()]
        return found

    def _judge_config(self) -> Iterator[Violation]:
        """Judge whether the next push could be judged by what this one makes of the config."""
        tracking = self._config.tracking if self._config else None
        moved = {_branch(ref): sha for ref, sha in self._commits.items() if ref.startswith(HEADS)}
        for name, sha in moved.items() if tracking else ():
            path, flaw = self._flaw(sha) if name == tracking else self._rival(name, sha)
            if flaw:
                yield Violation("config-valid", name, flaw, "", path=path, commit=sha)

    def _flaw(self, sha: Sha) -> tuple[str, str]:
        """What is wrong with the settings that a commit brings to the tracking branch; where."""
        try:
            config = self._project.config_at(sha)
            if config is None:
                return CONFIG_FILE, "is gone, or no plain file"
            describe_all(config, self._lines.tips)
        except (ConfigError, FlowError) as error:
            return CONFIG_FILE, f"can't be used: {error.message}"
        if self._config and config.tracking != self._config.tracking:
            return CONFIG_FILE, f"names '{config.tracking}' as the tracking branch"
        try:
            self._project.dvc_config_at(sha)
        except ConfigError as error:
            return ".dvc/config", f"can't be used: {error.message}"
        return "", ""

    def _rival(self, name: Branch, sha: Sha) -> tuple[str, str]:
        """Whether another branch would stand in for the tracking one, by its name and config."""
        try:
            config = self._project.config_at(sha)
        except ConfigError as error:
            is_candidate = name in {"main", "master", self._git.head()}
            return CONFIG_FILE, f"can't be used: {error.message}" if is_candidate else ""
        tracking = self._config.tracking if self._config else None
        if config is not None and config.tracking != tracking:
            found = f"names '{config.tracking}' as the tracking branch, and that is '{tracking}'"
            return CONFIG_FILE, found
        return "", ""

    # -- telling -----------------------------------------------------------------------------------

    def _settled(self, found: list[Violation]) -> Iterator[Violation]:
        specs: dict[str, BranchSpec] = {str(name): spec for name, spec in self._specs.items()}
        for ref, tag in self._tags.items():
            if tag is not None and tag.stable:
                specs[ref] = self._specs[tag.stable[0]]
        for one in settle(found, specs):
            commit = self._history.commits.get(one.commit) if one.commit else None
            if RULES[one.code].needs_message and not self._case.has_message:
                continue
            if commit is not None:
                yield replace(one, author=commit.author, when=utc_text(commit.seconds))
            else:
                yield one


def _not_seen(out: Out, code: str, spec: BranchSpec, sha: Sha, reason: str) -> Violation:
    return Violation(
        "unproven", spec.branch, f"can't be judged by {code}: its manifest {out.oid} {reason}",
        "", path=out.path, commit=sha, severity=spec.rule.severities.get(code, Severity.ERROR),
    )  # fmt: skip


def _branch(ref: str) -> Branch:
    return Branch(ref.removeprefix(HEADS))
