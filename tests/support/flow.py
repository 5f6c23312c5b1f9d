"""A small team: a bare origin, a DVC remote, a clone, and a flow whose stages take no time at all.

The flow is made with the installed command `git branchflow`; then the templates' pipelines are
replaced by plain Git commits, as a team does it, with scripts that need only Python itself.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import yaml

from tests.support.processes import kill_group, start_group
from tests.support.repos import CommandError, Shell, bare_origin, clone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

MODEL = "m"
DEV = "dev/m"
STABLE = "stable/m"
BRANCHES = ("main", "raw", "clean", "split", DEV, STABLE)
FIRST_TAG = "m@v1.0.0"
SECOND_TAG = "m@v1.0.1"
FIRST_MONTH = "2024-01"
SECOND_MONTH = "2024-02"
CHECK = "python check.py"

_TEMPLATE_CHECK = "python -m pytest -q"
# Relative to the folder of the config file, so that a copy of the whole team works elsewhere.
_DVC_CONFIG = """\
[core]
    remote = store
['remote "store"']
    url = ../../store
"""
_CLEAN_DVC = """\
vars:
- partitions.yaml
params:
- pins.yaml
stages:
  clean:
    matrix:
      partition: ${partitions.raw}
    cmd: python clean.py ${item.partition}
    deps:
    - data/raw/${item.partition}
    - clean.py
    outs:
    - data/clean/${item.partition}
    metrics:
    - reports/clean/${item.partition}.json:
        cache: false
"""
_CLEAN = '''\
"""Keeps the rows of a partition whose value is a number."""

import json
import sys
from pathlib import Path

partition = sys.argv[1]
kept = seen = 0
for file in sorted(Path("data/raw", partition).rglob("*.csv")):
    head, *rows = file.read_text().splitlines()
    good = [row for row in rows if row.split(",")[1].isdigit()]
    target = Path("data/clean", partition, file.name)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("\\n".join([head, *good]) + "\\n")
    kept, seen = kept + len(good), seen + len(rows)
report = Path("reports/clean", partition + ".json")
report.parent.mkdir(parents=True, exist_ok=True)
report.write_text(json.dumps({"rows": seen, "kept": kept}) + "\\n")
'''
_SPLIT_DVC = """\
vars:
- partitions.yaml
params:
- pins.yaml
stages:
  split:
    matrix:
      partition: ${partitions.clean}
    cmd: python split.py ${item.partition}
    deps:
    - data/clean/${item.partition}
    - split.py
    outs:
    - data/split/${item.partition}
    metrics:
    - reports/split/${item.partition}.json:
        cache: false
  certificate:
    cmd: python certificate.py
    deps:
    - reports/split
    - certificate.py
    metrics:
    - certificate.json:
        cache: false
"""
_SPLIT = '''\
"""Puts each row on a side by the hash of its id, so that no row ever changes side."""

import json
import sys
from hashlib import sha256
from pathlib import Path

partition = sys.argv[1]
sides = {"train": [], "test": []}
for file in sorted(Path("data/clean", partition).glob("*.csv")):
    head, *rows = file.read_text().splitlines()
    lines = {"train": [], "test": []}
    for row in rows:
        number = sha256(row.split(",")[0].encode()).digest()[0]
        lines["train" if number % 4 else "test"].append(row)
    for side, chosen in lines.items():
        target = Path("data/split", partition, side, file.name)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("\\n".join([head, *chosen]) + "\\n")
        sides[side] += chosen
digests = {side: sha256("\\n".join(rows).encode()).hexdigest() for side, rows in sides.items()}
report = Path("reports/split", partition + ".json")
report.parent.mkdir(parents=True, exist_ok=True)
report.write_text(json.dumps(digests, sort_keys=True) + "\\n")
'''
_CERTIFICATE = '''\
"""Says what identifies the split: the rows on each side, over all partitions."""

import json
from hashlib import sha256
from pathlib import Path

text = "".join(file.name + file.read_text() for file in sorted(Path("reports/split").iterdir()))
digest = sha256(text.encode()).hexdigest()
Path("certificate.json").write_text(json.dumps({"certificate": digest}) + "\\n")
'''
_DEV_DVC = """\
params:
- pins.yaml
artifacts:
  m:
    path: models/m.json
    type: model
stages:
  train:
    cmd: python train.py ${train.scale}
    deps:
    - data/split
    - train.py
    params:
    - train
    outs:
    - models/m.json
    metrics:
    - metrics.json:
        cache: false
    plots:
    - plots/errors.csv:
        cache: false
        x: value
        y: error
"""
_TRAIN = '''\
"""Fits a mean, and says how far off it is on the test side."""

import json
import sys
from pathlib import Path


def values(side):
    files = sorted(Path("data/split").glob("*/" + side + "/*.csv"))
    rows = [row for file in files for row in file.read_text().splitlines()[1:]]
    return [float(row.split(",")[1]) for row in rows]


def mean(numbers):
    return sum(numbers) / len(numbers)


def main(scale):
    fitted = scale * mean(values("train"))
    errors = [(value, abs(value - fitted)) for value in values("test")]
    error = mean([error for _, error in errors])
    Path("models").mkdir(exist_ok=True)
    Path("models/m.json").write_text(json.dumps({"mean": fitted}) + "\\n")
    Path("plots").mkdir(exist_ok=True)
    rows = "".join(f"{value},{error}\\n" for value, error in errors)
    Path("plots/errors.csv").write_text("value,error\\n" + rows)
    Path("metrics.json").write_text(json.dumps({"error": error, "rows": len(values("train"))}))


if __name__ == "__main__":
    main(float(sys.argv[1]))
'''
_CHECK_PY = "import train\n\nassert train.mean([1, 3]) == 2\n"
PIPELINES: Mapping[str, Mapping[str, str]] = {
    "clean": {"dvc.yaml": _CLEAN_DVC, "clean.py": _CLEAN},
    "split": {"dvc.yaml": _SPLIT_DVC, "split.py": _SPLIT, "certificate.py": _CERTIFICATE},
    DEV: {
        "dvc.yaml": _DEV_DVC,
        "params.yaml": "train:\n  scale: 1.0\n",
        "train.py": _TRAIN,
        "check.py": _CHECK_PY,
    },
}


@dataclass(frozen=True)
class Flow:
    """A team's folder: `origin.git`, `store` (where the DVC remote is a directory), `repo`.

    `sh` is a shell in the clone `repo`.
    """

    root: Path
    sh: Shell

    @property
    def origin(self) -> Path:
        """The bare repository that the clones share."""
        return self.root / "origin.git"

    @property
    def store(self) -> Path:
        """The DVC remote's folder."""
        return self.root / "store"

    @property
    def repo(self) -> Path:
        """The clone's folder."""
        return self.sh.cwd

    def inside(self, sh: Shell) -> Flow:
        """The same team, seen from another clone."""
        return Flow(self.root, sh)

    def branchflow(self, *args: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run `git branchflow`, which has to end with the exit code `code`."""
        return branchflow(self.sh, *args, code=code)

    def result(self, *args: str | Path) -> Any:
        """What a verb prints under `--json`."""
        return json.loads(self.branchflow("--json", *args).stdout)["result"]

    def new_clone(self, name: str, *, depth: int | None = None) -> Flow:
        """A further clone beside the first one, as another person has it: an empty cache."""
        return self.inside(clone(self.origin, self.root / name, self.sh, depth=depth))

    def ingest(self, *files: Path, partition: str = FIRST_MONTH) -> None:
        """Append files to raw."""
        self.branchflow("ingest", "--source", "tests", "--partition", partition, *files)

    def refs(self) -> dict[str, str]:
        """Every ref of the origin and what it points at."""
        return refs_of(self.sh.at(self.origin))

    def raw_files(self, *, branch: str = "raw") -> dict[str, str]:
        """`partition/name` → md5 of every file on raw, by Git and the manifests in the store."""
        git = self.sh.at(self.origin)
        found: dict[str, str] = {}
        for path in git.git("ls-tree", "-r", "--name-only", branch, "data/raw").splitlines():
            lines = git.git("show", f"{branch}:{path}").splitlines()
            oid = next(line.partition("md5: ")[2] for line in lines if "md5: " in line)
            manifest = (self.store / "files/md5" / oid[:2] / oid[2:]).read_text(encoding="utf-8")
            partition = Path(path).stem
            found |= {f"{partition}/{e['relpath']}": e["md5"] for e in json.loads(manifest)}
        return found


def branchflow(sh: Shell, *args: str | Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    """Run `git branchflow` in a folder; it has to end with the exit code `code`."""
    done = sh.run("git-branchflow", *args, check=False, timeout=240)
    if done.returncode != code:
        words = " ".join(str(arg) for arg in args)
        raise CommandError(
            f"git branchflow {words}\nin {sh.cwd}: exit code {done.returncode}, not {code}\n"
            f"--- stdout\n{done.stdout}\n--- stderr\n{done.stderr}"
        )
    return done


def error_line(done: subprocess.CompletedProcess[str]) -> str:
    """The one line that a failed verb gives as its reason; no traceback, no second error."""
    lines = done.stderr.splitlines()
    errors = [line for line in lines if line.startswith("error: ")]
    others = [line for line in lines if not line.startswith(("error: ", "· ", "  try: "))]
    assert len(errors) == 1, done.stderr
    assert not others, done.stderr
    return errors[0].removeprefix("error: ")


def refs_of(sh: Shell) -> dict[str, str]:
    """Every ref of a repository and what it points at."""
    lines = sh.git("for-each-ref", "--format=%(refname) %(objectname)").splitlines()
    return dict(line.split(" ", 1) for line in lines)


# --- Building ---------------------------------------------------------------------------------


def finished_flow(root: Path, env: Mapping[str, str]) -> Flow:
    """A flow with two months of data and two releases of the model `m`; all is current."""
    flow = laid_flow(root, env)
    inbox = root / "inbox"
    flow.ingest(*csv_files(inbox, "one", "two"), partition=FIRST_MONTH)
    flow.branchflow("sync")
    flow.branchflow("run", DEV)
    flow.branchflow("promote", DEV)
    flow.branchflow("release", STABLE)
    flow.ingest(*csv_files(inbox, "three"), partition=SECOND_MONTH)
    flow.branchflow("sync")
    return flow


def laid_flow(
    root: Path, env: Mapping[str, str], *, remote: str | None = None, endpoint_url: str = ""
) -> Flow:
    """An origin and a clone with the flow laid and our small pipelines on it, but no data.

    Args:
        remote: URL of the DVC remote; None: the folder `store`, named by a relative path.
    """
    root.mkdir(parents=True, exist_ok=True)
    outside = Shell(root, env)
    flow = Flow(root, clone(bare_origin(root / "origin.git", outside), root / "repo", outside))
    options = ["--model", MODEL, "--sample", "0.5", "--yes"]
    if remote is None:
        flow.store.mkdir()
        _commit(flow.sh, {".dvc/config": _DVC_CONFIG}, "Name the DVC remote")
        flow.sh.git("push", "-q", "origin", "main")
    else:
        options += ["--remote", remote]
    if endpoint_url:
        options += ["--endpoint-url", endpoint_url]
    flow.branchflow("init", *options)
    flow.sh.git("fetch", "-q")
    for branch, files in PIPELINES.items():
        flow.sh.git("switch", "-q", branch)
        names = flow.sh.git("ls-files").splitlines()
        flow.sh.git("rm", "-q", "--", *(name for name in names if not name.startswith(".")))
        _commit(flow.sh, files, "Our own pipeline")
    flow.sh.git("switch", "-q", "main")
    config = flow.repo / "branchflow.yaml"
    text = config.read_text(encoding="utf-8").replace(_TEMPLATE_CHECK, CHECK)
    assert CHECK in text
    _commit(flow.sh, {"branchflow.yaml": text}, "Our own checks")
    flow.sh.git("push", "-q", "origin", "main", *PIPELINES)
    return flow


def csv_files(folder: Path, *names: str, n_rows: int = 40) -> list[Path]:
    """Small CSV files, each with its own rows; every tenth row is no number."""
    folder.mkdir(parents=True, exist_ok=True)
    return [_csv_file(folder / f"{name}.csv", n_rows) for name in names]


def _csv_file(path: Path, n_rows: int) -> Path:
    base = sum(path.stem.encode())
    rows = [f"{path.stem}-{n},{base + n if n % 10 else 'broken'}" for n in range(n_rows)]
    path.write_text("\n".join(["id,value", *rows]) + "\n", encoding="utf-8")
    return path


def change_code(flow: Flow, scale: float) -> None:
    """What a developer does: change a parameter on the dev branch, commit, push."""
    edit(flow, DEV, {"params.yaml": f"train:\n  scale: {scale}\n"}, f"Scale by {scale}")


def configure(flow: Flow, pattern: str, **keys: object) -> None:
    """Set keys of a branch in branchflow.yaml, and push it as somebody else does."""
    flow.sh.git("fetch", "-q")
    document = yaml.safe_load(flow.sh.git("show", "origin/main:branchflow.yaml"))
    document["branches"][pattern] |= keys
    edit(flow, "main", {"branchflow.yaml": yaml.safe_dump(document)}, f"Configure {pattern}")


def edit(flow: Flow, branch: str, files: Mapping[str, str], subject: str) -> None:
    """Change files of a branch in another clone, and push: somebody else's work."""
    with tempfile.TemporaryDirectory(dir=flow.root) as folder:
        sh = clone(flow.origin, Path(folder) / "other", flow.sh)
        sh.git("switch", "-q", branch)
        _commit(sh, files, subject)
        sh.git("push", "-q", "origin", branch)


def _commit(sh: Shell, files: Mapping[str, str], subject: str) -> None:
    for name, text in files.items():
        path = sh.cwd / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    sh.git("add", "-f", "--", *files)
    sh.git("commit", "-qm", subject)


# --- Copying ----------------------------------------------------------------------------------


def built_once(folder: Path, build: Callable[[Path], object]) -> Path:
    """The folder, filled by `build` exactly once, whichever test worker comes first."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    done = folder.with_name(f"{folder.name}.done")
    with _locked(folder.with_name(f"{folder.name}.lock")):
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            build(folder)
            done.touch()
    return folder


def copy_flow(template: Path, root: Path, env: Mapping[str, str], *, local: bool = True) -> Flow:
    """A team of its own with the state of another one: its origin and store, and a fresh clone.

    Args:
        local: the clone has a local branch for each of the origin's, and a filled DVC cache;
            else it is as `git clone` leaves it.
    """
    root.mkdir(parents=True, exist_ok=True)
    for name in ("origin.git", "store"):
        shutil.copytree(template / name, root / name, symlinks=True)
    flow = Flow(root, clone(root / "origin.git", root / "repo", Shell(root, env)))
    if local:
        have_local_branches(flow.sh)
        shutil.copytree(template / "repo/.dvc/cache", flow.repo / ".dvc/cache")
    return flow


def have_local_branches(sh: Shell) -> None:
    """Make a local branch for each branch of the origin."""
    head = sh.git("symbolic-ref", "--short", "HEAD")
    for line in sh.git("for-each-ref", "--format=%(refname:lstrip=3)", "refs/remotes").splitlines():
        if line not in {"HEAD", head}:
            sh.git("branch", "-q", "--track", line, f"origin/{line}")


class Checkpoint:
    """Takes a team's folder back to how it was, at the same place: paths in it stay true."""

    def __init__(self, root: Path, kept: Path) -> None:
        self._root = root
        self._kept = kept
        shutil.copytree(root, kept, symlinks=True)

    def restore(self) -> None:
        """Put everything back."""
        shutil.rmtree(self._root)
        shutil.copytree(self._kept, self._root, symlinks=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


# --- At once, and killed ----------------------------------------------------------------------


@dataclass(frozen=True)
class Ended:
    """A process that ran beside others: its exit code and what it said on both streams."""

    returncode: int
    output: str


def at_once(*commands: tuple[Shell, Sequence[str | Path]], timeout: float = 240) -> list[Ended]:
    """Start all commands in the same moment and wait for all of them."""
    with ExitStack() as stack:
        running: list[tuple[subprocess.Popen[bytes], IO[bytes]]] = []
        for sh, args in commands:
            output = stack.enter_context(tempfile.TemporaryFile())
            words = [str(arg) for arg in args]
            process = start_group(words, output=output, env=sh.env, cwd=sh.cwd)
            stack.callback(kill_group, process)
            running.append((process, output))
        deadline = time.monotonic() + timeout
        for process, _ in running:
            process.wait(max(deadline - time.monotonic(), 0.1))
        return [_ended(process, output) for process, output in running]


def _ended(process: subprocess.Popen[bytes], output: IO[bytes]) -> Ended:
    output.seek(0)
    return Ended(process.returncode, output.read().decode(errors="replace"))


def kill_when(sh: Shell, args: Sequence[str | Path], moment: str | Callable[[], bool]) -> bool:
    """Start a command and SIGKILL its process group at a moment.

    Args:
        moment: a text that its output has by then, or what says that the moment has come.
    Returns: whether it was killed; False: it ended by itself before.
    """
    words = [str(arg) for arg in args]
    with tempfile.NamedTemporaryFile() as output:
        process = start_group(words, output=output, env=sh.env, cwd=sh.cwd)
        said = Path(output.name)
        try:
            while process.poll() is None:
                has_come = moment in _text(said) if isinstance(moment, str) else moment()
                if has_come:
                    return process.poll() is None
                time.sleep(0.0005)
            return False
        finally:
            kill_group(process)


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def worker_root(base: Path) -> Path:
    """The folder that all workers of a pytest run share, given one worker's base folder."""
    return base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base
