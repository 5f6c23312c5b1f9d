"""What a release was trained on, found from its tag: counted once, then kept on the branch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path, PurePosixPath

from dvc_branchflow.drift.baseline import Baseline, ColumnKind, Kinds, Rows, fit_baseline
from dvc_branchflow.drift.stored import baseline_json, parse_baseline
from dvc_branchflow.manifest import entries, lookup
from dvc_branchflow.model import Oid, Out
from dvc_branchflow.project import Project
from dvc_branchflow.values import dataclass
from dvc_branchflow.work.commits import CommitData, read_commit
from dvc_branchflow.work.environments import Environment, Served
from dvc_branchflow.work.logbook import BASELINES
from dvc_branchflow.work.tables import SUFFIXES, columns_of, read_chunks
from dvc_branchflow.work.transfer import Report, fetch_objects, manifest_of

_MISSING = ("",)
_TABLES = frozenset(SUFFIXES) - {".json"}  # a report among the data is no table


@dataclass(frozen=True, slots=True)
class HeldBaseline:
    """A baseline, and the file that it is kept in.

    `name` is that of the file in the branch's out `baselines`; `new` its content where it is not
    there yet. `window` says which one it was made of; empty for training rows.
    """

    baseline: Baseline
    name: str
    oid: Oid
    sha256: str
    window: str
    new: bytes | None


def training_baseline(
    env: Environment, served: Served, report: Report
) -> tuple[HeldBaseline | None, Mapping[str, str]]:
    """Return the baseline of a release's training rows, and the pins that they come from.

    None where the release pins no table that holds its features, or reads whole files.
    """
    data = read_commit(env.releases.git, served.commit)
    pins = {str(name): str(sha) for name, sha in data.pins.commits.items()}
    if served.recipe and not served.recipe.features:
        return None, pins

    def fit() -> tuple[Baseline, Mapping[str, object]] | None:
        report(f"reading what {served.tag} was trained on")
        files = list(_training_files(env, data, report))
        kinds = _kinds(env, served, files)
        missing = served.recipe.missing if served.recipe else _MISSING
        if not kinds:
            return None
        baseline = fit_baseline(lambda: read_chunks(files, kinds, missing), kinds)
        return (baseline, {"tag": served.tag, "pins": pins}) if baseline.rows else None

    return _held(env, f"{_slug(served.tag)}.json", fit, report), pins


def prediction_baseline(
    env: Environment, tag: str, rows: Rows, kinds: Kinds, window: str, report: Report
) -> HeldBaseline | None:
    """Return the baseline of a release's predictions: those of the first window that was judged.

    Args:
        rows: gives the predictions of this window, which is the first one if none is kept yet.
    """

    def fit() -> tuple[Baseline, Mapping[str, object]]:
        return fit_baseline(rows, kinds), {"tag": tag, "window": window}

    return _held(env, f"{_slug(tag)}.predictions.json", fit, report)


def _held(
    env: Environment,
    name: str,
    fit: Callable[[], tuple[Baseline, Mapping[str, object]] | None],
    report: Report,
) -> HeldBaseline | None:
    """The baseline that is kept under a name, or else a new one."""
    project = env.project
    out = env.data.outs.get(f"{env.folder}/{BASELINES}") if env.data else None
    oid = lookup(manifest_of(project, out), name) if out else None
    if out is not None and oid is not None:
        fetch_objects(project, [(oid, out.remote)], report)
        content = project.cache.path(oid).read_bytes()
        baseline = parse_baseline(content, f"{out.path}/{name}")
        sha256 = hashlib.sha256(content).hexdigest()
        return HeldBaseline(baseline, name, oid, sha256, _window_of(content), None)
    fitted = fit()
    if fitted is None:
        return None
    content = baseline_json(*fitted)
    digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
    sha256 = hashlib.sha256(content).hexdigest()
    return HeldBaseline(fitted[0], name, Oid(digest), sha256, _window_of(content), content)


def _training_files(
    env: Environment, data: CommitData, report: Report
) -> Iterable[tuple[Path, str]]:
    """The tables among the pinned data, in the cache."""
    releases = env.releases
    sides = set(env.spec.rule.watch.sides)
    wanted: list[tuple[Oid, str | None, str]] = []
    for upstream in data.pins.commits:
        owned = releases.spec(upstream).data or ""
        for path, out in sorted(data.snapshot(owned).items()):
            wanted += [(oid, out.remote, name) for oid, name in _files_of(releases, out, path)]
    tables = [
        (oid, remote, name)
        for oid, remote, name in wanted
        if PurePosixPath(name).suffix.lower() in _TABLES
        and (not sides or sides & set(PurePosixPath(name).parts[:-1]))
    ]
    fetch_objects(releases, [(oid, remote) for oid, remote, _ in tables], report)
    return [(releases.cache.path(oid), name) for oid, _, name in tables]


def _files_of(releases: Project, out: Out, path: str) -> Iterable[tuple[Oid, str]]:
    if not out.is_dir:
        return [(out.oid, path)]
    listed = entries(manifest_of(releases, out))
    return [(entry.oid, f"{path}/{entry.relpath}") for entry in listed]


def _kinds(env: Environment, served: Served, files: list[tuple[Path, str]]) -> Kinds:
    """The features to judge: the release's own, or else what is both trained on and logged.

    What is private was logged in another form, or not at all.
    """
    schema = env.schema
    private = set(schema.private) if schema else set()
    if served.recipe:
        found: dict[str, ColumnKind] = dict(served.recipe.features)
    else:
        logged = schema.columns if schema else {}
        trained = {name for path, at in files[:1] for name in columns_of(path, at)}
        found = {name: kind for name, kind in logged.items() if name in trained}
    return {name: kind for name, kind in found.items() if name not in private}


def _window_of(content: bytes) -> str:
    about = json.loads(content).get("about")
    return str(about.get("window", ""))[:60] if isinstance(about, dict) else ""


def _slug(tag: str) -> str:
    return tag.replace("/", "=")
