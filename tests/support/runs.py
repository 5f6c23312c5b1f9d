"""Runs as Git objects alone: records, trained commits and experiments; no DVC runs for them."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

from dvc_branchflow.git import Change, Git, NewCommit
from dvc_branchflow.model import RefUpdate, Sha
from dvc_branchflow.plain import dump_yaml

if TYPE_CHECKING:
    from collections.abc import Mapping

CONFIG = b"""\
branches:
  raw: {role: raw}
  split: {role: split, from: [raw]}
  dev/*: {role: dev, from: [split]}
  stable/*: {role: stable, from: [split], code: "dev/{}"}
"""
PIPELINE = b"""\
params: [pins.yaml]
stages:
  tune:
    cmd: python tune.py
    deps: [tune.py]
    params: [model]
    outs: [tuned.json: {cache: false}]
    metrics: [validation.json: {cache: false}]
  evaluate:
    meta: {side: test}
    cmd: python evaluate.py
    deps: [tuned.json]
    outs: [models/m.bin]
    metrics: [metrics.json: {cache: false}]
"""
CODE = b"print('tune')\n"


def record(version: str, **more: Any) -> dict[str, Any]:
    """A run record of the model `m`; its mae is 20 and the patch number."""
    number = int(version.rpartition(".")[2])
    return {
        "schema": "branchflow/run/1", "tag": f"m@{version}", "model": "m", "version": version,
        "commit": "0" * 40, "code": {}, "pins": {"split": "a" * 40}, "certificate": "c" * 64,
        "params": {"kind": "linear"}, "metrics": {"metrics.json": {"mae": 20.0 + number}},
        "outs": {}, "checks": {}, "environment": {}, "seconds": 1.0, "who": "x",
        "when": f"2024-01-{number % 28 + 1:02}T00:00:00Z", **more,
    }  # fmt: skip


def put(
    git: Git, ref: str, files: Mapping[str, bytes | dict[str, Any] | None], *, on: Sha | None = None
) -> Sha:
    """Commit files and move the ref there; what is a mapping as JSON, None removes.

    Args:
        on: the parent; None: what the ref points at, if it is there.
    """
    full = ref if ref.startswith("refs/") else f"refs/heads/{ref}"
    found = git.run("rev-parse", "--verify", "--quiet", full, check=False).stdout.decode().strip()
    old = Sha(found) if found else None
    parent = on or old
    changes = [
        Change(path, json.dumps(body).encode() if isinstance(body, dict) else body)
        for path, body in files.items()
    ]
    (sha,) = git.write_commits([NewCommit([parent] if parent else [], "Put", changes)])
    git.update_refs([RefUpdate(full, old, sha)], "test")
    return sha


def split(git: Git, certificate: str) -> Sha:
    """Commit a split branch's certificate."""
    return put(git, "split", {"certificate.json": {"certificate": certificate * 64}})


def trained(
    pinned: Sha,
    *,
    kind: str = "linear",
    validation: float = 1.0,
    test: float = 2.0,
    sample: float = 0.0,
) -> dict[str, bytes | dict[str, Any] | None]:
    """What a dev branch holds after a run of its pipeline, whose files have these metrics."""
    files: dict[str, bytes] = {
        "dvc.yaml": PIPELINE,
        "tune.py": CODE,
        "params.yaml": dump_yaml({"model": {"kind": kind, "seed": 17}}),
        "tuned.json": json.dumps({"kind": kind}).encode(),
        "validation.json": json.dumps({"mae": validation}).encode(),
        "metrics.json": json.dumps({"mae": test, "rows": 9, "nothing": "text"}).encode(),
        ".gitignore": b"/models\n",
    }
    pins: dict[str, Any] = {"split": pinned}
    if sample:
        pins["sample"] = {"split": {"fraction": sample, "key": "dev/m"}}

    def item(path: str) -> dict[str, Any]:
        content = files.get(path, kind.encode())
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        return {"path": path, "hash": "md5", "md5": md5, "size": len(content)}

    stages = {
        "tune": {
            "cmd": "python tune.py",
            "deps": [item("tune.py")],
            "params": {"params.yaml": {"model": {"kind": kind, "seed": 17}}},
            "outs": [item("tuned.json"), item("validation.json")],
        },
        "evaluate": {
            "cmd": "python evaluate.py",
            "deps": [item("tuned.json")],
            "outs": [item("metrics.json"), item("models/m.bin")],
        },
    }
    lock = dump_yaml({"schema": "2.0", "stages": stages})
    return {**files, "pins.yaml": dump_yaml(pins), "dvc.lock": lock}


def experiment(git: Git, name: str, baseline: Sha, files: Mapping[str, Any]) -> Sha:
    """Commit files on a baseline as the experiment of that name, where DVC keeps it."""
    return put(git, f"refs/exps/{baseline[:2]}/{baseline[2:]}/{name}", files, on=baseline)
