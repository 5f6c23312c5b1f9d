"""What the rules see: plain values of commits and refs, read from Git before they are judged."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dvc_branchflow.channels import Kind
from dvc_branchflow.model import Branch, LockedStage, Oid, Out, Pins, Sha
from dvc_branchflow.tombstones import Tombstone
from dvc_branchflow.values import dataclass, field


@dataclass(frozen=True, slots=True)
class PathChange:
    """A path that a commit puts anew into Git, or takes away (`mode` None).

    `size_bytes` and `is_lfs` are those of the new blob.
    """

    path: str
    mode: str | None
    size_bytes: int = 0
    is_lfs: bool = False


@dataclass(frozen=True, slots=True)
class Held:
    """What a commit's tree says about data.

    Attributes:
        outs: every path that DVC tracks and pushes → its out.
        pointed: those of the outs that come from `.dvc` files.
        stages: what the root `dvc.lock` says was run.
        pipelines: the `dvc.yaml` and `dvc.lock` files that declare or ran any stage.
        has_plan: whether an analysis plan is there.
        tombstones: path → what was erased.
        problems: path of a metadata file that can't be read → why.
    """

    outs: Mapping[str, Out] = field(default_factory=dict)
    pointed: Mapping[str, Out] = field(default_factory=dict)
    pins: Pins = field(default_factory=Pins)
    stages: tuple[LockedStage, ...] = ()
    pipelines: tuple[str, ...] = ()
    has_plan: bool = False
    tombstones: Mapping[str, Tombstone] = field(default_factory=dict)
    problems: Mapping[str, str] = field(default_factory=dict)

    @property
    def erased(self) -> frozenset[Oid]:
        """The objects that the tombstones name."""
        return frozenset(oid for one in self.tombstones.values() for oid in one.oids)

    def below(self, data: str) -> dict[str, Out]:
        """Return the outs at or below the path `data`."""
        return {path: out for path, out in self.outs.items() if is_below(path, data)}


@dataclass(frozen=True, slots=True)
class Pinned:
    """What is behind one line of `pins.yaml`.

    `published` is what the upstream published at that commit; None where there is no such commit.
    """

    commit: Sha
    is_on_upstream: bool
    is_in_history: bool
    published: Mapping[str, Out] | None


@dataclass(frozen=True, slots=True)
class Promoted:
    """The dev commit that a stable commit's code comes from.

    `differs` are the paths that are code and not as there; `odd` those that may differ but are no
    plain files. `is_known`: the commit is on the dev branch.
    """

    commit: Sha
    is_known: bool
    differs: tuple[str, ...] = ()
    odd: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CommitFacts:
    """A commit on a branch, as its rules see it.

    Attributes:
        trailers: key → values, of the trailers that rules ask for.
        changed: the paths that differ from the first parent.
        parents_held: what each parent holds.
        follows: whether the first parent is on the branch as well, and so was judged by its rules.
        pinned: upstream → what is behind its pin.
        promoted: on a stable branch, where the code comes from.
        reports: on a clean or split branch, the JSON files among its stages' outs in Git.
        stable_outs: on a dev branch, the paths that its stable branch makes.
        erased: the objects that must not come back: those of the commit's own tombstones and, for
            a commit that a move brings, of those that the team has.
    """

    sha: Sha
    parents: tuple[Sha, ...]
    trailers: Mapping[str, tuple[str, ...]]
    changed: tuple[PathChange, ...]
    held: Held
    parents_held: tuple[Held, ...]
    follows: bool
    pinned: Mapping[Branch, Pinned] = field(default_factory=dict)
    promoted: Promoted | None = None
    reports: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    stable_outs: frozenset[str] = frozenset()
    erased: frozenset[Oid] = frozenset()

    @property
    def before(self) -> Held:
        """What the first parent holds; nothing where there is none."""
        return self.parents_held[0] if self.parents_held else Held()


@dataclass(frozen=True, slots=True)
class TagFacts:
    """A tag of GTO's that a push brings: a release, or what becomes of one.

    Attributes:
        name: the one inside the tag object; None: the tag is lightweight.
        stable: the stable branches of the tag's model.
        is_on_stable: of a release, whether the commit is on one of them.
        held: of a release, what it holds.
        folders: of a release, those deps of its stages that are folders above pinned data, with
            their oids as they are there.
        is_released: of any other, whether a release of the model is at the commit.
    """

    kind: Kind
    name: str | None
    is_of_commit: bool
    stable: tuple[Branch, ...]
    is_on_stable: bool = False
    held: Held = field(default_factory=Held)
    folders: Mapping[str, Oid] = field(default_factory=dict)
    is_released: bool = False


@dataclass(frozen=True, slots=True)
class RefFacts:
    """A ref that is to move.

    Attributes:
        ref: the full name.
        is_forward: whether the new commit comes after the old one.
        clash: an existing branch whose name differs only by case.
        tag: where it is a tag of GTO's that is new.
    """

    ref: str
    old: Sha | None
    new: Sha | None
    is_forward: bool = True
    clash: str = ""
    tag: TagFacts | None = None


def is_below(path: str, folder: str) -> bool:
    """Whether a path is a folder or lies in it."""
    return path == folder or path.startswith(f"{folder}/")
