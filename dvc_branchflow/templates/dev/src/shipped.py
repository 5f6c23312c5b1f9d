"""Decides whether a model file may be loaded, and how it reads rows from outside."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import pandas as pd
import sklearn

from src import data
from src.origin import tag_of
from src.stored import load, verified

MODEL = Path("models/@MODEL@.skops")
CARD = Path("models/@MODEL@.json")


class Shipped:
    """The verified model. With BRANCHFLOW_SHA256 set, it must be that very file."""

    def __init__(self) -> None:
        content = verified(MODEL)
        self.sha256 = hashlib.sha256(content).hexdigest()
        self.tag = tag_of(content)
        if os.environ.get("BRANCHFLOW_SHA256") not in (None, "", self.sha256):
            raise ValueError(f"{MODEL} has sha256 {self.sha256}, not that of BRANCHFLOW_SHA256")
        self.card = json.loads(verified(CARD))
        if self.card["sklearn"] != sklearn.__version__:
            raise ValueError(f"{MODEL} needs scikit-learn {self.card['sklearn']}")
        self.estimator = load(content)

    def predict(self, rows: list[dict[str, Any]]) -> list[Any]:
        """Return a prediction for each row, which has to hold every feature.

        Raises: ValueError: the rows can't be read; one line for whoever sent them.
        """
        if not rows:
            return []
        return self.estimator.predict(self.features(rows)).tolist()

    def read(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """Return the features of each row as the model sees them, None where it sees nothing."""
        seen = self.features(rows).astype(object)
        return seen.where(seen.notna(), None).to_dict("records")

    def features(self, rows: list[dict[str, Any]]) -> pd.DataFrame:
        """Read values as training did, from their text."""
        kinds = self.card["features"]
        for number, row in enumerate(rows):
            if missing := [name for name in kinds if name not in row]:
                raise ValueError(f"row {number} lacks {', '.join(missing)}")
            if nested := [name for name in kinds if isinstance(row[name], dict | list)]:
                raise ValueError(f"row {number}: {', '.join(nested)} is no plain value")
        text = [[None if row[name] is None else str(row[name]) for name in kinds] for row in rows]
        table = pd.DataFrame(text, columns=list(kinds), dtype=object)
        table = table.mask(table.isin(self.card["missing"]))
        features = data.features(table, kinds)
        if unread := [
            name for name in kinds if (features[name].isna() & table[name].notna()).any()
        ]:
            raise ValueError(f"{', '.join(unread)} must be a number")
        return features
