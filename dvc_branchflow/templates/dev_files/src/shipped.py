"""Decides whether a model file may be loaded, and what it says of a file from outside."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

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

    def predict(self, name: str, content: bytes) -> tuple[str, float]:
        """Return the most likely label of a file, and how likely it is by the model.

        Raises: ValueError: the file can't be read as its name says; one line for whoever sent it.
        """
        chances = self.estimator.predict_proba(data.features([(name, content)], self.card))[0]
        best = chances.argmax()
        return str(self.estimator.classes_[best]), float(chances[best])
