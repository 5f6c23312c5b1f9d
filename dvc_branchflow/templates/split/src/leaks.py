"""Decides what is a leak: a sample that one side knows of another.

It only reports; the rules of the branch refuse a commit whose report names leaks.
"""

from __future__ import annotations

import heapq
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from itertools import groupby, islice, pairwise
from pathlib import Path
from typing import Any

import yaml

from src import near
from src.rule import Refused, Rule
from src.split import kind_of

PRINTS = Path("prints")
NAMED = 100
SHOWN = 10
Seen = list[str]  # side, id, place
Pair = tuple[Seen, Seen, float | None]
Allowed = set[frozenset[str]]


def twins(folders: Iterable[Path], name: str, order: list[str], allowed: Allowed) -> Iterator[Pair]:
    """Yield what has the same fingerprint on an earlier and on a later side."""
    with ExitStack() as stack:
        lines = [stack.enter_context((folder / name).open(encoding="ascii")) for folder in folders]
        for _, run in groupby(heapq.merge(*lines), key=lambda line: line[:32]):
            first, *others = run
            if not others:
                continue
            sides: dict[str, Seen] = {}
            for line in (first, *others):
                seen = json.loads(line[33:])
                sides.setdefault(seen[0], seen)
            base, *later = sorted(sides.values(), key=lambda seen: order.index(seen[0]))
            yield from ((base, seen, 0) for seen in later if not is_allowed(base, seen, allowed))


def disorder(folders: Iterable[Path], order: list[str], allowed: Allowed) -> Iterator[Pair]:
    """Yield the last sample of a side and the first of the next one, where they overlap."""
    ends: dict[str, dict[str, list[str]]] = {}
    for folder in folders:
        for side, own in json.loads((folder / "times.json").read_text("utf-8")).items():
            known = ends.setdefault(side, own)
            known["first"] = min(known["first"], own["first"])
            known["last"] = max(known["last"], own["last"])
    for before, after in pairwise(side for side in order if side in ends):
        last, first = ends[before]["last"], ends[after]["first"]
        pair = [before, *last[1:]], [after, *first[1:]]
        if last[0] >= first[0] and not is_allowed(*pair, allowed):
            yield *pair, None


def lookalikes(
    folders: Iterable[Path], settings: dict[str, Any], order: list[str], allowed: Allowed
) -> Iterator[Pair]:
    """Yield texts or images that are nearly the same on two sides."""
    kind, folders = settings["kind"], list(folders)
    numpy, *_ = near.load(kind)
    made_by = {(folder / "near.json").read_text("utf-8") for folder in folders}
    if len(made_by) > 1:
        raise Refused(f"sketches of several versions, run `dvc repro -f prints`: {made_by}")
    parts = [numpy.fromfile(folder / "near.bin", dtype=numpy.uint8) for folder in folders]
    sketches = numpy.concatenate([numpy.empty(0, numpy.uint8), *parts])
    sketches = sketches.reshape(-1, near.WIDTH[kind])
    ids, looked_at = set().union(*allowed), {}
    sides = numpy.empty(len(sketches), dtype=numpy.uint8)
    for at, (side, name, _) in enumerate(names(folders)):
        sides[at] = order.index(side)
        if name in ids:
            looked_at[at] = name
    found = near.search(
        sketches,
        sides,
        near.limit_of(settings),
        lambda a, b: frozenset([looked_at.get(a, ""), looked_at.get(b, "")]) in allowed,
    )
    pairs = sorted(found)
    wanted = {at for pair in pairs for at in pair[:2]}
    seen = {at: line for at, line in enumerate(names(folders)) if at in wanted}
    for later, earlier, differ in pairs:
        distance = differ if kind == "image" else round(differ / near.WIDTH[kind], 3)
        yield seen[earlier], seen[later], distance


def names(folders: Iterable[Path]) -> Iterator[Seen]:
    """Yield whose the sketches are."""
    for folder in folders:
        with (folder / "near.names").open(encoding="ascii") as lines:
            yield from map(json.loads, lines)


def is_allowed(first: Seen, second: Seen, allowed: Allowed) -> bool:
    """Whether a team has looked at this pair and let it pass."""
    return frozenset([first[1], second[1]]) in allowed


def checks_of(
    leaks: dict[str, Any], order: list[str], *, is_timed: bool, has_groups: bool
) -> dict[str, Callable[..., Iterator[Pair]]]:
    """Return the checks that are configured."""
    settings = leaks.get("near") or {"kind": "none"}
    checks: dict[str, Callable[..., Iterator[Pair]]] = {}
    if leaks.get("identical"):
        checks["identical"] = partial(twins, name="contents", order=order)
    if leaks.get("groups") and has_groups:
        checks["groups"] = partial(twins, name="groups", order=order)
    if leaks.get("time") and is_timed:
        checks["time"] = partial(disorder, order=order)
    if settings["kind"] != "none":
        checks["near"] = partial(lookalikes, settings=settings, order=order)
    return checks


def report_of(checks: dict[str, Iterable[Pair]]) -> dict[str, Any]:
    """Return the counts, and the first pairs."""
    counts, pairs = {}, []
    for check, found in checks.items():
        count, places = 0, NAMED - len(pairs)
        iterator = iter(found)
        for a, b, distance in islice(iterator, places):
            count += 1
            ends = {"a": named(a), "b": named(b)}
            pairs.append({"check": check, **ends, "distance": distance})
        counts[check] = {"leaks": count + sum(1 for _ in iterator)}
    total = sum(count["leaks"] for count in counts.values())
    return {"leaks": total, "checks": counts, "pairs": pairs}


def named(seen: Seen) -> dict[str, str]:
    """Return how a sample stands in the report."""
    return dict(zip(("side", "id", "at"), seen, strict=True))


def main() -> None:
    """Compare the partitions that are pinned, and no others."""
    params = yaml.safe_load(Path("params.yaml").read_text(encoding="utf-8"))
    pinned = yaml.safe_load(Path("partitions.yaml").read_text(encoding="utf-8"))
    folders = [PRINTS / name for name in pinned["partitions"]["@CLEAN_ID@"]]
    leaks, rule = params.get("leaks") or {}, Rule(params["split"])
    allowed = {frozenset(pair) for pair in leaks.get("allow") or []}
    has_groups = kind_of(params).has_groups
    checks = checks_of(leaks, rule.sides, is_timed=bool(rule.time), has_groups=has_groups)
    report = report_of({name: check(folders, allowed=allowed) for name, check in checks.items()})
    Path("reports").mkdir(exist_ok=True)
    text = json.dumps(report, indent=2, ensure_ascii=False)
    Path("reports/leaks.json").write_text(text + "\n", encoding="utf-8", errors="backslashreplace")
    print(f"leaks: {report['leaks']} by {', '.join(checks) or 'no check'}")
    for pair in report["pairs"][:SHOWN]:
        ends = (f"{end['side']} {end['id']} ({end['at']})" for end in (pair["a"], pair["b"]))
        print(f"  {pair['check']}: {' and '.join(ends)}, distance {pair['distance']}")


if __name__ == "__main__":
    try:
        main()
    except Refused as error:
        sys.exit(f"error: {error}")
