"""Hugging Face's own library reads our model cards: the front matter, and the results in it."""

from __future__ import annotations

from huggingface_hub import ModelCard

from dvc_branchflow.metafiles import Artifact
from dvc_branchflow.work.card import Stated, model_card
from tests.unit.test_card import ARTIFACT, NOTHING, RECORD


def test_the_card_and_its_results_are_read() -> None:
    stated = Stated(ARTIFACT, "# Limits\n\nNone yet.", None, ["models/evaluated.bin"])
    read = ModelCard(model_card(RECORD, stated, "main"), ignore_metadata_errors=False)
    assert read.data.library_name == "sklearn"
    assert read.data.license == "mit"
    assert read.data.tags == ["dvc-branchflow", "tabular", "flights"]
    assert read.data.datasets == ["split@" + "b" * 40]
    results = {one.metric_type: one for one in read.data.eval_results}
    assert results["mae"].metric_value == 2.5
    assert results["mae"].task_type == "tabular-regression"
    assert results["mae"].dataset_revision == "b" * 40
    assert results["mae"].dataset_split == "test"
    assert results["mae"].dataset_args == {"certificate": "c" * 64}
    assert read.text.strip().startswith("# m v1.2.0")


def test_a_card_of_a_model_that_nobody_described_is_read_too() -> None:
    read = ModelCard(model_card(RECORD, NOTHING, "main"), ignore_metadata_errors=False)
    assert read.data.library_name is None
    assert {one.task_type for one in read.data.eval_results} == {"other"}
    text = "x\n---\n# y"
    hostile = Stated(Artifact("", text, (text,), {"license": text}), text, None, ())
    assert ModelCard(model_card(RECORD, hostile, "main")).data.license == text
