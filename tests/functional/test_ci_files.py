"""The files for CI do what they say: their scripts are run, with `git branchflow` played by a fake."""

from __future__ import annotations

import os
import re
import shlex
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.repos import Shell, bare_origin, clone

ROOT = Path(__file__).resolve().parents[2]
GITHUB = ROOT / "dvc_branchflow/templates/ci/github.yml"
GITLAB = ROOT / "dvc_branchflow/templates/ci/gitlab.yml"
PRE_COMMIT = ROOT / ".pre-commit-hooks.yaml"

# A branch name that Git and the forges accept.
EVIL = "x'\"$(touch${IFS}pwned)`touch${IFS}pwned`;touch${IFS}pwned&"
BASES = ["raw", "stable/churn", EVIL]
# Logs its arguments, each ended by NUL, calls apart by a newline; ends with FAKE_CODE.
FAKE = """\
#!/bin/sh
{ printf '%s\\0' "$@"; printf '\\n'; } >> "$FAKE_LOG.${0##*/}"
case "$*" in *--sarif*) [ "$FAKE_CODE" -gt 1 ] || echo '{"version": "2.1.0"}' ;; *) echo found ;; esac
exit "$FAKE_CODE"
"""
PIP = """\
#!/bin/sh
{ printf '%s\\0' "$@"; printf '\\n'; } >> "$FAKE_LOG.${0##*/}"
"""


# --- A forge's runner, as far as the files can tell -----------------------------------------------


class Runner:
    """A checkout as CI makes it, and fakes of what the scripts call."""

    def __init__(self, sh: Shell) -> None:
        origin = bare_origin(sh.cwd / "origin.git", sh)
        work = clone(origin, sh.cwd / "work", sh)
        work.git("commit", "--quiet", "--allow-empty", "-m", "First")
        for base in BASES:
            work.git("push", "--quiet", "origin", f"HEAD:refs/heads/{base}")
        work.git("push", "--quiet", "origin", "HEAD:refs/heads/main")
        self.checkout = sh.at(sh.cwd / "checkout")
        sh.git("init", "--quiet", self.checkout.cwd)
        self.checkout.git("remote", "add", "origin", origin)
        self.checkout.git("fetch", "--quiet", "origin", "main")
        self.checkout.git("checkout", "--quiet", "--detach", "FETCH_HEAD")
        self.sarif = self.checkout.cwd / "branchflow.sarif"
        self._log = sh.cwd / "log"
        self._bin = sh.cwd / "bin"
        self._bin.mkdir()
        for name, text in (("git-branchflow", FAKE), ("pip", PIP)):
            file = self._bin / name
            file.write_text(text)
            file.chmod(file.stat().st_mode | stat.S_IXUSR)

    def run(self, script: str, *, code: int = 0, **env: str) -> subprocess.CompletedProcess[str]:
        """Run a script as the forges do: by a shell that stops at the first failure."""
        fakes = {"FAKE_LOG": str(self._log), "FAKE_CODE": str(code)}
        path = f"{self._bin}{os.pathsep}{self.checkout.env['PATH']}"
        shell = self.checkout.with_env({**fakes, **env, "PATH": path})
        return shell.run("sh", "-e", "-c", script, check=False)

    def calls(self, program: str = "git-branchflow") -> list[list[str]]:
        """The arguments of each call of a fake."""
        log = self._log.with_name(f"log.{program}")
        lines = log.read_text().splitlines() if log.exists() else []
        return [line.split("\0")[:-1] for line in lines]

    def is_harmed(self) -> bool:
        return any(path.name == "pwned" for path in self.checkout.cwd.parent.rglob("*"))


@pytest.fixture
def runner(sh: Shell) -> Runner:
    return Runner(sh)


def load(file: Path) -> Any:
    return yaml.safe_load(file.read_text(encoding="utf-8"))


def github_steps() -> list[dict[str, Any]]:
    (job,) = load(GITHUB)["jobs"].values()
    return job["steps"]


def github_script() -> str:
    return "\n".join(step["run"] for step in github_steps() if "run" in step)


def gitlab_job() -> dict[str, Any]:
    return load(GITLAB)["branchflow"]


def gitlab_script() -> str:
    job = gitlab_job()
    return "\n".join([*job["before_script"], *job["script"]])


def on_github(event: str, base: str = "") -> dict[str, str]:
    """What the step's `env` is after GitHub has put values into its expressions."""
    given = {"github.event_name": event, "github.base_ref": base}
    (env,) = [step["env"] for step in github_steps() if "env" in step]
    return {name: re.sub(r"\$\{\{ (.*?) \}\}", lambda m: given.get(m[1], "secret"), value)
            for name, value in env.items()}  # fmt: skip


def on_gitlab(event: str, base: str = "") -> dict[str, str]:
    job = gitlab_job()
    target = {"CI_MERGE_REQUEST_TARGET_BRANCH_NAME": base} if base else {}
    return {**job["variables"], "CI_PIPELINE_SOURCE": event, **target}


FORGES = {
    "github": (github_script, on_github, "pull_request"),
    "gitlab": (gitlab_script, on_gitlab, "merge_request_event"),
}


@pytest.fixture(params=FORGES)
def forge(request: pytest.FixtureRequest) -> Any:
    return FORGES[request.param]


# --- The scripts ----------------------------------------------------------------------------------


@pytest.mark.parametrize("base", BASES)
def test_a_merge_is_judged_against_its_target(forge: Any, runner: Runner, base: str) -> None:
    script, env, merge = forge
    done = runner.run(script(), **env(merge, base))
    assert done.returncode == 0, done.stderr
    assert runner.calls() == [["check", f"origin/{base}..HEAD", "--branch", base, "--sarif"]]
    assert runner.checkout.git("rev-parse", "--verify", f"refs/remotes/origin/{base}")
    assert runner.sarif.read_text() == '{"version": "2.1.0"}\n'
    assert not runner.is_harmed()


@pytest.mark.parametrize("event", ["push", "schedule", "workflow_dispatch"])
def test_otherwise_everything_is_judged(forge: Any, runner: Runner, event: str) -> None:
    script, env, _ = forge
    done = runner.run(script(), **env(event))
    assert done.returncode == 0, done.stderr
    assert runner.calls() == [["check", "--all", "--sarif"]]


@pytest.mark.parametrize("base", ["", *BASES])
def test_violations_fail_the_job_and_leave_the_report(
    forge: Any, runner: Runner, base: str
) -> None:
    script, env, merge = forge
    done = runner.run(script(), code=1, **env(merge if base else "schedule", base))
    assert done.returncode == 1
    assert runner.sarif.read_text() == '{"version": "2.1.0"}\n'
    first, second = runner.calls()
    assert first == [*second, "--sarif"]
    assert "found" in done.stdout, "the log says what was found"
    assert not runner.is_harmed()


@pytest.mark.parametrize("code", [2, 3, 4, 130])
def test_a_judge_that_failed_fails_the_job_and_leaves_no_report(
    forge: Any, runner: Runner, code: int
) -> None:
    script, env, _ = forge
    assert runner.run(script(), code=code, **env("schedule")).returncode == code
    assert len(runner.calls()) == 1
    assert not runner.sarif.exists()


def test_a_link_in_the_checkout_is_not_written_through(forge: Any, runner: Runner) -> None:
    script, env, _ = forge
    target = runner.checkout.cwd.parent / "precious"
    target.write_text("precious")
    runner.sarif.symlink_to(target)
    assert runner.run(script(), **env("schedule")).returncode == 0
    assert target.read_text() == "precious"
    assert not runner.sarif.is_symlink()


def test_all_branches_are_there_and_those_that_are_gone_are_not(forge: Any, runner: Runner) -> None:
    script, env, _ = forge
    runner.checkout.git("update-ref", "refs/remotes/origin/gone", "HEAD")
    assert runner.run(script(), **env("schedule")).returncode == 0
    form = "--format=%(refname:lstrip=3)"
    names = runner.checkout.git("for-each-ref", form, "refs/remotes/origin").splitlines()
    assert set(names) - {"HEAD"} == {"main", *BASES}


def test_what_is_installed_is_the_package_with_s3(forge: Any, runner: Runner) -> None:
    script, env, _ = forge
    runner.run(script(), **env("schedule"))
    assert runner.calls("pip") == [["install", "--quiet", "dvc-branchflow[s3]"]]


# --- What the forges read -------------------------------------------------------------------------


def test_github_runs_on_what_it_should() -> None:
    loaded = load(GITHUB)
    events = loaded[True]  # YAML 1.1 reads `on` as true; GitHub does not
    assert set(events) == {"push", "pull_request", "schedule", "workflow_dispatch"}
    (cron,) = [entry["cron"] for entry in events["schedule"]]
    minute, hour, *rest = cron.split()
    assert minute.isdigit()
    assert hour.isdigit()
    assert rest == ["*", "*", "*"], "daily"


def test_github_grants_no_more_than_is_needed() -> None:
    loaded = load(GITHUB)
    assert loaded["permissions"] == {}
    (job,) = loaded["jobs"].values()
    assert job["permissions"] == {
        "contents": "read", "actions": "read", "security-events": "write",
    }  # fmt: skip


def test_github_puts_no_value_into_a_script() -> None:
    assert "run" in {key for step in github_steps() for key in step}
    for step in github_steps():
        assert "${{" not in step.get("run", "")


def test_github_reads_only_values_that_we_know() -> None:
    text = GITHUB.read_text(encoding="utf-8")
    assert set(re.findall(r"\$\{\{ (.*?) \}\}", text)) == {
        "github.base_ref",
        "github.event_name",
        "secrets.DVC_AWS_ACCESS_KEY_ID",
        "secrets.DVC_AWS_SECRET_ACCESS_KEY",
    }
    assert text.count("${{") == 4


def test_github_checks_out_the_history_after_installing() -> None:
    steps = github_steps()
    uses = [step.get("uses", "").partition("@")[0] for step in steps]
    checkout = uses.index("actions/checkout")
    assert steps[checkout]["with"] == {"fetch-depth": 0}
    installs = [at for at, step in enumerate(steps) if "pip install" in step.get("run", "")]
    assert installs
    assert max(installs) < checkout
    assert all("@" in step["uses"] for step in steps if "uses" in step)


def test_github_uploads_what_was_found_though_the_judge_failed() -> None:
    upload = github_steps()[-1]
    assert upload["uses"].startswith("github/codeql-action/upload-sarif@")
    assert upload["with"]["sarif_file"] == "branchflow.sarif"
    assert upload["if"].startswith("!cancelled() && ")  # else it is `success() && …`
    assert "hashFiles('branchflow.sarif') != ''" in upload["if"]
    assert "continue-on-error" not in str(load(GITHUB)), "what is found fails the job"


def test_gitlab_runs_on_merge_requests_and_schedules_with_the_history() -> None:
    job = gitlab_job()
    assert [rule["if"] for rule in job["rules"]] == [
        '$CI_PIPELINE_SOURCE == "merge_request_event"',
        '$CI_PIPELINE_SOURCE == "schedule"',
    ]
    assert job["variables"]["GIT_DEPTH"] == "0"
    assert "allow_failure" not in job


def test_gitlab_keeps_the_report_of_a_failed_job() -> None:
    artifacts = gitlab_job()["artifacts"]
    assert artifacts["when"] == "always"
    assert artifacts["paths"] == ["branchflow.sarif"]


# --- The pre-commit framework ---------------------------------------------------------------------


def hooks() -> dict[str, dict[str, Any]]:
    return {hook["id"]: hook for hook in load(PRE_COMMIT)}


def test_the_framework_finds_its_hooks() -> None:
    assert list(hooks()) == [
        "branchflow-commit", "branchflow-merge", "branchflow-message", "branchflow-push",
    ]  # fmt: skip
    for hook in hooks().values():
        assert {"id", "name", "entry", "language"} <= set(hook)
        assert hook["language"] == "python"
        assert hook["always_run"] is True
        assert hook["minimum_pre_commit_version"] == "3.2.0", "which has the names of the stages"


@pytest.mark.parametrize("hook", hooks().values(), ids=lambda hook: hook["id"])
def test_a_hook_of_the_framework_names_the_git_hook_that_it_stands_for(hook: Any) -> None:
    program, *args = shlex.split(hook["entry"])
    assert program == "git-branchflow-hook"
    assert args == hook["stages"], "one stage, since a hook can't ask which one it is run for"
    assert args[0] in {"pre-commit", "pre-merge-commit", "commit-msg", "pre-push"}


def test_only_the_message_hook_gets_a_file_name() -> None:
    passes = [name for name, hook in hooks().items() if hook["pass_filenames"]]
    assert passes == ["branchflow-message"]
