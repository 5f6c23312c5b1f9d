"""Gates: which candidates may take the place of the current release."""

from __future__ import annotations

import math
from typing import Any

import pytest

from dvc_branchflow.gating import Better, Gate, bound, judge, parse_margin

NAN, INF = math.nan, math.inf


@pytest.mark.parametrize(
    ("better", "margin", "current", "found", "passes"),
    [
        ("lower", "0", 3.0, 3.0, True),
        ("lower", "0", 3.0, 2.9, True),
        ("lower", "0", 3.0, 3.0001, False),
        ("higher", "0", 3.0, 3.0, True),
        ("higher", "0", 3.0, 2.9999, False),
        ("lower", "0.5", 3, 3.5, True),
        ("lower", "0.5", 3, 3.51, False),
        ("higher", "0.5", 3, 2.5, True),
        ("higher", "0.5", 3, 2.49, False),
        ("lower", "2%", 50, 51, True),
        ("lower", "2%", 50, 51.01, False),
        ("higher", "2%", 50, 49, True),
        ("higher", "2%", 50, 48.99, False),
        # A share of a negative value is one of its size: worse is still worse.
        ("higher", "10%", -2.0, -2.2, True),
        ("higher", "10%", -2.0, -2.21, False),
        ("lower", "10%", -2.0, -1.8, True),
        ("lower", "10%", -2.0, -1.79, False),
        ("lower", "10%", 0, 0.001, False),
        ("lower", "10%", 0, 0, True),
        # As written, not as floats add up: 0.7 + 0.1 is 0.7999999999999999, 0.3 - 0.1 0.199…98.
        ("lower", "0.1", 0.7, 0.8, True),
        ("lower", "0.1", 0.7, 0.8000000000000002, False),
        ("higher", "0.1", 0.3, 0.2, True),
        ("lower", "3%", 0.1, 0.103, True),
        ("lower", "1e-07", 1e-300, 1e-07, True),
        ("lower", "1", 1e308, 1e308, True),
    ],
)
def test_a_candidate_may_be_worse_by_the_margin_and_no_more(
    better: Better, margin: str, current: float, found: float, *, passes: bool
) -> None:
    assert judge(Gate("mae", better, margin), found, current).has_passed is passes


@pytest.mark.parametrize("current", [None, 1.0])
@pytest.mark.parametrize(
    ("found", "shown", "reason"),
    [
        (None, None, "is missing"),
        (NAN, "nan", "is no finite number"),
        (INF, "inf", "is no finite number"),
        (-INF, "-inf", "is no finite number"),
        ("nan", "nan", "is no finite number"),
        (True, "True", "is no finite number"),
        ([1], "[1]", "is no finite number"),
        (10**400, "1" + "0" * 59, "is no finite number"),
        ("x" * 1000, "x" * 60, "is no finite number"),
    ],
)
def test_what_is_no_finite_number_is_refused_with_or_without_a_release_before(
    found: object, shown: object, reason: str, current: float | None
) -> None:
    result = judge(Gate("mae", "higher", "100%"), found, current)
    assert (result.found, result.reason, result.has_passed) == (shown, reason, False)


@pytest.mark.parametrize("current", [None, NAN, "nan", INF, True, 10**400])
def test_a_first_value_has_nothing_to_be_worse_than(current: object) -> None:
    result = judge(Gate("mae", "lower"), 9.0, current)
    assert (result.has_passed, result.current, result.wanted) == (True, None, "a number")


def test_a_refusal_says_what_was_found_and_wanted() -> None:
    result = judge(Gate("mae", "lower", "2%"), 4.2, 3)
    assert (result.found, result.current, result.wanted) == (4.2, 3, "at most 3.06")
    assert result.reason == "is worse than 3 by more than 2%"
    assert bound(Gate("auc", "higher", "0.01"), 0.9).wanted == "at least 0.89"
    assert bound(Gate("auc", "higher"), None).wanted == "a number"


@pytest.mark.parametrize(
    ("given", "margin"),
    [
        (0, "0"), (0.5, "0.5"), (1e-7, "1e-07"), ("2%", "2%"), ("2.5 %", "2.5%"), ("0%", "0%"),
        (-1, None), (NAN, None), (INF, None), (True, None), ("2", None), ("-2%", None),
        ("nan%", None), ("%", None), ("1e3%", None), (None, None), ([], None), (10**400, None),
    ],
)  # fmt: skip
def test_a_margin_is_a_number_or_a_share(given: Any, margin: str | None) -> None:
    assert parse_margin(given) == margin
