"""Values in YAML, JSON and TOML files: read by name, and changed with all else as it was."""

from __future__ import annotations

import json

import pytest

from dvc_branchflow.errors import ConfigError
from dvc_branchflow.plain import load_values, with_values
from dvc_branchflow.query import flat

TEXT = """\
# é 😀 what the model is
model:
  kind: 'linear'     # or boosting
  rate: [0.1, 1.0]   # each is tried
  deep: {a: 1, b: two}
  block:
  - 1
  text: |
    long
  none:
last: ~ # end
"""


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("model.kind", "boosting", "  kind: boosting     # or boosting"),
        ("model.kind", "1e5", '  kind: "1e5"     # or boosting'),
        ("model.kind", "yes: # no", "  kind: 'yes: # no'     # or boosting"),
        ("model.kind", "true", "  kind: 'true'     # or boosting"),
        ("model.kind", 1e-7, "  kind: 1.0e-07     # or boosting"),
        ("model.kind", None, "  kind: null     # or boosting"),
        ("model.rate", [5, "x"], "  rate: [5, x]   # each is tried"),
        ("model.deep.b", 3, "  deep: {a: 1, b: 3}"),
        ("last", False, "last: false # end"),
    ],
)
def test_one_value_is_changed_and_nothing_else(name: str, value: object, line: str) -> None:
    made = with_values(TEXT.encode(), "params.yaml", {name: value})
    assert made is not None
    changed = set(made.decode().splitlines()) - set(TEXT.splitlines())
    assert changed == {line}
    assert flat(load_values(made, "params.yaml")) == {
        **flat(load_values(TEXT.encode(), "p")),
        name: value,
    }


@pytest.mark.parametrize("name", ["model.block", "model.text", "model", "model.new", "new"])
def test_what_can_not_be_changed_alone_is_not(name: str) -> None:
    assert with_values(TEXT.encode(), "params.yaml", {name: 1}) is None


def test_json_stays_json_and_toml_is_left() -> None:
    made = with_values(b'{"a": {"b": 1, "c": [1]}}', "params.json", {"a.b": "x", "a.c": [True]})
    assert json.loads(made or b"") == {"a": {"b": "x", "c": [True]}}
    assert with_values(b"a = 1\n", "params.toml", {"a": 2}) is None
    assert with_values("a: 1\n".encode("utf-16"), "params.yaml", {"a": 2}) is None
    assert with_values(b'{"a": "\\ud83d\\ude00", "b": 1}', "params.json", {"b": 2}) is None
    deep = b'{"b": 1, "a": ' + b"[" * 500 + b"]" * 500 + b"}"
    assert with_values(deep, "params.json", {"b": 2}) is None


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.json", b"{"), ("a.json", b"\xff"), ("a.json", b"[" * 100_000), ("a.toml", b"a = "), ("a.toml", b"\xff"),
        ("a.toml", b"a = " + b"[" * 100_000), ("a.yaml", b"- ["), ("a", b"a: 1\na: 2\n"),
        ("a.json", b" " * (17 * 1024 * 1024)),
    ],
)  # fmt: skip
def test_what_is_not_what_its_name_says_is_named(name: str, content: bytes) -> None:
    with pytest.raises(ConfigError, match=f"'{name}' is"):
        load_values(content, name)
