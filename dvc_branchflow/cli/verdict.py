"""How a verdict reads, on a terminal and in what a server's hook says of a push."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from dvc_branchflow.cli.text import colour, count, local_time, printable, short
from dvc_branchflow.model import Severity, Verdict, Violation

_NAMED = 6
_KINDS = {Severity.ERROR: "bad", Severity.WARN: "warn"}


def verdict(found: Verdict) -> str:
    """Violations grouped by ref, each with its code, what was found, by whom, and the repair."""
    lines: list[str] = list(found.notes)
    for ref, violations in groupby(found.violations, key=lambda one: one.ref):
        lines.append(ref or "the push")
        for one in violations:
            lines += _violation(one)
    lines.append(_sum(found))
    return "\n".join(lines)


def _violation(one: Violation) -> Iterator[str]:
    level = colour(str(one.severity), _KINDS.get(one.severity, "dim"))
    what = f"{printable(one.path)} {printable(one.found)}".strip()
    yield f"  {level} {one.code}: {what}"
    if one.commit:
        by = f" by {printable(one.author)}, {local_time(one.when)}" if one.author else ""
        yield f"    in {short(one.commit)}{by}"
    if one.repair:
        yield f"    repair: {one.repair}"


def _sum(found: Verdict) -> str:
    refs = ", ".join(map(printable, found.refs[:_NAMED]))
    more = f" and {len(found.refs) - _NAMED} more" if len(found.refs) > _NAMED else ""
    judged = f"{count(found.commits, 'commit')} on {refs}{more}" if refs else "nothing to judge"
    errors = sum(one.severity is Severity.ERROR for one in found.violations)
    warnings = len(found.violations) - errors
    parts = [count(errors, "violation")] if errors else []
    parts += [count(warnings, "warning")] if warnings else []
    return f"{', '.join(parts) or 'no violations'}: {judged}"
