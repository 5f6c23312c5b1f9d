"""What `--json` prints: one document a command, with the schema that it follows."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dvc_branchflow.errors import BranchflowError
from dvc_branchflow.git import Change
from dvc_branchflow.values import fields, is_dataclass

_VERSION = 1


def document(verb: str, value: object, *, dry_run: bool = False) -> str:
    """Return a verb's value as JSON."""
    schema = f"branchflow/{verb.replace(' ', '-')}/{_VERSION}"
    body = {"schema": schema, "dry_run": dry_run, "result": plain(value)}
    return json.dumps(body, indent=2, ensure_ascii=False)


def failure(verb: str, error: BranchflowError) -> str:
    """Return a failure as JSON."""
    log = getattr(error, "log", None)
    body: dict[str, Any] = {
        "schema": "branchflow/error/1",
        "verb": verb,
        "error": {"code": error.code, "message": error.message, "hint": error.hint, "log": log},
    }
    return json.dumps(body, indent=2, ensure_ascii=False)


def plain(value: Any) -> Any:
    """Return a value of ours as what JSON knows: errors by message, changes by path."""
    if isinstance(value, BranchflowError):
        value = {"code": value.code, "message": value.message, "hint": value.hint}
    elif isinstance(value, Change):
        value = {"path": value.path, "removed": value.content is None and value.entry is None}
    elif is_dataclass(value) and not isinstance(value, type):
        value = {item.name: getattr(value, item.name) for item in fields(value)}
    if isinstance(value, float) and not math.isfinite(value):
        return None  # JSON knows no NaN
    if isinstance(value, Mapping):
        return {_key(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _key(key: object) -> str:
    return ".".join(map(str, key)) if isinstance(key, tuple) else str(key)
