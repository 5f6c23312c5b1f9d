"""Times contenders in turn within each round, so that a busy moment hits all of them alike."""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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

    `act` returns None, or what counts instead of its time. `once`: no warm-up and one round, for
    what takes minutes.
    """

    name: str
    act: Callable[[int], float | None]
    prepare: Callable[[int], None] = lambda _: None
    once: bool = False


@dataclass(frozen=True, slots=True)
class Case:
    """The same job at one size.

    Attributes:
        check: raises where the contenders' results differ.
        close: called when all is measured.
        unit: of what counts: `seconds`, or `mib`.
        in_order: a contender needs the one before it, so that none goes first in turn.
    """

    size: Mapping[str, int]
    contenders: Sequence[Contender]
    check: Callable[[], None] = lambda: None
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


def measure(case: Case, repeats: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Run a case `repeats` times after one round that only warms up; return what was seen.

    Returns: `size`, `unit`, `load` (before and after, one minute's average) and, for each
        contender, median, least and most, and its median over the first contender's.
    """
    seen: dict[str, list[float]] = {contender.name: [] for contender in case.contenders}
    before = os.getloadavg()[0]
    try:
        for turn in range(repeats + 1):
            for contender in _in_turn(case, turn):
                found = _measured(contender, turn)
                if turn:
                    seen[contender.name].append(found)
            case.check()
            say(f"  round {turn} of {repeats}" if turn else "  warmed up")
    finally:
        case.close()
    ours = statistics.median(seen[case.contenders[0].name])
    return {
        "size": dict(case.size),
        "unit": case.unit,
        "load": {"before": round(before, 2), "after": round(os.getloadavg()[0], 2)},
        "contenders": {name: _summary(found, ours, case.unit) for name, found in seen.items()},
    }


def _in_turn(case: Case, turn: int) -> list[Contender]:
    shift = 0 if case.in_order else turn % len(case.contenders)
    shifted = [*case.contenders[shift:], *case.contenders[:shift]]
    return [contender for contender in shifted if turn == 1 or not contender.once]


def _measured(contender: Contender, turn: int) -> float:
    contender.prepare(turn)
    started = time.perf_counter()
    found = contender.act(turn)
    return time.perf_counter() - started if found is None else found


def _summary(found: Sequence[float], ours: float, unit: str) -> dict[str, float]:
    median = statistics.median(found)
    return {
        f"median_{unit}": round(median, 4),
        f"min_{unit}": round(min(found), 4),
        f"max_{unit}": round(max(found), 4),
        "times_ours": round(median / ours, 3),
    }
