"""What `watch` under a monitor branch may say: what is private, what is too much, whom to tell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from dvc_branchflow.drift.thresholds import Thresholds
from dvc_branchflow.errors import ConfigError
from dvc_branchflow.model import whole_repository
from dvc_branchflow.plain import nearest
from dvc_branchflow.values import dataclass, field, replace
from dvc_branchflow.watch.windows import parse_length

_PRIVATE = ("hash", "drop")
NEVER_PRIVATE = frozenset({"request_id", "time", "tag", "prediction"})
_LIMITS = Thresholds.__match_args__
SCHEMA: Mapping[str, dict[str, Any]] = {
    "window": {
        "type": "string",
        "description": "How long a window of `monitor check` is: hours or days, as '24h' or '7d'.",
    },
    "private": {
        "type": "object",
        "additionalProperties": {
            "anyOf": [
                {"enum": list(_PRIVATE)},
                {
                    "type": "object",
                    "additionalProperties": False,
                    "required": ["remote"],
                    "properties": {"remote": {"type": "string"}},
                },
            ]
        },
        "description": "Column → `hash` (with the key in BRANCHFLOW_KEY), `drop`, or "
        "`{remote: NAME}` to keep it apart on a DVC remote of its own.",
    },
    "limits": {
        "type": "object",
        "additionalProperties": False,
        "properties": {name: {"type": "number", "minimum": 0} for name in _LIMITS},
        "description": "What is too much, by measure.",
    },
    "sides": {
        "type": "array",
        "items": {"type": "string"},
        "description": "Folders of the pinned data that the model was trained on; all by default.",
    },
    "notify": {
        "type": "string",
        "description": "A command or http(s) URL that is told of each new alert once, as JSON.",
    },
    "releases": {
        "type": "string",
        "description": "URL of the repository that the releases are in, where it is not this one.",
    },
    "retrain": {
        "type": "boolean",
        "description": "Whether `sync` releases a watched model on new data only while it has "
        "an open alert.",
    },
}


@dataclass(frozen=True, slots=True)
class Private:
    """How a private column is kept: hashed, dropped, or apart on a DVC remote of its own."""

    how: Literal["hash", "drop", "remote"]
    remote: str | None = None


@dataclass(frozen=True, slots=True)
class Watch:
    """The settings of a monitor branch, defaults filled in. `window_seconds` is a window's length.

    `sides` empty: all of the pinned data.
    """

    window_seconds: int = 7 * 24 * 3600
    private: Mapping[str, Private] = field(default_factory=dict)
    limits: Thresholds = field(default_factory=Thresholds)
    sides: tuple[str, ...] = ()
    notify: str | None = None
    releases: str | None = None
    retrain: bool = False


def parse_watch(body: object) -> Watch:
    """Return the settings under `watch`. Raises: ConfigError: an unknown key, or a wrong type."""
    if not isinstance(body, Mapping):
        raise ConfigError("has to be a mapping")
    _known(body, SCHEMA, "")
    sides = body.get("sides", [])
    if not isinstance(sides, list) or not all(isinstance(side, str) for side in sides):
        raise ConfigError("'sides' has to be a list of folder names")
    window = parse_length(_text(body, "window") or "7d")
    return Watch(
        window_seconds=window,
        private=_private(body.get("private", {})),
        limits=_limits(body.get("limits", {})),
        sides=tuple(sides),
        notify=_text(body, "notify"),
        releases=_releases(body),
        retrain=_flag(body, "retrain"),
    )


def _private(body: object) -> dict[str, Private]:
    if not isinstance(body, Mapping) or not all(isinstance(name, str) for name in body):
        raise ConfigError("'private' has to map columns to how they are kept")
    found = {name: _one_private(name, how) for name, how in body.items()}
    if len({how.remote for how in found.values() if how.remote}) > 1:
        raise ConfigError("'private' names more than one remote")
    needed = [name for name in found if name in NEVER_PRIVATE]
    if needed:
        raise ConfigError(f"'private.{needed[0]}' can't be: rows are told by it")
    return found


def _one_private(name: str, how: object) -> Private:
    if how == "hash":
        return Private("hash")
    if how == "drop":
        return Private("drop")
    if isinstance(how, Mapping) and set(how) == {"remote"}:
        remote = how["remote"]
        if isinstance(remote, str) and remote not in _PRIVATE:
            return Private("remote", remote)
    raise ConfigError(f"'private.{name}' is none of: hash, drop, {{remote: NAME}}")


def _limits(body: object) -> Thresholds:
    if not isinstance(body, Mapping):
        raise ConfigError("'limits' has to map measures to numbers")
    _known(body, dict.fromkeys(_LIMITS), "limits.")
    for name, value in body.items():
        if not isinstance(value, int | float) or isinstance(value, bool) or not value >= 0:
            raise ConfigError(f"'limits.{name}' is no number from 0 up: {value!r}")
    level = body.get("level", Thresholds().level)
    if not 0 < level < 1:
        raise ConfigError(f"'limits.level' is no chance between 0 and 1: {level!r}")
    return replace(Thresholds(), **body)


def _text(body: Mapping[str, Any], key: str) -> str | None:
    value = body.get(key)
    if value is not None and (not isinstance(value, str) or not value.strip()):
        raise ConfigError(f"'{key}' has to be text")
    return value


def _releases(body: Mapping[str, Any]) -> str | None:
    url = _text(body, "releases")
    if url is None:
        return None
    try:
        return whole_repository(url)
    except ConfigError as error:
        raise ConfigError(f"'releases' {error.message}") from None


def _flag(body: Mapping[str, Any], key: str) -> bool:
    value = body.get(key, False)
    if not isinstance(value, bool):
        raise ConfigError(f"'{key}' has to be true or false")
    return value


def _known(body: Mapping[Any, Any], keys: Mapping[str, Any], where: str) -> None:
    for key in body:
        if key not in keys:
            raise ConfigError(f"has no key '{where}{key}'{nearest(str(key), keys)}")
