"""Proves that every object of a branch is on S3, by listing; DVC asks for a manifest."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from bench.fixtures import Lab, directory, entries, pointer
from bench.measure import Bench, Case, Contender
from tests.support.servers import S3Server, seaweedfs

_BUCKET = "bench"
_PATH = "data/raw/p"
_FLOW = "branches:\n  raw: {role: raw, data: data/raw}\n"
_STORE = """\
import sys
from dvc_branchflow.objects import RemoteConfig, open_store
options = {"endpointurl": sys.argv[1]}
store = open_store(RemoteConfig("store", "s3://bench/data", options), None)
"""
_FILL = (
    _STORE
    + """\
from pathlib import Path
from dvc_branchflow.objects.base import oid_of
cache = Path(".dvc/cache")
found = (path for path in cache.rglob("*") if path.is_file())
store.put({oid_of(path.relative_to(cache).as_posix()): path for path in found})
"""
)
_LIST = _STORE + "print(sum(1 for _ in store.listing()))\n"


def cases(bench: Bench, size: Mapping[str, int]) -> Case:
    """Return the case of `objects` objects on a server."""
    root = bench.root / f"verify-{size['objects']}"
    lab = _lab(root, size["objects"])
    ends = ExitStack()
    server = ends.enter_context(seaweedfs(root))
    server.make_bucket(_BUCKET)
    own = replace(bench, env={**bench.env, **server.env()})
    _point(lab, server)
    own.run("python", "-c", _FILL, server.endpoint_url, cwd=lab.repo)

    def act(*command: str) -> Contender:
        name = " ".join(command) if command[0] != "python" else "floor: list"
        return Contender(name, lambda _: _run(own, lab, *command))

    contenders = [
        replace(act("git", "branchflow", "storage", "verify"), name="ours"),
        act("python", "-c", _LIST, server.endpoint_url),
        act("dvc", "status", "-c"),
    ]
    return Case(dict(size), contenders, close=ends.close)


def _run(bench: Bench, lab: Lab, *command: str) -> None:
    bench.run(*command, cwd=lab.repo)


def _point(lab: Lab, server: S3Server) -> None:
    lines = ["['remote \"store\"']", f"url = s3://{_BUCKET}/data"]
    lines.append(f"endpointurl = {server.endpoint_url}")
    (lab.repo / ".dvc/config.local").write_text("\n".join(lines) + "\n")


def _lab(root: Path, objects: int) -> Lab:
    lab = Lab.make(root, _FLOW)
    out, manifest = directory(_PATH, entries(range(objects)))
    lab.fill(range(objects))
    lab.put(out.oid, manifest)
    lab.move({"raw": lab.commit([lab.tip("main")], [pointer(out)])})
    lab.git.run("switch", "--quiet", "raw", cwd=lab.repo)
    return lab
