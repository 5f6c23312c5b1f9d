"""The split template's leak check: what a hostile colleague tries first, and what is no leak."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from sklearn.datasets import load_sample_images

from dvc_branchflow.demo import _archive, _months
from tests.templates.split_data import (
    Outcome,
    laid,
    leaks_of,
    name_on,
    near,
    pairs,
    params,
    prints,
    rule,
    script,
    split_all,
    table,
    write,
)  # fmt: skip

HEADER = "id a b target"
BY_PATH = {"id": "path"}  # so that a new name is another side, as for what is nearly the same
TEXT = params(
    "files", split=BY_PATH, leaks={"near": {"kind": "text", "threshold": 0.9, "shingle": 3}}
)
IMAGE = params("files", split=BY_PATH, leaks={"near": {"kind": "image", "threshold": 12}})
STORY = "The ship left the harbour at dawn, and nobody on the quay knew when it would return. " * 4


def crops() -> dict[str, bytes]:
    """Pieces of two photographs, none of which shows what another one shows."""
    found = {}
    for name, photo in zip(("china", "flower"), load_sample_images().images, strict=True):
        for top in range(0, 384, 96):
            for left in range(0, 640, 128):
                piece = Image.fromarray(photo[top : top + 96, left : left + 128])
                found[f"{name}-{top}-{left}.png"] = as_bytes(piece, "PNG")
    return found


def as_bytes(image: Image.Image, form: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, form, **options)
    return buffer.getvalue()


def rows_of(outcome: Outcome, side: str) -> list[list[str]]:
    found = []
    for path in sorted((outcome.folder / "split").glob(f"*/{side}/*.csv")):
        found += list(csv.reader(path.open(encoding="utf-8", newline="")))[1:]
    return found


def two_sides(given_params: dict[str, Any], form: str) -> tuple[str, str]:
    """Names that the rule puts on train and on test."""
    return name_on("train", given_params, "one " + form), name_on("test", given_params, form)


# -- the hostile colleague: files ------------------------------------------------------------------


def test_a_copy_under_a_new_name_is_named(tmp_path: Path) -> None:
    own = params("files", split=BY_PATH)
    train, test = two_sides(own, "{}.bin")
    data = {"p1": {test: b"secret", "other": b"x"}, "p2": {train: b"secret"}}
    split_all(tmp_path, data, own)
    report = leaks_of(tmp_path, own)
    assert report["leaks"] == 1
    assert report["checks"] == {"identical": {"leaks": 1}}
    (pair,) = report["pairs"]
    assert pair == {
        "check": "identical",
        "a": {"side": "train", "id": train, "at": f"{tmp_path}/split/p2/train/{train}"},
        "b": {"side": "test", "id": test, "at": f"{tmp_path}/split/p1/test/{test}"},
        "distance": 0,
    }


def test_with_content_as_id_a_copy_stands_on_the_side_of_the_original(tmp_path: Path) -> None:
    own = params("files")
    split_all(tmp_path, {"p": {str(n): str(n % 50).encode() for n in range(200)}}, own)
    assert leaks_of(tmp_path, own)["leaks"] == 0


@pytest.mark.parametrize(
    ("form", "options", "edit"),
    [
        ("JPEG", {"quality": 30}, lambda image: image),
        ("JPEG", {"quality": 85}, lambda image: image.resize((200, 150))),
        ("GIF", {}, lambda image: image),
        ("WEBP", {"quality": 50}, lambda image: image),
        ("BMP", {}, lambda image: image.resize((64, 48))),
        ("PNG", {}, lambda image: image.convert("L")),
    ],
)
def test_a_re_encoded_image_is_named(tmp_path: Path, form: str, options: Any, edit: Any) -> None:
    train, test = two_sides(IMAGE, "{}.img")
    original = crops()["china-96-128.png"]
    again = as_bytes(edit(Image.open(io.BytesIO(original))), form, **options)
    split_all(tmp_path, {"p": {**crops(), train: again}, "q": {test: original}}, IMAGE)
    (tmp_path / "split/p/train/china-96-128.png").unlink(missing_ok=True)
    report = leaks_of(tmp_path, IMAGE)
    named = {frozenset(pair) for pair in pairs(report, "near")}
    assert frozenset([train, test]) in named
    assert {pair["distance"] <= 12 for pair in report["pairs"] if pair["check"] == "near"} == {True}


@pytest.mark.parametrize(
    ("form", "options", "found"), [("JPEG", {"quality": 75}, 35), ("JPEG", {"quality": 30}, 29), ("GIF", {}, 39)]
)  # fmt: skip
def test_of_forty_hard_images_most_are_found_again(tmp_path: Path, form, options, found) -> None:
    """Pieces of sky and of a blurred background among them."""
    files = {}
    for name, content in crops().items():
        files[f"test/{name}"] = content
        again = as_bytes(Image.open(io.BytesIO(content)), form, **options)
        files[f"train/{name}.again"] = again
    write(tmp_path / "split", {"p": files})
    named = pairs(leaks_of(tmp_path, IMAGE), "near")
    assert len(files) == 80
    assert all(first == f"{second}.again" for first, second in named)
    assert len(named) >= found


@pytest.mark.parametrize(
    "edit",
    [
        str.upper,
        lambda text: text.replace(" ", "  \n\t"),
        lambda text: "\ufeff" + text.replace(",", "").replace(".", " !"),
        lambda text: text.replace("fi", "ﬁ").replace(" ", "\u00a0"),
    ],
    ids=["case", "white space", "punctuation", "compatibility characters"],
)
def test_a_text_in_other_clothes_is_named(tmp_path: Path, edit: Any) -> None:
    train, test = two_sides(TEXT, "{}.txt")
    data = {"p": {test: STORY.encode(), train: edit(STORY).encode(), "x.txt": b"Something else."}}
    split_all(tmp_path, data, TEXT)
    report = leaks_of(tmp_path, TEXT)
    assert pairs(report, "near") == [(train, test)]
    assert report["pairs"][0]["distance"] == 0
    assert report["checks"] == {"identical": {"leaks": 0}, "near": {"leaks": 1}}


def test_a_text_with_a_few_other_words_is_named_up_to_the_threshold(tmp_path: Path) -> None:
    train, test = two_sides(TEXT, "{}.txt")
    words = [f"word{number}" for number in range(400)]
    for at, edits, is_near in ((0, 4, True), (1, 60, False)):
        other = [f"new{n}" if n % 6 == 0 and n < edits * 6 else w for n, w in enumerate(words)]
        data = {"p": {test: " ".join(words).encode(), train: " ".join(other).encode()}}
        split_all(tmp_path / str(at), data, TEXT)
        assert bool(leaks_of(tmp_path / str(at), TEXT)["leaks"]) == is_near


def blocks(seed: int) -> np.ndarray:
    """A pattern of its own in 12 bits, as X-rays have them."""
    own = np.random.default_rng(seed).integers(300, 4096, (8, 8), dtype=np.uint16)
    return own.repeat(12, axis=0).repeat(12, axis=1)


def icon(seed: int) -> Image.Image:
    """A pattern that only its transparency shows: all of it is black."""
    image = Image.new("RGBA", (96, 96))
    image.putalpha(Image.fromarray((blocks(seed) >> 4).astype(np.uint8)))
    return image


@pytest.mark.parametrize(
    ("form", "picture", "again"),
    [
        ("PNG", lambda seed: Image.fromarray(blocks(seed)),
         lambda seed: Image.fromarray((blocks(seed) >> 4).astype(np.uint8))),
        ("TIFF", lambda seed: Image.fromarray(blocks(seed).astype(np.float32) / 4096),
         lambda seed: Image.fromarray((blocks(seed) >> 4).astype(np.uint8))),
        ("PNG", icon, lambda seed: Image.fromarray(255 - (blocks(seed) >> 4).astype(np.uint8))),
        ("TIFF", lambda seed: Image.merge("LAB", [Image.fromarray((blocks(seed) >> 4).astype(np.uint8))] * 3),
         lambda seed: Image.fromarray((blocks(seed) >> 4).astype(np.uint8))),
    ],
    ids=["16 bits", "real numbers", "transparent", "LAB"],
)  # fmt: skip
def test_what_is_not_in_256_shades_is_compared_as_it_looks(
    tmp_path: Path, form: str, picture: Any, again: Any
) -> None:
    files = {f"train/{seed}.img": as_bytes(picture(seed), form) for seed in range(6)}
    files |= {f"test/{seed}.img": as_bytes(again(seed), "PNG") for seed in range(3)}
    write(tmp_path / "split", {"p": files})
    named = pairs(leaks_of(tmp_path, IMAGE), "near")
    assert sorted(named) == [(f"{seed}.img", f"{seed}.img") for seed in range(3)]


def test_images_of_one_colour_are_not_each_others_twins(tmp_path: Path) -> None:
    files = {f"{side}/{shade}.png": as_bytes(Image.new("L", (32, 32), shade + at), "PNG")
             for at, side in enumerate(("train", "test")) for shade in (0, 90, 200)}  # fmt: skip
    write(tmp_path / "split", {"p": files})
    assert leaks_of(tmp_path, IMAGE)["leaks"] == 0


# -- the hostile colleague: tables -----------------------------------------------------------------


def test_test_rows_copied_into_raw_under_a_new_file_name_stay_on_test(tmp_path: Path) -> None:
    own = params("table", key="id", target="target")
    rows = [[str(n), str(n % 7), "b", "1"] for n in range(200)]
    first = {"p1": {"a.csv": table(HEADER, rows)}}
    test_rows = rows_of(split_all(tmp_path / "1", first, own), "test")
    data = {**first, "p2": {"stolen.csv": table(HEADER, test_rows)}}
    outcome = split_all(tmp_path / "2", data, own)
    assert len(test_rows) > 10
    assert outcome.reports["p2"]["test"]["rows"] == len(test_rows)
    assert leaks_of(tmp_path / "2", own)["leaks"] == 0


def test_test_rows_copied_under_new_keys_are_named_where_the_key_is_ignored(tmp_path: Path) -> None:
    own = params("table", key="id", target="target", leaks={"ignore": ["id"]})
    rows = [[f"k{n}", str(n), "b", "1"] for n in range(300)]
    first = {"p1": {"a.csv": table(HEADER, rows)}}
    stolen = rows_of(split_all(tmp_path / "1", first, own), "test")[:20]
    again = [[f"new{n}", *row[1:3], "0"] for n, row in enumerate(stolen)]
    outcome = split_all(tmp_path / "2", {**first, "p2": {"b.csv": table(HEADER, again)}}, own)
    on_test = {row[0] for row in rows_of(outcome, "test")}
    report = leaks_of(tmp_path / "2", own)
    wanted = [row[0] for n, row in enumerate(stolen) if f"new{n}" not in on_test]
    named = {ident.partition("#")[0] for pair in pairs(report, "identical") for ident in pair}
    assert len(wanted) > 5
    assert {name for name in named if name.startswith("k")} == set(wanted)
    own["leaks"]["ignore"] = []
    assert leaks_of(tmp_path / "2", own)["leaks"] == 0


def test_a_text_column_is_compared_as_texts_are(tmp_path: Path) -> None:
    settings = {"near": {"kind": "text", "threshold": 0.9, "shingle": 3, "column": "a"}}
    own = params("table", key="id", target="target", leaks=settings)
    train, test = two_sides(own, "{}")
    rows = [[test, STORY, "b", "1"], [train, STORY.upper(), "c", "0"], ["x", "", "", "1"]]
    split_all(tmp_path, {"p": {"a.csv": table(HEADER, rows)}}, own)
    (pair,) = pairs(leaks_of(tmp_path, own), "near")
    assert [ident.partition("#")[0] for ident in pair] == [train, test]


# -- what somebody moved by hand or by an edited rule ----------------------------------------------


def move(folder: Path, name: str, side: str) -> None:
    (path,) = folder.glob(f"split/*/*/{name}")
    target = path.parents[len(Path(name).parts)] / side / name
    target.parent.mkdir(parents=True, exist_ok=True)
    path.rename(target)


def test_a_group_on_two_sides_is_named(tmp_path: Path) -> None:
    own = params("files", split={"group": "^([^/]+)/"})
    files = {f"{patient}/{n}.png": f"{patient} {n}".encode() for patient in "abc" for n in range(3)}
    split_all(tmp_path, {"p": files}, own)
    assert leaks_of(tmp_path, own)["checks"]["groups"] == {"leaks": 0}
    side = rule.Rule(own["split"]).place(["a"])[0]
    move(tmp_path, "a/1.png", "test" if side != "test" else "train")
    report = leaks_of(tmp_path, own)
    assert report["checks"] == {"identical": {"leaks": 0}, "groups": {"leaks": 1}}
    assert {name for pair in pairs(report, "groups") for name in pair} == {"a/0.png", "a/1.png"}


def test_a_sample_from_the_future_is_named(tmp_path: Path) -> None:
    bounds = {"train": "2024-02-01", "validation": "2024-02-15", "test": None}
    own = params("files", split={"time": {"pattern": r"\d{4}-\d\d-\d\d", "bounds": bounds}})
    data = {f"p{m}": {f"2024-0{m}-{d}.txt": b"%d %d" % (m, d) for d in (10, 20)} for m in (1, 2, 3)}
    split_all(tmp_path, data, own)
    assert leaks_of(tmp_path, own)["checks"]["time"] == {"leaks": 0}
    move(tmp_path, "2024-03-10.txt", "train")
    report = leaks_of(tmp_path, own)
    assert pairs(report, "time") == [("2024-03-10.txt", "2024-02-10.txt")]


# -- allowed, configured, missing ------------------------------------------------------------------


def test_a_pair_that_is_allowed_is_no_leak_and_hides_no_other(tmp_path: Path) -> None:
    train, test = two_sides(TEXT, "{}.txt")
    second = name_on("train", TEXT, "two {}.txt")
    data = {"p": {test: STORY.encode(), train: STORY.upper().encode()}}
    split_all(tmp_path / "1", data, TEXT)
    own = {**TEXT, "leaks": {**TEXT["leaks"], "allow": [[test, train]]}}
    assert leaks_of(tmp_path / "1", own)["leaks"] == 0
    split_all(tmp_path / "2", {**data, "q": {second: STORY.lower().encode()}}, own)
    assert pairs(leaks_of(tmp_path / "2", own), "near") == [(second, test)]
    identical = params("files", split=BY_PATH, leaks={"allow": [[train, test]]})
    same = {train: b"1", test: b"1"}
    split_all(tmp_path / "3", {"p": same}, identical)
    assert leaks_of(tmp_path / "3", identical)["leaks"] == 0


def test_only_a_hundred_pairs_are_named_and_all_are_counted(tmp_path: Path) -> None:
    own = params("files")
    write(tmp_path / "split", {"p": {f"{s}/{n}": b"%d" % n for s in ("test", "train") for n in range(130)}})  # fmt: skip
    report = leaks_of(tmp_path, own)
    assert (report["leaks"], len(report["pairs"])) == (130, 100)


NEAR = {"kind": "text", "threshold": 0.9, "shingle": 3, "column": ""}
REFUSED = [
    (NEAR, "rensa", r"'text' needs rensa: pip install 'numpy>=2' 'rensa==0.5.\*'"),
    ({**NEAR, "kind": "image", "threshold": 12}, "imagehash", "'image' needs imagehash: pip install"),
    ({**NEAR, "kind": "image"}, "", "threshold is 0.9: images need a number of bits, like 12"),
    ({**NEAR, "threshold": 12}, "", "threshold is 12: texts need a share from 0 to 1"),
    ({**NEAR, "kind": "sound"}, "", "kind is 'sound': it can be none, text or image"),
]  # fmt: skip


@pytest.mark.parametrize(("settings", "without", "said"), REFUSED, ids=[r[2][:20] for r in REFUSED])
def test_what_cannot_be_checked_is_one_line(
    tmp_path: Path, settings: dict[str, Any], without: str, said: str
) -> None:
    folder = laid(tmp_path / "repo", params("files", leaks={"near": settings}))
    write(folder / "data/split", {"p": {"train/a.txt": b"a text"}})
    done = script(folder, "prints", "p", without=without)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert re.match(f"error: leaks.near.(kind )?{said}", line)


def test_without_near_nothing_more_than_yaml_is_needed(tmp_path: Path) -> None:
    folder = laid(tmp_path / "repo", params("files"))
    write(folder / "data/split", {"p": {"train/a.txt": b"a text"}})
    assert script(folder, "prints", "p", without="numpy").returncode == 0


def test_the_script_reports_prints_and_ends_well_even_with_leaks(tmp_path: Path) -> None:
    folder = laid(tmp_path / "repo", params("files"))
    write(folder / "data/split", {"p": {"train/a": b"1", "test/b": b"1"}})
    (folder / "partitions.yaml").write_text("partitions: {clean: [p]}\n")
    assert script(folder, "prints", "p").returncode == 0
    done = script(folder, "leaks")
    assert done.returncode == 0
    assert done.stdout.splitlines() == [
        "leaks: 1 by identical",
        "  identical: train a (data/split/p/train/a) and test b (data/split/p/test/b), distance 0",
    ]
    assert json.loads((folder / "reports/leaks.json").read_text())["leaks"] == 1


@pytest.mark.parametrize("kind", ["text", "image"])
@pytest.mark.parametrize("files", [{}, {"1": b" "}, {"1": b"one", "2": b"\xff\0"}])
def test_what_is_no_text_or_image_is_passed_over(tmp_path: Path, kind: str, files: Any) -> None:
    own = {"text": TEXT, "image": IMAGE}[kind]
    split_all(tmp_path, {"p": files, "q": {}}, own)
    assert leaks_of(tmp_path, own)["leaks"] == 0


def test_a_table_without_rows_has_no_leaks(tmp_path: Path) -> None:
    own = params("table", key="id")
    outcome = split_all(tmp_path, {"p": {"a.csv": b""}, "q": {}, "r": {"a.csv": b"id,y\n"}}, own)
    assert {side["rows"] for report in outcome.reports.values() for side in report.values()} == {0}
    assert leaks_of(tmp_path, own)["leaks"] == 0


# -- the search ------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    sketches=arrays.arrays(np.uint8, (14, 12), elements=st.integers(0, 1)),
    sides=arrays.arrays(np.uint8, 14, elements=st.integers(0, 2)),
    limit=st.integers(0, 5),
)
def test_the_search_misses_nothing_that_all_pairs_would_find(sketches, sides, limit) -> None:
    found = {
        later: (earlier, differ)
        for later, earlier, differ in near.search(sketches, sides, limit, lambda *_: False)
    }
    wanted = {
        later
        for later in range(14)
        for earlier in range(14)
        if sides[earlier] < sides[later] and (sketches[earlier] != sketches[later]).sum() <= limit
    }
    assert set(found) == wanted
    for later, (earlier, differ) in found.items():
        assert sides[earlier] < sides[later]
        assert differ == (sketches[earlier] != sketches[later]).sum() <= limit


@settings(max_examples=20, deadline=None)
@given(values=st.lists(st.tuples(st.integers(0, 9), st.sampled_from("ab")), max_size=40))
def test_fingerprints_that_fit_no_memory_are_merged_in_order(values, tmp_path_factory) -> None:
    folder = tmp_path_factory.mktemp("prints")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prints, "HELD", 3)
        with prints.Sorted(folder / "lines") as lines:
            for number, (value, side) in enumerate(values):
                lines.add(f"{value:032x}", side, str(number), "")
            lines.save()
    written = (folder / "lines").read_text().splitlines()
    assert written == sorted(written)
    assert {(int(line[:32], 16), json.loads(line[33:])[0]) for line in written} == set(values)


# -- nothing is found where nothing is -------------------------------------------------------------


@pytest.mark.parametrize("ignored", [[], ["tailnum"]])
@pytest.mark.parametrize("key", ["tailnum", "", "carrier"])
def test_real_flights_hold_no_leak(tmp_path: Path, key: str, ignored: list[str]) -> None:
    own = params("table", key=key, target="arr_delay", leaks={"ignore": ignored})
    data = {}
    for month, text in _months(_archive()):
        header, *rows = csv.reader(io.StringIO(text))
        known = [row for row in rows if "NA" not in row and "" not in row][:3000]
        data[month] = {"flights.csv": table(" ".join(header), known)}
    split_all(tmp_path, data, own)
    report = leaks_of(tmp_path, own)
    assert report["leaks"] == 0, report["pairs"][:3]


def test_real_photographs_hold_no_leak(tmp_path: Path) -> None:
    split_all(tmp_path, {"p": crops()}, IMAGE)
    report = leaks_of(tmp_path, IMAGE)
    assert report["leaks"] == 0, report["pairs"]


def test_of_real_texts_those_are_found_that_really_agree(tmp_path: Path) -> None:
    texts = {f"{name}.txt": text.encode() for name, text in topics.items()}
    split_all(tmp_path, {"p": texts}, TEXT)
    sides = {path.name: path.parent.name for path in (tmp_path / "split").rglob("*.txt")}
    sets = {name: near.shingles(text.decode(), 3) for name, text in texts.items()}
    agree = {
        frozenset([one, other]): len(sets[one] & sets[other]) / len(sets[one] | sets[other])
        for one in texts
        for other in texts
        if sides[one] < sides[other]
    }
    report = leaks_of(tmp_path, TEXT)
    named = {frozenset(pair) for pair in pairs(report, "near")}
    assert all(agree[pair] > 0.8 for pair in named)
    sure = {name for pair, share in agree.items() if share > 0.97 for name in pair}
    assert sure <= {name for pair in named for name in pair}
