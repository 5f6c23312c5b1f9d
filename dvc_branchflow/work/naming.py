"""Which objects a `.dvc` or `dvc.lock` file names, whatever version of DVC wrote it.

What is missed here can be deleted, so nothing is passed over: a file that is not what some DVC
writes raises.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from dvc_branchflow.errors import ConfigError
from dvc_branchflow.metafiles import is_pointer, plain_out
from dvc_branchflow.model import LOCK_FILE, Oid
from dvc_branchflow.plain import load_mapping

_OID = re.compile(r"[0-9a-f]{32}(?:\.dir)?")
_ANY_OID = re.compile(rb"(?<![0-9a-f])[0-9a-f]{32}(?:\.dir)?(?![0-9a-f])")
_HEAD = b"schema: '2.0'\nstages:\n"
_WORD = re.compile(rb"outs")
_SECTION = re.compile(
    rb"^    outs:\n((?:    - path: .*\n(?:      [a-z0-9]+: .*\n)+)+)(?=\Z|  [^ ]|    [^ -])",
    re.MULTILINE,
)
_ITEM = re.compile(
    rb"    - path: ([A-Za-z0-9_][A-Za-z0-9._/-]*)\n      hash: md5\n"
    rb"      md5: ([0-9a-f]{32}(?:\.dir)?)\n      size: (\d+)\n"
    rb"(?:      nfiles: \d+\n)?(?:      isexec: true\n)?"
)
_UNUSUAL = re.compile(rb"^ *(?:- )?(?:[^\s:]+: )?[*&<]|^    [\"'?{\[]", re.MULTILINE)
_POINTER_KEYS = frozenset(
    {"outs", "deps", "wdir", "md5", "frozen", "locked", "always_changed", "meta", "desc", "cmd",
     "params", "live", "metrics", "plots"}
)  # fmt: skip


class Named(NamedTuple):
    """An object as a file names it.

    Attributes:
        is_stored: whether DVC keeps it below `files/md5` on the remotes.
        is_old: it was written by a DVC before 3, which keeps it elsewhere.
        is_imported: it comes from another repository, on whose DVC remotes it lies.
    """

    oid: Oid
    path: str
    size_bytes: int | None = None
    remote: str | None = None
    is_stored: bool = True
    is_old: bool = False
    is_imported: bool = False


def named(data: bytes, path: str) -> tuple[Named, ...]:
    """Return every object that the outs of a file at `path` name.

    Raises: ConfigError: it is neither a pointer nor a lock file of any DVC.
    """
    folder = posixpath.dirname(path)
    if is_pointer(path):
        return tuple(_pointer(data, path, folder))
    found = _canonical_lock(data, folder)
    return found if found is not None else tuple(_lock(data, path, folder))


def named_in_run(data: bytes, where: str) -> tuple[Named, ...]:
    """Return every object that an entry of DVC's run-cache names.

    Raises: ConfigError: it is no such entry.
    """
    body = load_mapping(data, where)
    if "outs" not in body or "cmd" not in body:
        raise ConfigError(f"'{where}' is no entry of a run-cache")
    return tuple(_outs(body.get("outs"), where, ""))


def ids_in_text(data: bytes) -> tuple[Oid, ...]:
    """Return whatever looks like an object's id, for files that can't be read otherwise."""
    return tuple(Oid(text.decode()) for text in sorted(set(_ANY_OID.findall(data))))


def _pointer(data: bytes, path: str, folder: str) -> Iterator[Named]:
    plain = plain_out(data, path)
    if plain is not None:
        yield Named(plain.oid, plain.path, plain.size_bytes, plain.remote)
        return
    document = load_mapping(data, path, aliases=True)
    unknown = document.keys() - _POINTER_KEYS
    if unknown or not document.keys() & {"outs", "deps", "cmd"}:
        what = f"key '{min(unknown)}' is not DVC's" if unknown else "it has no outs"
        raise ConfigError(f"'{path}' is no pointer: {what}")
    base = posixpath.join(folder, str(document.get("wdir", ".")))
    deps = document.get("deps")
    is_import = isinstance(deps, list) and any("repo" in dep for dep in deps if dep)
    for one in _outs(document.get("outs"), path, base):
        # `dvc push` leaves out what comes from another repository.
        yield one._replace(is_stored=False, is_imported=True) if is_import else one


def _canonical_lock(data: bytes, folder: str) -> tuple[Named, ...] | None:
    """The outs of a lock as DVC 3 writes it, or None: the slow way has to decide."""
    if not data.startswith(_HEAD) or _UNUSUAL.search(data):
        return None
    sections = _SECTION.findall(data)
    if len(sections) != len(_WORD.findall(data)):
        return None
    found: list[Named] = []
    for section in sections:
        position = 0
        while position < len(section):
            match = _ITEM.match(section, position)
            if match is None:
                return None
            path, oid, size = (part.decode() for part in match.groups())
            found.append(Named(Oid(oid), posixpath.join(folder, path), int(size)))
            position = match.end()
    return tuple(found)


def _lock(data: bytes, path: str, folder: str) -> Iterator[Named]:
    document = load_mapping(data, path, aliases=True)
    is_first = "schema" not in document  # DVC 1 had the stages at the top
    stages = document if is_first else document.get("stages")
    stages = {} if stages is None else stages
    if not isinstance(stages, dict):
        raise ConfigError(f"'{path}': 'stages' has to be a mapping")
    for name, body in stages.items():
        if not isinstance(body, dict) or (is_first and "cmd" not in body):
            raise ConfigError(f"'{path}': stage '{name}' is none of DVC's")
        yield from _outs(body.get("outs"), path, folder)


def _outs(outs: Any, path: str, base: str) -> Iterator[Named]:
    if outs is not None and not isinstance(outs, list):
        raise ConfigError(f"'{path}': 'outs' has to be a list")
    for out in outs or []:
        if not isinstance(out, dict):
            raise ConfigError(f"'{path}': an out has to be a mapping")
        yield from _out(out, path, base)


def _out(out: Mapping[str, Any], path: str, base: str) -> Iterator[Named]:
    where = posixpath.normpath(posixpath.join(base, str(out.get("path", ""))))
    remote = str(out["remote"]) if out.get("remote") else None
    size = out.get("size") if isinstance(out.get("size"), int) else None
    is_old = out.get("hash") != "md5"
    is_stored = not (is_old or _is_off(out, "cache") or _is_off(out, "push"))
    if out.get("md5"):
        yield Named(_oid(out["md5"], path), where, size, remote, is_stored, is_old)
    files = out.get("files") or []  # of remotes with versions: DVC keeps these by their own names
    if not isinstance(files, list):
        raise ConfigError(f"'{path}': 'files' of an out has to be a list")
    for file in files:
        if not isinstance(file, dict):
            raise ConfigError(f"'{path}': a file of an out has to be a mapping")
        if file.get("md5"):
            below = posixpath.join(where, str(file.get("relpath", "")))
            yield Named(_oid(file["md5"], path), below, None, remote, is_stored=False)


def _is_off(out: Mapping[str, Any], key: str) -> bool:
    return out.get(key, True) is False


def _oid(value: Any, path: str) -> Oid:
    text = str(value)
    if not _OID.fullmatch(text):
        raise ConfigError(f"'{path}': '{text[:60]}' is not an id of DVC's")
    return Oid(text)


def is_naming(path: str) -> bool:
    """Whether a file at `path` names objects."""
    return is_pointer(path) or path.rpartition("/")[2] == LOCK_FILE
