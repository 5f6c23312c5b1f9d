"""Decides what a recipe is: all that a fit depends on, but the files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, TypedDict, cast

PATH = Path("tuned.json")


class Recipe(TypedDict):
    """What `tune` settles; `evaluate` and `final` follow it, and a server reads files by it."""

    label: str  # regular expression with a group of that name, searched in a file's path
    features: dict[str, int]  # sizes: words, grid, colours
    kind: str  # baseline or linear
    options: dict[str, Any]
    seed: int


def load() -> Recipe:
    """Read the recipe that `tune` wrote."""
    return cast("Recipe", json.loads(PATH.read_text(encoding="utf-8")))
