"""The only place that touches DVC itself.

Its commands run as subprocesses. What has no command is imported, where it is used: a third of a
second that other work must not pay.
"""

from __future__ import annotations

from dvc_branchflow.dvcio.commands import dvc, dvc_text, mend_locks
from dvc_branchflow.dvcio.filesystems import open_file_system
from dvc_branchflow.dvcio.state import State, recall

__all__ = ["State", "dvc", "dvc_text", "mend_locks", "open_file_system", "recall"]
