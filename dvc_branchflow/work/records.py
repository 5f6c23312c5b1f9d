"""Run records: one JSON a release or refused candidate, with all that it came from."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from dvc_branchflow.errors import ConfigError
from dvc_branchflow.gating import is_finite
from dvc_branchflow.gitobjects import EXECUTABLE_MODE, FILE_MODE, Entry
from dvc_branchflow.model import Branch, Sha
from dvc_branchflow.plain import MAX_DEPTH
from dvc_branchflow.project import Project
from dvc_branchflow.query import flat, is_number
from dvc_branchflow.values import asdict, dataclass, field, fields
from dvc_branchflow.versions import Version, parse_tag, release_tag, versions_of
from dvc_branchflow.work.documents import (
    MAX_DOCUMENT_BYTES,
    on_tracking,
    read_files,
    read_objects,
    too_large,
)

SCHEMA = "branchflow/run/1"
FOLDER = "runs"
CERTIFICATE_FILE = "certificate.json"
METRICS_FILE = "metrics.json"
_WHAT = "run record"
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

    def values(self) -> dict[str, object]:
        """Return what a reader may ask for by name: fields, pins, metrics and params."""
        fields_of = ("tag", "model", "version", "when", "who", "commit", "certificate", "seconds")
        found = {name: getattr(self, name) for name in fields_of}
        found |= {f"pins.{name}": sha for name, sha in self.pins.items()}
        found |= {f"metrics.{name}": value for name, value in self.flat_metrics().items()}
        found |= {f"params.{name}": value for name, value in flat(self.params).items()}
        return found

    def flat_metrics(self) -> dict[str, float]:
        """Return the metrics by their names, those of `metrics.json` first."""
        return {name: value for name, _, value in named_metrics(self.metrics)}

    def metric(self, name: str) -> object:
        """Return what stands under a metric's name, a number or not; None where nothing does.

        Args:
            name: as in `flat_metrics`, or `FILE:NAME`.
        """
        if name in (named := self.flat_metrics()):
            return named[name]
        file, colon, key = name.rpartition(":")
        if not colon:
            file = METRICS_FILE if METRICS_FILE in self.metrics else next(iter(self.metrics), "")
        found: object = self.metrics.get(file)
        for part in key.split("."):
            found = found.get(part) if isinstance(found, dict) else None
        return None if isinstance(found, dict) else found


@dataclass(frozen=True, slots=True)
class Records:
    """The records that there are, oldest first, and what is wrong with those that can't be read."""

    found: tuple[RunRecord, ...]
    unreadable: tuple[ConfigError, ...]


def as_json(value: Any, *, depth: int = MAX_DEPTH) -> Any:
    """Return a value of JSON's as strict readers take it: numbers that JSON lacks as text.

    Raises: ValueError: it is nested too deeply.
    """
    if depth == 0:
        raise ValueError("it is nested too deeply")
    if isinstance(value, dict):
        return {str(key): as_json(item, depth=depth - 1) for key, item in value.items()}
    if isinstance(value, list):
        return [as_json(item, depth=depth - 1) for item in value]
    is_odd = isinstance(value, float) and not math.isfinite(value)
    return str(value) if is_odd else value


def named_metrics(metrics: Mapping[str, Any]) -> Iterator[tuple[str, str, float]]:
    """Yield name, file and value of each finite number in metrics files, by file and name.

    The name is dotted; of another file than `metrics.json`, where there are several, `FILE:NAME`.
    """
    files = sorted(metrics, key=lambda file: file != METRICS_FILE)
    for file in files:
        prefix = "" if file == METRICS_FILE or len(files) == 1 else f"{file}:"
        for key, value in sorted(flat(metrics[file]).items()):
            if is_number(value) and is_finite(value):
                yield prefix + key, file, value


def refused_path(model: str, candidate: str) -> str:
    """Return where the record of a refused candidate lies on the tracking branch."""
    return f"{FOLDER}/{model}/refused/{candidate}.json"


def parse_record(content: bytes, where: str) -> RunRecord:
    """Return the record in a JSON document; fields of later versions are passed over.

    Raises: ConfigError: it is none.
    """
    if len(content) > MAX_DOCUMENT_BYTES:
        raise too_large(where, _WHAT, len(content))
    known = {item.name for item in fields(RunRecord)}
    try:
        document = as_json(json.loads(content))
        if document.get("schema") != SCHEMA:
            found = repr(document.get("schema"))
            raise ConfigError(f"'{where}' is no run record: schema {found[:60]}")
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


def read_records(project: Project) -> Records:
    """Return the records of all releases: on the tracking branch, or only in a release's tag."""
    there = _read(project, on_tracking(project, _RECORD_PATH))
    known = {record.tag for record in there.found}
    tags = {
        tag: ref.sha
        for tag, ref in project.tags.items()
        if ref.kind == "tag" and tag not in known and parse_tag(tag)
    }
    in_tags = _in_tags(project, tags)
    return _ordered((*there.found, *in_tags.found), (*there.unreadable, *in_tags.unreadable))


def read_refused(project: Project) -> Records:
    """Return the records of all refused candidates on the tracking branch."""
    return _read(project, on_tracking(project, _REFUSED_PATH))


def read_record(project: Project, path: str) -> RunRecord | None:
    """Return the record at a path of the tracking branch, None where there is no file.

    Raises: ConfigError: it can't be read.
    """
    tip = project.tracking.sha
    entry = project.git.entry(project.git.commits([tip])[tip].tree, path)
    if entry is None:
        return None
    read = _read(project, {path: entry})
    for error in read.unreadable:
        raise error
    return read.found[0]


def current_record(project: Project, model: str) -> RunRecord | None:
    """Return the record of a model's newest release that has one, None where none has.

    A tag that somebody made by hand may have none, or a broken one: such a release is passed over.
    """
    for version in sorted(versions_of(project.tags, model), reverse=True):
        if record := record_of(project, model, version):
            return record
    return None


def record_of(project: Project, model: str, version: Version) -> RunRecord | None:
    """Return the record of a release that is here: of its tag, or else of the tracking branch.

    None where neither has one that can be read.
    """
    tag = release_tag(model, version)
    carried = _in_tags(project, {tag: project.tags[tag].sha}).found
    if carried:
        return carried[0]
    with suppress(ConfigError):
        return read_record(project, f"{FOLDER}/{model}/{version}.json")
    return None


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


def _read(project: Project, wanted: Mapping[str, Entry]) -> Records:
    return _ordered(*read_files(project.git, wanted, _record_of, _WHAT))


def _in_tags(project: Project, tags: Mapping[str, Sha]) -> Records:
    return _ordered(*read_objects(project.git, tags, _record_in_tag, _WHAT))


def _ordered(found: Iterable[RunRecord], unreadable: Iterable[ConfigError]) -> Records:
    by_age = sorted(found, key=lambda record: (record.when, record.tag))
    return Records(tuple(by_age), tuple(unreadable))


def _record_in_tag(body: bytes, tag: str) -> RunRecord | None:
    """The record that a release's tag carries; None for anybody else's tag."""
    start = body.find(b"\n{\n")
    if start < 0 or SCHEMA.encode() not in body:
        return None
    return _record_of(body[start + 1 :], tag)


def _record_of(content: bytes, where: str) -> RunRecord:
    """The record of what its path or tag names."""
    record = parse_record(content, where)
    if where not in {record.path, record.tag} or record.tag != f"{record.model}@{record.version}":
        raise ConfigError(f"'{where}' is no run record: it says that it is '{record.tag[:60]}'")
    return record
