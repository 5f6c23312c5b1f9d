"""Checking out a branch or a release."""

from __future__ import annotations

import argparse

from dvc_branchflow import switch
from dvc_branchflow.cli.commands.base import Arguments, Command, Result, open_project
from dvc_branchflow.cli.render import checkout as render
from dvc_branchflow.work.transfer import Report


def _switch(args: Arguments, report: Report) -> Result:
    project = open_project(args)
    outcome = switch.switch(project, args.rev, report, dry_run=args.dry_run)
    text = render.switched(outcome, applied=not args.dry_run, top=project.git.toplevel)
    return Result(outcome, text)


def _add_switch(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("rev", help="a branch, or a release's tag or any commit (detached)")


SWITCH = Command(
    "switch",
    "check out a branch or release with exactly its data",
    "Brings the data into the cache, then changes the checkout as `git switch` does, and "
    "links the data in place. Refuses where something not committed would be lost.",
    "git branchflow switch churn@v1.1.0",
    _add_switch,
    _switch,
)
