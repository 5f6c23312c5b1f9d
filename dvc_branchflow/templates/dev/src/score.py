"""Decides how good a model is: the measures, and the table of predicted against actual."""

from __future__ import annotations

import numpy as np
import pandas as pd
from sklearn import metrics
from sklearn.pipeline import Pipeline

from src import data
from src.recipe import Recipe

LOSS = {"regression": "rmse", "classification": "log_loss"}  # what tuning makes small
BINS = 20


def score(model: Pipeline, recipe: Recipe, rows: pd.DataFrame) -> dict[str, float]:
    """Return the measures of a model on the rows that have a target."""
    features, truth = data.labelled(rows, recipe)
    measure = regression if recipe["task"] == "regression" else classification
    scores = measure(model, features, truth)
    return {"rows": len(truth)} | {name: round(float(value), 6) for name, value in scores.items()}


def regression(model: Pipeline, features: pd.DataFrame, truth: pd.Series) -> dict[str, float]:
    """Errors in the unit of the target; r2 is 0 for a constant and 1 for no error."""
    predicted = model.predict(features)
    return {
        "rmse": metrics.root_mean_squared_error(truth, predicted),
        "mae": metrics.mean_absolute_error(truth, predicted),
        "r2": metrics.r2_score(truth, predicted) if len(truth) > 1 else 0.0,
    }


def classification(model: Pipeline, features: pd.DataFrame, truth: pd.Series) -> dict[str, float]:
    """Shares of right answers, and the loss of the chances; a label never seen has none."""
    chances = model.predict_proba(features)
    predicted = model.classes_[chances.argmax(axis=1)]
    is_true = truth.to_numpy()[:, None] == model.classes_[None, :]
    right = np.clip((chances * is_true).sum(axis=1), 1e-15, 1)
    labels = sorted(set(truth))
    recalls = metrics.recall_score(truth, predicted, labels=labels, average=None, zero_division=0)
    scores = {
        "accuracy": np.mean(predicted == truth.to_numpy()),
        "balanced_accuracy": np.mean(recalls),
        "log_loss": -np.log(right).mean(),
    }
    if labels == sorted(model.classes_) and len(labels) == 2:
        scores["roc_auc"] = metrics.roc_auc_score(is_true[:, 1], chances[:, 1])
    return scores


def calibration(model: Pipeline, recipe: Recipe, rows: pd.DataFrame) -> pd.DataFrame:
    """Return what was predicted and what came true, averaged over up to 20 equal bins.

    For labels: the chance of the label that the model chose, and how often it was right.
    """
    features, truth = data.labelled(rows, recipe)
    if recipe["task"] == "regression":
        predicted, actual = model.predict(features), truth.to_numpy()
    else:
        chances = model.predict_proba(features)
        predicted = chances.max(axis=1)
        actual = model.classes_[chances.argmax(axis=1)] == truth.to_numpy()
    order = np.argsort(predicted, kind="stable")
    bins = [part for part in np.array_split(order, BINS) if part.size]
    means = [(predicted[part].mean(), actual[part].mean(), part.size) for part in bins]
    return pd.DataFrame(means, columns=["predicted", "actual", "rows"]).round(6)
