"""From the command line to the exit code: one place where errors become words."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from itertools import pairwise
from typing import NoReturn

from dvc_branchflow.cli.commands import COMMANDS, check_text, load
from dvc_branchflow.cli.commands.base import Command
from dvc_branchflow.cli.document import document, failure
from dvc_branchflow.cli.parser import build_parser, completion, defaults
from dvc_branchflow.cli.text import printable
from dvc_branchflow.errors import BranchflowError, StorageError, UsageError

_COMMON = frozenset({"--json", "-q", "--quiet", "-v", "--verbose"})
_BUG = 4
_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """Run `git branchflow` and return its exit code."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    wants_json = "--json" in arguments
    try:
        code = _run(arguments)
        sys.stdout.flush()
    except BranchflowError as error:
        return _fail(arguments, error, wants_json=wants_json)
    except KeyboardInterrupt:
        print("interrupted; nothing half-done was left behind", file=sys.stderr)
        return _INTERRUPTED
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        where = f"'{error.filename}': " if error.filename else ""
        disk = StorageError(f"{where}{error.strerror or error}")
        return _fail(arguments, disk, wants_json=wants_json)
    except Exception:  # noqa: BLE001  the last stop before a user sees a traceback
        return _bug()
    return code


def entry() -> NoReturn:
    """Run `git branchflow` as a program, and end it at once.

    Threads of obstore may outlive a failed request; an orderly end of Python can abort on them.
    """
    code = main()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):  # said already, where it could be
            stream.flush()
    os._exit(code)


def _run(arguments: Sequence[str]) -> int:
    parser = build_parser(_meant(arguments))
    args = argparse.Namespace(**defaults())
    parser.parse_args(arguments, namespace=args)
    if args.print_completion:
        print(completion(parser, args.print_completion))
        return 0
    if args.verb is None:
        parser.print_help()
        return 0
    check_text(vars(args))
    command: Command = args.command
    if not os.path.isdir(args.directory) and command.name not in {"init", "demo"}:  # noqa: PTH112
        raise UsageError(f"'{args.directory[:200]}' is no folder")
    result = command.call(args, _quiet if args.quiet else _progress)
    if args.json:
        print(document(command.name, result.value, dry_run=args.dry_run))
    else:
        print(result.text)
        for error in result.errors:
            _say(error)
    return result.exit_code


def _meant(arguments: Sequence[str]) -> tuple[Command, ...] | None:
    """The commands that a command line can mean; None: all, where its verb is not plain to see."""
    words = iter(arguments)
    for word in words:
        if word == "-C":
            next(words, None)
        elif word == "--version":
            return ()
        elif word not in _COMMON:
            return load(name for name in COMMANDS if name.partition(" ")[0] == word) or None
    return None


def _progress(text: str) -> None:
    print(f"· {text}", file=sys.stderr, flush=True)


def _quiet(_: str) -> None:
    """Say nothing."""


def _fail(arguments: Sequence[str], error: BranchflowError, *, wants_json: bool) -> int:
    if wants_json:
        print(failure(_verb(arguments), error))
        return error.exit_code
    _say(error)
    if {"-v", "--verbose"} & set(arguments):
        import traceback

        traceback.print_exception(error, file=sys.stderr)
    return error.exit_code


def _say(error: BranchflowError) -> None:
    print(f"error: {printable(error.message)}", file=sys.stderr)
    if error.hint:
        print(f"  try: {error.hint}", file=sys.stderr)


def _verb(arguments: Sequence[str]) -> str:
    words = [word for word in arguments if not word.startswith("-")]
    pairs = [" ".join(pair) for pair in pairwise(words)]
    return next((name for name in (*pairs, *words) if name in COMMANDS), "")


def _bug() -> int:
    import tempfile
    import traceback

    with tempfile.NamedTemporaryFile(
        "w", prefix="branchflow-bug-", suffix=".log", delete=False, encoding="utf-8"
    ) as file:
        traceback.print_exc(file=file)
    last = traceback.format_exc().strip().splitlines()[-1]
    print(f"error: this is a bug in branchflow: {last}", file=sys.stderr)
    print(f"  please report it with {file.name}", file=sys.stderr)
    return _BUG
