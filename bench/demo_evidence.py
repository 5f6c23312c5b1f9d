"""Goes through the demo and keeps what has to come out the same each time: metrics, no clocks."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SCHEMA = "branchflow/demo-evidence/1"
_TEST = "metrics"  # metrics.json: the one evaluation on the test side


def main(demo: Path, evidence: Path) -> None:
    """Run the demo in one folder, and write `demo.json` and `demo.csv` to another."""
    _branchflow("demo", str(demo), cwd=Path.cwd())
    collect(demo / "repo", evidence)


def collect(repo: Path, evidence: Path) -> None:
    """Write what a demo's releases scored."""
    records = json.loads(_branchflow("runs", "--json", cwd=repo))["result"]["records"]
    releases = {record["tag"]: _release(record) for record in records}
    evidence.mkdir(parents=True, exist_ok=True)
    body = {"schema": SCHEMA, "releases": releases}
    text = json.dumps(body, indent=2, sort_keys=True) + "\n"
    (evidence / "demo.json").write_text(text, encoding="utf-8")
    scores = {tag: release[_TEST] for tag, release in releases.items()}
    names = sorted({name for found in scores.values() for name in found})
    with (evidence / "demo.csv").open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["release", *names])
        rows.writerows((tag, *map(found.get, names)) for tag, found in scores.items())


def _release(record: Mapping[str, Any]) -> dict[str, Any]:
    """What a release scored, on which split, and the size of what it was made of and ships."""
    scores = {name.removesuffix(".json"): body for name, body in record["metrics"].items()}
    size = sum(out.get("size") or 0 for out in record["outs"].values())
    return {**scores, "certificate": record["certificate"], "size_bytes": size}


def _branchflow(*args: str, cwd: Path) -> str:
    """Run `git branchflow`; dvc's own variables would reach into the demo's repositories."""
    env = {key: value for key, value in os.environ.items() if not key.startswith(("DVC_", "GIT_"))}
    env |= {"DVC_NO_ANALYTICS": "1"}
    command = ["git", "branchflow", *args]
    return subprocess.run(
        command, cwd=cwd, env=env, check=True, stdout=subprocess.PIPE, text=True
    ).stdout


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
