"""Run records: what is read back, where they lie, and what a metric's name stands for."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from dvc_branchflow.errors import ConfigError
from dvc_branchflow.work.documents import MAX_DOCUMENT_BYTES
from dvc_branchflow.work.records import RunRecord, parse_record

RECORD = RunRecord(
    tag="m@v1.0.0", model="m", version="v1.0.0", commit="a" * 40,
    code={"digest": "d"}, pins={"split": "b" * 40}, certificate="c", params={"scale": 2},
    metrics={"metrics.json": {"mae": 2.5, "by": {"night": 3}}, "time.json": {"mae": 9}},
    outs={"models/m.json": {"md5": "e" * 32}}, checks={}, environment={"python": "3"},
    seconds=1.5, who="A <a@b>", when="2026-01-01T00:00:00Z",
)  # fmt: skip
REFUSAL = {"gate": "mae", "found": 3.0, "wanted": "at most 2.5", "reason": "is worse"}


def document(**fields: Any) -> bytes:
    return json.dumps({**json.loads(RECORD.to_json()), **fields}).encode()


@pytest.mark.parametrize(
    "record",
    [RECORD, replace(RECORD, commit="", candidate="0123456789ab", refused=[REFUSAL], reason="why")],
)
def test_a_record_is_read_as_it_was_written(record: RunRecord) -> None:
    again = parse_record(record.to_json().encode(), "x")
    assert again.to_json() == record.to_json()


def test_a_record_of_an_earlier_or_later_version_is_read() -> None:
    older = json.loads(RECORD.to_json())
    for name in ("test", "candidate", "gates", "refused", "reason"):
        del older[name]
    assert parse_record(json.dumps(older).encode(), "x").metrics == RECORD.metrics
    assert parse_record(document(later={"a": 1}), "x").tag == "m@v1.0.0"


@pytest.mark.parametrize(
    "content",
    [
        b"", b"[]", b"{}", b"null", b"\xff", b"[" * 100_000,
        document(schema="branchflow/run/9"), document(refused={"a": 1}), document(refused=["x"]),
        document(gates=[]), document(reason=5), document(candidate=None), document(metrics=[1]),
        document(pins={"split": 5}), document(outs={"x": "y"}), document(tag=None),
        document(who="x" * MAX_DOCUMENT_BYTES), b'{"schema": ' + b"9" * 10_000 + b"}",
    ],
)  # fmt: skip
def test_what_is_no_record_is_refused_by_its_name(content: bytes) -> None:
    with pytest.raises(ConfigError, match=r"'runs/m/x\.json' is no run record"):
        parse_record(content, "runs/m/x.json")


def test_a_refused_candidate_lies_apart_from_releases() -> None:
    assert RECORD.path == "runs/m/v1.0.0.json"
    refused = replace(RECORD, candidate="0123456789ab", refused=[REFUSAL])
    assert refused.path == "runs/m/refused/0123456789ab.json"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("mae", 2.5),
        ("metrics.json:mae", 2.5),
        ("by.night", 3.0),
        ("time.json:mae", 9.0),
        ("by", None),
        ("time.json:night", None),
        ("other.json:mae", None),
        ("", None),
        (":", None),
    ],
)
def test_a_metric_is_found_by_its_name_or_its_file_and_name(name: str, value: object) -> None:
    assert RECORD.metric(name) == value


def test_the_only_metrics_file_needs_no_name() -> None:
    only = replace(RECORD, metrics={"scores.json": {"mae": 1, "bad": "nan"}})
    assert (only.metric("mae"), only.metric("scores.json:mae"), only.metric("bad")) == (1, 1, "nan")


def test_a_number_beyond_every_float_is_no_metric() -> None:
    huge = replace(RECORD, metrics={"metrics.json": {"a": 10**400, "b": float("nan"), "c": True}})
    assert huge.flat_metrics() == {}
