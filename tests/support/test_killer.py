from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from tests.support.killer import kill_at, kill_points, run_to_end

if TYPE_CHECKING:
    from pathlib import Path


def test_whole_group_dies(tmp_path: Path) -> None:
    script = "(sleep 0.8; touch survived) & touch started; sleep 60"
    assert kill_at(["sh", "-c", script], os.environ, tmp_path, 0.3)
    time.sleep(0.8)
    assert [path.name for path in tmp_path.iterdir()] == ["started"]


def test_a_command_that_ended_was_not_killed(tmp_path: Path) -> None:
    assert not kill_at(["true"], os.environ, tmp_path, 5)


def test_run_to_end_measures(tmp_path: Path) -> None:
    done = run_to_end(["sh", "-c", "sleep 0.2; echo said; exit 4"], os.environ, tmp_path)
    assert 0.2 <= done.duration_seconds < 2
    assert (done.returncode, done.output) == (4, "said\n")
    with pytest.raises(TimeoutError):
        run_to_end(["sleep", "9"], os.environ, tmp_path, timeout_seconds=0.1)


def test_kill_points_are_uniform() -> None:
    assert kill_points(4, 4) == [0.5, 1.5, 2.5, 3.5]
