"""What production saw: logs and labels, checks, and alerts."""

from __future__ import annotations

import argparse
from pathlib import Path

from dvc_branchflow.cli.commands.base import (
    Arguments,
    Command,
    Result,
    open_project,
    tell_left_behind,
)
from dvc_branchflow.cli.render import monitor as render
from dvc_branchflow.monitor.alerts import acknowledge, alerts
from dvc_branchflow.monitor.check import check
from dvc_branchflow.monitor.label import LabelRequest, label
from dvc_branchflow.monitor.log import LogRequest, log
from dvc_branchflow.work.transfer import Report

_FORMATS = ("jsonl", "csv", "parquet")


def _log(args: Arguments, report: Report) -> Result:
    project = open_project(args)
    request = LogRequest(
        paths=[Path(path) for path in args.files], env=args.env, kind=args.format,
        source=args.source, new_columns=args.new_columns,
    )  # fmt: skip
    outcome = log(project, request, report, dry_run=args.dry_run)
    if outcome.commit:
        tell_left_behind(project, report, outcome.branch)
    return Result(outcome, render.logged(outcome, applied=not args.dry_run))


def _add_log(parser: argparse.ArgumentParser) -> None:
    _add_files(parser)
    parser.add_argument(
        "--new-columns",
        action="store_true",
        help="take in columns that neither the branch nor the release knows",
    )


def _label(args: Arguments, report: Report) -> Result:
    project = open_project(args)
    request = LabelRequest([Path(path) for path in args.files], args.env, args.format, args.source)
    outcome = label(project, request, report, dry_run=args.dry_run)
    if outcome.commit:
        tell_left_behind(project, report, outcome.branch)
    return Result(outcome, render.labelled(outcome, applied=not args.dry_run))


def _check(args: Arguments, report: Report) -> Result:
    project = open_project(args)
    outcome = check(project, args.environment, args.window, report, dry_run=args.dry_run)
    if outcome.commit:
        tell_left_behind(project, report, outcome.branch)
    return Result(outcome, render.checked(outcome), int(outcome.has_findings))


def _add_check(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "environment", nargs="?", metavar="ENV", help="such as prod (default: the only one)"
    )
    parser.add_argument(
        "--window",
        metavar="SPAN",
        help="'24h' or '7d': the last one that has ended; or FROM..TO in UTC (default: by the "
        "config)",
    )


def _alerts(args: Arguments, _: Report) -> Result:
    found = alerts(open_project(args), args.env, every=args.all)
    return Result(found, render.alerts(found))


def _add_alerts(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--env", metavar="NAME", help="of this environment (default: all)")
    parser.add_argument("--all", action="store_true", help="answered ones as well")


def _ack(args: Arguments, report: Report) -> Result:
    project = open_project(args)
    alert = acknowledge(project, args.alert, args.reason, report, dry_run=args.dry_run)
    return Result(alert, render.acknowledged(alert, applied=not args.dry_run))


def _add_ack(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("alert", help="its id, or the first characters of it")
    parser.add_argument("--reason", required=True, metavar="WHY", help="the answer")


def _add_files(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("files", nargs="+", metavar="FILE", help="files; '-' for standard input")
    _add_env(parser)
    parser.add_argument(
        "--format", choices=_FORMATS, help="what the files hold (default: by their names)"
    )
    parser.add_argument("--source", help="where they come from; stands in the commit")


def _add_env(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--env", metavar="NAME", help="the environment, such as prod (default: the only one)"
    )


LOG = Command(
    "monitor log",
    "append what production saw",
    "Appends rows (request_id, time, tag, prediction, features; if you like score, unit, "
    "experiment, group) to a monitor branch as Parquet, a directory a month, with nothing checked "
    "out. All of them or none: an unknown release, a missing column, a value of another kind or "
    "an id that is there with other content is refused by row. Rows that are there already are "
    "left out, so that the same log can be sent again.",
    "git branchflow monitor log --env prod requests.jsonl",
    _add_log,
    _log,
)

LABEL = Command(
    "monitor label",
    "append what turned out to be true",
    "Appends labels (request_id, label) of rows that are logged. The windows that they are in are "
    "judged again by the next `monitor check`, and both verdicts are kept.",
    "git branchflow monitor label --env prod labels.csv",
    _add_files,
    _label,
)

CHECK = Command(
    "monitor check",
    "judge whether production has drifted",
    "Holds each release seen in a window to exactly what it was trained on, found from its tag: "
    "each feature, the predictions, outliers, and with labels its own metrics and calibration. "
    "The verdict, alerts and a page are committed on the branch; windows whose data have changed "
    "since are judged again. Exit code 1: something is beyond its limits.",
    "git branchflow monitor check prod --window 7d",
    _add_check,
    _check,
)

ALERTS = Command(
    "monitor alerts",
    "list the open alerts",
    "Reads the alerts that lie on the monitor branches. Changes nothing.",
    "git branchflow monitor alerts --all",
    _add_alerts,
    _alerts,
    changes=False,
)

ACK = Command(
    "monitor ack",
    "answer an alert",
    "Closes an alert with a reason, as a commit; the next finding of its kind opens a new one.",
    "git branchflow monitor ack 3f1d0a77c2 --reason 'new carrier, retrain on Monday'",
    _add_ack,
    _ack,
)
