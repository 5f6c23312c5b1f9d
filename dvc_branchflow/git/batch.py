"""Reads many of Git's objects through one `git cat-file` process."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, TypeVar

from dvc_branchflow.environ import clean_environment
from dvc_branchflow.errors import GitError
from dvc_branchflow.model import Sha

_T = TypeVar("_T")
_MISSING = "missing"
_KEPT_BYTES = 16 * 1024 * 1024  # of objects that are not asked for twice: an id has one content
_BATCH = 500  # requests written before answers are read; 500 x 50 bytes fit into a pipe


def git_environment() -> dict[str, str]:
    """Git's environment: no questions, plain messages, and no object in another one's place."""
    own = {"LC_ALL": "C.UTF-8", "GIT_TERMINAL_PROMPT": "0", "GIT_NO_REPLACE_OBJECTS": "1"}
    return clean_environment() | own


class BatchReader:
    """One `git cat-file --batch-command` process, kept for as long as its Git is.

    Objects that are written or fetched meanwhile are found: git looks anew before one is missing.
    """

    def __init__(self, git_dir: Path) -> None:
        self._process = subprocess.Popen(
            ["git", f"--git-dir={git_dir}", "cat-file", "--batch-command", "--buffer"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env=git_environment(),
        )  # fmt: skip
        self._kept: dict[Sha, tuple[str, bytes]] = {}
        self._room_bytes = _KEPT_BYTES

    def read(self, shas: Iterable[Sha]) -> Iterator[tuple[Sha, str, bytes]]:
        """Yield id, kind and content of each object."""
        wanted = list(shas)
        for start in range(0, len(wanted), _BATCH):
            yield from self._read(wanted[start : start + _BATCH])

    def sizes(self, shas: Iterable[Sha]) -> Iterator[tuple[Sha, int]]:
        """Yield id and size in bytes of each object."""
        headers = list(self._headers(shas))
        shas = [sha for sha, _ in headers]
        yield from ((sha, one[1]) for sha, one in _all_there(shas, [one for _, one in headers]))

    def kinds(self, shas: Iterable[Sha]) -> Iterator[tuple[Sha, str]]:
        """Yield id and kind of each object that is here."""
        yield from ((sha, kind) for sha, (kind, _) in self._headers(shas) if kind != _MISSING)

    def _headers(self, shas: Iterable[Sha]) -> Iterator[tuple[Sha, tuple[str, int]]]:
        wanted = list(shas)
        for start in range(0, len(wanted), _BATCH):
            batch = wanted[start : start + _BATCH]
            answers = self._ask("info", batch)
            yield from [(sha, self._header(answers)) for sha in batch]

    def _read(self, shas: list[Sha]) -> list[tuple[Sha, str, bytes]]:
        unknown = [sha for sha in shas if sha not in self._kept]
        answers = self._ask("contents", unknown) if unknown else None
        found = {sha: self._answer(answers) for sha in unknown} if answers else {}
        for sha, (kind, body) in found.items():
            if kind != _MISSING and len(body) <= self._room_bytes:
                self._room_bytes -= len(body)
                self._kept[sha] = (kind, body)
        known = [found.get(sha) or self._kept[sha] for sha in shas]
        return [(sha, kind, body) for sha, (kind, body) in _all_there(shas, known)]

    def _ask(self, what: str, shas: list[Sha]) -> IO[bytes]:
        requests, answers = self._pipes()
        requests.write("".join(f"{what} {sha}\n" for sha in shas).encode() + b"flush\n")
        requests.flush()
        return answers

    @classmethod
    def _answer(cls, answers: IO[bytes]) -> tuple[str, bytes]:
        kind, size = cls._header(answers)
        return (kind, answers.read(size + 1)[:-1]) if kind != _MISSING else (kind, b"")

    @staticmethod
    def _header(answers: IO[bytes]) -> tuple[str, int]:
        header = answers.readline().decode().split()
        if len(header) != 3:  # noqa: PLR2004  name, kind, size
            return _MISSING, 0
        return header[1], int(header[2])

    def _pipes(self) -> tuple[IO[bytes], IO[bytes]]:
        stdin, stdout = self._process.stdin, self._process.stdout
        if stdin is None or stdout is None or self._process.poll() is not None:
            raise GitError("git cat-file ended unexpectedly")
        return stdin, stdout

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def _all_there(shas: list[Sha], found: list[tuple[str, _T]]) -> list[tuple[Sha, tuple[str, _T]]]:
    for sha, (kind, _) in zip(shas, found, strict=True):
        if kind == _MISSING:
            raise GitError(f"Git object {sha} is missing here", hint="git fetch --unshallow")
    return list(zip(shas, found, strict=True))
