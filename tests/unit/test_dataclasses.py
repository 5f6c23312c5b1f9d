"""Our dataclasses are the standard library's, made later."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
import subprocess
import sys
from typing import Any

import pytest

from dvc_branchflow import values


@values.dataclass(frozen=True, slots=True, order=True)
class Point:
    """A value."""

    x: int
    y: int = 2


@values.dataclass(frozen=True, slots=True)
class Named(Point):
    names: list[str] = values.field(default_factory=list)
    hidden: str = values.field(default="h", repr=False)

    @property
    def first(self) -> str:
        return self.names[0]


@values.dataclass
class Account:
    owner: str
    entries: list[int] = values.field(default_factory=list, repr=False)
    limit: int = 5

    def __post_init__(self) -> None:
        self.total = sum(self.entries)


def standard(kind: type, **options: Any) -> Any:
    """The class that the standard library makes of the same fields."""
    fields = dataclasses.fields(kind)
    specs = [
        (
            f.name,
            f.type,
            dataclasses.field(default=f.default, default_factory=f.default_factory, repr=f.repr),
        )
        for f in fields
    ]
    return dataclasses.make_dataclass(kind.__qualname__, specs, **options)


@pytest.mark.parametrize(
    ("kind", "options", "calls"),
    [
        (Point, {"frozen": True, "slots": True, "order": True}, [((1,), {}), ((1, 3), {}), ((), {"x": 1, "y": 3})]),
        (Named, {"frozen": True, "slots": True}, [((1,), {}), ((1,), {"names": ["a"], "hidden": "z"})]),
        (Account, {}, [(("o",), {}), (("o", [1]), {"limit": 7})]),
    ],
)  # fmt: skip
def test_they_read_compare_and_complain_as_the_standard_ones(kind, options, calls) -> None:
    theirs = standard(kind, **options)
    for args, named in calls:
        one, other = kind(*args, **named), theirs(*args, **named)
        assert repr(one) == repr(other)
        assert dataclasses.asdict(one) == dataclasses.asdict(other) == values.asdict(one)
        assert one == kind(*args, **named)
        assert one != other
        assert dataclasses.replace(one) == values.replace(one) == one
    assert kind.__match_args__ == theirs.__match_args__
    assert inspect.signature(kind).parameters.keys() == inspect.signature(theirs).parameters.keys()
    for wrong in ({}, {calls[0][1].get("x", "nope"): 1}):
        with pytest.raises(TypeError) as mine:
            kind(**wrong)
        with pytest.raises(TypeError) as their:
            theirs(**wrong)
        assert str(mine.value) == str(their.value)


def test_a_frozen_one_holds_hashes_sorts_and_travels() -> None:
    one = Named(1, names=["a"])
    assert one.first == "a"
    for change in (lambda: setattr(one, "x", 2), lambda: delattr(one, "x")):
        with pytest.raises(dataclasses.FrozenInstanceError):
            change()
    assert not hasattr(one, "__dict__")
    assert hash(Point(1)) == hash(Point(1, 2))
    assert sorted([Point(2), Point(1, 3), Point(1)]) == [Point(1), Point(1, 3), Point(2)]
    assert max(Point(2), Point(3)) == Point(3)
    assert Point(1) >= Point(1)
    assert pickle.loads(pickle.dumps(one)) == copy.deepcopy(one) == one  # noqa: S301


def test_one_that_changes_has_no_hash_and_its_own_defaults() -> None:
    one, other = Account("a"), Account("b")
    one.entries.append(1)
    one.limit = 9
    assert (other.entries, other.limit, one.total) == ([], 5, 0)
    with pytest.raises(TypeError):
        hash(one)


def test_the_standard_library_knows_them() -> None:
    assert values.is_dataclass(Point)
    assert dataclasses.is_dataclass(Point)
    assert [f.name for f in dataclasses.fields(Named)] == ["x", "y", "names", "hidden"]
    assert not values.is_dataclass(3)


def test_a_class_that_nobody_uses_compiles_nothing_and_loads_no_inspect() -> None:
    code = (
        "from dvc_branchflow.values import dataclass\nimport builtins, sys\n"
        "run = []\nbuiltins.exec = lambda *a: run.append(a)\n"
        "@dataclass(frozen=True, slots=True)\nclass P:\n    x: int = 1\n"
        "print(len(run), 'inspect' in sys.modules, 'dataclasses' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "0 False False\n"
