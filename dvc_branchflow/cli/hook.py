"""The command `git-branchflow-hook NAME`: what Git's hooks call. It imports as little as it can."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from dvc_branchflow import check
from dvc_branchflow.cli.verdict import verdict
from dvc_branchflow.errors import BranchflowError, FlowError, UsageError
from dvc_branchflow.model import ZERO_SHA, Verdict
from dvc_branchflow.project import Project

_REFUSED = 1
_MAX_SECONDS = 300  # a server's hook goes on when the client is gone


def main(argv: Sequence[str]) -> int:
    """Judge what a hook of Git's is called for; anything but 0 refuses it.

    It fails closed: what can't be judged is refused with the reason.
    """
    try:
        found = _judge(*argv)
    except BranchflowError as error:
        print(f"branchflow refuses: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"  try: {error.hint}", file=sys.stderr)
        return _REFUSED
    except Exception as error:  # noqa: BLE001  the last stop; a hook shows no traceback
        print(f"branchflow refuses: a bug of its own: {error!r}", file=sys.stderr)
        return _REFUSED
    if found.violations or found.notes:
        print(verdict(found), file=sys.stderr)
    return _REFUSED if found.is_refused else 0


def _judge(name: str = "", *args: str) -> Verdict:
    if name not in _HOOKS:
        raise UsageError(f"'{name}' is no hook; there are: {', '.join(_HOOKS)}")
    return _HOOKS[name](Project.open(Path.cwd()), args)


def entry() -> NoReturn:
    """Run as a program, and end it at once: no thread that waits for a DVC remote keeps it."""
    code = main(sys.argv[1:])
    with suppress(OSError):
        sys.stderr.flush()
    os._exit(code)


def _commit(project: Project, _: Sequence[str]) -> Verdict:
    return check.before_commit(project, None)


def _message(project: Project, args: Sequence[str]) -> Verdict:
    # The pre-commit framework leaves the name out where its filters fit no file.
    names = args or [project.git.text("rev-parse", "--git-path", "COMMIT_EDITMSG")]
    return check.before_commit(project, Path(names[0]))


def _push(project: Project, args: Sequence[str]) -> Verdict:
    remote = os.environ.get("PRE_COMMIT_REMOTE_NAME") or (args[0] if args else "origin")
    if "PRE_COMMIT_REMOTE_BRANCH" in os.environ:  # the framework's way to tell of a push
        lines = [_of_framework(project, os.environ)]
    else:
        lines = _input()
    return check.before_push(project, remote, lines)


def _of_framework(project: Project, env: Mapping[str, str]) -> str:
    ref = env["PRE_COMMIT_REMOTE_BRANCH"]
    new = env.get("PRE_COMMIT_TO_REF") or project.git.resolve(env["PRE_COMMIT_LOCAL_BRANCH"])
    name = ref.removeprefix("refs/heads/")
    known = project.refs.get(f"refs/remotes/{env.get('PRE_COMMIT_REMOTE_NAME')}/{name}")
    return f"{new} {new} {ref} {known.commit if known else ZERO_SHA}"


def _receive(project: Project, _: Sequence[str]) -> Verdict:
    signal.signal(signal.SIGALRM, _too_long)
    signal.alarm(_MAX_SECONDS)
    return check.on_receive(project, _input())


def _too_long(_number: int, _frame: object) -> NoReturn:
    raise FlowError(f"judging the push took longer than {_MAX_SECONDS} s", hint="push in parts")


def _input() -> list[str]:
    text = sys.stdin.buffer.read().decode(errors="surrogateescape")
    return [line for line in text.split("\n") if line]


_HOOKS: Mapping[str, Callable[[Project, Sequence[str]], Verdict]] = {
    "pre-commit": _commit,
    "pre-merge-commit": _commit,
    "commit-msg": _message,
    "pre-push": _push,
    "pre-receive": _receive,
}
