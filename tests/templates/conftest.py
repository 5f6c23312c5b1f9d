"""A laid clean branch: one that is only read, and one of the test's own."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.templates.clean_data import lay


@pytest.fixture(scope="session")
def laid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template, to import the scripts from."""
    folder = tmp_path_factory.mktemp("laid")
    lay(folder, "table")
    return folder


@pytest.fixture
def branch(tmp_path: Path) -> Path:
    folder = tmp_path / "branch"
    lay(folder, "table")
    return folder
