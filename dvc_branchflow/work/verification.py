"""Examines on the DVC remotes what refs ask for: which of it is missing or damaged, and how sure.

A pass over all content can take days: one that was cut short, by its budget or by a kill, goes on
the next time. What was proven stands in `proofs/` beside Git's own files.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from dvc_branchflow.config import BranchRule
from dvc_branchflow.model import Branch, Oid, Role, Sha
from dvc_branchflow.project import Project
from dvc_branchflow.values import dataclass, replace
from dvc_branchflow.versions import parse_tag
from dvc_branchflow.work.census import lines_of
from dvc_branchflow.work.examining import Bad, Depth, Examined, Examiner, Question
from dvc_branchflow.work.graph import Graph
from dvc_branchflow.work.reach import files_behind, find_gone
from dvc_branchflow.work.required import Required, find_required
from dvc_branchflow.work.roots import Holder, Kind, Problem, Roots, require_all_history
from dvc_branchflow.work.stock import shared_remotes, take_stock
from dvc_branchflow.work.transfer import Report

_NAMED = 12
Only = Callable[[Required], bool]


@dataclass(frozen=True, slots=True)
class VerifyRequest:
    """What to verify, and how deep.

    Attributes:
        refs: branches, tags or commits, each with its history; none: all branches and tags.
        deep: prove content.
        share: of the objects whose content is proven, drawn anew each time; 1: all of them.
        seconds, max_bytes: when to stop reading; None: at the end.
    """

    refs: tuple[str, ...] = ()
    deep: bool = False
    share: float = 1.0
    seconds: float | None = None
    max_bytes: float | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """An object that is not as it has to be on a DVC remote.

    Attributes:
        kind: `missing`; `damaged`: it holds something else; `unread`: a directory's manifest that
            is there and can't be had, so that its files are unknown.
        path: the out, and below a directory the file.
        refs: who needs it: those whose tip does first, twelve at most.
        commit: the oldest commit that needs it.
    """

    kind: str
    oid: Oid
    remote: str
    path: str
    why: str
    refs: tuple[str, ...]
    commit: Sha


@dataclass(frozen=True, slots=True)
class Asked:
    """What refs and the histories behind them ask for.

    Attributes:
        question: what to look for, and on which DVC remotes.
        homes: object that a file names itself → the DVC remotes that it belongs on.
        problems: what can't be told, such as metadata that can't be read.
    """

    graph: Graph
    question: Question
    homes: Mapping[Oid, Sequence[str]]
    problems: tuple[Problem, ...]

    @property
    def remotes(self) -> list[str]:
        """The DVC remotes to look at."""
        mirrors = {name for names in self.question.mirrors.values() for name in names}
        return sorted({str(one.remote) for one in self.question.required} | mirrors)

    def finding(self, bad: Bad) -> Finding:
        """Return an object that is bad, with the names of who needs it."""
        names = [holder.name for holder in self.graph.who(bad.tips)]
        names += [holder.name for holder in self.graph.who(bad.mask & ~bad.tips)]
        refs = tuple(names[:_NAMED])
        return Finding(bad.kind, bad.oid, bad.remote, bad.path, bad.why, refs, bad.commit)


@dataclass(frozen=True, slots=True)
class Verified:
    """What was asked, and what was found."""

    asked: Asked
    found: Examined


def verify_refs(
    project: Project, request: VerifyRequest, report: Report, *, most: int | None = None
) -> Verified:
    """Examine what refs and the histories behind them ask for.

    Args:
        most: how many objects that are bad to name; None: all.
    Raises: StorageError: a DVC remote is away. GitError, FlowError: refs or history are.
    """
    asked = ask(project, request.refs, report)
    stock = take_stock(project, asked.remotes, report)
    digest = hashlib.sha256("\0".join(sorted(request.refs)).encode()).hexdigest()[:12]
    pass_file = project.state_dir / "proofs" / f"pass-{digest}.json"
    found = Examiner(project, stock, asked.question, _depth(request, pass_file)).run(report, most)
    if request.deep and request.share >= 1 and not found.left:
        pass_file.unlink(missing_ok=True)
    asked.question.parts.close()
    stock.close()
    return Verified(asked, found)


def ask(
    project: Project,
    refs: Sequence[str],
    report: Report,
    *,
    at: str | None = None,
    only: Only | None = None,
) -> Asked:
    """Find out what refs and the histories behind them ask for.

    Args:
        refs: branches, tags or commits; none: all branches and tags.
        at: the DVC remote that all of it is to lie on; None: each object where it belongs.
        only: of all that just this; None: all of it.
    Raises: StorageError: a DVC remote is away that has a manifest. GitError, FlowError: refs or
        history are.
    """
    require_all_history(project)
    project.refresh()
    roots = _roots(project, refs)
    graph = Graph(project.git, roots)
    bits: defaultdict[Sha, int] = defaultdict(int)
    for holder, tips in roots.tips.items():
        for tip in tips:
            bits[tip] |= graph.bit(holder)
    gone = find_gone(graph, roots, lines_of(project, roots), time.time())
    required, problems = find_required(project, graph, bits, gone)
    required = [one for one in required if only is None or only(one)]
    known, homeless = _with_remote(project, required)
    homes: defaultdict[Oid, list[str]] = defaultdict(list)
    for one in known:
        homes[one.oid].append(str(one.remote))
    if at is not None:
        known, homeless = _all_at(required, at), []
    numbers: dict[Oid, list[int]] = {}
    for number, one in enumerate(known):
        numbers.setdefault(one.oid, []).append(number)
    remotes = sorted({home for listed in homes.values() for home in listed})
    tags = {oid: tag for tag, oid in enumerate(numbers)}
    parts, unread = files_behind(project, tags, [*remotes, *([at] if at else [])], report)
    copies = [1] * len(known) if at else _copies_wanted(project, graph, known)
    mirrors = _mirrors(project, remotes) if max(copies, default=1) > 1 else {}
    question = Question(known, parts, tuple(numbers.values()), unread, copies, mirrors)
    return Asked(graph, question, homes, (*problems, *homeless))


def rule_of(project: Project, holder: Holder) -> BranchRule | None:
    """Return the config's entry for a branch, or for the stable branch that a release is of."""
    if holder.kind is Kind.BRANCH:
        spec = project.specs.get(Branch(holder.name))
        return spec.rule if spec else None
    release = parse_tag(holder.name) if holder.kind is Kind.TAG else None
    if release is None:
        return None
    made = (spec for spec in project.specs.values() if spec.role is Role.STABLE)
    return next((spec.rule for spec in made if spec.model == release[0]), None)


def _copies_wanted(project: Project, graph: Graph, known: Sequence[Required]) -> list[int]:
    """How many copies each object has to have, by whoever asks for most."""
    rules = [rule_of(project, holder) for holder in graph.holders]
    wanted: dict[int, int] = {}
    for mask in {one.mask for one in known}:
        asking = (rule for place, rule in enumerate(rules) if mask >> place & 1)
        wanted[mask] = max((rule.copies for rule in asking if rule), default=1)
    return [wanted[one.mask] for one in known]


def _mirrors(project: Project, remotes: Iterable[str]) -> dict[str, list[str]]:
    """For each DVC remote the mirrors that are at another place."""
    mirrors = shared_remotes(project, project.config.mirrors)
    urls = {name: one.url.rstrip("/") for name, one in project.dvc_config.remotes.items()}
    return {
        remote: [mirror for mirror in mirrors if urls[mirror] != urls[remote]] for remote in remotes
    }


def _all_at(required: Iterable[Required], remote: str) -> list[Required]:
    """The same objects, each of them once, as if they belonged on one DVC remote."""
    found: dict[Oid, Required] = {}
    for one in required:
        known = found.setdefault(one.oid, replace(one, remote=remote))
        known.mask |= one.mask
        known.tips |= one.tips
    return list(found.values())


def _roots(project: Project, refs: Sequence[str]) -> Roots:
    roots = Roots()
    for rev in refs:
        tip = project.tips.get(Branch(rev))
        is_tag = rev in project.tags
        kind = Kind.BRANCH if tip else Kind.TAG if is_tag else Kind.REF
        roots.tips[Holder(kind, rev)].add(tip.sha if tip else project.git.resolve(rev))
    if refs:
        return roots
    for branch, known in project.tips.items():
        sha = known.published if project.git_remote else known.local
        if sha is not None:
            roots.tips[Holder(Kind.BRANCH, branch)].add(sha)
    kinds = project.git.kinds(ref.commit for ref in project.tags.values())
    for name, ref in project.tags.items():
        if kinds.get(ref.commit) == "commit":
            roots.tips[Holder(Kind.TAG, name)].add(ref.commit)
    return roots


def _with_remote(
    project: Project, required: Sequence[Required]
) -> tuple[list[Required], list[Problem]]:
    """Part off what names a DVC remote that is not configured, so that it can't be anywhere."""
    known = [one for one in required if one.remote in project.dvc_config.remotes]
    problems: dict[str, Problem] = {}
    for one in required:
        if one.remote not in project.dvc_config.remotes:
            why = f"it is to lie on DVC remote '{one.remote}', which is not configured"
            if one.remote is None:
                why = "it is to lie on a default DVC remote, and there is none"
            problems.setdefault(f"{one.remote}", Problem(f"'{one.path}' and others", why))
    return known, list(problems.values())


def _depth(request: VerifyRequest, pass_file: Path) -> Depth:
    if not request.deep:
        return Depth()
    now = time.time()
    return Depth(
        share=request.share,
        since=_began(pass_file, now) if request.share >= 1 else now,
        until=float("inf") if request.seconds is None else now + request.seconds,
        max_bytes=float("inf") if request.max_bytes is None else request.max_bytes,
    )


def _began(pass_file: Path, now: float) -> float:
    """When the pass over all content began that is under way, or begins now."""
    try:
        return float(json.loads(pass_file.read_bytes())["began"])
    except (OSError, ValueError, KeyError, TypeError):
        pass_file.parent.mkdir(parents=True, exist_ok=True)
        pass_file.write_text(json.dumps({"began": now}), encoding="utf-8")
        return now
