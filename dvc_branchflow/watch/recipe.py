"""What a release says of its own inputs and target: the `tuned.json` of its commit."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Literal

from dvc_branchflow.errors import ConfigError
from dvc_branchflow.values import dataclass

RECIPE_FILE = "tuned.json"
ColumnKind = Literal["number", "text"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """The inputs of a model.

    Attributes:
        features: column → number or text; empty for a model that reads whole files.
        target: the column that it predicts; empty where it does not say.
        task: regression or classification.
        missing: the texts that mean "no value" in its training data.
    """

    features: Mapping[str, ColumnKind]
    target: str = ""
    task: Literal["regression", "classification"] = "regression"
    missing: tuple[str, ...] = ("",)

    @property
    def prediction(self) -> ColumnKind:
        """What a prediction is."""
        return "number" if self.task == "regression" else "text"


def parse_recipe(content: bytes, where: str) -> Recipe:
    """Return the recipe in a JSON document that may be hostile. Raises: ConfigError: it is none."""
    try:
        document = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"'{where}' is no JSON: {error}") from error
    features = document.get("features") if isinstance(document, dict) else None
    if not isinstance(features, dict) or not features:
        raise ConfigError(f"'{where}' names no features")
    if all(type(size) is int for size in features.values()):  # how the template reads files
        return Recipe({}, task="classification")
    if any(kind not in {"number", "text"} for kind in features.values()):
        raise ConfigError(f"'{where}' has features that are neither number nor text")
    task, target = document.get("task", "regression"), document.get("target", "")
    missing = document.get("missing", [""])
    if task not in {"regression", "classification"} or not isinstance(target, str):
        raise ConfigError(f"'{where}' has a 'task' or 'target' that is none")
    if not isinstance(missing, list) or not all(isinstance(text, str) for text in missing):
        raise ConfigError(f"'{where}' has a 'missing' that is no list of texts")
    return Recipe(features, target, task, tuple(missing))
