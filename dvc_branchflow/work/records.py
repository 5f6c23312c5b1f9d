"""Run records: one JSON a release or refused candidate, with all that it came from."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from dvc_branchflow.errors import ConfigError
from dvc_branchflow.git import Git
from dvc_branchflow.gitobjects import EXECUTABLE_MODE, FILE_MODE
from dvc_branchflow.model import Branch, Sha
from dvc_branchflow.project import Project
from dvc_branchflow.versions import parse_tag

SCHEMA = "branchflow/run/1"
FOLDER = "runs"
CERTIFICATE_FILE = "certificate.json"
METRICS_FILE = "metrics.json"
MAX_RECORD_BYTES = 1024 * 1024
_RECORD_PATH = re.compile(rf"{FOLDER}/.+/v\d+\.\d+\.\d+\.json")
_REFUSED_PATH = re.compile(rf"{FOLDER}/.+/refused/[0-9a-f]{{12}}\.json")
_MAPPINGS = (
    "code", "pins", "params", "metrics", "outs", "checks", "environment", "test", "gates",
)  # fmt: skip
_KINDS: Mapping[str, type | tuple[type, ...]] = {
    **dict.fromkeys(_MAPPINGS, dict),
    "certificate": (str, type(None)),
    "seconds": (int, float),
    "refused": (list, tuple),
    "reason": (str, type(None)),
}


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One release or refused candidate, and every ingredient of it.

    Attributes:
        tag: of the release; of a refused candidate, the one that it would have got.
        commit: the tagged commit of the stable branch; empty for a refused candidate.
        code: where its code was promoted from, and a digest over the code's files.
        pins: upstream branch → commit.
        certificate: digest of the split that it was evaluated on, None where there is none.
        metrics: metrics file → its content; numbers that JSON lacks stand as text.
        outs: path → md5, size in bytes and, for what the release ships, sha256.
        checks: name → command, seconds, the tail of its output, and the result that it wrote.
        test: the looks at the test side: which stages, on which certificate, the how manyth.
        seconds: how long its pipeline took.
        candidate: digest over code and pinned outs, the same for all tries of the same thing.
        gates: the release compared with, whether on the same split, and each gate's result.
        refused: the gates that refused it: gate, found, wanted, reason. Empty for a release.
        reason: why it was released past a gate or a limit.
    """

    tag: str
    model: str
    version: str
    commit: str
    code: Mapping[str, Any]
    pins: Mapping[str, str]
    certificate: str | None
    params: Mapping[str, Any]
    metrics: Mapping[str, Any]
    outs: Mapping[str, Mapping[str, Any]]
    checks: Mapping[str, Any]
    environment: Mapping[str, str]
    seconds: float
    who: str
    when: str
    test: Mapping[str, Any] = field(default_factory=dict)
    candidate: str = ""
    gates: Mapping[str, Any] = field(default_factory=dict)
    refused: Sequence[Mapping[str, Any]] = ()
    reason: str | None = None
    schema: str = field(default=SCHEMA)

    def to_json(self) -> str:
        """Return the record as it stands in the tag and on the tracking branch."""
        return json.dumps(asdict(self), indent=2, sort_keys=True, ensure_ascii=False) + "\n"

    @property
    def path(self) -> str:
        """Where the record lies on the tracking branch."""
        if self.refused:
            return refused_path(self.model, self.candidate)
        return f"{FOLDER}/{self.model}/{self.version}.json"

    def flat_metrics(self) -> dict[str, float]:
        """Return the metrics by dotted name; those of other files than the main one by file."""
        names = sorted(self.metrics, key=lambda name: name != METRICS_FILE)
        flat: dict[str, float] = {}
        for name in names:
            prefix = "" if name == METRICS_FILE or len(names) == 1 else f"{name}:"
            flat |= {prefix + key: value for key, value in _flatten(self.metrics[name], "")}
        return flat

    def metric(self, name: str) -> object:
        """Return what stands under a metric's name, a number or not; None where nothing does.

        Args:
            name: as in `flat_metrics`, or `FILE:NAME`.
        """
        if name in (flat := self.flat_metrics()):
            return flat[name]
        file, colon, key = name.rpartition(":")
        if not colon:
            file = METRICS_FILE if METRICS_FILE in self.metrics else next(iter(self.metrics), "")
        found: object = self.metrics.get(file)
        for part in key.split("."):
            found = found.get(part) if isinstance(found, dict) else None
        return None if isinstance(found, dict) else found


def refused_path(model: str, candidate: str) -> str:
    """Return where the record of a refused candidate lies on the tracking branch."""
    return f"{FOLDER}/{model}/refused/{candidate}.json"


def parse_record(content: bytes, where: str) -> RunRecord:
    """Return the record in a JSON document; fields of later versions are passed over.

    Raises: ConfigError: it is none.
    """
    if len(content) > MAX_RECORD_BYTES:
        raise ConfigError(f"'{where}' is no run record: it has {len(content):,} bytes")
    known = {item.name for item in fields(RunRecord)}
    try:
        document = json.loads(content)
        if document.get("schema") != SCHEMA:
            raise ConfigError(f"'{where}' is no run record: schema {document.get('schema')!r}")
        record = RunRecord(**{key: value for key, value in document.items() if key in known})
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ConfigError(f"'{where}' is no run record: {error}") from error
    for item in fields(RunRecord):
        if not isinstance(getattr(record, item.name), _KINDS.get(item.name, str)):
            raise ConfigError(f"'{where}' is no run record: '{item.name}' is of the wrong type")
    if not all(isinstance(sha, str) for sha in record.pins.values()):
        raise ConfigError(f"'{where}' is no run record: 'pins' has to map branches to commits")
    if not all(isinstance(body, dict) for body in record.outs.values()):
        raise ConfigError(f"'{where}' is no run record: 'outs' has to map paths to mappings")
    if not all(isinstance(body, dict) for body in record.refused):
        raise ConfigError(f"'{where}' is no run record: 'refused' has to be a list of mappings")
    return record


def read_records(project: Project) -> list[RunRecord]:
    """Return the records of all releases on the tracking branch, oldest first."""
    return _read(project, _RECORD_PATH)


def read_refused(project: Project) -> list[RunRecord]:
    """Return the records of all refused candidates on the tracking branch, oldest first."""
    return _read(project, _REFUSED_PATH)


def record_in_tag(git: Git, sha: Sha, tag: str) -> RunRecord | None:
    """Return the record that a release's tag carries; None for anybody else's tag."""
    body = git.read_blobs([sha])[sha]
    start = body.find(b"\n{\n")
    if parse_tag(tag) is None or start < 0 or SCHEMA.encode() not in body:
        return None
    return parse_record(body[start + 1 :], tag)


def certificate_of(project: Project, pins: Mapping[Branch, Sha]) -> str | None:
    """Return the split certificate at the pinned commits, None where none of them has one."""
    git = project.git
    for commit in git.commits(pins.values()).values():
        entry = git.entry(commit.tree, CERTIFICATE_FILE)
        if entry is None or entry.mode not in {FILE_MODE, EXECUTABLE_MODE}:
            continue
        try:
            found = json.loads(git.read_blobs([entry.sha])[entry.sha])
            return str(found["certificate"])
        except (ValueError, KeyError, TypeError, RecursionError):
            continue
    return None


def _read(project: Project, layout: re.Pattern[str]) -> list[RunRecord]:
    files = project.git.files(project.tracking.sha)
    wanted = {path: entry for path, entry in files.items() if layout.fullmatch(path)}
    sizes = project.git.sizes(entry.sha for entry in wanted.values())
    for path, entry in wanted.items():
        if sizes[entry.sha] > MAX_RECORD_BYTES or entry.mode not in {FILE_MODE, EXECUTABLE_MODE}:
            raise ConfigError(f"'{path}' is no run record: too large, or no plain file")
    blobs = project.git.read_blobs(entry.sha for entry in wanted.values())
    records = [parse_record(blobs[entry.sha], path) for path, entry in wanted.items()]
    return sorted(records, key=lambda record: (record.when, record.tag))


def _flatten(body: Any, prefix: str) -> list[tuple[str, float]]:
    if isinstance(body, dict):
        return [pair for key, value in body.items() for pair in _flatten(value, f"{prefix}{key}.")]
    if isinstance(body, int | float) and not isinstance(body, bool):
        value = _float(body)
        return [(prefix.rstrip("."), value)] if math.isfinite(value) else []
    return []


def _float(number: float) -> float:
    try:
        return float(number)
    except OverflowError:  # an integer beyond every float
        return math.inf
