"""The command's face: help, JSON, exit codes, completion."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from dvc_branchflow.cli.commands import COMMANDS, load
from dvc_branchflow.cli.run import main
from tests.support.isolation import isolated_env


@pytest.fixture
def laid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository that `init` has just laid, as the working directory."""
    for name, value in isolated_env(tmp_path / "home").items():
        monkeypatch.setenv(name, value)
    repo = tmp_path / "repo"
    assert main(["-q", "-C", str(repo), "init"]) == 0
    monkeypatch.chdir(repo)
    return repo


def test_every_command_of_the_design_is_there() -> None:
    wanted = "init status ingest pin run sync promote release runs compare switch demo"
    assert set(wanted.split()) <= set(COMMANDS)


def test_every_command_is_found_by_its_name() -> None:
    assert [command.name for command in load()] == list(COMMANDS)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (["-C", "status", "-q", "nosuch"], "invalid choice: 'nosuch' (choose from 'init', "),
        (["storage", "nosuch"], "invalid choice: 'nosuch' (choose from 'usage', "),
        (["--nosuch", "status"], "unrecognized arguments: --nosuch"),
    ],
)
def test_a_line_is_read_with_all_commands_that_it_can_mean(
    line: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(line) == 2
    assert says in capsys.readouterr().err


def test_help_before_a_verb_is_that_of_all(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["-h", "status"])
    assert "switch" in capsys.readouterr().out


@pytest.mark.parametrize("command", load(), ids=lambda command: command.name)
def test_help_has_an_example_and_dry_run_where_it_changes(
    command, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*command.name.split(), "-h"])
    shown = capsys.readouterr().out
    assert ended.value.code == 0
    assert command.example in shown
    assert "--json" in shown
    assert ("--dry-run" in shown) is command.changes


@pytest.mark.parametrize("verb", ["status", "runs"])
def test_json_is_one_document_with_its_schema(
    laid: Path, capsys: pytest.CaptureFixture[str], verb: str
) -> None:
    assert main([verb, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["schema"] == f"branchflow/{verb}/1"


def test_a_failure_is_json_too(laid: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--json", "run", "clean"]) == 3
    document = json.loads(capsys.readouterr().out)
    assert document["error"]["code"] == "flow"
    assert document["error"]["hint"] == "git branchflow ingest --source WHERE_FROM FILES"


def test_a_failure_is_one_line_and_its_repair(
    laid: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["release", "stable/none"]) == 3
    lines = capsys.readouterr().err.splitlines()
    assert [line[:6] for line in lines] == ["error:"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ([], 0),
        (["nonsense"], 2),
        (["ingest", "x"], 2),
        (["run"], 2),
        (["run", "--", "-x"], 2),
        (["-C", "/nowhere/at/all", "status"], 2),
        (["compare"], 3),
        (["promote", "raw"], 3),
        (["pin", "raw"], 3),
    ],
)
def test_exit_codes(laid: Path, arguments: list[str], code: int) -> None:
    assert main(arguments) == code


def test_outside_of_a_repository_the_way_in_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["-C", str(tmp_path), "status"]) == 3
    assert "git branchflow init" in capsys.readouterr().err


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_is_a_script_that_names_the_verbs(
    shell: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--print-completion", shell]) == 0
    script = capsys.readouterr().out
    assert "promote" in script
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=script, text=True, check=True)


def test_a_bug_gets_its_own_exit_code_and_a_log(
    laid: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError("no")

    monkeypatch.setattr("dvc_branchflow.status.status", fail)
    assert main(["status"]) == 4
    said = capsys.readouterr().err
    assert "this is a bug" in said
    assert "Traceback" not in said
    Path(said.rsplit(" ", 1)[1].strip()).unlink()


def test_a_branch_that_never_ran_can_be_switched_to(laid: Path) -> None:
    assert main(["-q", "switch", "dev/model"]) == 0
    assert (laid / "src" / "tune.py").is_file()
