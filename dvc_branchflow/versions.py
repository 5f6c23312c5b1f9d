"""Which version a release gets: patch for new data, minor for new code, major when asked for."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Literal, Self

from dvc_branchflow.model import TagName
from dvc_branchflow.values import dataclass

Bump = Literal["patch", "minor", "major"]
_TAG = re.compile(
    r"(?P<name>[A-Za-z0-9=_/-]+)@v(?P<major>0|[1-9]\d*)\.(?P<minor>0|[1-9]\d*)\.(?P<patch>0|[1-9]\d*)"
)


@dataclass(frozen=True, slots=True, order=True)
class Version:
    """A semantic version without pre-releases, as GTO's tags carry it."""

    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        return f"v{self.major}.{self.minor}.{self.patch}"

    def bumped(self, bump: Bump) -> Self:
        """Return the next version of a kind."""
        if bump == "major":
            return type(self)(self.major + 1, 0, 0)
        if bump == "minor":
            return type(self)(self.major, self.minor + 1, 0)
        return type(self)(self.major, self.minor, self.patch + 1)


FIRST = Version(1, 0, 0)


def parse_tag(tag: str) -> tuple[str, Version] | None:
    """Return the model and version that a release tag names, or None for any other tag."""
    match = _TAG.fullmatch(tag)
    if match is None:
        return None
    version = Version(int(match["major"]), int(match["minor"]), int(match["patch"]))
    return match["name"], version


def release_tag(model: str, version: Version) -> TagName:
    """Return the tag of a release, in GTO's form: `churn@v1.2.0`."""
    return TagName(f"{model}@{version}")


def versions_of(tags: Iterable[str], model: str) -> list[Version]:
    """Return the versions of a model among tags of any kind."""
    parsed = (parse_tag(tag) for tag in tags)
    return [found[1] for found in parsed if found and found[0] == model]


def latest_version(tags: Iterable[str], model: str) -> Version | None:
    """Return the highest version of a model among tags of any kind."""
    return max(versions_of(tags, model), default=None)


def latest_versions(tags: Iterable[str]) -> dict[str, Version]:
    """Return the highest version of each model among tags of any kind."""
    newest: dict[str, Version] = {}
    for name, version in filter(None, map(parse_tag, tags)):
        newest[name] = max(version, newest.get(name, version))
    return newest
