from __future__ import annotations

import json
from typing import Any

import pytest

from dvc_branchflow.config import config_schema, is_branch_name, parse_config, partition_size_bytes
from dvc_branchflow.errors import ConfigError
from dvc_branchflow.flow import describe
from dvc_branchflow.gating import Gate
from dvc_branchflow.metafiles import parse_pointer
from dvc_branchflow.model import Role

DESIGN: dict[str, Any] = {
    "version": 1,
    "tracking": "main",
    "branches": {
        "raw": {"role": "raw", "data": "data/raw", "remote": "raw"},
        "clean": {"role": "clean", "data": "data/clean", "from": ["raw"]},
        "split": {"role": "split", "data": "data/split", "from": ["clean"]},
        "dev/*": {"role": "dev", "from": ["split"], "sample": 0.1},
        "stable/*": {"role": "stable", "code": "dev/{}", "from": ["split"]},
        "monitor/*": {"role": "monitor", "data": "data/monitor"},
        "analysis/*": {"role": "analysis", "from": ["raw", "monitor/*"]},
    },
}


def test_the_designs_example_is_read_in_full() -> None:
    config = parse_config(DESIGN)
    dev = config.rule_for("dev/churn")
    assert dev is not None
    assert (dev.role, dev.sample, dev.upstreams) == (Role.DEV, 0.1, ("split",))
    assert config.rule_for("stable/churn").code == "dev/{}"  # type: ignore[union-attr]
    assert config.rule_for("feature/x") is None


def test_a_nearly_empty_config_means_the_same() -> None:
    names = ("raw", "clean", "split", "dev/*", "stable/*")
    config = parse_config({"branches": dict.fromkeys(names)})
    assert [rule.upstreams for rule in config.rules] == [
        (), (), ("raw",), ("clean",), ("split",), ("split",),
    ]  # fmt: skip
    assert config.rule_for("stable/a/b").code == "dev/{}"  # type: ignore[union-attr]
    assert config.rule_for("main").role is Role.MAIN  # type: ignore[union-attr]


def test_the_own_name_wins_over_a_pattern() -> None:
    config = parse_config({"branches": {"dev/*": None, "dev/big": {"role": "dev", "sample": 0.01}}})
    assert config.rule_for("dev/big").sample == 0.01  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"branches": {"raw": {"rol": "raw"}}}, "did you mean 'role'"),
        ({"branchs": {}, "branches": {"raw": None}}, "did you mean 'branches'"),
        ({"branches": {}}, "has to map"),
        ({"branches": {"x": {"role": "boss"}}}, "'boss' is none of"),
        ({"branches": {"a*b*": None}}, "at most one"),
        ({"branches": {"-n": {"role": "raw"}}}, "is not a branch name"),
        ({"branches": {"raw": {"data": "../up"}}}, "not a plain path"),
        ({"branches": {"raw": {"data": "/etc"}}}, "not a plain path"),
        ({"branches": {"raw": None, "clean": {"data": "data/raw/x"}}}, "overlaps"),
        ({"branches": {"raw": None, "clean": {"from": ["row"]}}}, "did you mean 'raw'"),
        ({"branches": {"raw": {"sample": 0.5}}}, "only dev branches"),
        ({"branches": {"dev/*": {"sample": 2}}}, "no fraction"),
        ({"branches": {"raw": {"partition": "weekly"}}}, "no time format"),
        ({"branches": {"stable": None}}, "is needed"),
        ({"branches": {"raw": 5}}, "has to be a mapping"),
        ({"version": 2, "branches": {"raw": None}}, "has to be 1"),
        ({"branches": {"dev/*": {"checks": {"a": 1}}}}, "map names to commands"),
        ({"branches": {"dev/*": {"gates": {"a": {"better": "lower"}}}}}, "only stable branches"),
        ({"branches": {"stable/*": {"gates": ["mae"]}}}, "has to map metrics"),
        ({"branches": {"stable/*": {"gates": {"mae": "lower"}}}}, "has to be a mapping"),
        ({"branches": {"stable/*": {"gates": {5: {"better": "lower"}}}}}, "no name of a metric"),
        ({"branches": {"stable/*": {"gates": {"mae": {"margin": 1}}}}}, "lower or higher"),
        (
            {"branches": {"stable/*": {"gates": {"mae": {"better": "less"}}}}},
            "gates.mae.better' is needed: lower or higher",
        ),
        (
            {"branches": {"stable/*": {"gates": {"mae": {"beter": "lower"}}}}},
            "did you mean 'better'",
        ),
        (
            {"branches": {"stable/*": {"gates": {"mae": {"better": "lower", "margin": "2"}}}}},
            "'2' is no number from 0 on",
        ),
        ({"branches": {"raw": {"copies": 0}}}, "no whole number above 0"),
        ({"branches": {"raw": {"copies": True}}}, "no whole number above 0"),
        ({"branches": {"raw": {"copies": 2}}}, "needs 1 DVC remotes under 'mirrors', which has 0"),
        (
            {"mirrors": ["a"], "branches": {"raw": {"copies": 2, "remote": "A"}}},
            "needs 1 DVC remotes under 'mirrors', which has 0",
        ),
        ({"mirrors": "a", "branches": {"raw": None}}, "'mirrors' has to be a list"),
        ({"mirrors": ["a", "A"], "branches": {"raw": None}}, "names a DVC remote twice"),
    ],
)
def test_a_wrong_config_names_the_key(document: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_config(document)


HOSTILE = (
    "ext::sh -c true",
    "-upload-pack=x",
    "::x",
    "fd::17/x",
    "ssh://-oProxyCommand=x/y",
    "/a\nb",
    " ",
    "",
)


@pytest.mark.parametrize("url", [*HOSTILE, "../other", "watch", "https://me:secret@host/x.git"])
def test_a_repository_that_is_a_command_or_a_secret_or_none_is_refused(url: str) -> None:
    with pytest.raises(ConfigError, match=r"monitor/\*\.repo"):
        parse_config({"branches": {"monitor/*": {"repo": url}}})
    with pytest.raises(ConfigError, match="watch' 'releases'"):
        parse_config({"branches": {"monitor/*": {"watch": {"releases": url or "-"}}}})
    document = f"deps:\n- repo: {{url: {json.dumps(url)}, rev_lock: x}}\nouts:\n- {{md5: {'a' * 32}, hash: md5, path: x}}\n"
    if url in HOSTILE:
        with pytest.raises(ConfigError, match="no URL of a repository"):
            parse_pointer(document.encode(), "x.dvc")
    else:  # as `dvc import` may have written it
        assert [out.repo for out in parse_pointer(document.encode(), "x.dvc")] == [url]


@pytest.mark.parametrize(
    "url",
    [
        "https://host/x.git",
        "ssh://git@host:22/x",
        "git@host:team/x.git",
        "/srv/it's odd.git",
        "file:///x",
    ],
)
def test_a_branch_may_live_in_another_repository_and_is_then_no_upstream_of_here(url: str) -> None:
    branches = {
        "monitor/*": {"repo": url},
        "watch": {"role": "monitor", "repo": url},
        "raw": None,
        "analysis/*": {"from": ["raw", "monitor/*", "watch"]},
    }
    config = parse_config({"branches": branches})
    assert describe(config, "analysis/a", ["raw"]).upstreams == ("raw",)
    assert describe(config, "analysis/a", ["raw", "monitor/x"]).upstreams == ("raw", "monitor/x")
    with pytest.raises(ConfigError, match="only monitor branches"):
        parse_config({"branches": {"raw": {"repo": url}}})


def test_gates_are_read_with_their_margins() -> None:
    gates = {
        "mae": {"better": "lower", "margin": "2.5 %"},
        "scores.json:auc": {"better": "higher", "margin": 0.01},
        "rows": {"better": "higher"},
    }
    rule = parse_config({"branches": {"stable/*": {"gates": gates}}}).rule_for("stable/x")
    assert rule is not None
    assert rule.gates == (
        Gate("mae", "lower", "2.5%"),
        Gate("scores.json:auc", "higher", "0.01"),
        Gate("rows", "higher", "0"),
    )


def test_branch_names_that_are_tricks_are_none() -> None:
    tricks = [
        "-x",
        "a..b",
        "a//b",
        "a/",
        "a.lock",
        "a b",
        "a\n",
        "../a",
        "a;rm",
        "$(x)",
        "",
        "a/.b",
    ]
    assert not [name for name in tricks if is_branch_name(name)]


def test_partition_sizes_count_in_powers_of_1024() -> None:
    assert partition_size_bytes("50 GiB") == 50 * 1024**3
    assert partition_size_bytes("1.5MB") == 1024**2 * 3 // 2
    assert partition_size_bytes("%Y-%m") is None


def test_the_schema_knows_every_key_that_is_read() -> None:
    keys = config_schema()["properties"]["branches"]["additionalProperties"]["properties"]
    used = {key for body in DESIGN["branches"].values() for key in body}
    assert used <= set(keys)
