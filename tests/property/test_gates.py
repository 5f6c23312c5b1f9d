"""What holds for every gate, whatever the numbers are."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from dvc_branchflow.gating import BETTER, Gate, judge

values = st.floats(allow_nan=False, allow_infinity=False)
shares = st.decimals(0, 500, places=3).map(lambda number: f"{number}%")
margins = st.one_of(st.floats(0, 1e6).map(str), shares)
gates = st.builds(Gate, st.just("m"), st.sampled_from(BETTER), margins)


def turned(gate: Gate) -> Gate:
    return Gate(gate.metric, "lower" if gate.better == "higher" else "higher", gate.margin)


@given(gates, values)
def test_the_current_value_itself_always_passes(gate: Gate, value: float) -> None:
    assert judge(gate, value, value).has_passed


@given(gates, values, values)
def test_a_gate_is_its_mirror_image_the_other_way_round(gate: Gate, a: float, b: float) -> None:
    assert judge(gate, a, b).has_passed == judge(turned(gate), -a, -b).has_passed


@given(gates, values, values, values)
def test_what_is_better_than_a_passing_value_passes(
    gate: Gate, current: float, a: float, b: float
) -> None:
    worse, better = sorted((a, b), reverse=gate.better == "lower")
    if judge(gate, worse, current).has_passed:
        assert judge(gate, better, current).has_passed


@given(st.sampled_from(BETTER), margins, margins, values, values)
def test_a_wider_margin_of_the_same_kind_refuses_no_more(
    better: str, one: str, other: str, found: float, current: float
) -> None:
    if one.endswith("%") != other.endswith("%"):
        return
    narrow, wide = sorted((one, other), key=lambda margin: float(margin.rstrip("%")))
    if judge(Gate("m", better, narrow), found, current).has_passed:  # type: ignore[arg-type]
        assert judge(Gate("m", better, wide), found, current).has_passed  # type: ignore[arg-type]


@given(gates, st.sampled_from([None, math.nan, math.inf, -math.inf, "1", True]), values)
def test_no_margin_lets_through_what_is_no_number(gate: Gate, found: object, value: float) -> None:
    assert not judge(gate, found, value).has_passed
    assert not judge(gate, found, None).has_passed
