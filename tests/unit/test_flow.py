from __future__ import annotations

import pytest

from dvc_branchflow.config import parse_config
from dvc_branchflow.errors import FlowError, UsageError
from dvc_branchflow.flow import describe, describe_all, identifier

CONFIG = parse_config(
    {
        "branches": {
            "raw": None,
            "clean": None,
            "split": None,
            "dev/*": None,
            "stable/*": None,
            "monitor/*": None,
            "analysis/*": {"from": ["raw", "monitor/*"]},
        }
    }
)
BRANCHES = [
    "main",
    "raw",
    "clean",
    "split",
    "dev/churn",
    "stable/churn",
    "monitor/prod",
    "monitor/dev",
]


def test_upstreams_come_before_what_is_built_on_them() -> None:
    order = list(describe_all(CONFIG, BRANCHES))
    assert order.index("raw") < order.index("clean") < order.index("split")
    assert order.index("split") < order.index("dev/churn") < order.index("stable/churn")


def test_a_pattern_among_upstreams_picks_existing_branches() -> None:
    spec = describe(CONFIG, "analysis/ab", [*BRANCHES, "analysis/ab"])
    assert spec.upstreams == ("raw", "monitor/dev", "monitor/prod")


def test_each_monitor_branch_owns_its_own_path() -> None:
    assert describe(CONFIG, "monitor/prod", BRANCHES).data == "data/monitor/prod"


def test_stable_gets_its_code_from_the_branch_of_the_same_name() -> None:
    spec = describe(CONFIG, "stable/churn", BRANCHES)
    assert (spec.code, spec.model) == ("dev/churn", "churn")


def test_a_branch_without_a_role_is_refused() -> None:
    with pytest.raises(FlowError, match="has no role"):
        describe(CONFIG, "feature/x", BRANCHES)


def test_a_circle_is_named() -> None:
    config = parse_config({"branches": {"a": {"role": "clean", "from": ["b"]}, "b": {"role": "clean", "from": ["a"]}}})  # fmt: skip
    with pytest.raises(FlowError, match=r"circle: .* → "):
        describe_all(config, ["a", "b"])


def test_a_name_that_gto_would_not_take_is_no_model() -> None:
    with pytest.raises(UsageError, match="can't name a model"):
        _ = describe(CONFIG, "stable/a.b", BRANCHES).model


def test_identifiers_can_be_interpolated_by_dvc() -> None:
    assert identifier("data/raw-1") == "data_raw_1"
