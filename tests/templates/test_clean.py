"""The clean branch's template: every defect found, nothing good thrown away, growth changes nothing."""

from __future__ import annotations

import re
import shutil
import sys
import tracemalloc
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.repos import Shell
from tests.templates.clean_data import (
    accounts,
    animation,
    flights,
    inside,
    lay,
    list_partitions,
    phone,
    picture,
    plain_png,
    published,
    put,
    rejects,
    rows_of,
    run_all,
    run_new,
    scripts,
    set_params,
    set_schema,
    table,
)


def clean(branch: Path, laid: Path, **partitions: dict[str, bytes]) -> None:
    for name, files in partitions.items():
        put(branch, name, files)
    run_all(branch, laid, partitions)
    for name in partitions:
        accounts(branch, name)


# -- tables ----------------------------------------------------------------------------------------


def test_an_open_quote_costs_its_own_row_only(branch: Path, laid: Path) -> None:
    good = "".join(f"{n},{n}\n" for n in range(5000))
    clean(branch, laid, p={"a.csv": f'x,y\n1,"one\n{good}7,"two\n8,8b\n'.encode()})
    assert rejects(branch, "p") == [
        ("a.csv", 1, "unreadable row"),
        ("a.csv", 5002, "unreadable row"),
    ]
    assert len(rows_of(branch / "data/clean/p/a.csv")) == 1 + 5000 + 1


def test_a_quoted_line_break_is_part_of_its_row(branch: Path, laid: Path) -> None:
    clean(branch, laid, p={"a.csv": b'x,y\r\n1,"one\r\ntwo"\r\n\r\n2,b\r\n'})
    assert not rejects(branch, "p")
    assert rows_of(branch / "data/clean/p/a.csv") == [["x", "y"], ["1", "one\r\ntwo"], ["2", "b"]]


def test_files_that_are_no_good_tables(branch: Path, laid: Path) -> None:
    files = {
        "a.csv": b"\xef\xbb\xbfx,y\n1,2\n",
        "b.csv": b"",
        "c.csv": b"x,y\n",
        "d.csv": b"x,z\n1,2\n",
        "e.csv": b"x,x\n1,2\n",
        "f.txt": b"x,y\n1,2\n",
        "g.csv": b"\xff,y\n1,2\n",
    }
    clean(branch, laid, p=files)
    assert rejects(branch, "p") == [
        ("b.csv", 0, "empty file"),
        ("c.csv", 0, "no rows"),
        ("d.csv", 0, "other header"),
        ("e.csv", 0, "unreadable header"),
        ("f.txt", 0, "not a csv"),
        ("g.csv", 0, "unreadable header"),
    ]


def test_a_column_that_the_schema_names_has_to_be_there(branch: Path, laid: Path) -> None:
    set_schema(branch, {"z": {}})
    clean(branch, laid, p={"a.csv": b"x,y\n1,2\n", "b.csv": b"x,z\n1,2\n"})
    assert rejects(branch, "p") == [("a.csv", 0, "missing column")]


def test_each_rule_of_the_schema_has_its_reason(branch: Path, laid: Path) -> None:
    columns = {
        "i": {"dtype": "int", "nullable": True, "ge": -5, "le": 9},
        "f": {"dtype": "float", "le": 1.5},
        "s": {"isin": ["a", "b"]},
        "r": {"regex": "N[0-9]+"},
        "t": {"dtype": "datetime", "ge": "2013-01-01"},
    }
    set_schema(branch, columns)
    cases = {
        "5,1,a,N1,2013-01-01": "",
        "NA,1.5,b,N22,2013-05-01T10:00:00Z": "",
        "5.0,-1e3,b,N3,2014-05-01 10:00": "",
        "10,1,a,N1,2013-01-01": "i above 9",
        "-6,1,a,N1,2013-01-01": "i below -5",
        "1.5,1,a,N1,2013-01-01": "i is no int",
        "many,1,a,N1,2013-01-01": "i is no int",
        "inf,1,a,N1,2013-01-01": "i is no int",
        "5,nan,a,N1,2013-01-01": "f is no float",
        "5,NA,a,N1,2013-01-01": "f is empty",
        "5,2,a,N1,2013-01-01": "f above 1.5",
        "5,1,c,N1,2013-01-01": "s is not an allowed value",
        "5,1,,N1,2013-01-01": "s is empty",
        "5,1,a,N1x,2013-01-01": "r doesn't match",
        "5,1,a,xN1,2013-01-01": "r doesn't match",
        "5,1,a,N1,soon": "t is no datetime",
        "5,1,a,N1,2012-12-31T23:59:59Z": "t below 2013-01-01",
        "99,9,z,z,2013-01-02": "i above 9",
    }
    clean(branch, laid, p={"a.csv": "\n".join(["i,f,s,r,t", *cases, ""]).encode()})
    found = {row: reason for _, row, reason in rejects(branch, "p")}
    wanted = {n: f"schema: {why}" for n, why in enumerate(cases.values(), start=1) if why}
    assert found == wanted


def test_a_unique_column_keeps_the_first_good_row(branch: Path, laid: Path) -> None:
    set_schema(branch, {"id": {"unique": True, "nullable": True}, "n": {"dtype": "int"}})
    rows = b"id,n\n1,bad\n1,1\n1,2\n,3\n,4\n1,1\n"
    clean(branch, laid, p={"a.csv": rows})
    assert [(row, reason) for _, row, reason in rejects(branch, "p")] == [
        (1, "schema: n is no int"),
        (3, "schema: id is not unique"),
        (6, "duplicate of p/a.csv:2"),
    ]


@pytest.mark.parametrize(
    ("columns", "complaint"),
    [({"x": {"max": 3}}, "unknown keys: max"), ({"x": {"dtype": "int64"}}, "has dtype 'int64'")],
)
def test_a_mistake_in_the_schema_is_one_line(
    branch: Path, laid: Path, columns: dict[str, Any], complaint: str
) -> None:
    set_schema(branch, columns)
    put(branch, "p", {"a.csv": b"x,y\n1,2\n"})
    with pytest.raises(SystemExit, match=complaint) as stop:
        run_all(branch, laid, ["p"])
    assert "\n" not in str(stop.value)


@pytest.mark.parametrize("kind", ["@KIND@", "tables", None])
def test_another_kind_is_an_error_of_one_line(branch: Path, laid: Path, kind: str | None) -> None:
    set_params(branch, kind=kind)
    put(branch, "p", {"a.csv": b"x,y\n1,2\n"})
    with pytest.raises(SystemExit, match=r"params.yaml: clean.kind is .*, not table or files"):
        run_all(branch, laid, ["p"])


def test_the_libraries_are_imported_only_where_they_are_needed(branch: Path, sh: Shell) -> None:
    put(branch, "p", {"a.csv": b"x,y\n1,2\n"})
    done = sh.at(branch).run(sys.executable, "-X", "importtime", "-m", "src.scan", "p")
    loaded = re.findall(r"\| +(pandera|pandas|numpy|PIL)\b", done.stderr)
    assert not loaded


# -- duplicates ------------------------------------------------------------------------------------


def test_of_equal_rows_the_first_by_name_is_kept(branch: Path, laid: Path) -> None:
    clean(
        branch,
        laid,
        p1={"b.csv": b"x,y\n1,1\n2,2\n1,1\n", "a.csv": b"x,y\n9,9\n2,2\n"},
        p0={"z.csv": b"x,y\n9,9\n"},
        p2={"a.csv": b"y,x\n9,9\n"},
    )
    assert not rejects(branch, "p0")
    assert rejects(branch, "p1") == [
        ("a.csv", 1, "duplicate of p0/z.csv:1"),
        ("b.csv", 2, "duplicate of p1/a.csv:2"),
        ("b.csv", 3, "duplicate of p1/b.csv:1"),
    ]
    assert not rejects(branch, "p2"), "other columns, other rows"


def test_duplicates_of_what_is_rejected_are_kept(branch: Path, laid: Path) -> None:
    set_params(branch, reject={"p/a.csv": "sensor was off"})
    files = {"a.csv": b"x,y\n1,1\n", "b.txt": b"x,y\n1,1\n", "c.csv": b"x,y\n1,1\n"}
    clean(branch, laid, p=files)
    assert rejects(branch, "p") == [("a.csv", 0, "sensor was off"), ("b.txt", 0, "not a csv")]
    assert rows_of(branch / "data/clean/p/c.csv") == [["x", "y"], ["1", "1"]]


def test_duplicates_can_be_kept(branch: Path, laid: Path) -> None:
    set_params(branch, duplicates="keep")
    clean(branch, laid, p={"a.csv": b"x,y\n1,1\n1,1\n"}, q={"a.csv": b"x,y\n1,1\n"})
    assert accounts(branch, "p")["kept"] == 2
    assert accounts(branch, "q")["kept"] == 1


def test_a_rejection_that_names_nothing_is_an_error(branch: Path, laid: Path) -> None:
    set_params(branch, reject={"p/b.csv": "mistyped"})
    put(branch, "p", {"a.csv": b"x,y\n1,1\n"})
    with pytest.raises(SystemExit, match=r"names what raw lacks: p/b\.csv"):
        run_all(branch, laid, ["p"])


# -- growth: any order of arrival gives the same ---------------------------------------------------

_field = st.sampled_from(["0", "1", "2", "NA", "é", "a b"])
_line = st.one_of(
    st.lists(_field, min_size=2, max_size=2).map(",".join),
    st.sampled_from(['1,"', "1,2,3", "\0,1", "", '"a\nb",1', "99,1"]),
)
_header = st.sampled_from(["x,y", "x,y", "x,y", "y,x", "x,x"])
_table = st.builds(
    lambda header, lines: "\n".join([header, *lines, ""]).encode(),
    _header,
    st.lists(_line, max_size=5),
)
_tables = st.dictionaries(
    st.sampled_from(["a.csv", "b.csv", "b/a.csv", "b-c.csv", "n.txt"]), _table, max_size=3
)
_contents = st.sampled_from([b"", b"one", b"two", b"{}", b"  ", b"\xff", b"%PDF-1"])
_folder = st.dictionaries(
    st.sampled_from(["a.txt", "b.txt", "b/a.md", "b-c.json", "d.pdf", "e.xyz"]),
    _contents,
    max_size=5,
)


def grow(laid: Path, kind: str, parts: dict[str, dict[str, bytes]], order: list[str]) -> None:
    with TemporaryDirectory() as top:
        grown, full = Path(top, "grown"), Path(top, "full")
        for branch in (grown, full):
            shutil.copytree(laid, branch, ignore=shutil.ignore_patterns("__pycache__"))
            set_params(branch, kind=kind)
        arrived: list[str] = []
        for name in order:
            put(grown, name, parts[name])
            run_new(grown, laid, name, arrived)
            arrived.append(name)
        for name, files in parts.items():
            put(full, name, files)
        run_all(full, laid, parts)
        assert published(grown) == published(full)
        for name in parts:
            accounts(full, name)
        if kind == "table":
            exactly_once(full, parts)


def exactly_once(branch: Path, parts: dict[str, dict[str, bytes]]) -> None:
    """A good row is published once, and a rejected duplicate names one that is published."""
    kept: dict[str, Counter[tuple[str, ...]]] = {}
    places: dict[str, tuple[str, ...]] = {}
    for name in parts:
        left_out = {(file, row): why for file, row, why in rejects(branch, name)}
        for path in sorted((branch / "data/clean" / name).rglob("*.csv")):
            file = path.relative_to(branch / "data/clean" / name).as_posix()
            header, *rows = rows_of(path)
            counted = kept.setdefault(",".join(header), Counter())
            number = 0
            for row in rows:
                number += 1
                while (file, number) in left_out:
                    number += 1
                places[f"{name}/{file}:{number}"] = tuple(row)
                counted[tuple(row)] += 1
    assert all(count == 1 for counted in kept.values() for count in counted.values())
    for name in parts:
        for _, _, why in rejects(branch, name):
            if why.startswith("duplicate of "):
                assert why.removeprefix("duplicate of ") in places


@pytest.mark.slow
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_growing_tables_equals_a_full_run(laid: Path, data: st.DataObject) -> None:
    parts = data.draw(
        st.dictionaries(st.sampled_from(["1", "2", "10", "a/b"]), _tables, min_size=1)
    )
    grow(laid, "table", parts, data.draw(st.permutations(sorted(parts))))


@pytest.mark.slow
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_growing_folders_equals_a_full_run(laid: Path, data: st.DataObject) -> None:
    parts = data.draw(
        st.dictionaries(st.sampled_from(["1", "2", "10", "a/b"]), _folder, min_size=1)
    )
    grow(laid, "files", parts, data.draw(st.permutations(sorted(parts))))


@pytest.fixture
def project(sh: Shell) -> Shell:
    """A repository with the template and a DVC remote, as init leaves it."""
    sh.run("git", "init", "--quiet", ".")
    sh.run("dvc", "init", "--quiet")
    store = sh.cwd.parent / "store"
    sh.run("dvc", "remote", "add", "--quiet", "--default", "store", store)
    ignored = ["/data/raw/?*", "!/data/raw/*.dvc", "/data/clean/?*", "!/data/clean/*.dvc"]
    ignored += ["/rejects/", "/scanned/", "/repeats/", "__pycache__/"]
    (sh.cwd / ".gitignore").write_text("".join(f"{line}\n" for line in ignored))
    lay(sh.cwd, "table", "arr_delay", "tailnum")
    list_partitions(sh.cwd, [])
    return sh


def arrive(sh: Shell, name: str, files: dict[str, bytes], before: list[str]) -> set[str]:
    """One more partition, then `dvc repro`; return the stages that ran."""
    put(sh.cwd, name, files)
    list_partitions(sh.cwd, [*before, name])
    sh.run("dvc", "add", "--quiet", f"data/raw/{name}")
    return repro(sh)


def repro(sh: Shell, *args: str) -> set[str]:
    output = sh.run("dvc", "repro", *args, timeout=300).stdout
    return set(re.findall(r"^Running stage '(.+?)'", output, re.MULTILINE))


@pytest.mark.slow
def test_dvc_repro_redoes_only_what_growth_touches(project: Shell) -> None:
    header, months = flights(3, 300)
    january, february, march = months.values()
    parts = {
        "2013-03": {"flights.csv": table([header, *march, january[7]])},
        "2013-01": {"flights.csv": table([header, *january, january[3]])},
        "2013-02": {"flights.csv": table([header, *february])},
    }
    ran = []
    for at, (name, files) in enumerate(parts.items()):
        ran.append(arrive(project, name, files, list(parts)[:at]))
    assert ran == [
        {"scan@2013-03", "duplicates", "clean@2013-03"},
        # March's copy of a January row was good until January came.
        {"scan@2013-01", "duplicates", "clean@2013-01", "clean@2013-03"},
        {"scan@2013-02", "duplicates", "clean@2013-02"},
    ]
    assert rejects(project.cwd, "2013-03")[-1] == (
        "flights.csv", 301, "duplicate of 2013-01/flights.csv:8",
    )  # fmt: skip
    assert "up to date" in project.run("dvc", "status").stdout
    project.run("git", "add", "--all")
    project.run("git", "commit", "--quiet", "-m", "three months")
    project.run("dvc", "push", "--quiet")
    grown = published(project.cwd)

    # A clone without data: nothing to do, nothing pulled; then a change of the last script alone.
    project.run("git", "clone", "--quiet", ".", "../clone")
    clone = project.at(project.cwd.parent / "clone")
    clone.run("dvc", "pull", "--quiet", *(f"scanned/{name}" for name in parts))
    assert repro(clone, "--pull", "--allow-missing") == set()
    script = clone.cwd / "src/clean.py"
    script.write_text(script.read_text("utf-8") + "# a remark\n", encoding="utf-8")
    every = {f"clean@{name}" for name in parts}
    assert repro(clone, "--pull", "--allow-missing") == every
    assert "up to date" in clone.run("dvc", "status").stdout
    assert published(clone.cwd) == grown

    # A rule changes: all is judged again. Then everything from nothing: byte for byte the same.
    rules = clone.cwd / "src/rules.py"
    rules.write_text(rules.read_text("utf-8") + "# a remark\n", encoding="utf-8")
    assert repro(clone) >= {f"scan@{name}" for name in parts}
    assert published(clone.cwd) == grown
    assert len(repro(project, "--force", "--no-run-cache")) == 7
    assert published(project.cwd) == grown
    assert project.run("git", "status", "--porcelain").stdout == ""


# -- a folder with everything in it ----------------------------------------------------------------


def broken_folder() -> Iterator[tuple[str, bytes, str]]:
    """Name, content and why it is to be rejected; '' where it is good."""
    kinds = {"png": "PNG", "jpg": "JPEG", "bmp": "BMP", "gif": "GIF", "tif": "TIFF", "webp": "WEBP"}
    for at, (suffix, kind) in enumerate({**kinds, "ppm": "PPM", "jpeg": "JPEG"}.items()):
        whole = picture(kind, seed=at)
        yield f"good/{suffix}.{suffix}", whole, ""
        yield f"half/{suffix}.{suffix}", whole[: len(whole) // 2], "image doesn't decode"
        yield f"tail/{suffix}.{suffix}", whole[:-60], "image doesn't decode"
        yield f"zero/{suffix}.{suffix}", b"", "empty file"
        yield f"text/{suffix}.{suffix}", b"no picture at all", "wrong type: no image"
    damaged = bytearray(picture("PNG", seed=50))
    damaged[2000:2100] = bytes(100)
    yield "damaged.png", bytes(damaged), "image doesn't decode"
    yield "upper.PNG", picture("PNG", seed=51), ""
    yield "really-png.jpg", picture("PNG", seed=52), "wrong type: PNG"
    yield "really-jpeg.png", picture("JPEG", seed=53), "wrong type: JPEG"
    yield "moving.gif", animation(), ""
    yield "moving-cut.gif", animation()[: len(animation()) * 6 // 10], "image doesn't decode"
    yield "one-of-a-phone.jpg", picture("MPO", seed=54), ""
    yield from broken_off()
    yield "large.png", plain_png(5000), ""
    yield "bomb.png", plain_png(20_000), "image too large"
    yield "heavy.png", plain_png(10_000), "image too large"
    yield "note.txt", "Grüße\n".encode(), ""
    yield "latin.txt", "Grüße\n".encode("latin-1"), "text is not utf-8"
    yield "cut.txt", "Grüße, ü"[:8].encode()[:-1], "text is not utf-8"
    yield "blank.txt", b" \n\t\n", "blank text"
    yield "bom.txt", b"\xef\xbb\xbf \n", "blank text"
    yield "nul.txt", b"a\0b", "binary content in a text"
    yield "picture.txt", picture("PNG", seed=55), "wrong type: PNG"
    yield "paper.md", b"%PDF-1.4 and so on", "wrong type: PDF"
    yield "paper.pdf", b"%PDF-1.4 and so on", ""
    yield "page.pdf", b"<html>not found</html>", "wrong type"
    yield "good.json", b'\xef\xbb\xbf{"a": [1]}', ""
    yield "bad.json", b'{"a": [1}', "doesn't parse as json"
    yield "good.jsonl", b'{"a": 1}\n\n{"a": 2}\n', ""
    yield "bad.jsonl", b'{"a": 1}\n{"a": \n', "doesn't parse as jsonl"
    yield "good.csv", b"a,b\n1,2\n", ""
    yield "ragged.csv", b"a,b\n1,2,3\n", "doesn't parse as csv"
    yield "quote.csv", b'a,b\n1,"2\n', "doesn't parse as csv"
    yield "what.xyz", b"who knows", "unknown extension"
    yield "Makefile", b"all:\n", "unknown extension"
    yield "lid.png", picture("PNG", seed=56), "taken with the lid on"
    yield "zz-again.png", picture("PNG", seed=0), "duplicate of p/good/png.png"


def broken_off() -> Iterator[tuple[str, bytes, str]]:
    """Files that Pillow decodes without a word, though their end is missing; and others like them."""
    jpeg, png, two = picture("JPEG", seed=57), picture("PNG", seed=58), phone()
    behind = two.rindex(b"\xff\xd8\xff")
    yield "zeros.jpg", jpeg[:-600] + bytes(600), "image is incomplete"
    yield "no-end.png", png[:-12], "image is incomplete"
    yield "zeros.png", png[:-12] + bytes(12), "image is incomplete"
    yield "check.png", png[:-13] + bytes([png[-13] ^ 1]) + png[-12:], "image is incomplete"
    yield "phone.jpg", two, ""
    yield "phone.mpo", two[:behind] + bytes(99) + two[behind:], ""
    yield "phone-cut.jpg", two[:-60], "image is incomplete"
    yield "phone-zeros.jpg", two[:-600] + bytes(600), "image is incomplete"
    yield (
        "phone-damaged.jpg",
        two[: behind + 20] + b"?" * 9 + two[behind + 29 :],
        "image doesn't decode",
    )
    yield "phone-one.jpg", two[:behind], ""
    yield "padded.jpg", jpeg + bytes(512), ""
    yield "film.jpg", jpeg + b"\0\0\0\x18ftypmp42 and a film", ""


def test_every_broken_file_of_a_folder_is_found(branch: Path, laid: Path) -> None:
    folder = list(broken_folder())
    set_params(branch, kind="files", reject={"p/lid.png": "taken with the lid on"})
    more = {"other/name.tif": picture("TIFF", seed=4), "new.txt": b"new\n"}
    clean(branch, laid, p={name: content for name, content, _ in folder}, q=more)
    found = {name: reason for name, row, reason in rejects(branch, "p") if row == 0}
    assert found == {name: why for name, _, why in folder if why}
    kept = {
        path.relative_to(branch / "data/clean/p").as_posix(): path.read_bytes()
        for path in (branch / "data/clean/p").rglob("*")
        if path.is_file()
    }
    assert kept == {name: content for name, content, why in folder if not why}
    assert rejects(branch, "q") == [("other/name.tif", 0, "duplicate of p/good/tif.tif")]
    report = accounts(branch, "p")
    assert (report["rows"], report["kept"], report["rejected"]) == (0, 0, 0)


def test_texts_in_other_encodings_and_unknown_files_can_be_allowed(
    branch: Path, laid: Path
) -> None:
    set_params(branch, kind="files", encodings=["utf-8", "latin-1"], unknown="accept")
    clean(branch, laid, p={"a.txt": b"\xfc", "b.xyz": b"who knows", "c.csv": b"\xfc,1\n2,3\n"})
    assert not rejects(branch, "p")


def test_a_missing_pillow_is_one_line(
    branch: Path, laid: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "PIL", None)
    set_params(branch, kind="files")
    put(branch, "p", {"a.txt": b"text"})
    run_all(branch, laid, ["p"])
    put(branch, "p", {"b.png": picture_bytes()})
    with pytest.raises(SystemExit, match=r"needs Pillow: pip install -r requirements.txt"):
        run_all(branch, laid, ["p"])


def picture_bytes() -> bytes:
    return b"\x89PNG\r\n\x1a\n and the rest"


# -- size ------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_partition_of_many_rows_stays_in_bounded_memory(branch: Path, laid: Path) -> None:
    rows = 100_000
    set_schema(branch, {"n": {"dtype": "int", "ge": 0}})
    content = b"n,text,y\n" + b"".join(b"%d,%s,1\n" % (n, b"x" * 200) for n in range(rows))
    put(branch, "p", {"a.csv": content})
    put(branch, "first", {"a.csv": b"n,text,y\n1,x,1\n"})
    list_partitions(branch, ["first", "p"])
    steps = scripts(laid)
    with inside(branch):
        steps.scan.main("first")  # what libraries hold once they are imported is not counted
        tracemalloc.start()
        steps.scan.main("p")
        steps.duplicates.main()
        steps.clean.main("p")
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert accounts(branch, "p")["kept"] == rows
    assert peak < 20_000 * 1500 + rows * 100, "a chunk of rows, and a fingerprint for each"
