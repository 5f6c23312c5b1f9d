"""How names and addresses are made to fit MLflow, and imported runs are read from a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dvc_branchflow.errors import ConfigError, UsageError
from dvc_branchflow.tracking import key_for, open_store, param_for
from dvc_branchflow.work.imported import logged_metrics, parse_imported

RUN = {
    "run_id": "1f", "name": "fit", "experiment": "training", "store": "sqlite:///a.db",
    "status": "FINISHED", "started": "2024-01-01T00:00:00Z", "ended": "2024-01-01T00:01:00Z",
    "params": {"depth": "3"}, "metrics": {"loss": {"last": 0.5, "points": 4}},
}  # fmt: skip


def document(**changes: Any) -> bytes:
    return json.dumps({"schema": "branchflow/mlflow/1", "tag": "m@v1.0.0", **changes}).encode()


@pytest.mark.parametrize("name", ["train.lr", "a/b", "of 3: x-1_y", "größe"])
def test_a_name_that_mlflow_takes_stays(name: str) -> None:
    assert key_for(name) == name


def test_other_names_become_names_that_differ_as_they_did() -> None:
    names = ["", ".", "..", "/a", "a/", "a//b", "a/./b", "a/../b", "./a", "a%b", "a$b", "a\nb"]
    names += ["x" * 251, "x" * 252, "x" * 250 + "%"]
    keys = [key_for(name) for name in names]
    assert len(set(keys)) == len(names)
    assert all(0 < len(key) <= 250 for key in keys)
    from mlflow.utils.validation import _validate_param_name

    for key in keys:
        _validate_param_name(key)


def test_a_long_value_is_cut_and_still_differs() -> None:
    values = ["x" * 6000, "x" * 6001, "x" * 6002]
    assert param_for(values[0]) == values[0]
    assert len({param_for(value) for value in values}) == 3
    assert max(len(param_for(value)) for value in values) == 6000


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        ("http://me:secret@host:5000/x?token=secret", "http://host:5000/x"),
        ("postgresql+psycopg2://me:sec%40ret@host/db", "postgresql+psycopg2://host/db"),
        ("sqlite:///runs.db", "sqlite:///runs.db"),
        ("sqlite:////data/runs.db", "sqlite:////data/runs.db"),
        ("file:///data/runs", "file:///data/runs"),
        ("runs@home/mlruns", "runs@home/mlruns"),
    ],
)
def test_an_address_has_no_credentials(uri: str, address: str) -> None:
    assert open_store(uri).address == address


def test_what_can_be_no_store_is_refused() -> None:
    for uri in ("", "http://[x"):
        with pytest.raises(UsageError):
            open_store(uri)


def test_only_a_local_store_can_be_absent(tmp_path: Path) -> None:
    place = tmp_path / "a store"
    local = [f"sqlite:///{place}", str(place), place.as_uri()]
    assert all(open_store(uri).is_absent for uri in local)
    place.touch()
    assert not any(open_store(uri).is_absent for uri in [*local, "http://h", "mysql://h/d"])


def test_imported_runs_are_read_and_named() -> None:
    one = parse_imported(document(runs=[RUN]), "here")
    assert logged_metrics(one) == {"loss": 0.5}
    two = parse_imported(document(runs=[RUN, RUN | {"name": "", "run_id": "2"}]), "here")
    assert logged_metrics(two) == {"fit:loss": 0.5, "2:loss": 0.5}


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"[" * 100_000,
        document(),
        document(runs=3),
        document(runs=[3]),
        document(runs=[], schema="branchflow/mlflow/2"),
        document(runs=[RUN | {"name": 3}]),
        document(runs=[RUN | {"params": []}]),
        document(runs=[RUN | {"params": {"a": {}}}]),
        document(runs=[RUN | {"metrics": {"a": 1}}]),
        document(runs=[RUN | {"metrics": {"a": {"last": "x", "points": 1}}}]),
        document(runs=[RUN | {"metrics": {"a": {"last": [], "points": 1}}}]),
        document(runs=[{key: value for key, value in RUN.items() if key != "store"}]),
    ],
)
def test_a_broken_file_is_named(content: bytes) -> None:
    with pytest.raises(ConfigError, match=r"'runs/m/v1\.0\.0\.mlflow\.json'"):
        parse_imported(content, "runs/m/v1.0.0.mlflow.json")
