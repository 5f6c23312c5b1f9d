"""Fixtures that every test may use: an isolated environment, a shell, a finished flow."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.flow import Flow, built_once, copy_flow, finished_flow, worker_root
from tests.support.isolation import isolated_env, user_files_digest
from tests.support.repos import Shell
from tests.support.watched import watched_flow


@pytest.fixture(scope="session", autouse=True)
def user_files_untouched() -> Iterator[None]:
    """Fail the session if a test wrote to the real user's Git, DVC or AWS configuration."""
    before = user_files_digest()
    yield
    assert user_files_digest() == before, "a test changed the user's own configuration"


@pytest.fixture(scope="session", autouse=True)
def no_aws_variables() -> Iterator[None]:
    """The test process itself talks to test servers only: no key or profile of the user's."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        yield


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """What a subprocess sees: nothing of the user's configuration, all state in `tmp_path`."""
    return isolated_env(tmp_path / "home")


@pytest.fixture
def sh(tmp_path: Path, env: dict[str, str]) -> Shell:
    """A shell in an empty folder."""
    folder = tmp_path / "work"
    folder.mkdir()
    return Shell(folder, env)


@pytest.fixture(scope="session")
def flow_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished flow, built once a run; copy it, don't work in it."""
    shared = worker_root(tmp_path_factory.getbasetemp())
    env = isolated_env(shared / "flow-home")
    return built_once(shared / "flow", lambda folder: finished_flow(folder, env))


@pytest.fixture
def flow_repo(flow_template: Path, tmp_path: Path, env: dict[str, str]) -> Flow:
    """A finished flow of the test's own, with local branches and a filled cache."""
    return copy_flow(flow_template, tmp_path / "team", env)


@pytest.fixture
def as_user(env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Give this very process the isolated environment, for calls without the command line."""
    for name in set(os.environ) - set(env) - {"PYTEST_CURRENT_TEST"}:
        monkeypatch.delenv(name)
    for name, value in env.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="session")
def watched_template(flow_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a team with inputs worth watching, built once a run; copy it."""
    shared = worker_root(tmp_path_factory.getbasetemp())
    env = isolated_env(shared / "watched-home")
    return built_once(shared / "watched", lambda folder: watched_flow(flow_template, folder, env))


@pytest.fixture
def watched(watched_template: Path, tmp_path: Path, env: dict[str, str]) -> Flow:
    """A team with two releases of `m` whose inputs are known; nothing is logged yet."""
    flow = copy_flow(watched_template, tmp_path / "team", env)
    flow.sh.git("switch", "-q", "--detach")
    return flow
