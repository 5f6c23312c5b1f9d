"""Records of reproductions: that a release was made once more, by whom, and what matched.

Each is a file of its own on the tracking branch, beside the release's record, which never changes.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal, get_args

from dvc_branchflow.errors import ConfigError
from dvc_branchflow.project import Project
from dvc_branchflow.query import flat, is_number
from dvc_branchflow.values import asdict, dataclass, field, fields
from dvc_branchflow.work.documents import on_tracking, read_files
from dvc_branchflow.work.records import FOLDER, as_json

SCHEMA = "branchflow/reproduction/1"
Verdict = Literal["identical", "within tolerance", "different", "failed"]

_WHAT = "record of a reproduction"
_PATH = re.compile(rf"{FOLDER}/.+/reproduced/v\d+\.\d+\.\d+-\d{{8}}T\d{{6}}Z(?:-\d+)?\.json")
_MAPPINGS = ("outs", "metrics", "environment")
_KINDS: Mapping[str, type | tuple[type, ...]] = {
    **dict.fromkeys(_MAPPINGS, dict),
    **dict.fromkeys(("tolerance", "seconds"), (int, float)),
    "reason": (str, type(None)),
}


@dataclass(frozen=True, slots=True)
class Pair:
    """What a release has on record, and what its reproduction came to; None: nothing there."""

    recorded: object
    found: object


@dataclass(frozen=True, slots=True)
class Reproduction:
    """A release that was made once more, from its tag.

    Attributes:
        verdict: `identical`: every out, bit for bit; `within tolerance`: every metric; `different`:
            neither; `failed`: the pipeline did not run to its end.
        tolerance: the relative difference of metrics that was allowed.
        outs: path → its oid in the release's `dvc.lock`, and the one that was made.
        metrics: `FILE:NAME` → value.
        environment: platform, CPUs and versions, of the release and of the reproduction.
        reason: why it failed.
        id: its own; without it, two of one second could be the very same commit, and count as one.
    """

    tag: str
    model: str
    version: str
    commit: str
    verdict: Verdict
    tolerance: float
    outs: Mapping[str, Pair]
    metrics: Mapping[str, Pair]
    environment: Mapping[str, Pair]
    seconds: float
    who: str
    when: str
    reason: str | None = None
    id: str = ""
    schema: str = field(default=SCHEMA)

    def to_json(self) -> str:
        """Return the record as it stands on the tracking branch."""
        return json.dumps(asdict(self), indent=2, sort_keys=True, ensure_ascii=False) + "\n"

    def paths(self) -> Iterator[str]:
        """Yield where the record may lie on the tracking branch: at the first free place."""
        at = re.sub(r"[-:]", "", self.when)
        start = f"{FOLDER}/{self.model}/reproduced/{self.version}-{at}"
        yield f"{start}.json"
        for number in range(2, 1000):
            yield f"{start}-{number}.json"

    @property
    def outs_that_differ(self) -> dict[str, Pair]:
        """Those of the outs that are not the same, bit for bit."""
        return {path: pair for path, pair in self.outs.items() if pair.recorded != pair.found}

    @property
    def versions_that_differ(self) -> dict[str, Pair]:
        """What is of another version, of all that both sides name."""
        named = {n: p for n, p in self.environment.items() if None not in {p.recorded, p.found}}
        return {name: pair for name, pair in named.items() if pair.recorded != pair.found}

    @property
    def metrics_that_differ(self) -> dict[str, Pair]:
        """Those of the metrics that are further apart than the tolerance."""
        return {
            name: pair
            for name, pair in self.metrics.items()
            if not is_close(pair.recorded, pair.found, self.tolerance)
        }


@dataclass(frozen=True, slots=True)
class Reproductions:
    """What is on record, oldest first, and what is wrong with what can't be read."""

    found: tuple[Reproduction, ...]
    unreadable: tuple[ConfigError, ...]

    def last(self, tag: str, commit: str) -> Verdict | None:
        """Return what the last one of a release came to; None where there is none of it."""
        of_it = [one.verdict for one in self.found if (one.tag, one.commit) == (tag, commit)]
        return of_it[-1] if of_it else None


def judge_reproduction(
    outs: Mapping[str, Pair], metrics: Mapping[str, Pair], tolerance: float
) -> Verdict:
    """Say what a reproduction came to."""
    if all(pair.recorded == pair.found for pair in outs.values()):
        return "identical"
    is_whole = metrics and all(pair.found for pair in outs.values())
    is_within = all(is_close(pair.recorded, pair.found, tolerance) for pair in metrics.values())
    return "within tolerance" if is_whole and is_within else "different"


def metric_pairs(recorded: Mapping[str, Any], found: Mapping[str, Any]) -> dict[str, Pair]:
    """Return metrics side by side, by `FILE:NAME`.

    Args:
        recorded, found: metrics file → its content.
    """
    sides = [
        {f"{file}:{name}": v for file, body in side.items() for name, v in flat(body).items()}
        for side in (recorded, found)
    ]
    return pairs(*sides)


def pairs(recorded: Mapping[str, object], found: Mapping[str, object]) -> dict[str, Pair]:
    """Return two mappings side by side."""
    names = sorted({*recorded, *found})
    return {name: Pair(recorded.get(name), found.get(name)) for name in names}


def is_close(recorded: object, found: object, tolerance: float) -> bool:
    """Whether two values of a metric differ by no more than the tolerance, of the larger one."""
    if is_number(recorded) and is_number(found):
        return math.isclose(recorded, found, rel_tol=tolerance)
    return recorded == found


def parse_reproduction(content: bytes, where: str) -> Reproduction:
    """Return the record in a JSON document; fields of later versions are passed over.

    Raises: ConfigError: it is none.
    """
    known = {item.name for item in fields(Reproduction)}
    try:
        document = as_json(json.loads(content))
        if document.get("schema") != SCHEMA:
            raise ConfigError(f"'{where}' is no {_WHAT}: another schema")
        values = {key: value for key, value in document.items() if key in known}
        for name in _MAPPINGS:
            values[name] = {key: Pair(**pair) for key, pair in values[name].items()}
        found = Reproduction(**values)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise ConfigError(f"'{where}' is no {_WHAT}: {reason[:200]}") from error
    for item in fields(Reproduction):
        is_odd = not isinstance(getattr(found, item.name), _KINDS.get(item.name, str))
        if is_odd or found.verdict not in get_args(Verdict):
            raise ConfigError(f"'{where}' is no {_WHAT}: '{item.name}' is of the wrong kind")
    return found


def read_reproductions(project: Project) -> Reproductions:
    """Return the reproductions on record."""
    wanted = on_tracking(project, _PATH)
    found, unreadable = read_files(project.git, wanted, parse_reproduction, _WHAT)
    by_age = sorted(found, key=lambda one: (one.when, one.tag))
    return Reproductions(tuple(by_age), tuple(unreadable))
