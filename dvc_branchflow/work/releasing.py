"""Releases a stable branch: train, evaluate, fit, check, card, tag and record; or nothing."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dvc_branchflow.dvcio import dvc_text
from dvc_branchflow.environ import clean_environment
from dvc_branchflow.errors import DvcError, FlowError, RunError
from dvc_branchflow.flow import BranchSpec
from dvc_branchflow.git import Change, NewCommit
from dvc_branchflow.gitobjects import Entry
from dvc_branchflow.model import (
    CARD_FILE,
    Branch,
    Role,
    Sha,
    TagName,
)
from dvc_branchflow.project import Project, Tip
from dvc_branchflow.versions import FIRST, Bump, latest_version, release_tag
from dvc_branchflow.work.code import CodeBoundary
from dvc_branchflow.work.commits import CommitData, read_commit
from dvc_branchflow.work.looks import evaluations, looks_at, require_look
from dvc_branchflow.work.pinning import PinPlan, pinned_outs, plan_pins
from dvc_branchflow.work.pipeline import is_current
from dvc_branchflow.work.publish import Move, NewTag, publish, require_movable
from dvc_branchflow.work.records import RunRecord, certificate_of
from dvc_branchflow.work.running import Candidate, execute, reason_trailer, until_won
from dvc_branchflow.work.transfer import Report
from dvc_branchflow.work.worktrees import branch_lock, log_path, park_worktree

_OUTPUT_LINES = 3


@dataclass(frozen=True, slots=True)
class ReleasePlan:
    """What a release is going to be. `reason` says why the version moves as it does."""

    branch: Branch
    model: str
    tag: TagName
    previous: TagName | None
    reason: str
    tip: Tip
    pins: PinPlan


@dataclass(frozen=True, slots=True)
class ReleaseOutcome:
    """What a release did; `record` is None where there was nothing to release."""

    branch: Branch
    tag: TagName | None
    record: RunRecord | None


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
    current = read_commit(project.git, tip.sha)
    pins = plan_pins(project, spec, current, wanted)
    last = latest_version(project.tags, spec.model)
    if last is None:
        return ReleasePlan(
            spec.branch,
            spec.model,
            release_tag(spec.model, FIRST),
            None,
            "first release",
            tip,
            pins,
        )
    previous = release_tag(spec.model, last)
    kind, reason = _what_changed(project, spec, previous, current, pins)
    chosen = bump or kind
    if chosen is None:
        return None
    tag = release_tag(spec.model, last.bumped(chosen))
    return ReleasePlan(spec.branch, spec.model, tag, previous, reason, tip, pins)


def release_branch(
    project: Project,
    branch: str,
    wanted: Mapping[Branch, Sha] | None,
    bump: Bump | None,
    report: Report,
    reason: str | None = None,
) -> ReleaseOutcome:
    """Train, evaluate, fit finally, check, and publish branch, tag and record together.

    Args:
        wanted: upstream → commit to train on; None: what the branch pins now.
        reason: why the test side may be looked at once more than the model's limit.
    Raises: RunError: a stage or a check failed; nothing moved. Others as in `publish`.
    """

    def attempt() -> ReleaseOutcome:
        spec = project.spec(branch)
        require_movable(project, [branch])
        if project.git_remote is None:
            require_movable(project, [project.config.tracking])
        targets = wanted if wanted is not None else current_pins(project, spec)
        plan = plan_release(project, spec, targets, bump)
        if plan is None:
            return ReleaseOutcome(spec.branch, None, None)
        return _release(project, spec, plan, report, reason)

    with branch_lock(project, Branch(branch), report):
        return until_won(project, attempt, report)


def current_pins(project: Project, spec: BranchSpec) -> dict[Branch, Sha]:
    """Return the upstream commits that a branch pins now."""
    data = read_commit(project.git, project.tip(spec.branch).sha)
    return {name: sha for name, sha in data.pins.commits.items() if name in spec.upstreams}


def code_files(project: Project, spec: BranchSpec, data: CommitData) -> dict[str, Entry]:
    """Return what of a commit is code: all that is no pin, lock, result of a run, or card."""
    owned = [project.spec(name).data for name in spec.upstreams]
    boundary = CodeBoundary({"": data.pipeline}, data.stages, [path for path in owned if path])
    return {path: entry for path, entry in data.files.items() if boundary.is_code(path)}


def run_checks(
    project: Project,
    branch: Branch,
    checks: Mapping[str, str],
    worktree: Path,
    env: Mapping[str, str],
    report: Report,
) -> dict[str, dict[str, Any]]:
    """Run a branch's own checks on an exact tree; return command and seconds of each.

    Raises: RunError: a check failed; its output is in the log.
    """
    done: dict[str, dict[str, Any]] = {}
    for name, command in checks.items():
        report(f"check '{name}': {command}")
        log = log_path(project, branch, f"check-{name}")
        started = time.monotonic()
        with log.open("wb") as file:
            ended = subprocess.run(  # noqa: S602  the branch's own check, a shell command
                command, shell=True, cwd=worktree, env=clean_environment() | dict(env),
                stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT, check=False,
            )  # fmt: skip
        if ended.returncode:
            last = " | ".join(_last_lines(log)) or f"exit code {ended.returncode}"
            raise RunError(
                f"check '{name}' failed on '{branch}': {last}", hint=f"less '{log}'", log=str(log)
            )
        done[name] = {"command": command, "seconds": round(time.monotonic() - started, 1)}
    return done


def _release(
    project: Project, spec: BranchSpec, plan: ReleasePlan, report: Report, reason: str | None
) -> ReleaseOutcome:
    require_look(project, spec, certificate_of(project, plan.pins.pins.commits), reason)
    env = {
        "BRANCHFLOW_MODEL": plan.model,
        "BRANCHFLOW_TAG": plan.tag,
        "BRANCHFLOW_BRANCH": plan.branch,
    }
    made = execute(project, spec, plan.tip, plan.pins, env, report, reason)
    checks = run_checks(project, spec.branch, spec.rule.checks, made.worktree, env, report)
    draft = _record(project, spec, plan, made, checks)
    looked = evaluations(made.data.pipeline, made.data.stages)
    card = Change(CARD_FILE, _card(draft, [p for s in looked.values() for p in s.outs]).encode())
    lines = [*plan.pins.trailers, *reason_trailer(reason), f"Release: {plan.tag}"]
    trailers = "\n".join(lines)
    commit = NewCommit(
        made.commit.parents,
        f"Release {plan.tag}: {plan.reason}\n\n{trailers}\n",
        [*made.commit.changes, card],
    )
    sha = project.git.write_commits([commit])[0]
    park_worktree(project, plan.branch, sha)
    record = replace(draft, commit=sha)
    tracking = project.tracking.as_published()  # nobody's unpushed documents go out with it
    collected = NewCommit(
        [tracking.sha], f"Record {plan.tag}\n\nRelease: {plan.tag}\n",
        [Change(record.path, record.to_json().encode())],
    )  # fmt: skip
    message = f"Release {plan.model} {record.version}\n\n{record.to_json()}"
    tag = NewTag(f"refs/tags/{plan.tag}", project.git.write_tag(plan.tag, sha, message), sha)
    main = project.git.write_commits([collected])[0]
    publish(
        project,
        [Move(plan.branch, plan.tip, sha), Move(tracking.branch, tracking, main)],
        tags=[tag], complete=[sha], reason=f"branchflow release {plan.tag}", report=report,
    )  # fmt: skip
    return ReleaseOutcome(plan.branch, plan.tag, record)


def _what_changed(
    project: Project, spec: BranchSpec, previous: TagName, current: CommitData, pins: PinPlan
) -> tuple[Bump | None, str]:
    """The kind of version that the changes since the last release ask for, and why."""
    released = read_commit(project.git, project.tags[previous].commit)
    if code_digest(project, spec, released) != code_digest(project, spec, current):
        return "minor", "new code"
    if pinned_outs(project, spec, released) != pins.outs:
        return "patch", "new data"
    is_release = project.tags[previous].commit == current.sha  # made by what it holds, and proven
    if not is_release and not is_current(project, current, may_fetch=True):
        return "patch", "results were not made from what is committed"
    return None, "nothing changed"


def code_digest(project: Project, spec: BranchSpec, data: CommitData) -> str:
    """Return a digest over what of a commit is code."""
    lines = [f"{e.mode} {e.sha} {p}\n" for p, e in sorted(code_files(project, spec, data).items())]
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogatepass")).hexdigest()


def _record(
    project: Project,
    spec: BranchSpec,
    plan: ReleasePlan,
    made: Candidate,
    checks: Mapping[str, Any],
) -> RunRecord:
    data = made.data
    certificate = certificate_of(project, plan.pins.pins.commits)
    return RunRecord(
        tag=plan.tag,
        model=plan.model,
        version=plan.tag.rpartition("@")[2],
        commit="",  # it is written with the card, which is made from this
        code={
            "promoted": _promoted(project, plan.tip.sha),
            "digest": code_digest(project, spec, data),
        },
        pins={str(name): str(sha) for name, sha in plan.pins.pins.commits.items()},
        certificate=certificate,
        params=_params(data),
        metrics=_metrics(made.worktree),
        outs=_shipped(project, data),
        checks=checks,
        environment=_environment(),
        seconds=round(made.seconds, 1),
        who=project.git.identity(),
        when=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        test=_test(project, spec, plan, made, certificate),
    )


def _test(
    project: Project, spec: BranchSpec, plan: ReleasePlan, made: Candidate, certificate: str | None
) -> dict[str, Any]:
    """The evaluations of a release on the test side, and the how manyth look it is."""
    before = read_commit(project.git, plan.tip.sha).stages
    stages = evaluations(made.data.pipeline, made.data.stages)
    ran = any(stage not in before for stage in stages.values())
    looks = len(looks_at(project, spec, certificate)) + int(ran)
    return {"certificate": certificate, "stages": sorted(stages), "looks": looks}


def _promoted(project: Project, tip: Sha) -> str | None:
    done = project.git.run("log", "-1", "--format=%(trailers:key=Promoted-from,valueonly)",
                           "--grep=^Promoted-from:", tip, check=False)  # fmt: skip
    return done.stdout.decode(errors="replace").strip() or None


def _params(data: CommitData) -> dict[str, Any]:
    params: dict[str, Any] = {}
    for stage in data.stages:
        for values in stage.params.values():
            params |= values
    return params


def _metrics(worktree: Path) -> dict[str, Any]:
    try:
        shown = json.loads(dvc_text(["metrics", "show", "--json"], cwd=worktree))
    except (DvcError, ValueError):
        return {}
    files = shown.get("", {}).get("data", {})
    return {name: body["data"] for name, body in files.items() if "data" in body}


def _shipped(project: Project, data: CommitData) -> dict[str, dict[str, Any]]:
    artifacts = set(data.pipeline.artifacts.values())
    outs: dict[str, dict[str, Any]] = {}
    for path, out in sorted(data.outs.items()):
        fields = {"md5": out.oid, "size": out.size_bytes, "nfiles": out.nfiles}
        outs[path] = {key: value for key, value in fields.items() if value is not None}
        cached = project.cache.path(out.oid)
        if path in artifacts and not out.is_dir and cached.exists():
            with cached.open("rb") as file:
                outs[path]["sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
    return outs


def _environment() -> dict[str, str]:
    from importlib.metadata import version as package_version

    return {
        "python": platform.python_version(),
        "platform": platform.platform(terse=True),
        "dvc": package_version("dvc"),
        "dvc-branchflow": package_version("dvc-branchflow"),
        "cpus": str(os.cpu_count()),
    }


def _card(record: RunRecord, evaluated: Collection[str]) -> str:
    """The model card: Markdown with the front matter that Hugging Face's hub reads.

    Args:
        evaluated: paths of the weights whose scores the metrics are.
    """
    metrics = "\n".join(
        f"| {name} | {value:.6g} |" for name, value in record.flat_metrics().items()
    )
    pins = "\n".join(f"| {name} | `{sha}` |" for name, sha in record.pins.items())
    shipped = {path for path, fields in record.outs.items() if "sha256" in fields}
    params = json.dumps(record.params, indent=2, sort_keys=True)
    certificate = f"`{record.certificate}`" if record.certificate else "none"
    looks = record.test.get("looks", 0)
    return f"""---
library_name: scikit-learn
tags: [dvc-branchflow]
model_name: {record.model}
version: {record.version}
---

# {record.model} {record.version}

Two sets of weights come out of a release. One was evaluated, once, on the test side; the scores are
its own. The other one ships: the same code, fitted on all data, the test side as well, so that no
score on that side can be its own.

## Evaluated weights

| out | md5 | bytes |
|---|---|---|
{_weights(record, set(evaluated) - shipped)}

| metric | value |
|---|---|
{metrics}

Split certificate: {certificate}. Looks at this test side by this model so far: {looks}.

## Shipped weights

| out | md5 | bytes |
|---|---|---|
{_weights(record, shipped)}

They carry no test score.

## Data

| pinned branch | commit |
|---|---|
{pins}

## Params

```json
{params}
```
"""


def _weights(record: RunRecord, paths: Collection[str]) -> str:
    rows = {path: record.outs[path] for path in sorted(paths) if path in record.outs}
    return "\n".join(
        f"| `{path}` | `{fields['md5']}` | {fields.get('size', '')} |"
        for path, fields in rows.items()
    )


def _last_lines(log: Path) -> list[str]:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    return [line.strip()[:160] for line in lines if line.strip()][-_OUTPUT_LINES:]
