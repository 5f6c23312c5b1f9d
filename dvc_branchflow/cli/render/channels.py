"""Which release is in which channel, and how it came there."""

from __future__ import annotations

from collections.abc import Sequence

from dvc_branchflow.channels import tag_of_version
from dvc_branchflow.cli.text import count, local_time, short, table
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
    rows: list[tuple[str, ...]] = []
    for model in found:
        newest = model.newest or "-"
        rows += [
            (
                model.model, channel, _version(held), short(held.commit), local_time(held.when),
                held.who, held.reason or "", newest,
            )
            for channel, held in model.channels.items()
        ]  # fmt: skip
        if not model.channels:
            rows.append((model.model, "-", "-", "-", "-", "-", "", newest))
    header = ("model", "channel", "release", "commit", "since", "by", "reason", "newest")
    return table(rows, header)


def history(told: Sequence[Happening]) -> str:
    """All that happened to models, a line each."""
    if not told:
        return "no release yet"
    rows = [
        (
            local_time(one.when), one.model, one.event, _version(one), one.channel or "-",
            short(one.commit), one.who, one.reason or "", one.tag,
        )
        for one in told
    ]  # fmt: skip
    header = ("when", "model", "event", "release", "channel", "commit", "by", "reason", "tag")
    return table(rows, header)


def _version(one: Happening) -> str:
    return tag_of_version(one.model, one.version) if one.version else "-"
