"""`git-branchflow` without its start-up: forked from a process that has imported its modules.

That import is most of what a short command costs, and the tests start thousands. A fork is a process
of its own too, with the folder, environment and streams that it is given. That a command does the
same when it starts from nothing is what the documentation's pages and the tests of kills and races
show, which take real processes. All else, DVC before all, is started as a user starts it.
"""

from __future__ import annotations

import atexit
import functools
import gc
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from importlib import import_module
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PROGRAM = "git-branchflow"
_LOCALE = "C.UTF-8"


def is_warm(program: str, env: Mapping[str, str]) -> bool:
    """Whether it is this environment's git-branchflow, and nothing changes how Python starts."""
    if program != _PROGRAM or any(name.startswith(("PYTHON", "COVERAGE")) for name in env):
        return False
    here = str(Path(sys.executable).with_name(program))
    return env.get("LC_ALL") == _LOCALE and shutil.which(program, path=env["PATH"]) == here


def run(
    words: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    input: str | None,  # noqa: A002 (as subprocess calls it)
    timeout: float,
) -> subprocess.CompletedProcess[str]:
    """Run a command and capture its output as text; by a fork, if it `is_warm`.

    Raises: subprocess.TimeoutExpired: it ran longer than `timeout` seconds, and was killed.
    """
    if is_warm(words[0], env):
        return _forked(words, cwd, env, input, timeout)
    return subprocess.run(
        words, cwd=cwd, env=dict(env), input=input,
        stdin=subprocess.DEVNULL if input is None else None, capture_output=True,
        encoding="utf-8", errors="surrogateescape", timeout=timeout, check=False,
    )  # fmt: skip


def _forked(
    words: Sequence[str], cwd: Path, env: Mapping[str, str], text: str | None, timeout: float
) -> subprocess.CompletedProcess[str]:
    asked = {
        "argv": [str(Path(sys.executable).with_name(words[0])), *words[1:]],
        "cwd": str(cwd),
        "env": dict(env),
        "seconds": timeout,
    }
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, \
            tempfile.TemporaryFile() as err:  # fmt: skip
        given.write((text or "").encode("utf-8", "surrogateescape"))
        given.seek(0)
        code = _warm().ask(asked, [file.fileno() for file in (given, out, err)])
        stdout, stderr = (_text(file) for file in (out, err))
    if code == -signal.SIGALRM:
        raise subprocess.TimeoutExpired(list(words), timeout, stdout, stderr)
    return subprocess.CompletedProcess(list(words), code, stdout, stderr)


def _text(file: Any) -> str:
    file.seek(0)
    return io.TextIOWrapper(file, encoding="utf-8", errors="surrogateescape").read()


class _Warm:
    """A process that has imported the program and runs it as often as it is asked."""

    def __init__(self) -> None:
        self._alone = threading.Lock()
        self._line, theirs = socket.socketpair()
        self._answers = self._line.makefile("r")
        number = theirs.fileno()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(number)],
                pass_fds=[number], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                env={"PATH": os.environ["PATH"], "LC_ALL": _LOCALE},
            )  # fmt: skip

    def ask(self, asked: Mapping[str, Any], streams: Sequence[int]) -> int:
        """Run the command once, with these streams; return its exit code as `subprocess` does."""
        with self._alone:
            try:
                socket.send_fds(self._line, [b"."], streams)
                self._line.sendall(json.dumps(asked).encode() + b"\n")
                return int(self._answers.readline())
            except BaseException:  # a test that is over leaves an answer that nobody may take
                _warm.cache_clear()
                self._process.kill()
                raise

    def close(self) -> None:
        self._line.close()
        self._answers.close()
        self._process.wait()


@functools.cache
def _warm() -> _Warm:
    made = _Warm()
    atexit.register(made.close)
    return made


def _serve(line: socket.socket) -> NoReturn:
    """Run the program once for each request, in a child."""
    (point,) = entry_points(group="console_scripts", name=_PROGRAM)
    program = point.load()
    import_module("dvc_branchflow.cli.commands").load()  # no more: a missing import has to show
    gc.freeze()
    requests = line.makefile("rb")
    while True:
        byte, streams, _, _ = socket.recv_fds(line, 1, 3)
        if not byte:
            sys.exit()
        asked = json.loads(requests.readline())
        child = os.fork()
        if not child:
            _become(asked, streams)
            sys.exit(program())
        for stream in streams:
            os.close(stream)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        line.sendall(b"%d\n" % code)


def _become(asked: Mapping[str, Any], streams: Sequence[int]) -> None:
    """Take on all by which a started command differs from its parent."""
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.argv = asked["argv"]
    sys.path[0] = str(Path(sys.argv[0]).parent)
    os.environ.clear()
    os.environ.update(asked["env"])
    time.tzset()
    os.chdir(asked["cwd"])
    signal.setitimer(signal.ITIMER_REAL, asked["seconds"])


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])))
