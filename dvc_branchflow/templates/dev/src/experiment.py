"""Decides which requests of an experiment this release answers: those of its own groups.

`experiment.yaml` is the plan as it stands on the experiment's branch, and `src/assignment.py` the
file that branchflow itself assigns with, so that neither needs branchflow here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from src.assignment import Assignment, assign


class MisdirectedError(Exception):
    """A row whose group another release answers; `answer` says which, for whoever sent it."""

    def __init__(self, answer: dict[str, str]) -> None:
        super().__init__(answer["error"])
        self.answer = answer


class Experiment:
    """An experiment as one of its releases sees it.

    Raises: ValueError: the file is no plan, or gives this release no group.
    """

    def __init__(self, name: str, path: str, tag: str) -> None:
        try:
            plan = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
            self.groups: dict[str, str] = dict(plan["groups"])
            self.unit = str(plan.get("unit", "unit"))
            self.assignment = Assignment(name, [*plan.get("ramp", []), dict(plan["shares"])])
            possible = set(self.assignment.slots)
        except OSError as error:
            raise ValueError(f"{path}: {error.strerror}") from error
        except (ValueError, TypeError, KeyError, AttributeError, yaml.YAMLError) as error:
            raise ValueError(f"{path} is no plan of an experiment: {error}") from error
        if unknown := possible - set(self.groups):
            raise ValueError(f"{path} gives shares to {', '.join(sorted(unknown))}, no groups")
        if tag not in self.groups.values():
            raise ValueError(f"{path} has no group of {tag or 'a model without a tag'}")
        self.name, self.tag = name, tag

    def assigned(self, rows: list[dict[str, Any]]) -> list[dict[str, str]]:
        """Return what to log of each row: its unit, the experiment and its group.

        Raises: MisdirectedError: another release has to answer. ValueError: a row names no unit.
        """
        return [self._assigned(number, row) for number, row in enumerate(rows)]

    def _assigned(self, number: int, row: dict[str, Any]) -> dict[str, str]:
        unit = row.get(self.unit)
        if unit == "" or isinstance(unit, bool) or not isinstance(unit, str | int):
            raise ValueError(f"row {number} has no '{self.unit}' to assign it by")
        group = assign(str(unit), self.assignment)
        tag = self.groups[group]
        if tag != self.tag:
            error = f"row {number} is in group {group}, which {tag} answers"
            raise MisdirectedError(
                {"error": error, "experiment": self.name, "group": group, "tag": tag}
            )
        return {self.unit: str(unit), "experiment": self.name, "group": group}
