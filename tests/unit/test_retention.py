from __future__ import annotations

import pytest

from dvc_branchflow.config import parse_config
from dvc_branchflow.errors import ConfigError
from dvc_branchflow.model import Branch, Role, Sha
from dvc_branchflow.retention import Line, expired, parse_period

DAY = 86_400
NOW = 1000 * DAY


def shas(*names: str) -> list[Sha]:
    return [Sha(name) for name in names]


def history(**parents: str) -> dict[Sha, list[Sha]]:
    """Children before parents: `d="c"` is a commit `d` on `c`."""
    return {Sha(sha): shas(*behind.split()) for sha, behind in parents.items()}


def ages(**days: int) -> dict[Sha, int]:
    return {Sha(sha): NOW - count * DAY for sha, count in days.items()}


def test_what_is_older_than_the_period_of_its_line_expires() -> None:
    parents = history(d="c", c="b", b="a", a="")
    seconds = ages(d=1, c=20, b=40, a=60)
    lines = [Line(Branch("dev/x"), Sha("d"), 30 * DAY)]
    assert expired(parents, seconds, lines, shas("d"), NOW) == {"b": "dev/x", "a": "dev/x"}


def test_what_another_line_keeps_longer_stays() -> None:
    parents = history(d="b", c="b", b="a", a="")
    seconds = ages(d=1, c=1, b=40, a=60)
    lines = [
        Line(Branch("dev/x"), Sha("d"), 30 * DAY),
        Line(Branch("main"), Sha("c"), None),
        Line(Branch("dev/y"), Sha("d"), 50 * DAY),
    ]
    assert expired(parents, seconds, lines, [], NOW) == {}


def test_what_lies_on_no_line_never_expires() -> None:
    parents = history(m="b f", f="a", b="a", a="")
    seconds = ages(m=1, f=90, b=90, a=90)
    lines = [Line(Branch("dev/x"), Sha("m"), 30 * DAY)]
    assert set(expired(parents, seconds, lines, [], NOW)) == {"a", "b"}


def test_tips_tags_and_pins_stay() -> None:
    parents = history(b="a", a="")
    lines = [Line(Branch("dev/x"), Sha("b"), DAY)]
    assert expired(parents, ages(b=9, a=9), lines, shas("a", "b"), NOW) == {}


def test_a_commit_is_no_older_than_what_it_was_built_on() -> None:
    parents = history(b="a", a="")
    lines = [Line(Branch("dev/x"), Sha("b"), 30 * DAY)]
    assert expired(parents, ages(b=900, a=5), lines, [], NOW) == {}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30d", 30 * DAY), ("2w", 14 * DAY), ("1 y", 365 * DAY), ("6h", 21_600), ("0d", 0)],
)
def test_a_period_reads_as_it_is_written(text: str, seconds: float) -> None:
    assert parse_period(text) == seconds
    assert parse_period("forever") is None


@pytest.mark.parametrize("text", ["", "30", "d", "-1d", "1m", "30 days", "1e3d"])
def test_what_is_no_period_is_an_error(text: str) -> None:
    with pytest.raises(ConfigError, match="is no period"):
        parse_period(text)


def test_the_config_says_how_long_each_role_keeps_data() -> None:
    kept = {"dev": "90d", "raw": "forever", "experiments": "30d", "run-cache": "2w"}
    config = parse_config({"branches": {"raw": None}, "retention": kept})
    assert config.retention.roles == {Role.DEV: 90 * DAY, Role.RAW: None}
    assert (config.retention.experiments, config.retention.run_cache) == (30 * DAY, 14 * DAY)
    assert parse_config({"branches": {"raw": None}}).retention.experiments is None


@pytest.mark.parametrize(
    ("kept", "message"),
    [
        ({"devs": "90d"}, "did you mean 'dev'"),
        ({"main": "90d"}, "'retention.main' is no key"),
        ({"dev": 90}, "90 is no period"),
        ({"dev": "3 months"}, "'retention.dev' '3 months' is no period"),
        (["dev"], "has to map roles"),
    ],
)
def test_a_wrong_retention_names_its_key(kept: object, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        parse_config({"branches": {"raw": None}, "retention": kept})
