"""From code on dev to releases, and their records side by side."""

from __future__ import annotations

import argparse

from dvc_branchflow import (
    compare,
    releases,
)
from dvc_branchflow.cli.commands.base import (
    Arguments,
    Command,
    Result,
    add_branch,
    add_run,
    open_project,
    tell_left_behind,
)
from dvc_branchflow.cli.render import models as render
from dvc_branchflow.versions import Bump
from dvc_branchflow.work.transfer import Report


def _promote(args: Arguments, report: Report) -> Result:
    project = open_project(args)
    outcome = releases.promote(project, args.branch, report, dry_run=args.dry_run)
    tell_left_behind(project, report, outcome.target)
    return Result(outcome, render.promoted(outcome, applied=not args.dry_run))


def _release(args: Arguments, report: Report) -> Result:
    project = open_project(args)
    bump: Bump | None = "major" if args.major else None
    if args.dry_run:
        planned = releases.plan(project, args.branch, bump)
        return Result(planned, render.release_planned(planned))
    outcome = releases.release(project, args.branch, bump, report, reason=args.reason)
    tell_left_behind(project, report, args.branch, project.config.tracking)
    return Result(outcome, render.released(outcome))


def _add_release(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument("--major", action="store_true", help="make it a major version")


def _runs(args: Arguments, _: Report) -> Result:
    if args.test_looks:
        found = compare.looks(open_project(args), args.model)
        return Result(found, render.looks(found))
    records = compare.runs(open_project(args), args.model)
    return Result(records, render.run_list(records))


def _add_runs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", help="only this model's")
    parser.add_argument(
        "--test-looks",
        action="store_true",
        help="how often each test side was looked at, and by which code",
    )


def _compare(args: Arguments, _: Report) -> Result:
    found = compare.compare(open_project(args), args.tags)
    return Result(found, render.comparison(found))


def _add_compare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("tags", nargs="*", metavar="TAG", help="releases (default: the last two)")


PROMOTE = Command(
    "promote",
    "move code from dev/x to stable/x",
    "Runs the dev branch's checks on the exact tree, then merges its code, without data "
    "and outs, into the stable branch, which it makes if there is none.",
    "git branchflow promote dev/churn",
    add_branch,
    _promote,
)

RELEASE = Command(
    "release",
    "train, evaluate, fit finally, and tag",
    "Runs the stable branch's pipeline and checks, then moves branch, annotated tag and "
    "the record on the tracking branch together, or nothing. Patch: new data; minor: new "
    "code; major: asked for.",
    "git branchflow release stable/churn",
    _add_release,
    _release,
)

RUNS = Command(
    "runs",
    "list the runs on record",
    "Reads the records on the tracking branch and in the tags. Changes nothing.",
    "git branchflow runs --model churn --json",
    _add_runs,
    _runs,
    changes=False,
)

COMPARE = Command(
    "compare",
    "put releases side by side",
    "Metrics, pins, params, code and outs that differ. Releases on different split "
    "certificates are not ranked. Changes nothing.",
    "git branchflow compare churn@v1.0.0 churn@v1.1.0",
    _add_compare,
    _compare,
    changes=False,
)
