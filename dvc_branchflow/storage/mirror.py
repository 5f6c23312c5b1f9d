"""Keeps a further copy on a DVC remote of all that refs need, wherever it lies."""

from __future__ import annotations

from collections.abc import Sequence

from dvc_branchflow.project import Project
from dvc_branchflow.values import dataclass
from dvc_branchflow.work.mirroring import Filled, fill
from dvc_branchflow.work.stock import shared_remotes
from dvc_branchflow.work.transfer import Report


@dataclass(frozen=True, slots=True)
class MirrorOutcome:
    """How a mirror stands to what refs need."""

    remote: str
    filled: Filled

    @property
    def is_whole(self) -> bool:
        """Whether all is there that is needed."""
        return not (self.filled.lacking or self.filled.unknown)


def mirror(
    project: Project, to: str, refs: Sequence[str], report: Report, *, dry_run: bool = False
) -> MirrorOutcome:
    """Copy to a DVC remote what it lacks of all that refs need, and look again.

    Args:
        to: the DVC remote's name.
        refs: branches, tags or commits, each with its history; none: all branches and tags.
        dry_run: only look.
    Raises: StorageError: a DVC remote is away, or `to` is none that the team shares.
    """
    (to,) = shared_remotes(project, (to.lower(),))
    return MirrorOutcome(to, fill(project, to, refs, report, dry_run=dry_run))
