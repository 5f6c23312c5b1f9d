"""What was imported from MLflow for a release: beside its record on the tracking branch.

A record equals the JSON in its tag and never changes; runs that a stage logged to MLflow stand in a
file of their own, which only ever gains runs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from dvc_branchflow.errors import ConfigError
from dvc_branchflow.project import Project
from dvc_branchflow.values import asdict, dataclass, fields
from dvc_branchflow.work.documents import on_tracking, read_files
from dvc_branchflow.work.records import FOLDER, RunRecord

_SCHEMA = "branchflow/mlflow/1"
_PATH = re.compile(rf"{FOLDER}/(.+)/(v\d+\.\d+\.\d+)\.mlflow\.json")
_WHAT = "file of imported runs"


@dataclass(frozen=True, slots=True)
class LoggedMetric:
    """The last value of a metric (None: no finite number), and how many were logged."""

    last: float | None
    points: int


@dataclass(frozen=True, slots=True)
class ImportedRun:
    """A run of MLflow's, as it was when it was imported. `store` has no credentials in it."""

    run_id: str
    name: str
    experiment: str
    store: str
    status: str
    started: str
    ended: str
    params: Mapping[str, str]
    metrics: Mapping[str, LoggedMetric]


def imported_path(record: RunRecord) -> str:
    """Return where a release's imported runs lie on the tracking branch."""
    return f"{FOLDER}/{record.model}/{record.version}.mlflow.json"


def render_imported(record: RunRecord, runs: Sequence[ImportedRun]) -> bytes:
    """Return the file of a release's imported runs."""
    ordered = sorted(runs, key=lambda run: (run.started, run.run_id))
    document = {"schema": _SCHEMA, "tag": record.tag, "runs": [asdict(run) for run in ordered]}
    return (json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()


def read_imported(project: Project, record: RunRecord) -> tuple[ImportedRun, ...]:
    """Return what was imported for a release. Raises: ConfigError: the file can't be read."""
    there = on_tracking(project, re.compile(re.escape(imported_path(record))))
    found, unreadable = read_files(project.git, there, parse_imported, _WHAT)
    for error in unreadable:
        raise error
    return found[0] if found else ()


def imported_metrics(
    project: Project,
) -> tuple[dict[str, dict[str, float | None]], list[ConfigError]]:
    """Return release → the last values of its imported metrics, and what can't be read."""
    there = on_tracking(project, _PATH)
    found, unreadable = read_files(project.git, there, _metrics_of_release, _WHAT)
    return dict(found), unreadable


def parse_imported(content: bytes, path: str) -> tuple[ImportedRun, ...]:
    """Return the runs in a file of them. Raises: ConfigError: it is none."""
    try:
        document = json.loads(content)
        if document["schema"] != _SCHEMA:
            raise ConfigError(f"'{path}': schema {document['schema']!r} is not known")
        return tuple(_run(body) for body in document["runs"])
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise ConfigError(f"'{path}' holds no imported runs: {reason[:200]}") from error


def logged_metrics(runs: Sequence[ImportedRun]) -> dict[str, float | None]:
    """Return the last values by name; where there are several runs, by run and name."""
    return {
        f"{run.name or run.run_id}:{name}" if len(runs) > 1 else name: metric.last
        for run in runs
        for name, metric in run.metrics.items()
    }


def _metrics_of_release(content: bytes, path: str) -> tuple[str, dict[str, float | None]]:
    release = _PATH.sub(r"\1@\2", path)
    return release, logged_metrics(parse_imported(content, path))


def _run(body: Mapping[str, Any]) -> ImportedRun:
    texts = {
        item.name: _text(body[item.name])
        for item in fields(ImportedRun)
        if item.name not in {"params", "metrics"}
    }
    return ImportedRun(
        **texts,
        params={_text(name): _text(value) for name, value in body["params"].items()},
        metrics={_text(name): _metric(value) for name, value in body["metrics"].items()},
    )


def _metric(body: Mapping[str, Any]) -> LoggedMetric:
    last, points = body["last"], body["points"]
    if not isinstance(points, int):
        raise TypeError("'points' has to be a whole number")
    return LoggedMetric(None if last is None else float(last), points)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} has to be text")
    return value
