"""Setting branches' pins."""

from __future__ import annotations

import argparse

from dvc_branchflow import pins
from dvc_branchflow.cli.commands.base import (
    Arguments,
    Command,
    Result,
    open_project,
    tell_left_behind,
)
from dvc_branchflow.cli.render import pins as render
from dvc_branchflow.work.transfer import Report

_WILD = frozenset("*?[")  # which no branch has in its name


def _pin(args: Arguments, report: Report) -> Result:
    project = open_project(args)
    wanted = dict(item.partition("@")[::2] for item in args.upstreams)
    if _WILD.isdisjoint(args.branch):
        outcome = pins.pin(project, args.branch, wanted, report, dry_run=args.dry_run)
        tell_left_behind(project, report, args.branch)
        return Result(outcome, render.pinned(outcome, applied=not args.dry_run))
    outcomes = pins.pin_each(project, args.branch, wanted, report, dry_run=args.dry_run)
    tell_left_behind(project, report, *(one.branch for one in outcomes if one.commit))
    failed = [one.error.exit_code for one in outcomes if one.error]
    text = render.pinned_each(outcomes, applied=not args.dry_run)
    return Result(outcomes, text, max(failed, default=0))


def _add_pin(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "branch", help="the branch whose pins are set, or a pattern such as 'dev/*' for many"
    )
    parser.add_argument(
        "upstreams",
        nargs="*",
        metavar="UPSTREAM[@REV]",
        help="what to pin (default: all upstreams at their tips)",
    )


PIN = Command(
    "pin",
    "set the upstream commits that branches are built on",
    "Writes the upstreams' outs as plain .dvc pointers and their commits into pins.yaml, "
    "as a merge commit. Moves the branch's ref only. With a pattern: those of all branches that it "
    "fits and that have the upstreams, together; one that can't be pinned stops no other.",
    "git branchflow pin dev/churn split@1f3870be27",
    _add_pin,
    _pin,
)
