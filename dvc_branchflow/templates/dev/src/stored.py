"""Decides how a model lies on disk: equal models in equal bytes, and read without running any code.

skops writes a zip of arrays and JSON, and loads only the types that it is told to trust.
"""

from __future__ import annotations

import hashlib
import json
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any
from zipfile import ZipFile, ZipInfo

import yaml
from skops.io import dumps, get_untrusted_types, loads

# What a model may be made of besides what skops trusts by itself. A model of your own with other
# types can't be saved until they stand here: add those whose code you know.
TRUSTED = frozenset(
    {
        "functools.partial",
        "numpy.dtype",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.utils.validation.check_array",
    }
)
SCHEMA = "schema.json"


def save(model: object, path: Path) -> None:
    """Write a model; the same model gives the same bytes.

    Raises: ValueError: it holds a type that is not trusted, so that nobody could load it.
    """
    content = dumps(model)
    if foreign := sorted(set(get_untrusted_types(data=content)) - TRUSTED):
        raise ValueError(f"TRUSTED in src/stored.py lacks types of this model: {foreign}")
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(settled(content))


def load(content: bytes) -> Any:
    """Return the model that `save` wrote. Raises: skops' own error: a type that is not trusted."""
    return loads(content, trusted=sorted(TRUSTED))


def verified(path: Path) -> bytes:
    """Return the file's bytes if they are what dvc.lock says: a release vouches for those alone."""
    content = path.read_bytes()
    stages = yaml.safe_load(Path("dvc.lock").read_text(encoding="utf-8"))["stages"].values()
    outs = {out["path"]: out["md5"] for stage in stages for out in stage.get("outs", [])}
    if hashlib.md5(content, usedforsecurity=False).hexdigest() != outs.get(path.as_posix()):
        raise ValueError(f"{path} is not the file that dvc.lock names; try `dvc checkout {path}`")
    return content


def settled(content: bytes) -> bytes:
    """Return what skops wrote without what differs from run to run.

    It names objects and files by memory addresses, and dates the zip. Here they are numbered as
    they come, and the dates are that of the zip format itself.
    """
    with ZipFile(BytesIO(content)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    numbers: dict[int, int] = {}
    names: dict[str, str] = {}

    def settle(node: dict[str, Any]) -> dict[str, Any]:
        address, file = node.get("__id__"), node.get("file")
        if isinstance(address, int):
            node["__id__"] = numbers.setdefault(address, len(numbers))
        if isinstance(file, str) and file in parts:
            node["file"] = names.setdefault(file, f"{len(names)}{PurePosixPath(file).suffix}")
        return node

    schema = json.loads(parts[SCHEMA], object_hook=settle)
    buffer = BytesIO()
    with ZipFile(buffer, "w") as archive:
        for old, new in names.items():
            archive.writestr(ZipInfo(new), parts[old])
        archive.writestr(ZipInfo(SCHEMA), json.dumps(schema))
    return buffer.getvalue()
