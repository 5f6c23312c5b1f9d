"""Decides whether a model file may be loaded, and what it says of a file from outside."""

from __future__ import annotations

import hashlib
import io
import json
import os
from pathlib import Path

import joblib
import sklearn
import yaml

from src import data

MODEL = Path("models/@MODEL@.joblib")
CARD = Path("models/@MODEL@.json")


def verified(path: Path) -> bytes:
    """Return the file's bytes if they are what dvc.lock says: loading a pickle runs its code."""
    content = path.read_bytes()
    stages = yaml.safe_load(Path("dvc.lock").read_text(encoding="utf-8"))["stages"].values()
    outs = {out["path"]: out["md5"] for stage in stages for out in stage.get("outs", [])}
    if hashlib.md5(content, usedforsecurity=False).hexdigest() != outs.get(path.as_posix()):
        raise ValueError(f"{path} is not the file that dvc.lock names; try `dvc checkout {path}`")
    return content


class Shipped:
    """The verified model. With BRANCHFLOW_SHA256 set, it must be that very file."""

    def __init__(self) -> None:
        content = verified(MODEL)
        self.sha256 = hashlib.sha256(content).hexdigest()
        if os.environ.get("BRANCHFLOW_SHA256") not in (None, "", self.sha256):
            raise ValueError(f"{MODEL} has sha256 {self.sha256}, not that of BRANCHFLOW_SHA256")
        self.card = json.loads(verified(CARD))
        if self.card["sklearn"] != sklearn.__version__:
            raise ValueError(f"{MODEL} needs scikit-learn {self.card['sklearn']}")
        self.estimator = joblib.load(io.BytesIO(content))

    def predict(self, name: str, content: bytes) -> tuple[str, float]:
        """Return the most likely label of a file, and how likely it is by the model.

        Raises: ValueError: the file can't be read as its name says; one line for whoever sent it.
        """
        chances = self.estimator.predict_proba(data.features([(name, content)], self.card))[0]
        best = chances.argmax()
        return str(self.estimator.classes_[best]), float(chances[best])
