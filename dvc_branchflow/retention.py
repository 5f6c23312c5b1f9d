"""How long commits keep their data: which of them are past what their branch's role asks for."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from dvc_branchflow.errors import ConfigError
from dvc_branchflow.model import Branch, Role, Sha
from dvc_branchflow.values import dataclass, field

FOREVER = "forever"
_UNITS = {"h": 3600, "d": 86_400, "w": 7 * 86_400, "y": 365 * 86_400}
_PERIOD = re.compile(r"(\d{1,5})\s*([hdwy])")


@dataclass(frozen=True, slots=True)
class Retention:
    """How many seconds data is kept that only old commits need; None: for ever.

    Attributes:
        roles: by the role of the branch on whose own line a commit lies.
        experiments: DVC experiments. run_cache: entries of DVC's run-cache.
    """

    roles: Mapping[Role, float | None] = field(default_factory=dict)
    experiments: float | None = None
    run_cache: float | None = None

    @property
    def is_limited(self) -> bool:
        """Whether the commits of any role lose their data one day."""
        return any(period is not None for period in self.roles.values())


class Line(NamedTuple):
    """A branch's tip, and how many seconds the commits on its own line keep data (None: ever)."""

    branch: Branch
    tip: Sha
    period: float | None


def parse_period(text: str) -> float | None:
    """Return how many seconds `30d`, `12w`, `1y` or `6h` are; None: `forever`.

    Raises: ConfigError: it is none of these.
    """
    match = _PERIOD.fullmatch(text.strip())
    if match is None and text.strip() != FOREVER:
        raise ConfigError(f"'{text[:40]}' is no period such as 30d, 12w, 1y or '{FOREVER}'")
    return int(match[1]) * _UNITS[match[2]] if match else None


def expired(
    parents: Mapping[Sha, Sequence[Sha]],
    seconds: Mapping[Sha, int],
    lines: Collection[Line],
    exempt: Collection[Sha],
    now: float,
) -> dict[Sha, Branch]:
    """Return the commits that keep nothing any more, with a branch whose line each lies on.

    A commit expires where it is older than the period of every branch on whose own line (first
    parents) it lies. One that lies on no line never does, such as what a merge brought along.

    Args:
        parents: commit → its parents, children before parents.
        seconds: commit → its committer's time since the epoch.
        exempt: commits that stay whatever their age, such as tips, tags and what is pinned.
    """
    ages = _ages(parents, seconds, now)
    periods: dict[Sha, tuple[float, Branch]] = {}
    # The longest first: a line that is met again has nothing to add.
    for line in sorted(lines, key=lambda line: -_length(line.period)):
        at: Sha | None = line.tip
        while at is not None and at not in periods:
            periods[at] = (_length(line.period), line.branch)
            at = next(iter(parents.get(at, ())), None)
    return {
        sha: branch
        for sha, (period, branch) in periods.items()
        if sha not in exempt and ages.get(sha, 0) > period
    }


def _length(period: float | None) -> float:
    return float("inf") if period is None else period


def _ages(
    parents: Mapping[Sha, Sequence[Sha]], seconds: Mapping[Sha, int], now: float
) -> dict[Sha, float]:
    """Age of each commit in seconds; none is older than the one that it was built on."""
    times: dict[Sha, float] = {}
    for sha in reversed(list(parents)):
        before = max((times.get(parent, 0.0) for parent in parents[sha]), default=0.0)
        times[sha] = max(float(seconds[sha]), before)
    return {sha: now - time for sha, time in times.items()}
