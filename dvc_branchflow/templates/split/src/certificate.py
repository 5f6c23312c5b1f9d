"""Decides what identifies a split: the same certificate, the same rows on each side."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml

REPORTS = Path("reports/split")


def add(reports: list[dict[str, Any]]) -> dict[str, Any]:
    """Return rows and digest of each side over all partitions."""
    sides: dict[str, Any] = {}
    for name in dict.fromkeys(side for report in reports for side in report):
        parts = [report[name] for report in reports if name in report]
        digest = sum(int(part["digest"], 16) for part in parts) % 2**256
        sides[name] = {"rows": sum(part["rows"] for part in parts), "digest": f"{digest:064x}"}
    return sides


def main() -> None:
    """Add up the reports of the partitions that are pinned, and no others."""
    pinned = yaml.safe_load(Path("partitions.yaml").read_text(encoding="utf-8"))
    names = pinned["partitions"]["@CLEAN_ID@"]
    sides = add([json.loads((REPORTS / f"{name}.json").read_text("utf-8")) for name in names])
    certificate = sha256(json.dumps(sides, sort_keys=True).encode()).hexdigest()
    content = json.dumps({"certificate": certificate, "sides": sides}, indent=2)
    Path("certificate.json").write_text(content + "\n", encoding="utf-8")
    print(f"certificate {certificate[:12]} over {len(names)} partitions")


if __name__ == "__main__":
    main()
