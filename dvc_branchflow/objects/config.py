"""Reads what DVC's config files say of its cache and its remotes."""

from __future__ import annotations

import configparser
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from dvc_branchflow.errors import ConfigError
from dvc_branchflow.values import dataclass, field

_SECTION = re.compile(r"""^['"]?remote "(.+?)"['"]?$""")
# Options of remotes that DVC reads from the config file's own folder where they are relative.
_PATHS = frozenset(
    {
        "cert_path", "configpath", "credentialpath", "gdrive_service_account_json_file_path",
        "gdrive_user_credentials_file", "key_path", "keyfile", "url",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class RemoteConfig:
    """A DVC remote as the config files describe it; `url` is absolute."""

    name: str
    url: str
    options: Mapping[str, str] = field(default_factory=dict)

    @property
    def scheme(self) -> str:
        """What kind of place it is; empty for a directory."""
        scheme = self.url.partition("://")[0] if "://" in self.url else ""
        return "" if scheme == "file" else scheme

    def is_on(self, option: str) -> bool:
        """Whether a yes-or-no option is set to yes."""
        return self.options.get(option, "").lower() in {"true", "1", "yes", "on"}


@dataclass(frozen=True, slots=True)
class DvcConfig:
    """What DVC's config files say, the later ones first."""

    core: Mapping[str, str]
    cache: Mapping[str, str]
    remotes: Mapping[str, RemoteConfig]

    @property
    def default_remote(self) -> str | None:
        """The name of the default DVC remote."""
        return self.core.get("remote", "").lower() or None


def parse_dvc_config(layers: Iterable[tuple[str, Path]]) -> DvcConfig:
    """Return the settings in DVC config texts, the later layers winning.

    Names of remotes are lower case, as DVC takes them.

    Args:
        layers: text of each config file, and the folder that relative paths in it start from.
    Raises: ConfigError: not what DVC writes.
    """
    core: dict[str, str] = {}
    cache: dict[str, str] = {}
    remotes: dict[str, dict[str, str]] = {}
    for text, folder in layers:
        parser = _read(text, folder)
        for section in parser.sections():
            values = {key: value.strip("\"'") for key, value in parser[section].items()}
            match = _SECTION.match(section)
            if match:
                here = {key: _absolute(values[key], folder) for key in _PATHS & values.keys()}
                remotes.setdefault(match[1].lower(), {}).update(values | here)
            elif section == "core":
                core.update(values)
            elif section == "cache":
                here = {key: _absolute(values[key], folder) for key in {"dir"} & values.keys()}
                cache.update(values | here)
    found = {name: _resolved(name, remotes) for name, values in remotes.items() if "url" in values}
    return DvcConfig(core, cache, found)


def named_remotes(text: str) -> tuple[str, ...]:
    """Return the names of the DVC remotes that one config text has a section for."""
    found = (_SECTION.match(section) for section in _read(text, Path()).sections())
    return tuple(dict.fromkeys(match[1].lower() for match in found if match))


def with_remote(text: str, name: str, other: str) -> str:
    """Return a config text with a DVC remote as another text describes it, if it lacks that.

    What the remote is a folder of comes along: `remote://BASE/FOLDER`.

    Raises: ConfigError: one of the texts is not what DVC writes.
    """
    known = named_remotes(text)
    for wanted in (name, *_bases(name, other)):
        lines = _section_lines(wanted, other)
        if wanted not in known and lines:
            text = "\n".join([*text.rstrip("\n").splitlines(), *lines, ""])
    return text


def _bases(name: str, text: str) -> Iterator[str]:
    parser = _read(text, Path())
    urls = {
        match[1].lower(): parser[section].get("url", "").strip("\"'")
        for section in parser.sections()
        if (match := _SECTION.match(section))
    }
    seen = {name}
    while urls.get(name, "").startswith("remote://"):
        name = urls[name].removeprefix("remote://").partition("/")[0].lower()
        if name in seen:
            return
        seen.add(name)
        yield name


def _section_lines(name: str, text: str) -> list[str]:
    found: list[str] = []
    is_in = False
    for line in text.splitlines():
        if line.startswith("["):
            match = _SECTION.match(line.strip().removeprefix("[").removesuffix("]"))
            is_in = match is not None and match[1].lower() == name
        if is_in and line.strip():
            found.append(line)
    return found


def _read(text: str, folder: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(text)
    except configparser.Error as error:
        reason = " ".join(str(error).split())
        raise ConfigError(f"'{folder / 'config'}' is no DVC config: {reason[:160]}") from error
    return parser


def _resolved(name: str, remotes: Mapping[str, Mapping[str, str]]) -> RemoteConfig:
    """A remote with the settings of the one that it is a folder of: `remote://BASE/FOLDER`."""
    values = dict(remotes[name])
    seen = {name}
    while values["url"].startswith("remote://"):
        base, _, folder = values["url"].removeprefix("remote://").partition("/")
        below = remotes.get(base.lower(), {})
        if base.lower() in seen or "url" not in below:
            raise ConfigError(
                f"the URL of DVC remote '{name}' names '{base}', which is no DVC remote with a URL",
                hint=f"dvc remote modify {name} url URL",
            )
        seen.add(base.lower())
        values = {**below, **values, "url": f"{below['url'].rstrip('/')}/{folder}"}
    return RemoteConfig(name, values.pop("url"), values)


def _absolute(url: str, folder: Path) -> str:
    if "://" in url:
        return url
    return str(Path(os.path.normpath(folder / Path(url).expanduser())))
