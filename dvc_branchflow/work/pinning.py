"""What it takes to pin upstreams: their outs as pointers, and the commit they were taken from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dvc_branchflow.errors import FlowError, StorageError
from dvc_branchflow.flow import BranchSpec, identifier
from dvc_branchflow.git import Change
from dvc_branchflow.manifest import entries, manifest_oid, render
from dvc_branchflow.metafiles import (
    pointer_path,
    render_partitions,
    render_pins,
    render_pointer,
)
from dvc_branchflow.model import (
    APPEND_ONLY,
    PARTITIONS_FILE,
    PINS_FILE,
    Branch,
    Oid,
    Out,
    Pins,
    Sample,
    Sha,
)
from dvc_branchflow.project import Project
from dvc_branchflow.sampling import sampled
from dvc_branchflow.values import dataclass, replace
from dvc_branchflow.work.commits import CommitData, CommitReader
from dvc_branchflow.work.transfer import manifest_of


@dataclass(frozen=True, slots=True)
class PinPlan:
    """New pins of a branch, and what they change in its tree.

    Attributes:
        upstreams: the commits to pin, which become parents of the commit.
        moved: the upstreams whose data differ from what is pinned now.
        outs: everything the branch holds from its upstreams afterwards.
    """

    branch: Branch
    pins: Pins
    upstreams: tuple[Sha, ...]
    moved: tuple[Branch, ...]
    changes: tuple[Change, ...]
    outs: Mapping[str, Out]

    @property
    def trailers(self) -> list[str]:
        """The commit's trailer lines."""
        return [f"Pin: {name}@{self.pins.commits[name]}" for name in self.moved]


def plan_pins(
    project: Project,
    spec: BranchSpec,
    current: CommitData | None,
    wanted: Mapping[Branch, Sha] | None = None,
    reader: CommitReader | None = None,
) -> PinPlan:
    """Work out how a branch pins its upstreams.

    Args:
        current: the branch's tip (None: a new branch).
        wanted: upstream → commit; the tip of an upstream that is not named.
        reader: what has read the upstreams' commits for other branches already.
    Raises: FlowError: an upstream that the branch does not have, or that publishes nothing.
    """
    targets = _targets(project, spec, wanted or {})
    data = (reader or CommitReader(project.git)).read(targets.values())
    before = current.pins if current else Pins()
    commits: dict[Branch, Sha] = {}
    samples: dict[Branch, Sample] = {}
    outs: dict[str, Out] = {}
    pointers: dict[str, Change] = {}
    moved: list[Branch] = []
    for upstream, sha in targets.items():
        source = _owned(project, upstream, data[sha])
        sample = _sample_of(spec, before, upstream)
        held = {path: _sampled_out(project, out, sample) for path, out in source.items()}
        pointers |= _pointers(data[sha], source, held)
        same = current is not None and held == _held(project, upstream, current)
        is_known = upstream in before.commits
        commits[upstream] = before.commits[upstream] if same and is_known else sha
        if not (same and is_known):
            moved.append(upstream)
        if sample is not None:
            samples[upstream] = sample
        _no_collision(outs, held, upstream)
        outs |= held
    pins = Pins(commits, samples)
    contents = {PINS_FILE: render_pins(pins), PARTITIONS_FILE: _partitions(project, spec, outs)}
    changes = tuple(_changes(project, spec, current, pointers, contents))
    return PinPlan(
        branch=spec.branch,
        pins=pins,
        upstreams=tuple(dict.fromkeys(commits[name] for name in moved)),
        moved=tuple(moved),
        changes=changes,
        outs=outs,
    )


def pinned_outs(project: Project, spec: BranchSpec, data: CommitData) -> dict[str, Out]:
    """Return what a branch holds from its upstreams at a commit."""
    held: dict[str, Out] = {}
    for upstream in spec.upstreams:
        held |= _held(project, upstream, data)
    return held


def published_outs(project: Project, branch: Branch, data: CommitData) -> dict[str, Out]:
    """Return what a data branch publishes at a commit."""
    owned = project.spec(branch).data
    return data.snapshot(owned) if owned else {}


def _targets(project: Project, spec: BranchSpec, wanted: Mapping[Branch, Sha]) -> dict[Branch, Sha]:
    for name in wanted:
        if name not in spec.upstreams:
            known = ", ".join(spec.upstreams) or "none"
            raise FlowError(f"'{name}' is no upstream of '{spec.branch}', which has: {known}")
    return {name: wanted.get(name) or project.tip(name).sha for name in spec.upstreams}


def _owned(project: Project, upstream: Branch, data: CommitData) -> dict[str, Out]:
    found = published_outs(project, upstream, data)
    if not found:
        is_source = project.spec(upstream).role in APPEND_ONLY
        command = "ingest --source WHERE_FROM FILES" if is_source else f"run {upstream}"
        raise FlowError(
            f"'{upstream}' publishes no data yet (at {data.sha[:10]})",
            hint=f"git branchflow {command}",
        )
    return found


def _held(project: Project, upstream: Branch, data: CommitData) -> dict[str, Out]:
    owned = project.spec(upstream).data or ""
    return {
        out.path: out
        for path, out in data.pointers.items()
        if path == f"{owned}.dvc" or path.startswith(f"{owned}/")
    }


def _sample_of(spec: BranchSpec, before: Pins, upstream: Branch) -> Sample | None:
    if spec.rule.sample is None:
        return None
    old = before.samples.get(upstream)
    return Sample(spec.rule.sample, old.key if old else spec.branch)


def _sampled_out(project: Project, out: Out, sample: Sample | None) -> Out:
    """The out as the branch holds it: itself, or a directory with a part of its files."""
    if sample is None or not out.is_dir:
        return out
    chosen = sampled(entries(manifest_of(project, out)), sample)
    manifest = render(chosen)
    oid = manifest_oid(manifest)
    project.cache.add_bytes(oid, manifest)
    sizes = _sizes(project, [entry.oid for entry in chosen], out.remote)
    total = sum(sizes[entry.oid] for entry in chosen)
    return replace(out, oid=oid, size_bytes=total, nfiles=len(chosen))


def _sizes(project: Project, oids: Iterable[Oid], remote: str | None) -> dict[Oid, int]:
    wanted = list(dict.fromkeys(oids))
    found = {
        oid: project.cache.path(oid).stat().st_size for oid in wanted if project.cache.has(oid)
    }
    rest = [oid for oid in wanted if oid not in found]
    if rest:
        found |= project.store(remote).sizes(rest)
    lacking = [oid for oid in wanted if oid not in found]
    if lacking:
        raise StorageError(
            f"{len(lacking)} objects of a sample are neither in the cache nor on the DVC remote",
            hint="dvc push  # in the clone that made them",
        )
    return found


def _pointers(
    source: CommitData, owned: Mapping[str, Out], held: Mapping[str, Out]
) -> dict[str, Change]:
    """The pointer of each out: the upstream's own file where it has one, else as DVC writes it."""
    pointers: dict[str, Change] = {}
    for path, out in held.items():
        at = pointer_path(path)
        if owned[path] == out and at in source.files:
            pointers[at] = Change(at, entry=source.files[at])
        else:
            pointers[at] = Change(at, render_pointer(out))
    return pointers


def _changes(
    project: Project,
    spec: BranchSpec,
    current: CommitData | None,
    pointers: Mapping[str, Change],
    contents: Mapping[str, bytes],
) -> Iterable[Change]:
    """What a branch's tree lacks of the wanted pointers and files, and holds too much."""
    wanted = {**pointers, **{path: Change(path, content) for path, content in contents.items()}}
    files = current.files if current else {}
    held = _pointers_held(project, spec, current) if current else {}
    blobs = project.git.read_blobs([files[path].sha for path in wanted if path in files])
    for path in sorted(held.keys() - wanted.keys()):
        yield Change(path)
    for path, change in wanted.items():
        entry = files.get(path)
        same = entry is not None and (entry == change.entry or blobs[entry.sha] == change.content)
        if not same:
            yield change


def _pointers_held(project: Project, spec: BranchSpec, data: CommitData) -> dict[str, Out]:
    held = pinned_outs(project, spec, data)
    return {path: out for path, out in data.pointers.items() if out.path in held}


def _partitions(project: Project, spec: BranchSpec, outs: Mapping[str, Out]) -> bytes:
    names: dict[str, list[str]] = {}
    for upstream in spec.upstreams:
        owned = project.spec(upstream).data or ""
        names[identifier(upstream)] = [
            path.removeprefix(f"{owned}/") for path in outs if path.startswith(f"{owned}/")
        ]
    return render_partitions(names)


def _no_collision(outs: Mapping[str, Out], more: Mapping[str, Out], upstream: Branch) -> None:
    for path in more:
        if path in outs:
            raise FlowError(f"'{upstream}' publishes '{path}', which another upstream holds too")
