"""Looking after the DVC remotes."""

from __future__ import annotations

import argparse

from dvc_branchflow.cli.commands.base import (
    Arguments,
    Command,
    Result,
    open_project,
    period,
)
from dvc_branchflow.cli.render import storage as render
from dvc_branchflow.storage import lease, trace, usage
from dvc_branchflow.work.transfer import Report

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
