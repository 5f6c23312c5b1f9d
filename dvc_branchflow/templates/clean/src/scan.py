"""Decides what of a raw partition is good by itself, and what identifies it among its like."""

from __future__ import annotations

import csv
import json
import sys
from typing import Any

from src.files import Files
from src.places import INNER, REASONS, SCANNED, raw_files, settings, table
from src.tables import Tables


def named(params: dict[str, Any], partition: str, names: set[str]) -> dict[str, str]:
    """Return the files of this partition that `clean.reject` names, and why."""
    start = f"{partition}/"
    own = {
        at.removeprefix(start): why
        for at, why in (params["reject"] or {}).items()
        if at.startswith(start)
    }
    if unknown := own.keys() - names:
        sys.exit(f"params.yaml: clean.reject names what raw lacks: {start}{min(unknown)}")
    return {name: str(why) for name, why in own.items()}


def main(partition: str) -> None:
    """Write the faults of one partition, and a fingerprint of all that has none."""
    params, out, found = settings(), SCANNED / partition, raw_files(partition)
    rejected = named(params, partition, {name for name, _ in found})
    judge = {"table": Tables, "files": Files}[params["kind"]](params).judge
    prints: list[bytes] = []  # about 70 bytes for each row or file
    with table(out / "faults.csv").open("w", **INNER) as handle:
        faults = csv.writer(handle, lineterminator="\n")
        faults.writerow(REASONS)
        for number, (name, path) in enumerate(found):
            verdicts = [(0, rejected[name], b"")] if name in rejected else judge(path)
            for row, fault, digest in verdicts:
                if fault:
                    faults.writerow([name, row, fault])
                elif params["duplicates"] == "reject":
                    prints.append(digest + number.to_bytes(4) + row.to_bytes(4))
    # Sorted, so that all partitions can be compared without being in memory.
    (out / "prints").write_bytes(b"".join(sorted(prints)))
    (out / "names.json").write_text(json.dumps([name for name, _ in found]), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1])
