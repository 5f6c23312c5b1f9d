"""Asking the judge."""

from __future__ import annotations

import argparse

from dvc_branchflow import (
    check,
)
from dvc_branchflow.cli.commands.base import (
    Arguments,
    Command,
    Result,
    open_project,
)
from dvc_branchflow.cli.render import judge as render
from dvc_branchflow.cli.sarif import sarif
from dvc_branchflow.cli.verdict import verdict
from dvc_branchflow.work.transfer import Report


def _check(args: Arguments, _: Report) -> Result:
    if args.explain:
        rule = check.explain(args.explain)
        return Result(rule, render.rule(rule))
    project = open_project(args)
    if args.why_not:
        answer = check.why_not(project, args.why_not, args.branch)
        return Result(answer, render.placement(answer), 0 if answer.may else 1)
    request = check.CheckRequest(args.rev, args.branch, every=args.all, staged=args.staged)
    found = check.check(project, request)
    return Result(found, sarif(found) if args.sarif else verdict(found), int(found.is_refused))


def _add_check(parser: argparse.ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "rev",
        nargs="?",
        metavar="REV|A..B",
        help="a branch, tag or commit, or the commits of B that A lacks (default: what the "
        "current branch has and the git remote has not)",
    )
    what.add_argument("--all", action="store_true", help="the whole history of all refs")
    what.add_argument("--staged", action="store_true", help="what `git commit` would make now")
    what.add_argument("--explain", metavar="CODE", help="say what a rule is, and why")
    what.add_argument("--why-not", metavar="PATH", help="say whether a file may go on the branch")
    parser.add_argument("--branch", metavar="NAME", help="the branch whose rules count")
    parser.add_argument("--sarif", action="store_true", help="print SARIF, for forges")


CHECK = Command(
    "check",
    "judge commits by the roles' rules",
    "Prints violations grouped by branch, each with its code, what was found and how to "
    "repair it. Runs nothing of what it judges, and changes nothing.",
    "git branchflow check origin/raw..raw",
    _add_check,
    _check,
    changes=False,
)
