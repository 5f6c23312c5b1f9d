"""Decides the recipe: what the rows say of it, and the options that do best on validation."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from src import data, recipe
from src.model import fit
from src.recipe import Recipe
from src.score import LOSS, score

LABELS = 20  # a target with more different numbers than this is a quantity


def draft(params: dict[str, Any], rows: pd.DataFrame) -> Recipe:
    """Settle what `params.yaml` leaves to the rows; only the options stay open."""
    wanted, model = params["data"], params["model"]
    target = wanted["target"] or rows.columns[-1]
    names = wanted["features"] or [name for name in rows.columns if name != target]
    if unknown := {target, *names} - set(rows.columns):
        raise ValueError(f"params.yaml names columns that the data lacks: {sorted(unknown)}")
    names = [name for name in names if rows[name].notna().any()]  # an empty one teaches nothing
    is_quantity = data.is_number(rows[target]) and rows[target].nunique() > LABELS
    numbers = [name for name in names if name not in wanted["text"] and data.is_number(rows[name])]
    guess = "regression" if is_quantity else "classification"
    return {
        "target": target,
        "task": guess if wanted["task"] == "auto" else wanted["task"],
        "missing": wanted["missing"],
        "features": {name: "number" if name in numbers else "text" for name in names},
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
    missing = params["data"]["missing"]
    train, validation = (data.read(side, missing=missing) for side in ("train", "validation"))
    open_recipe = draft(params, train)
    loss = LOSS[open_recipe["task"]]
    tried = []
    for options in combinations(params["tune"][open_recipe["kind"]]):
        candidate: Recipe = {**open_recipe, "options": options}
        tried.append((score(fit(candidate, train), candidate, validation), candidate))
    scores, best = min(tried, key=lambda one: one[0][loss])
    recipe.PATH.write_text(json.dumps(best, indent=2) + "\n", encoding="utf-8")
    report = {**scores, "combinations": len(tried)}
    Path("validation.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(f"{best['kind']}: best of {len(tried)}, validation {loss} {scores[loss]:g}")


if __name__ == "__main__":
    main()
