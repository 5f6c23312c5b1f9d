"""Keeps as many requests to a server under way as it answers faster for, and no more."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Generic, TypeVar

_T = TypeVar("_T")
_START, _LEAST, MOST = 16, 4, 64
_BETTER, _WORSE = 1.1, 0.8  # times the rate before
_REQUEST_BYTES = 64 * 1024  # a request's own cost, as bytes that would take as long
_IN_FLIGHT_BYTES = 256 * 1024 * 1024
_PATIENCE_SECONDS = 2.0


class Pace:
    """How many requests go at once: more while that brings more, fewer when it brings less."""

    def __init__(self, most: int = MOST, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit = min(_START, most)
        self._most = most
        self._clock = clock
        self._rate = 0.0
        self._has_choked = False
        self._begin()

    def done(self, size_bytes: int) -> None:
        """Count a finished request; after some, think the limit over."""
        self._cost += _REQUEST_BYTES + size_bytes
        self._count += 1
        if self._count < 2 * self.limit:
            return
        rate = self._cost / max(self._clock() - self._since, 1e-9)
        if rate > _BETTER * self._rate:
            step = 1 if self._has_choked else self.limit // 2 + 1
            self.limit = min(self._most, self.limit + step)
        elif rate < _WORSE * self._rate:
            self.limit = max(min(_LEAST, self._most), self.limit * 2 // 3)
            self._has_choked = True
        self._rate = rate
        self._begin()

    def _begin(self) -> None:
        self._since = self._clock()
        self._cost = self._count = 0


def each(
    items: Iterable[_T],
    work: Callable[[_T], None],
    pace: Pace,
    size_of: Callable[[_T], int] = lambda _: 0,
) -> None:
    """Do work on all items, several at once, each in a thread; the first error ends it.

    Args:
        size_of: bytes that an item's work moves; all at once stay within a fixed amount.
    """
    _Crew(iter(items), work, pace, size_of).run()


class _Crew(Generic[_T]):
    """Threads that take one item after the other; there are as many as the pace allows."""

    def __init__(
        self,
        items: Iterator[_T],
        work: Callable[[_T], None],
        pace: Pace,
        size_of: Callable[[_T], int],
    ) -> None:
        self._items = items
        self._work = work
        self._pace = pace
        self._size_of = size_of
        self._change = threading.Condition()
        self._running = 0
        self._in_flight = 0
        self._is_empty = self._is_stopped = False
        self._error: BaseException | None = None

    def run(self) -> None:
        """Return when all is done. Raises: the first error of the work."""
        with self._change:
            try:
                while self._running or not (self._is_empty or self._is_stopped):
                    self._hire()
                    self._change.wait()
            finally:  # also when interrupted: what is under way gets a moment to clean up
                self._is_stopped = True
                self._change.notify_all()
                self._change.wait_for(lambda: not self._running, _PATIENCE_SECONDS)
        if self._error is not None:
            raise self._error

    def _hire(self) -> None:
        while self._running < self._pace.limit and not (self._is_empty or self._is_stopped):
            self._running += 1
            threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        error: BaseException | None = None
        try:
            while (taken := self._take()) is not None:
                item, size = taken
                self._work(item)
                self._finish(size)
        except BaseException as raised:  # noqa: BLE001  `run` raises it
            error = raised
        with self._change:
            self._running -= 1
            self._error = self._error or error
            self._is_stopped = self._is_stopped or error is not None
            self._change.notify_all()

    def _take(self) -> tuple[_T, int] | None:
        """The next item and its bytes; None where this thread is not needed any more."""
        with self._change:
            if self._is_stopped or self._running > self._pace.limit:
                return None
            for item in self._items:
                size = self._size_of(item)
                self._change.wait_for(partial(self._has_room, size))
                if self._is_stopped:
                    return None
                self._in_flight += size
                return item, size
            self._is_empty = True
            return None

    def _has_room(self, size: int) -> bool:
        fits = not self._in_flight or self._in_flight + size <= _IN_FLIGHT_BYTES
        return fits or self._is_stopped

    def _finish(self, size: int) -> None:
        with self._change:
            self._in_flight -= size
            self._pace.done(size)
            if size or self._running < self._pace.limit:
                self._change.notify_all()
