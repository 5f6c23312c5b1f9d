"""The only importer of mlflow: runs in a store of MLflow's, be it a server, a database or a folder.

MLflow is asked to send nothing home, to print nothing, and to give up on a server within seconds.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import posixpath
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from dvc_branchflow.errors import StorageError, UsageError
from dvc_branchflow.values import asdict, dataclass, field

RELEASE_TAG = "branchflow.tag"
"""The tag that names a run's release; a stage of it sets the tag from `$BRANCHFLOW_TAG`."""
COMMIT_TAG = "branchflow.commit"
"""The tag that only exported runs have: the release's commit, which no other repository has."""
_DIGEST_TAG = "branchflow.digest"
_SETTINGS = {
    "DO_NOT_TRACK": "true",
    "MLFLOW_CONFIGURE_LOGGING": "false",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
}
_MAX_NAME = 250
_MAX_PARAM = 6000
_MAX_TAG = 5000  # of databases; 8,000 elsewhere
_PAGE = 500
_AT_ONCE = 100  # experiments in one search
_LOCAL = frozenset({"", "file"})


@dataclass(frozen=True, slots=True)
class Sheet:
    """A run as it is to stand in a store, in the experiment of that name."""

    experiment: str
    name: str
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    started_ms: int
    ended_ms: int

    @property
    def digest(self) -> str:
        """A digest over all of it: what says that a run is written in full."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A run that a store holds; `ended_ms` is None while it runs."""

    run_id: str
    name: str
    experiment: str
    status: str
    started_ms: int
    ended_ms: int | None
    params: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]

    def holds(self, sheet: Sheet) -> bool:
        """Whether a sheet was written into this run to the end."""
        return self.tags.get(_DIGEST_TAG) == sheet.digest


@dataclass
class TrackingStore:
    """A store of MLflow's. `address` is its URI without credentials."""

    uri: str
    address: str
    _names: dict[str, str] = field(default_factory=dict, repr=False)

    @property
    def is_absent(self) -> bool:
        """Whether it is a local one that nobody has made yet: MLflow would make it."""
        parts = urlsplit(self.uri)
        path = self._database or (Path(unquote(parts.path)) if parts.scheme in _LOCAL else None)
        return path is not None and not path.exists()

    @property
    def _database(self) -> Path | None:
        """The file of a database that is one."""
        parts = urlsplit(self.uri)
        return Path(parts.path.removeprefix("/")) if parts.scheme == "sqlite" else None

    def exported(self, experiment: str, commit: str | None = None) -> list[StoredRun]:
        """Return the exported runs of an experiment: those of one release's commit, or all."""
        with self._errors():
            known = self._client.get_experiment_by_name(experiment)
            if known is None:
                return []
            wanted = f"tags.`{COMMIT_TAG}` = '{commit}'" if commit else f"tags.`{COMMIT_TAG}` != ''"
            runs = list(self._search([known.experiment_id], wanted))
        return [run for run in runs if COMMIT_TAG in run.tags]

    def logged(self, tag: str) -> list[StoredRun]:
        """Return what stages logged for a release, by its tag, oldest first."""
        with self._errors():
            ids = list(self._experiments())
            parts = (ids[start : start + _AT_ONCE] for start in range(0, len(ids), _AT_ONCE))
            wanted = f"tags.`{RELEASE_TAG}` = '{tag}'"
            runs = [run for part in parts for run in self._search(part, wanted)]
        own = [run for run in runs if COMMIT_TAG not in run.tags]
        return sorted(own, key=lambda run: (run.started_ms, run.run_id))

    def get(self, run_id: str) -> StoredRun:
        """Return a run by its id. Raises: StorageError: there is none."""
        with self._errors():
            return self._stored(self._client.get_run(run_id))

    def points(self, run: StoredRun, metric: str) -> int:
        """Return how many values a run logged for a metric."""
        with self._errors():
            return len(self._client.get_metric_history(run.run_id, metric))

    def create(self, sheet: Sheet) -> StoredRun:
        """Start a run for a sheet. It holds nothing but its name and tags yet."""
        with self._errors():
            run = self._client.create_run(
                self._experiment_id(sheet.experiment), start_time=sheet.started_ms,
                tags=dict(sheet.tags), run_name=sheet.name,
            )  # fmt: skip
            return self._stored(run)

    def complete(self, run: StoredRun, sheet: Sheet) -> None:
        """Write what of a sheet a run lacks, and that this is all, last.

        A param that is there already keeps its value: MLflow lets none change.
        """
        from mlflow.entities import Metric, Param, RunTag

        params = [Param(k, v) for k, v in sheet.params.items() if k not in run.params]
        metrics = [
            Metric(k, v, sheet.ended_ms, 0)
            for k, v in sheet.metrics.items()
            if k not in run.metrics
        ]
        tags = [RunTag(k, v) for k, v in sheet.tags.items() if run.tags.get(k) != v]
        with self._errors():
            self._client.log_batch(run.run_id, metrics=metrics, params=params, tags=tags)
            self._client.set_terminated(run.run_id, end_time=sheet.ended_ms)
            self._client.set_tag(run.run_id, _DIGEST_TAG, sheet.digest)

    def discard(self, run: StoredRun) -> None:
        """Move a run to where MLflow keeps deleted ones."""
        with self._errors():
            self._client.delete_run(run.run_id)

    @cached_property
    def _client(self) -> Any:
        """MLflow's client. Importing it takes seconds."""
        for name, value in _SETTINGS.items():
            os.environ.setdefault(name, value)
        if urlsplit(self.uri).scheme in _LOCAL:
            os.environ.setdefault("MLFLOW_ALLOW_FILE_STORE", "true")  # it was asked for by name
        try:
            from mlflow import MlflowClient
        except ImportError as error:
            raise StorageError(
                f"mlflow is not installed: {error}", hint="pip install 'dvc-branchflow[mlflow]'"
            ) from error
        for name in ("mlflow", "alembic"):
            logging.getLogger(name).setLevel(logging.ERROR)
        return MlflowClient(tracking_uri=self.uri)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        """Turn whatever MLflow and its drivers raise into one line of ours, without passwords."""
        try:
            yield
        except StorageError:
            raise
        except Exception as error:  # noqa: BLE001  drivers of databases raise their own
            secret = urlsplit(self.uri).netloc.rpartition("@")[0]
            reason = " ".join(str(error).split())
            for part in filter(None, (secret, secret.partition(":")[2])):
                reason = reason.replace(part, "…")
            raise StorageError(f"MLflow store '{self.address}': {reason[:300]}") from None

    def _search(self, experiment_ids: list[str], wanted: str) -> Iterator[StoredRun]:
        token = None
        while True:
            page = self._client.search_runs(
                experiment_ids, wanted, max_results=_PAGE, page_token=token
            )
            yield from map(self._stored, page)
            token = page.token
            if not token:
                return

    def _experiments(self) -> Iterator[str]:
        token = None
        while True:
            page = self._client.search_experiments(max_results=_PAGE, page_token=token)
            self._names |= {one.experiment_id: one.name for one in page}
            yield from (one.experiment_id for one in page)
            token = page.token
            if not token:
                return

    def _experiment_id(self, name: str) -> str:
        known = self._client.get_experiment_by_name(name)
        if known is None:
            try:
                return str(self._client.create_experiment(name, self._artifacts(name)))
            except Exception:
                known = self._client.get_experiment_by_name(name)  # somebody was faster
                if known is None:
                    raise
        if known.lifecycle_stage != "active":
            raise StorageError(
                f"MLflow store '{self.address}': experiment '{name}' is deleted there",
                hint=f"mlflow experiments restore --experiment-id {known.experiment_id}",
            )
        return str(known.experiment_id)

    def _artifacts(self, experiment: str) -> str | None:
        """Where an experiment's artifacts go; None: MLflow or its server says.

        MLflow would name a folder of where we stand, for good: some checkout, most likely.
        """
        if self._database is None:
            return None
        return (self._database.resolve().parent / "mlartifacts" / experiment).as_uri()

    def _stored(self, run: Any) -> StoredRun:
        info, data = run.info, run.data
        if info.experiment_id not in self._names:
            self._names[info.experiment_id] = self._client.get_experiment(info.experiment_id).name
        return StoredRun(
            run_id=info.run_id,
            name=info.run_name or "",
            experiment=self._names[info.experiment_id],
            status=info.status,
            started_ms=info.start_time or 0,
            ended_ms=info.end_time,
            params=dict(data.params),
            metrics=dict(data.metrics),
            tags=dict(data.tags),
        )


def open_store(uri: str) -> TrackingStore:
    """Return the store at a URI as MLflow takes it; nothing is imported or asked yet.

    Raises: UsageError: it can't be one.
    """
    try:
        urlsplit(uri)
    except ValueError as error:
        raise UsageError(f"'{uri[:200]}' can't be the URI of an MLflow store: {error}") from error
    if not uri:
        raise UsageError("the URI of an MLflow store can't be empty")
    return TrackingStore(uri, re.sub(r"(?<=://)[^/@]*@", "", uri).partition("?")[0])


def key_for(text: str) -> str:
    """Return a name that MLflow takes for a param, metric or tag, another one for each text."""
    name = re.sub(r"[^\w./ :-]", "_", text)
    if posixpath.normpath(name) != name or name.startswith((".", "/")):
        name = name.replace("/", "_").lstrip(".")
    if name and name == text and len(name) <= _MAX_NAME:
        return name
    return f"{name[: _MAX_NAME - 9]}-{_short_digest(text)}"


def param_for(value: str) -> str:
    """Return a param's value as MLflow takes it: one that is too long ends in its digest."""
    return _cut(value, _MAX_PARAM)


def tag_for(value: str) -> str:
    """Return a tag's value as MLflow takes it: one that is too long ends in its digest."""
    return _cut(value, _MAX_TAG)


def milliseconds(when: str) -> int:
    """Return a time in UTC, as records hold it, as milliseconds since 1970."""
    return int(datetime.fromisoformat(when).astimezone(UTC).timestamp() * 1000)


def _cut(value: str, limit: int) -> str:
    return value if len(value) <= limit else f"{value[: limit - 10]}… {_short_digest(value)}"


def _short_digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
