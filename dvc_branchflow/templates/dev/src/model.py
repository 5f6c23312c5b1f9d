"""Decides which estimator a recipe asks for. Add your own kinds here."""

from __future__ import annotations

import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler
from threadpoolctl import threadpool_limits

from src import data
from src.recipe import Recipe

THREADS = 1  # floats are summed in an order, and to a model, that depends on this number
CATEGORIES = 250  # of a text column; the rarest above that count as one (boosting takes 255)


def baseline(recipe: Recipe, _numbers: list[str], _texts: list[str]) -> Pipeline:
    """Predict the mean, or the most frequent label, whatever the features say."""
    return make_pipeline(DummyRegressor() if recipe["task"] == "regression" else DummyClassifier())


def linear(recipe: Recipe, numbers: list[str], texts: list[str]) -> Pipeline:
    """Ridge or logistic regression; `alpha` is the weight of the penalty."""
    scaled = make_pipeline(SimpleImputer(keep_empty_features=True), StandardScaler())
    encoder = OneHotEncoder(handle_unknown="infrequent_if_exist", max_categories=CATEGORIES)
    columns = ColumnTransformer([("number", scaled, numbers), ("text", encoder, texts)])
    alpha = recipe["options"]["alpha"]
    if recipe["task"] == "regression":
        return make_pipeline(columns, Ridge(alpha=alpha))
    return make_pipeline(columns, LogisticRegression(C=1 / alpha, max_iter=1000))


def boosting(recipe: Recipe, numbers: list[str], texts: list[str]) -> Pipeline:
    """Trees on histograms; text columns are categories, a missing value is a branch of its own."""
    encoder = OrdinalEncoder(
        handle_unknown="use_encoded_value", unknown_value=float("nan"), max_categories=CATEGORIES
    )
    columns = ColumnTransformer([("number", "passthrough", numbers), ("text", encoder, texts)])
    is_regression = recipe["task"] == "regression"
    trees = HistGradientBoostingRegressor if is_regression else HistGradientBoostingClassifier
    estimator = trees(
        categorical_features=[False] * len(numbers) + [True] * len(texts),
        early_stopping=False,
        random_state=recipe["seed"],
        **recipe["options"],
    )
    return make_pipeline(columns, estimator)


KINDS = {"baseline": baseline, "linear": linear, "boosting": boosting}


def fit(recipe: Recipe, rows: pd.DataFrame) -> Pipeline:
    """Fit what a recipe asks for on the rows that have a target."""
    features, truth = data.labelled(rows, recipe)
    numbers = [name for name, kind in recipe["features"].items() if kind == "number"]
    texts = [name for name, kind in recipe["features"].items() if kind == "text"]
    estimator = KINDS[recipe["kind"]](recipe, numbers, texts)
    with threadpool_limits(limits=THREADS):
        return estimator.fit(features, truth)
