"""Runs a page of the documentation: its commands, in order, in one shell, in a fresh folder.

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
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
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


def run_page(page: Path, folder: Path, env: Mapping[str, str]) -> list[str]:
    """Run a page in `folder`; return what is wrong, a text for each command."""
    wanted = steps(page.read_text(encoding="utf-8"))
    output = _run(wanted, folder, env)
    problems: list[str] = []
    for number, step in enumerate(wanted):
        where = f"{page.name}:{step.line}: {step.command.strip()}"
        if number not in output:
            problems.append(f"{where}\n  was not reached")
            break
        code, printed = output[number]
        if bool(code) != step.fails:
            problems.append(f"{where}\n  ended with exit code {code}:\n{printed}")
            if not step.fails:
                break
        problems += [
            f"{where}\n  does not print {line!r}, but:\n{printed}"
            for line in _missing(step.shown, printed.splitlines())
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


def _run(wanted: list[Step], folder: Path, env: Mapping[str, str]) -> dict[int, tuple[int, str]]:
    script = folder.parent / f"{folder.name}.sh"
    log = folder.parent / f"{folder.name}.log"
    script.write_text(_script(wanted), encoding="utf-8")
    with log.open("wb") as file:
        subprocess.run(
            ["bash", str(script)],
            cwd=folder, env=dict(env), stdin=subprocess.DEVNULL, stdout=file,
            stderr=subprocess.STDOUT, timeout=_TIMEOUT_SECONDS, check=False,
        )  # fmt: skip
    text = log.read_text(encoding="utf-8", errors="replace")
    ended = re.compile(
        rf"^{_MARK} (\d+)\n(.*?)^{_MARK} (\d+) ended (\d+)$", re.MULTILINE | re.DOTALL
    )
    return {int(m[1]): (int(m[4]), m[2]) for m in ended.finditer(text)}


def _script(wanted: list[Step]) -> str:
    """All steps in one shell, so that `cd` lasts; it stops after an unexpected failure."""
    parts: list[str] = []
    for number, step in enumerate(wanted):
        parts += [
            f"echo '{_MARK} {number}'",
            "{",
            step.command,
            "} < /dev/null",
            "code=$?",
            f'printf "\\n{_MARK} {number} ended $code\\n"',
        ]
        if not step.fails:
            parts.append("[ $code = 0 ] || exit")
    return "\n".join(parts) + "\n"


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
