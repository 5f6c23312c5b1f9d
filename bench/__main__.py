"""Runs the benchmarks with the sizes in `params.yaml`; results are written, never judged.

They go to build/bench after each benchmark; those of a whole run to bench/ and docs/ at the end.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import yaml

from bench import (
    ingest,
    judge,
    memory,
    pin,
    place,
    report,
    run,
    status,
    storage,
    templates,
    transfer,
    verify,
)
from bench.measure import Bench, Case, measure

_ROOT = Path(__file__).resolve().parent.parent
_BUILD = _ROOT / "build/bench"
_BENCHMARKS: dict[str, Callable[[Bench, Mapping[str, int]], Case]] = {
    "ingest": ingest.cases,
    "judge": judge.cases,
    "memory": memory.cases,
    "pin": pin.cases,
    "place": place.cases,
    "run": run.cases,
    "status": status.cases,
    "storage": storage.cases,
    "templates": templates.cases,
    "transfer": transfer.cases,
    "verify": verify.cases,
}


def main() -> int:
    """Run what was asked for and write the results."""
    args = _parser().parse_args()
    params = _params("quick" if args.quick else "full")
    names = args.only or list(_BENCHMARKS)
    root = Path(tempfile.mkdtemp(prefix="branchflow-bench-"))
    started = time.monotonic()
    try:
        for found in _run(Bench.at(root), names, params):
            seconds = round(time.monotonic() - started)
            result = report.document(found, params["repeats"], seconds, is_full=not args.quick)
            report.write(result, _BUILD, _BUILD / "benchmarks.md")
    finally:
        _remove(root)  # at the end: deletes slow later creates down
    if not (args.quick or args.only):
        report.write(result, _ROOT / "bench", _ROOT / "docs/benchmarks.md")
    print(report.page(result))
    return 0


def _run(
    bench: Bench, names: list[str], params: Mapping[str, Any]
) -> Iterator[dict[str, dict[str, Any]]]:
    """Yield what was found so far, after each benchmark."""
    found: dict[str, dict[str, Any]] = {}
    for name in names:
        found[name] = {}
        for label, size in params[name].items():
            _say(f"{name}, {label}: building {dict(size)}")
            repeats = size.pop("repeats", params["repeats"])
            limit_seconds = size.pop("limit_seconds", params["limit_seconds"])
            case = _BENCHMARKS[name](bench, size)
            found[name][label] = measure(case, repeats, limit_seconds, _say)
        yield found


def _remove(root: Path) -> None:
    """Delete what was laid, a folder for each processor at once: it is a million files."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda folder: shutil.rmtree(folder, ignore_errors=True), root.iterdir()))
    shutil.rmtree(root, ignore_errors=True)


def _say(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')}  {text}", file=sys.stderr, flush=True)


def _params(kind: str) -> dict[str, Any]:
    document = yaml.safe_load((_ROOT / "params.yaml").read_text(encoding="utf-8"))
    found: dict[str, Any] = document["bench"][kind]
    return found


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small sizes")
    parser.add_argument("--only", action="append", choices=sorted(_BENCHMARKS), help="just this")
    return parser


if __name__ == "__main__":
    sys.exit(main())
