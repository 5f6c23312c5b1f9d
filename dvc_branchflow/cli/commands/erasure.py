"""Erasing data by law."""

from __future__ import annotations

import argparse

from dvc_branchflow.cli.commands.base import Arguments, Command, Result, open_project
from dvc_branchflow.cli.render import erasure as render
from dvc_branchflow.errors import UsageError
from dvc_branchflow.storage import erase
from dvc_branchflow.work.erasing import EraseRequest
from dvc_branchflow.work.transfer import Report


def _erase(args: Arguments, report: Report) -> Result:
    project = open_project(args)
    if args.check is not None:
        if args.what or args.reason:
            raise UsageError("'--check' takes the ids of erasures, and nothing else")
        found = erase.check_erasures(project, args.check, report)
        return Result(found, render.checked(found), int(not all(one.is_good for one in found)))
    if not args.what or not args.reason:
        raise UsageError(
            "what is to be erased, and why?",
            hint="git branchflow storage erase PATH --reason WHY",
        )
    request = EraseRequest(args.what, args.reason)
    if args.dry_run or not args.yes:
        plan = erase.plan_erasure(project, request, report)
        return Result(plan, render.planned(plan))
    outcome = erase.erase(project, request, report)
    return Result(outcome, render.erased(outcome), int(not outcome.is_done))


def _add_erase(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "what", nargs="?", metavar="PATH|MD5",
        help="a file or folder as branches have it, or the md5 of a file or (.dir) directory",
    )  # fmt: skip
    parser.add_argument("--reason", metavar="WHY", help="why; it is kept for ever")
    parser.add_argument("--yes", action="store_true", help="do it; else only the plan is shown")
    parser.add_argument(
        "--check", nargs="*", metavar="ID",
        help="prove again that nobody has what was erased (default: all erasures)",
    )  # fmt: skip


ERASE = Command(
    "storage erase",
    "erase data by law: from all branches, DVC remotes, their trash and versions",
    "Finds every branch, tag, manifest, release and copy that has a file. With --yes: commits a "
    "tombstone, new manifests and pointers without the file on all branches, marks the runs that "
    "it touched, deletes every copy and version on all DVC remotes and in the caches here, and "
    "leaves a proof. Old commits can't be pulled whole any more. Ends with 3 where a DVC remote "
    "is away: the same command again finishes. --check ends with 1 if a copy is back.",
    "git branchflow storage erase data/raw/2013-01/january.csv --reason 'request 17' --yes",
    _add_erase,
    _erase,
)
