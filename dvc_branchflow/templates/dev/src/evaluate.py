"""Decides nothing: measures the tuned recipe once, on the test side."""

from __future__ import annotations

import json
from pathlib import Path

from src import data, recipe
from src.model import fit
from src.score import LOSS, calibration, score
from src.stored import save


def main() -> None:
    """Fit on train and validation, measure on test, keep the model that was measured."""
    tuned = recipe.load()
    model = fit(tuned, data.read("train", "validation", missing=tuned["missing"]))
    test = data.read("test", missing=tuned["missing"])
    scores = score(model, tuned, test)
    save(model, Path("models/evaluated.skops"))
    Path("metrics.json").write_text(json.dumps(scores, indent=2) + "\n", encoding="utf-8")
    Path("plots").mkdir(exist_ok=True)
    calibration(model, tuned, test).to_csv("plots/calibration.csv", index=False)
    loss = LOSS[tuned["task"]]
    print(f"{tuned['kind']}: test {loss} {scores[loss]:g} on {scores['rows']} rows")


if __name__ == "__main__":
    main()
