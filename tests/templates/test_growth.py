"""Clean and split together: what arrives later, and where it sorts, moves nothing to another side."""

from __future__ import annotations

import json
import shutil
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.templates.clean_data import put, run_all, set_params, table
from tests.templates.split_data import params, split_all

pytestmark = pytest.mark.slow

PARTITIONS = ["2024-01", "2024-02", "2024-03"]
NAMES = st.sampled_from([f"{number}.txt" for number in range(9)])
BODIES = st.sampled_from([b"one", b"two", b"three", b"four"])  # so that they come again elsewhere
ROWS = st.lists(st.tuples(st.sampled_from("abcd"), st.sampled_from("123")), max_size=5)


def sides_after_each(
    laid: Path, kind: str, arrivals: dict[str, dict[str, bytes]], own: dict[str, Any]
) -> list[dict[str, set[str]]]:
    """Content → its sides, after each arrival."""
    found = []
    with TemporaryDirectory() as top:
        branch = Path(top, "clean")
        shutil.copytree(laid, branch, ignore=shutil.ignore_patterns("__pycache__"))
        set_params(branch, kind=kind)
        arrived: list[str] = []
        for name, files in arrivals.items():
            put(branch, name, files)
            arrived.append(name)
            run_all(branch, laid, arrived)
            kept = {
                part: {
                    path.relative_to(branch / "data/clean" / part).as_posix(): path.read_bytes()
                    for path in (branch / "data/clean" / part).rglob("*")
                    if path.is_file()
                }
                for part in arrived
            }
            placed = split_all(Path(top, f"split-{len(arrived)}"), kept, own).placed
            sides: dict[str, set[str]] = {}
            for identity, own_sides in placed.items():
                sides.setdefault(json.dumps(json.loads(identity)[-1]), set()).update(own_sides)
            found.append(sides)
    return found


def moves_nothing(steps: list[dict[str, set[str]]]) -> None:
    for before, after in pairwise(steps):
        assert {content: after.get(content) for content in before} == before
    assert all(len(sides) == 1 for step in steps for sides in step.values())


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    arrivals=st.fixed_dictionaries(
        {name: st.dictionaries(NAMES, BODIES, min_size=1) for name in PARTITIONS}
    ),
    order=st.permutations(PARTITIONS),
)
def test_a_file_keeps_its_side_whatever_copies_of_it_arrive(laid: Path, arrivals, order) -> None:
    steps = sides_after_each(
        laid, "files", {name: arrivals[name] for name in order}, params("files")
    )
    moves_nothing(steps)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    arrivals=st.fixed_dictionaries(dict.fromkeys(PARTITIONS, ROWS)),
    order=st.permutations(PARTITIONS),
)
def test_a_row_keeps_its_side_whatever_copies_of_it_arrive(laid: Path, arrivals, order) -> None:
    files = {name: {"a.csv": table([["key", "y"], *arrivals[name]])} for name in order}
    moves_nothing(sides_after_each(laid, "table", files, params("table", key="key")))
