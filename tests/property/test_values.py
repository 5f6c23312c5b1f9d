"""Values by name: whatever they are, one is changed alone, and no condition on them fails."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from dvc_branchflow.errors import UsageError
from dvc_branchflow.plain import load_values, with_values
from dvc_branchflow.query import parse_condition

TEXTS = st.text(st.characters(categories=("L", "N", "P", "S", "Zs")), max_size=9)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS


@given(st.dictionaries(st.text("abc", min_size=1), LEAVES, min_size=1), LEAVES)
def test_any_value_may_take_the_place_of_any_other(body: dict[str, Any], value: object) -> None:
    name = next(iter(body))
    content = json.dumps(body, ensure_ascii=False).encode()
    for path in ("p.yaml", "p.json"):
        made = with_values(content, path, {name: value})
        assert made is not None
        assert load_values(made, path) == {**load_values(content, path), name: value}


@given(
    st.text(max_size=60), st.dictionaries(st.text(max_size=5), st.floats() | st.text() | st.none())
)
def test_no_condition_ends_in_a_traceback(text: str, values: dict[str, object]) -> None:
    try:
        condition = parse_condition(text)
    except UsageError:
        return
    condition.holds(values)
