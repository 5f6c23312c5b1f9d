"""Running branches' pipelines."""

from __future__ import annotations

import argparse

from dvc_branchflow import runs
from dvc_branchflow.cli.commands.base import (
    Arguments,
    Command,
    Result,
    add_run,
    open_project,
    tell_left_behind,
)
from dvc_branchflow.cli.render import flow as render
from dvc_branchflow.work.transfer import Report


def _run(args: Arguments, report: Report) -> Result:
    project = open_project(args)
    if args.dry_run:
        planned = runs.plan(project, args.branch)
        return Result(planned, render.run_planned(planned))
    outcome = runs.run(project, args.branch, report, reason=args.reason)
    tell_left_behind(project, report, args.branch)
    return Result(outcome, render.ran(outcome))


def _sync(args: Arguments, report: Report) -> Result:
    project = open_project(args)
    steps = list(runs.sync(project, args.branches, report, every=args.all, dry_run=args.dry_run))
    tell_left_behind(project, report, *(step.branch for step in steps))
    failed = [step.error.exit_code for step in steps if step.error]
    return Result(steps, render.synced(steps), max(failed, default=0))


def _add_sync(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "branches",
        nargs="*",
        metavar="BRANCH",
        help="only these (default: all data and stable branches)",
    )
    parser.add_argument("--all", action="store_true", help="dev branches as well")


RUN = Command(
    "run",
    "re-pin a branch and reproduce its pipeline",
    "In a worktree of our own: pins the upstreams' tips, runs `dvc repro`, judges the "
    "result, stores its data, proves it on the DVC remote, commits, and moves the ref. A "
    "failing stage moves nothing.",
    "git branchflow run clean",
    add_run,
    _run,
)

SYNC = Command(
    "sync",
    "run all that is behind, upstream first",
    "Runs data branches and retrains and releases stable ones that are behind. Stops "
    "below a failure and goes on elsewhere.",
    "git branchflow sync --all",
    _add_sync,
    _sync,
)
