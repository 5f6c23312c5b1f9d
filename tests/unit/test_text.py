"""How values look on a terminal."""

from __future__ import annotations

import pytest

from dvc_branchflow.cli.text import Column, cell, fitted

COLUMNS = [
    Column("release", ["m@v1.0.0"]), Column("when", ["2024-01-01"], 2), Column("mae", [20.123456789], 1),
]  # fmt: skip


@pytest.mark.parametrize(
    ("room", "titles"),
    [(80, "release when mae"), (29, "release when mae"), (28, "release mae"), (5, "release")],
)
def test_on_a_narrow_terminal_what_is_used_least_goes(
    monkeypatch: pytest.MonkeyPatch, room: int, titles: str
) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", str(room))
    head, row = fitted(COLUMNS).splitlines()
    assert head.split() == titles.split()
    assert len(row) <= max(room, len("m@v1.0.0"))


def test_off_a_terminal_nothing_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "5")
    assert len(fitted(COLUMNS).splitlines()[0].split()) == 3


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"), (0.1 + 0.2, "0.3"), (12345678, "12345678"), ("a\x1bb\n", "a\\x1bb\\n"),
        ("x" * 70, "x" * 59 + "…"), ("\udcff", "\\udcff"), (True, "True"),
    ],
)  # fmt: skip
def test_a_cell_is_short_and_plain(value: object, text: str) -> None:
    assert cell(value) == text
