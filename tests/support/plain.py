"""A virtual environment as after `pip uninstall dvc-branchflow`: DVC and friends, nothing of ours.

Its packages have the versions of the running environment, so that both write the same bytes.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_WANTED = ("dvc", "dvc-s3", "gto", "pandas", "scikit-learn", "skops")
_STAMP = "branchflow-stamp.txt"


def plain_environment(root: Path) -> Path:
    """The bin folder of an environment below `root` that lacks dvc-branchflow; built only once.

    Workers and later sessions share it: a file lock lets one of them build, a stamp with the
    requirement list says that it was finished. Another list gets another folder.
    """
    pins = pinned_requirements(_WANTED)
    stamp = "\n".join([sys.version, *pins]) + "\n"
    folder = root / f"plain-{hashlib.sha256(stamp.encode()).hexdigest()[:12]}"
    root.mkdir(parents=True, exist_ok=True)
    with _locked(root / f"{folder.name}.lock"):
        if not _is_built(folder, stamp):
            shutil.rmtree(folder, ignore_errors=True)
            _build(folder, pins)
            (folder / _STAMP).write_text(stamp, encoding="utf-8")
    return folder / "bin"


def pinned_requirements(names: Sequence[str]) -> list[str]:
    """`name==version` for each name and all that it needs, as installed here; sorted.

    A wanted package that is not installed here stays unpinned.
    """
    pins: dict[str, str] = {}
    seen: set[str] = set()
    waiting = [Requirement(name) for name in names]
    while waiting:
        requirement = waiting.pop()
        if str(requirement) in seen:
            continue
        seen.add(str(requirement))
        name = canonicalize_name(requirement.name)
        distribution = _installed(name)
        if distribution is None:
            pins.setdefault(name, name)
            continue
        pins[name] = f"{name}=={distribution.version}"
        waiting += _direct_requirements(distribution, requirement.extras)
    return sorted(pins.values())


def _installed(name: str) -> metadata.Distribution | None:
    try:
        return metadata.distribution(name)
    except metadata.PackageNotFoundError:
        return None


def _direct_requirements(
    distribution: metadata.Distribution, extras: set[str]
) -> Iterator[Requirement]:
    for line in distribution.requires or []:
        requirement = Requirement(line)
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": name}) for name in ("", *extras)):
            yield requirement


def _is_built(folder: Path, stamp: str) -> bool:
    file = folder / _STAMP
    return file.is_file() and file.read_text(encoding="utf-8") == stamp


@contextmanager
def _locked(lock: Path) -> Iterator[None]:
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _build(folder: Path, pins: Sequence[str]) -> None:
    # Nothing is compiled ahead: most of these modules are never imported.
    uv = _find_uv()
    python = str(folder / "bin" / "python")
    if uv:
        _run([uv, "venv", "--quiet", "--python", sys.executable, str(folder)])
        _run([uv, "pip", "install", "--quiet", "--python", python, *pins])
    else:
        _run([sys.executable, "-m", "venv", str(folder)])
        _run([python, "-m", "pip", "install", "--quiet", "--no-compile", *pins])


def _find_uv() -> str | None:
    beside = Path(sys.executable).with_name("uv")
    return shutil.which("uv") or (str(beside) if beside.is_file() else None)


def _run(args: Sequence[str]) -> None:
    # The user's own environment on purpose: it says where packages come from.
    env = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(args, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{args[0]} failed ({done.returncode}):\n{done.stdout}{done.stderr}")
