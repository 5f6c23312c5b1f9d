"""Looking after the DVC remotes."""

from __future__ import annotations

import argparse
import re

from dvc_branchflow.cli.commands.base import (
    Arguments,
    Command,
    Result,
    open_project,
    period,
)
from dvc_branchflow.cli.render import storage as render
from dvc_branchflow.errors import UsageError
from dvc_branchflow.storage import empty_trash, gc, lease, repair, trace, undelete, usage, verify
from dvc_branchflow.work.plans import show_plan
from dvc_branchflow.work.transfer import Report
from dvc_branchflow.work.verification import VerifyRequest

_TIMES = {"s": 1, "m": 60, "h": 3600}
_SIZES = {"MiB": 1024**2, "GiB": 1024**3, "TiB": 1024**4}
_AMOUNT = re.compile(r"(\d+(?:\.\d+)?) ?(?:([smh])|([MGT]iB))")
_PLACES = "the DVC remotes that the tracking branch names"


def _usage(args: Arguments, report: Report) -> Result:
    project = open_project(args)
    if args.object:
        found = trace.trace(project, args.object, report)
        return Result(found, render.traced(found))
    used = usage.usage(project, report)
    return Result(used, render.used(used, args.price))


def _add_usage(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--object", metavar="MD5", help="say what one object is for, and who put it there"
    )
    parser.add_argument(
        "--price", type=float, metavar="AMOUNT", help="what a GiB costs, to show costs as well"
    )


def _verify(args: Arguments, report: Report) -> Result:
    found = verify.verify(open_project(args), _verify_request(args), report)
    return Result(found, render.verified(found, deep=args.deep), int(not found.is_good))


def _repair(args: Arguments, report: Report) -> Result:
    outcome = repair.repair(open_project(args), _verify_request(args), report, dry_run=args.dry_run)
    text = render.repaired(outcome, applied=not args.dry_run)
    return Result(outcome, text, int(bool(outcome.left or outcome.unknown)))


def _verify_request(args: Arguments) -> VerifyRequest:
    seconds, max_bytes = args.budget
    if (args.sample < 1 or args.budget != (None, None)) and not args.deep:
        raise UsageError(
            "'--sample' and '--budget' say how much to read",
            hint="git branchflow storage verify --deep",
        )
    return VerifyRequest(tuple(args.refs), args.deep, args.sample, seconds, max_bytes)


def _add_verify(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "refs",
        nargs="*",
        metavar="REF",
        help="branches, tags or commits with their history (default: all branches and tags)",
    )
    parser.add_argument("--deep", action="store_true", help="prove content, not only presence")
    parser.add_argument(
        "--sample", type=_share, default=1.0, metavar="SHARE",
        help="with --deep: prove only this share of the objects, drawn anew each time",
    )  # fmt: skip
    parser.add_argument(
        "--budget", type=_budget, default=(None, None), metavar="AMOUNT",
        help="with --deep: stop after 90s, 30m, 8h or 500MiB, 20GiB, 1TiB; the next one goes on",
    )  # fmt: skip


def _share(text: str) -> float:
    share = float(text)
    if not 0 < share <= 1:
        raise argparse.ArgumentTypeError(f"'{text}' is no share from 0 to 1")
    return share


def _budget(text: str) -> tuple[float | None, float | None]:
    """Seconds, or bytes."""
    match = _AMOUNT.fullmatch(text.strip())
    if match is None:
        raise argparse.ArgumentTypeError(f"'{text}' is no amount such as 30m or 20GiB")
    number = float(match[1])
    return (number * _TIMES[match[2]], None) if match[2] else (None, number * _SIZES[match[3]])


def _gc(args: Arguments, report: Report) -> Result:
    project = open_project(args)
    if args.apply is None:
        seconds = _grace(args)
        request = gc.GcRequest(tuple(args.remotes), seconds, tuple(args.lost))
        plan = gc.plan_gc(project, request, report)
        return Result(plan, render.planned(plan))
    if not (args.yes or args.dry_run):
        plan = show_plan(project.state_dir, args.apply)
        return Result(plan, render.planned(plan))
    outcome = gc.apply_gc(project, args.apply, report, dry_run=args.dry_run)
    return Result(outcome, render.collected(outcome, applied=not args.dry_run))


def _empty(args: Arguments, report: Report) -> Result:
    project = open_project(args)
    if args.apply is None:
        plan = empty_trash.plan_emptying(
            project, report, grace_seconds=_grace(args), lost=tuple(args.lost)
        )
        return Result(plan, render.planned(plan))
    if not (args.yes or args.dry_run):
        plan = show_plan(project.state_dir, args.apply)
        return Result(plan, render.planned(plan))
    outcome = empty_trash.apply_emptying(project, args.apply, report, dry_run=args.dry_run)
    text = render.emptied(outcome, applied=not args.dry_run)
    return Result(outcome, text, int(bool(outcome.refused)))


def _grace(args: Arguments) -> float:
    if args.grace is None:
        raise UsageError("a grace period has an end", hint="git branchflow storage gc --grace 14d")
    return float(args.grace)


def _add_plan(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--grace", type=period, default="14d", metavar="PERIOD",
        help="what came since then stays (default: 14d)",
    )  # fmt: skip
    parser.add_argument(
        "--lost", action="append", default=[], metavar="ID",
        help="give up a manifest, file or commit that can't be read",
    )  # fmt: skip
    parser.add_argument(
        "--apply", metavar="PLAN", help="apply a plan: its file, or the start of its digest"
    )
    parser.add_argument("--yes", action="store_true", help="with --apply: do it")


def _add_gc(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "remotes", nargs="*", metavar="REMOTE", help="only these DVC remotes (default: all)"
    )
    _add_plan(parser)


def _undelete(args: Arguments, report: Report) -> Result:
    outcome = undelete.undelete(open_project(args), args.names, report, dry_run=args.dry_run)
    return Result(outcome, render.undeleted(outcome, applied=not args.dry_run))


def _add_undelete(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "names", nargs="*", metavar="RUN|MD5",
        help="what one gc set aside, or single objects (default: everything)",
    )  # fmt: skip


def _lease(args: Arguments, report: Report) -> Result:
    outcome = lease.lease(
        open_project(args), report, seconds=args.period, everything=args.everything, end=args.end,
        dry_run=args.dry_run,
    )  # fmt: skip
    return Result(outcome, render.leased(outcome, applied=not args.dry_run))


def _add_lease(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--for", dest="period", type=period, default="30d", metavar="PERIOD",
        help="how long, as 12h, 30d, 8w, 1y or forever (default: 30d)",
    )  # fmt: skip
    parser.add_argument(
        "--everything",
        action="store_true",
        help="all that this repository needs, on DVC remotes that it shares with other ones",
    )
    parser.add_argument("--end", action="store_true", help="take the lease back")


USAGE = Command(
    "storage usage",
    "show what the DVC remotes hold, and for whom",
    f"Lists {_PLACES} and reads all history: objects and bytes by remote, branch, role and "
    "release, what each of them would free, how old it is and what lies there twice. Changes "
    "nothing.",
    "git branchflow storage usage --price 0.023",
    _add_usage,
    _usage,
    changes=False,
)

VERIFY = Command(
    "storage verify",
    "prove that every object that a ref needs is on its DVC remote",
    "Lists the DVC remotes and holds them against the whole history of refs: what is there, with "
    "which size. With --deep also what it holds: by the server's checksum where it has one, else "
    "by reading it; what was cut short goes on the next time. Ends with 1 if anything is missing "
    "or damaged. Changes nothing there.",
    "git branchflow storage verify --deep --budget 2h",
    _add_verify,
    _verify,
    changes=False,
)

REPAIR = Command(
    "storage repair",
    "put back what the DVC remotes lack or hold wrongly",
    "Verifies, and uploads what this clone's cache, its worktrees' or another DVC remote has with "
    "the right content. Ends with 1 if something is left that nobody here has.",
    "git branchflow storage repair churn@v1.1.0",
    _add_verify,
    _repair,
)

LEASE = Command(
    "storage lease",
    "claim on the DVC remotes what only this clone needs",
    f"Writes a claim to {_PLACES}, which every `storage gc` keeps to until it ends: what commits "
    "need that the git remote lacks, and stashes, uncommitted pointers and the experiments' queue. "
    "Again: over the earlier one.",
    "git branchflow storage lease --for 8w",
    _add_lease,
    _lease,
)

GC = Command(
    "storage gc",
    "plan what nothing needs, and set it aside",
    "Reads all that could need data (every ref here and on all git remotes, reflogs, stashes, "
    "experiments, worktrees, run-caches, leases), lists the DVC remotes and writes a plan of what "
    "none of that needs. With --apply PLAN --yes the plan is checked again, and what may still go "
    "is set aside in the trash. Stops where anything can't be read.",
    "git branchflow storage gc --grace 30d",
    _add_gc,
    _gc,
)

UNDELETE = Command(
    "storage undelete",
    "bring back what a gc set aside",
    "Moves objects from the trash of the DVC remotes back to where DVC finds them; with --dry-run "
    "says what lies there.",
    "git branchflow storage undelete --dry-run",
    _add_undelete,
    _undelete,
)

EMPTY_TRASH = Command(
    "storage empty-trash",
    "plan what may leave the trash, and delete it for good",
    "Writes a plan of what lies in the trash for longer than the grace period and is needed by "
    "nothing. With --apply PLAN --yes the plan is checked again, what is needed by then is brought "
    "back, and the rest deleted for good. Ends with 1 if a bucket refuses.",
    "git branchflow storage empty-trash --grace 30d",
    _add_plan,
    _empty,
)
