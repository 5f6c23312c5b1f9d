"""Decides how good a model is: the measures, and the table of predicted against actual."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
from sklearn import metrics
from sklearn.pipeline import Pipeline

from src.data import Samples, caution

LOSS = "log_loss"  # what tuning makes small
PLOTTED = 10_000  # files at most, evenly spaced


def score(model: Pipeline, samples: Samples) -> dict[str, float]:
    """Return the measures of a model. F1 is the mean over the labels that the files have.

    A file whose label the model never saw can't be right, and its chance counts as 1e-15.
    """
    chances = model.predict_proba(samples.features)
    truth, predicted = samples.labels, model.classes_[chances.argmax(axis=1)]
    is_true = truth[:, None] == model.classes_[None, :]
    right = np.clip((chances * is_true).sum(axis=1), 1e-15, 1)
    labels, known = sorted(set(truth.tolist())), set(model.classes_.tolist())
    if unseen := [label for label in labels if label not in known]:
        caution(f"labels that the model never saw: {', '.join(unseen)}")
    if untested := sorted(known - set(labels)):
        caution(f"labels that say nothing here, for want of a file: {', '.join(untested)}")
    scores = {
        "accuracy": np.mean(predicted == truth),
        "macro_f1": metrics.f1_score(
            truth, predicted, labels=labels, average="macro", zero_division=0
        ),
        "log_loss": abs(np.log(right).mean()),
    }
    counts = {"rows": len(truth), "labels": len(labels), "labels_unseen": len(unseen)}
    return counts | {name: round(float(value), 6) for name, value in scores.items()}


def confusion(model: Pipeline, samples: Samples, path: Path) -> None:
    """Write the actual and the predicted label, a line a file."""
    every = -(-len(samples) // PLOTTED)
    predicted = model.predict(samples.features[::every])
    with path.open("w", encoding="utf-8", newline="") as handle:
        table = csv.writer(handle, lineterminator="\n")
        table.writerow(["actual", "predicted"])
        table.writerows(zip(samples.labels[::every], predicted, strict=True))
