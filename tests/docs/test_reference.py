"""What is written about commands and settings is what the code says."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from dvc_branchflow.cli.commands import COMMANDS, GROUPS, load
from dvc_branchflow.cli.parser import build_parser
from dvc_branchflow.config import config_schema

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"
TEXTS = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS.rglob("*.md")]
    if "_build" not in path.parts
}
VERBS = set(COMMANDS) | set(GROUPS)


def test_generated_files_are_what_the_generator_writes() -> None:
    done = subprocess.run(
        [sys.executable, DOCS / "generate.py", "--check"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"run `make docs`\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize("command", load(), ids=lambda command: command.name)
def test_every_command_is_documented_with_its_example(command) -> None:
    page = TEXTS["docs/reference/cli.md"]
    section = page.partition(f"\n## {command.name}\n")[2].partition("\n## ")[0]
    assert command.description in section
    assert command.example in section
    assert command.example.replace("-", "\\-") in (DOCS / "man/git-branchflow.1").read_text("utf-8")


@pytest.mark.parametrize("command", load(), ids=lambda command: command.name)
def test_every_example_parses(command) -> None:
    words = shlex.split(command.example)
    assert words[:2] == ["git", "branchflow"]
    assert build_parser().parse_args(words[2:]).command is command


def test_every_key_of_the_config_is_documented() -> None:
    page = TEXTS["docs/reference/config.md"]
    keys = config_schema()["properties"]["branches"]["additionalProperties"]["properties"]
    assert all(f"| `{key}` |" in page for key in keys)
    written = json.loads((DOCS / "reference/branchflow.schema.json").read_text("utf-8"))
    assert written == json.loads(json.dumps(config_schema()))


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_pages_name_no_verb_that_there_is_not(name: str) -> None:
    named = set(re.findall(r"git branchflow (?:-C \S+ )?([a-z]+)", TEXTS[name]))
    assert named <= VERBS


@pytest.mark.parametrize("name", sorted(TEXTS))
def test_links_between_pages_lead_somewhere(name: str) -> None:
    folder = (ROOT / name).parent
    for target in re.findall(r"\]\(([^)\s#]+)(?:#[^)]*)?\)", TEXTS[name]):
        if "://" not in target:
            assert (folder / target).exists(), f"{name}: {target}"


def test_the_manual_page_renders() -> None:
    page = DOCS / "man/git-branchflow.1"
    groff = subprocess.run(["sh", "-c", "command -v groff"], capture_output=True, check=False)
    if groff.returncode:
        pytest.skip("groff is not installed")
    done = subprocess.run(
        ["groff", "-man", "-Tutf8", "-ww", page], capture_output=True, text=True, check=True
    )
    assert not done.stderr
    assert "EXIT STATUS" in re.sub(".\x08", "", done.stdout)


def test_the_documentation_builds_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("sphinx")
    done = subprocess.run(
        [sys.executable, "-m", "sphinx", "-q", "-W", "-n", "-b", "html", DOCS, tmp_path / "html"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    loaded = [
        (page.name, url)
        for page in (tmp_path / "html").rglob("*.html")
        for url in re.findall(r'<(?:script|link|img)[^>]+(?:src|href)="(https?:[^"]+)"',
                              page.read_text(encoding="utf-8"))
    ]  # fmt: skip
    assert not loaded
