"""Pushes files to an empty DVC remote and fetches them into an empty cache: a directory, or S3."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from bench.fixtures import FILE_BYTES, Lab, content, name, pointer
from bench.measure import Bench, Case, Contender
from dvc_branchflow.manifest import Entry, manifest_oid, render
from dvc_branchflow.model import Oid, Out
from dvc_branchflow.objects import object_key
from tests.support.servers import seaweedfs

_BUCKET = "bench"
_PATH = "data/raw/p"
_FLOW = "branches:\n  raw: {role: raw, data: data/raw}\n"
_START = """\
from pathlib import Path
from dvc_branchflow.manifest import entries
from dvc_branchflow.project import Project
from dvc_branchflow.work.commits import read_commit
from dvc_branchflow.work.transfer import ensure_stored, fetch_objects, manifest_of, needs_of
project = Project.open(Path.cwd())
(out,) = read_commit(project.git, project.tip("raw").sha).outs.values()
"""
_PUSH = _START + "ensure_stored(project, needs_of(project, [out]), lambda _: None)\n"
_FETCH = _START + (
    "files = [(entry.oid, None) for entry in entries(manifest_of(project, out))]\n"
    "fetch_objects(project, files, lambda _: None)\n"
)
_MIB = 1024 * 1024


def cases(bench: Bench, size: Mapping[str, int]) -> Case:
    """Return the case of `files` files of `kib` KiB each; `s3` 1: a server, else a directory.

    `once` 1: DVC goes once.
    """
    root = bench.root / f"transfer-{'-'.join(map(str, size.values()))}"
    lab = _lab(root, size["files"], size["kib"] * 1024)
    ends = ExitStack()
    if size["s3"]:
        server = ends.enter_context(seaweedfs(root))
        server.make_bucket(_BUCKET)
        # The server lays a bucket's volumes at its first object.
        server.client().put_object(Bucket=_BUCKET, Key="first", Body=b"1")
        own = replace(bench, root=root, env={**bench.env, **server.env()})
        places = _Places(own, lab, f"s3://{_BUCKET}", server.endpoint_url)
        more = _s5cmd(places)
    else:
        places = _Places(replace(bench, root=root), lab, str(root / "stores"), None)
        more = [Contender("floor: copy and hash", partial(_copy, places))]
    once = bool(size.get("once"))
    ways = _ways(places, "ours", ("python", "-c", _PUSH), ("python", "-c", _FETCH))
    ways += _ways(places, "dvc", ("dvc", "push", "-q"), ("dvc", "fetch", "-q"), once=once)
    shown = {key: value for key, value in size.items() if key != "once"}
    return Case(shown, [*ways, *more], close=ends.close, in_order=True)


@dataclass(frozen=True, slots=True)
class _Places:
    """A repository with its files in the cache, and as many empty DVC remotes as are asked for."""

    bench: Bench
    lab: Lab
    base: str
    endpoint_url: str | None

    @property
    def cache(self) -> Path:
        return self.lab.repo / ".dvc/cache"

    def url(self, key: str) -> str:
        return f"{self.base}/{key}"

    def point(self, key: str) -> None:
        """Let the repository's DVC remote be this one."""
        if self.endpoint_url is None:
            Path(self.url(key)).mkdir(parents=True, exist_ok=True)
        self.lab.point(self.url(key), self.endpoint_url)

    def run(self, *command: str) -> None:
        self.bench.run(*command, cwd=self.lab.repo)


def _ways(
    places: _Places, who: str, push: tuple[str, ...], fetch: tuple[str, ...], *, once: bool = False
) -> list[Contender]:
    def to_empty(turn: int) -> None:
        places.point(f"{who}-{turn}")

    def from_full(turn: int) -> None:
        places.point(_full(turn))
        # Renamed, since creates are slow after deletes. What is fetched serves the next push.
        places.cache.rename(places.bench.root / f"cache-before-{who}-{turn}")

    return [
        Contender(f"{who} push", lambda _: places.run(*push), to_empty, once=once),
        Contender(f"{who} fetch", lambda _: places.run(*fetch), from_full, once=once),
    ]


def _full(turn: int) -> str:
    """Return the DVC remote to which ours has pushed all in this round."""
    return f"ours-{turn}"


def _s5cmd(places: _Places) -> list[Contender]:
    """The same objects moved by s5cmd, which hashes nothing; none where it is not installed."""
    program = shutil.which("s5cmd", path=places.bench.env["PATH"])
    if program is None or places.endpoint_url is None:
        return []
    copy: Callable[..., None] = partial(
        places.run, program, "--endpoint-url", places.endpoint_url, "cp"
    )
    got = places.bench.root / "s5cmd"
    return [
        Contender("s5cmd push", lambda n: copy(f"{places.cache}/", places.url(f"s5cmd-{n}/"))),
        Contender("s5cmd fetch", lambda n: copy(f"{places.url(_full(n))}/*", f"{got}/{n}/")),
    ]


def _copy(places: _Places, turn: int) -> None:
    target = places.bench.root / "copies" / str(turn)
    places.bench.floor("copy", str(places.cache), str(target), cwd=places.lab.repo)


def _lab(root: Path, count: int, size_bytes: int) -> Lab:
    lab = Lab.make(root, _FLOW)
    cache = lab.repo / ".dvc/cache"
    listed = []
    for index in range(count):
        body = content(index) if size_bytes == FILE_BYTES else _large(index, size_bytes)
        listed.append(Entry(name(index), Oid(hashlib.md5(body).hexdigest())))
        _write(cache / object_key(listed[-1].oid), body)
    manifest = render(listed)
    out = Out(_PATH, manifest_oid(manifest), count * size_bytes, count)
    _write(cache / object_key(out.oid), manifest)
    lab.move({"raw": lab.commit([lab.tip("main")], [pointer(out)])})
    lab.git.run("switch", "--quiet", "raw", cwd=lab.repo)
    return lab


def _large(index: int, size_bytes: int) -> bytes:
    block = hashlib.shake_128(b"%d" % index).digest(_MIB)
    return block * (size_bytes // _MIB)


def _write(path: Path, body: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body)
    path.chmod(0o444)
