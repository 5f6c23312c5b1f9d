"""Runs a page of the documentation: its commands, in order, in one shell, in a fresh folder.

Many pages begin with the same commands. What these leave is kept, and the next page goes on from a
copy of it, as if it had run them: its shown output is compared with what they printed then.

The convention is that of the pages themselves:

- a ```console block holds commands after `$ ` (continued after `> `) and what they print;
- a ```bash block is a script, run as a whole;
- a block of any other kind is not run;
- the shown output is a part of the real one, line by line and in order; numbers, ids and paths in
  it are examples, and a line `…` stands for anything;
- a command fails if, and only if, its shown output has a line that starts with `error: `, or the
  command itself ends in `# fails`.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path

_BLOCK = re.compile(r"^```(console|bash)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_MARK = "@@branchflow-docs"
_TIMEOUT_SECONDS = 280


@dataclass(frozen=True)
class Step:
    """A command of a page, what the page shows of its output, and where it stands."""

    command: str
    shown: tuple[str, ...]
    line: int

    @property
    def fails(self) -> bool:
        is_said = self.command.rstrip().endswith("# fails")
        return is_said or any(line.startswith("error: ") for line in self.shown)


@dataclass(frozen=True)
class _Ended:
    """How a command ended: its exit code, what it printed, and the folder it left the shell in."""

    code: int
    printed: str
    cwd: Path


def steps(text: str) -> list[Step]:
    """The commands of a page, in order."""
    found: list[Step] = []
    for match in _BLOCK.finditer(text):
        line = text.count("\n", 0, match.start()) + 2
        if match[1] == "bash":
            found.append(Step(match[2], (), line))
        else:
            found += _console(match[2], line)
    return found


@dataclass
class Kept:
    """The folders that the first commands of a page left, by these commands.

    `shared` holds the beginnings that are worth keeping, as lists of commands. All pages run in
    one folder, as what they write holds its path.
    """

    root: Path
    shared: Collection[tuple[str, ...]] = ()
    _done: dict[tuple[str, ...], tuple[Path, dict[int, _Ended]]] = field(default_factory=dict)

    def restore(self, commands: Sequence[str], folder: Path) -> tuple[int, dict[int, _Ended]]:
        """Make `folder` what the longest known beginning left; return its length and output."""
        for length in range(len(commands), 0, -1):
            if found := self._done.get(tuple(commands[:length])):
                shutil.rmtree(folder)
                _copy(found[0], folder)
                return length, dict(found[1])
        return 0, {}

    def keep(self, commands: Sequence[str], folder: Path, output: Mapping[int, _Ended]) -> None:
        copy = self.root / str(len(self._done))
        _copy(folder, copy)
        self._done[tuple(commands)] = (copy, dict(output))


def beginnings(pages: Sequence[Path]) -> set[tuple[str, ...]]:
    """The lists of commands with which two pages or more begin, each as long as it can be."""
    texts = [_commands(steps(page.read_text(encoding="utf-8"))) for page in pages]
    pairs = [(one, other) for at, one in enumerate(texts) for other in texts[:at]]
    same = (takewhile(lambda two: two[0] == two[1], zip(*pair, strict=False)) for pair in pairs)
    return {tuple(command for command, _ in begin) for begin in same} - {()}


def run_page(
    page: Path, folder: Path, env: Mapping[str, str], kept: Kept | None = None
) -> list[str]:
    """Run a page in `folder`; return what is wrong, a text for each command."""
    wanted = steps(page.read_text(encoding="utf-8"))
    output = _run(wanted, folder, env, kept or Kept(folder))
    problems: list[str] = []
    for number, step in enumerate(wanted):
        where = f"{page.name}:{step.line}: {step.command.strip()}"
        if number not in output:
            problems.append(f"{where}\n  was not reached")
            break
        ended = output[number]
        if bool(ended.code) != step.fails:
            problems.append(f"{where}\n  ended with exit code {ended.code}:\n{ended.printed}")
            if not step.fails:
                break
        problems += [
            f"{where}\n  does not print {line!r}, but:\n{ended.printed}"
            for line in _missing(step.shown, ended.printed.splitlines())
        ]
    return problems


def _console(block: str, first: int) -> Iterator[Step]:
    command: list[str] = []
    shown: list[str] = []
    start = first
    for offset, line in enumerate(block.splitlines()):
        if line.startswith("$ "):
            if command:
                yield Step("\n".join(command), tuple(shown), start)
            command, shown, start = [line[2:]], [], first + offset
        elif line.startswith("> ") and command and not shown:
            command.append(line[2:])
        elif line.strip():
            shown.append(line)
    if command:
        yield Step("\n".join(command), tuple(shown), start)


def _run(
    wanted: Sequence[Step], folder: Path, env: Mapping[str, str], kept: Kept
) -> dict[int, _Ended]:
    """Run the steps; at the end of each beginning that is shared, keep what there is."""
    commands = _commands(wanted)
    first, output = kept.restore(commands, folder)
    stops = [at for at in range(first + 1, len(wanted)) if commands[:at] in kept.shared]
    for start, stop in zip([first, *stops], [*stops, len(wanted)], strict=True):
        cwd = output[start - 1].cwd if start else folder
        output |= _run_some(range(start, stop), wanted, cwd, folder, env)
        if stop - 1 not in output:
            break
        if stop < len(wanted):
            kept.keep(commands[:stop], folder, output)
    return output


def _run_some(
    numbers: range, wanted: Sequence[Step], cwd: Path, folder: Path, env: Mapping[str, str]
) -> dict[int, _Ended]:
    script = folder.parent / f"{folder.name}.sh"
    log = folder.parent / f"{folder.name}.log"
    script.write_text(_script(numbers, wanted), encoding="utf-8")
    with log.open("wb") as file:
        subprocess.run(
            ["bash", str(script)],
            cwd=cwd, env=dict(env), stdin=subprocess.DEVNULL, stdout=file,
            stderr=subprocess.STDOUT, timeout=_TIMEOUT_SECONDS, check=False,
        )  # fmt: skip
    text = log.read_text(encoding="utf-8", errors="replace")
    ended = re.compile(
        rf"^{_MARK} (\d+)\n(.*?)^{_MARK} (\d+) ended (\d+) in ([^\n]*)$", re.MULTILINE | re.DOTALL
    )
    return {int(m[1]): _Ended(int(m[4]), m[2], Path(m[5])) for m in ended.finditer(text)}


def _script(numbers: range, wanted: Sequence[Step]) -> str:
    """All steps in one shell, so that `cd` lasts; it stops after an unexpected failure."""
    parts: list[str] = []
    for number in numbers:
        parts += [
            f"echo '{_MARK} {number}'",
            "{",
            wanted[number].command,
            "} < /dev/null",
            "code=$?",
            f'printf "\\n{_MARK} {number} ended $code in $PWD\\n"',
        ]
        if not wanted[number].fails:
            parts.append("[ $code = 0 ] || exit")
    return "\n".join(parts) + "\n"


def _commands(wanted: Sequence[Step]) -> tuple[str, ...]:
    return tuple(step.command for step in wanted)


def _copy(source: Path, target: Path) -> None:
    """Copy a folder as it is: links, and the times by which Git and DVC know a file."""
    shutil.copytree(source, target, symlinks=True)


def _missing(shown: tuple[str, ...], printed: list[str]) -> Iterator[str]:
    """The shown lines that the output lacks, or has in another order."""
    rest = iter([_form(line) for line in printed])
    for line in shown:
        if line.strip() != "…" and _form(line) not in rest:
            yield line
            return


def _form(line: str) -> str:
    """A line with all that differs from run to run made equal."""
    line = re.sub(r"'?(?:~|\.\.?)?/[\w./~-]*/[\w./~-]*'?", "PATH", line)
    line = re.sub(r"\b[0-9a-f]{7,64}\b", "ID", line)
    line = re.sub(r"[-+]?\d[\d.,]*(?:e[-+]?\d+)?", "N", line)
    return " ".join(line.replace("─", "-").split())
