"""Reads what DVC's config files say of its cache and its remotes."""

from __future__ import annotations

import configparser
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dvc_branchflow.errors import ConfigError

_SECTION = re.compile(r"""^['"]?remote "(.+?)"['"]?$""")


@dataclass(frozen=True, slots=True)
class RemoteConfig:
    """A DVC remote as the config files describe it; `url` is absolute."""

    name: str
    url: str
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DvcConfig:
    """What DVC's config files say, the later ones first."""

    core: Mapping[str, str]
    cache: Mapping[str, str]
    remotes: Mapping[str, RemoteConfig]

    @property
    def default_remote(self) -> str | None:
        """The name of the default DVC remote."""
        return self.core.get("remote")


def parse_dvc_config(layers: Iterable[tuple[str, Path]]) -> DvcConfig:
    """Return the settings in DVC config texts, the later layers winning.

    Args:
        layers: text of each config file, and the folder that relative URLs in it start from.
    Raises: ConfigError: not what DVC writes.
    """
    core: dict[str, str] = {}
    cache: dict[str, str] = {}
    remotes: dict[str, dict[str, str]] = {}
    for text, folder in layers:
        parser = configparser.ConfigParser(interpolation=None, strict=False)
        try:
            parser.read_string(text)
        except configparser.Error as error:
            reason = " ".join(str(error).split())
            raise ConfigError(f"'{folder / 'config'}' is no DVC config: {reason[:160]}") from error
        for section in parser.sections():
            values = {key: value.strip("\"'") for key, value in parser[section].items()}
            match = _SECTION.match(section)
            if match:
                if "url" in values:
                    values["url"] = _absolute(values["url"], folder)
                remotes.setdefault(match[1], {}).update(values)
            elif section in {"core", "cache"}:
                (core if section == "core" else cache).update(values)
                if section == "cache" and "dir" in values:
                    cache["dir"] = _absolute(values["dir"], folder)
    found = {
        name: RemoteConfig(name, values.pop("url"), values)
        for name, values in remotes.items()
        if "url" in values
    }
    return DvcConfig(core, cache, found)


def _absolute(url: str, folder: Path) -> str:
    if "://" in url:
        return url
    return str(Path(os.path.normpath(folder / Path(url).expanduser())))
