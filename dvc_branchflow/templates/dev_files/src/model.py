"""Decides which estimator a recipe asks for. Add your own kinds here."""

from __future__ import annotations

from sklearn.compose import ColumnTransformer
from sklearn.dummy import DummyClassifier
from sklearn.feature_extraction.text import TfidfTransformer
from sklearn.feature_selection import VarianceThreshold
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from threadpoolctl import threadpool_limits

from src.data import Samples
from src.recipe import Recipe

THREADS = 1  # floats are summed in an order, and to a model, that depends on this number


def baseline(_recipe: Recipe) -> Pipeline:
    """Predict the most frequent label, whatever the file says."""
    return make_pipeline(DummyClassifier(strategy="prior"))


def linear(recipe: Recipe) -> Pipeline:
    """Logistic regression on TF-IDF and on looks; `alpha` is the weight of the penalty."""
    words = recipe["features"]["words"]
    columns = ColumnTransformer(
        [
            ("words", TfidfTransformer(sublinear_tf=True), slice(0, words)),
            ("looks", "passthrough", slice(words, None)),
        ]
    )
    estimator = LogisticRegression(
        C=1 / recipe["options"]["alpha"], max_iter=1000, random_state=recipe["seed"]
    )
    return make_pipeline(columns, VarianceThreshold(), estimator)  # without what all have alike


KINDS = {"baseline": baseline, "linear": linear}


def fit(recipe: Recipe, samples: Samples) -> Pipeline:
    """Fit what a recipe asks for."""
    labels = set(samples.labels.tolist())
    if len(labels) == 1 and recipe["kind"] != "baseline":
        raise ValueError(f"all {len(samples)} files are {labels.pop()!r}: there is nothing to tell")
    estimator = KINDS[recipe["kind"]](recipe)
    with threadpool_limits(limits=THREADS):
        return estimator.fit(samples.features, samples.labels)
