"""Reads GTO's tags: the releases that the team has, and who put which of them where, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from dvc_branchflow.channels import Event, Kind, parse_gto_tag, read_events, registered
from dvc_branchflow.errors import FlowError, GitError
from dvc_branchflow.git import Git, Ref
from dvc_branchflow.gitobjects import Tag, utc_text
from dvc_branchflow.model import Sha, TagName
from dvc_branchflow.project import Project
from dvc_branchflow.values import dataclass
from dvc_branchflow.versions import parse_tag
from dvc_branchflow.work.records import RunRecord, record_of

_T = TypeVar("_T")
BACK_TO = "Back-to"
"""Trailer of a roll-back's tag: the tag of the assignment that it goes back to."""


@dataclass(frozen=True, slots=True)
class Release:
    """A release that the team has, with its record."""

    tag: TagName
    model: str
    version: str
    commit: Sha
    record: RunRecord


@dataclass(frozen=True, slots=True)
class Happening:
    """Something that happened to a model, and what its tag tells of it.

    Attributes:
        when: UTC, ISO 8601.
        version: the version that it happened to; None where its commit has none.
        channel: of an assignment or unassignment.
        reason: the tag's `Reason:`.
        back_to: of a roll-back, the tag of the assignment that it went back to.
    """

    when: str
    model: str
    event: Kind
    version: str | None
    channel: str | None
    commit: Sha
    who: str
    reason: str | None
    back_to: TagName | None
    tag: TagName


def events_of(tags: Mapping[str, Ref]) -> dict[str, list[Event]]:
    """Return what tags say happened to each model, oldest first; lightweight ones say nothing."""
    return read_events((n, ref.commit, ref.seconds) for n, ref in tags.items() if ref.kind == "tag")


def shared_tags(project: Project, model: str) -> dict[str, Ref]:
    """Return a model's tags as the team has them; without a git remote, those that are here.

    Raises: GitError: the git remote can't be reached, or has one that is not here as it is there.
    """
    remote = project.git_remote
    if remote is None:
        return _of_model(project.tags, model)
    here = project.tags  # before the list, so that what it lacks then is no tag of the team's
    there = _of_model(project.git.remote_tags(remote), model)
    if not there.keys() <= here.keys():
        project.refresh()  # one came in since
        here = project.tags
        there = _of_model(project.git.remote_tags(remote), model)
    for name, sha in there.items():
        ours = here.get(name)
        if ours is None or ours.sha != sha:
            state = "is not here" if ours is None else "here is another one"
            raise GitError(
                f"tag '{name}' of git remote '{remote}' {state}",
                hint=f"git fetch --tags --force {remote}",
            )
    return {name: here[name] for name in there}


def find_release(project: Project, tags: Mapping[str, Ref], tag: str) -> Release:
    """Return a release among the tags that the team has.

    Raises: FlowError: it is none, or has no record of how it was made.
    """
    parsed, named = parse_gto_tag(tag), parse_tag(tag)
    if parsed is None or parsed.version is None or named is None:
        raise FlowError(f"'{tag[:80]}' is no tag of a release", hint="git branchflow runs")
    ref = tags.get(tag)
    if ref is None:
        if tag in project.tags:
            raise FlowError(
                f"'{tag}' is not on git remote '{project.git_remote}'",
                hint=f"git push {project.git_remote} {tag}",
            )
        known = [name for name in tags if parse_tag(name)]
        raise FlowError(f"there is no release '{tag}'; there are: {', '.join(known) or 'none'}")
    if ref.kind != "tag" or project.git.kinds([ref.commit]).get(ref.commit) != "commit":
        raise FlowError(f"'{tag}' is no annotated tag of a commit")
    if parsed.version not in registered(events_of(tags).get(parsed.model, ())):
        raise FlowError(f"'{tag}' was taken back", hint="git branchflow show --history")
    record = record_of(project, *named)
    if record is None:
        raise FlowError(f"'{tag}' has no run record", hint="git branchflow runs")
    if record.commit != ref.commit:
        raise FlowError(f"the run record of '{tag}' is that of another commit")
    return Release(TagName(tag), parsed.model, parsed.version, ref.commit, record)


def happenings(git: Git, tags: Mapping[str, Ref], events: Iterable[Event]) -> list[Happening]:
    """Return events with what their tags tell of them."""
    chosen = list(events)
    objects = git.tags(tags[event.tag].sha for event in chosen)
    return [_happening(event, objects[tags[event.tag].sha]) for event in chosen]


def roll_backs(
    git: Git, tags: Mapping[str, Ref], events: Iterable[Event]
) -> dict[TagName, TagName]:
    """Return the roll-backs among events → the tag of the assignment that each went back to."""
    assignments = [event for event in events if event.kind is Kind.ASSIGNMENT]
    told = happenings(git, tags, assignments)
    return {one.tag: one.back_to for one in told if one.back_to is not None}


def _of_model(tags: Mapping[str, _T], model: str) -> dict[str, _T]:
    parsed = {name: parse_gto_tag(name) for name in tags}
    return {name: tags[name] for name, one in parsed.items() if one and one.model == model}


def _happening(event: Event, tag: Tag) -> Happening:
    back_to = next(iter(tag.trailers(BACK_TO)), None)
    return Happening(
        when=utc_text(event.seconds),
        model=event.model,
        event=event.kind,
        version=event.version,
        channel=event.channel,
        commit=event.commit,
        who=tag.tagger,
        reason=next(iter(tag.trailers("Reason")), None),
        back_to=TagName(back_to) if back_to else None,
        tag=event.tag,
    )
