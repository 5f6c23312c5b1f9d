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
from dvc_branchflow.storage import lease, repair, trace, usage, verify
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
        raise UsageError("'--sample' and '--budget' say how much to read", hint="add --deep")
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
