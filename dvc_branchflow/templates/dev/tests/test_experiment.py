"""What has to hold of experiments: each unit is answered by the release of its group alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from src.experiment import Experiment, MisdirectedError
from src.log import Log

OLD, NEW = "example@v1.0.0", "example@v1.1.0"
PLAN = {"groups": {"current": OLD, "next": NEW}, "shares": {"current": 0.5, "next": 0.5}}
UNITS = [f"user-{number}" for number in range(200)]


def experiment(folder: Path, tag: str, **more: object) -> Experiment:
    """Return the plan with some keys changed, as a release sees it."""
    path = folder / "experiment.yaml"
    path.write_text(json.dumps(PLAN | more), encoding="utf-8")
    return Experiment("try", str(path), tag)


def group(one: Experiment, unit: str) -> str:
    """Return the group that a release answers a unit for; of another release's, its refusal."""
    try:
        return one.assigned([{"unit": unit}])[0]["group"]
    except MisdirectedError as error:
        return f"{error.answer['group']} of {error.answer['tag']}"


def test_each_unit_is_answered_by_one_release(tmp_path: Path) -> None:
    old, new = experiment(tmp_path, OLD), experiment(tmp_path, NEW)
    pairs = [(group(old, unit), group(new, unit)) for unit in UNITS]
    assert set(pairs) == {("current", f"current of {OLD}"), (f"next of {NEW}", "next")}
    assert 60 < pairs.count(("current", f"current of {OLD}")) < 140


def test_a_release_of_two_groups_answers_both(tmp_path: Path) -> None:
    both = experiment(tmp_path, OLD, groups={"current": OLD, "next": OLD}, unit="shop")
    logged = both.assigned([{"shop": unit} for unit in UNITS])
    assert {line["group"] for line in logged} == {"current", "next"}
    assert [line["shop"] for line in logged] == UNITS
    assert both.assigned([{"shop": 17}]) == both.assigned([{"shop": "17"}])


@pytest.mark.parametrize("row", [{}, {"unit": ""}, {"unit": None}, {"unit": True}, {"unit": [1]}])
def test_a_row_without_a_unit_is_refused(tmp_path: Path, row: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="row 0 has no 'unit'"):
        experiment(tmp_path, OLD).assigned([row])


@pytest.mark.parametrize(
    ("tag", "more", "why"),
    [
        ("example@v9.0.0", {}, "has no group of example@v9.0.0"),
        ("", {}, "has no group of a model without a tag"),
        (OLD, {"shares": {"current": 1, "next": 1}}, "is no plan"),
        (OLD, {"shares": {"current": 0.5, "other": 0.5}}, "gives shares to other, no groups"),
        (OLD, {"ramp": 1}, "is no plan"),
        (OLD, {"groups": None}, "is no plan"),
    ],
)
def test_what_is_no_plan_of_the_release_is_refused(
    tmp_path: Path, tag: str, more: dict[str, object], why: str
) -> None:
    with pytest.raises(ValueError, match=why):
        experiment(tmp_path, tag, **more)


def test_a_log_holds_what_was_answered_over_what_was_asked(tmp_path: Path) -> None:
    log = Log(str(tmp_path / "log.jsonl"))
    log.write([{"request_id": "a", "group": "mine", "x": 1}], [{"tag": OLD, "group": "next"}])
    log.write([{}], [{"tag": OLD}])
    first, second = map(json.loads, (tmp_path / "log.jsonl").read_text("utf-8").splitlines())
    assert first.pop("time")
    assert first == {"request_id": "a", "group": "next", "tag": OLD}
    assert len(second["request_id"]) == 32
