"""Hooks as git runs them: the judge first, then what the user had, with nothing of his changed."""

from __future__ import annotations

import os
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

import pytest

from dvc_branchflow.errors import FlowError
from dvc_branchflow.hooks import CLIENT_HOOKS, SERVER_HOOKS, HookStep, install, uninstall
from dvc_branchflow.project import Project
from tests.functional.conftest import Team
from tests.support.repos import Shell, bare_origin, clone

pytestmark = pytest.mark.slow

PROGRAM = "git-branchflow-hook"
JUDGE = """\
#!/bin/sh
here=$(dirname "$0")
echo "$*" >> "$here/calls"
echo "${GIT_INDEX_FILE-}" > "$here/index-$1"
cat > "$here/stdin-$1"
exit "$(cat "$here/code")"
"""
# Fails where a variable is unset, a command fails, or stdin is not what git wrote.
STRICT = """\
set -eu
echo "user $#" >> "{log}"
while read -r line; do printf '%s\\n' "$line" >> "{log}"; done
[ "${{branchflow_code-gone}}${{branchflow_hook-gone}}${{branchflow_input-gone}}" = gonegonegone ]
"""


@dataclass
class Judge:
    """A `git-branchflow-hook` that keeps what it was given and says what the test wants."""

    folder: Path

    def answer(self, code: int) -> None:
        (self.folder / "code").write_text(str(code))

    def calls(self) -> list[str]:
        log = self.folder / "calls"
        return log.read_text().splitlines() if log.exists() else []

    def stdin(self, name: str) -> str:
        return (self.folder / f"stdin-{name}").read_text()

    def index(self, name: str) -> str:
        return (self.folder / f"index-{name}").read_text().strip()

    def remove(self) -> None:
        (self.folder / PROGRAM).unlink()


@pytest.fixture
def judge(tmp_path: Path, sh: Shell, as_user: None, monkeypatch: pytest.MonkeyPatch) -> Judge:
    folder = tmp_path / """it's a "bin" {x} $HOME `id`"""
    folder.mkdir()
    executable(folder / PROGRAM, JUDGE)
    made = Judge(folder)
    made.answer(0)
    monkeypatch.setenv("PATH", path_with(sh, folder))
    return made


@pytest.fixture
def repo(sh: Shell, judge: Judge) -> Shell:
    """A clone with a commit, below a folder whose name has to be quoted; git finds no judge."""
    plain = sh.with_env({"PATH": without_package(sh.env["PATH"])})
    made = clone(bare_origin(sh.cwd / "origin.git", plain), sh.cwd / """a "clone" of $1's""", plain)
    made.git("commit", "--quiet", "--allow-empty", "-m", "First")
    made.git("push", "--quiet", "origin", "main")
    return made


@pytest.fixture
def server(repo: Shell) -> Shell:
    return repo.at(repo.cwd.parent / "origin.git")


def without_package(path: str) -> str:
    """A search path without the installed package: git has to take the recorded program."""
    folders = path.split(os.pathsep)
    return os.pathsep.join(part for part in folders if not (Path(part) / "git-branchflow").exists())


def path_with(at: Shell, folder: Path | str) -> str:
    """The search path of a shell with a folder before the others."""
    return f"{folder}{os.pathsep}{without_package(at.env['PATH'])}"


def executable(path: Path, content: str | bytes, mode: int = 0o755) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(mode)
    return path


def hook(at: Shell, name: str) -> Path:
    return at.cwd / at.git("rev-parse", "--git-path", "hooks") / name


def put_in(at: Shell, *, server: bool = False, dry_run: bool = False) -> tuple[HookStep, ...]:
    return install(Project.open(at.cwd), server=server, dry_run=dry_run)


def take_out(at: Shell) -> tuple[HookStep, ...]:
    return uninstall(Project.open(at.cwd))


def actions(steps: tuple[HookStep, ...]) -> dict[str, str]:
    return {step.name: step.action for step in steps}


def commit(at: Shell, *args: str) -> str:
    """Commit; what was said on stderr."""
    return at.run("git", "commit", "--quiet", "--allow-empty", "-m", "More", *args).stderr


def refuses(at: Shell, *args: str) -> str:
    """Run a git command that a hook has to stop; what was said."""
    done = at.run("git", *args, check=False)
    assert done.returncode != 0, done.stderr
    return done.stderr


def snapshot(folder: Path) -> dict[str, tuple[int, int, bytes]]:
    """Mode, modification time and content of every file in a folder."""
    found = {path: path.lstat() for path in sorted(folder.rglob("*"))}
    return {
        str(path): (info.st_mode, info.st_mtime_ns, path.read_bytes() if path.is_file() else b"")
        for path, info in found.items()
    }


# --- Where there is no hook -------------------------------------------------------------------


def test_commit_and_push_are_judged(repo: Shell, judge: Judge) -> None:
    assert actions(put_in(repo)) == dict.fromkeys(CLIENT_HOOKS, "new")
    assert commit(repo) == ""
    repo.git("push", "--quiet", "origin", "main:other")
    url = repo.git("remote", "get-url", "origin")
    message = next(call for call in judge.calls() if call.startswith("commit-msg"))
    assert message.endswith("COMMIT_EDITMSG")
    assert judge.calls() == ["pre-commit", message, f"pre-push origin {url}"]
    head = repo.git("rev-parse", "HEAD")
    assert judge.stdin("pre-push") == f"refs/heads/main {head} refs/heads/other {'0' * 40}\n"


def test_merge_is_judged(repo: Shell, judge: Judge) -> None:
    put_in(repo)
    repo.git("switch", "--quiet", "-c", "side")
    commit(repo)
    repo.git("switch", "--quiet", "main")
    repo.git("merge", "--quiet", "--no-ff", "-m", "Merge", "side")
    assert judge.calls()[2] == "pre-merge-commit"
    judge.answer(1)
    repo.git("reset", "--quiet", "--hard", "HEAD^")
    refuses(repo, "merge", "--no-ff", "-m", "Merge", "side")


def test_judge_sees_the_index_of_a_partial_commit(repo: Shell, judge: Judge) -> None:
    put_in(repo)
    for name in ("a", "b"):
        (repo.cwd / name).write_text(name)
        repo.git("add", name)
    commit(repo, "--", "a")
    assert "next-index" in judge.index("pre-commit")


@pytest.mark.parametrize("code", [1, 3, 130])
def test_commit_is_stopped_where_the_judge_says_no(repo: Shell, judge: Judge, code: int) -> None:
    put_in(repo)
    judge.answer(code)
    before = repo.git("rev-parse", "HEAD")
    refuses(repo, "commit", "--allow-empty", "-m", "More")
    assert repo.git("rev-parse", "HEAD") == before
    assert repo.run(hook(repo, "pre-commit"), check=False).returncode == code


def test_push_is_stopped_where_the_judge_says_no(repo: Shell, judge: Judge) -> None:
    put_in(repo)
    judge.answer(1)
    refuses(repo, "push", "origin", "main:other")
    assert "other" not in repo.git("ls-remote", "origin")


def test_file_of_ours_takes_its_mode_from_the_umask(repo: Shell, judge: Judge) -> None:
    before = os.umask(0o007)
    try:
        put_in(repo)
    finally:
        os.umask(before)
    assert stat.S_IMODE(hook(repo, "pre-push").stat().st_mode) == 0o770


def test_missing_hooks_folder_is_made(repo: Shell, judge: Judge) -> None:
    shutil.rmtree(repo.cwd / ".git" / "hooks")
    put_in(repo)
    commit(repo)
    assert judge.calls()[0] == "pre-commit"


# --- Beside another's hook --------------------------------------------------------------------


def test_hooks_of_dvc_run_after_the_judge(team: Team, judge: Judge) -> None:
    (team.sh.cwd / ".git" / "hooks").mkdir(exist_ok=True)
    team.sh.dvc("install")
    before = hook(team.sh, "pre-push").read_bytes()
    assert actions(put_in(team.sh)) == {
        "pre-commit": "extended",
        "commit-msg": "new",
        "pre-merge-commit": "new",
        "pre-push": "extended",
    }
    real = shutil.which("dvc", path=team.sh.env["PATH"])
    log = team.base / "dvc-log"
    tee = f"""#!/bin/sh\nrefs=$(cat)\nprintf '%s|' "$*" "$refs" >> {log}\nexec {real} "$@"\n"""
    bin_folder = executable(team.base / "bin" / "dvc", tee).parent
    sh = team.sh.with_env({"PATH": f"{bin_folder}{os.pathsep}{team.sh.env['PATH']}"})
    commit(sh)
    sh.git("push", "--quiet", "origin", "main:other")
    assert [call.split()[0] for call in judge.calls()] == ["pre-commit", "commit-msg", "pre-push"]
    url = sh.git("remote", "get-url", "origin")
    refs = judge.stdin("pre-push").rstrip("\n")
    assert refs.startswith("refs/heads/main ")
    assert log.read_text() == f"git-hook pre-commit||git-hook pre-push origin {url}|{refs}|"
    assert actions(take_out(sh)) == dict.fromkeys(CLIENT_HOOKS, "removed")
    assert hook(sh, "pre-push").read_bytes() == before


SHEBANGS = ["#!/bin/sh", "#! /bin/sh -eu", "#!/usr/bin/env bash", "#!/bin/bash -eu",
            "#!/usr/bin/env -S LC_ALL=C bash -e", "#!/bin/dash\t-eu"]  # fmt: skip


@pytest.mark.parametrize("shebang", SHEBANGS)
def test_hook_of_the_user_reads_the_refs_as_well(repo: Shell, judge: Judge, shebang: str) -> None:
    log = repo.cwd.parent / "log"
    executable(hook(repo, "pre-push"), f"{shebang}\n{STRICT.format(log=log)}")
    assert actions(put_in(repo))["pre-push"] == "extended"
    repo.git("push", "--quiet", "origin", "main:one", "main:two")
    refs = judge.stdin("pre-push")
    assert len(refs.splitlines()) == 2
    assert log.read_text() == f"user 2\n{refs}"


def test_hook_of_the_user_is_not_run_where_the_judge_says_no(repo: Shell, judge: Judge) -> None:
    log = repo.cwd.parent / "log"
    for name in ("pre-commit", "pre-push"):
        executable(hook(repo, name), f"#!/bin/bash\n{STRICT.format(log=log)}")
    put_in(repo)
    judge.answer(1)
    refuses(repo, "commit", "--allow-empty", "-m", "More")
    refuses(repo, "push", "origin", "main:other")
    assert not log.exists()


def test_push_is_stopped_where_the_hook_of_the_user_says_no(repo: Shell, judge: Judge) -> None:
    executable(hook(repo, "pre-push"), "#!/bin/sh\nexit 7\n")
    put_in(repo)
    refuses(repo, "push", "origin", "main:other")
    assert len(judge.calls()) == 1


def test_push_of_nothing_reads_as_nothing(repo: Shell, judge: Judge) -> None:
    log = repo.cwd.parent / "log"
    executable(hook(repo, "pre-push"), f"#!/bin/sh\n{STRICT.format(log=log)}")
    put_in(repo)
    repo.git("push", "--quiet", "origin", "main")
    assert judge.stdin("pre-push") == ""
    assert log.read_text() == "user 2\n"


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_many_refs_reach_both(repo: Shell, judge: Judge, shell: str) -> None:
    log = repo.cwd.parent / "log"
    path = executable(hook(repo, "pre-push"), f"#!/bin/{shell}\ncat > '{log}'\n")
    put_in(repo)
    refs = "".join(f"refs/heads/$x`y`\\{n} {n:040} refs/heads/b {n:040}\n" for n in range(5000))
    repo.run(path, "origin", "url", input=refs)
    assert judge.stdin("pre-push") == refs
    assert log.read_text() == refs


@pytest.mark.parametrize("shell", ["sh", "bash"])
def test_judge_that_does_not_read_takes_nothing_away(repo: Shell, judge: Judge, shell: str) -> None:
    executable(judge.folder / PROGRAM, "#!/bin/sh\nexit 0\n")
    log = repo.cwd.parent / "log"
    path = executable(hook(repo, "pre-push"), f"#!/bin/{shell}\ncat > '{log}'\n")
    put_in(repo)
    refs = f"{'r' * 99}\n" * 2000
    repo.run(path, input=refs)
    assert log.read_text() == refs


LEFT = {
    "python": b"#!/usr/bin/env python3\nprint('mine')\n",
    "node": b"#!/usr/bin/env -S node --no-warnings\nconsole.log('sh')\n",
    "both": b"#!/bin/sh\n'''exec' python3 \"$0\" \"$@\"\n' '''\nprint('mine')\n",
    "fish": b"#!/usr/bin/fish\n",
    "bare env": b"#!/usr/bin/env\n",
    "windows": b"#!/bin/sh\r\necho mine\r\n",
    "no shebang": b"echo mine\n",
    "empty": b"",
    "binary": b"\x7fELF\x02\x00\n\xff",
}


@pytest.mark.parametrize("content", LEFT.values(), ids=LEFT.keys())
def test_hook_that_is_no_shell_script_is_left(repo: Shell, judge: Judge, content: bytes) -> None:
    path = executable(hook(repo, "pre-push"), content, 0o711)
    before = snapshot(path.parent)[str(path)]
    steps = {step.name: step for step in put_in(repo)}
    assert steps["pre-push"].action == "left"
    assert 'git-branchflow-hook pre-push "$@"' in steps["pre-push"].reason
    assert snapshot(path.parent)[str(path)] == before
    assert steps["pre-commit"].action == "new"
    assert "pre-push" not in actions(take_out(repo))
    assert snapshot(path.parent)[str(path)] == before


def test_hook_that_git_ignores_is_left(repo: Shell, judge: Judge) -> None:
    path = executable(hook(repo, "pre-commit"), "#!/bin/sh\nexit 1\n", 0o644)
    before = snapshot(path.parent)[str(path)]
    step = put_in(repo)[0]
    assert (step.action, "chmod +x" in step.reason) == ("left", True)
    assert snapshot(path.parent)[str(path)] == before


def test_links_folders_and_shared_files_are_left(repo: Shell, judge: Judge) -> None:
    elsewhere = executable(repo.cwd / "tools" / "check.sh", "#!/bin/sh\n")
    shared = executable(hook(repo, "dispatch"), "#!/bin/sh\n")
    hook(repo, "pre-commit").symlink_to(elsewhere)
    hook(repo, "commit-msg").symlink_to("dispatch")
    hook(repo, "pre-merge-commit").symlink_to("dispatch")
    hook(repo, "pre-push").mkdir()
    steps = put_in(repo)
    assert {step.action for step in steps} == {"left"}
    assert [word in step.reason for word, step in zip(
        (str(elsewhere), "${0##*/}", "${0##*/}", "no regular file"), steps, strict=True
    )] == [True] * 4  # fmt: skip
    assert {elsewhere.read_bytes(), shared.read_bytes()} == {b"#!/bin/sh\n"}
    executable(elsewhere, "#!/bin/sh\n# >>> branchflow >>>\n# <<< branchflow <<<\n")
    assert take_out(repo) == ()
    hook(repo, "pre-push").rmdir()
    hook(repo, "pre-push").symlink_to("nowhere")
    assert put_in(repo)[-1].action == "left"


def test_link_inside_of_the_hooks_folder_is_followed(repo: Shell, judge: Judge) -> None:
    log = repo.cwd.parent / "log"
    file = executable(hook(repo, "checks.sh"), f"#!/bin/sh\necho ran > '{log}'\n")
    hook(repo, "pre-commit").symlink_to("checks.sh")
    before = file.read_bytes()
    assert put_in(repo)[0].action == "extended"
    commit(repo)
    assert (judge.calls()[0], log.read_text()) == ("pre-commit", "ran\n")
    take_out(repo)
    assert file.read_bytes() == before
    assert hook(repo, "pre-commit").is_symlink()


# --- Again, anew, and out ---------------------------------------------------------------------


def test_second_install_writes_nothing(repo: Shell, judge: Judge) -> None:
    executable(hook(repo, "pre-push"), "#!/bin/bash\necho mine\n")
    put_in(repo)
    before = snapshot(repo.cwd / ".git" / "hooks")
    assert actions(put_in(repo)) == dict.fromkeys(CLIENT_HOOKS, "current")
    assert snapshot(repo.cwd / ".git" / "hooks") == before


def test_older_block_is_replaced_where_it_stands(
    repo: Shell, judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = b"# >>> branchflow >>>\nold lines\n# <<< branchflow <<<"
    executable(hook(repo, "pre-commit"), b"#!/bin/sh\nPATH=$PATH:/x\n" + old + b"\necho mine\n")
    assert put_in(repo)[0].action == "extended"
    content = hook(repo, "pre-commit").read_bytes()
    assert content.startswith(b"#!/bin/sh\nPATH=$PATH:/x\n# >>> branchflow >>>\n")
    assert content.endswith(b"\n# <<< branchflow <<<\necho mine\n")
    assert content.count(b"branchflow >>>") == 1
    assert b"old lines" not in content
    take_out(repo)
    assert hook(repo, "pre-commit").read_bytes() == b"#!/bin/sh\nPATH=$PATH:/x\necho mine\n"


def test_program_that_moved_is_found_after_another_install(
    repo: Shell, judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_in(repo)
    moved = judge.folder.with_name("moved")
    judge.folder.rename(moved)
    monkeypatch.setenv("PATH", path_with(repo, moved))
    assert actions(put_in(repo)) == dict.fromkeys(CLIENT_HOOKS, "extended")
    commit(repo)
    assert Judge(moved).calls()[0] == "pre-commit"
    assert actions(take_out(repo)) == dict.fromkeys(CLIENT_HOOKS, "removed")


def test_half_a_block_costs_no_line_of_the_user(repo: Shell, judge: Judge) -> None:
    half = b"#!/bin/sh\n# >>> branchflow >>>\necho mine\n"
    whole = b"# >>> branchflow >>>\nold lines\n# <<< branchflow <<<\n"
    for content in (half, half + whole + b"echo more\n", half.replace(b">>>", b"<<<") + whole):
        path = executable(hook(repo, "pre-commit"), content)
        put_in(repo)
        commit(repo)
        assert judge.calls().pop(-2) == "pre-commit"
        take_out(repo)
        assert path.read_bytes() == content.replace(whole, b"")


USERS = {
    "plain": b"#!/bin/sh\necho mine\n",
    "shebang alone": b"#!/bin/sh\n",
    "not even a newline": b"#!/usr/bin/env bash",
    "no final newline": b"#!/bin/sh\n\n\ntrue",
    "other bytes": b"#!/bin/bash\nexit 0\n\xff\xfe\r\n\ttrue\r\n\x0c\x85\n",
    "pre-commit framework": b"#!/usr/bin/env bash\n# File generated by pre-commit: https://pre-commit.com\n"
    b"ARGS=(hook-impl)\ntrue\n",
}


@pytest.mark.parametrize("content", USERS.values(), ids=USERS.keys())
def test_uninstall_restores_every_byte(repo: Shell, judge: Judge, content: bytes) -> None:
    path = executable(hook(repo, "pre-commit"), content, 0o750)
    put_in(repo)
    assert stat.S_IMODE(path.stat().st_mode) == 0o750
    commit(repo)
    assert judge.calls()[0] == "pre-commit"
    assert actions(take_out(repo)) == dict.fromkeys(CLIENT_HOOKS, "removed")
    assert path.read_bytes() == content
    assert stat.S_IMODE(path.stat().st_mode) == 0o750
    assert not any(hook(repo, name).exists() for name in CLIENT_HOOKS[1:])
    assert take_out(repo) == ()


def test_file_of_ours_that_the_user_added_to_is_kept(repo: Shell, judge: Judge) -> None:
    put_in(repo)
    with hook(repo, "pre-commit").open("a") as stream:
        stream.write("echo mine\n")
    take_out(repo)
    assert hook(repo, "pre-commit").read_text().endswith("\necho mine\n")
    assert "branchflow-hook" not in hook(repo, "pre-commit").read_text()


def test_uninstall_finds_what_pre_commit_moved_aside(repo: Shell, judge: Judge) -> None:
    put_in(repo)
    hook(repo, "pre-commit").rename(hook(repo, "pre-commit.legacy"))
    assert "pre-commit.legacy" in actions(take_out(repo))
    assert not hook(repo, "pre-commit.legacy").exists()


def test_dry_run_tells_the_same_and_writes_nothing(repo: Shell, judge: Judge) -> None:
    executable(hook(repo, "pre-push"), "#!/bin/bash\n")
    executable(hook(repo, "commit-msg"), "#!/usr/bin/python3\n")
    before = snapshot(repo.cwd / ".git" / "hooks")
    told = put_in(repo, dry_run=True)
    assert snapshot(repo.cwd / ".git" / "hooks") == before
    assert put_in(repo) == told
    before = snapshot(repo.cwd / ".git" / "hooks")
    told = uninstall(Project.open(repo.cwd), dry_run=True)
    assert snapshot(repo.cwd / ".git" / "hooks") == before
    assert take_out(repo) == told


def test_failed_write_leaves_the_hook_and_no_litter(
    repo: Shell, judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    executable(hook(repo, "pre-commit"), "#!/bin/sh\necho mine\n")
    before = snapshot(repo.cwd / ".git" / "hooks")

    def fail(*_: object) -> None:
        raise PermissionError(13, "denied")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(PermissionError):
        put_in(repo)
    assert snapshot(repo.cwd / ".git" / "hooks") == before


# --- Without the package ----------------------------------------------------------------------


def test_commit_goes_on_where_the_package_is_gone(repo: Shell, judge: Judge) -> None:
    log = repo.cwd.parent / "log"
    executable(hook(repo, "pre-push"), f"#!/bin/bash\n{STRICT.format(log=log)}")
    put_in(repo)
    judge.remove()
    said = commit(repo)
    assert said.count("\n") == 2  # one line for each of pre-commit and commit-msg
    assert said.startswith("branchflow is not installed: its check is skipped")
    assert "hooks/pre-commit)" in said
    repo.git("push", "--quiet", "origin", "main:other")
    assert log.read_text().count("refs/heads/other") == 1


@pytest.mark.parametrize(
    ("shell", "program"),
    [("sh", "#!/gone/python\n"), ("bash", "#!/gone/python\n"), ("bash", "\x7fELF\0\0\n")],
    ids=["127 in sh", "its interpreter in bash", "126 in bash"],
)
def test_commit_goes_on_where_the_program_cannot_run(
    repo: Shell, judge: Judge, shell: str, program: str
) -> None:
    executable(hook(repo, "pre-commit"), f"#!/bin/{shell}\n")
    put_in(repo)
    hook(repo, "commit-msg").unlink()
    executable(judge.folder / PROGRAM, program)
    assert "branchflow is not installed" in commit(repo)


def test_program_on_the_path_is_taken_where_the_recorded_one_is_gone(
    repo: Shell, judge: Judge
) -> None:
    put_in(repo)
    other = judge.folder.with_name("other")
    judge.folder.rename(other)
    judge.folder.joinpath(PROGRAM).mkdir(parents=True)  # a folder is "executable" as well
    commit(repo.with_env({"PATH": path_with(repo, other)}))
    assert Judge(other).calls()[0] == "pre-commit"


def test_program_beside_python_is_recorded_where_the_path_has_none(
    repo: Shell, judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", repo.env["PATH"])
    monkeypatch.setattr("sys.executable", str(judge.folder / "python"))
    put_in(repo)
    judge.answer(1)
    refuses(repo, "commit", "--allow-empty", "-m", "More")


def test_program_in_a_relative_folder_of_the_path_is_recorded_in_full(
    repo: Shell, judge: Judge, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(judge.folder.parent)
    monkeypatch.setenv("PATH", path_with(repo, judge.folder.name))
    put_in(repo)
    commit(repo)
    assert judge.calls()[0] == "pre-commit"


# --- A server ---------------------------------------------------------------------------------


def test_pushes_to_a_server_are_judged(repo: Shell, server: Shell, judge: Judge) -> None:
    assert actions(put_in(server, server=True)) == dict.fromkeys(SERVER_HOOKS, "new")
    repo.git("push", "--quiet", "origin", "main:one")
    head = repo.git("rev-parse", "HEAD")
    assert judge.calls() == ["pre-receive"]
    assert judge.stdin("pre-receive") == f"{'0' * 40} {head} refs/heads/one\n"
    judge.answer(1)
    assert "pre-receive hook declined" in refuses(repo, "push", "origin", "main:two")
    assert actions(take_out(server)) == dict.fromkeys(SERVER_HOOKS, "removed")
    repo.git("push", "--quiet", "origin", "main:two")


@pytest.mark.parametrize("shebang", ["#!/bin/sh", "#!/bin/bash -eu"])
def test_hook_of_the_server_runs_after_the_judge(
    repo: Shell, server: Shell, judge: Judge, shebang: str
) -> None:
    log = server.cwd / "log"
    executable(hook(server, "pre-receive"), f"{shebang}\n{STRICT.format(log=log)}")
    assert actions(put_in(server, server=True)) == {"pre-receive": "extended"}
    repo.git("push", "--quiet", "origin", "main:one", "main:two")
    assert log.read_text() == f"user 0\n{judge.stdin('pre-receive')}"
    assert len(log.read_text().splitlines()) == 3
    judge.answer(1)
    before = log.read_text()
    refuses(repo, "push", "origin", "main:three")
    assert log.read_text() == before


@pytest.mark.parametrize("state", ["removed", "no interpreter", "not executable"])
def test_server_refuses_where_the_package_is_gone(
    repo: Shell, server: Shell, judge: Judge, state: str
) -> None:
    put_in(server, server=True)
    if state == "removed":
        judge.remove()
    else:
        executable(judge.folder / PROGRAM, "#!/gone\n", 0o644 if state[:3] == "not" else 0o755)
    said = refuses(repo, "push", "origin", "main:other")
    assert "branchflow is not installed on this server; the push is refused" in said
    assert "other" not in repo.git("ls-remote", "origin")


@pytest.mark.parametrize("missing", ["here-documents", "cat"])
def test_server_refuses_where_the_refs_cannot_be_kept(
    server: Shell, judge: Judge, missing: str
) -> None:
    path = executable(hook(server, "pre-receive"), "#!/bin/bash\n")
    put_in(server, server=True)
    content = path.read_text()
    broken = {"here-documents": ("exec <<", "exec </gone/x <<"), "cat": ("$(cat)", "$(gone-cat)")}
    path.write_text(content.replace(*broken[missing]))
    assert server.run(path, input="old new refs/heads/x\n", check=False).returncode == 1
    assert judge.calls() == []


@pytest.mark.parametrize(
    ("content", "mode", "way_out"),
    [
        ("#!/usr/bin/python3\n", 0o755, "git-branchflow-hook pre-receive"),
        ("#!/bin/sh\n", 0o644, "chmod +x"),
    ],
)
def test_server_hook_that_cannot_be_extended_is_an_error(
    server: Shell, judge: Judge, content: str, mode: int, way_out: str
) -> None:
    path = executable(hook(server, "pre-receive"), content, mode)
    with pytest.raises(FlowError, match="would not be judged") as caught:
        put_in(server, server=True, dry_run=True)
    assert way_out in (caught.value.hint or "")
    with pytest.raises(FlowError):
        put_in(server, server=True)
    assert path.read_text() == content


def test_wrong_kind_of_repository_is_refused(repo: Shell, server: Shell, judge: Judge) -> None:
    with pytest.raises(FlowError, match="no checkout") as caught:
        put_in(server)
    assert caught.value.hint == "git branchflow hooks install --server"
    for folder in (repo.cwd, repo.cwd / ".git"):
        with pytest.raises(FlowError, match="no bare repository"):
            put_in(repo.at(folder), server=True)
    with pytest.raises(FlowError, match="no checkout"):
        put_in(repo.at(repo.cwd / ".git"))
    assert not hook(repo, "pre-receive").exists()
    assert not hook(server, "pre-commit").exists()


# --- Where git keeps the hooks ----------------------------------------------------------------


@pytest.mark.parametrize("place", ["global", "tracked", "linked"])
def test_hooks_folder_of_others_is_refused_and_untouched(
    repo: Shell, judge: Judge, place: str
) -> None:
    folder = repo.cwd / ".husky" if place == "tracked" else repo.cwd.parent / "all my hooks"
    executable(folder / "pre-commit", "#!/bin/sh\n")
    if place == "linked":
        shutil.rmtree(repo.cwd / ".git" / "hooks")
        (repo.cwd / ".git" / "hooks").symlink_to(folder)
    else:
        scope = ["--global"] if place == "global" else []
        repo.git("config", *scope, "core.hooksPath", ".husky" if place == "tracked" else folder)
    before = snapshot(folder)
    for dry_run in (True, False):
        with pytest.raises(FlowError, match="outside of this repository") as caught:
            put_in(repo, dry_run=dry_run)
    line = 'git-branchflow-hook pre-commit "$@" || exit $?'
    assert (caught.value.hint or "").endswith(line)
    assert f"'{folder / 'pre-commit'}' (likewise for commit-msg, " in (caught.value.hint or "")
    assert take_out(repo) == ()
    assert snapshot(folder) == before
    executable(folder / "pre-commit", f"#!/bin/sh\n{line}\n")
    judge.answer(1)
    at = repo.with_env({"PATH": path_with(repo, judge.folder)})
    refuses(at, "commit", "--allow-empty", "-m", "More")


def test_tracked_hooks_of_a_worktree_inside_a_bare_repository_are_refused(
    repo: Shell, server: Shell, judge: Judge
) -> None:
    server.git("worktree", "add", "--quiet", "inside", "main")
    server.git("config", "core.hooksPath", ".husky")
    with pytest.raises(FlowError, match="outside of this repository"):
        put_in(server.at(server.cwd / "inside"))


def test_uninstall_finds_hooks_from_before_a_hooks_path(repo: Shell, judge: Judge) -> None:
    put_in(repo)
    repo.git("config", "core.hooksPath", "/nowhere")
    assert actions(take_out(repo)) == dict.fromkeys(CLIENT_HOOKS, "removed")


def test_hooks_path_inside_of_the_repository_is_used(repo: Shell, judge: Judge) -> None:
    repo.git("config", "core.hooksPath", ".git/all/my hooks")
    sub = repo.cwd / "sub"
    sub.mkdir()
    assert put_in(repo.at(sub))[0].path == repo.cwd / ".git/all/my hooks/pre-commit"
    commit(repo)
    assert judge.calls()[0] == "pre-commit"


def test_linked_worktree_shares_the_hooks(repo: Shell, judge: Judge) -> None:
    repo.git("worktree", "add", "--quiet", "../linked", "-b", "side")
    linked = repo.at(repo.cwd.parent / "linked")
    steps = put_in(linked)
    assert steps[0].path == repo.cwd / ".git" / "hooks" / "pre-commit"
    commit(linked)
    commit(repo)
    assert [call for call in judge.calls() if call == "pre-commit"] == ["pre-commit"] * 2
    assert actions(put_in(repo)) == dict.fromkeys(CLIENT_HOOKS, "current")
    assert actions(take_out(linked)) == dict.fromkeys(CLIENT_HOOKS, "removed")
