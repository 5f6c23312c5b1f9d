"""Puts releases into channels (GTO's stages), says what is where, and takes a channel back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from dvc_branchflow.channels import (
    Event,
    in_channels,
    is_deprecated,
    next_number,
    parse_channel,
    parse_gto_tag,
    registered,
    tag_of_channel,
    tag_of_version,
    way_back,
)
from dvc_branchflow.errors import FlowError
from dvc_branchflow.git import Ref
from dvc_branchflow.model import Sha, TagName
from dvc_branchflow.project import Project
from dvc_branchflow.values import dataclass
from dvc_branchflow.versions import parse_tag
from dvc_branchflow.work.commits import read_commit
from dvc_branchflow.work.publish import NewTag, publish
from dvc_branchflow.work.races import until_won
from dvc_branchflow.work.registry import (
    BACK_TO,
    Happening,
    Release,
    events_of,
    find_release,
    happenings,
    roll_backs,
    shared_tags,
)
from dvc_branchflow.work.running import reason_trailer
from dvc_branchflow.work.transfer import Report, require_stored


@dataclass(frozen=True, slots=True)
class AssignOutcome:
    """A release in a channel, or what would put it there.

    Attributes:
        release: the tag of the release.
        before: what was in the channel, a release's tag or a commit; None where nothing was.
        back_to: of a roll-back, the tag of the assignment that it goes back to.
        objects: how many objects were proven to be on the DVC remote.
        tag: the tag that puts it there; None where it is there already.
    """

    model: str
    channel: str
    release: TagName
    commit: Sha
    before: str | None
    back_to: TagName | None
    objects: int
    tag: TagName | None


@dataclass(frozen=True, slots=True)
class ModelChannels:
    """What of a model is in use: channel → the assignment that counts there.

    `newest` is the tag of its highest release.
    """

    model: str
    newest: TagName | None
    channels: Mapping[str, Happening]


@dataclass(frozen=True, slots=True)
class _Channel:
    """A channel as the team has it: the model's tags, and what they say happened."""

    model: str
    name: str
    tags: Mapping[str, Ref]
    events: Sequence[Event]

    @property
    def now(self) -> Event | None:
        """The assignment that counts."""
        return in_channels(self.events).get(self.name)

    def holds(self, release: Release) -> bool:
        """Whether a release is what the channel holds."""
        now = self.now
        return now is not None and (now.version, now.commit) == (release.version, release.commit)


def assign(
    project: Project,
    tag: str,
    channel: str,
    report: Report,
    *,
    reason: str | None = None,
    dry_run: bool = False,
) -> AssignOutcome:
    """Put a release into a channel; all of its data is proven to be on the DVC remotes first.

    Raises: FlowError: no release that the team has. RejectedError: an object is missing.
        StorageError: a DVC remote can't be reached.
    """
    parsed = parse_gto_tag(tag)
    model = parsed.model if parsed else ""
    project.require_history("assign")

    def attempt() -> AssignOutcome:
        at = _channel(project, model, channel)
        release = find_release(project, at.tags, tag)
        return _put(project, at, release, None, reason, report, dry_run=dry_run)

    return until_won(project, attempt, report)


def rollback(
    project: Project,
    model: str,
    channel: str,
    report: Report,
    *,
    to: str | None = None,
    reason: str | None = None,
    dry_run: bool = False,
) -> AssignOutcome:
    """Put back what was in a channel before, or an earlier release; proven like an assignment.

    Somebody else's assignment in the same moment is not rolled back in the place of the one that
    was looked at.

    Args:
        to: tag of the release to go back to; None: the one before, on the way that the channel
            came by.
    Raises: FlowError: nothing was there before, or the channel moved meanwhile. Others as `assign`.
    """
    project.require_history("rollback")
    looked_at: list[TagName] = []

    def attempt() -> AssignOutcome:
        at = _channel(project, model, channel)
        now = at.now
        if now is None:
            raise FlowError(
                f"nothing of '{model}' is in channel '{channel}'", hint="git branchflow show"
            )
        looked_at.append(now.tag)
        if to is None and now.tag != looked_at[0]:
            raise FlowError(
                f"'{channel}' of '{model}' was moved meanwhile, by '{now.tag}'",
                hint=f"git branchflow show {model} --history",
            )
        back_to = now if to == _release_tag(now) else _earlier(project, at, to)
        release = find_release(project, at.tags, to or _release_tag(back_to))
        return _put(project, at, release, back_to.tag, reason, report, dry_run=dry_run)

    return until_won(project, attempt, report)


def show(project: Project, model: str | None = None) -> list[ModelChannels]:
    """Return what of each model is in which channel, by the tags that are here.

    A model that was taken out of use (deprecated, in GTO's words) is left out.

    Args:
        model: only this one; None: all.
    """
    found: list[ModelChannels] = []
    for name, events in _models(project, model).items():
        if model is None and is_deprecated(events):
            continue
        held = sorted(in_channels(events).values(), key=lambda event: event.channel or "")
        told = happenings(project.git, project.tags, held)
        channels = {one.channel or "": one for one in told}
        found.append(ModelChannels(name, _newest(name, events), channels))
    return found


def history(project: Project, model: str | None = None) -> list[Happening]:
    """Return all that the tags that are here say happened to models, oldest first.

    Args:
        model: only to this one; None: to all.
    """
    events = [event for group in _models(project, model).values() for event in group]
    told = happenings(project.git, project.tags, events)
    return sorted(told, key=lambda one: one.when)


def _models(project: Project, model: str | None) -> dict[str, list[Event]]:
    project.require_history("show")
    models = events_of(project.tags)
    if model is None:
        return dict(sorted(models.items()))
    if model not in models:
        known = ", ".join(sorted(models)) or "none"
        raise FlowError(f"there is no release of a model '{model[:80]}'; there are: {known}")
    return {model: models[model]}


def _newest(model: str, events: Sequence[Event]) -> TagName | None:
    """The tag of a model's highest version; one with a suffix, such as `-rc1`, is not counted."""
    tags = [tag_of_version(model, version) for version in registered(events)]
    versions = {found[1]: tag for tag in tags if (found := parse_tag(tag))}
    return versions[max(versions)] if versions else None


def _channel(project: Project, model: str, name: str) -> _Channel:
    parse_channel(name)
    tags = shared_tags(project, model)
    return _Channel(model, name, tags, events_of(tags).get(model, []))


def _release_tag(event: Event) -> TagName:
    """The tag of the release that an assignment assigns; the commit where it is none."""
    if event.version is None:
        return TagName(event.commit)
    return tag_of_version(event.model, event.version)


def _earlier(project: Project, at: _Channel, to: str | None) -> Event:
    """The earlier assignment that a roll-back goes back to."""
    of_channel = [event for event in at.events if event.channel == at.name]
    way = way_back(at.events, at.name, roll_backs(project.git, at.tags, of_channel))
    chosen = way if to is None else [event for event in way if _release_tag(event) == to]
    if chosen:
        return chosen[-1]
    what = f"'{at.name}' of '{at.model}'"
    why = f"nothing was in {what} before"
    if to is not None:
        why = f"'{to[:80]}' is nothing that {what} came by"
    raise FlowError(why, hint=f"git branchflow assign {to or 'TAG'} {at.name}")


def _put(
    project: Project,
    at: _Channel,
    release: Release,
    back_to: TagName | None,
    reason: str | None,
    report: Report,
    *,
    dry_run: bool,
) -> AssignOutcome:
    before = _release_tag(at.now) if at.now else None
    if at.holds(release):
        return AssignOutcome(
            at.model, at.name, release.tag, release.commit, before, None, 0, tag=None
        )
    report(f"looking for the objects of {release.tag}")
    data = read_commit(project.git, release.commit)
    proven = require_stored(project, data.outs.values(), f"'{release.tag}'")
    number = next_number([*project.tags, *at.tags], at.model)
    tag = tag_of_channel(at.model, at.name, number)
    if not dry_run:
        message = _message(at, release, back_to, reason)
        after = max(event.seconds for event in at.events)  # in one second, GTO's order is another
        sha = project.git.write_tag(tag, release.commit, message, after=after)
        new = NewTag(f"refs/tags/{tag}", sha, release.commit)
        publish(project, [], tags=[new], reason=f"branchflow assign {tag}", report=report)
    return AssignOutcome(
        at.model, at.name, release.tag, release.commit, before, back_to, proven, tag
    )


def _message(at: _Channel, release: Release, back_to: TagName | None, reason: str | None) -> str:
    subject = f"Assign {at.model} {release.version} to {at.name}"
    trailers = reason_trailer(reason)
    if back_to is not None:
        subject = f"Roll {at.name} of {at.model} back to {release.version}"
        trailers = [f"{BACK_TO}: {back_to}", *trailers]
    return "\n\n".join(filter(None, (subject, "\n".join(trailers)))) + "\n"
