"""What further DVC remotes hold."""

from __future__ import annotations

from dvc_branchflow.cli.render.storage import finding, unknown
from dvc_branchflow.cli.text import count, size
from dvc_branchflow.storage.mirror import MirrorOutcome

_LISTED = 30


def mirrored(outcome: MirrorOutcome) -> str:
    """What was copied, and what is left that nobody here has."""
    copied = f"copied {count(outcome.copied, 'object')}, {size(outcome.copied_bytes)}"
    return f"{copied}\n{checked(outcome)}"


def checked(outcome: MirrorOutcome) -> str:
    """What is there, and what is missing."""
    lines = [line for one in outcome.findings[:_LISTED] for line in finding(one)]
    if outcome.lacking > _LISTED:
        lines.append(f"and {count(outcome.lacking - _LISTED, 'more object')}")
    lines += unknown(outcome.unknown)
    bad = count(outcome.lacking, "object")
    verdict = f"{bad} missing or of a wrong size" if outcome.lacking else "all there"
    there = f"{count(outcome.objects, 'object')}, {size(outcome.size_bytes)}"
    refs = count(outcome.refs, "ref")
    return "\n".join([*lines, f"{verdict}: {there} of {refs} on '{outcome.remote}'"])


def planned(outcome: MirrorOutcome) -> str:
    """What would be copied."""
    there = f"{count(outcome.objects, 'object')}, {size(outcome.size_bytes)}"
    wanted = count(outcome.lacking, "object")
    return "\n".join(
        [*unknown(outcome.unknown), f"would copy {wanted} to '{outcome.remote}', which has {there}"]
    )
