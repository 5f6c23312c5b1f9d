"""Conditions and orders over named values."""

from __future__ import annotations

import pytest

from dvc_branchflow.errors import UsageError
from dvc_branchflow.query import Order, flat, ordered, parse_condition, parse_order, require_known

VALUES = {
    "metrics.mae": 24.5,
    "metrics.val.json:r2": -0.1,
    "params.kind": "linear",
    "params.on": True,
    "params.text": "0.10",
    "pins.split": "0b12201bcbe0e222d5976cb10c5ebe020cf38434",
    "version": "v1.10.0",
    "when": "2026-11-24T13:29:33Z",
    "metrics.nan": float("nan"),
    "certificate": None,
}


@pytest.mark.parametrize(
    "text",
    [
        "metrics.mae<25", "metrics.mae <= 24.5", "metrics.mae>=2.45e1", "metrics.mae != 3",
        "metrics.mae=24.50", "metrics.mae==24.5", "metrics.val.json:r2<0", "params.kind=linear",
        "params.kind!=boosting", "params.on=true", "params.text=0.10", "params.text!=0.1",
        "pins.split=0b12", "version>v1.9.0", "when>=2026-11", "metrics.mae != words",
    ],
)  # fmt: skip
def test_condition_that_holds(text: str) -> None:
    assert parse_condition(text).holds(VALUES)


@pytest.mark.parametrize(
    "text",
    [
        "metrics.mae<24.5", "metrics.mae=24", "params.kind=lin", "params.on=True",
        "pins.split=0b1", "pins.split=b122", "version<v1.9.0", "metrics.mae<abc",
        "params.kind<5", "metrics.nan<1", "metrics.nan!=1", "certificate=null", "certificate!=x",
        "params.missing!=1", "params.kind=",
    ],
)  # fmt: skip
def test_condition_that_does_not_hold(text: str) -> None:
    assert not parse_condition(text).holds(VALUES)


@pytest.mark.parametrize("text", ["", "mae", "<5", "  =5", "a b", "!="])
def test_what_is_no_condition_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no condition"):
        parse_condition(text)


def test_order_takes_the_last_word_only_if_it_is_a_way() -> None:
    assert parse_order("metrics.val.json:r2") == Order("metrics.val.json:r2")
    assert parse_order("metrics.val.json:r2:desc") == Order(
        "metrics.val.json:r2", is_descending=True
    )
    assert parse_order("when:asc") == Order("when")
    assert parse_order(":desc") == Order(":desc")


@pytest.mark.parametrize("is_descending", [False, True])
def test_what_lacks_the_value_comes_last_either_way(*, is_descending: bool) -> None:
    rows = [{"n": 1}, {}, {"n": float("nan")}, {"n": 10}, {"n": 9.5}]
    found = ordered(rows, Order("n", is_descending), lambda row: row)
    ranked = [10, 9.5, 1] if is_descending else [1, 9.5, 10]
    assert [row["n"] for row in found[:3]] == ranked
    assert found[3] == {}


def test_versions_are_ordered_by_number() -> None:
    rows = [{"v": f"v1.{n}.0"} for n in (10, 9, 100)]
    assert [row["v"] for row in ordered(rows, Order("v"), lambda row: row)] == [
        "v1.9.0",
        "v1.10.0",
        "v1.100.0",
    ]


def test_a_name_that_nothing_has_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        require_known("params.kid", ["params.kind", "metrics.mae"], "run")
    assert "'params.kid'" in caught.value.message
    assert caught.value.hint == "one of: params.kind"
    require_known("metrics.mae", ["metrics.mae"], "run")


def test_leaves_keep_their_order_and_no_depth_is_too_deep() -> None:
    assert flat({"b": {"x": 1, "a": [2]}, "a": {}}) == {"b.x": 1, "b.a": [2]}
    deep: object = 1
    for _ in range(10_000):
        deep = {"a": deep}
    (name,) = flat(deep)
    assert name.count("a") == 10_000
