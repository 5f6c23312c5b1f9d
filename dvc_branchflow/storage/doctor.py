"""Tries out what the DVC remotes really let this user do, and holds it against what is asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dvc_branchflow.access.findings import Finding, Use, judge, roles_on
from dvc_branchflow.access.lifecycle import mended
from dvc_branchflow.access.policies import User, bucket_policy, iam_policy
from dvc_branchflow.errors import BranchflowError
from dvc_branchflow.objects import RemoteConfig
from dvc_branchflow.probed import Ability, Answer, Fact, Probed
from dvc_branchflow.project import Project
from dvc_branchflow.values import dataclass, replace
from dvc_branchflow.work.stock import shared_remotes
from dvc_branchflow.work.transfer import Report


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What a DVC remote can do, and what is asked of it.

    Attributes:
        user: as whom it was judged: `reader`, `writer` or `admin`.
        roles: those whose outs go there.
        facts: what was tried; none in a dry run.
        steps: what is tried, in a dry run.
        policies: name → document, for a bucket of S3: the identity policies of `reader`, `writer`
            and `admin`, the `bucket`'s own, and its whole `lifecycle` where that is known.
        closing: names of those policies that close what was found.
    """

    remote: str
    url: str
    user: str
    roles: tuple[str, ...]
    facts: tuple[Fact, ...] = ()
    findings: tuple[Finding, ...] = ()
    steps: Mapping[str, str] | None = None
    policies: Mapping[str, Mapping[str, Any]] | None = None
    closing: tuple[str, ...] = ()


def doctor(
    project: Project,
    remotes: Sequence[str],
    report: Report,
    *,
    user: User = User.ADMIN,
    dry_run: bool = False,
) -> tuple[Diagnosis, ...]:
    """Try DVC remotes out, each with small files of its own that are taken away again.

    Args:
        remotes: DVC remotes that the tracking branch names; none: all of them.
        user: whose rights to ask for.
        dry_run: only say what would be tried.
    Raises: StorageError: there is no such DVC remote.
    """
    found = []
    for name in shared_remotes(project, remotes):
        remote = project.dvc_config.remotes[name]
        report(f"trying out DVC remote '{name}'")
        found.append(_diagnose(project, remote, user, dry_run=dry_run))
    return tuple(found)


def _diagnose(project: Project, remote: RemoteConfig, user: User, *, dry_run: bool) -> Diagnosis:
    config = project.config
    roles = roles_on(config, remote.name, project.dvc_config.default_remote)
    forever = tuple(role for role in roles if config.retention.roles.get(role) is None)
    bucket, base = _place(remote)
    begun = Diagnosis(remote.name, remote.url, user, tuple(roles))
    try:
        probe = project.probe(remote.name)
        probed = None if dry_run else probe.run()
    except BranchflowError as error:
        probed = Probed({Ability.LIST: Fact(Ability.LIST, Answer.UNKNOWN, error.message)})
    if probed is None:
        steps = {str(ability): what for ability, what in probe.steps.items()}
        return replace(begun, steps=steps)
    findings = judge(
        probed,
        Use(bucket if remote.scheme else remote.url, base, roles, forever, user, remote.scheme),
    )
    policies = _policies(bucket, base, probed) if remote.scheme == "s3" else {}
    return replace(
        begun,
        facts=tuple(probed.facts.values()),
        findings=findings,
        policies=policies,
        closing=tuple(name for name in _closing(findings, user) if name in policies),
    )


def _policies(bucket: str, base: str, probed: Probed) -> dict[str, Mapping[str, Any]]:
    found: dict[str, Mapping[str, Any]] = {
        user.value: iam_policy(user, bucket, base) for user in User
    }
    found["bucket"] = bucket_policy(bucket, base)
    if probed.lifecycle is not None:
        has_versions = probed.facts[Ability.VERSIONS].answer is Answer.YES
        found["lifecycle"] = mended(probed.lifecycle, base, has_versions=has_versions)
    return found


def _closing(findings: Sequence[Finding], user: User) -> Iterator[str]:
    """The policies that help against what was found."""
    codes = {one.code for one in findings}
    lacks = any(one.code.startswith("no-") and one.weight != "advice" for one in findings)
    if lacks or "reader-can-write" in codes:
        yield user.value
    if codes & {"no-versions", "can-delete-versions"}:
        yield "bucket"
    if codes & {"uploads-kept", "versions-kept"} or any(c.startswith("lifecycle") for c in codes):
        yield "lifecycle"


def _place(remote: RemoteConfig) -> tuple[str, str]:
    """The bucket, and what keys begin with there."""
    bucket, _, prefix = remote.url.partition("://")[2].partition("/")
    prefix = prefix.strip("/")
    return bucket, f"{prefix}/" if prefix else ""
