"""Decides what is shipped: the evaluated recipe, fitted on all three sides, and how to call it."""

from __future__ import annotations

import json
from pathlib import Path

import sklearn

from src import data, recipe
from src.model import fit
from src.stored import save

SIDES = ("train", "validation", "test")


def main() -> None:
    """Fit on all data; write the model, and beside it what a server must know."""
    tuned = recipe.load()
    samples = data.read(*SIDES, recipe=tuned)
    save(fit(tuned, samples), Path("models/@MODEL@.skops"))
    card = {"model": "@MODEL@", **tuned, "rows": len(samples), "sklearn": sklearn.__version__}
    content = json.dumps(card, indent=2) + "\n"
    Path("models/@MODEL@.json").write_text(content, encoding="utf-8")
    print(f"{tuned['kind']}: fitted on all {len(samples)} files")


if __name__ == "__main__":
    main()
