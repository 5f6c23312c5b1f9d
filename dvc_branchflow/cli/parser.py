"""The argument parser, made from the list of commands; the reference in the docs comes from it."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import Any

from dvc_branchflow import __version__
from dvc_branchflow.cli.commands import GROUPS, load
from dvc_branchflow.cli.commands.base import Command
from dvc_branchflow.cli.text import width
from dvc_branchflow.errors import UsageError

_SHELLS = ("bash", "zsh", "tcsh")


class Formatter(argparse.RawDescriptionHelpFormatter):
    """Leaves descriptions as they are. argparse makes one for each argument, so it is cheap."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, width=width() - 2)


class Parser(argparse.ArgumentParser):
    """Raises UsageError where argparse would print and exit; options are written in full."""

    def __init__(self, *args: Any, **options: Any) -> None:
        own = {"allow_abbrev": False, "formatter_class": Formatter}
        super().__init__(*args, **{**own, **options})

    def error(self, message: str) -> Any:
        """Report what is wrong with the command line."""
        raise UsageError(message, hint=f"{self.prog} -h")


def build_parser(commands: Sequence[Command] | None = None) -> argparse.ArgumentParser:
    """Return the parser of `git branchflow`.

    Args:
        commands: those that the command line can mean; None: all of them.
    """
    commands = load() if commands is None else commands
    common = _common()
    parser = Parser(
        prog="git branchflow",
        description="Branches are all you need: data, code, models, records on plain Git and DVC.",
        parents=[common],
    )
    parser.add_argument("--version", action="version", version=f"dvc-branchflow {__version__}")
    parser.add_argument("--print-completion", choices=_SHELLS, help="print a completion script")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", parser_class=Parser)
    parsers = {
        command.name: _add(verbs, command, common)
        for command in commands
        if " " not in command.name
    }
    groups: dict[str, Any] = {}
    for command in commands:
        name, _, word = command.name.partition(" ")
        if word:
            if name not in groups:
                groups[name] = _group(verbs, name, parsers.get(name), common)
            _add(groups[name], command, common)
    return parser


def completion(parser: argparse.ArgumentParser, shell: str) -> str:
    """Return a completion script for a shell."""
    import shtab

    parser.prog = "git-branchflow"
    script = str(shtab.complete(parser, shell))
    if shell == "bash":
        # git's own completion calls this for `git branchflow <TAB>`.
        script += "\n_git_branchflow() { _shtab_git_branchflow; }\n"
    return script


def _common() -> argparse.ArgumentParser:
    """Options that may stand before and after the verb."""
    common = Parser(add_help=False, argument_default=argparse.SUPPRESS)
    common.add_argument("-C", dest="directory", metavar="DIR", help="work in DIR")
    common.add_argument("--json", action="store_true", help="print one JSON document")
    common.add_argument("-q", "--quiet", action="store_true", help="no progress on stderr")
    common.add_argument("-v", "--verbose", action="store_true", help="more detail on failures")
    return common


def defaults() -> dict[str, Any]:
    """What the common options are where they are not given."""
    return {
        "directory": os.curdir,
        "json": False,
        "quiet": False,
        "verbose": False,
        "dry_run": False,
    }


def _group(
    verbs: Any, name: str, parser: argparse.ArgumentParser | None, common: argparse.ArgumentParser
) -> Any:
    """Return where the commands of a group go: below its own parser, or that of the bare verb."""
    is_verb = parser is not None
    if parser is None:
        parser = verbs.add_parser(name, help=GROUPS[name], parents=[common])
    return parser.add_subparsers(
        dest="word", metavar="COMMAND", parser_class=Parser, required=not is_verb
    )


def _add(verbs: Any, command: Command, common: argparse.ArgumentParser) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = verbs.add_parser(
        command.name.rpartition(" ")[2],
        help=command.summary,
        description=command.description,
        epilog=f"example:\n  {command.example}",
        parents=[common],
    )
    command.add(parser)
    if command.changes:
        parser.add_argument("-n", "--dry-run", action="store_true", help="show what would change")
    parser.set_defaults(command=command)
    return parser
