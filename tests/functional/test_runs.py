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
from dvc_branchflow.git import Change, Git, NewCommit
from dvc_branchflow.git.batch import BatchReader
from dvc_branchflow.model import RefUpdate
from dvc_branchflow.project import Project
from tests.support.runs import put, record


def listed(capsys: pytest.CaptureFixture[str], *args: str, code: int = 0) -> list[list[str]]:
    """The lines of `runs` as words, without the header."""
    assert main(["runs", *args]) == code
    return [line.split() for line in capsys.readouterr().out.splitlines()][1:]


def test_runs_are_chosen_and_ordered(flow_git: Git, capsys: pytest.CaptureFixture[str]) -> None:
    versions = {f"v1.{n}.{n}": "boosting" if n > 8 else "linear" for n in (2, 9, 10)}
    put(
        flow_git,
        "main",
        {f"runs/m/{v}.json": record(v, params={"kind": kind}) for v, kind in versions.items()},
    )
    put(
        flow_git,
        "main",
        {"runs/x/v1.0.0.json": record("v1.0.0", model="x", tag="x@v1.0.0", metrics={})},
    )
    tags = [words[0] for words in listed(capsys, "--sort", "version:desc", "--model", "m")]
    assert tags == ["m@v1.10.10", "m@v1.9.9", "m@v1.2.2"]
    where = ["--where", "metrics.mae<30", "--where", "params.kind=boosting"]
    assert [words[0] for words in listed(capsys, *where)] == ["m@v1.9.9"]
    assert [words[0] for words in listed(capsys, "--sort", "metrics.mae")][-1] == "x@v1.0.0"


def test_what_is_asked_for_by_name_is_shown(
    flow_git: Git, capsys: pytest.CaptureFixture[str]
) -> None:
    more = {f"z{n}": n for n in range(6)}
    put(
        flow_git,
        "main",
        {"runs/m/v1.0.0.json": record("v1.0.0", metrics={"metrics.json": more}, who="Ann")},
    )
    assert main(["runs"]) == 0
    assert capsys.readouterr().out.split()[:6] == ["release", "when", "z0", "z1", "z2", "z3"]
    assert main(["runs", "--where", "metrics.z5>1", "--sort", "who"]) == 0
    head, row = capsys.readouterr().out.splitlines()
    assert {"who", "z5", "z0"} <= set(head.split())
    assert "Ann" in row


def test_what_is_asked_for_and_none_of_the_chosen_has_is_a_column_without_values(
    flow_git: Git, capsys: pytest.CaptureFixture[str]
) -> None:
    other = record("v1.0.0", model="x", tag="x@v1.0.0", metrics={"metrics.json": {"r2": 0.5}})
    put(flow_git, "main", {"runs/m/v1.0.0.json": record("v1.0.0"), "runs/x/v1.0.0.json": other})
    (row,) = listed(capsys, "--where", "model=m", "--sort", "metrics.r2")
    assert row[0] == "m@v1.0.0"
    assert listed(capsys, "--where", "model=m", "--where", "metrics.r2<1") == []


def test_refused_candidates_are_listed_apart(
    flow_git: Git, capsys: pytest.CaptureFixture[str]
) -> None:
    why = [{"gate": "mae", "found": 9, "wanted": "at most 8", "reason": "is worse by 1"}]
    refused = record("v1.0.1", candidate="0" * 12, refused=why, commit="")
    put(
        flow_git,
        "main",
        {"runs/m/v1.0.0.json": record("v1.0.0"), f"runs/m/refused/{'0' * 12}.json": refused},
    )
    assert [words[0] for words in listed(capsys)] == ["m@v1.0.0"]
    (line,) = listed(capsys, "--refused")
    assert " ".join(line).endswith("mae: is worse by 1")
    assert line[0] == "m@v1.0.1"


def test_names_that_no_run_has_are_usage(flow_git: Git, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["runs", "--where", "metrics.no<1"]) == 0  # no run that could have it
    put(flow_git, "main", {"runs/m/v1.0.0.json": record("v1.0.0")})
    capsys.readouterr()
    for args in (["--where", "metrics.maa<1"], ["--sort", "metrics.maa"]):
        assert main(["runs", *args]) == 2
        assert "try: one of: metrics.mae" in capsys.readouterr().err
    assert main(["runs", "--where", "nothing"]) == 2


def test_csv_has_every_value(flow_git: Git, capsys: pytest.CaptureFixture[str]) -> None:
    odd = record("v1.0.1", params={"kind": 'a,"b"\nc', "only": {"here": [1, 2]}})
    put(flow_git, "main", {"runs/m/v1.0.0.json": record("v1.0.0"), "runs/m/v1.0.1.json": odd})
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
    flow_git: Git, capsys: pytest.CaptureFixture[str], broken: bytes | dict[str, Any]
) -> None:
    put(flow_git, "main", {"runs/m/v1.0.0.json": record("v1.0.0"), "runs/m/v1.0.1.json": broken})
    put(flow_git, "main", {"runs/m/v1.0.2.json": record("v1.0.2", added_by="a later version")})
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


def test_a_link_in_a_records_place_is_named(
    flow_git: Git, capsys: pytest.CaptureFixture[str]
) -> None:
    put(flow_git, "main", {"runs/m/v1.0.0.json": record("v1.0.0")})
    tip = flow_git.resolve("main")
    link = Change("runs/m/v1.0.1.json", b"v1.0.0.json", mode="120000")
    (sha,) = flow_git.write_commits([NewCommit([tip], "Link", [link])])
    flow_git.update_refs([RefUpdate("refs/heads/main", tip, sha)], "test")
    assert main(["runs"]) == 3
    assert "'runs/m/v1.0.1.json' is no run record: no plain file" in capsys.readouterr().err


def test_no_record_reaches_the_terminal_raw(
    flow_git: Git, capsys: pytest.CaptureFixture[str]
) -> None:
    evil = "\x1b]0;gone\x07"
    both = {"params": {"p": evil + "1"}, "metrics": {"metrics.json": {f"m{evil}": 1.0}}}
    put(flow_git, "main", {"runs/m/v1.0.0.json": record("v1.0.0", **both)})
    put(
        flow_git,
        "main",
        {"runs/m/v1.0.1.json": record("v1.0.1", params={"p": evil + "2"}, when=evil)},
    )
    put(flow_git, "main", {"runs/m/v1.0.2.json": record("v1.0.2", schema=evil)})
    for args in (["runs"], ["runs", "--csv"], ["compare", "m@v1.0.0", "m@v1.0.1"]):
        main(args)
        said = capsys.readouterr()
        assert "gone" in said.out
        assert not {"\x1b", "\x07"} & set(said.out + said.err), args


def test_a_thousand_records_are_read_in_one_batch_each_once(
    flow_git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = range(1000)
    put(
        flow_git,
        "main",
        {f"runs/m/v1.{n // 100}.{n}.json": record(f"v1.{n // 100}.{n}") for n in numbers},
    )
    tip = flow_git.resolve("main")
    tags = [f"m@v2.0.{n}" for n in range(200)]
    bodies = [f"Release\n\n{json.dumps(record(tag[2:]), indent=2)}\n" for tag in tags]
    made = [flow_git.write_tag(tag, tip, body) for tag, body in zip(tags, bodies, strict=True)]
    flow_git.update_refs(
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
    assert len(compare(project, []).runs) == 2
    assert sum("cat-file" in args for args in started) == 1
    assert len(started) <= 8, started
    records = flow_git.files(tip)
    blobs = {entry.sha for path, entry in records.items() if path.startswith("runs/")} | set(made)
    assert max(read[sha] for sha in blobs) == 2  # once for each of the two calls


def test_imported_metrics_stand_beside_the_record_and_can_be_asked_for(
    flow_git: Git, capsys: pytest.CaptureFixture[str]
) -> None:
    run = {
        "run_id": "1f", "name": "fit", "experiment": "training", "store": "sqlite:///a.db",
        "status": "FINISHED", "started": "2024-01-01T00:00:00Z", "ended": "2024-01-01T00:01:00Z",
        "params": {}, "metrics": {"loss": {"last": 0.5, "points": 4}},
    }  # fmt: skip
    files = {f"runs/m/{v}.json": record(v) for v in ("v1.0.0", "v1.0.1", "v1.0.2")}
    document = {"schema": "branchflow/mlflow/1", "tag": "m@v1.0.1", "runs": [run]}
    put(flow_git, "main", {**files, "runs/m/v1.0.1.mlflow.json": document})
    assert [words[0] for words in listed(capsys, "--where", "mlflow.loss<1")] == ["m@v1.0.1"]
    assert main(["runs", "--csv"]) == 0
    rows = list(csv.DictReader(capsys.readouterr().out.splitlines()))
    assert [row["mlflow.loss"] for row in rows] == ["", "0.5", ""]
    assert main(["--json", "runs"]) == 0
    assert json.loads(capsys.readouterr().out)["result"]["mlflow"] == {"m@v1.0.1": {"loss": 0.5}}
    put(flow_git, "main", {"runs/m/v1.0.2.mlflow.json": b"{"})
    assert main(["--json", "runs"]) == 3
    result = json.loads(capsys.readouterr().out)["result"]
    assert len(result["records"]) == 3
    assert "runs/m/v1.0.2.mlflow.json" in result["unreadable"][0]["message"]
