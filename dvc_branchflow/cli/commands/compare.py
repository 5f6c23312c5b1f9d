"""The runs on record, in a list and side by side."""

from __future__ import annotations

import argparse

from dvc_branchflow import compare, experiments
from dvc_branchflow.cli.commands.base import Arguments, Command, Result, open_project
from dvc_branchflow.cli.render import compare as render
from dvc_branchflow.errors import UsageError
from dvc_branchflow.work.ranking import Choice
from dvc_branchflow.work.transfer import Report


def _runs(args: Arguments, _: Report) -> Result:
    if args.test_looks:
        looks = compare.looks(open_project(args), args.model)
        return Result(looks, render.looks(looks))
    request = compare.RunsRequest(args.model, args.where, args.sort, refused=args.refused)
    found = compare.runs(open_project(args), request)
    text = render.csv(found) if args.csv else render.run_list(found, request.names())
    code = found.unreadable[0].exit_code if found.unreadable else 0
    return Result(found, text, code, found.unreadable)


def _add_runs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", help="only this model's")
    parser.add_argument(
        "--where",
        metavar="CONDITION",
        action="append",
        default=[],
        help="only those where it holds, as 'metrics.mae<25' or pins.split=0b1220; may stand "
        "more than once",
    )
    parser.add_argument(
        "--sort", metavar="NAME[:desc]", help="by this value (default: oldest first)"
    )
    parser.add_argument(
        "--refused", action="store_true", help="the candidates that a gate refused, and why"
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--csv", action="store_true", help="print all values as CSV")
    how.add_argument(
        "--test-looks",
        action="store_true",
        help="how often each test side was looked at, and by which code",
    )


def _compare(args: Arguments, _: Report) -> Result:
    project = open_project(args)
    if (args.lower or args.higher) and not args.by:
        raise UsageError("--lower and --higher say which way the metric of --by is better")
    choice = Choice(args.by, args.lower if args.lower or args.higher else None)
    if args.experiments is None:
        found = compare.compare(project, args.refs, choice)
        return Result(found, render.comparison(found))
    if args.refs:
        raise UsageError("--experiments lists those of one branch or of all, and takes no REF")
    listed = experiments.experiments(project, args.experiments or None, choice)
    code = listed.unreadable[0].exit_code if listed.unreadable else 0
    return Result(listed, render.experiments(listed), code, listed.unreadable)


def _add_compare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "refs",
        nargs="*",
        metavar="REF",
        help="a release's tag, a branch, an experiment or any commit (default: the last two "
        "releases)",
    )
    parser.add_argument(
        "--experiments",
        nargs="?",
        const="",
        metavar="BRANCH",
        help="list the experiments of a branch (default: of all) with what they were run on",
    )
    parser.add_argument("--by", metavar="METRIC", help="rank by this metric alone")
    way = parser.add_mutually_exclusive_group()
    way.add_argument("--lower", action="store_true", help="lower is better")
    way.add_argument("--higher", action="store_true", help="higher is better")


RUNS = Command(
    "runs",
    "list the runs on record",
    "Reads the records on the tracking branch and in the tags; one that can't be read is named, "
    "and the others are listed. Names for --where and --sort: tag, model, version, when, who, "
    "commit, certificate, seconds, pins.BRANCH, params.NAME, metrics.NAME. Changes nothing.",
    "git branchflow runs --where 'metrics.mae<25' --sort metrics.mae",
    _add_runs,
    _runs,
    changes=False,
)

COMPARE = Command(
    "compare",
    "put runs side by side: releases, branches, experiments",
    "Metrics, pins, params, code and outs that differ, from run records or from the commits "
    "themselves. What is best is marked where a gate in branchflow.yaml or an option says which "
    "way; runs on different split certificates or samples are not ranked. Changes nothing.",
    "git branchflow compare churn@v1.1.0 dev/churn quick-fox",
    _add_compare,
    _compare,
    changes=False,
)
