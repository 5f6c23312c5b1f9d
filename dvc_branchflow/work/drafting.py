"""Drafts the run record of a release, from what its run made and the machine that it ran on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from dvc_branchflow.errors import RunError
from dvc_branchflow.flow import BranchSpec
from dvc_branchflow.model import Sha
from dvc_branchflow.project import Project
from dvc_branchflow.work.code import code_digest
from dvc_branchflow.work.commits import CommitData, read_commit
from dvc_branchflow.work.looks import evaluations
from dvc_branchflow.work.observed import environment, metrics_in, written_params
from dvc_branchflow.work.records import RunRecord, as_json
from dvc_branchflow.work.release_plan import ReleasePlan
from dvc_branchflow.work.running import Candidate
from dvc_branchflow.work.views import run_params


def draft_record(
    project: Project,
    spec: BranchSpec,
    plan: ReleasePlan,
    made: Candidate,
) -> RunRecord:
    """Return the record of a candidate, as far as it is known before its checks and its commit.

    Raises: RunError: its metrics or params are nested too deeply to be put on record.
    """
    data = made.data
    return RunRecord(
        tag=plan.tag,
        model=plan.model,
        version=plan.tag.rpartition("@")[2],
        commit="",  # it is written with the card, which is made from this
        code={
            "promoted": _promoted(project, plan.tip.sha),
            "digest": code_digest(project, spec, data),
        },
        pins={str(name): str(sha) for name, sha in data.pins.commits.items()},
        certificate=plan.certificate,
        params=_recordable(run_params(data) | written_params(project, data, made.worktree)),
        metrics=_recordable(metrics_in(made.worktree)),
        outs=_shipped(project, data),
        checks={name: {"command": command} for name, command in plan.checks.items()},
        environment=environment(project.git, data),
        seconds=round(made.seconds, 1),
        who=project.git.identity(),
        when=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        test=_test(project, plan, made),
        candidate=plan.candidate,
    )


def _test(project: Project, plan: ReleasePlan, made: Candidate) -> dict[str, Any]:
    """The evaluations of a release on the test side, and the how manyth look it is."""
    before = read_commit(project.git, plan.tip.sha).stages
    stages = evaluations(made.data.pipeline, made.data.stages)
    ran = any(stage not in before for stage in stages.values())
    looks = plan.looks + int(ran)
    return {"certificate": plan.certificate, "stages": sorted(stages), "looks": looks}


def _recordable(values: Mapping[str, Any]) -> dict[str, Any]:
    try:
        return dict(as_json(dict(values)))
    except ValueError as error:
        raise RunError(f"the run's metrics or params can't be put on record: {error}") from error


def _promoted(project: Project, tip: Sha) -> str | None:
    done = project.git.run("log", "-1", "--format=%(trailers:key=Promoted-from,valueonly)",
                           "--grep=^Promoted-from:", tip, check=False)  # fmt: skip
    return done.stdout.decode(errors="replace").strip() or None


def _shipped(project: Project, data: CommitData) -> dict[str, dict[str, Any]]:
    artifacts = {artifact.path for artifact in data.pipeline.artifacts.values()}
    outs: dict[str, dict[str, Any]] = {}
    for path, out in sorted(data.outs.items()):
        fields = {"md5": out.oid, "size": out.size_bytes, "nfiles": out.nfiles}
        outs[path] = {key: value for key, value in fields.items() if value is not None}
        cached = project.cache.path(out.oid)
        if path in artifacts and not out.is_dir and cached.exists():
            with cached.open("rb") as file:
                outs[path]["sha256"] = hashlib.file_digest(file, "sha256").hexdigest()
    return outs
