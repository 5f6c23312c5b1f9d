"""Appends 100 small files to a partition: what an append costs as the partition grows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from bench.fixtures import Lab, directory, entries, pointer, write_inbox
from bench.measure import Bench, Case, Contender
from dvc_branchflow.metafiles import parse_pointer

NEW_FILES = 100
_PATH = "data/raw/p"
_FLOW = "branches:\n  raw: {role: raw, data: data/raw}\n"


def cases(bench: Bench, size: Mapping[str, int]) -> Case:
    """Return the case of a partition of `files` files; above `dvc_up_to` without plain DVC."""
    files = size["files"]
    root = bench.root / f"ingest-{files}"
    with_dvc = files <= size.get("dvc_up_to", files)
    ours = _lab(root / "ours", files, with_data=with_dvc)
    floor = _Floor(bench, root / "floor", files, with_data=with_dvc)
    contenders = [_ours(bench, root, ours, files), floor.contender(root)]
    labs = {"ours": ours}
    if with_dvc:
        for way in ("dvc add DIR", "dvc add PATHS"):
            labs[way] = _lab(root / way.replace(" ", "-").lower(), files, with_data=True)
            labs[way].check_out("raw", {_PATH: range(files)})
            contenders.append(_dvc(bench, root, labs[way], way, files))

    def check() -> None:
        results = {way: _oid(lab) for way, lab in labs.items()} | {"floor": floor.oid}
        if len(set(results.values())) != 1:
            raise RuntimeError(f"the results differ: {results}")

    return Case({"files": files, "new_files": NEW_FILES}, contenders, check)


def _ours(bench: Bench, root: Path, lab: Lab, files: int) -> Contender:
    def prepare(turn: int) -> None:
        write_inbox(root / f"inbox-ours-{turn}", _new(files, turn))

    def act(turn: int) -> None:
        paths = [str(path) for path in sorted((root / f"inbox-ours-{turn}").iterdir())]
        options = ("--quiet", "--source", "bench", "--partition", "p")
        bench.run("git", "branchflow", "ingest", *options, *paths, cwd=lab.repo)

    return Contender("ours", act, prepare)


def _dvc(bench: Bench, root: Path, lab: Lab, way: str, files: int) -> Contender:
    """Plain DVC to the same end: stored, committed, pushed to the DVC remote."""
    inbox = f"inbox-{lab.repo.parent.name}"

    def prepare(turn: int) -> None:
        write_inbox(root / f"{inbox}-{turn}", _new(files, turn))

    def act(turn: int) -> None:
        new = sorted((root / f"{inbox}-{turn}").iterdir())
        for path in new:
            path.rename(lab.repo / _PATH / path.name)
        named = [_PATH] if way == "dvc add DIR" else [f"{_PATH}/{path.name}" for path in new]
        bench.run("dvc", "add", "--quiet", *named, cwd=lab.repo)
        bench.run("dvc", "push", "--quiet", f"{_PATH}.dvc", cwd=lab.repo)
        bench.run("git", "commit", "--quiet", "--all", "-m", "append", cwd=lab.repo)

    return Contender(f"{way} + push", act, prepare)


class _Floor:
    """The append with nothing around it; remembers the manifest that it stands at."""

    def __init__(self, bench: Bench, root: Path, files: int, *, with_data: bool) -> None:
        self._bench = bench
        self._files = files
        self._lab = _lab(root, files, with_data=with_data)
        self.oid = _oid(self._lab)

    def contender(self, root: Path) -> Contender:
        def prepare(turn: int) -> None:
            write_inbox(root / f"inbox-floor-{turn}", _new(self._files, turn))

        def act(turn: int) -> None:
            inbox = root / f"inbox-floor-{turn}"
            given = (str(inbox), str(self._lab.repo), str(self._lab.store), self.oid)
            self.oid = self._bench.floor("ingest", *given, cwd=root).strip()

        return Contender("floor", act, prepare)


def _lab(root: Path, files: int, *, with_data: bool) -> Lab:
    lab = Lab.make(root, _FLOW)
    out, manifest = directory(_PATH, entries(range(files)))
    if with_data:
        lab.fill(range(files))
    lab.put(out.oid, manifest)
    lab.move({"raw": lab.commit([lab.tip("main")], [pointer(out)])})
    return lab


def _new(files: int, turn: int) -> range:
    start = files + turn * NEW_FILES
    return range(start, start + NEW_FILES)


def _oid(lab: Lab) -> str:
    body = lab.git.run("show", f"raw:{_PATH}.dvc").stdout
    return parse_pointer(body, f"{_PATH}.dvc")[0].oid
