"""The split template: assignment, reports, certificate, and its stages under plain DVC."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter, defaultdict
from math import sqrt
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from dvc_branchflow.manifest import Entry
from dvc_branchflow.model import Oid, Sample
from dvc_branchflow.sampling import sampled
from tests.support.repos import Shell
from tests.templates import split_data
from tests.templates.split_data import Outcome, laid, params, rule, script, split_all, table

HEADER = "key day text target"
BOUNDS = {"train": "2024-01-20", "validation": "2024-02-10", "test": None}
WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=4)
DAYS = st.dates().map(lambda day: day.replace(year=2024).isoformat() if day.day < 29 else "2024-01")
ROWS = st.lists(
    st.tuples(st.sampled_from("abcdefgh"), DAYS, WORDS, st.sampled_from("01")), max_size=25
)
TABLES = {
    "by key": params("table", key="key"),
    "by two keys": params("table", key="key,day", split={"shards": 3}),
    "by row": params("table", target="target"),
    "by time": params("table", key="key", split={"time": {"column": "day", "bounds": BOUNDS}}),
}
GROUP = "^(?P<group>[^/]+)/"
PATHS = st.builds(
    "{}/2024-0{}-{}/{}".format,
    st.sampled_from("abcde"), st.integers(1, 3), st.integers(10, 28), st.sampled_from(["é.txt", "x"]),
)  # fmt: skip
FILES = st.dictionaries(PATHS, st.binary(min_size=1, max_size=3), max_size=15)
TREES = {
    "by path": params("files", split={"id": "path"}),
    "by content": params("files"),
    "by group": params("files", split={"id": "path", "group": GROUP}),
    "by time": params(
        "files",
        split={"id": "path", "time": {"pattern": r"\d{4}-\d\d-\d\d", "bounds": BOUNDS}},
    ),
}


def splits(data: split_data.Data, given_params: dict[str, Any]) -> Outcome:
    with TemporaryDirectory() as folder:
        return split_all(Path(folder), data, given_params)


def of_rows(rows: list[Any], places: list[int], given_params: dict[str, Any]) -> Outcome:
    """Rows spread over partitions and files."""
    partitions: defaultdict[str, list[Any]] = defaultdict(list)
    for row, place in zip(rows, places, strict=False):
        partitions[f"p{place}"].append(row)
    files = {
        name: {"b.csv": table(HEADER, own[::2]), "a/c.csv": table(HEADER, own[1::2])}
        for name, own in partitions.items()
    }
    return splits(files, given_params)


def of_files(files: dict[str, bytes], places: list[int], given_params: dict[str, Any]) -> Outcome:
    data: defaultdict[str, dict[str, bytes]] = defaultdict(dict)
    for (path, content), place in zip(files.items(), places, strict=False):
        data[f"p{place}"][path] = content
    return splits(data, given_params)


PLACES = st.lists(st.integers(1, 3), min_size=60, max_size=60)
examples = settings(max_examples=20, deadline=None)


# -- assignment ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TABLES)
@examples
@given(rows=ROWS, more=ROWS, places=PLACES)
def test_growth_never_moves_a_row(name: str, rows, more, places) -> None:
    before = of_rows(rows, places, TABLES[name]).placed
    after = of_rows([*rows, *more], places, TABLES[name]).placed
    assert {sample: after[sample] for sample in before} == before
    assert all(len(sides) == 1 for sides in after.values())


@pytest.mark.parametrize("name", TREES)
@examples
@given(files=FILES, more=FILES, places=PLACES)
def test_growth_never_moves_a_file(name: str, files, more, places) -> None:
    before = of_files(files, places, TREES[name]).placed
    after = of_files({**more, **files}, places[::-1], TREES[name]).placed
    assert {sample: after[sample] for sample in before} == before


@pytest.mark.parametrize("name", TABLES)
@examples
@given(rows=ROWS, places=PLACES, others=PLACES, seed=st.randoms())
def test_any_order_of_ingests_gives_the_same_split_of_a_table(
    name: str, rows, places, others, seed
) -> None:
    one = of_rows(rows, places, TABLES[name])
    other = of_rows(seed.sample(rows, len(rows)), others, TABLES[name])
    assert (one.placed, one.sides) == (other.placed, other.sides)


@pytest.mark.parametrize("name", TREES)
@examples
@given(files=FILES, places=PLACES, others=PLACES, seed=st.randoms())
def test_any_order_of_ingests_gives_the_same_split_of_files(
    name: str, files, places, others, seed
) -> None:
    shuffled = dict(seed.sample(list(files.items()), len(files)))
    one, other = of_files(files, places, TREES[name]), of_files(shuffled, others, TREES[name])
    assert (one.placed, one.sides) == (other.placed, other.sides)


@examples
@given(rows=ROWS, places=PLACES)
def test_rows_that_differ_in_nothing_but_the_target_stay_together(rows, places) -> None:
    placed = of_rows(rows, places, TABLES["by row"]).placed
    sides: defaultdict[str, set[str]] = defaultdict(set)
    for sample, own in placed.items():
        sides[json.dumps(json.loads(sample)[1][:-1])] |= own
    assert all(len(own) == 1 for own in sides.values())


@examples
@given(rows=ROWS, files=FILES, places=PLACES)
def test_groups_never_straddle(rows, files, places) -> None:
    sides: defaultdict[str, set[str]] = defaultdict(set)
    for sample, own in of_rows(rows, places, TABLES["by key"]).placed.items():
        sides["row " + json.loads(sample)[1][0]] |= own
    for sample, own in of_files(files, places, TREES["by group"]).placed.items():
        sides["file " + json.loads(sample)[0].split("/")[0]] |= own
    assert all(len(own) == 1 for own in sides.values())


@examples
@given(rows=ROWS, files=FILES, places=PLACES)
def test_a_sample_lies_before_the_bound_of_its_side_and_no_earlier_one(rows, files, places) -> None:
    placed = of_rows(rows, places, TABLES["by time"]).placed.items()
    found = {(json.loads(sample)[1][1], *sides) for sample, sides in placed}
    placed = of_files(files, places, TREES["by time"]).placed.items()
    found |= {(json.loads(sample)[0].split("/")[1], *sides) for sample, sides in placed}
    for date, side in found:
        day = f"{date}-01" if len(date) == 7 else date
        names = ["train"] * (day < "2024-01-20") + ["validation"] * (day < "2024-02-10") + ["test"]
        assert side == names[0]


@settings(max_examples=10, deadline=None)
@given(salt=st.text(max_size=5), first=st.floats(0.05, 0.9), second=st.floats(0.01, 0.99))
def test_sides_and_shards_get_their_share(salt: str, first: float, second: float) -> None:
    rest = 1 - first
    fractions = {"train": first, "validation": rest * second, "test": rest * (1 - second)}
    own = params("table", split={"salt": salt, "sides": fractions})
    decided = rule.Rule(own["split"])
    count, shards = 3000, Counter()
    sides: Counter[str] = Counter()
    for number in range(count):
        side, shard = decided.place([str(number)])
        sides[side] += 1
        shards[shard] += 1
    for side, fraction in [*fractions.items(), *((shard, 1 / 16) for shard in range(16))]:
        found = sides[side] if isinstance(side, str) else shards[side]
        assert abs(found - count * fraction) <= 5.5 * sqrt(count * fraction * (1 - fraction)) + 1


# -- certificate -----------------------------------------------------------------------------------


@st.composite
def two_versions(draw: st.DrawFn) -> tuple[dict[str, bytes], dict[str, bytes]]:
    """Files, and the same with some removed, added, renamed, changed, or none of it."""
    files = draw(FILES)
    kept = [path for path in files if draw(st.integers(0, 5))]
    more = draw(st.one_of(st.just({}), st.dictionaries(PATHS, st.sampled_from([b"1", b"2"]))))
    return files, {path: files[path] for path in reversed(kept)} | more


@settings(max_examples=25, deadline=None)
@given(versions=two_versions(), places=PLACES, salts=st.sampled_from(["ab", "aa"]))
def test_the_certificate_of_files_changes_exactly_when_an_assignment_does(
    versions, places, salts
) -> None:
    found = [
        of_files(files, places[::step], params("files", split={"salt": salt, "id": "path"}))
        for files, salt, step in zip(versions, salts, (1, -1), strict=True)
    ]
    one, other = found
    assert (one.sides == other.sides) == (one.placed == other.placed)


@settings(max_examples=25, deadline=None)
@given(rows=ROWS, edits=st.lists(st.integers(0, 24), max_size=3), places=PLACES, salt=st.booleans())
def test_the_certificate_of_a_table_changes_exactly_when_an_assignment_does(
    rows, edits, places, salt
) -> None:
    others = [row for at, row in enumerate(rows) if at not in edits]
    own = params("table", key="key", split={"salt": "other" if salt else "first"})
    one, other = of_rows(rows, places, TABLES["by key"]), of_rows(others[::-1], places, own)
    same = one.placed == other.placed and Counter(rows) == Counter(others)
    assert (one.sides == other.sides) == same


def test_the_same_content_under_another_id_is_another_certificate(tmp_path: Path) -> None:
    own = params("files", split={"group": "^(.)", "id": "path"})
    one = split_all(tmp_path / "1", {"p": {"a/1": b"x", "a/2": b"y"}}, own)
    other = split_all(tmp_path / "2", {"p": {"a/1": b"y", "a/2": b"x"}}, own)
    assert [list(side) for side in one.placed.values()] == [list(s) for s in other.placed.values()]
    assert one.sides != other.sides


# -- reports and layout ----------------------------------------------------------------------------


def test_files_keep_their_path_and_bytes_and_are_linked(tmp_path: Path) -> None:
    files = {f"{label}/é {number}.bin": os.urandom(9) for label in "ab" for number in range(20)}
    outcome = split_all(tmp_path, {"p": files}, params("files"))
    out = tmp_path / "split/p"
    laid_files = {p.relative_to(out).as_posix(): p for p in out.rglob("*") if p.is_file()}
    assert {path.partition("/")[2]: p.read_bytes() for path, p in laid_files.items()} == files
    assert all(path.stat().st_nlink == 2 for path in laid_files.values())
    counts = {side: report["rows"] for side, report in outcome.reports["p"].items()}
    assert counts == Counter(dict.fromkeys(counts, 0)) | Counter(
        p.split("/")[0] for p in laid_files
    )


def test_where_nothing_can_be_linked_files_are_copied(tmp_path: Path, monkeypatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", refuse)
    split_all(tmp_path, {"p": {"a": b"1"}}, params("files"))
    assert [p.read_bytes() for p in (tmp_path / "split").rglob("a")] == [b"1"]


@pytest.mark.parametrize(
    ("own", "data"),
    [
        (params("table", key="key", split={"strata": "target"}),
         {"a.csv": table(HEADER, [[str(n), "d", "t", "yn"[n % 2]] for n in range(50)])}),
        (params("files", split={"strata": "^(?P<stratum>.)/"}),
         {f"{'yn'[n % 2]}/{n}": b"1" for n in range(50)}),
    ],
)  # fmt: skip
def test_strata_are_counted_and_move_nothing(tmp_path: Path, own: Any, data: Any) -> None:
    counted = split_all(tmp_path / "1", {"p": data}, own)
    own["split"]["strata"] = ""
    plain = split_all(tmp_path / "2", {"p": data}, own)
    assert counted.placed == plain.placed
    assert counted.sides == plain.sides
    report = counted.reports["p"].values()
    assert sum(side["strata"].get("y", 0) for side in report) == 25
    assert all(sum(side["strata"].values()) == side["rows"] for side in report)


def test_a_side_without_rows_is_a_header_and_counts_none(tmp_path: Path) -> None:
    data = {"p": {"a.csv": table(HEADER, [["k", "d", "t", "1"]])}}
    outcome = split_all(tmp_path, data, params("table", key="key"))
    assert sorted(side["rows"] for side in outcome.reports["p"].values()) == [0, 0, 1]
    assert len(list((tmp_path / "split/p").glob("*/*.csv"))) == 3


def test_the_mapping_file_groups_files_and_has_to_name_all(tmp_path: Path, monkeypatch) -> None:
    names = [f"{number}.txt" for number in range(40)]
    lines = [[str(number % 4), name] for number, name in enumerate(names)]
    (tmp_path / "groups.csv").write_bytes(table("group path", lines))
    monkeypatch.setattr(split_data.tree, "GROUPS", tmp_path / "groups.csv")
    data = {"p": {name: name.encode() for name in names}}
    own = params("files", split={"id": "path"})
    placed = split_all(tmp_path / "1", data, own).placed
    sides = {json.loads(sample)[0]: side for sample, side in placed.items()}
    assert all(sides[name] == sides[names[at % 4]] for at, name in enumerate(names))
    with pytest.raises(rule.Refused, match=r"names no group for 'new\.txt'"):
        split_all(tmp_path / "2", {"p": {"new.txt": b"1"}}, own)


def test_a_sample_of_the_shards_is_a_sample_of_the_keys(tmp_path: Path) -> None:
    """What a sampled pin gives `dev/*`: of each key all rows, in all partitions, or none."""
    rows = [[f"k{n}", "d", "t", "1"] for n in range(2000)]
    data = {name: {"a.csv": table(HEADER, rows)} for name in ("p1", "p2")}
    split_all(tmp_path, data, params("table", key="key"))
    keys: dict[str, dict[str, set[str]]] = {}
    for partition in data:
        out = tmp_path / "split" / partition
        paths = [path.relative_to(out).as_posix() for path in out.rglob("*.csv")]
        listed = [Entry(path, Oid("0" * 32)) for path in paths]
        chosen = [entry.relpath for entry in sampled(listed, Sample(0.25, "dev/x"))]
        assert len(chosen) == 4 * len(split_data.SIDES)
        for path in chosen:
            lines = (out / path).read_text().splitlines()[1:]
            side = keys.setdefault(partition, {}).setdefault(path.split("/")[0], set())
            side |= {line.partition(",")[0] for line in lines}
    assert keys["p1"] == keys["p2"]
    assert sorted(keys["p1"]) == sorted(split_data.SIDES)
    assert 0.15 < sum(map(len, keys["p1"].values())) / len(rows) < 0.35


# -- what can't be split ---------------------------------------------------------------------------

TIMED = {"time": {"column": "day", "bounds": BOUNDS}}
UNREADABLE = [
    ({"kind": "image"}, "split.kind is 'image': it can be 'table' or 'files'"),
    ({"key": ["nobody"]}, "split.key names columns that the data lack: ['nobody']"),
    ({"sides": {"train": 0.5, "test": 0.4}}, "split.sides add up to 0.9, not to 1"),
    ({"target": "nobody"}, "split.target names columns that the data lack: ['nobody']"),
    ({"strata": "text"}, "split.strata finds over 100 strata: name something coarse"),
    ({"time": {"column": "text", "bounds": BOUNDS}},
     "split.time: row k0#acc4975acf5fb678 (file a.csv, line 2) has no time: 't0'"),
    ({"time": {"column": "day", "bounds": {"train": "2024-02-01", "test": "2024-03-01"}}},
     "split.time: 2024-03-05 00:00:00+00:00 lies on no side; give the last side the bound null"),
    ({"time": {"column": "day", "bounds": {"train": None, "test": "2024-03-01"}}},
     "split.time.bounds have to grow, and only the last one may be null"),
    ({"kind": "files", "id": "name"}, "split.id is 'name': it can be 'path' or 'content'"),
    ({"kind": "files", "group": "^(x)/"}, "split.group finds no group in 'a.csv'"),
    ({"kind": "files", "time": {"pattern": r"\d{4}", "bounds": BOUNDS}},
     "split.time.pattern finds no time in 'a.csv'"),
]  # fmt: skip


@pytest.mark.parametrize(("own", "said"), UNREADABLE, ids=[said[:30] for _, said in UNREADABLE])
def test_what_cannot_be_split_is_one_line(tmp_path: Path, own: dict[str, Any], said: str) -> None:
    folder = laid(tmp_path / "repo", params("table", key="key", split=own))
    rows = [[f"k{n}", "2024-03-05", f"t{n}", "1"] for n in range(400)]
    split_data.write(folder / "data/clean", {"p": {"a.csv": table(HEADER, rows)}})
    done = script(folder, "split", "p")
    assert done.returncode == 1
    assert done.stderr.splitlines() == [f"error: {said}"]


# -- plain DVC -------------------------------------------------------------------------------------


def repository(sh: Shell, given_params: dict[str, Any]) -> Shell:
    """The laid branch in a repository of its own, with a cache as `init` sets it."""
    repo = sh.at(laid(sh.cwd / "repo", given_params))
    repo.run("git", "init", "--quiet")
    repo.run("dvc", "init", "--quiet")
    repo.run("dvc", "config", "cache.type", "reflink,hardlink,copy")
    (repo.cwd / "pins.yaml").write_text("clean: 0123\n")
    (repo.cwd / "partitions.yaml").write_text("partitions: {clean: []}\n")
    return repo


def ingest(repo: Shell, partition: str, files: dict[str, bytes]) -> None:
    split_data.write(repo.cwd / "data/clean", {partition: files})
    known = repo.cwd / "partitions.yaml"
    names = yaml.safe_load(known.read_text())["partitions"]["clean"]
    known.write_text(yaml.safe_dump({"partitions": {"clean": sorted([*names, partition])}}))
    repo.run("dvc", "add", "--quiet", f"data/clean/{partition}")


def ran(repo: Shell) -> set[str]:
    lines = repo.run("dvc", "repro").stdout.splitlines()
    return {line.split("'")[1] for line in lines if line.startswith("Running stage")}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["table", "files"])
def test_a_new_partition_runs_only_its_own_stages(sh: Shell, kind: str) -> None:
    def files(partition: str) -> dict[str, bytes]:
        if kind == "files":
            return {f"{partition}/{n}.txt": f"{partition} {n}".encode() for n in range(30)}
        return {"a.csv": table(HEADER, [[f"{n}", "2024-01-01", partition, "1"] for n in range(30)])}

    repo = repository(sh, params(kind, key="key"))
    for partition in ("p1", "p2"):
        ingest(repo, partition, files(partition))
    once = {"certificate", "leaks"}
    assert ran(repo) == once | {f"{s}@{p}" for s in ("split", "prints") for p in ("p1", "p2")}
    first = json.loads((repo.cwd / "certificate.json").read_text())
    assert ran(repo) == set()
    ingest(repo, "p3", files("p3"))
    assert ran(repo) == once | {"split@p3", "prints@p3"}
    certificate = json.loads((repo.cwd / "certificate.json").read_text())
    assert certificate["certificate"] != first["certificate"]
    assert sum(side["rows"] for side in certificate["sides"].values()) == 90
    assert json.loads((repo.cwd / "reports/leaks.json").read_text())["leaks"] == 0
    assert "reports/leaks.json" in repo.run("dvc", "metrics", "show").stdout
    for name in ("clean", "split"):
        shutil.rmtree(repo.cwd / "data" / name / "p1")
    repo.run("dvc", "checkout", "--quiet")
    assert repo.run("dvc", "status").stdout.strip() == "Data and pipelines are up to date."
