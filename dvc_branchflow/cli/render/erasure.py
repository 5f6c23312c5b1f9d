"""What an erasure finds, does and proves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dvc_branchflow.cli.text import colour, count, local_time, printable, short, table
from dvc_branchflow.storage.erase import EraseOutcome, ErasureCheck
from dvc_branchflow.work.erasing import ErasePlan
from dvc_branchflow.work.remnants import Place

_SHOWN = 20


def planned(plan: ErasePlan) -> str:
    """What holds the objects, what becomes of it, and how to do it."""
    lines = list(_found(plan))
    if plan.is_named:
        lines.append(f"named by tombstone {plan.id} already: {printable(plan.reason)}")
    for one in plan.branches:
        own, pinned = count(len(one.own), "out"), count(len(one.pinned), "pinned out")
        lines.append(f"changes {one.branch}: {own} of its own, {pinned}")
    lines += _touched(plan)
    if plan.rerun:
        lines.append(f"to be run again: {', '.join(plan.rerun)}: git branchflow sync")
    lines += _derived(plan)
    lines += [f"{one.name}: {count(one.copies, 'copy')}" for one in plan.places if one.copies]
    lines += _away(plan.places)
    lines += _rest(plan)
    return "\n".join([*lines, "nothing was changed; --yes does it, and nothing brings it back"])


def erased(outcome: EraseOutcome) -> str:
    """What was done, and what is left."""
    plan = outcome.plan
    lines = [f"{name} is at {short(sha)}" for name, sha in outcome.commits.items()]
    lines += _touched(plan)
    if plan.rerun:
        lines.append(f"to be run again: {', '.join(plan.rerun)}: git branchflow sync")
    lines += _derived(plan)
    lines += _rest(plan)
    for name in outcome.held:
        lines.append(colour(f"still held by branch {name}", "bad"))
    for place in outcome.places:
        if place.copies:
            lines.append(colour(f"left in {place.name}: {count(place.copies, 'copy')}", "bad"))
        lines += [colour(f"  {oid}: {printable(why)}", "bad") for oid, why in place.kept.items()]
    lines += _blind(outcome.places)
    if not outcome.is_done:
        return "\n".join([*lines, f"erasure {plan.id} is not done"])
    what = count(len(plan.objects), "object")
    return "\n".join([*lines, f"erased {what}, no copy is left: {outcome.proof}"])


def checked(found: Sequence[ErasureCheck]) -> str:
    """Whether anything of what was erased is back."""
    if not found:
        return "nothing was ever erased"
    rows = [
        (one.id, local_time(one.when), f"{one.objects:,}", _state(one), printable(one.reason))
        for one in found
    ]
    lines = [table(rows, ("erasure", "when", "objects", "copies", "reason"))]
    for one in found:
        lines += [colour(f"{one.id} is in {place.name}", "bad") for place in one.back]
        lines += [colour(f"{one.id} is held by branch {name}", "bad") for name in one.held]
    return "\n".join(lines)


def _state(one: ErasureCheck) -> str:
    if not one.is_good:
        return colour("back", "bad")
    return "none" if one.proven else "none, and no proof yet"


def _found(plan: ErasePlan) -> Iterable[str]:
    yield f"{count(len(plan.objects), 'object')} in {count(len(plan.manifests), 'manifest')}"
    for use in plan.outs[:_SHOWN]:
        names = ", ".join([*use.branches, *use.releases, *use.others])
        yield f"  {printable(use.path)}: {printable(names)}"
    if len(plan.outs) > _SHOWN:
        yield f"  and {count(len(plan.outs) - _SHOWN, 'more out')}; --json lists all"


def _touched(plan: ErasePlan) -> Iterable[str]:
    touched = plan.touched
    for what, names in (
        ("releases made from it", touched.releases),
        ("refused candidates made from it", touched.refused),
        ("splits made from it", [_short(name) for name in touched.splits]),
        ("predictions by these releases", touched.predictions),
    ):
        yield from _some(what, names)


def _short(split: str) -> str:
    name, _, sha = split.rpartition("@")
    return f"{name}@{short(sha)}"


def _derived(plan: ErasePlan) -> Iterable[str]:
    """What may hold parts of it in another form."""
    for one in plan.derived[:_SHOWN]:
        yield f"computed from it: {printable(one.path)} {one.oid} on {', '.join(one.refs)}"
    if len(plan.derived) > _SHOWN:
        yield f"and {count(len(plan.derived) - _SHOWN, 'more out')} computed from it"
    if plan.derived:
        yield "whether it can be found in those, nobody can tell; they can be erased by their md5"


def _rest(plan: ErasePlan) -> Iterable[str]:
    """What an erasure leaves as it is, and what it could not look into."""
    yield from _some("can't be pulled whole any more", plan.left)
    yield from _some("stays in your checkout, remove it yourself", plan.files)
    yield from _some("unknown, and may list it as well", plan.unknown, "bad")


def _away(places: Iterable[Place]) -> Iterable[str]:
    yield from (
        colour(f"unknown: {one.name}: {printable(one.unknown)}", "bad")
        for one in places
        if one.unknown
    )


def _blind(places: Iterable[Place]) -> Iterable[str]:
    yield from (
        colour(f"{one.name} can't be asked for versions of what was deleted before", "warn")
        for one in places
        if not (one.sees_versions or one.unknown)
    )


def _some(what: str, names: Sequence[str], kind: str = "") -> Iterable[str]:
    if names:
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        text = f"{what}: {printable(', '.join(names[:_SHOWN]))}{more}"
        yield colour(text, kind) if kind else text
