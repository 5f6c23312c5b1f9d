"""Where the branches stand."""

from __future__ import annotations

from dvc_branchflow import status
from dvc_branchflow.cli.commands.base import Arguments, Command, Result, nothing, open_project
from dvc_branchflow.cli.render import look as render
from dvc_branchflow.work.transfer import Report


def _status(args: Arguments, _: Report) -> Result:
    found = status.status(open_project(args))
    return Result(found, render.flow(found))


STATUS = Command(
    "status",
    "show the whole flow on one screen",
    "Reads local refs and Git objects only: what is newest, who is behind it by how much,"
    " what is released, what is not pushed, and what to do next. Changes nothing.",
    "git branchflow status",
    nothing,
    _status,
    changes=False,
)
