"""Run records to MLflow, and a stage's runs from there."""

from __future__ import annotations

import argparse
import os

from dvc_branchflow import (
    exchange,
)
from dvc_branchflow.cli.commands.base import (
    Arguments,
    Command,
    Result,
    open_project,
    tell_left_behind,
)
from dvc_branchflow.cli.render import tracking as render
from dvc_branchflow.errors import UsageError
from dvc_branchflow.work.transfer import Report

_URI = "MLFLOW_TRACKING_URI"


def _export(args: Arguments, report: Report) -> Result:
    outcome = exchange.export_runs(
        open_project(args), _uri(args), report, model=args.model, dry_run=args.dry_run
    )
    code = outcome.unreadable[0].exit_code if outcome.unreadable else 0
    text = render.exported(outcome, applied=not args.dry_run)
    return Result(outcome, text, code, outcome.unreadable)


def _add_export(parser: argparse.ArgumentParser) -> None:
    _add_store(parser)
    parser.add_argument("--model", help="only this model's")


def _import(args: Arguments, report: Report) -> Result:
    project = open_project(args)
    outcome = exchange.import_runs(
        project, _uri(args), args.tag, report, run_ids=args.run or (), dry_run=args.dry_run
    )
    tell_left_behind(project, report, project.config.tracking)
    is_there = bool(outcome.imported or outcome.present)
    return Result(outcome, render.imported(outcome, applied=not args.dry_run), int(not is_there))


def _add_import(parser: argparse.ArgumentParser) -> None:
    _add_store(parser)
    parser.add_argument("tag", metavar="TAG", help="the release")
    parser.add_argument(
        "--run", action="append", metavar="ID", help="this run, whatever its tag; may be repeated"
    )


def _add_store(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--mlflow",
        metavar="URI",
        help=f"the store: a server, a database or a folder (default: ${_URI})",
    )


def _uri(args: Arguments) -> str:
    uri: str = args.mlflow or os.environ.get(_URI, "")
    if not uri:
        raise UsageError(
            f"neither --mlflow nor ${_URI} names an MLflow store",
            hint="git branchflow runs export --mlflow sqlite:///mlflow.db",
        )
    return uri


EXPORT = Command(
    "runs export",
    "write the run records into an MLflow store",
    "Writes the record of every release as a run, in the experiment with the model's name: params, "
    "metrics, and pins, certificate and commit as tags. Each stands there once, however often this "
    "is called. Needs the extra: pip install 'dvc-branchflow[mlflow]'.",
    "git branchflow runs export --mlflow http://localhost:5000",
    _add_export,
    _export,
)

IMPORT = Command(
    "runs import",
    "bring what a release's stages logged to MLflow beside its record",
    "Takes the runs with the tag `branchflow.tag` of the release: params, last values and the "
    "number of values of each metric, into a file beside the record on the tracking branch. Each "
    "is brought once. Exits with 1 where all of them were left out.",
    "git branchflow runs import --mlflow http://localhost:5000 churn@v1.0.0",
    _add_import,
    _import,
)
