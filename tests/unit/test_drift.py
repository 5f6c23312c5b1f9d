"""Drift on real columns: what is found, what is not, and how often nothing is called something."""

from __future__ import annotations

import tracemalloc
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats as scipy_stats
from scipy.spatial import distance
from sklearn.metrics import roc_auc_score

from dvc_branchflow.drift.baseline import Baseline, fit_baseline, judge_window, see_window
from dvc_branchflow.drift.effects import (
    divergence_noise,
    jensen_shannon,
    population_stability,
    same_law_p,
    shares,
    wasserstein,
    wasserstein_noise,
)
from dvc_branchflow.drift.sketches import Sample, number_bins
from dvc_branchflow.drift.texts import area_under_curve, hashed, separability
from dvc_branchflow.drift.thresholds import Thresholds
from tests.support.flights import KINDS, chunk, flights, month, rows

CALM = Thresholds()


def _findings(baseline: Baseline, window: dict[str, Any], limits: Thresholds = CALM) -> set[str]:
    """`feature.measure` of all that is found in a window."""
    features, outliers = judge_window(baseline, see_window([window], baseline), limits)
    found = {
        f"{feature.name}.{effect.measure}" for feature in features for effect in feature.findings
    }
    return found | ({"outliers"} if outliers and outliers.is_beyond else set())


@pytest.fixture(scope="module")
def january() -> Baseline:
    return fit_baseline(lambda: [month(1)], KINDS)


# --- Effect sizes -----------------------------------------------------------------------------


def test_effects_are_the_oracles() -> None:
    draw = np.random.default_rng(1)
    one, other = draw.dirichlet(np.ones(9)), draw.dirichlet(np.ones(9))
    places = np.sort(draw.normal(0, 3, 9))
    assert jensen_shannon(one, other) == pytest.approx(
        distance.jensenshannon(one, other) ** 2, rel=1e-9
    )
    both_ways = scipy_stats.entropy(one, other) + scipy_stats.entropy(other, one)
    assert population_stability(one, other) == pytest.approx(both_ways, rel=1e-9)
    deviation = np.sqrt(one @ (places - one @ places) ** 2)
    oracle = scipy_stats.wasserstein_distance(places, places, one, other) / deviation
    assert wasserstein(one, other, places) == pytest.approx(oracle, rel=1e-9)
    counts = draw.integers(5, 50, (2, 6))
    assert same_law_p(*counts) == pytest.approx(
        scipy_stats.chi2_contingency(counts).pvalue, rel=1e-9
    )


def test_a_shift_of_half_a_deviation_is_half_a_wasserstein_and_a_quarter_of_psi() -> None:
    draw = np.random.default_rng(2)
    baseline = fit_baseline(lambda: [{"x": draw.normal(7, 3, 200_000)}], {"x": "number"})
    window = see_window([{"x": draw.normal(8.5, 3, 200_000)}], baseline)
    (feature,), _ = judge_window(baseline, window, CALM)
    values = {effect.measure: effect.value for effect in feature.effects}
    assert values["wasserstein"] == pytest.approx(0.5, abs=0.02)
    assert values["psi"] == pytest.approx(0.25, abs=0.03)
    assert values["js"] == pytest.approx(0.03, abs=0.005)


def test_shares_of_zero_are_refused() -> None:
    with pytest.raises(ValueError, match="share is 0"):
        population_stability(np.array([0.0, 1.0]), np.array([0.5, 0.5]))
    with pytest.raises(ValueError, match="different cells"):
        jensen_shannon(np.array([1.0]), np.array([0.5, 0.5]))


@pytest.mark.parametrize(("n", "m"), [(200, 5000), (1000, 1000)])
def test_chance_adds_to_an_effect_what_the_noise_says(n: int, m: int) -> None:
    draw = np.random.default_rng(3)
    law = np.full(10, 0.1)
    places = np.arange(10.0)
    one, other = draw.multinomial(m, law, 3000), draw.multinomial(n, law, 3000)
    psi = [population_stability(shares(a), shares(b)) for a, b in zip(one, other, strict=True)]
    beyond = np.mean(np.array(psi) > divergence_noise(n, m, 10, 0.01))
    assert 0.004 < beyond < 0.016
    moved = [wasserstein(a / m, b / n, places) for a, b in zip(one, other, strict=True)]
    assert np.mean(np.array(moved) > wasserstein_noise(law, places, n, m, 0.01)) < 0.01


# --- Real months ------------------------------------------------------------------------------


def test_of_a_year_the_months_of_bad_weather_are_flagged_and_no_other(january: Baseline) -> None:
    found = {number: _findings(january, month(number)) for number in range(2, 13)}
    assert {number: names for number, names in found.items() if names} == {
        6: {"dep_delay.wasserstein"},
        7: {"dep_delay.wasserstein", "arr_delay.wasserstein"},
        9: {"arr_delay.psi", "arr_delay.js"},
    }


@pytest.mark.parametrize("number", [2, 7])
def test_thirty_five_rows_are_no_ground_for_an_alert(january: Baseline, number: int) -> None:
    few = rows(month(number), np.random.default_rng(4).choice(20_000, 35, replace=False))
    assert _findings(january, few) == set()
    assert _findings(january, few, Thresholds(min_rows=30)) <= {"dep_delay.psi", "arr_delay.psi"}


def test_every_kind_of_change_is_found(january: Baseline) -> None:
    draw = np.random.default_rng(5)
    window = month(2)
    window["air_time"] = np.where(
        draw.uniform(size=len(window["air_time"])) < 0.2, np.nan, window["air_time"]
    )
    window["distance"] = np.where(
        draw.uniform(size=len(window["distance"])) < 0.1, 9_999.0, window["distance"]
    )
    carriers = np.array(window["carrier"].to_pylist(), object)
    carriers[draw.uniform(size=carriers.size) < 0.1] = "ZZ"
    window["carrier"] = pa.array(carriers)
    window["origin"] = pa.array(
        np.where(draw.uniform(size=carriers.size) < 0.6, "JFK", window["origin"].to_pylist())
    )
    found = _findings(january, window)
    assert {
        "air_time.missing",
        "distance.novel",
        "carrier.novel",
        "origin.psi",
        "origin.js",
    } <= found
    assert not {name for name in found if name.startswith(("dest", "hour", "dep_delay"))}


def test_a_feature_that_is_gone_is_found_missing(january: Baseline) -> None:
    window = month(2)
    window["hour"] = np.full(len(window["hour"]), np.nan)
    window["dest"] = pa.nulls(len(window["hour"]), pa.string())
    assert {"hour.missing", "dest.missing"} <= _findings(january, window)


SIZES = (35, 250, 1_000, 5_000, 20_000)
STRENGTHS = {
    "air_time, shifted by parts of its deviation": (0.1, 0.25, 0.5, 1.0),
    "air_time, share that goes missing": (0.02, 0.06, 0.1, 0.2),
    "carrier, share with a new value": (0.01, 0.025, 0.05, 0.1),
}


def _changed(columns: dict[str, Any], change: str, strength: float) -> dict[str, Any]:
    draw = np.random.default_rng(1)
    hit = draw.uniform(size=len(columns["air_time"])) < strength
    if "shifted" in change:
        moved = columns["air_time"] + strength * np.nanstd(columns["air_time"])
        return {**columns, "air_time": moved}
    if "missing" in change:
        return {**columns, "air_time": np.where(hit, np.nan, columns["air_time"])}
    return {**columns, "carrier": pa.array(np.where(hit, "ZZ", columns["carrier"].to_pylist()))}


@pytest.mark.slow
@pytest.mark.parametrize("change", STRENGTHS)
def test_a_known_change_is_found_the_sooner_the_stronger_it_is(change: str) -> None:
    """The table in docs/explanation/statistics.md: how many of 20 windows of a size are flagged."""
    draw = np.random.default_rng(6)
    quiet = {name: month(1)[name] for name in ("air_time", "carrier")}
    baseline = fit_baseline(lambda: [quiet], {name: KINDS[name] for name in quiet})
    found: dict[float, list[int]] = {}
    for strength in (0.0, *STRENGTHS[change]):
        changed = _changed(quiet, change, strength)
        found[strength] = [
            sum(
                bool(_findings(baseline, rows(changed, draw.choice(27_004, size, replace=False))))
                for _ in range(20)
            )
            for size in SIZES
        ]
        print(f"| {change} | {strength} | {' | '.join(map(str, found[strength]))} |")
    strongest, weakest = max(found), min(STRENGTHS[change])
    assert found[0.0] == [0] * 5  # quiet windows
    assert found[strongest] == [0, 20, 20, 20, 20]
    assert found[weakest] == [0] * 5  # real, and too small to matter: silent at any size
    assert all(weak <= strong for weak, strong in pairwise(sum(found[s]) for s in sorted(found)))


@pytest.mark.slow
def test_a_thousand_quiet_windows_give_hardly_a_false_alarm() -> None:
    draw = np.random.default_rng(7)
    year = chunk(flights())
    order = draw.permutation(len(year["hour"]))
    baseline = fit_baseline(lambda: [rows(year, order[:50_000])], KINDS)
    alarms = 0
    for number in range(1000):
        which = draw.choice(order[50_000:], (200, 500, 2_000)[number % 3], replace=False)
        alarms += bool(_findings(baseline, rows(year, which)))
    assert alarms < 10


@pytest.mark.slow
def test_without_thresholds_the_level_holds() -> None:
    """With thresholds at zero only the noise stands between a quiet window and an alarm."""
    draw = np.random.default_rng(8)
    zero = Thresholds(psi=0, js=0, wasserstein=0, missing=0, novel=0, outliers=1, level=0.05)
    year = chunk(flights())
    order = draw.permutation(len(year["hour"]))
    baseline = fit_baseline(lambda: [rows(year, order[:200_000])], KINDS)
    alarms = sum(
        bool(
            {
                n
                for n in _findings(
                    baseline, rows(year, draw.choice(order[200_000:], 2_000, replace=False)), zero
                )
                if not n.endswith("novel")
            }
        )
        for _ in range(200)
    )
    assert alarms <= 20


@pytest.mark.slow
def test_ten_million_rows_are_streamed_and_a_trivial_shift_is_no_finding() -> None:
    def chunks(shift: float) -> Any:
        draw = np.random.default_rng(9)
        for _ in range(20):
            yield {"x": draw.normal(shift, 1, 500_000)}

    tracemalloc.start()
    baseline = fit_baseline(lambda: list(chunks(0))[:1], {"x": "number"})
    tracemalloc.reset_peak()
    window = see_window(chunks(0.02), Baseline(baseline.rows, baseline.sketches))
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    (feature,), _ = judge_window(baseline, window, CALM)
    assert window.rows == 10_000_000
    assert feature.p is not None
    assert feature.p < 1e-10
    assert feature.findings == ()
    assert peak_bytes < 100 * 2**20


# --- Bins, samples, texts, outliers -----------------------------------------------------------


def test_odd_columns_have_a_sketch() -> None:
    for values in (
        np.full(600, np.nan),
        np.full(600, 3.0),
        np.array([1e300, -1e300] * 300),
        np.array([np.inf, 1.0] * 600),
    ):
        baseline = fit_baseline(lambda values=values: [{"x": values}], {"x": "number"})
        assert _findings(baseline, {"x": values}) == set()
        assert _findings(baseline, {"x": np.full(600, 17.0)}) or not np.isfinite(values).any()
    assert fit_baseline(list, {"x": "number", "y": "text"}).rows == 0


def test_a_constant_that_changes_is_found() -> None:
    baseline = fit_baseline(lambda: [{"x": np.full(500, 3.0)}], {"x": "number"})
    assert "x.novel" in _findings(baseline, {"x": np.full(500, 3.1)})


def test_few_values_have_a_bin_each_and_outside_are_two_more() -> None:
    bins = number_bins(np.array([1.0, 2.0, 5.0]), 1.0, 5.0)
    counted = bins.counted(np.array([0.9, 1.0, 2.0, 5.0, 5.1, np.nan]))
    assert list(counted.counts) == [1, 1, 1, 1, 1]
    assert counted.missing == 1


def test_a_sample_is_even_and_bounded() -> None:
    sample = Sample.seeded(1_000)
    for start in range(0, 100_000, 777):
        sample.add(
            {"x": np.arange(start, min(start + 777, 100_000), dtype=float)},
            min(777, 100_000 - start),
        )
    assert sample.columns["x"].size == 1_000
    assert sample.columns["x"].mean() == pytest.approx(50_000, rel=0.06)


def test_texts_of_another_subject_are_told_apart() -> None:
    draw = np.random.default_rng(10)
    usual, new = (
        ["late", "plane", "gate", "crew", "weather", "snow"],
        ["refund", "money", "card", "charged", "twice"],
    )

    def texts(words: list[str], n: int) -> Any:
        return [" ".join(draw.choice(words, 6)) for _ in range(n)]

    baseline = fit_baseline(
        lambda: [{"note": pa.array([f"{t} {k}" for k, t in enumerate(texts(usual, 1500))])}],
        {"note": "text"},
    )
    assert "note" in baseline.texts
    assert _findings(baseline, {"note": pa.array(texts(usual + new, 300))}) == {"note.auc"}
    same = [hashed(text) for text in texts(usual, 400)]
    assert separability(same[:200], same[200:]) == pytest.approx(0.5, abs=0.1)


def test_the_area_under_the_curve_is_the_oracles() -> None:
    draw = np.random.default_rng(11)
    scores, truth = draw.integers(0, 9, 500).astype(float), draw.integers(0, 2, 500)
    assert area_under_curve(scores, truth) == pytest.approx(roc_auc_score(truth, scores), rel=1e-12)


def test_rows_unlike_the_baseline_are_found_though_each_value_is_usual() -> None:
    draw = np.random.default_rng(13)
    both = draw.multivariate_normal([0, 0], [[1, 0.99], [0.99, 1]], 20_000)
    baseline = fit_baseline(
        lambda: [{"a": both[:, 0], "b": both[:, 1]}], {"a": "number", "b": "number"}
    )
    turned = {"a": both[:4_000, 0], "b": -both[:4_000, 1]}
    assert _findings(baseline, turned) == {"outliers"}
