"""What a command is, and what most of them share."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

from dvc_branchflow.errors import BranchflowError, ConfigError
from dvc_branchflow.project import Project
from dvc_branchflow.retention import parse_period
from dvc_branchflow.values import dataclass
from dvc_branchflow.work.checkouts import left_behind
from dvc_branchflow.work.transfer import Report

Arguments = argparse.Namespace


@dataclass(frozen=True, slots=True)
class Result:
    """A verb's value, how it reads, and the exit code that it means.

    `errors`: what could not be read while the rest could.
    """

    value: object
    text: str
    exit_code: int = 0
    errors: Sequence[BranchflowError] = ()


@dataclass(frozen=True, slots=True)
class Command:
    """A command of the CLI; a name of two words is a command of a group.

    `changes`: it takes `--dry-run`.
    """

    name: str
    summary: str
    description: str
    example: str
    add: Callable[[argparse.ArgumentParser], None]
    call: Callable[[Arguments, Report], Result]
    changes: bool = True


def open_project(args: Arguments) -> Project:
    """Open the repository that the command works in."""
    return Project.open(Path(args.directory))


def tell_left_behind(project: Project, report: Report, *branches: str) -> None:
    """Say which branches moved on the git remote and were left alone here."""
    for branch in left_behind(project, branches):
        report(f"'{branch}' is checked out here and was left as it is; `git pull` brings it up")


def add_branch(parser: argparse.ArgumentParser) -> None:
    """Take a branch."""
    parser.add_argument("branch", help="the branch")


def add_run(parser: argparse.ArgumentParser) -> None:
    """Take what a run of a pipeline takes."""
    add_branch(parser)
    parser.add_argument(
        "--reason", metavar="WHY", help="go past the limit of looks at the test side"
    )


def period(text: str) -> float | None:
    """Read a period of time as an argument: seconds, None for `forever`."""
    try:
        return parse_period(text)
    except ConfigError as error:
        raise argparse.ArgumentTypeError(error.message) from None


def nothing(_: argparse.ArgumentParser) -> None:
    """Add no argument of its own."""
