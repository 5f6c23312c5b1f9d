"""Keeps pushes and garbage collections out of each other's way, by one small file on a DVC remote.

A push believes objects that lie on the remote already; a gc may be about to take one of them away.
So a gc says in `branchflow/gc.json` that it is at work, waits as long as a push takes from its last
look to its ref, and only then looks what is needed. A push looks at the mark before it asks for
objects and again before its refs move; if anything changed, it proves its objects again.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Literal, Self

from dvc_branchflow.errors import ConfigError, StorageError
from dvc_branchflow.objects.notes import HOME
from dvc_branchflow.project import Project
from dvc_branchflow.values import asdict, dataclass, replace
from dvc_branchflow.work.leases import utc
from dvc_branchflow.work.transfer import Report

MARK = f"{HOME}/gc.json"
SCHEMA = "branchflow/gc/1"
DRAIN_SECONDS = 15.0
"""How long a push may take from its last look at the mark until its refs have moved."""
_BEAT_SECONDS = 10.0
_LOST_SECONDS = 40.0  # without a beat a gc stops by itself, long before anybody calls it dead
_DEAD_SECONDS = 90.0
_POLL_SECONDS = 1.0
_AGAIN = "run the command again"
_PATIENCE_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class Mark:
    """What a gc says of itself. `beat` grows while it is at work; `token` tells runs apart."""

    run: str
    token: str
    who: str
    state: Literal["running", "done"]
    since: str
    beat: int = 0
    schema: str = SCHEMA


class Quiet:
    """Sees to it that no gc goes over DVC remotes from the first look at each on."""

    def __init__(self, project: Project, report: Report) -> None:
        self._project = project
        self._report = report
        self._seen: dict[str, bytes | None] = {}

    def look(self, remote: str | None) -> None:
        """Look at a DVC remote's mark (None: the default one's); wait for a gc that is at work.

        Raises: StorageError: it does not come to an end, or the DVC remote is away.
        """
        name = remote or self._project.dvc_config.default_remote
        if name and name in self._project.dvc_config.remotes and name not in self._seen:
            self._seen[name] = _wait_until_done(self._project, name, self._report)

    def holds(self) -> bool:
        """Whether no gc began or ended since."""
        notes = self._project.notes
        return all(notes(name).read(MARK) == seen for name, seen in self._seen.items())


class AtWork:
    """A gc's mark on DVC remotes, kept fresh while it is at work.

    Attributes:
        now: the earliest of this machine's clock and the remotes' own, in seconds since the epoch.
    """

    def __init__(self, project: Project, remotes: Sequence[str], run: str, report: Report) -> None:
        self._notes = {name: project.notes(name) for name in remotes}
        self._project = project
        self._report = report
        token = os.urandom(8).hex()
        self._mark = Mark(run, token, project.git.identity(), "running", utc(time.time()))
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self._fresh = 0.0
        self.now = time.time()

    def __enter__(self) -> Self:
        for name in self._notes:
            _wait_until_done(self._project, name, self._report, mine=self._mark.run)
        self._write()
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Say that it is over, whatever came of it: every push then looks again."""
        self._end.set()
        self._thread.join()
        self._mark = replace(self._mark, state="done")
        try:
            self._write()
        except StorageError:
            if error is None:  # else the remote is away, which the error says; pushes wait a while
                raise

    def require(self) -> None:
        """Raise StorageError where the mark is not fresh or not ours: pushes may not see it."""
        if time.time() - self._fresh > _LOST_SECONDS:
            raise StorageError("the mark of this gc grew old: it was held up", hint=_AGAIN)
        for name, notes in self._notes.items():
            found = _parsed(notes.read(MARK), name)
            if found is None or found.token != self._mark.token:
                raise StorageError(f"another gc began on DVC remote '{name}'", hint=_AGAIN)

    def drain(self, seconds: float) -> None:
        """Wait for the pushes that did not see the mark."""
        if seconds:
            self._report(f"waiting {seconds:.0f} s for pushes that are under way")
        self._end.wait(seconds)
        self.require()

    def _beat(self) -> None:
        while not self._end.wait(_BEAT_SECONDS):
            self._mark = replace(self._mark, beat=self._mark.beat + 1)
            try:
                self._write()
            except StorageError:
                continue  # `require` stops the work if that goes on

    def _write(self) -> None:
        started = time.time()
        content = json.dumps(asdict(self._mark), indent=2).encode() + b"\n"
        written = [notes.write(MARK, content) for notes in self._notes.values()]
        self._fresh = started
        self.now = min([time.time(), *(note.modified_seconds for note in written)])


def _wait_until_done(
    project: Project, remote: str, report: Report, *, mine: str | None = None
) -> bytes | None:
    """Return the mark on a DVC remote once no gc is at work there.

    Args:
        mine: a run that this process holds the lock of: if it is marked, its process is dead.
    """
    notes = project.notes(remote)
    began = changed = time.monotonic()
    seen = notes.read(MARK)
    while (mark := _parsed(seen, remote)) is not None and mark.state == "running":
        if mark.run == mine or time.monotonic() - changed > _DEAD_SECONDS:
            break
        if time.monotonic() - began > _PATIENCE_SECONDS:
            raise StorageError(
                f"{mark.who} cleans up DVC remote '{remote}' since {mark.since}; nothing can be "
                "stored until that is done"
            )
        if changed == began:
            report(f"waiting for a gc of {mark.who} on DVC remote '{remote}'")
        time.sleep(_POLL_SECONDS)
        again = notes.read(MARK)
        if again != seen:
            seen, changed = again, time.monotonic()
    return seen


def _parsed(content: bytes | None, remote: str) -> Mark | None:
    if content is None:
        return None
    try:
        body: Any = json.loads(content)
        mark = Mark(**body)
        if mark.schema != SCHEMA or mark.state not in {"running", "done"}:
            raise ConfigError(f"'{MARK}' on DVC remote '{remote}' is of another version")
    except (ValueError, TypeError) as error:
        raise ConfigError(f"'{MARK}' on DVC remote '{remote}' can't be read: {error}") from error
    return mark
