"""Plans of experiments, what is refused in them, and the verdicts that data allow."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from dvc_branchflow.errors import ConfigError
from dvc_branchflow.experiment.findings import Findings, Segment
from dvc_branchflow.experiment.plan import Plan, parse_plan
from dvc_branchflow.experiment.verdict import Units, decide, measure, mismatch
from dvc_branchflow.pages.analysis import report_page
from dvc_branchflow.typed import decode, encode

RATE = {
    "question": "does it help?",
    "environment": "prod",
    "groups": {"old": "m@v1.0.0", "new": "m@v1.1.0"},
    "shares": {"old": 0.5, "new": 0.5},
    "metric": {"column": "correct", "scale": "rate"},
    "effect": 0.05,
    "expected": 0.5,
    "horizon": "2026-11-02..2026-11-16",
}


def _plan(**change: Any) -> Plan:
    return parse_plan("checkout", {**RATE, **change})


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"metirc": 1}, "no key that we know; did you mean 'metric'?"),
        ({"question": ""}, "'question' has to be text"),
        ({"kind": "abc"}, "is none of: ab, forward, backtest"),
        ({"groups": {"old": "m@v1.0.0"}}, "two to ten groups"),
        ({"groups": {"old": "m@v1.0.0", "a b": "x"}}, "is no plain name"),
        ({"shares": {"old": 1.0}}, "a share above 0"),
        ({"shares": {"old": 0.5, "new": 0.4}}, "sum to 1"),
        ({"shares": {"old": 0.5, "new": "half"}}, "no numbers"),
        ({"ramp": [{"old": 0.5, "other": 0.5}]}, "groups of the plan"),
        ({"metric": {"column": "x"}}, "is none of: rate, mean"),
        ({"metric": {"column": "", "scale": "rate"}}, "has to name a column"),
        ({"metric": {"column": "x", "scale": "mean"}}, "needs the 'deviation'"),
        ({"metric": {"column": "x", "scale": "rate", "margin": -1}}, "no number from 0 up"),
        ({"effect": 0}, "'effect' 0 can't be"),
        ({"expected": 1.5}, "a rate between 0 and 1"),
        ({"horizon": "soon"}, "no window"),
        ({"level": 2}, "'level' 2 can't be"),
        ({"guardrails": {"a": 1}}, "has to be a list"),
        ({"segments": [3]}, "has to name a column"),
    ],
)  # fmt: skip
def test_a_plan_that_is_none_is_refused(change: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError) as found:
        _plan(**change)
    assert said in found.value.message


def test_a_plan_says_how_many_units_it_needs() -> None:
    needed = _plan().rows_needed()
    assert needed["old"] == needed["new"] == pytest.approx(1565, abs=15)
    uneven = _plan(shares={"old": 0.9, "new": 0.1}).rows_needed()
    assert uneven["old"] > needed["old"] > uneven["new"] > 500
    mean = _plan(metric={"column": "x", "scale": "mean"}, effect=0.1, expected={"value": 3, "deviation": 1})  # fmt: skip
    assert mean.rows_needed()["old"] == 1570
    assert mean.power_at(1570, 1) >= 0.8


def _units(rate: float, n: int, seed: int = 1) -> Units:
    hits = np.zeros(n)
    hits[: round(rate * n)] = 1
    return Units(np.random.default_rng(seed).permutation(hits), np.ones(n))


def _word(old: float, new: float, n: int, *, is_over: bool = False, p: float | None = 0.5, guard: tuple[float, float] | None = None, **change: Any) -> tuple[str, str]:  # fmt: skip
    plan = _plan(guardrails=[{"column": "slow", "scale": "rate", "better": "lower", "margin": 0.02}], **change)  # fmt: skip
    primary = measure(plan, plan.metric, "new", _units(old, n), _units(new, n), alpha=0.05)
    guards = []
    if guard:
        metric = plan.guardrails[0]
        guards = [(metric, measure(plan, metric, "new", _units(guard[0], n), _units(guard[1], n), alpha=0.05))]  # fmt: skip
    found = decide(plan, primary, guards, mismatch_p=p, is_over=is_over)
    return found.word, found.reason


def test_the_verdict_follows_from_sizes_guardrails_and_effect_in_this_order() -> None:
    assert _word(0.5, 0.6, 4_000)[0] == "ship"
    assert _word(0.5, 0.4, 4_000)[0] == "stop"
    assert _word(0.5, 0.52, 1_000)[0] == "not yet"
    assert _word(0.5, 0.6, 4_000, p=1e-6)[0] == "hold"
    assert "group sizes" in _word(0.5, 0.6, 4_000, p=1e-6)[1]
    assert _word(0.5, 0.6, 4_000, guard=(0.1, 0.3)) == ("stop", "guardrail slow is worse than its margin")  # fmt: skip
    assert _word(0.5, 0.6, 4_000, guard=(0.1, 0.13)) == ("not yet", "the horizon is not over, and nothing is clear before")  # fmt: skip
    assert _word(0.5, 0.6, 4_000, guard=(0.1, 0.1))[0] == "ship"
    assert _word(0.5, 0.6, 4_000, p=None)[0] == "ship"


def test_at_the_end_of_the_horizon_the_fixed_interval_counts() -> None:
    assert _word(0.5, 0.545, 1_600, is_over=False)[0] == "not yet"
    assert _word(0.5, 0.545, 1_600, is_over=True)[0] == "ship"
    assert _word(0.5, 0.455, 1_600, is_over=True)[0] == "stop"
    assert "ruled out" in _word(0.5, 0.501, 20_000, is_over=True)[1]
    assert "not ruled out" in _word(0.5, 0.501, 500, is_over=True)[1]
    assert _word(0.5, 0.545, 1_600, is_over=True, guard=(0.1, 0.125))[0] == "hold"


def test_a_metric_of_which_less_is_better_is_turned_round() -> None:
    less = {"metric": {"column": "correct", "scale": "rate", "better": "lower"}}
    assert _word(0.5, 0.4, 4_000, **less)[0] == "ship"
    assert _word(0.5, 0.6, 4_000, **less)[0] == "stop"


def test_rows_of_a_unit_are_summed_and_means_of_few_units_are_resampled() -> None:
    plan = _plan(metric={"column": "x", "scale": "mean"}, effect=0.5, expected={"value": 3, "deviation": 1})  # fmt: skip
    draw = np.random.default_rng(2)
    one, two = draw.exponential(3, 400), draw.exponential(4, 300)
    plain = measure(plan, plan.metric, "new", Units(one, np.ones(400)), Units(two, np.ones(300)), alpha=0.05)  # fmt: skip
    assert plain.resampled is not None
    assert plain.resampled.low == pytest.approx(plain.effect.low, abs=0.15)
    rows = draw.integers(1, 9, 400).astype(float)
    ratio = measure(plan, plan.metric, "new", Units(one * rows, rows), Units(two, np.ones(300)), alpha=0.05)  # fmt: skip
    assert ratio.resampled is None
    assert ratio.control.estimate == pytest.approx((one * rows).sum() / rows.sum())


def test_group_sizes_are_held_to_the_plan_but_not_after_a_ramp() -> None:
    assert mismatch(_plan(), {"old": 500, "new": 510}) == pytest.approx(0.753, abs=0.001)
    assert (mismatch(_plan(), {"old": 5_000, "new": 5_600}) or 1) < 1e-6
    assert mismatch(_plan(ramp=[{"old": 0.9, "new": 0.1}]), {"old": 1, "new": 9}) is None


def test_a_report_is_read_back_and_its_page_shows_what_is_hostile_as_text() -> None:
    hostile = "<script>x</script>"
    plan = _plan(groups={"old": "m@v1.0.0", "new": "m@v1.1.0"})
    effect = measure(plan, plan.metric, "new", _units(0.5, 500), _units(0.6, 500), alpha=0.05)
    empty = measure(plan, plan.metric, "new", _units(0.5, 0), _units(0.5, 3), alpha=0.05)
    verdict = decide(plan, effect, [], mismatch_p=0.5, is_over=False)
    is_over = False
    found = Findings("checkout", hostile, "analysis/checkout", "c" * 40, "d" * 40, str(plan.horizon), 1_000, {"old": 500, "new": 500}, plan.rows_needed(), 1, 2, 3, 0.5, is_over, (verdict,), (effect, empty), (effect,), (Segment(hostile, hostile, effect),), {"new": 0.4}, "0.1", (hostile,))  # fmt: skip
    assert encode(decode(Findings, encode(found), "x")) == encode(found)
    page = report_page(found)
    assert "<script" not in page
    assert page.count("&lt;script") >= 4
    assert not re.search(r"https?://|src=|href=", page)
    assert page.count("<svg") == 5
