"""Decides what is kept of a request, in a file that `git branchflow monitor log` reads."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime
from threading import Lock
from typing import Any

OWN = ("request_id", "unit", "experiment", "group")


class Log:
    """Appends a line for each row. A row may bring what `OWN` lists; the rest is as answered."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.lock = Lock()

    def write(self, rows: list[dict[str, Any]], answered: list[dict[str, Any]]) -> None:
        """Write rows with what was answered: the tag, the prediction, the features as read."""
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        lines = []
        for row, answer in zip(rows, answered, strict=True):
            own = {name: row[name] for name in OWN if name in row}
            line = {"request_id": uuid.uuid4().hex} | own | answer | {"time": now}
            lines.append(json.dumps(line) + "\n")
        with self.lock, open(self.path, "a", encoding="utf-8") as file:  # noqa: PTH123
            file.write("".join(lines))
