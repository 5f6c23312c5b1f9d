"""The environment that git and dvc are started in."""

from __future__ import annotations

import os

# A hook or an alias runs us with these set for its own purpose; they would lead git astray.
_STRAY = (
    "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX", "GIT_COMMON_DIR", "GIT_NAMESPACE",
    "GIT_LITERAL_PATHSPECS", "GIT_GLOB_PATHSPECS", "GIT_NOGLOB_PATHSPECS", "GIT_ICASE_PATHSPECS",
    "GIT_SHALLOW_FILE", "GIT_GRAFT_FILE",
)  # fmt: skip
_OBJECTS = ("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES")


def clean_environment() -> dict[str, str]:
    """Return our environment without what would point git at another repository.

    While a server receives a push, pushed objects are found through these variables alone.
    """
    stray = _STRAY if "GIT_QUARANTINE_PATH" in os.environ else (*_STRAY, *_OBJECTS)
    return {key: value for key, value in os.environ.items() if key not in stray}
