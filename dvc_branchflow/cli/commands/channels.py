"""Putting releases into use: channels, which GTO calls stages."""

from __future__ import annotations

import argparse

from dvc_branchflow import rollout
from dvc_branchflow.cli.commands.base import Arguments, Command, Result, open_project
from dvc_branchflow.cli.render import channels as render
from dvc_branchflow.work.transfer import Report


def _assign(args: Arguments, report: Report) -> Result:
    made = rollout.assign(
        open_project(args), args.tag, args.channel, report,
        reason=args.reason, dry_run=args.dry_run,
    )  # fmt: skip
    return Result(made, render.assigned(made, applied=not args.dry_run))


def _add_assign(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("tag", help="the release's tag")
    parser.add_argument("channel", help="the channel, such as prod")
    _add_reason(parser)


def _rollback(args: Arguments, report: Report) -> Result:
    made = rollout.rollback(
        open_project(args), args.model, args.channel, report,
        to=args.to, reason=args.reason, dry_run=args.dry_run,
    )  # fmt: skip
    return Result(made, render.assigned(made, applied=not args.dry_run))


def _add_rollback(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", help="the model")
    parser.add_argument("channel", help="the channel, such as prod")
    parser.add_argument("--to", metavar="TAG", help="an earlier release (default: the one before)")
    _add_reason(parser)


def _show(args: Arguments, _: Report) -> Result:
    project = open_project(args)
    if args.history:
        told = rollout.history(project, args.model)
        return Result(told, render.history(told))
    found = rollout.show(project, args.model)
    return Result(found, render.channels(found))


def _add_show(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", nargs="?", help="only this model (default: all)")
    parser.add_argument("--history", action="store_true", help="all that happened, oldest first")


def _add_reason(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--reason", metavar="WHY", help="why; stands in the tag and the history")


ASSIGN = Command(
    "assign",
    "put a release into a channel, such as prod",
    "Proves that every object of the release is on its DVC remote, then makes one of GTO's "
    "annotated tags, `MODEL#CHANNEL#N`. Moves nothing else.",
    "git branchflow assign churn@v1.1.0 prod --reason 'two weeks in staging without a complaint'",
    _add_assign,
    _assign,
)

ROLLBACK = Command(
    "rollback",
    "put back what was in a channel before",
    "Assigns the release that was there before, proven to be on its DVC remote first. Again, and "
    "it goes one further back on the way that the channel came by. Moves nothing else.",
    "git branchflow rollback churn prod --reason 'too many false alarms'",
    _add_rollback,
    _rollback,
)

SHOW = Command(
    "show",
    "show which release of each model is in which channel",
    "Reads the tags that are here, as `gto show` and `gto history` do: since when, by whom and "
    "why. Changes nothing.",
    "git branchflow show churn --history",
    _add_show,
    _show,
    changes=False,
)
