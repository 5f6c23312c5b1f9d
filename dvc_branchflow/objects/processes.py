"""Spreads work on many files over processes: threads make hashing small files slower, not faster.

A forked child works on its part, answers through a pipe and ends; killed parents leave nobody
behind who waits. Where forking is no good idea (other threads, other systems) one process does it.
"""

from __future__ import annotations

import os
import sys
import threading
from bisect import bisect_left
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from typing import Any, NoReturn, TypeVar

from dvc_branchflow.errors import StorageError
from dvc_branchflow.values import dataclass, field

_T = TypeVar("_T")
_R = TypeVar("_R")
_FILE_SECONDS, _BYTE_SECONDS = 1e-4, 1 / 400e6  # what reading, hashing and writing takes, about
_WORTH_SECONDS = 0.05  # what makes up for one more process
_MOST = 8


def spread(
    work: Callable[[Sequence[_T]], list[_R]], items: Sequence[_T], sizes_bytes: Sequence[int]
) -> list[_R]:
    """Do work on files, part by part and side by side; return the results in their order.

    Raises: StorageError: of a part; the others are worked on to their end.
    """
    parts = _parts(items, sizes_bytes)
    children = [_Child(work, part) for part in parts[1:]]
    try:
        results = list(work(parts[0]))
    finally:
        answers = [child.answer() for child in children]
    for answer in answers:
        results += answer.results()
    return results


def _parts(items: Sequence[_T], sizes_bytes: Sequence[int]) -> list[Sequence[_T]]:
    """Neighbours together, so that each part takes about as long."""
    ends = list(accumulate(_FILE_SECONDS + size * _BYTE_SECONDS for size in sizes_bytes))
    total = ends[-1] if ends else 0.0
    count = _processes(total)
    cuts = [bisect_left(ends, total * part / count) for part in range(1, count)]
    bounds = [0, *cuts, len(items)]
    parts = [items[start:end] for start, end in pairwise(bounds) if start < end]
    return parts or [items]


def _processes(seconds: float) -> int:
    can_fork = sys.platform == "linux" and threading.active_count() == 1
    # obstore's threads, which Python doesn't count, would be missing in a child.
    if not can_fork or "obstore" in sys.modules:
        return 1
    return max(1, min(int(seconds / _WORTH_SECONDS), len(os.sched_getaffinity(0)), _MOST))


class _Child:
    """A forked process that does one part."""

    def __init__(self, work: Callable[[Any], Any], part: Sequence[Any]) -> None:
        self._pipe, far = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            os.close(self._pipe)
            _work_and_end(work, part, far)
        os.close(far)

    def answer(self) -> _Answer:
        """Wait for the end."""
        import pickle  # 3 ms, and most work is done by one process

        with os.fdopen(self._pipe, "rb") as pipe:
            said = pipe.read()
        os.waitpid(self._pid, 0)
        if not said:
            return _Answer(failure="a process that worked on files was killed")
        answer: _Answer = pickle.loads(said)  # noqa: S301  our own child wrote it
        return answer


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a child says at its end. `bug`: the traceback of what nobody expected."""

    done: list[Any] = field(default_factory=list)
    failure: str | None = None
    hint: str | None = None
    bug: str | None = None

    def results(self) -> list[Any]:
        if self.bug:
            raise RuntimeError(self.bug)
        if self.failure:
            raise StorageError(self.failure, hint=self.hint)
        return self.done


def _work_and_end(work: Callable[[Any], Any], part: Sequence[Any], pipe: int) -> NoReturn:
    import pickle
    import traceback

    try:
        try:
            answer = _Answer(work(part))
        except StorageError as error:
            answer = _Answer(failure=error.message, hint=error.hint)
        except BaseException:  # noqa: BLE001  the parent raises it
            answer = _Answer(bug=traceback.format_exc())
        with os.fdopen(pipe, "wb") as file:
            pickle.dump(answer, file)
    finally:
        os._exit(0)
