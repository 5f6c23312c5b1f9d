"""Works out what the next release of a stable branch is: version, pins, and what it has to pass."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dvc_branchflow.errors import FlowError
from dvc_branchflow.flow import BranchSpec
from dvc_branchflow.gating import Bound, bound, text
from dvc_branchflow.git import NewCommit
from dvc_branchflow.model import Branch, Out, Role, Sha, TagName
from dvc_branchflow.project import Project, Tip
from dvc_branchflow.values import dataclass, replace
from dvc_branchflow.versions import FIRST, Bump, latest_version, release_tag
from dvc_branchflow.work.code import code_digest
from dvc_branchflow.work.commits import CommitData, read_commit
from dvc_branchflow.work.looks import looks_at
from dvc_branchflow.work.pinning import PinPlan, pinned_outs, plan_pins
from dvc_branchflow.work.records import RunRecord, certificate_of, current_record
from dvc_branchflow.work.refusing import Refusal, candidate_id, refused_earlier
from dvc_branchflow.work.staleness import is_current, stages_to_run

_NEW_DATA = "new data"


@dataclass(frozen=True, slots=True)
class ReleasePlan:
    """What a release is going to be, and what it has to pass.

    Attributes:
        previous: the newest release's tag; `reason` says why the version moves on from it.
        candidate: names the code on its data, see `candidate_id`.
        current: the record that the gates compare with: of the newest release that has one.
        refusal: that this very candidate was refused before.
        stages: those that are going to run, as far as Git can tell.
        looks: how often the model looked at the test side of this split so far.
    """

    branch: Branch
    model: str
    tag: TagName
    previous: TagName | None
    reason: str
    tip: Tip
    pins: PinPlan
    certificate: str | None
    candidate: str
    current: RunRecord | None
    gates: tuple[Bound, ...]
    checks: Mapping[str, str]
    refusal: Refusal | None
    look_limit: int | None
    stages: tuple[str, ...] = ()
    looks: int = 0

    @property
    def is_for_data(self) -> bool:
        """Whether new data is all that asks for it."""
        return self.reason == _NEW_DATA


def plan_release(
    project: Project,
    spec: BranchSpec,
    wanted: Mapping[Branch, Sha],
    bump: Bump | None,
) -> ReleasePlan | None:
    """Work out the next release of a stable branch; None where nothing is new.

    Args:
        wanted: upstream → commit to train on.
        bump: the kind of version asked for; None: by what changed.
    Raises: FlowError: no stable branch.
    """
    if spec.role is not Role.STABLE:
        raise FlowError(
            f"'{spec.branch}' is a {spec.role} branch; only stable branches are released",
            hint=f"git branchflow promote {spec.branch}" if spec.role is Role.DEV else None,
        )
    tip = project.tip(spec.branch)
    data = read_commit(project.git, tip.sha)
    pins = plan_pins(project, spec, data, wanted)
    found = _next_version(project, spec, data, pins, bump)
    if found is None:
        return None
    previous, tag, reason = found
    current = current_record(project, spec.model)
    candidate = candidate_id(code_digest(project, spec, data), pins.outs)
    return ReleasePlan(
        branch=spec.branch,
        model=spec.model,
        tag=tag,
        previous=previous,
        reason=reason,
        tip=tip,
        pins=pins,
        certificate=certificate_of(project, pins.pins.commits),
        candidate=candidate,
        current=current,
        gates=tuple(
            bound(gate, current.metric(gate.metric) if current else None)
            for gate in spec.rule.gates
        ),
        checks=spec.rule.checks,
        refusal=refused_earlier(project, spec, candidate, current),
        look_limit=spec.rule.test_looks,
    )


def foresee(project: Project, spec: BranchSpec, plan: ReleasePlan) -> ReleasePlan:
    """Return the plan with what it takes a while to find out: stages to run, and looks so far."""
    base = plan.tip.sha
    if plan.pins.changes:
        base = project.git.write_commits([NewCommit([base], "Pin\n", plan.pins.changes)])[0]
    stages = stages_to_run(project, read_commit(project.git, base))
    return replace(plan, stages=stages, looks=len(looks_at(project, spec, plan.certificate)))


def plan_lines(plan: ReleasePlan) -> Iterator[str]:
    """Yield what a plan says, a line each, for people."""
    for name, sha in sorted(plan.pins.pins.commits.items()):
        yield f"on {name} at {sha[:10]}{', newly pinned' if name in plan.pins.moved else ''}"
    yield f"stages to run: {', '.join(plan.stages) or 'none'}"
    for gate in plan.gates:
        now = "no value" if gate.current is None else text(gate.current)
        of = f" in {plan.current.tag}" if plan.current else ""
        yield f"gate {gate.gate}: {gate.wanted} ({now}{of}, margin {gate.margin})"
    if plan.gates and plan.current and plan.current.certificate != plan.certificate:
        yield f"the gates compare with {plan.current.tag} on another split"
    if plan.checks:
        yield f"checks: {', '.join(plan.checks)}"
    limit = f", and the limit is {plan.look_limit}" if plan.look_limit else ""
    yield f"looks at this test side so far: {plan.looks}{limit}"
    if plan.refusal:
        yield f"this candidate was refused at {plan.refusal.since}"


def current_pins(project: Project, spec: BranchSpec) -> dict[Branch, Sha]:
    """Return the upstream commits that a branch pins now."""
    data = read_commit(project.git, project.tip(spec.branch).sha)
    return {name: sha for name, sha in data.pins.commits.items() if name in spec.upstreams}


def _next_version(
    project: Project, spec: BranchSpec, data: CommitData, pins: PinPlan, bump: Bump | None
) -> tuple[TagName | None, TagName, str] | None:
    """The newest release's tag, the next one's, and why it moves on; None where nothing is new."""
    last = latest_version(project.tags, spec.model)
    if last is None:
        return None, release_tag(spec.model, FIRST), "first release"
    previous = release_tag(spec.model, last)
    kind, reason = _what_changed(project, spec, previous, data, pins)
    chosen = bump or kind
    return (previous, release_tag(spec.model, last.bumped(chosen)), reason) if chosen else None


def _what_changed(
    project: Project, spec: BranchSpec, previous: TagName, current: CommitData, pins: PinPlan
) -> tuple[Bump | None, str]:
    """The kind of version that the changes since the last release ask for, and why."""
    released = read_commit(project.git, project.tags[previous].commit)
    if code_digest(project, spec, released) != code_digest(project, spec, current):
        return "minor", "new code"
    if _content(pinned_outs(project, spec, released)) != _content(pins.outs):
        return "patch", _NEW_DATA
    is_release = project.tags[previous].commit == current.sha  # made by what it holds, and proven
    if not is_release and not is_current(project, current, may_fetch=True):
        return "patch", "results were not made from what is committed"
    return None, "nothing changed"


def _content(outs: Mapping[str, Out]) -> dict[str, Out]:
    """Outs wherever they lie: moved to another DVC remote, they are the same data."""
    return {path: replace(out, remote=None) for path, out in outs.items()}
