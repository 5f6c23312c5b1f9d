"""Rows, windows and settings of monitor branches: what is read, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dvc_branchflow.config import parse_config
from dvc_branchflow.errors import ConfigError, UsageError
from dvc_branchflow.watch.columns import Batch, as_number, as_text, as_time
from dvc_branchflow.watch.fingerprints import Known, hash_rows, hash_texts, repeated
from dvc_branchflow.watch.recipe import Recipe, parse_recipe
from dvc_branchflow.watch.rows import (
    Checker,
    LogSchema,
    fingerprint,
    keyed_hash,
    parse_log_schema,
)
from dvc_branchflow.watch.windows import (
    SECOND,
    Span,
    file_name,
    parse_length,
    parse_span,
    span_of,
    stamp,
    window_before,
)

RECIPE = Recipe({"size": "number", "colour": "text"})
GOOD = {
    "request_id": "a",
    "time": "2026-11-02T10:00:00Z",
    "tag": "m@v1.0.0",
    "prediction": 1.5,
    "size": 2,
    "colour": "red",
}


def _recipe_of(tag: str) -> Recipe | None:
    return {"m@v1.0.0": RECIPE, "m@v0.9.0": None}[tag]


def _batch(*rows: dict[str, Any]) -> Batch:
    names = list(dict.fromkeys(key for row in rows for key in row))
    absent = {
        at: [n for n in names if n not in row]
        for at, row in enumerate(rows)
        if len(row) < len(names)
    }
    return Batch("log", 1, len(rows), {n: [row.get(n) for row in rows] for n in names}, absent)


def _said(*rows: dict[str, Any], schema: LogSchema | None = None) -> str:
    checker = Checker(schema or LogSchema(), _recipe_of, is_first=schema is None)
    checker.check(_batch(*rows))
    return "; ".join(checker.problems.shown)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"tag": "m@v9.9.9"}, "tag 'm@v9.9.9' is no release"),
        ({"tag": None}, "tag None is no release"),
        ({"size": "2"}, "size is no number: '2'"),
        ({"size": True}, "size is no number: True"),
        ({"size": 10**400}, "size is no number: 1000"),
        ({"colour": ["red"]}, "colour is no text: ['red']"),
        ({"colour": {"a": 1}}, "colour is no text"),
        ({"time": "yesterday"}, "time is no ISO 8601 moment: 'yesterday'"),
        ({"time": "2026-13-01T00:00:00Z"}, "time is no ISO 8601 moment: '2026-13"),
        ({"time": None}, "time is no ISO 8601 moment: None"),
        ({"time": 5}, "time is no ISO 8601 moment: 5"),
        ({"request_id": ""}, "request_id is empty"),
        ({"prediction": "much"}, "prediction is no number: 'much'"),
        ({"size": None, "colour": None, "score": None}, ""),
        ({"request_id": 7, "extra": "x", "group": "b"}, ""),
    ],
)  # fmt: skip
def test_a_row_that_cant_go_in_is_named(change: dict[str, Any], said: str) -> None:
    more = {key: GOOD.get(key) for key in change}  # the other row has the same columns
    found = _said({**more, **GOOD}, {**GOOD, **change})
    assert found.startswith(f"log row 2: {said}" if said else "")
    assert bool(found) == bool(said)


def test_columns_that_are_missing_are_named() -> None:
    lacking = {k: v for k, v in GOOD.items() if k != "size"}
    assert _said(lacking) == "log: m@v1.0.0 needs size"
    assert _said(GOOD, lacking) == "log row 2: lacks size"
    assert _said({"a": 1}) == "log: lacks request_id, time, tag, prediction"
    assert _said(GOOD, {k: v for k, v in GOOD.items() if k != "time"}).startswith(
        "log row 2: lacks time"
    )


def test_what_is_fixed_stays_fixed() -> None:
    fixed = LogSchema({"size": "number", "colour": "text", "page": "text"})
    assert "not in log-schema.json: more" in _said({**GOOD, "more": 1, "page": "x"}, schema=fixed)
    assert "has size as another kind" in _said(GOOD, schema=LogSchema({"size": "text"}))
    assert "predicts another kind" in _said(GOOD, schema=LogSchema(prediction="text"))
    old = {**GOOD, "tag": "m@v0.9.0"}
    assert _said(old, schema=fixed) == "log: m@v0.9.0 needs page"


def test_a_feature_that_is_called_like_a_column_of_ours_is_refused() -> None:
    checker = Checker(LogSchema(), lambda _: Recipe({"time": "number"}), is_first=True)
    checker.check(_batch(GOOD))
    assert "has a feature called time" in checker.problems.shown[0]


def test_columns_are_read_from_any_source() -> None:
    texts = pa.array(["1", " 2.5e1 ", "", "x", None])
    numbers, bad = as_number(texts)
    assert numbers.to_pylist() == [1.0, 25.0, None, None, None]
    assert list(bad) == [False, False, False, True, False]
    assert as_number(pa.array([1, None], pa.int8()))[0].to_pylist() == [1.0, None]
    assert list(as_number(pa.array([True]))[1]) == [True]
    assert as_text(pa.array([1, None]))[0].to_pylist() == ["1", None]
    assert as_text([True, 3, 2.5, None])[0].to_pylist() == ["true", "3", "2.5", None]
    assert as_text(pa.array(["NA", "b"]), missing=["NA"])[0].to_pylist() == [None, "b"]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2026-11-02T10:00:00Z", "2026-11-02T10:00:00Z"),
        ("2026-11-02 10:00:00", "2026-11-02T10:00:00Z"),
        ("2026-11-02T10:00:00.123456+02:00", "2026-11-02T08:00:00Z"),
        ("2026-11-02", "2026-11-02T00:00:00Z"),
        ("2026-11-02T10:00-0130", "2026-11-02T11:30:00Z"),
    ],
)
def test_times_are_read_in_utc(text: str, wanted: str) -> None:
    found, bad = as_time([text, None])
    assert not bad[0]
    assert stamp(found.cast(pa.int64())[0].as_py()) == wanted


@given(st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1)))  # noqa: DTZ001  made naive on purpose
def test_a_file_is_named_by_what_it_spans(moment: datetime) -> None:
    micros = int(moment.replace(tzinfo=UTC).timestamp()) * SECOND
    name = file_name(micros, micros + 5 * SECOND, "ab" * 16)
    assert span_of(name) == Span(micros, micros + 6 * SECOND)
    assert stamp(micros) == moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert parse_span(f"{stamp(micros)}..{stamp(micros + SECOND)}").start == micros


def test_windows_are_laid_end_to_end() -> None:
    day = 24 * 3600
    now = parse_span("2026-11-02T10:00:00Z..2026-11-03").start
    assert str(window_before(now, day)) == "2026-11-01T00:00:00Z..2026-11-02T00:00:00Z"
    assert window_before(now, day).end == window_before(now + day * SECOND, day).start
    assert parse_length("36h") == 36 * 3600
    for wrong in ("7", "0d", "-1d", "7 weeks", ""):
        with pytest.raises(ConfigError):
            parse_length(wrong)
    for wrong in ("2026-11-02", "2026-11-02..2026-11-01", "a..b"):
        with pytest.raises(UsageError):
            parse_span(wrong)


rows = st.lists(
    st.tuples(st.sampled_from("abc"), st.one_of(st.none(), st.floats(allow_nan=False))), max_size=8
)


@given(rows)
def test_equal_rows_have_equal_hashes_and_a_new_empty_column_changes_none(
    pairs: list[tuple[str, float | None]],
) -> None:
    table = pa.table(
        {
            "a": pa.array([a for a, _ in pairs], pa.string()),
            "b": pa.array([b for _, b in pairs], pa.float64()),
        }
    )
    found = hash_rows(table)
    assert list(found) == list(hash_rows(table.select(["b", "a"])))
    wider = table.append_column("c", pa.nulls(len(pairs), pa.string()))
    assert list(hash_rows(wider)) == list(found)
    keys = [(a, None if b is None else b + 0.0) for a, b in pairs]
    assert len(set(found)) == len(set(keys))


def test_known_rows_are_told_from_changed_ones() -> None:
    ids = hash_texts(pa.array(["a", "b", "c"]))
    known = Known()
    for at in range(3):
        known.add(ids[at : at + 1], ids[at : at + 1])
    more = hash_texts(pa.array([f"x{n}" for n in range(50)]))
    for at in range(50):
        known.add(more[at : at + 1], more[at : at + 1])
    asked = np.array([ids[1], ids[2], hash_texts(pa.array(["new"]))[0]])
    same, other = known.find(asked, np.array([ids[1], ids[0], ids[0]]))
    assert list(same) == [True, False, False]
    assert list(other) == [False, True, False]
    assert list(repeated(np.array([3, 1, 3, 1, 2], np.uint64))) == [False, False, True, True, False]


def test_private_values_are_told_apart_only_with_the_key() -> None:
    values = pa.array(["a", None, "a", "b"])
    one, two = keyed_hash(values, b"k" * 20), keyed_hash(values, b"l" * 20)
    assert one[0] == one[2] != one[3]
    assert one[1].as_py() is None
    assert one[0] != two[0]
    assert fingerprint(b"k" * 20) != fingerprint(b"l" * 20)


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{}", b'{"features": []}', b'{"features": {"a": "date"}}', b'{"features": {"a": "text"}, "missing": 3}', b"[" * 100_000, b'{"features": {"a": "text"}, "task": "x"}'],
)  # fmt: skip
def test_a_hostile_recipe_is_refused(content: bytes) -> None:
    with pytest.raises(ConfigError):
        parse_recipe(content, "tuned.json")


def test_a_model_of_files_has_labels_and_no_columns() -> None:
    content = b'{"label": "^(?P<label>.)", "features": {"words": 4096, "grid": 8}}'
    recipe = parse_recipe(content, "tuned.json")
    assert (recipe.features, recipe.prediction) == ({}, "text")
    with pytest.raises(ConfigError):
        parse_recipe(b'{"features": {"words": 4096, "grid": true}}', "tuned.json")


def test_a_schema_is_read_back_and_a_hostile_one_refused() -> None:
    schema = LogSchema({"a": "number"}, "text", {"b": "hash"}, "0123")
    assert parse_log_schema(schema.to_json(), "x") == schema
    for content in (
        b"",
        b"3",
        b'{"columns": 3}',
        b'{"columns": {"a": "date"}}',
        b'{"columns": {"a": []}}',
        b'{"surprise": 1}',
        b'{"schema": "x"}',
        b'{"private": {"a": 3}}',
    ):
        with pytest.raises(ConfigError):
            parse_log_schema(content, "x")


def _watch(**body: Any) -> Any:
    config = parse_config({"branches": {"raw": None, "monitor/*": {"watch": body}}})
    rule = config.rule_for("monitor/prod")
    assert rule
    return rule.watch


def test_watch_settings_are_read_with_calm_defaults() -> None:
    found = _watch(
        window="24h",
        private={"a": "hash", "b": {"remote": "vault"}},
        limits={"psi": 0.5, "min_rows": 50},
        sides=["train"],
        notify="mail ops",
        retrain=True,
    )
    assert found.window_seconds == 24 * 3600
    assert (found.limits.psi, found.limits.min_rows, found.limits.js) == (0.5, 50, 0.025)
    assert found.private["b"].remote == "vault"
    assert _watch().window_seconds == 7 * 24 * 3600


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"windw": "7d"}, "has no key 'windw'; did you mean 'window'?"),
        ({"window": "soon"}, "no length of a window"),
        ({"window": 7}, "'window' has to be text"),
        ({"private": ["a"]}, "'private' has to map"),
        ({"private": {"a": "burn"}}, "'private.a' is none of"),
        ({"private": {"a": {"remote": "x"}, "b": {"remote": "y"}}}, "more than one remote"),
        ({"private": {"tag": "drop"}}, "'private.tag' can't be"),
        ({"limits": {"psy": 1}}, "has no key 'limits.psy'; did you mean 'psi'?"),
        ({"limits": {"psi": -1}}, "'limits.psi' is no number"),
        ({"limits": {"psi": True}}, "'limits.psi' is no number"),
        ({"limits": {"level": 1.5}}, "'limits.level' is no chance"),
        ({"sides": "train"}, "'sides' has to be a list"),
        ({"retrain": "yes"}, "'retrain' has to be true or false"),
    ],
)  # fmt: skip
def test_wrong_watch_settings_are_refused(body: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=r"branches\.monitor") as found:
        _watch(**body)
    assert said in found.value.message


def test_only_monitor_branches_watch() -> None:
    with pytest.raises(ConfigError, match="only monitor branches watch"):
        parse_config({"branches": {"raw": {"watch": {}}}})
