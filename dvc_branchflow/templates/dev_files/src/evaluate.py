"""Decides nothing: measures the tuned recipe once, on the test side."""

from __future__ import annotations

import json
from pathlib import Path

from src import data, recipe
from src.model import fit
from src.score import LOSS, confusion, score
from src.stored import save


def main() -> None:
    """Fit on train and validation, measure on test, keep the model that was measured."""
    tuned = recipe.load()
    known = data.read("train", "validation", recipe=tuned)
    model = fit(tuned, known)
    test = data.read("test", recipe=tuned)
    scores = score(model, test)
    rows = {f"rows_{side}": known.sides()[side] for side in ("train", "validation")}
    save(model, Path("models/evaluated.skops"))
    Path("metrics.json").write_text(json.dumps(scores | rows, indent=2) + "\n", encoding="utf-8")
    Path("plots").mkdir(exist_ok=True)
    confusion(model, test, Path("plots/confusion.csv"))
    print(f"{tuned['kind']}: test {LOSS} {scores[LOSS]:g} on {scores['rows']} files")


if __name__ == "__main__":
    main()
