"""Decides how the tests run: with one thread, since several wait for each other on tiny data."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")
