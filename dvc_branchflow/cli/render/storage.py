"""What the DVC remotes hold."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from dvc_branchflow.cli.text import colour, count, local_time, printable, short, size, table
from dvc_branchflow.storage.lease import LeaseOutcome
from dvc_branchflow.storage.repair import RepairOutcome
from dvc_branchflow.storage.trace import Trace, Use
from dvc_branchflow.storage.usage import AGES, Amount, HolderUse, Usage
from dvc_branchflow.storage.verify import ReleaseProof, Verification
from dvc_branchflow.work.verification import Finding

_SHOWN = 8
_LISTED = 30
_GIB = 1024**3


def used(found: Usage, price: float | None) -> str:
    """What the DVC remotes hold, for whom, and what each would free."""
    lines = [_remotes(found, price), "", _holders(found.holders, price), "", _roles(found)]
    if found.duplicates.objects:
        lines.append(f"on more than one DVC remote: {_amount(found.duplicates)}")
    if found.unneeded.objects:
        lines.append(f"needed by nothing: {_amount(found.unneeded)}; see git branchflow storage gc")
    return "\n".join([*lines, *_unknown(found.unknown)])


def traced(found: Trace) -> str:
    """Where an object lies, and what it is for."""
    lines = [str(found.oid)]
    lines += [
        f"  on {copy.remote} since {local_time(copy.when)}: {size(copy.size_bytes)}"
        for copy in found.copies
    ]
    if not found.copies:
        lines.append(colour("  on no DVC remote", "warn"))
    lines += [line for use in found.uses for line in _use(use)]
    if not found.uses:
        lines.append("  nothing needs it")
    return "\n".join([*lines, *_unknown(found.unknown)])


def verified(found: Verification, *, deep: bool) -> str:
    """What is missing or damaged, and how sure it is."""
    lines = [line for one in found.findings[:_LISTED] for line in _finding(one)]
    if len(found.findings) > _LISTED:
        lines.append(f"and {count(len(found.findings) - _LISTED, 'more object')}; --json lists all")
    lines += _unknown(found.unknown)
    there = f"{count(found.objects, 'object')}, {size(found.size_bytes)}"
    bad = count(len(found.findings), "object")
    verdict = f"{bad} missing or damaged" if found.findings else "all there"
    lines.append(f"{verdict}: {there} of {count(found.refs, 'ref')} on the DVC remotes")
    if deep or found.proven:
        proven = f"proven by content: {found.proven:,} of {found.proven + found.left:,}"
        lines.append(f"{proven}, {size(found.read_bytes)} read")
    rows = [(one.tag, _proof(one)) for one in found.releases]
    return "\n".join([*lines, *([table(rows)] if rows else [])])


def repaired(outcome: RepairOutcome, *, applied: bool) -> str:
    """What was put back, and what is left."""
    verb = "put back" if applied else "would put back"
    lines = [
        f"{verb} {printable(one.path)} on {one.remote} from {one.source}"
        for one in outcome.repaired[:_LISTED]
    ]
    lines += [line for one in outcome.left[:_LISTED] for line in _finding(one)]
    lines += _unknown(outcome.unknown)
    left = f", {count(len(outcome.left), 'object')} left" if outcome.left else ""
    return "\n".join([*lines, f"{verb} {count(len(outcome.repaired), 'object')}{left}"])


def _finding(one: Finding) -> Iterable[str]:
    what = colour(one.kind, "bad")
    yield f"{what} on {one.remote}: {printable(one.path)}"
    yield f"  {one.oid}: {printable(one.why)}"
    yield f"  needed by {_some(one.refs)}; first in {short(one.commit)}"


def _proof(one: ReleaseProof) -> str:
    if not one.is_whole:
        return colour("not whole", "bad")
    return f"proven {local_time(one.proven)}" if one.proven else "all there, never proven"


def leased(outcome: LeaseOutcome, *, applied: bool) -> str:
    """What was claimed."""
    where = ", ".join(outcome.remotes)
    if not outcome.until:
        return f"no lease on {where}: nothing to claim"
    verb = "claimed" if applied else "would claim"
    what = count(outcome.objects, "object")
    return f"{verb} {what} on {where} until {local_time(outcome.until)}"


def _remotes(found: Usage, price: float | None) -> str:
    rows = [
        (
            one.remote, f"{one.held.objects:,}", size(one.held.size_bytes),
            size(one.unneeded.size_bytes), *(size(one.younger[days]) for days in AGES),
            *_cost(one.held, price), local_time(one.newest),
        )
        for one in found.remotes
    ]  # fmt: skip
    ages = [f"< {days} days" for days in AGES]
    costs = ["costs"] if price is not None else []
    return table(rows, ("DVC remote", "objects", "size", "unneeded", *ages, *costs, "newest"))


def _holders(holders: Sequence[HolderUse], price: float | None) -> str:
    rows = [
        (
            printable(one.name), one.role or one.kind, size(one.tip.size_bytes),
            size(one.history.size_bytes), size(one.frees.size_bytes), *_cost(one.frees, price),
            local_time(one.newest),
        )
        for one in holders
        if one.history.objects
    ]  # fmt: skip
    costs = ["which costs"] if price is not None else []
    return table(rows, ("held by", "is", "its tip", "its history", "only it", *costs, "newest"))


def _roles(found: Usage) -> str:
    rows = [
        (one.role, size(one.history.size_bytes), size(one.frees.size_bytes))
        for one in found.roles
        if one.history.objects
    ]
    return table(rows, ("role", "histories", "only them"))


def _use(use: Use) -> Iterable[str]:
    yield f"  {printable(use.path)}"
    for name, values in (("branches", use.branches), ("releases", use.releases)):
        if values:
            yield f"    {name}: {_some(values)}"
    if use.others:
        yield f"    also: {_some(use.others)}"
    for origin in use.origins[:_SHOWN]:
        yield f"    {short(origin.commit)} by {printable(origin.author)}, {local_time(origin.when)}"
    if len(use.origins) > _SHOWN:
        yield f"    and {count(len(use.origins) - _SHOWN, 'more commit')}"


def _unknown(problems: Sequence[str]) -> list[str]:
    lines = [colour(f"unknown: {printable(problem)}", "bad") for problem in problems[:_SHOWN]]
    more = len(problems) - _SHOWN
    return [*lines, *([colour(f"unknown: {more} more", "bad")] if more > 0 else [])]


def _cost(amount: Amount, price: float | None) -> list[str]:
    return [] if price is None else [f"{amount.size_bytes / _GIB * price:,.2f}"]


def _amount(amount: Amount) -> str:
    return f"{count(amount.objects, 'object')}, {size(amount.size_bytes)}"


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return printable(", ".join(names[:_SHOWN])) + more
