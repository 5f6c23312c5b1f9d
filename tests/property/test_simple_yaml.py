"""What the line by line reader makes of YAML is what the YAML library makes of it, or nothing."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dvc_branchflow.errors import ConfigError
from dvc_branchflow.plain import _load
from dvc_branchflow.simpleyaml import read_simple

SIGNS = """
a b1 a.b x/y - -1 +2 0 010 1.5 .5 1. 1e3 1e +.inf .nan . .. ... --- true Null no ~ << = a:b a: : a:1
a#b # #x ' " 'q' "q" '' "" 'it''s' "\\n" [] {} [a] [a,b] [a, [a,,b] {a: 1} {a} 2} [[[1]]] {'a': b}
{a:1} ${x} dev/* *x &x !t |- > ? % @ ` , ] } 1_000 0x1F 12:30 2001-01-01 s3://x é -a -- a, +a
"""
WORDS = st.sampled_from([*SIGNS.split(), "\t", "\x07"])
PIECES = st.one_of(WORDS, st.sampled_from([" ", "  ", ": ", "- ", "\n", "\n  ", "\n    ", ", "]))
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8)
    | WORDS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(WORDS | st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=8,
)


def agrees(text: str) -> bool:
    """Whether it was read; fails where the library says something else."""
    data = text.encode("utf-8", "surrogatepass")
    found = read_simple(data)
    if found is None:
        return False
    try:
        wanted = _load(data, "x", aliases=False)
    except ConfigError as error:
        raise AssertionError(f"{text!r} is read as {found!r}, and is wrong: {error}") from error
    assert repr(found) == repr(wanted), text
    return True


@settings(max_examples=1500, deadline=None)
@given(st.lists(PIECES, max_size=14).map("".join))
@example("a:\n- b\n  c: d")
@example("- a: 1\n  b:\n  - c\n  d: [e, {f: g}]\n-\n  h")
def test_no_text_is_read_otherwise_than_by_the_library(text: str) -> None:
    agrees(text)


@settings(max_examples=400, deadline=None)
@given(VALUES, st.sampled_from([False, None, True]))
def test_no_document_is_read_otherwise_than_by_the_library(value: object, style: object) -> None:
    agrees(yaml.safe_dump(value, default_flow_style=style, sort_keys=False))


POINTER = f"""\
outs:
- md5: {"0123456789abcdef" * 2}.dir
  size: 12
  nfiles: 3
  hash: md5
  path: p
"""
LOCK = """\
schema: '2.0'
stages:
  clean@2013-01:
    cmd: python src/clean.py ${item} > log
    deps:
    - path: data/raw/2013-01
      hash: md5
      size: 9
    params:
      params.yaml:
        model.kind: linear
        lr: 0.001
"""
FLOW = """\
version: 1   # the only one
# a comment
branches:
  raw:      {role: raw, data: data/raw}
  dev/*:    {role: dev, from: [raw, 'x y'], sample: 0.1}
  stable/*: {code: "dev/{}"}
"""
PIPELINE = """\
stages:
  train:
    cmd:
      - python a.py
      - python b.py
    deps: [a.py, b.py]
    outs:
      - model:
          cache: false
"""
DEEP = "a:\n" + "\n".join(" " * n + "a:" for n in range(900))


@pytest.mark.parametrize("text", [POINTER, LOCK, FLOW, PIPELINE, f"split: {'12a5' * 10}\n"])
def test_what_dvc_and_people_write_is_read_without_the_library(text: str) -> None:
    assert agrees(text)


@pytest.mark.parametrize(
    "text", ["[" * 900, f"a: {'[' * 400}", "- " * 400, DEEP, f"{'a' * 2000}: 1"]
)
def test_what_is_deep_or_long_is_left_to_the_library(text: str) -> None:
    assert read_simple(text.encode()) is None
