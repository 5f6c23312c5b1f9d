"""The arithmetic against an independent oracle, against simulation, and at its edges."""

from __future__ import annotations

import math

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats as scipy_stats
from statsmodels.stats import multitest, power, proportion, weightstats

from dvc_branchflow.stats.calibration import Reliability
from dvc_branchflow.stats.design import (
    mismatch_p,
    power_of_means,
    power_of_rates,
    rows_needed,
)
from dvc_branchflow.stats.intervals import (
    Interval,
    bootstrap,
    mean,
    newcombe,
    ratio_moments,
    welch,
    wilson,
)
from dvc_branchflow.stats.moments import Moments, PairMoments
from dvc_branchflow.stats.multiple import benjamini_hochberg, holm
from dvc_branchflow.stats.sequential import always_valid, always_valid_p, guarded_rate

CLOSE = {"rel": 1e-9, "abs": 1e-9}
RATES = [(0, 10), (3, 17), (50, 100), (1, 5000), (17, 17)]


def _is_close(found: Interval, low: float, high: float) -> bool:
    return (found.low, found.high) == pytest.approx((low, high), **CLOSE)


@pytest.mark.parametrize(("hits", "n"), RATES)
@pytest.mark.parametrize("alpha", [0.05, 0.001])
def test_a_rate_has_the_oracles_interval(hits: int, n: int, alpha: float) -> None:
    oracle = proportion.proportion_confint(hits, n, alpha=alpha, method="wilson")
    assert _is_close(wilson(hits, n, alpha=alpha), *oracle)


@pytest.mark.parametrize(
    ("one", "other"), [((3, 17), (50, 100)), ((0, 10), (0, 10)), ((1, 5000), (9, 4000))]
)
def test_a_difference_of_rates_has_the_oracles_interval(
    one: tuple[int, int], other: tuple[int, int]
) -> None:
    oracle = proportion.confint_proportions_2indep(*other, *one, method="newcomb", compare="diff")
    assert _is_close(newcombe(*one, *other), *oracle)


def test_a_difference_of_means_has_the_oracles_interval() -> None:
    draw = np.random.default_rng(1)
    one, other = draw.normal(3, 2, 40), draw.exponential(4, 90)
    compared = weightstats.CompareMeans(
        weightstats.DescrStatsW(other), weightstats.DescrStatsW(one)
    )
    found = welch(Moments.of(one), Moments.of(other))
    assert _is_close(found, *compared.tconfint_diff(usevar="unequal"))
    assert _is_close(mean(Moments.of(one)), *weightstats.DescrStatsW(one).tconfint_mean())


def test_a_ratio_is_what_the_delta_method_gives() -> None:
    """Against a weighted regression on a constant, whose robust error is the delta method's."""
    draw = np.random.default_rng(2)
    views = draw.integers(1, 30, 500).astype(float)
    clicks = draw.binomial(views.astype(int), 0.2).astype(float)
    fit = sm.WLS(clicks / views, np.ones(500), weights=views).fit(cov_type="HC0")
    found = ratio_moments(PairMoments.of(clicks, views))
    assert found.mean == pytest.approx(fit.params[0], **CLOSE)
    assert found.error == pytest.approx(fit.bse[0] * math.sqrt(500 / 499), **CLOSE)


@pytest.mark.parametrize("ratio", [1.0, 0.25, 9.0])
def test_power_is_the_oracles(ratio: float) -> None:
    oracle = power.NormalIndPower().power(0.15, 200, 0.05, ratio=ratio)
    assert power_of_means(0.3, 2.0, 200, ratio=ratio) == pytest.approx(oracle, **CLOSE)
    both = proportion.power_proportions_2indep(0.03, 0.1, 900 * ratio, ratio=1 / ratio)
    assert power_of_rates(0.1, 0.03, 900, ratio=ratio) == pytest.approx(both.power, abs=1e-9)


def test_the_rows_needed_are_the_fewest_that_reach_the_power() -> None:
    needed = rows_needed(lambda n: power_of_means(0.1, 1.0, n))
    assert needed == math.ceil(power.NormalIndPower().solve_power(0.1, power=0.8, alpha=0.05))
    assert power_of_means(0.1, 1.0, needed - 1) < 0.8 <= power_of_means(0.1, 1.0, needed)
    with pytest.raises(ValueError, match="no number of rows"):
        rows_needed(lambda _: 0.5)


def test_corrections_are_the_oracles() -> None:
    values = list(np.random.default_rng(3).uniform(0, 0.1, 40) ** 2)
    assert holm(values) == pytest.approx(multitest.multipletests(values, method="holm")[1], **CLOSE)
    oracle = multitest.multipletests(values, method="fdr_bh")[1]
    assert benjamini_hochberg(values) == pytest.approx(oracle, **CLOSE)
    assert holm([]) == benjamini_hochberg([]) == []


def test_a_mismatch_of_group_sizes_is_the_chi_squared_test() -> None:
    oracle = scipy_stats.chisquare([520, 480], [500, 500]).pvalue
    assert mismatch_p([520, 480], [0.5, 0.5]) == pytest.approx(oracle, **CLOSE)
    assert mismatch_p([9_600, 100], [0.99, 0.01]) > 0.05
    assert mismatch_p([9_600, 200], [0.99, 0.01]) < 1e-10
    assert mismatch_p([0, 0], [0.5, 0.5]) == 1


def test_calibration_of_honest_chances_is_good_and_of_others_is_not() -> None:
    draw = np.random.default_rng(4)
    chances = draw.uniform(0, 1, 50_000)
    honest = Reliability.of(chances, (draw.uniform(0, 1, chances.size) < chances).astype(float))
    bold = Reliability.of(chances, (draw.uniform(0, 1, chances.size) < 0.5).astype(float))
    assert honest.expected_error() < 0.01
    assert bold.expected_error() == pytest.approx(0.25, abs=0.01)
    expected = np.mean(chances * (1 - chances))
    assert honest.brier(alpha=1e-3).low < expected < honest.brier(alpha=1e-3).high
    assert all(
        one.came_true.low <= one.chance <= one.came_true.high for one in honest.bins(alpha=1e-4)
    )


def test_few_rows_say_nothing() -> None:
    assert (
        wilson(0, 0) == pytest.approx(Interval(math.nan, 0, 1), nan_ok=True)
        or wilson(0, 0).high == 1
    )
    assert welch(Moments(), Moments()).low == -math.inf
    assert mean(Moments(1, 3.0, 0.0)).high == math.inf
    assert always_valid(Moments(5, 0, 1), Moments(5, 9, 1), scale=1).low == -math.inf
    assert always_valid_p(Moments(5, 0, 1), Moments(5, 9, 1), scale=1) == 1


# --- Coverage, by simulation ------------------------------------------------------------------


def _share_holding(truth: float, intervals: list[Interval]) -> float:
    return sum(one.low <= truth <= one.high for one in intervals) / len(intervals)


def test_intervals_of_rates_hold_the_truth_as_often_as_they_say() -> None:
    draw = np.random.default_rng(5)
    one, other = draw.binomial(300, 0.04, 4000), draw.binomial(200, 0.07, 4000)
    held = _share_holding(0.03, [newcombe(a, 300, b, 200) for a, b in zip(one, other, strict=True)])
    assert 0.94 < held < 0.97
    assert 0.94 < _share_holding(0.04, [wilson(a, 300) for a in one]) < 0.97


def test_intervals_of_means_hold_the_truth_as_often_as_they_say() -> None:
    draw = np.random.default_rng(6)
    one, other = draw.normal(0, 3, (4000, 40)), draw.normal(1, 1, (4000, 60))
    pairs = [(Moments.of(a), Moments.of(b)) for a, b in zip(one, other, strict=True)]
    assert 0.94 < _share_holding(1, [welch(*pair) for pair in pairs]) < 0.96


@pytest.mark.slow
def test_the_bootstrap_misses_on_both_sides_alike_where_values_are_skewed() -> None:
    draw = np.random.default_rng(7)
    one, other = draw.standard_exponential((1000, 40)), draw.standard_exponential((1000, 300))
    found = [bootstrap(a, b, draws=400) for a, b in zip(one, other, strict=True)]
    usual = [welch(Moments.of(a), Moments.of(b)) for a, b in zip(one, other, strict=True)]
    assert 0.92 < _share_holding(0, found) < 0.97
    lean, usual_lean = (
        abs(sum(one.low > 0 for one in some) - sum(one.high < 0 for one in some))
        for some in (found, usual)
    )
    assert lean < usual_lean / 2


def test_ratios_of_dependent_rows_hold_the_truth() -> None:
    draw = np.random.default_rng(8)
    tempers = draw.beta(2, 8, (2000, 300))  # each user's own rate: clicks of one user are alike
    views = draw.integers(1, 20, (2000, 300))
    clicks = draw.binomial(views, tempers)
    found = [
        mean(ratio_moments(PairMoments.of(c.astype(float), v.astype(float))))
        for c, v in zip(clicks, views, strict=True)
    ]
    assert 0.935 < _share_holding(0.2, found) < 0.965


# --- Looking all the time ---------------------------------------------------------------------

ANALYSES = 10_000
LOOKS = 25


def _streams(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means and sums of squares at each look, shape (analyses, looks), of blocks of rows."""
    n = np.arange(1, LOOKS + 1) * values.shape[2]
    sums, squares = values.sum(axis=2).cumsum(axis=1), (values**2).sum(axis=2).cumsum(axis=1)
    return sums / n, squares - sums**2 / n


def _ever_wrong(one: np.ndarray, other: np.ndarray, scale: float) -> tuple[float, float]:
    """How often any look excludes "no difference", by the interval and by Welch's."""
    block = one.shape[2]
    sequential = fixed = 0
    (mean_1, squares_1), (mean_2, squares_2) = _streams(one), _streams(other)
    for row in range(len(one)):
        looks = [
            (
                Moments(block * (k + 1), mean_1[row, k], squares_1[row, k]),
                Moments(block * (k + 1), mean_2[row, k], squares_2[row, k]),
            )
            for k in range(LOOKS)
        ]
        sequential += any(
            not found.low <= 0 <= found.high
            for found in (always_valid(*look, scale=scale) for look in looks)
        )
        if row < 500:
            fixed += any(
                not found.low <= 0 <= found.high for found in (welch(*look) for look in looks)
            )
    return sequential / len(one), fixed / 500


@pytest.mark.slow
def test_verdicts_of_means_stay_valid_in_ten_thousand_analyses_that_peek() -> None:
    draw = np.random.default_rng(9)
    shape = (ANALYSES, LOOKS, 40)
    one = draw.standard_exponential(shape, dtype=np.float32)
    other = draw.standard_exponential(shape, dtype=np.float32)
    sequential, fixed = _ever_wrong(one, other, scale=0.1)
    assert sequential < 0.05
    assert fixed > 0.1  # what peeking at the usual interval does


@pytest.mark.slow
def test_verdicts_of_rare_rates_stay_valid_in_ten_thousand_analyses_that_peek() -> None:
    draw = np.random.default_rng(10)
    hits = draw.binomial(40, 0.02, (2, ANALYSES, LOOKS)).cumsum(axis=2)
    wrong = 0
    for one, other in zip(*hits, strict=True):
        looks = (
            (guarded_rate(int(a), n), guarded_rate(int(b), n))
            for a, b, n in zip(one, other, range(40, 1001, 40), strict=True)
        )
        wrong += any(
            not found.low <= 0 <= found.high
            for found in (always_valid(*look, scale=0.01) for look in looks)
        )
    assert wrong / ANALYSES < 0.05


def test_an_effect_is_found_in_the_end() -> None:
    one, other = Moments(20_000, 0.0, 20_000.0), Moments(20_000, 0.1, 20_000.0)
    found = always_valid(one, other, scale=0.1)
    assert found.low > 0
    assert found.low < welch(one, other).low  # the price of looking at any time
    assert always_valid_p(one, other, scale=0.1) < 0.001


def test_the_sequential_p_value_is_the_intervals() -> None:
    one, other = Moments(500, 0.0, 500.0), Moments(400, 0.31, 380.0)
    p = always_valid_p(one, other, scale=0.2)
    found = always_valid(one, other, scale=0.2, alpha=p)
    assert min(abs(found.low), abs(found.high)) == pytest.approx(0, abs=1e-9)
