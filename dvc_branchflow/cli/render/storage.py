"""What the DVC remotes hold."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from dvc_branchflow.cli.text import colour, count, local_time, printable, short, size, table
from dvc_branchflow.storage.empty_trash import EmptyOutcome
from dvc_branchflow.storage.gc import GcOutcome
from dvc_branchflow.storage.lease import LeaseOutcome
from dvc_branchflow.storage.repair import RepairOutcome
from dvc_branchflow.storage.trace import Trace
from dvc_branchflow.storage.undelete import UndeleteOutcome
from dvc_branchflow.storage.usage import AGES, Amount, HolderUse, Usage
from dvc_branchflow.storage.verify import ReleaseProof, Verification
from dvc_branchflow.work.plans import Plan
from dvc_branchflow.work.uses import Use
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
    return "\n".join([*lines, *unknown(found.unknown)])


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
    return "\n".join([*lines, *unknown(found.unknown)])


def verified(found: Verification, *, deep: bool) -> str:
    """What is missing or damaged, and how sure it is."""
    lines = [line for one in found.findings[:_LISTED] for line in finding(one)]
    n_bad = len(found.findings) + found.more
    if n_bad > _LISTED:
        listed = f"{len(found.findings):,}" if found.more else "all"
        lines.append(f"and {count(n_bad - _LISTED, 'more object')}; --json lists {listed}")
    lines += unknown(found.unknown)
    there = f"{count(found.objects, 'object')}, {size(found.size_bytes)}"
    bad = count(n_bad, "object")
    verdict = f"{bad} missing or damaged" if found.findings else "all there"
    lines.append(f"{verdict}: {there} of {count(found.refs, 'ref')} on the DVC remotes")
    for one in found.copies:
        text = f"copies of {one.branches}: {one.fewest} of {one.wanted}"
        lines.append(text if one.fewest >= one.wanted else colour(text, "bad"))
    if found.erased:
        lines.append(f"erased by law, and not asked for: {count(found.erased, 'object')}")
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
    lines += [line for one in outcome.left[:_LISTED] for line in finding(one)]
    lines += unknown(outcome.unknown)
    left = f", {count(len(outcome.left), 'object')} left" if outcome.left else ""
    return "\n".join([*lines, f"{verb} {count(len(outcome.repaired), 'object')}{left}"])


def finding(one: Finding) -> Iterable[str]:
    """What is not as it has to be, and for whom."""
    what = colour(one.kind, "bad")
    yield f"{what} on {one.remote}: {printable(one.path)}"
    yield f"  {one.oid}: {printable(one.why)}"
    yield f"  needed by {_some(one.refs)}; first in {short(one.commit)}"


def _proof(one: ReleaseProof) -> str:
    if not one.is_whole:
        return colour("not whole", "bad")
    if one.erased:
        return colour(f"all there but {count(one.erased, 'object')} erased by law", "warn")
    return f"proven {local_time(one.proven)}" if one.proven else "all there, never proven"


def planned(plan: Plan) -> str:
    """What a plan takes, by what it once was for, and how to apply it."""
    rows = [
        (one.remote, f"{one.objects:,}", size(one.size_bytes), one.branch or "-",
         printable(one.path) or "-", one.why)
        for one in plan.groups[:_LISTED]
    ]  # fmt: skip
    lines = (
        [table(rows, ("DVC remote", "objects", "size", "branch", "path", "why"))] if rows else []
    )
    if len(plan.groups) > _LISTED:
        lines.append(f"and {count(len(plan.groups) - _LISTED, 'more line')}; --json lists all")
    lines += [printable(note) for note in plan.notes]
    if plan.lost:
        lines.append(f"given up as lost: {_some(plan.lost)}")
    if plan.young[0]:
        young = _amount(Amount(*plan.young))
        lines.append(f"not yet: {young} within the grace period of {_days(plan.grace_seconds)}")
    if not plan.objects:
        return "\n".join([*lines, "nothing may go"])
    what = f"{count(plan.objects, 'object')}, {size(plan.size_bytes)}"
    verb = "may be set aside" if plan.kind == "gc" else "may be deleted for good"
    apply = f"git branchflow storage {plan.kind} --apply {plan.run} --yes"
    return "\n".join([*lines, f"{what} {verb}: {apply}"])


def collected(outcome: GcOutcome, *, applied: bool) -> str:
    """What a gc set aside."""
    verb = "set aside" if applied else "would set aside"
    lines = [f"{verb} {count(outcome.moved, 'object')}, {size(outcome.moved_bytes)}"]
    lines += _spared(outcome.spared)
    if outcome.restored:
        lines.append(f"brought back at once, for a ref moved: {len(outcome.restored):,}")
    if applied and outcome.moved:
        lines.append(f"back with: git branchflow storage undelete {outcome.run}")
    return "\n".join(lines)


def undeleted(outcome: UndeleteOutcome, *, applied: bool) -> str:
    """What lies in the trash, and what of it is back."""
    if not outcome.batches:
        return "the trash is empty"
    rows = [
        (one.run, one.remote, f"{one.objects:,}", size(one.size_bytes), local_time(one.last))
        for one in outcome.batches
    ]
    lines = [table(rows, ("run", "DVC remote", "objects", "size", "set aside"))]
    if applied:
        lines.append(f"brought back {count(len(outcome.back), 'object')}")
    return "\n".join(lines)


def emptied(outcome: EmptyOutcome, *, applied: bool) -> str:
    """What was deleted for good."""
    verb = "deleted" if applied else "would delete"
    lines = [f"{verb} {count(outcome.gone, 'object')}, {size(outcome.gone_bytes)} for good"]
    lines += _spared(outcome.spared)
    if outcome.back:
        back = "brought back" if applied else "would bring back"
        lines.append(f"{back}, for it is needed again: {count(len(outcome.back), 'object')}")
    lines += [
        colour(f"refused: {oid}: {printable(why)}", "bad")
        for oid, why in list(outcome.refused.items())[:_SHOWN]
    ]
    return "\n".join(lines)


def _spared(spared: Mapping[str, int]) -> list[str]:
    words = {"needed": "needed by now", "young": "too young by now", "changed": "changed since"}
    return [f"left alone, {words[why]}: {number:,}" for why, number in sorted(spared.items())]


def _days(seconds: float) -> str:
    return f"{seconds / 86_400:g} days"


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


def unknown(problems: Sequence[str]) -> list[str]:
    """What can't be told."""
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
