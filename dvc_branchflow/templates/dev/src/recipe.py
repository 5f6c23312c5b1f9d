"""Decides what a recipe is: all that a fit depends on, but the rows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypedDict, cast

PATH = Path("tuned.json")


class Recipe(TypedDict):
    """What `tune` settles; `evaluate` and `final` follow it, and a server reads its rows by it."""

    target: str
    task: str  # regression or classification
    missing: list[str]
    features: dict[str, str]  # column: number or text
    kind: str  # baseline, linear or boosting
    options: dict[str, Any]
    seed: int


def load() -> Recipe:
    """Read the recipe that `tune` wrote."""
    return cast("Recipe", json.loads(PATH.read_text(encoding="utf-8")))
