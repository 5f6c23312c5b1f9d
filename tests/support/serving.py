"""Starts an inference server of the templates as its own process, and asks it."""

from __future__ import annotations

import json
import time
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.processes import kill_group, start_group

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_READY_WITHIN_SECONDS = 60.0


@dataclass(frozen=True)
class Served:
    """A running server."""

    port: int

    def ask(self, method: str, path: str, body: bytes | None = None) -> dict[str, Any]:
        """The answer to a request, which has to be a good one."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request(method, path, body)
        response = connection.getresponse()
        text = response.read()
        assert response.status == 200, text
        return json.loads(text)


@contextmanager
def served(
    args: Sequence[str | Path], port: int, *, cwd: Path, env: Mapping[str, str], log: Path
) -> Iterator[Served]:
    """A server on a port of this machine, from when it answers."""
    with log.open("wb") as output:
        words = [str(arg) for arg in args]
        process = start_group(words, output=output, env=env, cwd=cwd, dies_with_us=True)
        try:
            deadline = time.monotonic() + _READY_WITHIN_SECONDS
            while f"on port {port}" not in log.read_text(encoding="utf-8"):
                assert process.poll() is None, log.read_text(encoding="utf-8")
                assert time.monotonic() < deadline, log.read_text(encoding="utf-8")
                time.sleep(0.05)
            yield Served(port)
        finally:
            kill_group(process)
