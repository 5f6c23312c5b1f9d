"""A branch's own checks: what they see, what is kept of what they say, and how they end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from dvc_branchflow.errors import BranchflowError, RejectedError, RunError
from dvc_branchflow.model import Branch
from dvc_branchflow.project import Project
from dvc_branchflow.work.checks import MAX_RESULT_BYTES, run_checks
from tests.support.repos import Shell

RESULT = "$BRANCHFLOW_RESULT"


@pytest.fixture
def project(sh: Shell, as_user: None) -> Project:
    sh.git("init", "-q")
    return Project.open(sh.cwd)


def run(project: Project, command: str) -> dict[str, Any]:
    where = project.git.toplevel or Path()
    said: list[str] = []
    done = run_checks(
        project, Branch("stable/m"), {"ours": command}, where, {"BRANCHFLOW_TAG": "m@v1"}, said.append
    )  # fmt: skip
    assert said == [f"check 'ours': {command}"]
    return done["ours"]


def test_a_check_runs_where_the_tree_is_and_knows_the_tag(project: Project) -> None:
    assert run(project, "pwd; echo $BRANCHFLOW_TAG")["output"] == f"{project.git.toplevel}\nm@v1"
    assert run(project, "cat; echo end of input")["output"] == "end of input"


def test_the_end_of_its_output_is_kept_as_plain_text(project: Project) -> None:
    noisy = r"printf '\033[31mred\033[0m\n\n10%%\r20%%\r100%%\nbell\007 tab\t\377\n'"
    assert run(project, noisy)["output"] == "red\n100%\nbell tab\ufffd"
    long = run(project, "seq 100000; printf '%0300d\\n' 7")["output"].splitlines()
    assert (len(long), long[0], len(long[-1])) == (20, "99982", 200)


def test_the_result_that_it_writes_is_kept(project: Project) -> None:
    assert run(project, f"""echo '{{"digest": "sha256:1", "x": NaN}}' > {RESULT}""")["result"] == {
        "digest": "sha256:1",
        "x": "nan",
    }
    assert run(project, "true")["result"] == {}  # not that of the check before


@pytest.mark.parametrize(
    "writes",
    [
        f"echo '[1]' > {RESULT}",
        f"echo '{{' > {RESULT}",
        f": > {RESULT}",
        f"head -c {MAX_RESULT_BYTES + 1} /dev/zero > {RESULT}",
        f"printf '\\377' > {RESULT}",
        f"python -c 'print(\"[\" * 9000)' > {RESULT}",
        f'python -c \'print("{{\\"a\\":" * 200 + "1" + "}}" * 200)\' > {RESULT}',
        f"mkdir {RESULT}",
    ],
)
def test_what_is_no_result_stops_it(project: Project, writes: str) -> None:
    with pytest.raises(RunError, match="check 'ours' wrote no JSON object of up to 16 KiB"):
        run(project, writes)
    run(project, "true")


@pytest.mark.parametrize(
    ("command", "kind", "message"),
    [
        ("echo one; echo two; echo three; echo four; exit 7", RejectedError, "two | three | four"),
        ("exit 7", RejectedError, "check 'ours' failed on 'stable/m': exit code 7"),
        ("exit 255", RejectedError, "exit code 255"),
        ("no-such-program", RunError, "check 'ours' can't run on 'stable/m': "),
        ("./no-such-file", RunError, "can't run"),
        ("kill -9 $$", RunError, "was killed on 'stable/m' by signal 9"),
        ("sh -c 'kill -15 $$'; exit $?", RunError, "by signal 15"),
    ],
)
def test_a_no_is_told_from_a_check_that_did_not_run(
    project: Project, command: str, kind: type[BranchflowError], message: str
) -> None:
    with pytest.raises(kind) as caught:
        run(project, command)
    assert message in caught.value.message
    assert caught.value.hint == f"less '{caught.value.log}'"
    assert Path(caught.value.log).is_file()
