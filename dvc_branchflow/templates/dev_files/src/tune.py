"""Decides the recipe: the options that do best on validation."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import yaml

from src import data, recipe
from src.model import fit
from src.recipe import Recipe
from src.score import LOSS, score


def draft(params: dict[str, Any]) -> Recipe:
    """Take from `params.yaml` all that it settles; only the options stay open."""
    label, model = params["data"]["label"], params["model"]
    if "label" not in re.compile(label).groupindex:
        raise ValueError(f"data.label {label!r} has no group (?P<label>...)")
    return {
        "label": label,
        "features": params["features"],
        "kind": model["kind"],
        "options": {},
        "seed": model["seed"],
    }


def combinations(grid: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield every combination of options; a single value needs no list."""
    values = [value if isinstance(value, list) else [value] for value in grid.values()]
    for chosen in product(*values):
        yield dict(zip(grid, chosen, strict=True))


def main() -> None:
    """Try every combination on the validation side; keep the one with the least loss."""
    params = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    open_recipe = draft(params)
    train, validation = (data.read(side, recipe=open_recipe) for side in ("train", "validation"))
    tried = []
    for options in combinations(params["tune"][open_recipe["kind"]]):
        candidate: Recipe = {**open_recipe, "options": options}
        tried.append((score(fit(candidate, train), validation), candidate))
    scores, best = min(tried, key=lambda one: one[0][LOSS])
    recipe.PATH.write_text(json.dumps(best, indent=2) + "\n", encoding="utf-8")
    report = {**scores, "rows_train": len(train), "combinations": len(tried)}
    Path("validation.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(f"{best['kind']}: best of {len(tried)}, validation {LOSS} {scores[LOSS]:g}")


if __name__ == "__main__":
    main()
