"""What GTO's tags say: which versions of a model there are, and which one is in which channel.

The tags are the database, and the state is a fold over them, as `gto` itself makes it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum

from dvc_branchflow.errors import UsageError
from dvc_branchflow.model import Sha, TagName
from dvc_branchflow.values import dataclass

_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9/_-]*[A-Za-z0-9])?"
_PRE = r"(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)"
_VERSION = (
    r"v(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)\.(?:0|[1-9]\d*)"
    rf"(?:-{_PRE}(?:\.{_PRE})*)?(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
)
_TAG = (  # compiled where there is a tag
    rf"(?P<model>(?:[A-Za-z0-9_./-]+=)?{_NAME})"
    rf"(?:(?:\#(?P<channel>{_NAME})|@(?P<version>{_VERSION}))(?P<cancel>!?)|@deprecated)"
    r"(?:\#(?P<number>\d{1,18}))?"
)
_FOLDER_IN_TAG, _FOLDER = "=", ":"


class Kind(StrEnum):
    """What a tag of GTO's does, in GTO's words; a channel is what it calls a stage."""

    DEPRECATION = "deprecation"
    REGISTRATION = "registration"
    DEREGISTRATION = "deregistration"
    ASSIGNMENT = "assignment"
    UNASSIGNMENT = "unassignment"


_ORDER = tuple(Kind)  # of what happened in one second


@dataclass(frozen=True, slots=True)
class GtoTag:
    """A tag of GTO's by its name alone.

    Attributes:
        model: as GTO names it: `churn`, or `path/to:churn` of a `dvc.yaml` in a folder.
        version: of a registration or deregistration.
        channel: of an assignment or unassignment.
    """

    kind: Kind
    model: str
    version: str | None
    channel: str | None
    number: int | None


@dataclass(frozen=True, slots=True)
class Event:
    """Something that an annotated tag says happened to a model.

    Attributes:
        version: the version at the commit; None where none was registered there.
        seconds: since the epoch, as the tag says.
    """

    tag: TagName
    kind: Kind
    model: str
    version: str | None
    channel: str | None
    number: int | None
    commit: Sha
    seconds: int


def parse_gto_tag(tag: str) -> GtoTag | None:
    """Return what a tag's short name says, or None for any other tag than GTO's."""
    match = re.fullmatch(_TAG, tag)
    if match is None:
        return None
    model, version, channel, number = match.group("model", "version", "channel", "number")
    if channel:
        kind = Kind.UNASSIGNMENT if match["cancel"] else Kind.ASSIGNMENT
    elif version:
        kind = Kind.DEREGISTRATION if match["cancel"] else Kind.REGISTRATION
    else:
        kind = Kind.DEPRECATION
    name = model.replace(_FOLDER_IN_TAG, _FOLDER)
    return GtoTag(kind, name, version, channel, int(number) if number else None)


def parse_channel(text: str) -> str:
    """Return a channel's name that GTO accepts, or raise UsageError."""
    if not re.fullmatch(_NAME, text):
        raise UsageError(
            f"'{text[:60]}' can't name a channel: GTO wants letters, digits, '-', '_' and '/'"
        )
    return text


def tag_of_version(model: str, version: str) -> TagName:
    """Return the tag that registers a version: `churn@v1.2.0`."""
    return TagName(f"{_in_tag(model)}@{version}")


def tag_of_channel(model: str, channel: str, number: int) -> TagName:
    """Return the tag that assigns a channel: `churn#prod#3`."""
    return TagName(f"{_in_tag(model)}#{channel}#{number}")


def next_number(tags: Iterable[str], model: str) -> int:
    """Return the number of a model's next tag: they are counted together, as GTO counts them."""
    parsed = (parse_gto_tag(tag) for tag in tags)
    return max((one.number or 0 for one in parsed if one and one.model == model), default=0) + 1


def read_events(tags: Iterable[tuple[str, Sha, int]]) -> dict[str, list[Event]]:
    """Return what happened to each model, oldest first.

    Args:
        tags: short name, commit and seconds of annotated tags; those that are not GTO's are
            passed over.
    """
    parsed = [(tag, one, sha, at) for tag, sha, at in tags if (one := parse_gto_tag(tag))]
    parsed.sort(key=lambda item: (item[3], _ORDER.index(item[1].kind), item[0]))
    versions = {(one.model, sha): one.version for _, one, sha, _ in parsed if one.version}
    found: dict[str, list[Event]] = {}
    for tag, one, sha, at in parsed:
        version = one.version or versions.get((one.model, sha))
        event = Event(TagName(tag), one.kind, one.model, version, one.channel, one.number, sha, at)
        found.setdefault(one.model, []).append(event)
    return found


def is_deprecated(events: Sequence[Event]) -> bool:
    """Whether a model was taken out of use, and nothing happened to it then or since."""
    return events[-1].kind is Kind.DEPRECATION


def registered(events: Iterable[Event]) -> dict[str, Event]:
    """Return a model's versions, without those that were taken back → their registration."""
    found: dict[str, Event] = {}
    for event in events:
        if event.kind is Kind.REGISTRATION and event.version:
            found[event.version] = event
        elif event.kind is Kind.DEREGISTRATION and event.version:
            found.pop(event.version, None)
    return found


def in_channels(events: Sequence[Event]) -> dict[str, Event]:
    """Return what is in each of a model's channels: channel → the assignment that put it there.

    A version is in a channel from its assignment to its unassignment. Of several the one that was
    assigned last counts, so that an unassignment brings the one before it back.
    """
    versions = registered(events)
    assigned: dict[str, dict[str, Event]] = {}
    for event in events:
        if event.channel is None or (event.version is not None and event.version not in versions):
            continue
        places = assigned.setdefault(event.channel, {})
        if event.kind is Kind.ASSIGNMENT:
            places[event.version or event.commit] = event
        else:
            places.pop(event.version or event.commit, None)

    def rank(event: Event) -> tuple[int, int]:
        made = versions.get(event.version or "", event)
        return event.seconds, -made.seconds  # in one second the older version wins, as in gto

    return {name: max(places.values(), key=rank) for name, places in assigned.items() if places}


def way_back(
    events: Sequence[Event], channel: str, returns: Mapping[TagName, TagName]
) -> list[Event]:
    """Return the assignments that roll-backs of a channel go to, the one to go to next last.

    A roll-back goes back on the way by which the channel came: after it, what it left is no longer
    a place to go back to. Versions that were unassigned or taken back are passed over.

    Args:
        returns: tag of each roll-back → the tag of the assignment that it went back to.
    """
    versions = registered(events)
    way: list[Event] = []
    for event in events:
        if event.channel != channel:
            continue
        if event.kind is Kind.UNASSIGNMENT:
            way = [one for one in way if one.version != event.version]
            continue
        tags = [one.tag for one in way]
        target = returns.get(event.tag)
        way = way[: tags.index(target) + 1] if target in tags else [*way, event]
    way = [one for one in way if one.version in versions]
    now = in_channels(events).get(channel)
    while way and now and way[-1].version == now.version:
        way.pop()
    return way


def _in_tag(model: str) -> str:
    return model.replace(_FOLDER, _FOLDER_IN_TAG)
