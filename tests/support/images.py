"""Does what a Dockerfile says without Docker: only the files that it copies, only the packages it names.

It knows the few instructions that the templates use, and refuses any other. What it can't show is
the base image itself.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import venv
from dataclasses import dataclass, field
from importlib.metadata import Distribution, distribution
from pathlib import Path
from typing import TYPE_CHECKING

from packaging.requirements import Requirement

from tests.support.plain import pinned_requirements

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


@dataclass
class Image:
    """What a build leaves: a folder with its own Python, variables, and two commands."""

    root: Path
    context: Path
    args: Mapping[str, str]
    workdir: Path = Path()
    env: dict[str, str] = field(default_factory=dict)
    command: list[str] = field(default_factory=list)
    health: list[str] = field(default_factory=list)
    port: int = 0

    @property
    def python(self) -> Path:
        """The image's Python, which sees the installed requirements alone."""
        return self.root / "venv/bin/python"

    def started(self, port: int) -> list[str]:
        """The command of the image, on a port of this machine."""
        words = [str(self.python) if word == "python" else word for word in self.command]
        return [*words, "--host", "127.0.0.1", "--port", str(port)]

    def asked(self, port: int) -> list[str]:
        """The health check of the image, at that port."""
        words = [word.replace(str(self.port), str(port)) for word in self.health]
        return [str(self.python) if word == "python" else word for word in words]


def build(context: Path, root: Path, args: Mapping[str, str] | None = None) -> Image:
    """Build the image of a folder's Dockerfile below `root`, which must not exist yet."""
    image = Image(root, context, args or {})
    venv.create(root / "venv", with_pip=False, symlinks=True)
    for instruction, rest in _instructions(context / "Dockerfile"):
        _STEPS[instruction](image, rest)
    return image


def _workdir(image: Image, rest: str) -> None:
    image.workdir = image.root / rest.lstrip("/")
    image.workdir.mkdir(parents=True, exist_ok=True)


def _copy(image: Image, rest: str) -> None:
    *patterns, target = rest.split()
    sources = [path for pattern in patterns for path in sorted(image.context.glob(pattern))]
    assert sources, f"COPY finds nothing: {rest}"
    into = image.workdir / target
    if len(sources) == 1 and sources[0].is_dir():
        shutil.copytree(sources[0], into, ignore=shutil.ignore_patterns("__pycache__"))
        return
    assert target.endswith(("/", ".")), f"more than one file into {target}"
    into.mkdir(parents=True, exist_ok=True)
    for source in sources:
        shutil.copy(source, into)


def _run(image: Image, rest: str) -> None:
    program, action, *options = shlex.split(rest)
    assert (program, action, options[-2]) == ("pip", "install", "-r"), rest
    [site] = (image.root / "venv/lib").glob("python*/site-packages")
    for found in _closure((image.workdir / options[-1]).read_text(encoding="utf-8")):
        for name in _top_level(found):
            (site / name).symlink_to(Path(str(found.locate_file(name))).resolve())


def _arg(image: Image, rest: str) -> None:
    name, _, default = rest.partition("=")
    image.env[name] = image.args.get(name, default.strip('"'))


def _env(image: Image, rest: str) -> None:
    for word in shlex.split(rest):
        name, _, value = word.partition("=")
        image.env[name] = re.sub(r"\$(\w+)", lambda m: image.env.get(m[1], ""), value)


def _user(image: Image, rest: str) -> None:
    assert rest != "root"


def _expose(image: Image, rest: str) -> None:
    image.port = int(rest)


def _healthcheck(image: Image, rest: str) -> None:
    image.health = json.loads(rest.removeprefix("CMD "))


def _cmd(image: Image, rest: str) -> None:
    image.command = json.loads(rest)


def _instructions(dockerfile: Path) -> Iterator[tuple[str, str]]:
    for line in dockerfile.read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            instruction, _, rest = line.partition(" ")
            yield instruction, rest.strip()


def _closure(requirements: str) -> list[Distribution]:
    """What the requirements need, as it is installed here; a version that does not fit fails."""
    lines = [line for line in requirements.splitlines() if line.strip()]
    for wanted in map(Requirement, lines):
        assert wanted.specifier.contains(distribution(wanted.name).version), wanted
    return [distribution(pin.partition("==")[0]) for pin in pinned_requirements(lines)]


def _top_level(found: Distribution) -> set[str]:
    return {
        file.parts[0] for file in found.files or [] if file.parts[0] not in {"..", "__pycache__"}
    }


_STEPS: Mapping[str, Callable[[Image, str], None]] = {
    "FROM": lambda _image, _name: None,
    "WORKDIR": _workdir,
    "COPY": _copy,
    "RUN": _run,
    "ARG": _arg,
    "ENV": _env,
    "USER": _user,
    "EXPOSE": _expose,
    "HEALTHCHECK": _healthcheck,
    "CMD": _cmd,
}
