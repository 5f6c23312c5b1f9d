"""Plans a garbage collection over a long history, and holds the DVC remote against all of it."""

from __future__ import annotations

import json
from collections.abc import Mapping

from bench.fixtures import Lab, directory, entries, pointer
from bench.measure import Bench, Case, Contender
from dvc_branchflow.git import Change, NewCommit
from dvc_branchflow.model import Sha

_RAW = "data/raw/p{:02d}"
_FLOW = "branches:\n  raw: {role: raw, data: data/raw}\n"
_PARTITIONS = 20
_FILES = 20  # of each version


def cases(bench: Bench, size: Mapping[str, int]) -> Case:
    """Return the case of `commits` with 20 pointers, of which each changes one, under `refs`.

    `dvc gc -A` reads each commit by itself, and goes once.
    """
    commits, refs = size["commits"], size["refs"]
    lab = Lab.make(bench.root / f"storage-{commits}-{refs}", _FLOW)
    shas = _history(lab, commits)
    step = max(commits // refs, 1)
    lab.move({f"b{n:04d}": sha for n, sha in enumerate(shas[::step][:refs])})
    lab.move({"raw": shas[-1]})
    lab.git.run("switch", "--quiet", "raw", cwd=lab.repo)
    _check(bench, lab)
    ours = ("git", "branchflow", "storage")
    dvc_gc = ("dvc", "gc", "-A", "--dry", "-f", "-c", "--remote", "store")
    contenders = [
        Contender("ours", lambda _: _run(bench, lab, *ours, "gc", "-q")),
        Contender("ours, verify", lambda _: _run(bench, lab, *ours, "verify", "-q")),
        Contender("floor", lambda _: _floor(bench, lab)),
        Contender("dvc gc -A --dry", lambda _: _run(bench, lab, *dvc_gc), once=True),
        Contender("dvc status -c", lambda _: _run(bench, lab, "dvc", "status", "-c")),
    ]
    return Case({"commits": commits, "refs": refs}, contenders)


def _history(lab: Lab, commits: int) -> list[Sha]:
    """All partitions at once, then a new version of one a commit; all is on the DVC remote."""
    made: list[NewCommit] = []
    for number in range(commits):
        first = range(_PARTITIONS) if number == 0 else [number % _PARTITIONS]
        changes = [_version(lab, partition, number) for partition in first]
        parent = lab.tip("main") if number == 0 else number - 1
        made.append(NewCommit([parent], f"version {number}\n", changes))
    lab.fill(range(max(commits, _PARTITIONS) + _FILES - 1))
    return lab.git.write_commits(made)


def _version(lab: Lab, partition: int, number: int) -> Change:
    first = number or partition
    out, manifest = directory(_RAW.format(partition), entries(range(first, first + _FILES)))
    lab.put(out.oid, manifest)
    return pointer(out)


def _check(bench: Bench, lab: Lab) -> None:
    """Raise where the fixture is not what it says: nothing missing, nothing to be collected."""
    plan = bench.run("git", "branchflow", "--json", "storage", "gc", "--grace", "0d", cwd=lab.repo)
    found = bench.run("git", "branchflow", "--json", "storage", "verify", cwd=lab.repo)
    odd = [*json.loads(plan)["result"]["groups"], *json.loads(found)["result"]["findings"]]
    if odd:
        raise RuntimeError(f"the fixture is wrong: {odd[:2]}")


def _run(bench: Bench, lab: Lab, *words: str) -> None:
    bench.run(*words, cwd=lab.repo)


def _floor(bench: Bench, lab: Lab) -> None:
    """Read history, pointers, manifests and a listing; nothing is proven or held against a race."""
    bench.floor("storage", str(lab.repo), str(lab.store), cwd=lab.repo)
