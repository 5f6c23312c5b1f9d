"""Reads and writes DVC's metadata files (`.dvc`, `dvc.lock`, `dvc.yaml`) without importing DVC."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from dvc_branchflow.errors import ConfigError
from dvc_branchflow.lazy import hashlib
from dvc_branchflow.model import (
    LOCK_FILE,
    PINS_FILE,
    PIPELINE_FILE,
    POINTER_SUFFIX,
    Branch,
    Import,
    LockedStage,
    Oid,
    Out,
    Pins,
    Sample,
    parse_oid,
    parse_path,
    parse_repository,
    parse_sha,
)
from dvc_branchflow.plain import dump_yaml, load_mapping
from dvc_branchflow.values import dataclass, field, replace

# What DVC and we write for an out without further options; anything else goes through YAML.
_CANONICAL = re.compile(
    rb"outs:\n- md5: ([0-9a-f]{32}(?:\.dir)?)\n  size: (\d+)\n(?:  nfiles: (\d+)\n)?"
    rb"  hash: md5\n  path: ([A-Za-z0-9_][A-Za-z0-9._-]*)\n"
    rb"(?:  remote: ([A-Za-z][A-Za-z0-9_-]*)\n)?"
)
_TEMPLATE = re.compile(r"\$\{[^}]*\}")
_NUMERIC = re.compile(r"[0-9._eE+-]+|true|false|yes|no|on|off|null|y|n", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class PathPattern:
    """A path in `dvc.yaml` with its `${…}` left open: `parts` are the texts between them.

    Matching is linear, whatever a hostile pipeline writes.
    """

    parts: tuple[str, ...]

    @classmethod
    def of(cls, path: str) -> PathPattern:
        """Return the pattern of a path as it stands in `dvc.yaml`."""
        return cls(tuple(_TEMPLATE.split(path)))

    def matches(self, path: str) -> bool:
        """Whether the pattern could become this path."""
        head, *middle = self.parts
        if not middle:
            return path == head
        tail = middle.pop()
        end = len(path) - len(tail)
        if end < len(head) or not (path.startswith(head) and path.endswith(tail)):
            return False
        position = len(head)
        for part in middle:
            position = path.find(part, position, end)
            if position < 0:
                return False
            position += len(part)
        return True


@dataclass(frozen=True, slots=True)
class OutOptions:
    """What `dvc.yaml` says of the outs whose paths `pattern` covers."""

    pattern: PathPattern
    remote: str | None = None
    is_cached: bool = True
    is_pushed: bool = True
    is_metric: bool = False


@dataclass(frozen=True, slots=True)
class StageDef:
    """A stage as `dvc.yaml` declares it; `deps` are literal paths or patterns over them.

    `side` is the side of a split that the stage says it evaluates on: `meta: {side: test}`. DVC
    doesn't run a stage that `is_frozen`.
    """

    name: str
    deps: tuple[PathPattern, ...]
    literal_deps: tuple[str, ...]
    outs: tuple[OutOptions, ...]
    side: str | None = None
    is_frozen: bool = False

    def needs(self, path: str) -> bool:
        """Whether the stage could depend on a path, or on a folder above it."""
        is_below = any(path.startswith(f"{dep}/") for dep in self.literal_deps)
        return is_below or any(pattern.matches(path) for pattern in self.deps)


@dataclass(frozen=True, slots=True)
class Artifact:
    """A model or other artifact that `dvc.yaml` declares under its name, as GTO and Studio read it.

    `meta` holds the plain texts among what stands there.
    """

    path: str
    desc: str = ""
    labels: tuple[str, ...] = ()
    meta: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Pipeline:
    """The parts of a `dvc.yaml` that we read: stages, the models it declares, its param files.

    `metrics` are the files and folders that it calls so beside its stages' own.
    """

    stages: Mapping[str, StageDef] = field(default_factory=dict)
    artifacts: Mapping[str, Artifact] = field(default_factory=dict)
    param_files: frozenset[str] = frozenset()
    metrics: tuple[str, ...] = ()

    def options_for(self, path: str) -> OutOptions | None:
        """Return what the pipeline says of the out at `path`, None where it declares none."""
        for stage in self.stages.values():
            for options in stage.outs:
                if options.pattern.matches(path):
                    return options
        return None


def is_pointer(path: str) -> bool:
    """Whether a path of a tree is a `.dvc` file."""
    name = path.rpartition("/")[2]
    return name.endswith(POINTER_SUFFIX) and name != POINTER_SUFFIX


def pointer_path(out_path: str) -> str:
    """Return where the pointer of an out lies."""
    return out_path + POINTER_SUFFIX


def parse_pointer(data: bytes, path: str) -> tuple[Out, ...]:
    """Return the outs of a `.dvc` file that lies at `path`.

    Raises: ConfigError: not what DVC writes, an id that is none, or a path that leads outside.
    """
    plain = plain_out(data, path)
    if plain is not None:
        return (plain,)
    folder = path.rpartition("/")[0]
    document = load_mapping(data, path)
    base = _join(folder, str(document.get("wdir", ".")), path)
    outs = document.get("outs", [])
    if not isinstance(outs, list):
        raise ConfigError(f"'{path}': 'outs' has to be a list")
    found = (_out(item, base, path) for item in outs if _is_committed(item, path))
    repo = _repo(document, path)
    return tuple(replace(out, repo=repo) for out in found) if repo else tuple(found)


def plain_out(data: bytes, path: str) -> Out | None:
    """Return the only out of a `.dvc` file as DVC and we write it; None: it says more, or less."""
    match = _CANONICAL.fullmatch(data)
    if match is None:
        return None
    folder = path.rpartition("/")[0]
    md5, size, nfiles, name, remote = (part.decode() if part else None for part in match.groups())
    return Out(
        path=f"{folder}/{name}" if folder else str(name),
        oid=Oid(str(md5)),
        size_bytes=int(size or 0),
        nfiles=int(nfiles) if nfiles else None,
        remote=remote,
    )


def render_pointer(out: Out) -> bytes:
    """Return the `.dvc` file of an out, byte for byte as `dvc add` writes it."""
    lines = ["outs:", f"- md5: {out.oid}"]
    if out.size_bytes is not None:
        lines.append(f"  size: {out.size_bytes}")
    if out.nfiles is not None:
        lines.append(f"  nfiles: {out.nfiles}")
    if out.is_exec:
        lines.append("  isexec: true")
    lines += ["  hash: md5", f"  path: {_scalar(out.path.rpartition('/')[2])}"]
    if out.remote:
        lines.append(f"  remote: {out.remote}")
    return ("\n".join(lines) + "\n").encode()


def render_import(out: Out, source: Import) -> bytes:
    """Return the `.dvc` file of an out of another repository: what `dvc import` writes."""
    repo = {"url": source.repo, "rev": source.rev, "rev_lock": source.rev_lock}
    deps = [{"path": source.path, "repo": repo}]
    counts = {"size": out.size_bytes, "nfiles": out.nfiles}
    content = {"hash": "md5", "path": out.path.rpartition("/")[2]}
    # DVC tells by a digest over all but sizes whether somebody has changed the file.
    said = {"deps": deps, "outs": [{"md5": out.oid, **content}]}
    digest = hashlib.md5(json.dumps(said, sort_keys=True).encode(), usedforsecurity=False)
    sizes = {key: count for key, count in counts.items() if count is not None}
    outs = [{"md5": out.oid, **sizes, **content}]
    document = {"md5": digest.hexdigest(), "frozen": True, "deps": deps, "outs": outs}
    return _with_quoted_numbers(dump_yaml(document))


def parse_import(data: bytes, path: str) -> Import | None:
    """Return what the `.dvc` file at `path` imports from another repository, None if nothing."""
    deps = load_mapping(data, path).get("deps")
    dep = deps[0] if isinstance(deps, list) and deps and isinstance(deps[0], dict) else {}
    repo = dep.get("repo")
    if not isinstance(repo, dict) or not {"url", "rev", "rev_lock"} <= repo.keys():
        return None
    rev, lock = Branch(str(repo["rev"])), parse_sha(str(repo["rev_lock"]))
    return Import(parse_repository(str(repo["url"])), str(dep.get("path", "")), rev, lock)


def with_outs(data: bytes, path: str, changes: Mapping[Oid, Out | None]) -> bytes | None:
    """Return a `.dvc` file or `dvc.lock` whose outs hold other objects, as DVC writes it.

    Args:
        changes: object → what to hold instead, by oid, size and number of files; None: nothing.
    Returns: None where a `.dvc` file has no outs left.
    """
    document = load_mapping(data, path)
    if is_pointer(path):
        document["outs"] = _changed_outs(document.get("outs") or [], changes)
        return dump_yaml(document) if document["outs"] else None
    for body in (document.get("stages") or {}).values():
        if body.get("outs"):
            body["outs"] = _changed_outs(body["outs"], changes)
            if not body["outs"]:
                del body["outs"]
    return dump_yaml(document)


def _changed_outs(
    items: list[dict[str, Any]], changes: Mapping[Oid, Out | None]
) -> list[dict[str, Any]]:
    kept: list[dict[str, Any]] = []
    for item in items:
        old = Oid(str(item.get("md5")))
        new = changes.get(old)
        if old not in changes:
            kept.append(item)
        elif new is not None:
            values = {"md5": new.oid, "size": new.size_bytes, "nfiles": new.nfiles}
            changed = {key: values.get(key, value) for key, value in item.items()}
            kept.append({key: value for key, value in changed.items() if value is not None})
    return kept


def parse_lock(data: bytes, folder: str = "") -> tuple[LockedStage, ...]:
    """Return the stages of a `dvc.lock` that lies in `folder`, with paths from the root.

    Raises: ConfigError: not what DVC writes, or a path that leads outside.
    """
    document = load_mapping(data, LOCK_FILE)
    stages = document.get("stages") or {}
    if not isinstance(stages, dict):
        raise ConfigError(f"'{LOCK_FILE}': 'stages' has to be a mapping")
    return tuple(_locked_stage(str(name), body, folder) for name, body in stages.items())


def parse_pipeline(data: bytes, folder: str = "") -> Pipeline:
    """Return what we need to know of a `dvc.yaml` that lies in `folder`.

    Raises: ConfigError: not what DVC reads.
    """
    document = load_mapping(data, PIPELINE_FILE, aliases=True)
    stages = document.get("stages") or {}
    artifacts = document.get("artifacts") or {}
    if not isinstance(stages, dict) or not isinstance(artifacts, dict):
        raise ConfigError(f"'{PIPELINE_FILE}': 'stages' and 'artifacts' have to be mappings")
    return Pipeline(
        stages={str(name): _stage_def(str(name), body, folder) for name, body in stages.items()},
        artifacts={
            str(name): _artifact(body)
            for name, body in artifacts.items()
            if isinstance(body, dict) and "path" in body
        },
        param_files=frozenset(_param_files(document, folder)),
        metrics=tuple(_under(folder, str(one)) for one in _list(document, "metrics", "metrics")),
    )


def parse_pins(data: bytes) -> Pins:
    """Return the pins that a `pins.yaml` records. Raises: ConfigError: not what we write."""
    document = load_mapping(data, PINS_FILE)
    raw_samples = document.pop("sample", None) or {}
    if not isinstance(raw_samples, dict):
        raise ConfigError(f"'{PINS_FILE}': 'sample' has to be a mapping")
    samples: dict[Branch, Sample] = {}
    for name, body in raw_samples.items():
        fraction = body.get("fraction") if isinstance(body, dict) else None
        if not isinstance(fraction, int | float) or not 0 < fraction <= 1:  # nor NaN
            raise ConfigError(f"'{PINS_FILE}': 'sample.{name}' has no fraction from 0 to 1")
        samples[Branch(str(name))] = Sample(float(fraction), str(body.get("key", "")))
    commits = {Branch(name): parse_sha(str(sha)) for name, sha in document.items()}
    return Pins(commits=commits, samples=samples)


def render_pins(pins: Pins) -> bytes:
    """Return the `pins.yaml` of some pins: `branch: sha` lines, samples below them."""
    document: dict[str, Any] = dict(sorted(pins.commits.items()))
    if pins.samples:
        document["sample"] = {
            name: {"fraction": sample.fraction, "key": sample.key}
            for name, sample in sorted(pins.samples.items())
        }
    return _with_quoted_numbers(dump_yaml(document)) if document else b"{}\n"


def _with_quoted_numbers(rendered: bytes) -> bytes:
    """A sha with one `e`, or of digits alone, is a number to YAML 1.2; such a one needs quotes."""
    return re.sub(rb"^(.+: )(\d{20,}|\d+e\d+)$", rb"\1'\2'", rendered, flags=re.MULTILINE)


def render_partitions(partitions: Mapping[str, Iterable[str]]) -> bytes:
    """Return the `partitions.yaml` that a pipeline's matrix runs over."""
    listed = {key: sorted(names) for key, names in sorted(partitions.items())}
    return b"# Written with each pin; dvc.yaml runs its matrix over it.\n" + dump_yaml(
        {"partitions": listed}
    )


def _repo(document: Mapping[str, Any], path: str) -> str | None:
    deps = document.get("deps")
    for dep in deps if isinstance(deps, list) else []:
        if isinstance(dep, dict) and isinstance(dep.get("repo"), dict):
            try:
                return parse_repository(str(dep["repo"].get("url", "")))
            except ConfigError as error:
                raise ConfigError(f"'{path}': {error.message}") from error
    return None


def _is_committed(item: Any, path: str) -> bool:
    if not isinstance(item, dict):
        raise ConfigError(f"'{path}': an out has to be a mapping")
    return "md5" in item


def _out(item: Mapping[str, Any], base: str, path: str) -> Out:
    if item.get("hash", None) != "md5":
        raise ConfigError(
            f"'{path}' was written by DVC 2, whose hashes differ",
            hint="dvc cache migrate --dvc-files",
        )
    remote = item.get("remote")
    return Out(
        path=_join(base, str(item.get("path", "")), path),
        oid=parse_oid(str(item["md5"])),
        size_bytes=_count(item, "size", path),
        nfiles=_count(item, "nfiles", path),
        remote=str(remote) if remote else None,
        is_exec=bool(item.get("isexec")),
    )


def _count(item: Mapping[str, Any], key: str, path: str) -> int | None:
    value = item.get(key)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise ConfigError(f"'{path}': '{key}' has to be a whole number")
    return value


def _join(folder: str, name: str, source: str) -> str:
    parts = [part for part in folder.split("/") if part]
    for part in name.split("/"):
        if part == ".." and parts:
            parts.pop()
        elif part == ".." or name.startswith("/"):
            raise ConfigError(f"'{source}': path {name[:80]!r} leads outside of the repository")
        elif part not in {"", "."}:
            parts.append(part)
    joined = "/".join(parts)
    return parse_path(joined) if joined else ""


def _locked_stage(name: str, body: Any, folder: str) -> LockedStage:
    if not isinstance(body, dict):
        raise ConfigError(f"'{LOCK_FILE}': stage '{name}' has to be a mapping")
    deps = {
        _under(folder, str(item.get("path", ""))): _dep_oid(item)
        for item in _items(body, "deps", name)
    }
    outs = {}
    for item in _items(body, "outs", name):
        if "md5" in item:
            out = _out(item, folder, LOCK_FILE)
            outs[out.path] = out
    params = body.get("params") or {}
    if not isinstance(params, dict) or not all(isinstance(v, dict) for v in params.values()):
        raise ConfigError(f"'{LOCK_FILE}': params of stage '{name}' have to be mappings")
    return LockedStage(name=name, deps=deps, params=params, outs=outs)


def _items(body: Mapping[str, Any], key: str, stage: str) -> list[dict[str, Any]]:
    items = body.get(key) or []
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise ConfigError(f"'{LOCK_FILE}': '{key}' of stage '{stage}' has to be a list of mappings")
    return items


def _dep_oid(item: Mapping[str, Any]) -> Oid | None:
    value = item.get("md5")
    return parse_oid(str(value)) if value else None


def _stage_def(name: str, body: Any, folder: str) -> StageDef:
    if not isinstance(body, dict):
        raise ConfigError(f"'{PIPELINE_FILE}': stage '{name}' has to be a mapping")
    inner = body.get("do", body)  # foreach … do
    if not isinstance(inner, dict):
        raise ConfigError(f"'{PIPELINE_FILE}': stage '{name}' has to be a mapping")
    wdir = _own_path(folder, str(inner.get("wdir", ".")))
    deps = [_under(wdir, str(item)) for item in _list(inner, "deps", name)]
    outs = [
        replace(_out_options(wdir, item), is_metric=key == "metrics")
        for key in ("outs", "metrics", "plots")
        for item in _list(inner, key, name)
    ]
    return StageDef(
        name=name,
        deps=tuple(PathPattern.of(dep) for dep in deps),
        literal_deps=tuple(dep for dep in deps if "${" not in dep),
        outs=tuple(outs),
        side=_side(inner),
        is_frozen=inner.get("frozen") is True,
    )


def _artifact(body: Mapping[str, Any]) -> Artifact:
    desc, labels, meta = (body.get(key) for key in ("desc", "labels", "meta"))
    return Artifact(
        path=str(body["path"]),
        desc=desc if isinstance(desc, str) else "",
        labels=tuple(map(str, labels)) if isinstance(labels, list) else (),
        meta={str(k): v for k, v in meta.items() if isinstance(v, str)}
        if isinstance(meta, dict)
        else {},
    )


def _side(body: Mapping[str, Any]) -> str | None:
    meta = body.get("meta")
    side = meta.get("side") if isinstance(meta, dict) else None
    return str(side) if side else None


def _param_files(document: Mapping[str, Any], folder: str) -> Iterator[str]:
    """The files that stages read params from; `params.yaml` is one always."""
    yield _under(folder, "params.yaml")
    listed = list(_list(document, "params", "params"))
    for body in (document.get("stages") or {}).values():
        inner = body.get("do", body) if isinstance(body, dict) else {}
        params = inner.get("params") if isinstance(inner, dict) else None
        listed += [item for item in params or [] if isinstance(item, dict)]
    for item in listed:
        names = item if isinstance(item, dict) else [item]
        yield from (_under(folder, str(name)) for name in names)


def _list(body: Mapping[str, Any], key: str, stage: str) -> list[Any]:
    value = body.get(key) or []
    if not isinstance(value, list):
        raise ConfigError(f"'{PIPELINE_FILE}': '{key}' of stage '{stage}' has to be a list")
    return value


def _out_options(wdir: str, item: Any) -> OutOptions:
    if isinstance(item, dict) and len(item) == 1:
        path, options = next(iter(item.items()))
        options = options if isinstance(options, dict) else {}
        remote = options.get("remote")
        return OutOptions(
            pattern=PathPattern.of(_own_path(wdir, str(path))),
            remote=str(remote) if remote else None,
            is_cached=options.get("cache", True) is not False,
            is_pushed=options.get("push", True) is not False,
        )
    return OutOptions(pattern=PathPattern.of(_own_path(wdir, str(item))))


def _own_path(wdir: str, path: str) -> str:
    """The path of a working folder or an out, which has to lie in the repository."""
    joined = _under(wdir, path)
    if joined.startswith(("/", "~")) or "://" in joined or ".." in joined.split("/"):
        raise ConfigError(f"'{PIPELINE_FILE}': path {path[:80]!r} leads outside of the repository")
    return joined


def _under(wdir: str, path: str) -> str:
    if "${" in path or "${" in wdir:
        return path if wdir in {".", ""} else f"{wdir}/{path}"
    try:
        return _join(wdir, path, PIPELINE_FILE)
    except ConfigError:
        return path  # an external dep; not ours to follow


def _scalar(name: str) -> str:
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9._-]*", name) and not _NUMERIC.fullmatch(name):
        return name
    if re.fullmatch(r"\d+[eEox][0-9a-fA-F]+", name):  # numbers to YAML 1.2 (DVC), not to 1.1
        return f"'{name}'"
    rendered = dump_yaml({"path": name}).decode().rstrip("\n")
    return rendered.removeprefix("path: ")
