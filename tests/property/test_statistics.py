"""Properties of what is streamed and merged, and of how units are assigned."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dvc_branchflow.assignment import SLOTS, Assignment, assign, slot
from dvc_branchflow.drift.baseline import fit_baseline, judge_window, see_window
from dvc_branchflow.drift.sketches import tally
from dvc_branchflow.drift.thresholds import Thresholds
from dvc_branchflow.stats.calibration import Reliability
from dvc_branchflow.stats.design import mismatch_p
from dvc_branchflow.stats.intervals import newcombe, wilson
from dvc_branchflow.stats.moments import Moments, PairMoments
from dvc_branchflow.stats.multiple import benjamini_hochberg, holm

floats = st.floats(-1e6, 1e6)
columns = st.lists(st.tuples(floats, floats), max_size=60).map(
    lambda rows: np.array(rows, float).reshape(-1, 2)
)
cuts = st.integers(0, 60)
counts = st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(columns, cuts)
def test_moments_of_parts_are_those_of_the_whole(rows: np.ndarray, cut: int) -> None:
    one, two = rows[:cut], rows[cut:]
    whole = PairMoments.of(*rows.T)
    merged = PairMoments.of(*one.T) + PairMoments.of(*two.T)
    assert merged.top.n == whole.top.n
    assert merged.top.mean == pytest.approx(whole.top.mean, rel=1e-9, abs=1e-6)
    assert merged.top.squares == pytest.approx(whole.top.squares, rel=1e-9, abs=1e-3)
    assert merged.cross == pytest.approx(whole.cross, rel=1e-6, abs=1e-3)
    assert (Moments.of(one[:, 0]) + Moments.of(two[:, 0])).n == len(rows)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), max_size=60), cuts)
def test_reliability_of_parts_is_that_of_the_whole(
    rows: list[tuple[float, bool]], cut: int
) -> None:
    table = np.array(rows, float).reshape(-1, 2)
    merged = Reliability.of(*table[:cut].T) + Reliability.of(*table[cut:].T)
    whole = Reliability.of(*table.T)
    assert list(merged.counts) == list(whole.counts)
    assert list(merged.hits) == list(whole.hits)
    assert merged.expected_error() == pytest.approx(whole.expected_error(), nan_ok=True)


values = st.lists(
    st.tuples(st.one_of(floats, st.just(np.nan)), st.sampled_from(["a", "b", "", None])),
    max_size=80,
)


def _chunks(rows: list[tuple[float, str | None]], cut: int) -> list[dict[str, Any]]:
    return [
        {
            "x": np.array([number for number, _ in part], float),
            "y": pa.array([text for _, text in part], pa.string()),
        }
        for part in (rows[:cut], rows[cut:])
    ]


@settings(deadline=None, max_examples=60)
@given(values, values, cuts, cuts)
def test_how_rows_are_cut_into_chunks_changes_no_verdict(
    trained: list[tuple[float, str | None]], seen: list[tuple[float, str | None]], cut: int, at: int
) -> None:
    kinds = {"x": "number", "y": "text"}
    limits = Thresholds(min_rows=5)
    one = fit_baseline(lambda: _chunks(trained, cut), kinds)  # type: ignore[arg-type]
    other = fit_baseline(lambda: _chunks(trained, 0), kinds)  # type: ignore[arg-type]
    features, outliers = judge_window(one, see_window(_chunks(seen, at), one), limits)
    again, outliers_again = judge_window(other, see_window(_chunks(seen, 0), other), limits)
    assert features == again
    assert outliers == outliers_again
    assert all(
        effect.value >= 0 or effect.measure == "missing" for f in features for effect in f.effects
    )


@settings(deadline=None, max_examples=40)
@given(values, cuts)
def test_a_window_like_its_baseline_has_no_finding(
    rows: list[tuple[float, str | None]], cut: int
) -> None:
    baseline = fit_baseline(lambda: _chunks(rows, cut), {"x": "number", "y": "text"})
    features, _ = judge_window(
        baseline, see_window(_chunks(rows, cut), baseline), Thresholds(min_rows=5)
    )
    assert not any(feature.findings for feature in features)


@given(st.lists(st.sampled_from(["a", "b", None]), max_size=30))
def test_a_tally_counts_every_row(texts: list[str | None]) -> None:
    assert tally(pa.array(texts, pa.string())) == Counter(texts)


@given(counts, counts)
def test_intervals_hold_their_estimates_and_stay_in_range(
    one: tuple[int, int], other: tuple[int, int]
) -> None:
    rate, gap = wilson(*one), newcombe(*one, *other)
    assert 0 <= rate.low <= rate.estimate + 1e-12
    assert rate.estimate - 1e-12 <= rate.high <= 1
    assert -1 - 1e-12 <= gap.low <= gap.estimate + 1e-12
    assert newcombe(*other, *one).low == pytest.approx(-gap.high, abs=1e-12)


@given(st.lists(st.floats(0, 1), max_size=20))
def test_corrections_never_lower_a_p_value_and_keep_the_order(raw: list[float]) -> None:
    for correct in (holm, benjamini_hochberg):
        corrected = correct(raw)
        assert all(a <= b + 1e-12 <= 1 + 1e-9 for a, b in zip(raw, corrected, strict=True))
        pairs = sorted(zip(raw, corrected, strict=True))
        assert all(a[1] <= b[1] + 1e-12 for a, b in itertools.pairwise(pairs))


# --- Assignment -------------------------------------------------------------------------------

GROUPS = "abcd"
UNITS = [f"user-{number}" for number in range(2_000)]
shares = st.lists(st.integers(0, SLOTS), min_size=3, max_size=3).map(
    lambda cut: dict(zip(GROUPS, np.diff([0, *sorted(cut), SLOTS]) / SLOTS, strict=True))
)


@settings(deadline=None, max_examples=40)
@given(st.lists(shares, min_size=1, max_size=4))
def test_slots_move_only_from_groups_that_shrink_to_groups_that_grow(
    steps: list[dict[str, float]],
) -> None:
    before, after = Assignment("e", steps), Assignment("e", [*steps, steps[0]])
    old, new = before.slots, after.slots
    assert Counter(new) == {g: round(share * SLOTS) for g, share in steps[0].items() if share}
    for one, two in zip(old, new, strict=True):
        if one != two:
            assert steps[0][one] < steps[-1][one]
            assert steps[0][two] > steps[-1][two]
    moved = sum(one != two for one, two in zip(old, new, strict=True))
    least = sum(max(0, steps[0][g] - steps[-1][g]) for g in GROUPS) * SLOTS
    assert moved == pytest.approx(least, abs=1e-6)


def test_units_are_spread_evenly_and_alike_in_no_two_experiments() -> None:
    halves = [Assignment(salt, [{"a": 0.5, "b": 0.5}]) for salt in "xy"]
    found = [Counter(assign(unit, half) for unit in UNITS) for half in halves]
    assert all(mismatch_p([one["a"], one["b"]], [0.5, 0.5]) > 0.001 for one in found)
    both = Counter((slot(unit, "x") % 2, slot(unit, "y") % 2) for unit in UNITS)
    assert mismatch_p(list(both.values()), [0.25] * 4) > 0.001


def test_a_unit_stays_where_it_was_for_ever() -> None:
    """The hash is a promise to every server that uses it; a change would move everybody."""
    experiment = Assignment("checkout", [{"control": 0.99, "new": 0.01}])
    assert [slot(unit, "checkout") for unit in UNITS[:3]] == [7597, 6043, 9385]
    assert assign("user-0", experiment) == "control"
    ramped = Assignment("checkout", [*experiment.steps, {"control": 0.9, "new": 0.1}])
    assert ramped.slots.index("new") == 9_000


@pytest.mark.parametrize(
    "wrong", [[], [{"a": 0.5}], [{"a": 0.33333, "b": 0.66667}], [{"a": 1.5, "b": -0.5}]]
)
def test_shares_that_cant_be_met_are_refused(wrong: list[dict[str, float]]) -> None:
    with pytest.raises(ValueError, match="share"):
        assign("user", Assignment("e", wrong))
