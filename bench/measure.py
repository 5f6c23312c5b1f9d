"""Times contenders in turn within each round, so that a busy moment hits all of them alike."""

from __future__ import annotations

import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

_PEAK = """\
import os, sys
null = os.open(os.devnull, os.O_RDWR)
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=[
    (os.POSIX_SPAWN_DUP2, null, 0), (os.POSIX_SPAWN_DUP2, null, 1), (os.POSIX_SPAWN_DUP2, null, 2)])
_, status, usage = os.wait4(pid, 0)
print(os.waitstatus_to_exitcode(status), usage.ru_maxrss)
"""
_IDENTITY = "[user]\n\tname = bench\n\temail = bench@example.com\n[gc]\n\tauto = 0\n"


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to do the job. `prepare` is not timed; both are told the round, from 0.

    Attributes:
        act: returns None, or what counts instead of its time.
        once: it goes in one round, no warm-up, and is ended where it takes longer than the limit.
        jobs: how many jobs `act` does; what counts is its time for each.
    """

    name: str
    act: Callable[[int], float | None]
    prepare: Callable[[int], None] = lambda _: None
    once: bool = False
    jobs: int = 1


@dataclass(frozen=True, slots=True)
class Case:
    """The same job at one size.

    Attributes:
        check: told who went to their end in this round, raises where their results differ.
        close: called when all is measured.
        unit: of what counts: `seconds`, or `mib`.
        in_order: a contender needs the one before it, so that none goes first in turn.
    """

    size: Mapping[str, int]
    contenders: Sequence[Contender]
    check: Callable[[Collection[str]], None] = lambda _: None
    close: Callable[[], object] = lambda: None
    unit: str = "seconds"
    in_order: bool = False


@dataclass(frozen=True, slots=True)
class Bench:
    """A place to work in, and an environment in which nothing of the user's own counts."""

    root: Path
    env: Mapping[str, str]

    @classmethod
    def at(cls, root: Path) -> Bench:
        """Lay the place: a home, Git and DVC settings of its own."""
        home = root / "home"
        home.mkdir(parents=True)
        (home / ".gitconfig").write_text(_IDENTITY)
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("GIT_", "DVC_", "XDG_"))}
        kept.pop("PYTHONDONTWRITEBYTECODE", None)  # it triples the start of DVC
        scripts = str(Path(sys.executable).parent)
        own = {
            "HOME": str(home),
            "PATH": os.pathsep.join([scripts, kept.get("PATH", "")]),
            "DVC_NO_ANALYTICS": "1",
            "DVC_SITE_CACHE_DIR": str(root / "site"),
            "GIT_CONFIG_NOSYSTEM": "1",
        }
        return cls(root, {**kept, **own})

    def run(self, *command: str, cwd: Path) -> str:
        """Run a command as a user would and return its output; one that fails ends the bench."""
        program = shutil.which(command[0], path=self.env["PATH"]) or command[0]
        done = subprocess.run(
            [program, *command[1:]], cwd=cwd, env=self.env, capture_output=True, check=False,
            text=True, stdin=subprocess.DEVNULL,
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{' '.join(command[:4])} failed: {done.stderr.strip()[-500:]}")
        return done.stdout

    def peak_mib(self, *command: str, cwd: Path) -> float:
        """Run a command to its end, good or bad; return the most memory that it had.

        A small process starts it: a child counts what its parent holds until it is another program.
        """
        program = shutil.which(command[0], path=self.env["PATH"]) or command[0]
        told = self.run(sys.executable, "-I", "-S", "-c", _PEAK, program, *command[1:], cwd=cwd)
        code, kib = map(int, told.split())
        if code not in {0, 1}:  # 1: it ran, and the answer is no
            raise RuntimeError(f"{' '.join(command[:4])} failed: {code}")
        return kib / 1024

    def floor(self, *args: str, cwd: Path) -> str:
        """Run one of `floors.py`'s jobs in a bare Python process."""
        script = Path(__file__).with_name("floors.py")
        return self.run(sys.executable, "-I", "-S", str(script), *args, cwd=cwd)


def measure(
    case: Case, repeats: int, limit_seconds: float, say: Callable[[str], None]
) -> dict[str, Any]:
    """Run a case `repeats` times after one round that only warms up; return what was seen.

    One repeat has no warm-up: it is for what takes long.

    Returns: `size`, `unit`, `others` (the share of all processors' time that other processes had)
        and, for each contender, median, least and most, its median over the first contender's, and
        `is_over`: it was ended at the limit, and would have taken longer.
    """
    seen: dict[str, list[_Seen]] = {contender.name: [] for contender in case.contenders}
    before = _Processors.now()
    try:
        warm_ups = min(repeats - 1, 1)
        for turn in range(warm_ups + repeats):
            going = [one for one in _in_turn(case, turn) if turn == warm_ups or not one.once]
            found = {one.name: _measured(one, turn, limit_seconds) for one in going}
            case.check([name for name, one in found.items() if not one.is_over])
            for name, one in found.items() if turn >= warm_ups else ():
                seen[name].append(one)
            say(f"  round {turn + 1} of {warm_ups + repeats}")
        others = _Processors.now().others_since(before)
    finally:
        case.close()
    ours = statistics.median(one.value for one in seen[case.contenders[0].name])
    return {
        "size": dict(case.size),
        "unit": case.unit,
        "others": round(others, 3),
        "contenders": {name: _summary(found, ours, case.unit) for name, found in seen.items()},
    }


def _in_turn(case: Case, turn: int) -> list[Contender]:
    shift = 0 if case.in_order else turn % len(case.contenders)
    return [*case.contenders[shift:], *case.contenders[:shift]]


@dataclass(frozen=True, slots=True)
class _Seen:
    value: float
    is_over: bool = False


def _measured(contender: Contender, turn: int, limit_seconds: float) -> _Seen:
    contender.prepare(turn)
    os.sync()  # nobody waits for what the one before has left to be written
    started = time.perf_counter()
    try:
        with _ended_after(limit_seconds if contender.once else 0):
            found = contender.act(turn)
    except _OverError:
        return _Seen(limit_seconds / contender.jobs, is_over=True)
    spent = (time.perf_counter() - started) / contender.jobs
    return _Seen(spent if found is None else found)


class _OverError(Exception):
    """What a contender is ended with at the limit; its process is killed on the way."""


@contextmanager
def _ended_after(seconds: float) -> Iterator[None]:
    """End what is within after some seconds, 0: never."""

    def end(*_: object) -> None:
        raise _OverError

    signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


@dataclass(frozen=True, slots=True)
class _Processors:
    """How busy the processors were until now, with our own processes and in all, in seconds."""

    at: float
    own: float
    total: float

    @classmethod
    def now(cls) -> _Processors:
        spent = psutil.cpu_times()._asdict()
        idle = sum(spent.get(key, 0.0) for key in ("idle", "iowait", "guest", "guest_nice"))
        us = psutil.Process()
        own = sum(sum(one.cpu_times()[:4]) for one in (us, *us.children(recursive=True)))
        return cls(time.perf_counter(), own, sum(spent.values()) - idle)

    def others_since(self, before: _Processors) -> float:
        """Return the share of all that the processors can do that went to others, 0 to 1."""
        others = (self.total - before.total) - (self.own - before.own)
        possible = (self.at - before.at) * (os.cpu_count() or 1)
        return min(max(others / possible, 0.0), 1.0)


def _summary(found: Sequence[_Seen], ours: float, unit: str) -> dict[str, Any]:
    values = [one.value for one in found]
    median = statistics.median(values)
    return {
        f"median_{unit}": round(median, 6),
        f"min_{unit}": round(min(values), 6),
        f"max_{unit}": round(max(values), 6),
        "times_ours": round(median / ours, 3),
        "is_over": any(one.is_over for one in found),
    }
