"""What to do when somebody else moves a ref while a plan is made on it: make the plan anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from dvc_branchflow.errors import LostRaceError
from dvc_branchflow.project import Project
from dvc_branchflow.work.transfer import Report

_RACES = 8
_T = TypeVar("_T")


def until_won(project: Project, attempt: Callable[[], _T], report: Report) -> _T:
    """Make and apply a plan on fresh refs; make it anew when somebody else moved one first.

    Raises: LostRaceError: others won each time.
    """
    for _ in range(_RACES - 1):
        project.refresh()
        try:
            return attempt()
        except LostRaceError:
            report("a branch moved meanwhile; planning again")
    project.refresh()
    return attempt()
