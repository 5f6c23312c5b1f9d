"""`runs` over real commits: chosen, ordered, as CSV; a record that can't be read stops nothing."""

from __future__ import annotations

import csv
import json
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from dvc_branchflow.cli.run import main
from dvc_branchflow.compare import RunsRequest, compare, runs
from dvc_branchflow.git import Change, Git, NewCommit, init_repository
from dvc_branchflow.git.batch import BatchReader
from dvc_branchflow.model import Branch, RefUpdate
from dvc_branchflow.project import Project

CONFIG = b"branches: {raw: {}, stable/*: {}}\n"


def record(version: str, **more: Any) -> dict[str, Any]:
    """A run record of the model `m`."""
    number = version.rpartition(".")[2]
    return {
        "schema": "branchflow/run/1", "tag": f"m@{version}", "model": "m", "version": version,
        "commit": "0" * 40, "code": {}, "pins": {"split": "a" * 40}, "certificate": "c" * 64,
        "params": {"kind": "linear"}, "metrics": {"metrics.json": {"mae": 20.0 + int(number)}},
        "outs": {}, "checks": {}, "environment": {}, "seconds": 1.0, "who": "x",
        "when": f"2024-01-{int(number) % 28 + 1:02}T00:00:00Z", **more,
    }  # fmt: skip


@pytest.fixture
def git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, as_user: None) -> Git:
    """An empty repository with a flow on main, as the working directory."""
    repo = tmp_path / "repo"
    repo.mkdir()
    init_repository(repo, Branch("main"))
    monkeypatch.chdir(repo)
    git = Git.discover(repo)
    put(git, {"branchflow.yaml": CONFIG})
    return git


def put(git: Git, files: dict[str, bytes | dict[str, Any]]) -> None:
    """Commit files on main; what is a mapping as JSON."""
    ref = git.refs().direct.get("refs/heads/main")
    contents = {
        path: body if isinstance(body, bytes) else json.dumps(body).encode()
        for path, body in files.items()
    }
    changes = [Change(path, content) for path, content in contents.items()]
    (sha,) = git.write_commits([NewCommit([ref.sha] if ref else [], "Put", changes)])
    git.update_refs([RefUpdate("refs/heads/main", ref.sha if ref else None, sha)], "test")


def listed(capsys: pytest.CaptureFixture[str], *args: str, code: int = 0) -> list[list[str]]:
    """The lines of `runs` as words, without the header."""
    assert main(["runs", *args]) == code
    return [line.split() for line in capsys.readouterr().out.splitlines()][1:]


def test_runs_are_chosen_and_ordered(git: Git, capsys: pytest.CaptureFixture[str]) -> None:
    versions = {f"v1.{n}.{n}": "boosting" if n > 8 else "linear" for n in (2, 9, 10)}
    put(git, {f"runs/m/{v}.json": record(v, params={"kind": kind}) for v, kind in versions.items()})
    put(git, {"runs/x/v1.0.0.json": record("v1.0.0", model="x", tag="x@v1.0.0", metrics={})})
    tags = [words[0] for words in listed(capsys, "--sort", "version:desc", "--model", "m")]
    assert tags == ["m@v1.10.10", "m@v1.9.9", "m@v1.2.2"]
    where = ["--where", "metrics.mae<30", "--where", "params.kind=boosting"]
    assert [words[0] for words in listed(capsys, *where)] == ["m@v1.9.9"]
    assert [words[0] for words in listed(capsys, "--sort", "metrics.mae")][-1] == "x@v1.0.0"


def test_what_is_asked_for_by_name_is_shown(git: Git, capsys: pytest.CaptureFixture[str]) -> None:
    more = {f"z{n}": n for n in range(6)}
    put(git, {"runs/m/v1.0.0.json": record("v1.0.0", metrics={"metrics.json": more}, who="Ann")})
    assert main(["runs"]) == 0
    assert capsys.readouterr().out.split()[:6] == ["release", "when", "z0", "z1", "z2", "z3"]
    assert main(["runs", "--where", "metrics.z5>1", "--sort", "who"]) == 0
    head, row = capsys.readouterr().out.splitlines()
    assert {"who", "z5", "z0"} <= set(head.split())
    assert "Ann" in row


def test_refused_candidates_are_listed_apart(git: Git, capsys: pytest.CaptureFixture[str]) -> None:
    why = [{"gate": "mae", "found": 9, "wanted": "at most 8", "reason": "is worse by 1"}]
    refused = record("v1.0.1", candidate="0" * 12, refused=why, commit="")
    put(git, {"runs/m/v1.0.0.json": record("v1.0.0"), f"runs/m/refused/{'0' * 12}.json": refused})
    assert [words[0] for words in listed(capsys)] == ["m@v1.0.0"]
    (line,) = listed(capsys, "--refused")
    assert " ".join(line).endswith("mae: is worse by 1")
    assert line[0] == "m@v1.0.1"


def test_names_that_no_run_has_are_usage(git: Git, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "--where", "metrics.no<1"]) == 0  # no run that could have it
    put(git, {"runs/m/v1.0.0.json": record("v1.0.0")})
    capsys.readouterr()
    for args in (["--where", "metrics.maa<1"], ["--sort", "metrics.maa"]):
        assert main(["runs", *args]) == 2
        assert "try: one of: metrics.mae" in capsys.readouterr().err
    assert main(["runs", "--where", "nothing"]) == 2


def test_csv_has_every_value(git: Git, capsys: pytest.CaptureFixture[str]) -> None:
    odd = record("v1.0.1", params={"kind": 'a,"b"\nc', "only": {"here": [1, 2]}})
    put(git, {"runs/m/v1.0.0.json": record("v1.0.0"), "runs/m/v1.0.1.json": odd})
    assert main(["runs", "--csv", "--sort", "metrics.mae:desc"]) == 0
    first, second = csv.DictReader(capsys.readouterr().out.splitlines(keepends=True))
    assert first["params.kind"] == 'a,"b"\\nc'
    assert first["params.only.here"] == "[1, 2]"
    assert (second["tag"], second["pins.split"], second["params.only.here"]) == (
        "m@v1.0.0",
        "a" * 40,
        "",
    )


@pytest.mark.parametrize(
    "broken",
    [
        b"[", b"\xff", record("v1.0.1", schema="branchflow/run/0"), record("v1.0.7"),
        record("v1.0.1", metrics=[]), record("v1.0.1", model="other"), b"x" * (5 * 1024 * 1024 + 1),
    ],
    ids=["no JSON", "no UTF-8", "another schema", "another's", "wrong type", "no such model", "too large"],
)  # fmt: skip
def test_a_record_that_can_not_be_read_is_named_and_the_others_listed(
    git: Git, capsys: pytest.CaptureFixture[str], broken: bytes | dict[str, Any]
) -> None:
    put(git, {"runs/m/v1.0.0.json": record("v1.0.0"), "runs/m/v1.0.1.json": broken})
    put(git, {"runs/m/v1.0.2.json": record("v1.0.2", added_by="a later version")})
    assert main(["runs"]) == 3
    said = capsys.readouterr()
    assert [line.split()[0] for line in said.out.splitlines()[1:]] == ["m@v1.0.0", "m@v1.0.2"]
    (line,) = said.err.splitlines()
    assert line.startswith("error: 'runs/m/v1.0.1.json' is no run record: ")
    assert main(["runs", "--json"]) == 3
    result = json.loads(capsys.readouterr().out)["result"]
    assert len(result["records"]) == 2
    assert result["unreadable"][0]["code"] == "config"
    assert main(["compare", "m@v1.0.0", "m@v1.0.2"]) == 0


def test_a_link_in_a_records_place_is_named(git: Git, capsys: pytest.CaptureFixture[str]) -> None:
    put(git, {"runs/m/v1.0.0.json": record("v1.0.0")})
    tip = git.resolve("main")
    link = Change("runs/m/v1.0.1.json", b"v1.0.0.json", mode="120000")
    (sha,) = git.write_commits([NewCommit([tip], "Link", [link])])
    git.update_refs([RefUpdate("refs/heads/main", tip, sha)], "test")
    assert main(["runs"]) == 3
    assert "'runs/m/v1.0.1.json' is no run record: no plain file" in capsys.readouterr().err


def test_no_record_reaches_the_terminal_raw(git: Git, capsys: pytest.CaptureFixture[str]) -> None:
    evil = "\x1b]0;gone\x07"
    both = {"params": {"p": evil + "1"}, "metrics": {"metrics.json": {f"m{evil}": 1.0}}}
    put(git, {"runs/m/v1.0.0.json": record("v1.0.0", **both)})
    put(git, {"runs/m/v1.0.1.json": record("v1.0.1", params={"p": evil + "2"}, when=evil)})
    put(git, {"runs/m/v1.0.2.json": record("v1.0.2", schema=evil)})
    for args in (["runs"], ["runs", "--csv"], ["compare", "m@v1.0.0", "m@v1.0.1"]):
        main(args)
        said = capsys.readouterr()
        assert "gone" in said.out
        assert not {"\x1b", "\x07"} & set(said.out + said.err), args


def test_a_thousand_records_are_read_in_one_batch_each_once(
    git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = range(1000)
    put(git, {f"runs/m/v1.{n // 100}.{n}.json": record(f"v1.{n // 100}.{n}") for n in numbers})
    tip = git.resolve("main")
    tags = [f"m@v2.0.{n}" for n in range(200)]
    bodies = [f"Release\n\n{json.dumps(record(tag[2:]), indent=2)}\n" for tag in tags]
    made = [git.write_tag(tag, tip, body) for tag, body in zip(tags, bodies, strict=True)]
    git.update_refs(
        [RefUpdate(f"refs/tags/{t}", None, sha) for t, sha in zip(tags, made, strict=True)], "test"
    )
    started: list[list[str]] = []
    read: Counter[str] = Counter()
    real_start, real_read = subprocess.Popen.__init__, BatchReader.read

    def start(self: Any, args: list[str], *rest: Any, **options: Any) -> None:
        started.append(args)
        real_start(self, args, *rest, **options)

    def counted(self: BatchReader, shas: Any) -> Any:
        wanted = list(shas)
        read.update(wanted)
        return real_read(self, wanted)

    monkeypatch.setattr(subprocess.Popen, "__init__", start)
    monkeypatch.setattr(BatchReader, "read", counted)
    project = Project.open(Path.cwd())
    found = runs(project, RunsRequest(where=["metrics.mae>=20"], sort="metrics.mae:desc"))
    assert len(found.records) == 1200
    assert len(compare(project, []).records) == 2
    assert sum("cat-file" in args for args in started) == 1
    assert len(started) <= 8, started
    records = git.files(tip)
    blobs = {entry.sha for path, entry in records.items() if path.startswith("runs/")} | set(made)
    assert max(read[sha] for sha in blobs) == 2  # once for each of the two calls
