"""Which release is in which channel, and how it came there."""

from __future__ import annotations

from collections.abc import Sequence

from dvc_branchflow.channels import tag_of_version
from dvc_branchflow.cli.text import Column, count, fitted, local_time, short
from dvc_branchflow.rollout import AssignOutcome, ModelChannels
from dvc_branchflow.work.registry import Happening


def assigned(made: AssignOutcome, *, applied: bool) -> str:
    """What was put into a channel, or would be."""
    if made.tag is None:
        return f"{made.release} is in {made.channel} already"
    verb = "assigned" if applied else "would assign"
    if made.back_to:
        verb = "rolled back" if applied else "would roll back"
        line = f"{verb} {made.channel} from {made.before} to {made.release}"
    else:
        instead = f" instead of {made.before}" if made.before else ""
        line = f"{verb} {made.release} to {made.channel}{instead}"
    return f"{line}: {made.tag}\n  {count(made.objects, 'object')} proven on the DVC remotes"


def channels(found: Sequence[ModelChannels]) -> str:
    """Each model's channels, a line each."""
    if not found:
        return "no release yet"
    rows: list[tuple[ModelChannels, Happening | None]] = []
    for model in found:
        rows += [(model, held) for held in model.channels.values()] or [(model, None)]
    columns = [
        Column("model", [model.model for model, _ in rows]),
        Column("channel", [held and held.channel for _, held in rows]),
        Column("release", [_release(held) for _, held in rows]),
        Column("commit", [held and short(held.commit) for _, held in rows], rank=3),
        Column("since", [held and local_time(held.when) for _, held in rows]),
        Column("by", [held and held.who for _, held in rows], rank=2),
        Column("reason", [held.reason or "" if held else "" for _, held in rows], rank=1),
        Column("newest", [model.newest for model, _ in rows]),
    ]
    return fitted(columns)


def history(told: Sequence[Happening]) -> str:
    """All that happened to models, a line each."""
    if not told:
        return "no release yet"
    columns = [
        Column("when", [local_time(one.when) for one in told]),
        Column("model", [one.model for one in told]),
        Column("event", [one.event for one in told]),
        Column("release", [_release(one) for one in told]),
        Column("channel", [one.channel for one in told]),
        Column("commit", [short(one.commit) for one in told], rank=3),
        Column("by", [one.who for one in told], rank=2),
        Column("reason", [one.reason or "" for one in told], rank=1),
        Column("tag", [one.tag for one in told], rank=4),
    ]
    return fitted(columns)


def _release(one: Happening | None) -> str | None:
    return tag_of_version(one.model, one.version) if one and one.version else None
