"""Files of verdicts and baselines, alerts, quality and pages: what is written, read and shown."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from dvc_branchflow.drift.baseline import Baseline, fit_baseline, judge_window, see_window
from dvc_branchflow.drift.judging import Effect, FeatureDrift
from dvc_branchflow.drift.stored import baseline_json, parse_baseline
from dvc_branchflow.drift.thresholds import Thresholds
from dvc_branchflow.errors import ConfigError
from dvc_branchflow.lazy import Lazy
from dvc_branchflow.pages.monitor import check_page
from dvc_branchflow.typed import decode, encode
from dvc_branchflow.watch.alerts import Alert, Answer, raised
from dvc_branchflow.watch.quality import Outcomes
from dvc_branchflow.watch.verdicts import Check, Plot, ReleaseCheck, check_id, plot_of
from dvc_branchflow.watch.windows import parse_span

CALM = Thresholds()
HOSTILE = "<script>alert(1)</script>\"'&"


def _baseline() -> Baseline:
    draw = np.random.default_rng(1)
    words = [f"note {n} says {draw.integers(9)} things today" for n in range(1_500)]
    columns = {
        "x": draw.normal(size=1_500),
        "empty": np.full(1_500, np.nan),
        "c": pa.array(draw.choice(["a", "b"], 1_500)),
        "t": pa.array(words),
        "id": pa.array([f"id-{n}" for n in range(1_500)]),
    }
    kinds: Any = {"x": "number", "empty": "number", "c": "text", "t": "text", "id": "text"}
    return fit_baseline(lambda: [columns], kinds)


def test_a_baseline_is_the_same_after_being_stored() -> None:
    baseline = _baseline()
    content = baseline_json(baseline, {"tag": "m@v1.0.0"})
    again = parse_baseline(content, "x")
    assert baseline_json(again, {"tag": "m@v1.0.0"}) == content
    assert (set(again.sketches), set(again.texts), set(again.open)) == (
        {"x", "empty", "c"},
        {"t"},
        {"id"},
    )
    draw = np.random.default_rng(2)
    rows = {
        "x": draw.normal(size=300),
        "empty": np.full(300, np.nan),
        "c": pa.array(["a"] * 300),
        "t": pa.array(["note"] * 300),
        "id": pa.nulls(300, pa.string()),
    }
    one, two = (judge_window(b, see_window([rows], b), CALM) for b in (baseline, again))
    assert one == two
    assert {f.name for f in one[0] if f.findings} >= {"c", "id", "t"}


def _hostile(change: Any) -> bytes:
    document = json.loads(baseline_json(_baseline(), {}))
    change(document)
    return json.dumps(document).encode()


@pytest.mark.parametrize(
    "change",
    [
        lambda d: d.update(schema="other"),
        lambda d: d.pop("rows"),
        lambda d: d.update(rows=-1),
        lambda d: d["sketches"]["x"].update(edges=[3, 2, 1]),
        lambda d: d["sketches"]["x"].update(bins=["a"]),
        lambda d: d["sketches"]["x"]["centres"].reverse(),
        lambda d: d["sketches"]["c"].update(counts={str(n): 1 for n in range(2_000)}),
        lambda d: d["shape"].update(columns=["c"]),
        lambda d: d["shape"].update(weights=[[1.0, 2.0]]),
        lambda d: d["shape"].update(limit="1"),
        lambda d: d["texts"].update(t=[[1 << 30]]),
        lambda d: d.update(open=[]),
    ],
)  # fmt: skip
def test_a_hostile_baseline_is_refused(change: Any) -> None:
    with pytest.raises(ConfigError, match="is no baseline"):
        parse_baseline(_hostile(change), "x")
    with pytest.raises(ConfigError):
        parse_baseline(b"[" * 100_000, "x")


def _drift(value: float, name: str = "size") -> FeatureDrift:
    return FeatureDrift(name, "number", 500, 3_000, (Effect("psi", value, 0.2, 0.05),), 0.01)


def _check(
    window: str = "2026-11-02..2026-11-09", *, value: float = 0.0, name: str = "size"
) -> Check:
    span = parse_span(window)
    wanted = check_id(span, "digest", {"value": value})
    plot = Plot(("a", name), (0.4, 0.6), (0.1, 0.9))
    release = ReleaseCheck("m@v1.0.0", "c" * 40, 500, features=(_drift(value, name),), plots={name: plot}, notes=(name,))  # fmt: skip
    return Check(wanted, "monitor/prod", str(span), "d" * 40, "digest", 500, 0, CALM, (release,), "0.1", "2026-11-10T00:00:00Z")  # fmt: skip


def test_a_check_and_an_alert_are_the_same_after_being_stored() -> None:
    check = _check(value=0.9)
    outcomes = Outcomes().with_labels(np.array([True, False] * 150), np.full(300, 0.7))
    full = replace(check, releases=(replace(check.releases[0], quality=outcomes.judged({"accuracy": 0.9}, CALM), outliers=Effect("outliers", float("nan"), 0.1)),))  # fmt: skip
    assert encode(decode(Check, encode(full), "x")) == encode(full)
    (alert,) = raised(check, [])
    assert decode(Alert, encode(alert), "x") == alert


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"null", b"{}", b'{"id": 3}', b"[" * 100_000, b'{"id": "a", "branch": []}'],
)
def test_a_hostile_check_is_refused(content: bytes) -> None:
    with pytest.raises(ConfigError):
        decode(Check, content, "x")
    broken = json.loads(encode(_check()))
    for key, value in (("limits", 3), ("releases", {}), ("rows", "many"), ("schema", "x")):
        with pytest.raises(ConfigError):
            decode(Check, json.dumps(broken | {key: value}).encode(), "x")


def test_findings_open_one_alert_and_then_join_it_until_it_is_answered() -> None:
    (first,) = raised(_check(value=0.9), [])
    assert (first.kind, first.tag, len(first.seen)) == ("data", "m@v1.0.0", 1)
    assert raised(_check(value=0.9), [first]) == []  # the same check
    later = _check("2026-11-09..2026-11-16", value=0.8)
    (joined,) = raised(later, [first])
    assert (joined.id, len(joined.seen)) == (first.id, 2)
    answered = replace(joined, acknowledged=Answer("me", "now", "known"))
    (second,) = raised(_check("2026-11-16..2026-11-23", value=0.8), [answered])
    assert second.id != first.id
    assert raised(_check(value=0.22), []) == []  # beyond the limit, not beyond chance


def test_quality_is_held_to_the_release_only_with_enough_labels() -> None:
    draw = np.random.default_rng(3)
    truth = draw.normal(100, 10, 500)
    outcomes = Outcomes()
    for part in np.array_split(np.arange(500), 3):
        outcomes = outcomes.with_numbers(truth[part] + draw.normal(5, 1, part.size), truth[part])
    quality = outcomes.judged({"mae": 3.0, "rmse": 9.0, "r2": 0.5}, CALM)
    assert quality.metrics["mae"].estimate == pytest.approx(5, abs=0.2)
    assert quality.metrics["rmse"].estimate == pytest.approx(5.1, abs=0.2)
    assert [effect.measure for effect in quality.effects if effect.is_beyond] == ["mae"]
    assert (
        Outcomes().with_numbers(truth[:20] + 50, truth[:20]).judged({"mae": 3.0}, CALM).effects
        == ()
    )
    missed = Outcomes().with_numbers(np.array([np.nan, 1.0]), np.array([1.0, 1.0]))
    assert missed.labels == 1


def test_accuracy_and_calibration_come_from_labels_and_scores() -> None:
    draw = np.random.default_rng(4)
    scores = draw.uniform(0.5, 1, 4_000)
    is_hit = draw.uniform(size=4_000) < 0.6
    quality = Outcomes().with_labels(is_hit, scores).judged({"accuracy": 0.9}, CALM)
    assert [effect.measure for effect in quality.effects if effect.is_beyond] == ["accuracy"]
    assert quality.calibration_error == pytest.approx(0.15, abs=0.03)
    assert len(quality.reliability) == 5
    bare = Outcomes().with_labels(is_hit, np.full(4_000, np.nan)).judged({}, CALM)
    assert (bare.brier, bare.calibration_error, bare.effects) == (None, None, ())


def test_a_page_shows_what_is_hostile_as_text_and_needs_no_network() -> None:
    check = _check(value=0.9, name=HOSTILE)
    alerts = [replace(alert, id=HOSTILE, tag=HOSTILE) for alert in raised(check, [])]
    history = [_check("2026-10-26..2026-11-02", value=0.1, name=HOSTILE), check]
    page = check_page(check, history, alerts)
    assert "<script" not in page
    assert not re.search(r"https?://|src=|href=|@import|url\(", page)
    assert "default-src 'none'" in page
    assert page.count("&lt;script&gt;") >= 6
    assert page.count("<svg") == 2  # the distribution, and the line over two windows
    assert "beyond limits" in page


def test_plots_hold_all_rows() -> None:
    baseline = _baseline()
    window = see_window([{"x": np.array([1e9, 0.0]), "empty": np.full(2, np.nan), "c": pa.array(["a", "new"]), "t": pa.array(["x", "y"]), "id": pa.array(["1", "2"])}], baseline)  # fmt: skip
    for name in ("x", "c"):
        plot = plot_of(baseline.sketches[name], window.sketches[name])
        assert plot
        assert sum(plot.baseline) == pytest.approx(1, abs=1e-4)
        assert sum(plot.window) == pytest.approx(1, abs=1e-4)
        assert plot.window[-1] == 0.5  # far beyond, or of no known category
    assert plot_of(baseline.sketches["empty"], window.sketches["empty"]) is None


def test_a_library_that_is_not_there_is_an_error_with_its_remedy() -> None:
    with pytest.raises(ConfigError) as found:
        _ = Lazy("no_such_library").anything
    assert "no_such_library" in found.value.message
    assert found.value.hint == "pip install 'dvc-branchflow[monitor]'"
