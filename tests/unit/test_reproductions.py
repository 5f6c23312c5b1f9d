"""What a reproduction comes to, and how its record is read."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from dvc_branchflow import reproduce
from dvc_branchflow.errors import ConfigError
from dvc_branchflow.metafiles import parse_pipeline
from dvc_branchflow.model import LockedStage, Oid, Out, Pins, Sha
from dvc_branchflow.work.commits import CommitData
from dvc_branchflow.work.reproductions import (
    Pair,
    Reproduction,
    judge_reproduction,
    metric_pairs,
    parse_reproduction,
)

PIPELINE = b"""\
stages:
  words: {cmd: words, frozen: true, outs: [words.txt, note.txt: {cache: false}]}
  train: {cmd: train, deps: [words.txt, data], outs: [model]}
"""
SAME, OTHER = Pair("a" * 32, "a" * 32), Pair("a" * 32, "b" * 32)
MADE = Reproduction(
    tag="m@v1.0.0", model="m", version="v1.0.0", commit="1" * 40, verdict="within tolerance",
    tolerance=0.01, outs={"x": OTHER}, metrics={"metrics.json:mae": Pair(1.0, 1.001)},
    environment={"python": Pair("3.11", "3.12"), "numpy": Pair(None, "2.0")}, seconds=3.5,
    who="A <a@b>", when="2026-01-02T03:04:05Z",
)  # fmt: skip


@pytest.mark.parametrize(
    ("outs", "metrics", "tolerance", "verdict"),
    [
        ([SAME, SAME], [], 0, "identical"),
        ([SAME, SAME], [Pair(1.0, 9.0)], 0, "identical"),  # not in the outs: read at another time
        ([SAME, OTHER], [Pair(1.0, 1.0), Pair(3, 3)], 0, "within tolerance"),
        ([SAME, OTHER], [Pair(1.0, 1.0 + 1e-12)], 0, "different"),
        ([SAME, OTHER], [Pair(100.0, 101.0)], 0.0099, "different"),
        ([SAME, OTHER], [Pair(100.0, 101.0)], 0.01, "within tolerance"),
        ([SAME, OTHER], [Pair(-100.0, -101.0)], 0.01, "within tolerance"),
        ([SAME, OTHER], [Pair(0.0, 1e-9)], 0.01, "different"),
        ([SAME, OTHER], [Pair("nan", "nan"), Pair([1, 2], [1, 2])], 0, "within tolerance"),
        ([SAME, OTHER], [Pair("nan", 1.0)], 0.5, "different"),
        ([SAME, OTHER], [Pair(1.0, None)], 0.5, "different"),
        ([SAME, OTHER], [], 0.5, "different"),  # without a metric nothing says that it is close
        ([SAME, Pair("a" * 32, None)], [Pair(1.0, 1.0)], 0.5, "different"),  # it was not made
    ],
)
def test_outs_count_bit_for_bit_and_then_metrics(
    outs: list[Pair], metrics: list[Pair], tolerance: float, verdict: str
) -> None:
    named = [{str(n): pair for n, pair in enumerate(pairs)} for pairs in (outs, metrics)]
    assert judge_reproduction(*named, tolerance) == verdict


def test_metrics_are_named_by_file() -> None:
    recorded = {"metrics.json": {"a": {"b": 1.0}}, "other.json": {"a": 2}}
    assert metric_pairs(recorded, {"metrics.json": {"a": {"b": 1.5}, "c": 3}}) == {
        "metrics.json:a.b": Pair(1.0, 1.5),
        "metrics.json:c": Pair(None, 3),
        "other.json:a": Pair(2, None),
    }


def test_a_record_is_read_as_it_was_written() -> None:
    content = MADE.to_json().encode()
    assert parse_reproduction(content, "x") == MADE
    later = json.loads(content) | {"added_later": 1}
    assert parse_reproduction(json.dumps(later).encode(), "x") == MADE
    assert MADE.versions_that_differ == {"python": Pair("3.11", "3.12")}
    assert MADE.metrics_that_differ == {}
    assert replace(MADE, tolerance=0).metrics_that_differ == MADE.metrics


def test_records_of_one_second_lie_beside_each_other() -> None:
    paths = MADE.paths()
    assert next(paths) == "runs/m/reproduced/v1.0.0-20260102T030405Z.json"
    assert next(paths) == "runs/m/reproduced/v1.0.0-20260102T030405Z-2.json"


@pytest.mark.parametrize(
    "change",
    [
        {"schema": "branchflow/run/1"}, {"verdict": "fine"}, {"verdict": None}, {"outs": [1]},
        {"outs": {"x": 1}}, {"outs": {"x": {"recorded": 1, "found": 2, "more": 3}}}, {"seconds": "3"},
        {"tag": 7}, {"metrics": None}, {"reason": 1}, {"environment": {"python": "3.11"}},
    ],
)  # fmt: skip
def test_what_is_no_record_is_named(change: dict[str, object]) -> None:
    content = json.dumps(json.loads(MADE.to_json()) | change).encode()
    with pytest.raises(ConfigError, match="'x' is no record of a reproduction"):
        parse_reproduction(content, "x")


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"\xff", b"[" * 100_000, b'{"schema": 1}'])
def test_hostile_bytes_are_named(content: bytes) -> None:
    with pytest.raises(ConfigError, match="'x' is no record of a reproduction"):
        parse_reproduction(content, "x")


def test_numbers_that_json_lacks_are_read_as_text() -> None:
    body = json.loads(MADE.to_json()) | {"metrics": {"a": {"recorded": math.nan, "found": 1}}}
    read = parse_reproduction(json.dumps(body).encode(), "x")
    assert read.metrics["a"].recorded == "nan"


def test_what_dvc_does_not_run_lies_ready_and_is_not_compared() -> None:
    """A stage that is gone from `dvc.yaml` may still be in the lock; it is neither."""
    made = {name: Out(name, Oid("a" * 32)) for name in ("words.txt", "note.txt", "model", "old")}
    stages = tuple(
        LockedStage(name, {}, {}, {path: made[path] for path in paths})
        for name, paths in {
            "words": ["words.txt", "note.txt"], "train": ["model"], "gone": ["old"]
        }.items()
    )  # fmt: skip
    pinned = Out("data", Oid("b" * 32 + ".dir"))
    cached = {path: made[path] for path in ("words.txt", "model", "old")}
    data = CommitData(
        Sha("1" * 40), {}, {"data.dvc": pinned}, stages, parse_pipeline(PIPELINE), Pins(),
        {"data": pinned, **cached},
    )  # fmt: skip
    assert [stage.name for stage in reproduce._stages(data, is_frozen=False)] == ["train"]
    assert [stage.name for stage in reproduce._stages(data, is_frozen=True)] == ["words"]
    assert [out.path for out in reproduce._inputs(data)] == ["data", "words.txt"]
