"""Laying the flow, guarding it, showing it: init, hooks, demo."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from dvc_branchflow import (
    hooks,
    init,
)
from dvc_branchflow.cli.commands.base import (
    Arguments,
    Command,
    Result,
    open_project,
)
from dvc_branchflow.cli.render import setup as render
from dvc_branchflow.demo import demo
from dvc_branchflow.errors import FlowError
from dvc_branchflow.work.transfer import Report


def _init(args: Arguments, report: Report) -> Result:
    request = init.InitRequest(
        remote=args.remote, endpoint_url=args.endpoint_url, model=args.model,
        target=args.target, key=args.key, sample=args.sample, kind=args.kind,
    )  # fmt: skip
    path = Path(args.directory)
    planned = init.plan(path, request)
    if args.dry_run:
        return Result(planned, render.init_plan(planned, applied=False))
    if planned.touches_existing and planned.branches and not args.yes:
        print(render.init_plan(planned, applied=False), file=sys.stderr)
        raise FlowError(
            "the repository has commits already; nothing was changed",
            hint="git branchflow init --yes  # with the same options, to lay what is listed",
        )
    laid = init.init(path, request, report)
    return Result(laid, render.init_plan(laid, applied=True))


def _add_init(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--remote",
        metavar="URL",
        help="DVC remote: a directory, or s3://bucket/prefix (default: a directory beside "
        "the repository)",
    )
    parser.add_argument("--endpoint-url", metavar="URL", help="S3 server, where it is not Amazon's")
    parser.add_argument("--model", default="model", help="name of the first model (default: model)")
    parser.add_argument(
        "--kind",
        choices=init.KINDS,
        default="table",
        help="what a sample is: a row of CSV files, or a file (images, texts)",
    )
    parser.add_argument("--target", default="", help="column to predict (default: the last one)")
    parser.add_argument(
        "--key",
        default="",
        help="columns that identify a sample's group, with commas (default: the whole row)",
    )
    parser.add_argument(
        "--sample",
        type=float,
        default=0.1,
        help="fraction of the data that dev branches hold (default: 0.1)",
    )
    parser.add_argument("--yes", action="store_true", help="go on in a repository that has commits")


def _hooks(args: Arguments, _: Report) -> Result:
    if args.action == "ci":
        text = hooks.ci_file(args.forge)
        return Result(text, text.rstrip("\n"))
    project = open_project(args)
    if args.action == "install":
        steps = hooks.install(project, server=args.server, dry_run=args.dry_run)
    else:
        steps = hooks.uninstall(project, dry_run=args.dry_run)
    is_partly = any(step.action == "left" for step in steps)
    return Result(steps, render.hook_steps(steps, applied=not args.dry_run), int(is_partly))


def _add_hooks(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "action",
        choices=("install", "uninstall", "ci"),
        help="put the judge into the repository's hooks, take it out, or print a CI file",
    )
    parser.add_argument("forge", nargs="?", choices=hooks.FORGES, help="with ci: for which forge")
    parser.add_argument("--server", action="store_true", help="guard a bare repository's pushes")


def _demo(args: Arguments, report: Report) -> Result:
    if args.dry_run:
        return Result({"path": args.path}, f"would run the whole flow in {args.path}")
    made = demo(Path(args.path), report)
    return Result(made, made.text())


def _add_demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", metavar="DIR", help="a new folder, or one of an earlier demo")


INIT = Command(
    "init",
    "lay the flow over a new or existing repository",
    "Makes the repository where there is none, and the branches main, raw, clean, split "
    "and dev/MODEL with a template on each. What exists is never overwritten; run it "
    "again with another --model to add one.",
    "git branchflow init --remote s3://acme-data/churn --model churn --target left",
    _add_init,
    _init,
)

HOOKS = Command(
    "hooks",
    "have git ask the judge: hooks and CI",
    "Installs client hooks (pre-commit, commit-msg, pre-merge-commit, pre-push), or with "
    "--server a bare repository's pre-receive. They stand beside other hooks and replace "
    "none. `ci` prints a ready file for a forge.",
    "git branchflow hooks install",
    _add_hooks,
    _hooks,
)

DEMO = Command(
    "demo",
    "go through the whole flow on real data",
    "Makes DIR/repo, DIR/origin.git and DIR/store, and takes 2013's flights from New York"
    " through all of it. Needs the extra: pip install 'dvc-branchflow[demo]'.",
    "git branchflow demo ./demo",
    _add_demo,
    _demo,
)
