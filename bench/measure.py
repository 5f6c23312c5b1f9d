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

_IDENTITY = "[user]\n\tname = bench\n\temail = bench@example.com\n[gc]\n\tauto = 0\n"


@dataclass(frozen=True, slots=True)
class Contender:
    """One way to do the job. `prepare` is not timed; both are told the round, from 0."""

    name: str
    act: Callable[[int], None]
    prepare: Callable[[int], None] = lambda _: None


@dataclass(frozen=True, slots=True)
class Case:
    """The same job at one size. `check` raises where the contenders' results differ."""

    size: Mapping[str, int]
    contenders: Sequence[Contender]
    check: Callable[[], None] = lambda: None


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

    def floor(self, *args: str, cwd: Path) -> str:
        """Run one of `floors.py`'s jobs in a bare Python process."""
        script = Path(__file__).with_name("floors.py")
        return self.run(sys.executable, "-I", "-S", str(script), *args, cwd=cwd)


def measure(case: Case, repeats: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Run a case `repeats` times after one round that only warms up; return what was seen.

    Returns: `size`, `load` (before and after, one minute's average) and, for each contender,
        median, least and most seconds, and its median over the first contender's.
    """
    seen: dict[str, list[float]] = {contender.name: [] for contender in case.contenders}
    before = os.getloadavg()[0]
    for turn in range(repeats + 1):
        shift = turn % len(case.contenders)
        for contender in (*case.contenders[shift:], *case.contenders[:shift]):
            contender.prepare(turn)
            started = time.perf_counter()
            contender.act(turn)
            if turn:
                seen[contender.name].append(time.perf_counter() - started)
        case.check()
        say(f"  round {turn} of {repeats}" if turn else "  warmed up")
    ours = statistics.median(seen[case.contenders[0].name])
    return {
        "size": dict(case.size),
        "load": {"before": round(before, 2), "after": round(os.getloadavg()[0], 2)},
        "contenders": {name: _summary(times, ours) for name, times in seen.items()},
    }


def _summary(times: Sequence[float], ours: float) -> dict[str, float]:
    median = statistics.median(times)
    return {
        "median_seconds": round(median, 4),
        "min_seconds": round(min(times), 4),
        "max_seconds": round(max(times), 4),
        "times_ours": round(median / ours, 3),
    }
