"""A team whose model has inputs worth watching: 3,000 training rows, two releases, and their logs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.support.flow import DEV, STABLE, Flow, copy_flow, edit

if TYPE_CHECKING:
    from collections.abc import Mapping

OLD, NEW = "m@v1.1.0", "m@v1.1.1"
DAY = 24 * 3600
RECIPE = {"features": {"size": "number", "colour": "text"}, "target": "value", "task": "regression"}
COLOURS = np.array(["red", "green", "blue"])


def watched_flow(template: Path, root: Path, env: Mapping[str, str]) -> Flow:
    """The finished flow with a release whose inputs are known, and a second one on more data."""
    flow = copy_flow(template, root, env)
    flow.sh.git("switch", "-q", "--detach")
    flow.ingest(training_file(root / "inbox", "first", 3_000), partition="2024-03")
    edit(flow, DEV, {"tuned.json": json.dumps(RECIPE)}, "Say what the model takes")
    flow.branchflow("sync", "clean", "split")
    flow.branchflow("run", DEV)
    flow.branchflow("promote", DEV)
    flow.branchflow("release", STABLE)
    flow.ingest(training_file(root / "inbox", "second", 500), partition="2024-04")
    flow.branchflow("sync")
    return flow


def training_file(folder: Path, name: str, n: int) -> Path:
    """Rows to train on: a size around 10, a colour out of three."""
    draw = np.random.default_rng(len(name))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.csv"
    sizes, colours = draw.normal(10, 2, n), draw.choice(COLOURS, n)
    rows = [
        f"{name}-{k},{int(s * 10)},{s:.4f},{c}"
        for k, (s, c) in enumerate(zip(sizes, colours, strict=True))
    ]
    path.write_text("\n".join(["id,value,size,colour", *rows]) + "\n", encoding="utf-8")
    return path


def logged_rows(
    n: int = 400, *, tag: str = OLD, start: str = "2026-11-02T00:00:00", shift: float = 0.0,
    seconds: int = 5 * DAY, prefix: str = "r", **more: Any,
) -> list[dict[str, Any]]:  # fmt: skip
    """Rows as a server logs them, evenly over some days; `shift` moves the sizes."""
    draw = np.random.default_rng(n + len(prefix))
    moments = np.datetime64(start, "s") + np.linspace(0, seconds - 1, n).astype(int)
    return [
        {
            "request_id": f"{prefix}-{k}",
            "time": f"{moments[k]}Z",
            "tag": tag,
            "size": round(float(draw.normal(10 + shift, 2)), 4),
            "colour": str(draw.choice(COLOURS)),
            "prediction": round(float(draw.normal(100, 20)), 3),
            **more,
        }
        for k in range(n)
    ]


def write_log(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Write rows as JSON lines."""
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path
