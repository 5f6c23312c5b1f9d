"""From code on dev to releases."""

from __future__ import annotations

import argparse

from dvc_branchflow import experiments, releases
from dvc_branchflow.cli.commands.base import (
    Arguments,
    Command,
    Result,
    add_run,
    open_project,
    tell_left_behind,
)
from dvc_branchflow.cli.render import models as render
from dvc_branchflow.errors import UsageError
from dvc_branchflow.versions import Bump
from dvc_branchflow.work.transfer import Report


def _promote(args: Arguments, report: Report) -> Result:
    project = open_project(args)
    if args.experiment:
        taken = experiments.promote_params(
            project, args.experiment, args.branch, report, dry_run=args.dry_run
        )
        tell_left_behind(project, report, taken.branch)
        return Result(taken, render.params_promoted(taken, applied=not args.dry_run))
    if args.branch is None:
        raise UsageError("promote takes the dev branch whose code is to move, or --experiment NAME")
    outcome = releases.promote(project, args.branch, report, dry_run=args.dry_run)
    tell_left_behind(project, report, outcome.target)
    return Result(outcome, render.promoted(outcome, applied=not args.dry_run))


def _add_promote(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("branch", nargs="?", help="the dev branch")
    parser.add_argument(
        "--experiment",
        metavar="NAME",
        help="commit this experiment's params on the dev branch (default: the one that it was run "
        "on), and nothing else",
    )


def _release(args: Arguments, report: Report) -> Result:
    project = open_project(args)
    bump: Bump | None = "major" if args.major else None
    if args.dry_run:
        planned = releases.plan(project, args.branch, bump)
        return Result(planned, render.release_planned(planned))
    outcome = releases.release(
        project, args.branch, bump, report, reason=args.reason, allow_worse=args.allow_worse
    )
    tell_left_behind(project, report, args.branch, project.config.tracking)
    return Result(outcome, render.released(outcome))


def _add_release(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument(
        "--allow-worse", action="store_true", help="release what a gate refuses; needs --reason"
    )
    parser.add_argument("--major", action="store_true", help="make it a major version")


PROMOTE = Command(
    "promote",
    "move code from dev/x to stable/x",
    "Runs the dev branch's checks on the exact tree, then merges its code, without data "
    "and outs, into the stable branch, which it makes if there is none. With --experiment it puts "
    "the params that an experiment changed on the dev branch, not its outs; run the branch then.",
    "git branchflow promote dev/churn",
    _add_promote,
    _promote,
)

RELEASE = Command(
    "release",
    "train, evaluate, fit finally, and tag",
    "Runs the stable branch's pipeline, holds its metrics against the current release's by the "
    "branch's gates, runs its checks, then moves branch, annotated tag and the record on the "
    "tracking branch together, or nothing. A candidate that a gate refuses is put on record "
    "there, and nothing else moves. Patch: new data; minor: new code; major: asked for.",
    "git branchflow release stable/churn",
    _add_release,
    _release,
)
