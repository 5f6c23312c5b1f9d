"""Puts calls of the judge into Git hooks beside what others have there, and takes them out."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import stat
import sys
from importlib.resources import files as package_files
from pathlib import Path
from typing import Literal

from dvc_branchflow.errors import FlowError, UsageError
from dvc_branchflow.project import Project
from dvc_branchflow.values import dataclass

CLIENT_HOOKS = ("pre-commit", "commit-msg", "pre-merge-commit", "pre-push")
SERVER_HOOKS = ("pre-receive",)
FORGES = ("github", "gitlab")
_ALL_HOOKS = (*CLIENT_HOOKS, *SERVER_HOOKS)
_STDIN_HOOKS = frozenset({"pre-push", "pre-receive"})
_PROGRAM = "git-branchflow-hook"
_SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ksh"})
# A file that is Python to Python and shell to the shell, as pip writes them.
_POLYGLOT = (b"'''", b'"""', b"'exec'", b'"exec"')
# A hook file of our own is this with our block in it; the comment tells it from a user's empty one.
_OWN_FILE = b"#!/bin/sh\n# Made by branchflow; other checks can follow here.\n"

# Goes between a shebang and its newline, so that taking it out restores every byte. Ours comes
# first: DVC's hooks end in `exec`. It holds under `sh -eu`, and sets nothing that stays.
_BLOCK = """
# >>> branchflow >>>
# From `git branchflow hooks install`; `git branchflow hooks uninstall` takes it out.
branchflow_hook={program}
[ -f "$branchflow_hook" ] && [ -x "$branchflow_hook" ] || branchflow_hook={fallback}
branchflow_code=127
{take}if command -v "$branchflow_hook" >/dev/null 2>&1; then
  branchflow_code=0
  "$branchflow_hook" {name} "$@" || branchflow_code=$?
fi
case $branchflow_code in
  0) ;;
  126 | 127) {missing} ;;
  *) exit "$branchflow_code" ;;
esac
{rewind}unset branchflow_hook branchflow_code branchflow_input
# <<< branchflow <<<"""
# A here-document ends in the newline that `$(cat)` took, has no length limit as an argument has,
# and where nothing came, stdin is at its end already.
_REWIND = """\
[ -z "$branchflow_input" ] || exec <<BRANCHFLOW_INPUT || exit 1
$branchflow_input
BRANCHFLOW_INPUT
"""
_TAKE = f"branchflow_input=$(cat) || exit 1\n{_REWIND}"
_SKIPPED = 'echo "branchflow is not installed: its check is skipped (its lines are in $0)" >&2'
_REFUSED = "echo 'branchflow is not installed on this server; the push is refused' >&2; exit 1"
_ANY_BLOCK = re.compile(
    rb"\n# >>> branchflow >>>(?:\n(?!# >>> branchflow >>>$).*)*?\n# <<< branchflow <<<$",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class HookStep:
    """What becomes of one hook file; `reason` says why one is left, and what to do by hand."""

    name: str
    path: Path
    action: Literal["new", "extended", "current", "removed", "left"]
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Edit:
    """A step and the file's new content; None where it is not written."""

    step: HookStep
    content: bytes | None = None


def install(
    project: Project, *, server: bool = False, dry_run: bool = False
) -> tuple[HookStep, ...]:
    """Make the repository's hooks call the judge first; what else they do stays.

    Args:
        server: guard a bare repository's pushes instead of a clone's commits.
    Returns: a step for each hook; "left" is one that can't be extended.
    Raises: FlowError: the wrong kind of repository, hooks that other repositories share, or a
        server's hook that can't be extended.
    """
    names = SERVER_HOOKS if server else CLIENT_HOOKS
    _require_kind(project, server=server)
    folder = _folder(project)
    if not _is_own(project, folder):
        raise _foreign(folder, names)
    edits = [_extension(folder, name) for name in names]
    if server:
        _require_guard(edits)
    return _carry_out(edits, dry_run=dry_run)


def ci_file(forge: str | None) -> str:
    """Return the ready CI file for a forge. Raises: UsageError: for which one was not said."""
    if forge not in FORGES:
        raise UsageError(f"for which forge? There are: {', '.join(FORGES)}",
                         hint=f"git branchflow hooks ci {FORGES[0]}")  # fmt: skip
    file = package_files("dvc_branchflow") / "templates" / "ci" / f"{forge}.yml"
    return file.read_text(encoding="utf-8")


def uninstall(project: Project, *, dry_run: bool = False) -> tuple[HookStep, ...]:
    """Take our lines out of the repository's hooks, client and server ones.

    Returns: a step for each hook that had them; a file that held nothing else is gone.
    """
    folder = _folder(project)
    if not _is_own(project, folder):
        folder = (project.git.common_dir / "hooks").resolve()
    return _carry_out(_removals(folder), dry_run=dry_run)


# -- where the hooks are -----------------------------------------------------------------------


def _require_kind(project: Project, *, server: bool) -> None:
    git = project.git
    if server and git.text("rev-parse", "--is-bare-repository") != "true":
        raise FlowError(
            f"'{git.toplevel or git.git_dir}' is no bare repository: nobody pushes to it",
            hint="git branchflow hooks install",
        )
    if not server and git.toplevel is None:
        raise FlowError(
            f"'{git.git_dir}' has no checkout: nobody commits in it",
            hint="git branchflow hooks install --server",
        )


def _folder(project: Project) -> Path:
    git = project.git
    return (git.toplevel or git.git_dir).joinpath(
        git.text("rev-parse", "--git-path", "hooks")
    ).resolve()  # fmt: skip


def _is_own(project: Project, folder: Path) -> bool:
    """Whether the folder is in the repository itself, not shared and not in a checkout."""
    home, checkout = project.git.common_dir, project.git.toplevel
    if checkout is not None and home in checkout.parents and checkout in folder.parents:
        return False
    return home in folder.parents


def _foreign(folder: Path, names: tuple[str, ...]) -> FlowError:
    others = f" (likewise for {', '.join(names[1:])})" if names[1:] else ""
    return FlowError(
        f"git takes the hooks from '{folder}', outside of this repository: they are left alone",
        hint=f"add to the start of '{folder / names[0]}'{others}: {_by_hand(names[0])}",
    )


# -- what to do --------------------------------------------------------------------------------


def _extension(folder: Path, name: str) -> _Edit:
    path = folder / name
    block = _block(name)
    if not os.path.lexists(path):
        return _Edit(HookStep(name, path, "new"), _with_block(_OWN_FILE, block))
    obstacle = _obstacle(path)
    if obstacle:
        return _Edit(HookStep(name, path, "left", obstacle))
    content = path.read_bytes()
    wanted = _with_block(content, block)
    if wanted == content:
        return _Edit(HookStep(name, path, "current"))
    return _Edit(HookStep(name, path, "extended"), wanted)


def _removals(folder: Path) -> list[_Edit]:
    files: dict[Path, str] = {}  # two hooks may be one file; pre-commit moves ours to "legacy"
    for name in (*_ALL_HOOKS, *(f"{name}.legacy" for name in _ALL_HOOKS)):
        files.setdefault((folder / name).resolve(), name)
    edits: list[_Edit] = []
    for file, name in files.items():
        content = file.read_bytes() if file.is_file() and file.parent == folder else b""
        rest = _ANY_BLOCK.sub(b"", content)
        if rest != content:
            step = HookStep(name, folder / name, "removed")
            edits.append(_Edit(step, None if rest == _OWN_FILE else rest))
    return edits


def _require_guard(edits: list[_Edit]) -> None:
    for step in (edit.step for edit in edits if edit.step.action == "left"):
        raise FlowError(
            f"'{step.path}' {step.reason.partition('; ')[0]}: pushes would not be judged",
            hint=step.reason.partition("; ")[2],
        )


def _obstacle(path: Path) -> str:
    """What keeps us from extending a hook and what to do by hand; empty where nothing does."""
    file = path.resolve()
    call = _by_hand(path.name)
    if not file.is_file():
        return f"is no regular file; remove it, or make it a script that begins with: {call}"
    if file.parent != path.parent:
        return f"is a link to '{file}'; add there: {call}"
    if not os.access(file, os.X_OK):
        return f"is not executable, so git ignores it; chmod +x '{path}', or remove it"
    if path.is_symlink() and _is_shared(path, file):
        return f"""is one file with other hooks; add there: {_by_hand('"${0##*/}"')}"""
    if not _is_shell_script(file.read_bytes()):
        return f"is not a shell script; make it run this first, with its stdin: {call}"
    return ""


def _is_shared(path: Path, file: Path) -> bool:
    others = (path.with_name(name) for name in _ALL_HOOKS if name != path.name)
    return any(other.resolve() == file for other in others)


def _is_shell_script(content: bytes) -> bool:
    shebang, _, rest = content.partition(b"\n")
    if not shebang.startswith(b"#!") or rest.lstrip().startswith(_POLYGLOT):
        return False
    words = re.split("[ \t]", shebang[2:].decode(errors="replace"))
    names = [word.rpartition("/")[2] for word in words if word]
    if names[:1] == ["env"]:
        names = [name for name in names[1:] if not name.startswith("-") and "=" not in name]
    return bool(names) and names[0] in _SHELLS


# -- the lines ---------------------------------------------------------------------------------


def _block(name: str) -> bytes:
    reads_stdin = name in _STDIN_HOOKS
    block = _BLOCK.format(
        program=shlex.quote(str(_program())),
        fallback=_PROGRAM,
        name=name,
        take=_TAKE if reads_stdin else "",
        rewind=_REWIND if reads_stdin else "",
        missing=_REFUSED if name in SERVER_HOOKS else _SKIPPED,
    )
    return block.encode("utf-8", "surrogateescape")


def _program() -> Path:
    """Where the command is that hooks call: the one that the user would run, or our own."""
    found = shutil.which(_PROGRAM)
    return Path(found).absolute() if found else Path(sys.executable).with_name(_PROGRAM)


def _by_hand(name: str) -> str:
    return f'{_PROGRAM} {name} "$@" || exit $?'


def _with_block(content: bytes, block: bytes) -> bytes:
    """Return a script with our block: where an older one stands, else right after the shebang."""
    if _ANY_BLOCK.search(content):
        return _ANY_BLOCK.sub(lambda _: block, content)
    shebang, newline, rest = content.partition(b"\n")
    return shebang + block + newline + rest


# -- doing it ----------------------------------------------------------------------------------


def _carry_out(edits: list[_Edit], *, dry_run: bool) -> tuple[HookStep, ...]:
    for edit in () if dry_run else edits:
        file = edit.step.path.resolve()
        if edit.content is not None:
            _write(file, edit.content)
        elif edit.step.action == "removed":
            file.unlink()
    return tuple(edit.step for edit in edits)


def _write(file: Path, content: bytes) -> None:
    """Put a hook in place at once, with the mode it had: git may start it at any moment."""
    file.parent.mkdir(parents=True, exist_ok=True)
    aside = file.with_name(f"{file.name}.{os.urandom(4).hex()}.new")
    try:
        with open(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o777), "wb") as stream:  # noqa: PTH123
            stream.write(content)
        if file.exists():
            aside.chmod(stat.S_IMODE(file.stat().st_mode))
        aside.replace(file)
    finally:
        aside.unlink(missing_ok=True)
