"""Data that comes in, and what clean threw away."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dvc_branchflow import (
    ingest,
    rejects,
)
from dvc_branchflow.cli.commands.base import (
    Arguments,
    Command,
    Result,
    open_project,
    tell_left_behind,
)
from dvc_branchflow.cli.render import data as render
from dvc_branchflow.errors import UsageError
from dvc_branchflow.query import parse_condition
from dvc_branchflow.work.logexport import Filter
from dvc_branchflow.work.transfer import Report


def _ingest(args: Arguments, report: Report) -> Result:
    project = open_project(args)
    request = ingest.IngestRequest(
        paths=_paths(args.paths), source=args.source or "", branch=args.branch,
        partition=args.partition, license=args.license, message=args.message,
    )  # fmt: skip
    if args.from_monitor:
        outcome = ingest.ingest_from_monitor(
            project, _monitor_request(args), request, report, dry_run=args.dry_run
        )
    else:
        _require_paths(args)
        outcome = ingest.ingest(project, request, report, dry_run=args.dry_run)
    tell_left_behind(project, report, outcome.branch)
    return Result(outcome, render.ingested(outcome, applied=not args.dry_run))


def _monitor_request(args: Arguments) -> ingest.MonitorRequest:
    if args.paths or args.source or not args.window:
        raise UsageError(
            "--from-monitor takes --window FROM..TO, and neither paths nor a source of yours"
        )
    rows = Filter(
        [parse_condition(text) for text in args.where],
        [parse_condition(text) for text in args.skip],
        labelled=not args.unlabelled,
    )
    return ingest.MonitorRequest(args.from_monitor, args.window, rows)


def _require_paths(args: Arguments) -> None:
    if not args.paths:
        raise UsageError("there are no files to ingest")
    if args.source is None:
        raise UsageError("--source is needed: where do the files come from?")


def _paths(given: list[str]) -> list[Path]:
    if given != ["-"]:
        return [Path(path) for path in given]
    data = sys.stdin.buffer.read()
    separator = b"\0" if b"\0" in data else b"\n"
    return [Path(item.decode(errors="surrogateescape")) for item in data.split(separator) if item]


def _add_ingest(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "paths",
        nargs="*",
        metavar="PATH",
        help="files or folders; '-' for a list of paths on stdin (lines, or NUL between)",
    )
    parser.add_argument(
        "--source", help="where the files come from; stands in the commit; needed for files"
    )
    parser.add_argument("--license", help="their licence; stands in the commit")
    parser.add_argument("--branch", help="the branch to append to (default: the only raw branch)")
    parser.add_argument(
        "--partition", help="the partition (default: by the branch's rule, this month)"
    )
    parser.add_argument("-m", "--message", help="subject of the commit")
    logged = parser.add_argument_group("rows of a monitor branch in place of files")
    logged.add_argument("--from-monitor", metavar="ENV", help="of this environment, such as prod")
    logged.add_argument("--window", metavar="FROM..TO", help="logged in this span, in UTC")
    logged.add_argument(
        "--where", action="append", default=[], metavar="COLUMN=VALUE", help="only such rows"
    )
    logged.add_argument(
        "--except",
        action="append",
        default=[],
        dest="skip",
        metavar="COLUMN=VALUE",
        help="no such rows: what an experiment or the model's own decisions touched",
    )
    logged.add_argument("--unlabelled", action="store_true", help="rows without a label as well")


def _rejects(args: Arguments, _: Report) -> Result:
    found = rejects.rejects(open_project(args), args.branch)
    return Result(found, render.rejects(found, why=args.why))


def _add_rejects(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("branch", nargs="?", help="the clean branch (default: the only one)")
    parser.add_argument("--why", action="store_true", help="with the reasons, most frequent first")


INGEST = Command(
    "ingest",
    "append files to raw, with provenance",
    "Appends files or folders to a partition of an append-only branch, with nothing "
    "checked out: hashed, stored on the DVC remote and proven there, then committed. What"
    " is there never changes.",
    "git branchflow ingest --source 'ACME CRM export' --partition 2013-01 exports/",
    _add_ingest,
    _ingest,
)

REJECTS = Command(
    "rejects",
    "list what clean threw away, over time",
    "Reads the reports that a clean branch's commits hold: rows and files kept and rejected, "
    "for each partition at each run. The rejects themselves are in its rejects/ outs. Changes "
    "nothing.",
    "git branchflow rejects --why",
    _add_rejects,
    _rejects,
    changes=False,
)
