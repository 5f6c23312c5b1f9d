"""Values of ours as JSON, and back from JSON that may be hostile, by their declared types."""

from __future__ import annotations

import json
import math
import types
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from dvc_branchflow.errors import ConfigError
from dvc_branchflow.values import fields, is_dataclass

_T = TypeVar("_T")
_MAX_BYTES = 16 * 1024 * 1024


def encode(value: object) -> bytes:
    """Return a value of ours as JSON, the same bytes always; numbers that JSON lacks are null."""
    return (json.dumps(_plain(value), indent=1, sort_keys=True, ensure_ascii=False) + "\n").encode()


def decode(kind: type[_T], content: bytes, where: str) -> _T:
    """Return the value in a JSON document.

    Args:
        kind: a dataclass whose fields are plain values, sequences, mappings and dataclasses.
        where: what to call the document in an error.
    Raises: ConfigError: it is no JSON, or not of these types; unknown keys are passed over.
    """
    if len(content) > _MAX_BYTES:
        raise ConfigError(f"'{where}' is too large: {len(content)} bytes of JSON")
    try:
        found: _T = _typed(kind, json.loads(content), "")
    except (ValueError, TypeError, RecursionError) as error:
        raise ConfigError(f"'{where}' can't be read: {error}") from error
    return found


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {item.name: _plain(getattr(value, item.name)) for item in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _typed(kind: Any, value: Any, at: str) -> Any:
    origin, args = get_origin(kind), get_args(kind)
    if origin is Literal:
        if value not in args:
            raise ValueError(f"{at or 'it'} is {str(value)[:40]!r}")
        return value
    if origin in {Union, types.UnionType}:
        return _one_of(args, value, at)
    if origin in {tuple, Sequence, list} or (origin and issubclass(origin, Sequence)):
        return _listed(args[0], value, at)
    if origin and issubclass(origin, Mapping):
        if not isinstance(value, dict):
            raise TypeError(f"{at} is no mapping")
        return {key: _typed(args[1], item, f"{at}.{key[:40]}") for key, item in value.items()}
    return _made(kind, value, at) if is_dataclass(kind) else _scalar(kind, value, at)


def _scalar(kind: Any, value: Any, at: str) -> Any:
    if kind is float and value is None:
        return math.nan
    allowed = (int, float) if kind is float else kind
    if not isinstance(value, allowed) or (isinstance(value, bool) and kind is not bool):
        raise TypeError(f"{at or 'it'} is of the wrong type")
    return float(value) if kind is float else value


def _one_of(kinds: tuple[Any, ...], value: Any, at: str) -> Any:
    if value is None and types.NoneType in kinds:
        return None
    kinds = tuple(kind for kind in kinds if kind is not types.NoneType)
    for kind in kinds[:-1]:
        try:
            return _typed(kind, value, at)
        except (ValueError, TypeError):
            continue
    return _typed(kinds[-1], value, at)


def _listed(kind: Any, value: Any, at: str) -> tuple[Any, ...]:
    if not isinstance(value, list):
        raise TypeError(f"{at} is no list")
    return tuple(_typed(kind, item, f"{at}[{n}]") for n, item in enumerate(value))


def _made(kind: Any, value: Any, at: str) -> Any:
    if not isinstance(value, dict):
        raise TypeError(f"{at or 'it'} is no mapping")
    from dataclasses import MISSING  # noqa: TID251  6 ms that few commands need

    hints = get_type_hints(kind)
    found = {}
    for item in fields(kind):
        if item.name in value:
            found[item.name] = _typed(hints[item.name], value[item.name], f"{at}.{item.name}")
        elif item.default is MISSING and item.default_factory is MISSING:
            raise ValueError(f"{at}.{item.name} is missing")
    return kind(**found)
