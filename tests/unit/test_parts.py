from __future__ import annotations

import hashlib
from pathlib import Path

from dvc_branchflow.manifest import Entry, render
from dvc_branchflow.model import Oid
from dvc_branchflow.objects import Stored
from dvc_branchflow.work.parts import COUNT, KeyParts, key, part_of
from dvc_branchflow.work.stock import Copy, Stock

OIDS = [Oid(hashlib.md5(str(n).encode()).hexdigest()) for n in range(3000)]


def test_each_id_comes_back_from_its_part_with_its_number(tmp_path: Path) -> None:
    parts = KeyParts(tmp_path)
    parts.add_oids(OIDS[:2000], 7)
    parts.add_manifest(render(Entry(str(n), oid) for n, oid in enumerate(OIDS[1000:])), 8)
    parts.add_oids(["00" + "f" * 30, "ff" + "0" * 30], 9)
    found = [list(parts.keys(part)) for part in range(COUNT)]
    expected = [(key(oid), 7) for oid in OIDS[:2000]] + [(key(oid), 8) for oid in OIDS[1000:]]
    expected += [(key("00" + "f" * 30), 9), (key("ff" + "0" * 30), 9)]
    assert sorted(pair for part in found for pair in part) == sorted(expected)
    for number, part in enumerate(found):
        assert all(part_of(one.hex()) == number for one, _ in part)
    parts.close()


def test_a_listing_comes_back_as_it_was(tmp_path: Path) -> None:
    stock = Stock(["a", "b"], tmp_path)
    folder = Oid("d" * 32 + ".dir")
    listed = [Stored(oid, n, n + 0.125, f'"x{n}"' if n % 2 else None) for n, oid in enumerate(OIDS)]
    stock.add("a", [*listed, Stored(folder, 5, 1.5, None)])
    stock.add("b", listed[:10])
    found = [
        copy for part in range(COUNT) for copies in stock.files(part).values() for copy in copies
    ]
    assert {copy.stored for copy in found if copy.remote == "a"} == set(listed)
    assert {copy.stored for copy in found if copy.remote == "b"} == set(listed[:10])
    assert stock.folders == {folder: [Copy("a", Stored(folder, 5, 1.5, None))]}
    stock.close()
