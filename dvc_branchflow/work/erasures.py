"""What was erased, as the tracking branch tells: runs that it touched, the proof that it is gone.

A proof lies beside its tombstone. It says what was found then; `storage erase --check` looks anew.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence

from dvc_branchflow.errors import RejectedError
from dvc_branchflow.gitobjects import EXECUTABLE_MODE, FILE_MODE
from dvc_branchflow.model import Oid
from dvc_branchflow.project import Project
from dvc_branchflow.tombstones import FOLDER
from dvc_branchflow.typed import decode, encode
from dvc_branchflow.values import dataclass

SCHEMA = "branchflow/erasure-proof/1"


@dataclass(frozen=True, slots=True)
class Searched:
    """A DVC remote on which no copy was found.

    Attributes:
        sees_versions: whether versions of deleted objects would have been found, too.
    """

    remote: str
    sees_versions: bool


@dataclass(frozen=True, slots=True)
class Proof:
    """That none of the DVC remotes had a copy any more.

    Attributes:
        erasure: the tombstone's id. when: ISO 8601, UTC.
    """

    erasure: str
    who: str
    when: str
    searched: Sequence[Searched]
    schema: str = SCHEMA

    @property
    def path(self) -> str:
        """Where it lies on the tracking branch."""
        return _path(self.erasure)


def refuse_erased(project: Project, oid: Oid, what: str) -> None:
    """Raise RejectedError where an object was erased; `what` is how to call it."""
    tombstone = project.erased.get(oid)
    if tombstone is not None:
        raise RejectedError(
            f"{what} was erased at {tombstone.when}: {tombstone.reason}",
            hint=f"git show {project.config.tracking}:{tombstone.path}",
        )


def render_proof(proof: Proof) -> bytes:
    """Return the file."""
    return encode(proof)


def read_proof(project: Project, erasure: str) -> Proof | None:
    """Return the proof of an erasure, None where there is none yet.

    Raises: ConfigError: it can't be read.
    """
    tip = project.tracking.sha
    entry = project.git.entry(project.git.commits([tip])[tip].tree, _path(erasure))
    if entry is None or entry.mode not in {FILE_MODE, EXECUTABLE_MODE}:
        return None
    return decode(Proof, project.git.read_blobs([entry.sha])[entry.sha], _path(erasure))


def erasures_of_runs(project: Project) -> Mapping[str, tuple[str, ...]]:
    """Return the erasures that touched runs: a release's tag or a refused one's record → ids."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for tombstone in project.tombstones:
        for run in (*tombstone.releases, *tombstone.refused):
            found[run].append(tombstone.id)
    return {run: tuple(ids) for run, ids in found.items()}


def _path(erasure: str) -> str:
    return f"{FOLDER}/{erasure}.proof.json"
