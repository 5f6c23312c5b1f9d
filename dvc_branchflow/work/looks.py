"""The lockbox of the test side: every look at it, by which code, and the limit of a model.

A look is a run of a stage that `dvc.yaml` marks with `meta: {side: test}`, as a commit's `dvc.lock`
records it, or the record of a candidate that was refused after it had looked. What else ran and was
never committed is nobody's to see, and can't be counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dvc_branchflow.errors import RejectedError
from dvc_branchflow.flow import BranchSpec
from dvc_branchflow.gitobjects import utc_text
from dvc_branchflow.metafiles import Pipeline
from dvc_branchflow.model import Branch, LockedStage, Role, Sha
from dvc_branchflow.project import Project
from dvc_branchflow.values import dataclass
from dvc_branchflow.work.history import History
from dvc_branchflow.work.records import certificate_of, read_refused

_LOOKING = frozenset({Role.DEV, Role.STABLE})
_TEST = "test"


@dataclass(frozen=True, slots=True)
class Look:
    """One run of an evaluation on the test side of a split.

    Attributes:
        certificate: of the split whose test side it was; None where the split has none.
        branch: where it is on record.
        commit: None where the candidate was refused, and has none.
        stages: the evaluations that ran.
        reason: the `Reason:` of the commit, where the model was past its limit; or the refusal.
        when: UTC, ISO 8601.
    """

    model: str
    certificate: str | None
    branch: Branch
    commit: Sha | None
    stages: tuple[str, ...]
    author: str
    when: str
    reason: str | None = None


def all_looks(project: Project, model: str | None) -> list[Look]:
    """Return every look at a test side by dev and stable branches, oldest first.

    Args:
        model: only this model's; None: all.
    """
    specs = [spec for spec in project.specs.values() if spec.role in _LOOKING]
    found: dict[Sha | None, Look] = {}
    for spec in specs:
        if model in {None, spec.model}:
            for look in _on_branch(project, spec):
                found.setdefault(look.commit, look)  # a stable branch grows out of a dev branch
    refused = [look for look in _refused(project) if model in {None, look.model}]
    return sorted([*found.values(), *refused], key=lambda look: (look.when, look.commit or ""))


def looks_at(project: Project, spec: BranchSpec, certificate: str | None) -> list[Look]:
    """Return a model's looks at the test side of one split."""
    looks = all_looks(project, spec.model)
    return [look for look in looks if look.certificate == certificate]


def require_look(
    project: Project, spec: BranchSpec, certificate: str | None, reason: str | None
) -> None:
    """Raise RejectedError where a model would go past its limit of looks without a reason.

    Args:
        certificate: of the split that is going to be looked at.
    """
    limit = spec.rule.test_looks
    if limit is None or reason:
        return
    looks = looks_at(project, spec, certificate)
    if len(looks) >= limit:
        raise RejectedError(
            f"looks at the test side of split {(certificate or 'without certificate')[:10]} for "
            f"'{spec.model}' so far: {len(looks)}, and the limit is {limit}",
            hint=f"git branchflow runs --test-looks --model {spec.model}; or give --reason WHY",
        )


def evaluations(pipeline: Pipeline, stages: Iterable[LockedStage]) -> dict[str, LockedStage]:
    """Return those of the stages that look at the test side, by name."""
    marked = {name for name, stage in pipeline.stages.items() if stage.side == _TEST}
    return {stage.name: stage for stage in stages if stage.name.partition("@")[0] in marked}


def _refused(project: Project) -> Iterator[Look]:
    for record in read_refused(project).found:
        stages = record.test.get("stages")
        if isinstance(stages, list) and stages:
            yield Look(
                model=record.model,
                certificate=record.certificate,
                branch=project.tracking.branch,
                commit=None,
                stages=tuple(map(str, stages)),
                author=record.who,
                when=record.when,
                reason=f"refused as {record.tag}",
            )


def _on_branch(project: Project, spec: BranchSpec) -> Iterator[Look]:
    git = project.git
    line = git.reachable([project.tip(spec.branch).sha], (), first_parent=True)
    history = History(git)
    history.load(line)
    parents = [parent for sha in line for parent in history.commits[sha].parents[:1]]
    history.load_held([*line, *parents])
    for sha in line:
        now = evaluations(history.pipeline(sha), history.held(sha).stages)
        commit = history.commits[sha]
        before = history.held(commit.parents[0]).stages if commit.parents else ()
        ran = sorted(name for name, stage in now.items() if stage not in before)
        if not ran:
            continue
        pins = history.held(sha).pins.commits
        yield Look(
            model=spec.model,
            certificate=certificate_of(project, pins),
            branch=spec.branch,
            commit=sha,
            stages=tuple(ran),
            author=commit.author,
            when=utc_text(commit.seconds),
            reason=next(iter(commit.trailers("Reason")), None),
        )
