"""Model cards: what is stated, what was measured, and nothing that people wrote breaks them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import yaml

from dvc_branchflow.metafiles import Artifact
from dvc_branchflow.model import Sha
from dvc_branchflow.work.card import Stated, model_card
from dvc_branchflow.work.records import RunRecord

RECORD = RunRecord(
    tag="m@v1.2.0", model="m", version="v1.2.0", commit="",
    code={"digest": "d"}, pins={"split": "b" * 40}, certificate="c" * 64, params={"scale": 2},
    metrics={"metrics.json": {"mae": 2.5, "rows": 40}},
    outs={
        "models/m.bin": {"md5": "e" * 32, "size": 7, "sha256": "f" * 64},
        "models/evaluated.bin": {"md5": "a" * 32, "size": 5},
    },
    checks={"tests": {"command": "pytest | tee log"}}, environment={}, seconds=1.5,
    who="A <a@b>", when="2026-01-01T00:00:00Z", test={"looks": 3},
)  # fmt: skip
NOTHING = Stated(Artifact(""), None, None, ())
ARTIFACT = Artifact(
    "models/m.bin", "Says how late a flight is: **on time** or not.", ("tabular", "flights"),
    {"library_name": "sklearn", "pipeline_tag": "tabular-regression", "license": "mit", "x": "y"},
)  # fmt: skip
RESULT = {
    "gate": "mae",
    "found": 2.5,
    "current": 2.0,
    "wanted": "at most 2.04",
    "reason": "is worse",
}


def front_matter(card: str) -> dict[str, Any]:
    assert card.startswith("---\n")
    return yaml.safe_load(card[4:].partition("\n---\n")[0])


def headings(card: str) -> list[str]:
    without_code = card.partition("\n---\n")[2].split("\n```")[::2]
    return [line for text in without_code for line in text.split("\n") if line.startswith("#")]


def test_a_card_says_what_was_measured_on_what() -> None:
    card = model_card(RECORD, replace(NOTHING, evaluated=["models/evaluated.bin"]), "main")
    front = front_matter(card)
    assert front["model_name"] == "m"
    assert front["tags"] == ["dvc-branchflow"]
    assert front["datasets"] == ["split@" + "b" * 40]
    assert "library_name" not in front
    [index] = front["model-index"]
    [result] = index["results"]
    assert result["task"] == {"type": "other"}
    assert result["dataset"]["revision"] == "b" * 40
    assert result["dataset"]["args"] == {"certificate": "c" * 64}
    assert {one["type"]: one["value"] for one in result["metrics"]} == {"mae": 2.5, "rows": 40}
    assert headings(card) == [
        "# m v1.2.0", "## Evaluated weights", "## Shipped weights", "## Checks", "## Limits",
        "## Data", "## Params",
    ]  # fmt: skip
    evaluated, shipped = card.split("## Shipped weights")
    assert "`models/evaluated.bin`" in evaluated
    assert "`models/m.bin`" not in evaluated
    assert "They carry no test score." in shipped
    assert "None stated: no `LIMITS.md`" in card
    assert "Looks at this test side by this model so far: 3." in card


def test_what_people_state_is_in_it() -> None:
    stated = Stated(ARTIFACT, "# Limits\n\nNot for **night** flights.", Sha("9" * 40), ())
    card = model_card(RECORD, stated, "trunk")
    front = front_matter(card)
    assert (front["library_name"], front["pipeline_tag"], front["license"]) == (
        "sklearn", "tabular-regression", "mit",
    )  # fmt: skip
    assert "x" not in front
    assert front["tags"] == ["dvc-branchflow", "tabular", "flights"]
    assert front["model-index"][0]["results"][0]["task"] == {"type": "tabular-regression"}
    assert "Says how late a flight is: **on time** or not." in card
    assert "`docs/problem.md` on `trunk` at `9999999999`" in card
    assert "### Limits\n\nNot for **night** flights." in card


@pytest.mark.parametrize(
    ("evaluated", "says", "shipped_has_score"),
    [
        ([], "No stage says that it evaluates", True),
        (["models/m.bin"], "are those that ship", True),
        (["models/evaluated.bin"], "Two sets of weights", False),
    ],
)
def test_whose_scores_they_are_is_said_only_where_it_is_known(
    evaluated: list[str],
    says: str,
    shipped_has_score: bool,  # noqa: FBT001
) -> None:
    card = model_card(RECORD, replace(NOTHING, evaluated=evaluated), "main")
    assert says in card
    assert ("They carry no test score." not in card) is shipped_has_score


def test_a_release_past_its_gates_says_so() -> None:
    gates = {"against": "m@v1.1.0", "same_split": False, "results": [RESULT]}
    card = model_card(replace(RECORD, gates=gates, reason="it is the\nlaw"), NOTHING, "main")
    assert "Held against m@v1.1.0.\n\nThe two were evaluated on different test sides." in card
    assert "| mae | 2.5 | at most 2.04 | is worse |" in card
    assert "**Released all the same**: it is the law" in card
    passed = {**gates, "same_split": True, "results": [{**RESULT, "reason": ""}]}
    card = model_card(replace(RECORD, gates=passed, reason="for the looks"), NOTHING, "main")
    assert "| mae | 2.5 | at most 2.04 | passed |" in card
    assert "Released all the same" not in card
    assert "different test sides" not in card


def test_a_first_release_has_nothing_to_be_held_against() -> None:
    gates = {"against": None, "same_split": None, "results": [{**RESULT, "reason": ""}]}
    assert "Held against no release" in model_card(replace(RECORD, gates=gates), NOTHING, "main")


@pytest.mark.parametrize(
    "text",
    [
        "a: b\n---\n# x",
        "- [",
        "'\"",
        "x\n```\n# y",
        "| a |\n|---|",
        "\u2028\x85",
        "*" * 5000,
        "{{}}",
    ],
)
def test_no_text_breaks_the_front_matter_or_adds_a_section(text: str) -> None:
    wanted = headings(model_card(RECORD, NOTHING, "main"))
    hostile = replace(
        RECORD,
        params={text: text},
        pins={text: text},
        checks={text: {"command": text}},
        metrics={"metrics.json": {text: 1.0}},
        outs={text: {"md5": text, "sha256": text}},
    )
    artifact = Artifact(text, "", (text,), {"license": text})
    card = model_card(hostile, Stated(artifact, text, None, [text]), "main")
    front = front_matter(card)
    assert front["license"] == text
    assert front["model-index"][0]["results"][0]["metrics"][0]["name"] == text
    assert [line for line in headings(card) if not line.startswith("###")] == wanted


def test_a_record_without_metrics_or_pins_makes_a_card_too() -> None:
    card = model_card(replace(RECORD, metrics={}, pins={}, certificate=None), NOTHING, "main")
    assert "model-index" not in front_matter(card)
    assert "Split certificate: none." in card
