"""Making a release once more."""

from __future__ import annotations

import argparse

from dvc_branchflow import reproduce
from dvc_branchflow.cli.commands.base import (
    Arguments,
    Command,
    Result,
    open_project,
    tell_left_behind,
)
from dvc_branchflow.cli.render import reproduce as render
from dvc_branchflow.work.transfer import Report

_GOOD = frozenset({"identical", "within tolerance"})


def _reproduce(args: Arguments, report: Report) -> Result:
    project = open_project(args)
    if args.dry_run:
        planned = reproduce.plan(project, args.tag)
        return Result(planned, render.planned(planned))
    outcome = reproduce.reproduce(
        project, args.tag, report, tolerance=args.tolerance, record=not args.no_record
    )
    if outcome.commit:
        tell_left_behind(project, report, project.config.tracking)
    code = 0 if outcome.reproduction.verdict in _GOOD else 1
    return Result(outcome, render.reproduced(outcome), code)


def _add_reproduce(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("tag", help="the release's tag")
    parser.add_argument(
        "--tolerance",
        type=float,
        default=0.0,
        metavar="PART",
        help="how far metrics may be apart where outs differ, as a part of the larger value "
        "(default: 0, not at all)",
    )
    parser.add_argument("--no-record", action="store_true", help="only look; record nothing")


REPRODUCE = Command(
    "reproduce",
    "make a release once more, and compare",
    "In a worktree of our own at the tag: pulls the pinned data, runs every stage, and compares "
    "each out bit for bit, else the metrics. Branch, tag and cache stay as they are; what came of "
    "it goes on record on the tracking branch. Exit code 1: it came out different.",
    "git branchflow reproduce churn@v1.1.0 --tolerance 0.01",
    _add_reproduce,
    _reproduce,
)
