"""Proves that every object of a branch is on S3, by listing; DVC asks for a manifest."""

from __future__ import annotations

import shutil
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
_LIST = """\
import sys
from dvc_branchflow.objects import RemoteConfig, open_store
options = {"endpointurl": sys.argv[1]}
store = open_store(RemoteConfig("store", "s3://bench/data", options), None)
print(sum(1 for _ in store.listing()))
"""


def cases(bench: Bench, size: Mapping[str, int]) -> Case:
    """Return the case of `objects` objects on a server."""
    root = bench.root / f"verify-{size['objects']}"
    lab = _lab(root, size["objects"])
    ends = ExitStack()
    server = ends.enter_context(seaweedfs(root))
    server.make_bucket(_BUCKET)
    own = replace(bench, env={**bench.env, **server.env()})
    lab.point(f"s3://{_BUCKET}/data", server.endpoint_url)
    send = ("s5cmd", "--endpoint-url", server.endpoint_url, "--numworkers", "64", "cp")
    own.run(*send, ".dvc/cache/", f"s3://{_BUCKET}/data/", cwd=lab.repo)

    def act(*command: str) -> Contender:
        name = " ".join(command) if command[0] != "python" else "floor: list"
        return Contender(name, lambda _: _run(own, lab, *command))

    contenders = [
        replace(act("git", "branchflow", "storage", "verify"), name="ours"),
        act("python", "-c", _LIST, server.endpoint_url),
        act("dvc", "status", "-c"),
        *_rclone(own, lab, server),
    ]
    return Case(dict(size), contenders, close=ends.close)


def _rclone(bench: Bench, lab: Lab, server: S3Server) -> list[Contender]:
    """The cache held against the bucket, by sizes; none where it is not installed."""
    program = shutil.which("rclone", path=bench.env["PATH"])
    if program is None:
        return []
    there = f":s3,provider=Other,env_auth=true,endpoint='{server.endpoint_url}':{_BUCKET}/data"
    check = ("check", "--one-way", "--size-only", "--fast-list", ".dvc/cache", there)
    return [Contender("rclone check", lambda _: _run(bench, lab, program, *check))]


def _run(bench: Bench, lab: Lab, *command: str) -> None:
    bench.run(*command, cwd=lab.repo)


def _lab(root: Path, objects: int) -> Lab:
    lab = Lab.make(root, _FLOW)
    out, manifest = directory(_PATH, entries(range(objects)))
    lab.fill(range(objects))
    lab.put(out.oid, manifest)
    lab.move({"raw": lab.commit([lab.tip("main")], [pointer(out)])})
    lab.git.run("switch", "--quiet", "raw", cwd=lab.repo)
    return lab
