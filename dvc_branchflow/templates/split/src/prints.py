"""Decides what is remembered of a split partition, so that leaks are found without its data."""

from __future__ import annotations

import heapq
import json
import sys
from contextlib import ExitStack
from datetime import UTC
from hashlib import blake2b
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import yaml

from src import near
from src.rule import Refused
from src.split import SPLIT, kind_of
from src.table import Table
from src.tree import Tree

PRINTS = Path("prints")
HELD = 200_000  # lines in memory


class Sorted(ExitStack):
    """A file of lines in order, however many: `value [side, id, place]`, one a value and side."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.held: dict[tuple[str, str], str] = {}
        self.parts: list[IO[str]] = []

    def add(self, value: str, side: str, name: str, place: str) -> None:
        """Take note of a sample."""
        line = f"{value} {json.dumps([side, name, place])}\n"
        if line < self.held.get((value, side), "~"):
            self.held[value, side] = line
        if len(self.held) >= HELD:
            self.spill()

    def spill(self) -> None:
        """Put what is held into a file of its own, in order."""
        part = self.enter_context(TemporaryFile("w+", encoding="ascii"))  # noqa: SIM115
        part.writelines(sorted(self.held.values()))
        self.parts.append(part)
        self.held = {}

    def save(self) -> None:
        """Merge all parts."""
        for part in self.parts:
            part.seek(0)
        with self.path.open("w", encoding="ascii") as handle:
            handle.writelines(heapq.merge(*self.parts, sorted(self.held.values())))


class Times:
    """The first and the last sample of each side."""

    def __init__(self) -> None:
        self.sides: dict[str, dict[str, list[str]]] = {}

    def add(self, time: str, side: str, name: str, place: str) -> None:
        """Take note of a sample."""
        here = [time, name, place]
        ends = self.sides.setdefault(side, {"first": here, "last": here})
        ends["first"], ends["last"] = min(ends["first"], here), max(ends["last"], here)


def take(kind: Table | Tree, partition: Path, out: Path, checks: dict[str, Any]) -> None:
    """Write the fingerprints of all samples of a partition that the checks ask for."""
    times = Times()
    with ExitStack() as stack:
        contents = stack.enter_context(Sorted(out / "contents"))
        groups = stack.enter_context(Sorted(out / "groups"))
        sketches = stack.enter_context(near.Sketches(out, checks.get("near") or {}))
        for folder in sorted(path for path in partition.iterdir() if path.is_dir()):
            for sample in kind.read(folder):
                seen = folder.name, kind.name(sample), f"{folder}/{kind.place(sample)}"
                if checks.get("identical"):
                    contents.add(kind.fingerprint(sample), *seen)
                if checks.get("groups") and kind.has_groups:
                    group = json.dumps(kind.group(sample)).encode()
                    groups.add(blake2b(group, digest_size=16).hexdigest(), *seen)
                if checks.get("time") and (time := kind.time(sample)):
                    times.add(time.astimezone(UTC).isoformat(), *seen)
                sketches.add(kind, sample, *seen)
        contents.save()
        groups.save()
    (out / "times.json").write_text(json.dumps(times.sides, indent=2) + "\n", encoding="utf-8")


def main(partition: str) -> None:
    """Take the fingerprints of one partition."""
    params = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    out = PRINTS / partition
    out.mkdir(parents=True, exist_ok=True)
    take(kind_of(params), SPLIT / partition, out, params.get("leaks") or {})
    print(f"{partition}: fingerprints of {', '.join(sorted(path.name for path in out.iterdir()))}")


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except Refused as error:
        sys.exit(f"error: {error}")
