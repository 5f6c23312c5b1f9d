"""What can go wrong, as one tree; each error says what failed, on which thing, and why.

BranchflowError
├── UsageError      the command line asks for something that makes no sense      exit 2
├── ConfigError     branchflow.yaml, or a file of DVC's, can't be read as written
├── FlowError       the repository's branches don't allow this step
├── GitError        git refused, or an object is missing
│   └── LostRaceError   a ref moved while we worked; the plan has to be rebuilt
├── DvcError        dvc refused
├── StorageError    a remote or the cache can't be reached, or lacks an object
├── RunError        a stage of the user's own failed, or a check could not run
└── RejectedError   ran, and the answer is no                                     exit 1
All others exit with 3. Errors hold fields and never print; `hint` is the command that repairs it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar


class BranchflowError(Exception):
    """An expected failure: one line, and the way out of it."""

    code: ClassVar[str] = "branchflow"
    exit_code: ClassVar[int] = 3

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(BranchflowError):
    """The command line asks for something that makes no sense."""

    code = "usage"
    exit_code = 2


class ConfigError(BranchflowError):
    """A file of settings or metadata can't be read as written."""

    code = "config"


class FlowError(BranchflowError):
    """The repository's branches don't allow this step."""

    code = "flow"


class GitError(BranchflowError):
    """Git refused, or an object is missing."""

    code = "git"


class LostRaceError(GitError):
    """A ref moved while we worked; the plan has to be rebuilt on the new tip."""

    code = "lost-race"


class DvcError(BranchflowError):
    """The dvc command refused."""

    code = "dvc"


class StorageError(BranchflowError):
    """A DVC remote or the cache can't be reached, or lacks an object."""

    code = "storage"


class RunError(BranchflowError):
    """A stage of the user's own failed, or a check could not run; `log` holds its output."""

    code = "run"

    def __init__(self, message: str, *, hint: str | None = None, log: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.log = log


class RejectedError(BranchflowError):
    """The command ran, and the answer is no; where a check said it, `log` holds its output.

    `refused`: where rules said it, the short names of the refs that may not move, and why.
    """

    code = "rejected"
    exit_code = 1

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        log: str | None = None,
        refused: Mapping[str, RejectedError] | None = None,
    ) -> None:
        super().__init__(message, hint=hint)
        self.log = log
        self.refused = refused or {}
