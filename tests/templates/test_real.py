"""Clean and split on real images, mails and flights: on a part of them, or with `make proof` on all."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageOps

from tests.templates import split_data
from tests.templates.clean_data import (
    accounts,
    flights,
    lay,
    put,
    rejects,
    rows_of,
    run_all,
    scripts,
    set_params,
    set_schema,
    table,
)
from tests.templates.real_data import (
    FETCHED,
    MONTHS,
    ROWS,
    broken,
    by_group,
    images,
    mail_of,
    mails,
    packed,
    repeats,
    threads,
)
from tests.templates.split_data import leaks, leaks_of, near, pairs, params, split_all

Parts = dict[str, dict[str, bytes]]
BY_PATH = {"id": "path"}  # so that a new name is another side, as for what is nearly the same
IMAGE = params("files", split=BY_PATH, leaks={"near": {"kind": "image", "threshold": 12}})
TEXT = params(
    "files", split=BY_PATH, leaks={"near": {"kind": "text", "threshold": 0.9, "shingle": 3}}
)


@pytest.fixture(scope="session")
def figures() -> Iterator[dict[str, Any]]:
    """What `make proof` writes down."""
    found: dict[str, Any] = {}
    yield found
    if FETCHED:
        (FETCHED / "figures.json").write_text(json.dumps(found, indent=2) + "\n")


@pytest.fixture(autouse=True)
def all_pairs_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leaks, "NAMED", 1_000_000)


def cleaned(branch: Path, laid: Path, parts: Parts, **own: Any) -> tuple[Parts, Parts]:
    """Clean all; return what was kept, and path → reason of what was not, by partition."""
    set_params(branch, kind="files", **own)
    for name, files in parts.items():
        put(branch, name, files)
    run_all(branch, laid, parts)
    kept: Parts = {}
    left_out: dict[str, dict[str, Any]] = {}
    for name, files in parts.items():
        counts = accounts(branch, name)
        assert counts["files"] == len(files) == counts["files_kept"] + counts["files_rejected"]
        folder = branch / "data/clean" / name
        found = [path for path in folder.rglob("*") if path.is_file()]
        kept[name] = {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}
        left_out[name] = {file: reason for file, _, reason in rejects(branch, name)}
        assert kept[name] == {n: files[n] for n in files.keys() - left_out[name].keys()}
    return kept, left_out


def counted(left_out: Mapping[str, Mapping[str, Any]]) -> dict[str, int]:
    reasons = (
        re.sub("^duplicate of .*", "duplicate", why)
        for part in left_out.values()
        for why in part.values()
    )
    return dict(Counter(reasons))


# -- the data themselves ---------------------------------------------------------------------------


@pytest.mark.skipif(not FETCHED, reason="only `make proof` has all of them")
def test_what_lies_here_is_a_part_of_the_whole() -> None:
    for name, content in packed("images.zip").items():
        assert images()[name] == content
    for name, content in packed("mails.zip").items():
        assert mails()[name] == mail_of(content)


# -- clean: images ---------------------------------------------------------------------------------


def known(name: str, laid: Path) -> bool:
    files = scripts(laid).files
    return Path(name).suffix.lower() in {*files.IMAGES, *files.TEXTS, *files.STARTS}


@pytest.fixture(scope="module")
def good_images(laid: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Parts, Parts]:
    branch = tmp_path_factory.mktemp("images")
    lay(branch, "files")
    return cleaned(branch, laid, {"p": images()})


def test_of_real_images_the_broken_ones_are_rejected_and_no_other(
    good_images: tuple[Parts, Parts], laid: Path, figures: dict[str, Any]
) -> None:
    kept, left_out = good_images
    wanted = {name: why for name, why in broken().items() if name in images()}
    wanted |= {name: "unknown extension" for name in images() if not known(name, laid)}
    sound = {name: content for name, content in images().items() if name not in wanted}
    again = {name: f"duplicate of {at}" for (_, name), at in repeats({"p": sound}).items()}
    assert len(again) > 2
    assert left_out["p"] == wanted | again
    figures["images"] = {"files": len(images()), "kept": len(kept["p"]), **counted(left_out)}


CUT_UNSEEN = {
    "bmp/b/badrle.bmp",  # its runs end where they like, cut or not
    "no_palette_with_background.gif",  # cut between its two frames
}


def spoiled(good: dict[str, bytes]) -> dict[str, tuple[dict[str, bytes], str]]:
    """Partition → files that somebody spoiled, each partition in one way, and what is to be said."""
    kinds = {".png": "PNG", ".gif": "GIF", ".jpg": "JPEG", ".webp": "WEBP", ".bmp": "BMP"}
    other = dict(zip(kinds, [*list(kinds)[1:], ".png"], strict=True))
    pictures = {name: body for name, body in good.items() if Path(name).suffix in kinds}
    cut = {name: body[: len(body) * 2 // 3] for name, body in pictures.items()}
    tails = {n: body + bytes(len(good[n]) - len(body)) for n, body in cut.items()}
    broken_off = "image (doesn't decode|is incomplete)"
    return {
        "copied": ({f"copy of {name}": body for name, body in good.items()}, "duplicate of a/.*"),
        "cut": ({n: body for n, body in cut.items() if n not in CUT_UNSEEN}, broken_off),
        "emptied": (dict.fromkeys(good, b""), "empty file"),
        "renamed": (
            {n + other[Path(n).suffix]: body for n, body in pictures.items()},
            f"wrong type: ({'|'.join(kinds.values())})",
        ),
        "replaced": (dict.fromkeys(pictures, b"<html>404</html>"), "wrong type: no image"),
        "zeroed": ({n: b for n, b in tails.items() if n.endswith((".png", ".jpg"))}, broken_off),
    }


def test_every_defect_put_into_real_images_is_found_and_nothing_else(
    good_images: tuple[Parts, Parts], branch: Path, laid: Path, figures: dict[str, Any]
) -> None:
    good = good_images[0]["p"]
    bad = spoiled(good)
    kept, left_out = cleaned(
        branch, laid, {"a": good, **{n: files for n, (files, _) in bad.items()}}
    )
    assert kept["a"] == good
    for name, (files, why) in bad.items():
        assert not kept[name], f"{name}: not found"
        assert all(re.fullmatch(why, reason, re.DOTALL) for reason in left_out[name].values())
        assert len(files) > 30
    figures["images spoiled"] = {name: len(files) for name, (files, _) in bad.items()}


# -- clean: mails ----------------------------------------------------------------------------------


def is_text(body: bytes) -> bool:
    try:
        return bool(body.decode().strip())
    except UnicodeError:
        return False


def test_of_real_mails_the_undecodable_and_the_repeated_are_rejected(
    branch: Path, laid: Path, figures: dict[str, Any]
) -> None:
    parts = by_group(mails())
    kept, left_out = cleaned(branch, laid, parts)
    bad = {(part, n) for part in parts for n, body in parts[part].items() if not is_text(body)}
    sound = {p: {n: b for n, b in parts[p].items() if (p, n) not in bad} for p in parts}
    again = repeats(sound)
    wanted: dict[str, dict[str, Any]] = {part: {} for part in parts}
    for part, name in bad:
        wanted[part][name] = "text is not utf-8"
    for (part, name), at in again.items():
        wanted[part][name] = f"duplicate of {at}"
    assert len(bad) > 10 < len(again)
    assert left_out == wanted
    figures["mails"] = {
        "files": len(mails()), "kept": sum(map(len, kept.values())), **counted(left_out),
    }  # fmt: skip


def test_every_defect_put_into_real_mails_is_found_and_nothing_else(
    branch: Path, laid: Path, figures: dict[str, Any]
) -> None:
    parts = by_group(mails())
    own = {"encodings": ["utf-8", "latin-1"]}
    good = {part: dict(files) for part, files in parts.items()}
    for part, name in repeats(parts):
        del good[part][name]
    texts = {name: body for files in good.values() for name, body in files.items()}
    bad = {
        "z blank": (dict.fromkeys(texts, b" \r\n\t"), "blank text"),
        "z copied": ({f"copy of {n}": b for n, b in texts.items()}, "duplicate of [^z].*"),
        "z emptied": (dict.fromkeys(texts, b""), "empty file"),
        "z zeroed": ({n: b[:-9] + bytes(9) for n, b in texts.items()}, "binary content in a text"),
        "z pictures": ({n: b"\x89PNG\r\n" + b for n, b in texts.items()}, "wrong type: PNG"),
    }
    kept, left_out = cleaned(branch, laid, {**parts, **{n: f for n, (f, _) in bad.items()}}, **own)
    assert {part: kept[part] for part in good} == good, "latin-1 says something of each"
    for name, (_, why) in bad.items():
        assert not kept[name], f"{name}: not found"
        assert all(re.fullmatch(why, reason, re.DOTALL) for reason in left_out[name].values())
    figures["mails spoiled"] = {name: len(files) for name, (files, _) in bad.items()}


# -- split: threads, and what is nearly the same ---------------------------------------------------


def readable() -> Parts:
    return {
        part: {name: body for name, body in files.items() if is_text(body)}
        for part, files in by_group(mails()).items()
    }


def sides_of(folder: Path) -> dict[str, str]:
    """Name → side, of files below `split/<partition>/<side>`."""
    split = folder / "split"
    found = (path.relative_to(split).parts for path in split.rglob("*") if path.is_file())
    return {"/".join(parts[2:]): parts[1] for parts in found}


def test_threads_of_real_mails_stay_together_while_they_grow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, figures: dict[str, Any]
) -> None:
    own = params("files", split=BY_PATH, leaks={"identical": False})
    listed = table([["group", "path"], *([thread, name] for name, thread in threads().items())])
    (tmp_path / "groups.csv").write_bytes(listed)
    monkeypatch.setattr(split_data.tree, "GROUPS", tmp_path / "groups.csv")
    parts = readable()
    first, *later = parts
    before = split_all(tmp_path / "first", {first: parts[first]}, own).placed
    after = split_all(tmp_path / "all", {name: parts[name] for name in [*later[::-1], first]}, own)
    assert {sample: after.placed[sample] for sample in before} == before
    sides = sides_of(tmp_path / "all")
    found: dict[str, set[str]] = {}
    for name, side in sides.items():
        found.setdefault(threads()[name], set()).add(side)
    assert all(len(own_sides) == 1 for own_sides in found.values())
    assert len(sides) > len(found) + 20
    assert leaks_of(tmp_path / "all", own)["checks"] == {"groups": {"leaks": 0}}
    figures["threads"] = {"mails": len(sides), "threads": len(found), **Counter(sides.values())}


def shares(texts: dict[str, bytes], sides: dict[str, str]) -> dict[frozenset[str], float]:
    """Two names on two sides → how much of all their shingles both have, where that is much."""
    from scipy.sparse import csr_array

    names = sorted(texts)
    sets = [near.shingles(texts[name].decode(), 3) for name in names]
    at = {shingle: place for place, shingle in enumerate(sorted(set().union(*sets)))}
    columns = [at[shingle] for own in sets for shingle in own]
    rows = [row for row, own in enumerate(sets) for _ in own]
    shape = (len(sets), len(at))
    seen = csr_array(([1] * len(rows), (rows, columns)), shape=shape)
    both = (seen @ seen.T).tocoo()
    found = {}
    for one, other, count in zip(*both.coords, both.data, strict=True):
        if one < other and sides[names[one]] != sides[names[other]]:
            share = float(count / (len(sets[one]) + len(sets[other]) - count))
            if share > 0.5:
                found[frozenset([names[one], names[other]])] = share
    return found


def later_of(pair: frozenset[str], sides: dict[str, str]) -> str:
    """The one of a pair that stands on the later side."""
    return max(pair, key=lambda name: split_data.SIDES.index(sides[name]))


def test_of_real_mails_those_are_named_that_really_agree(
    tmp_path: Path, figures: dict[str, Any]
) -> None:
    parts = readable()
    split_all(tmp_path, parts, TEXT)
    sides = sides_of(tmp_path)
    agree = shares({name: body for own in parts.values() for name, body in own.items()}, sides)
    named = {frozenset(pair) for pair in pairs(leaks_of(tmp_path, TEXT), "near")}
    later = {later_of(pair, sides) for pair in named}
    assert len(named) > 5
    assert len(later) == len(named)
    assert all(agree.get(pair, 0) > 0.8 for pair in named)
    # Of each such pair the one on the later side has to be named, with this one or a nearer.
    sure = {later_of(pair, sides) for pair, share in agree.items() if share >= 0.96}
    assert sure <= later
    figures["mails that nearly agree"] = {
        "pairs over 0.9": sum(share >= 0.9 for share in agree.values()), "named": len(named),
        "named, under 0.9": sum(agree[pair] < 0.9 for pair in named),
        "mails over 0.96": len(sure), "of them named": len(sure & later),
    }  # fmt: skip


# -- the hostile colleague -------------------------------------------------------------------------

CLOTHES = [bytes.upper, lambda body: b" \n\t".join(body.split()), lambda body: b"> " + body]


def test_a_test_mail_in_other_clothes_is_named(
    tmp_path: Path, branch: Path, laid: Path, figures: dict[str, Any]
) -> None:
    honest = readable()
    split_all(tmp_path / "1", honest, TEXT)
    on_test = {name for name, side in sides_of(tmp_path / "1").items() if side == "test"}
    bodies = {name: body for files in honest.values() for name, body in files.items()}
    theirs = {
        f"z{at}.txt": CLOTHES[at % len(CLOTHES)](bodies[name])
        for at, name in enumerate(sorted(on_test))
    }
    names = dict(zip(theirs, sorted(on_test), strict=True))
    kept, _ = cleaned(branch, laid, {**honest, "z": theirs}, encodings=["utf-8"])
    split_all(tmp_path / "2", kept, TEXT)
    sides = sides_of(tmp_path / "2")
    wanted = {
        names[name]
        for name in kept["z"]
        if sides[name] != "test"
        and names[name] in sides
        and near.shingles(theirs[name].decode(), 3)
    }
    report = leaks_of(tmp_path / "2", TEXT)
    assert len(wanted) > 15
    assert wanted <= {second for _, second in pairs(report, "near")}
    figures["mails in other clothes"] = {"on other sides": len(wanted), "named": len(wanted)}


PHOTOS = (
    "app13-multiple.jpg", "exif_typeerror.jpg", "flower.jpg", "frozenpond.mpo", "fujifilm.mpo",
    "hopper.jpg", "icc_profile_big.jpg", "iptc.jpg", "iss634.webp", "jpeg_ff00_header.jpg",
    "junk_jpeg_header.jpg", "pil_sample_rgb.jpg", "rgb.jpg", "sugarshack.mpo", "xmp_test.jpg",
)  # fmt: skip


def saved(image: Image.Image, form: str = "JPEG", **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def trimmed(image: Image.Image, share: float) -> Image.Image:
    left, top = int(image.width * share), int(image.height * share)
    return image.crop((left, top, image.width - left, image.height - top))


SEEN = {
    "JPEG, quality 75": lambda image: saved(image, quality=75),
    "JPEG, quality 30": lambda image: saved(image, quality=30),
    "WebP, quality 50": lambda image: saved(image, "WEBP", quality=50),
    "GIF": lambda image: saved(image, "GIF"),
    "half the size": lambda image: saved(image.resize((image.width // 2, image.height // 2))),
    "grey": lambda image: saved(image.convert("L"), "PNG"),
    "brighter": lambda image: saved(image.point(lambda value: min(255, int(value * 1.2)))),
}
IN_PART = {
    "1 % off each edge": lambda image: saved(trimmed(image, 0.01)),
    "3 % off each edge": lambda image: saved(trimmed(image, 0.03)),
    "turned by 2 degrees": lambda image: saved(image.rotate(2)),
}
UNSEEN = {
    "10 % off each edge": lambda image: saved(trimmed(image, 0.1)),
    "a border of 5 %": lambda image: saved(ImageOps.expand(image, image.width // 20, "white")),
    "turned by 90 degrees": lambda image: saved(image.rotate(90, expand=True)),
    "mirrored": lambda image: saved(ImageOps.mirror(image)),
}


def test_of_photographs_saved_again_those_are_named_that_the_docs_promise(
    tmp_path: Path, figures: dict[str, Any]
) -> None:
    photos = {name: Image.open(io.BytesIO(images()[name])) for name in PHOTOS if name in images()}
    assert len(photos) > 5
    found = {}
    for number, (edit, again) in enumerate({**SEEN, **IN_PART, **UNSEEN}.items()):
        files = {f"test/{name}": images()[name] for name in photos}
        files |= {f"train/{name}": again(photo.convert("RGB")) for name, photo in photos.items()}
        split_data.write(tmp_path / str(number) / "split", {"p": files})
        named = pairs(leaks_of(tmp_path / str(number), IMAGE), "near")
        assert all(first == second for first, second in named), "one photograph taken for another"
        found[edit] = len(named)
    assert min(found[edit] for edit in SEEN) >= len(photos) - 1
    assert not any(found[edit] for edit in UNSEEN), "then the docs are wrong"
    figures["photographs saved again"] = {"photographs": len(photos), **found}


def test_a_photograph_saved_again_goes_through_clean_and_is_named(
    tmp_path: Path, branch: Path, laid: Path
) -> None:
    honest = {name: images()[name] for name in PHOTOS if name in images()}
    given = {"split": {**IMAGE["split"], "sides": {"train": 0.5, "test": 0.5}}}
    own = {**IMAGE, **given}
    decided = split_data.rule.Rule(own["split"])
    theirs = {}
    for name, body in honest.items():
        other = {"train": "test", "test": "train"}[decided.place([name])[0]]
        new = next(
            n
            for n in map("{}.jpg".format, range(99))
            if decided.place([n])[0] == other and n not in theirs
        )
        theirs[new] = saved(Image.open(io.BytesIO(body)).convert("RGB"), quality=60)
    kept, left_out = cleaned(branch, laid, {"p": honest, "q": theirs})
    assert not left_out["p"] | left_out["q"]
    split_all(tmp_path / "flow", kept, own)
    named = pairs(leaks_of(tmp_path / "flow", own), "near")
    twins = set(map(frozenset, zip(honest, theirs, strict=True)))
    assert len(twins & set(map(frozenset, named))) >= len(twins) - 1
    assert set(map(frozenset, named)) <= twins


# -- flights ---------------------------------------------------------------------------------------

FLIGHTS = {
    "dep_delay": {"dtype": "int", "nullable": True, "ge": -120, "le": 2000},
    "origin": {"isin": ["EWR", "JFK", "LGA"]},
    "tailnum": {"regex": "N[0-9A-Z]{3,5}"},
    "time_hour": {"dtype": "datetime", "ge": "2013-01-01", "le": "2014-01-02"},
}


def own_fault(target: str, tail: str) -> str:
    """What is wrong with a flight as the airline sent it."""
    if "NA" in {target, tail}:
        return "missing target" if target == "NA" else "missing key"
    # D942DN is no number of an aircraft.
    return (
        "" if re.fullmatch(FLIGHTS["tailnum"]["regex"], tail) else "schema: tailnum doesn't match"
    )


def test_every_defect_in_months_of_flights_is_found(
    branch: Path, laid: Path, figures: dict[str, Any]
) -> None:
    header, months = flights(MONTHS, ROWS)
    set_schema(branch, FLIGHTS)
    set_params(branch, target="arr_delay", key=["tailnum"])
    delay, target = header.index("dep_delay"), header.index("arr_delay")
    origin, tail = header.index("origin"), header.index("tailnum")
    donors = {name: [r for r in rows if "NA" not in r] for name, rows in months.items()}

    def changed(month: str, at: int, column: int, value: str) -> str:
        row = list(donors[month][at])
        row[column] = value
        return line(row)

    def line(row: list[str]) -> str:
        return table([row]).decode("utf-8", "surrogateescape")

    jan, feb, *_ = donors.values()
    where = {
        (name, tuple(row)): f"{name}/flights.csv:{n}"
        for name, rows in months.items()
        for n, row in enumerate(rows, start=1)
    }
    first_of_jan = where["2013-01", tuple(jan[5])]
    bad = {
        "2013-01": [
            (changed("2013-01", 10, target, "NA"), "missing target"),
            (changed("2013-01", 11, target, ""), "missing target"),
            (changed("2013-01", 12, tail, "NA"), "missing key"),
            (changed("2013-01", 13, delay, "5000"), "schema: dep_delay above 2000"),
            (changed("2013-01", 14, delay, "-121"), "schema: dep_delay below -120"),
            (changed("2013-01", 15, delay, "soon"), "schema: dep_delay is no int"),
            (line(jan[5]), f"duplicate of {first_of_jan}"),
            (line(feb[9]), ""),  # February's own will be the duplicate
        ],
        "2013-02": [
            (changed("2013-02", 10, origin, "SFO"), "schema: origin is not an allowed value"),
            (changed("2013-02", 11, tail, "N-1"), "schema: tailnum doesn't match"),
            (line(feb[12]).replace(",", ',"', 1), "unreadable row"),
            (line(feb[13])[:30] + "\n", "wrong number of fields"),
            (line(feb[14]).replace("\n", ",x\n"), "wrong number of fields"),
        ],
        "2013-03": [
            (changed("2013-03", 10, tail, "N1\0"), "unreadable row"),
            (changed("2013-03", 11, tail, "N1\udcff"), "unreadable row"),
            (line(jan[5]), f"duplicate of {first_of_jan}"),
            (line(jan[6]), f"duplicate of {where['2013-01', tuple(jan[6])]}"),
            (changed("2013-03", 12, len(header) - 1, "yesterday"), "schema: time_hour is no datetime"),
        ],
    }  # fmt: skip
    wanted: dict[str, set[tuple[str, int, str]]] = {}
    good: dict[str, list[list[str]]] = {}
    for name, rows in months.items():
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(header)
        wanted[name], good[name] = set(), []
        for number, row in enumerate(rows, start=1):
            text.write(line(row))
            why = own_fault(row[target], row[tail])
            if row == feb[9]:
                why = f"duplicate of 2013-01/flights.csv:{len(months['2013-01']) + 8}"
            if why:
                wanted[name].add(("flights.csv", number, why))
            else:
                good[name].append(row)
        for number, (defect, why) in enumerate(bad.get(name, []), start=len(rows) + 1):
            text.write(defect)
            if why:
                wanted[name].add(("flights.csv", number, why))
            else:
                good[name].append(next(csv.reader([defect])))
        put(branch, name, {"flights.csv": text.getvalue().encode("utf-8", "surrogateescape")})
    run_all(branch, laid, months)
    for name, rows in months.items():
        assert set(rejects(branch, name)) == wanted[name]
        assert rows_of(branch / f"data/clean/{name}/flights.csv") == [header, *good[name]]
        assert accounts(branch, name)["rows"] == len(rows) + len(bad.get(name, []))
    left_out = {name: {(f, n): why for f, n, why in rejects(branch, name)} for name in months}
    figures["flights"] = {"rows": sum(map(len, months.values())), **counted(left_out)}


def test_test_rows_that_come_again_are_named_as_often_as_they_come(
    tmp_path: Path, branch: Path, laid: Path, figures: dict[str, Any]
) -> None:
    header, months = flights(MONTHS, ROWS)
    target, tail = header.index("arr_delay"), header.index("tailnum")
    good = {
        name: [row for row in rows if "NA" not in {row[target], row[tail]}]
        for name, rows in months.items()
    }
    decided = split_data.rule.Rule(params("table")["split"])
    on_test = [
        row for rows in good.values() for row in rows if decided.place([row[tail]])[0] == "test"
    ]

    def changed(column: int, new: Callable[[str], str]) -> list[list[str]]:
        return [[*row[:column], new(row[column]), *row[column + 1 :]] for row in on_test]

    theirs = {
        "as-they-are.csv": on_test,
        "other-delays.csv": changed(target, lambda delay: str(int(delay) + 7)),
        "other-aircraft.csv": changed(tail, "X{}".format),
    }
    lay(branch, "table", "arr_delay", "tailnum")
    for name, rows in good.items():
        put(branch, name, {"flights.csv": table([header, *rows])})
    put(branch, "z", {name: table([header, *rows]) for name, rows in theirs.items()})
    run_all(branch, laid, [*good, "z"])
    out = [(file, why.partition(" of ")[0]) for file, _, why in rejects(branch, "z")]
    assert out == [("as-they-are.csv", "duplicate")] * len(on_test)

    own = params("table", key="tailnum", target="arr_delay", leaks={"ignore": ["tailnum"]})
    clean = branch / "data/clean"
    data = {p.name: {f.name: f.read_bytes() for f in p.iterdir()} for p in sorted(clean.iterdir())}
    outcome = split_all(tmp_path / "flow", data, own)
    elsewhere = {row[tail] for row in on_test if decided.place([f"X{row[tail]}"])[0] != "test"}
    moved = [row for row in on_test if row[tail] in elsewhere]
    assert len(moved) > 100
    assert outcome.reports["z"]["test"]["rows"] == 2 * len(on_test) - len(moved)
    report = leaks_of(tmp_path / "flow", own)
    assert report["checks"]["groups"] == {"leaks": 0}
    stolen = Counter(first.partition("#")[0] for first, _ in pairs(report, "identical"))
    assert stolen == Counter(f"X{row[tail]}" for row in moved)
    own["leaks"]["ignore"] = []
    assert leaks_of(tmp_path / "flow", own)["leaks"] == 0, "a new key is a new row: the docs say so"
    figures["flights that come again"] = {
        "rows": sum(map(len, good.values())), "on test": len(on_test), "on other sides": len(moved),
    }  # fmt: skip
