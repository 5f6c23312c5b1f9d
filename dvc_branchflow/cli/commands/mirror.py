"""What lies on which DVC remotes: copies, and moves."""

from __future__ import annotations

import argparse

from dvc_branchflow.cli.commands.base import Arguments, Command, Result, open_project
from dvc_branchflow.cli.render import mirror as render
from dvc_branchflow.storage import mirror, move
from dvc_branchflow.work.transfer import Report


def _mirror(args: Arguments, report: Report) -> Result:
    is_look = args.check or args.dry_run
    outcome = mirror.mirror(open_project(args), args.remote, args.refs, report, dry_run=is_look)
    if args.dry_run and not args.check:
        return Result(outcome, render.planned(outcome))
    text = render.checked(outcome) if args.check else render.mirrored(outcome)
    return Result(outcome, text, int(not outcome.is_whole))


def _add_mirror(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("remote", metavar="TO", help="the DVC remote that is to hold it")
    parser.add_argument(
        "refs",
        nargs="*",
        metavar="REV",
        help="branches, tags or commits with their history (default: all branches and tags)",
    )
    parser.add_argument("--check", action="store_true", help="only say what is missing there")


MIRROR = Command(
    "storage mirror",
    "copy to a DVC remote what it lacks of all that refs need",
    "Lists a DVC remote and copies there what refs need and it lacks or holds with a wrong size: "
    "from the caches here, from the DVC remote where it belongs, or from any other one. Each "
    "object is proven on its way; the same command again goes on. With --check nothing is copied. "
    "Ends with 1 if anything is missing then.",
    "git branchflow storage mirror backup",
    _add_mirror,
    _mirror,
)


def _move(args: Arguments, report: Report) -> Result:
    outcome = move.move(open_project(args), args.what, args.remote, report, dry_run=args.dry_run)
    return Result(outcome, render.moved(outcome, applied=not args.dry_run))


def _add_move(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "what", metavar="ROLE|BRANCH", help="a name or pattern in branchflow.yaml, or a role"
    )
    parser.add_argument("remote", metavar="REMOTE", help="the DVC remote that is to hold the outs")


MOVE = Command(
    "storage move",
    "have the outs of branches go to another DVC remote",
    "Copies what the branches made at any commit to a DVC remote, proves that it is there, and "
    "then moves branchflow.yaml, the branches' pointers and their dvc.yaml together. Older commits "
    "are pulled from where they were: nothing is taken away there. The same command again goes on.",
    "git branchflow storage move raw cold",
    _add_move,
    _move,
)
