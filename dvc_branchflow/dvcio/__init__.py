"""The only place that touches DVC itself.

Its commands run as subprocesses. What has no command is imported, where it is used: a third of a
second that other work must not pay. Our own modules, too, are loaded when they are asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dvc_branchflow.lazy import on_demand

if TYPE_CHECKING:
    from dvc_branchflow.dvcio.commands import dvc, dvc_text, mend_locks
    from dvc_branchflow.dvcio.filesystems import open_file_system
    from dvc_branchflow.dvcio.state import State, memory_of, recall
else:
    _HOMES = {
        "commands": "dvc dvc_text mend_locks",
        "filesystems": "open_file_system",
        "state": "State memory_of recall",
    }
    __getattr__ = on_demand(__name__, _HOMES)

__all__ = ["State", "dvc", "dvc_text", "memory_of", "mend_locks", "open_file_system", "recall"]
