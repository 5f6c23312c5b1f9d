"""Logging what production saw: all rows or none, each once, private columns never in the open."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from tests.support.flow import Flow, edit, error_line
from tests.support.repos import missing_from_directory_remote
from tests.support.watched import NEW, OLD, logged_rows, write_log

pytestmark = pytest.mark.slow
BRANCH = "monitor/prod"


def _log(flow: Flow, rows: list[dict[str, Any]], *args: str, code: int = 0) -> Any:
    path = write_log(flow.root / "log.jsonl", rows)
    return flow.branchflow("monitor", "log", "--env", "prod", *args, path, code=code)


def _stored(flow: Flow, kind: str = "rows") -> pa.Table:
    """All rows of a kind on the branch, by plain DVC and Arrow alone."""
    flow.sh.git("fetch", "-q")
    flow.sh.git("switch", "-q", "--detach", f"origin/{BRANCH}")
    flow.sh.run("dvc", "pull", "-q")
    folders = sorted((flow.repo / "data/monitor/prod").glob(f"{kind}-????-??"))
    files = [file for folder in folders for file in sorted(folder.glob("*.parquet"))]
    return pa.concat_tables(map(pq.read_table, files), promote_options="default")


def _commits(flow: Flow) -> int:
    return int(flow.sh.at(flow.origin).git("rev-list", "--count", BRANCH))


def test_rows_are_logged_by_month_and_plain_tools_read_them(watched: Flow) -> None:
    rows = logged_rows(300, start="2026-10-30T00:00:00") + logged_rows(20, tag=NEW, prefix="n")
    done = _log(watched, rows)
    assert "logged 320 rows to monitor/prod" in done.stdout
    table = _stored(watched)
    assert table.num_rows == 320
    assert set(table["tag"].to_pylist()) == {OLD, NEW}
    assert set(table["request_id"].to_pylist()) == {row["request_id"] for row in rows}
    assert sorted(table["size"].to_pylist()) == sorted(row["size"] for row in rows)
    assert watched.sh.git("status", "--porcelain") == ""
    assert {p.name for p in (watched.repo / "data/monitor/prod").glob("*.dvc")} == {
        "rows-2026-10.dvc", "rows-2026-11.dvc",
    }  # fmt: skip
    assert missing_from_directory_remote(watched.repo, watched.store) == []
    assert watched.branchflow("check", "--all").returncode == 0


def test_the_same_log_again_adds_nothing_and_a_longer_one_only_what_is_new(watched: Flow) -> None:
    rows = logged_rows(50)
    _log(watched, rows)
    assert "nothing new" in _log(watched, rows).stdout
    assert _commits(watched) == 1
    found = watched.result("monitor", "log", "--env", "prod", write_log(watched.root / "more.jsonl", rows + logged_rows(5, prefix="x")))  # fmt: skip
    assert (found["rows"], found["present"]) == (5, 50)
    assert _stored(watched).num_rows == 55


def test_csv_and_parquet_and_standard_input_hold_the_same_rows(watched: Flow) -> None:
    rows = logged_rows(30)
    table = pa.Table.from_pylist(rows)
    pyarrow.csv.write_csv(table, watched.root / "log.csv")
    pq.write_table(table, watched.root / "log.parquet")
    _log(watched, rows)
    for name in ("log.csv", "log.parquet"):
        found = watched.result("monitor", "log", watched.root / name)
        assert (found["rows"], found["present"]) == (0, 30), name
    text = "".join(json.dumps(row) + "\n" for row in logged_rows(3, prefix="in"))
    done = watched.sh.run("git", "branchflow", "monitor", "log", "-", input=text)
    assert "logged 3 rows" in done.stdout


def test_rows_that_cant_go_in_are_named_and_nothing_is_logged(watched: Flow) -> None:
    rows = logged_rows(5)
    rows[1] |= {"tag": "m@v9.9.9"}
    rows[2] |= {"size": "big"}
    rows[3] |= {"request_id": "r-0"}
    refs = watched.refs()
    said = error_line(_log(watched, rows, code=1))
    assert "row 2: tag 'm@v9.9.9' is no release" in said
    assert "row 3: size is no number: 'big'" in said
    assert watched.refs() == refs
    rows[1:3] = []
    assert "row 2: request 'r-0' is there already" in error_line(_log(watched, rows, code=1))


def test_what_the_first_log_and_the_release_fixed_holds(watched: Flow) -> None:
    _log(watched, [{**row, "page": "home"} for row in logged_rows(3)])
    extra = [{**row, "page": "home", "more": 1} for row in logged_rows(3, prefix="b")]
    assert "has columns that are not in log-schema.json: more" in error_line(
        _log(watched, extra, code=1)
    )
    _log(watched, extra, "--new-columns")
    lacking = [{k: v for k, v in row.items() if k != "size"} for row in logged_rows(3, prefix="c")]
    assert f"{OLD} needs size" in error_line(_log(watched, lacking, code=1))
    some = [*logged_rows(2, prefix="d"), lacking[0]]
    assert "row 3: lacks size" in error_line(_log(watched, some, code=1))
    other = [{**row, "page": ["x"]} for row in logged_rows(2, prefix="e")]
    assert "page is no text" in error_line(_log(watched, other, code=1))
    other = [{**row, "prediction": "much"} for row in logged_rows(2, prefix="f")]
    assert "prediction is no number" in error_line(_log(watched, other, code=1))
    assert _stored(watched)["more"].null_count == 3


def test_an_id_with_other_content_is_refused(watched: Flow) -> None:
    rows = logged_rows(5)
    _log(watched, rows)
    rows[3]["size"] += 1
    assert "row 4: request 'r-3' is there already" in error_line(_log(watched, rows, code=1))


def test_a_model_without_a_recipe_takes_what_its_first_log_holds(watched: Flow) -> None:
    rows = [{**row, "tag": "m@v1.0.0", "prediction": "yes"} for row in logged_rows(3)]
    _log(watched, rows)
    schema = json.loads(watched.sh.git("show", f"origin/{BRANCH}:log-schema.json"))
    assert schema["columns"] == {"size": "number", "colour": "text"}
    assert schema["prediction"] == "text"


def test_private_columns_are_hashed_dropped_or_kept_apart(watched: Flow, tmp_path: Path) -> None:
    private = "{email: hash, phone: drop, note: {remote: vault}}"
    text = watched.sh.git("show", "origin/main:branchflow.yaml").replace(
        "data: data/monitor}", f"data: data/monitor, watch: {{private: {private}}}}}"
    )
    config = watched.sh.git("show", "origin/main:.dvc/config")
    vault = tmp_path / "vault"
    vault.mkdir()
    edit(watched, "main", {"branchflow.yaml": text + "\n", ".dvc/config": f"{config}\n['remote \"vault\"']\n    url = {vault}\n"}, "Keep secrets")  # fmt: skip
    rows = [{**row, "email": f"{n % 2}@x.org", "phone": "555", "note": f"secret {n}"} for n, row in enumerate(logged_rows(6))]  # fmt: skip
    assert "hashed with the key in BRANCHFLOW_KEY" in error_line(_log(watched, rows, code=2))
    watched.sh.env["BRANCHFLOW_KEY"] = "k" * 20
    _log(watched, rows)
    watched.sh.env["BRANCHFLOW_KEY"] = "another key of 20 bytes"
    assert "is not the key" in error_line(_log(watched, rows, code=3))
    public = _stored(watched)
    assert set(public.column_names) >= {"email", "size"}
    assert not {"phone", "note"} & set(public.column_names)
    assert len(set(public["email"].to_pylist())) == 2
    assert _stored(watched, "private")["note"].to_pylist() == [f"secret {n}" for n in range(6)]
    for path in watched.store.rglob("*"):
        assert not path.is_file() or b"secret 1" not in path.read_bytes(), path
    assert any(path.is_file() for path in vault.rglob("*"))


def test_labels_join_their_rows_and_no_others(watched: Flow) -> None:
    rows = logged_rows(40, start="2026-10-30T00:00:00")
    _log(watched, rows)
    labels = watched.root / "labels.csv"

    def label(lines: list[str], code: int = 0) -> Any:
        labels.write_text("request_id,label\n" + "\n".join(lines) + "\n", encoding="utf-8")
        return watched.branchflow("monitor", "label", labels, code=code)

    assert "request 'nobody' was never logged" in error_line(label(["r-1,5", "nobody,6"], code=1))
    assert "row 1: label is no number" in error_line(label(["r-1,much"], code=1))
    assert "labelled 2 rows" in label(["r-1,5", "r-39,6.5"]).stdout
    assert "nothing new" in label(["r-1,5"]).stdout
    assert "request 'r-1' has a label already" in error_line(label(["r-1,7"], code=1))
    table = _stored(watched, "labels")
    times = {row["request_id"]: row["time"] for row in rows}
    assert [(r["request_id"], r["label"]) for r in table.to_pylist()] == [
        ("r-1", 5.0),
        ("r-39", 6.5),
    ]
    assert [r["time"].strftime("%Y-%m-%dT%H:%M:%SZ") for r in table.to_pylist()] == [
        times["r-1"],
        times["r-39"],
    ]
    assert {p.name for p in (watched.repo / "data/monitor/prod").glob("labels*.dvc")} == {"labels-2026-10.dvc", "labels-2026-11.dvc"}  # fmt: skip


def test_bad_files_and_names_are_refused_and_a_dry_run_moves_nothing(watched: Flow) -> None:
    refs = watched.refs()
    broken = watched.root / "log.jsonl"
    broken.write_text('{"a": 1}\nnot json\n', encoding="utf-8")
    assert "row 2 is no JSON object" in error_line(
        watched.branchflow("monitor", "log", "--env", "prod", broken, code=2)
    )
    assert "no monitor branch" in error_line(
        watched.branchflow("monitor", "log", "--env", "../x", broken, code=2)
    )
    assert "which environment" in error_line(watched.branchflow("monitor", "log", broken, code=2))
    assert "nothing is logged" in error_line(
        watched.branchflow("monitor", "label", "--env", "prod", broken, code=3)
    )
    (watched.root / "log.txt").write_text("x", encoding="utf-8")
    assert "neither JSON lines" in error_line(
        watched.branchflow("monitor", "log", "--env", "prod", watched.root / "log.txt", code=2)
    )
    assert "would log 4 rows" in _log(watched, logged_rows(4), "--dry-run").stdout
    assert watched.refs() == refs


def test_logged_rows_come_back_to_raw_but_not_those_that_an_experiment_touched(
    watched: Flow,
) -> None:
    rows = [
        {**row, "group": "new" if n % 4 == 0 else None} for n, row in enumerate(logged_rows(20))
    ]
    _log(watched, rows)
    labels = watched.root / "labels.csv"
    labels.write_text(
        "request_id,label\n" + "".join(f"r-{n},{n}\n" for n in range(12)), encoding="utf-8"
    )
    watched.branchflow("monitor", "label", labels)
    want = (
        "ingest",
        "--from-monitor",
        "prod",
        "--window",
        "2026-11-01..2026-12-01",
        "--partition",
        "seen",
    )
    found = watched.result(*want, "--except", "group=new", "--where", "label>=2")
    assert len(found["added"]) == 1
    message = watched.sh.git("log", "-1", "--format=%B", "origin/raw")
    tip = watched.sh.git("rev-parse", f"origin/{BRANCH}")
    assert f"Source: {BRANCH}@{tip} 2026-11-01T00:00:00Z..2026-12-01T00:00:00Z; where label>=2; except group=new" in message  # fmt: skip
    watched.sh.git("switch", "-q", "--detach", "origin/raw")
    watched.sh.run("dvc", "pull", "-q", "data/raw/seen.dvc")
    (path,) = (watched.repo / "data/raw/seen").iterdir()
    table = pyarrow.csv.read_csv(path)
    assert table["request_id"].to_pylist() == [f"r-{n}" for n in range(2, 12) if n % 4]
    assert table["label"].to_pylist() == [n for n in range(2, 12) if n % 4]
    assert "no rows" in error_line(watched.branchflow(*want, "--where", "label>99", code=1))
    assert "column of the log" in error_line(
        watched.branchflow(*want, "--where", "nothing=1", code=2)
    )
    assert "--source is needed" in error_line(watched.branchflow("ingest", path, code=2))
