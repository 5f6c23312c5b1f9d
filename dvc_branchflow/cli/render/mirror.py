"""What lies on which DVC remotes."""

from __future__ import annotations

from dvc_branchflow.cli.render.storage import finding, unknown
from dvc_branchflow.cli.text import count, printable, short, size
from dvc_branchflow.storage.mirror import MirrorOutcome
from dvc_branchflow.storage.move import MoveOutcome

_LISTED = 30
_SHOWN = 4


def mirrored(outcome: MirrorOutcome) -> str:
    """What was copied, and what is left that nobody here has."""
    filled = outcome.filled
    copied = f"copied {count(filled.copied, 'object')}, {size(filled.copied_bytes)}"
    return f"{copied}\n{checked(outcome)}"


def checked(outcome: MirrorOutcome) -> str:
    """What is there, and what is missing."""
    filled = outcome.filled
    lines = [line for one in filled.findings[:_LISTED] for line in finding(one)]
    if filled.lacking > _LISTED:
        lines.append(f"and {count(filled.lacking - _LISTED, 'more object')}")
    lines += unknown(filled.unknown)
    bad = count(filled.lacking, "object")
    verdict = f"{bad} missing or of a wrong size" if filled.lacking else "all there"
    there = f"{count(filled.objects, 'object')}, {size(filled.size_bytes)}"
    refs = count(filled.refs, "ref")
    return "\n".join([*lines, f"{verdict}: {there} of {refs} on '{outcome.remote}'"])


def planned(outcome: MirrorOutcome) -> str:
    """What would be copied."""
    filled = outcome.filled
    there = f"{count(filled.objects, 'object')}, {size(filled.size_bytes)}"
    wanted = count(filled.lacking, "object")
    return "\n".join(
        [*unknown(filled.unknown), f"would copy {wanted} to '{outcome.remote}', which has {there}"]
    )


def moved(outcome: MoveOutcome, *, applied: bool) -> str:
    """What goes to another DVC remote."""
    filled = outcome.filled
    lines = []
    for one in outcome.branches:
        files = ", ".join(one.files[:_SHOWN]) + ("…" if len(one.files) > _SHOWN else "")
        at = f" at {short(one.commit)}" if one.commit else ""
        what = f"changes {printable(files)}" if files else "is there"
        lines.append(f"{printable(one.branch)}{at}: {what}")
    lines += [f"{printable(name)}: only here, and left as it is" for name in outcome.left]
    lines += unknown(filled.unknown)
    entries = ", ".join(outcome.entries)
    if not applied:
        wanted = count(filled.lacking, "object")
        return "\n".join([*lines, f"would copy {wanted}, and send {entries} to '{outcome.remote}'"])
    copied = f"copied {count(filled.copied, 'object')}, {size(filled.copied_bytes)}"
    return "\n".join([*lines, f"{copied}; outs of {entries} go to '{outcome.remote}'"])
