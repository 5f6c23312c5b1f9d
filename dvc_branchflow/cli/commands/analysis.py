"""Experiments: planned, assigned, reported."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dvc_branchflow.analysis.planning import groups, plan
from dvc_branchflow.analysis.reporting import report_on
from dvc_branchflow.cli.commands.base import (
    Arguments,
    Command,
    Result,
    open_project,
    tell_left_behind,
)
from dvc_branchflow.cli.render import analysis as render
from dvc_branchflow.errors import UsageError
from dvc_branchflow.work.transfer import Report


def _plan(args: Arguments, report: Report) -> Result:
    project = open_project(args)
    content = _read(args.file)
    outcome = plan(project, args.name, content, report, reason=args.reason, dry_run=args.dry_run)
    if outcome.commit:
        tell_left_behind(project, report, outcome.branch)
    return Result(outcome, render.planned(outcome, applied=not args.dry_run))


def _read(name: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
    except OSError as error:
        raise UsageError(f"'{name}' can't be read: {error.strerror}") from error


def _add_name(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", help="of the experiment; its branch is analysis/NAME")


def _add_plan(parser: argparse.ArgumentParser) -> None:
    _add_name(parser)
    parser.add_argument("file", metavar="FILE", help="experiment.yaml; '-' for standard input")
    parser.add_argument(
        "--reason", metavar="WHY", help="change a plan that has data already; stands in the commit"
    )


def _assign(args: Arguments, _: Report) -> Result:
    found = groups(open_project(args), args.name, args.units)
    return Result(found, render.assigned(found))


def _add_assign(parser: argparse.ArgumentParser) -> None:
    _add_name(parser)
    parser.add_argument("units", nargs="+", metavar="UNIT", help="ids of units, such as users")


def _report(args: Arguments, report: Report) -> Result:
    project = open_project(args)
    outcome = report_on(project, args.name, report, dry_run=args.dry_run)
    if outcome.commit:
        tell_left_behind(project, report, outcome.findings.branch)
    return Result(outcome, render.reported(outcome))


PLAN = Command(
    "analysis plan",
    "commit an experiment's plan before its data",
    "Puts experiment.yaml on the branch of the experiment and says how many units each group "
    "needs. The judge refuses data that comes before the plan, and changes of the plan after the "
    "data without a reason.",
    "git branchflow analysis plan checkout experiment.yaml",
    _add_plan,
    _plan,
)

ASSIGN = Command(
    "analysis assign",
    "say which group units belong to",
    "Hashes each id with the experiment's name into one of 10,000 slots, which the plan gives to "
    "groups. The same everywhere and for ever; a growing share takes units from shrinking ones "
    "only. Changes nothing.",
    "git branchflow analysis assign checkout user-17 user-18",
    _add_assign,
    _assign,
    changes=False,
)

REPORT = Command(
    "analysis report",
    "judge an experiment by what is logged so far",
    "Pins the monitor branch, reads the experiment's rows from it and gives each group a verdict: "
    "ship, hold, stop or not yet, with the reason. Group sizes come first, then guardrails. "
    "Commits the report and its page on the experiment's branch.",
    "git branchflow analysis report checkout",
    _add_name,
    _report,
)
