"""Reads YAML that may be hostile into plain values: bounded, and as DVC reads it (YAML 1.2).

JSON and TOML where DVC takes them for params and metrics.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Hashable, Iterable, Mapping
from typing import Any

from dvc_branchflow.errors import ConfigError
from dvc_branchflow.simpleyaml import FLOAT, INT, read_simple

MAX_YAML_BYTES = 16 * 1024 * 1024
MAX_DEPTH = 100
MAX_NODES = 1_000_000
_IN_LINE = {None, "", "'", '"'}  # plain ones of Python's and of libyaml's parser, and quoted ones
# libyaml's composer recurses: thousands of brackets end the process, not the call.
_MAYBE_DEEP = re.compile(rb"(?:[-?:][ \t]+){50}|^ {150}", re.MULTILINE)
_MAYBE_ALIAS = re.compile(rb"(?:^|[\s\[{,:-])[*&][^\s]", re.MULTILINE)
_SCALARS = (
    ("tag:yaml.org,2002:bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("tag:yaml.org,2002:null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("tag:yaml.org,2002:int", INT, "-+0123456789"),
    (
        "tag:yaml.org,2002:float",
        rf"{FLOAT}|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)",
        "-+0123456789.",
    ),
)


def load_yaml(data: bytes, name: str, *, aliases: bool = False) -> Any:
    """Return the plain values in a YAML document.

    Args:
        data: the file's bytes, UTF-8.
        name: what to call it in an error.
        aliases: whether aliases may stand in it; what they expand to is bounded then.
    Raises: ConfigError: too large or deep, not UTF-8, not YAML, an alias, or a key twice.
    """
    if len(data) > MAX_YAML_BYTES:
        raise ConfigError(f"'{name}' is too large: {len(data)} bytes of YAML")
    simple = read_simple(data)
    return _load(data, name, aliases=aliases) if simple is None else simple


def _load(data: bytes, name: str, *, aliases: bool) -> Any:
    import yaml

    try:
        if _is_suspect(data):
            _refuse_traps(data, name, aliases=aliases)
        return yaml.load(data, Loader=_loader())  # noqa: S506  a safe loader, made stricter
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())
        if "nesting depth" in reason:  # libyaml's own bound, in newer ones lower than ours
            raise ConfigError(f"'{name}' is nested too deeply") from error
        raise ConfigError(f"'{name}' is not valid YAML: {reason[:200]}") from error
    except (ValueError, TypeError, RecursionError) as error:
        raise ConfigError(f"'{name}' is not valid YAML: {error}") from error


def load_mapping(data: bytes, name: str, *, aliases: bool = False) -> dict[str, Any]:
    """Like `load_yaml`, for a document that has to be a mapping with text keys (or empty)."""
    value = load_yaml(data, name, aliases=aliases)
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise ConfigError(f"'{name}' has to be a mapping with text keys")
    return value


def load_values(data: bytes, path: str) -> Any:
    """Return the plain values in a file of params or metrics: JSON, TOML or else YAML, by its name.

    Raises: ConfigError: too large or deep, or not what its name says.
    """
    suffix = path.rpartition("/")[2].rpartition(".")[2].lower()
    if suffix not in {"json", "toml"}:
        return load_yaml(data, path, aliases=True)
    if len(data) > MAX_YAML_BYTES:
        raise ConfigError(f"'{path}' is too large: {len(data)} bytes")
    try:
        if suffix == "json":
            return json.loads(data)
        import tomllib  # 10 ms that hardly anybody needs

        return tomllib.loads(data.decode())
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"'{path}' is not valid {suffix.upper()}: {reason[:200]}") from error


def with_values(data: bytes, path: str, values: Mapping[str, object]) -> bytes | None:
    """Return a YAML or JSON file with other values, all else as it is written, comments too.

    Args:
        data: a file that `load_values` takes.
        values: dotted name → the new one. Only single values and lists in brackets can be changed.
    Returns: None where a name is not there, or its value can't be changed alone. Whether the file
        then says what it should is for the caller to see.
    """
    import yaml

    try:
        text = data.decode()
    except UnicodeDecodeError:  # YAML may be UTF-16
        return None
    nodes = {} if path.endswith(".toml") else _nodes(text)
    edits: list[tuple[int, int, str]] = []
    for name, value in values.items():
        node: Any = nodes.get(name)
        is_single = isinstance(node, yaml.ScalarNode) and node.style in _IN_LINE
        if not (is_single or (isinstance(node, yaml.SequenceNode) and node.flow_style)):
            return None
        edits.append((node.start_mark.index, node.end_mark.index, _in_line(value, path)))
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    return text.encode()


def _nodes(text: str) -> dict[str, Any]:
    """The nodes in mappings by dotted name, each with its place in the text."""
    import yaml

    try:
        _refuse_traps(text.encode(), "", aliases=True)
        root = yaml.compose(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (ConfigError, yaml.YAMLError):  # JSON need not be YAML: its escapes are others
        return {}
    found: dict[str, Any] = {}
    waiting = [("", root)]
    while waiting:
        start, node = waiting.pop()
        for key, value in node.value if isinstance(node, yaml.MappingNode) else ():
            found[f"{start}{key.value}"] = value
            waiting.append((f"{start}{key.value}.", value))
    return found


def _in_line(value: object, path: str) -> str:
    """A value as it stands on a line of a YAML or JSON file."""
    import yaml

    as_json = json.dumps(value, ensure_ascii=False)
    if path.endswith(".json"):
        return as_json
    plain = str(yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=math.inf))
    plain = plain.removesuffix("...\n").removesuffix("\n")
    try:
        read = load_yaml(f"[{plain}]".encode(), path)  # it may come to stand in brackets
    except ConfigError:
        return as_json
    return plain if repr(read) == repr([value]) else as_json


def dump_yaml(value: object) -> bytes:
    """Return `value` as YAML in the order given, one entry a line."""
    import yaml

    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    text = yaml.dump(
        value, Dumper=dumper, sort_keys=False, allow_unicode=True, default_flow_style=False
    )
    return str(text).encode()


def nearest(word: str, words: Iterable[str]) -> str:
    """Return what to say to somebody who mistyped a word; nothing where none is near."""
    import difflib

    near = difflib.get_close_matches(word, words, n=1, cutoff=0.5)
    return f"; did you mean '{near[0]}'?" if near else ""


def _is_suspect(data: bytes) -> bool:
    brackets = data.count(b"[") + data.count(b"{")
    return brackets > MAX_DEPTH or bool(_MAYBE_DEEP.search(data) or _MAYBE_ALIAS.search(data))


def _refuse_traps(data: bytes, name: str, *, aliases: bool) -> None:
    """Refuse what is deeper or, with its aliases written out, larger than any file of ours."""
    import yaml

    open_nodes: list[list[Any]] = [[None, 0]]  # anchor and size of each collection around us
    sizes: dict[str, int] = {}
    for event in yaml.parse(data, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
        if isinstance(event, yaml.AliasEvent):
            if not aliases:
                raise ConfigError(f"'{name}' uses a YAML alias, which is not allowed here")
            if event.anchor not in sizes:
                raise ConfigError(f"'{name}' has an alias that holds itself")
            open_nodes[-1][1] += sizes[event.anchor]
        elif isinstance(event, yaml.ScalarEvent):
            open_nodes[-1][1] += 1
            sizes |= {event.anchor: 1} if event.anchor else {}
        elif isinstance(event, yaml.CollectionStartEvent):
            open_nodes.append([event.anchor, 1])
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, size = open_nodes.pop()
            open_nodes[-1][1] += size
            sizes |= {anchor: size} if anchor else {}
        if len(open_nodes) > MAX_DEPTH:
            raise ConfigError(f"'{name}' is nested too deeply")
        if open_nodes[-1][1] > MAX_NODES:
            raise ConfigError(f"'{name}' is too large with its aliases written out")


_LOADER: list[type] = []


def _loader() -> Any:
    if not _LOADER:
        _LOADER.append(_make_loader())
    return _LOADER[0]


def _make_loader() -> type:
    import yaml

    base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

    class StrictLoader(base):  # type: ignore[misc]
        def construct_mapping(self, node: Any, deep: bool = False) -> dict[Hashable, Any]:  # noqa: FBT001, FBT002
            seen: set[str] = set()
            for key, _ in node.value:
                if not isinstance(key.value, str):
                    continue
                if key.value in seen:
                    raise yaml.constructor.ConstructorError(
                        None, None, f"key '{key.value}' stands twice", key.start_mark
                    )
                seen.add(key.value)
            mapping: dict[Hashable, Any] = super().construct_mapping(node, deep=deep)
            return mapping

        def construct_yaml_int(self, node: Any) -> int:
            return int(self.construct_scalar(node), 10)

        def construct_yaml_float(self, node: Any) -> float:
            return float(
                str(self.construct_scalar(node)).replace(".inf", "inf").replace(".nan", "nan")
            )

    StrictLoader.add_constructor("tag:yaml.org,2002:int", StrictLoader.construct_yaml_int)
    StrictLoader.add_constructor("tag:yaml.org,2002:float", StrictLoader.construct_yaml_float)
    StrictLoader.yaml_implicit_resolvers = {}
    for tag, pattern, first in _SCALARS:
        whole = re.compile(rf"^(?:{pattern})$")
        StrictLoader.add_implicit_resolver(tag, whole, list(first))
    StrictLoader.add_implicit_resolver("tag:yaml.org,2002:merge", re.compile(r"^<<$"), ["<"])
    return StrictLoader
