"""Properties of manifests and samples, over names that DVC would take."""

from __future__ import annotations

import json
from operator import itemgetter
from random import Random
from unittest.mock import patch

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dvc_branchflow import manifest
from dvc_branchflow.errors import ConfigError
from dvc_branchflow.manifest import Entry
from dvc_branchflow.model import Oid, Sample
from dvc_branchflow.sampling import sampled

names = st.text(
    st.characters(blacklist_categories=["Cs"], blacklist_characters="\0"), min_size=1, max_size=12
)
oids = st.integers(0, 2**128 - 1).map(lambda n: Oid(f"{n:032x}"))
files = st.dictionaries(names, oids, max_size=25)


@given(files, files)
def test_a_splice_is_a_full_rewrite(old: dict[str, Oid], new: dict[str, Oid]) -> None:
    additions = {name: oid for name, oid in new.items() if name not in old}
    before = manifest.render(Entry(*item) for item in old.items())
    after = manifest.render(Entry(*item) for item in {**old, **additions}.items())
    assert manifest.splice(before, additions) == after if additions else True


@given(files, names)
def test_lookup_finds_what_is_there_and_nothing_else(listed: dict[str, Oid], name: str) -> None:
    body = manifest.render(Entry(*item) for item in listed.items())
    assert manifest.lookup(body, name) == listed.get(name)
    assert all(manifest.lookup(body, key) == oid for key, oid in listed.items())


@given(files, st.integers(0, 25), st.sets(oids, max_size=40))
def test_a_manifest_without_contents_is_a_full_rewrite(
    listed: dict[str, Oid], some: int, others: set[Oid]
) -> None:
    gone = others | set(list(listed.values())[:some])
    kept = {name: oid for name, oid in listed.items() if oid not in gone}
    body = manifest.render(Entry(*item) for item in listed.items())
    expected = manifest.render(Entry(*item) for item in kept.items())
    assert manifest.without(body, gone) == expected


@given(files)
def test_what_is_rendered_is_read_back(listed: dict[str, Oid]) -> None:
    body = manifest.render(Entry(*item) for item in listed.items())
    assert {entry.relpath: entry.oid for entry in manifest.entries(body)} == listed


@given(files, st.randoms(use_true_random=False), st.integers(0, 1))
def test_only_what_dvc_would_write_is_as_written(
    listed: dict[str, Oid], random: Random, doubles: int
) -> None:
    body = manifest.render(Entry(*item) for item in listed.items())
    assert manifest.is_as_written(body)
    shuffled = [{"md5": oid, "relpath": name} for name, oid in listed.items()]
    random.shuffle(shuffled)
    other = json.dumps(shuffled + shuffled[:doubles]).encode()
    assert manifest.is_as_written(other) is (other == body)
    raw = json.dumps(sorted(shuffled, key=itemgetter("relpath")), ensure_ascii=False).encode()
    assert manifest.is_as_written(raw) is (raw == body)
    assert {e.relpath: e.oid for e in manifest.entries(raw)} == listed


@pytest.mark.parametrize("name", [b"a\nb", b"a\x00b", b"\xff", b"\\x41", b'a"b'])
def test_a_name_that_is_no_json_is_damage(name: bytes) -> None:
    body = b'[{"md5": "' + b"0" * 32 + b'", "relpath": "' + name + b'"}]'
    with pytest.raises(ConfigError):
        list(manifest.entries(body))


ONE = b'{"md5": "' + b"1" * 32 + b'", "relpath": "x, \\""}'
PARTS = (ONE, b", ", b'{"md5": "', b'", "relpath": "', b'"', b"{", b"}", b"\\", b" ", b"[", b"]")


@given(st.lists(st.sampled_from(PARTS), max_size=6), st.sampled_from([1, 1 << 16]))
@example([b", ", ONE, ONE], 1 << 16)
@example([ONE, b", "], 1)
@example([ONE, b", ", b'{"md5": "', ONE], 1 << 16)
@example([ONE, b"  ", ONE], 1 << 16)
def test_what_is_read_is_all_that_stands_there(parts: list[bytes], step: int) -> None:
    body = b"[" + b"".join(parts) + b"]"
    with patch.object(manifest, "_STEP", step):
        try:
            found = list(manifest.entries(body))
        except ConfigError:
            return
    assert found == [(one["relpath"], one["md5"]) for one in json.loads(body)]


@given(st.permutations(range(12)), st.integers(1, 12))
def test_any_order_of_appends_gives_the_same_manifest(order: list[int], cut: int) -> None:
    listed = {f"f{n}": Oid(f"{n:032x}") for n in order}
    first = dict(list(listed.items())[:cut])
    rest = dict(list(listed.items())[cut:])
    start = manifest.render(Entry(*item) for item in first.items())
    grown = manifest.splice(start, rest) if rest else start
    assert grown == manifest.render(Entry(*item) for item in listed.items())


@given(files, st.floats(0.01, 1.0))
def test_a_sample_is_a_part_and_the_same_each_time(listed: dict[str, Oid], part: float) -> None:
    entries = [Entry(*item) for item in sorted(listed.items())]
    sample = Sample(part, "dev/x")
    chosen = sampled(entries, sample)
    assert chosen == sampled(list(reversed(entries)), sample)
    assert set(chosen) <= set(entries)
    assert bool(chosen) == bool(entries)


@given(files, files)
def test_what_was_added_is_the_difference(old: dict[str, Oid], new: dict[str, Oid]) -> None:
    before, after = ({Entry(*item) for item in listed.items()} for listed in (old, new))
    found = manifest.added(manifest.render(before), manifest.render(after))
    assert found == sorted(after - before)
    assert manifest.oids(manifest.render(after)) == set(new.values())


@given(files, files)
def test_growth_is_found_wherever_it_is_put_in(old: dict[str, Oid], new: dict[str, Oid]) -> None:
    grown = {**new, **old}  # what stood there keeps its content
    before, after = (
        manifest.render(Entry(*item) for item in listed.items()) for listed in (old, grown)
    )
    found = manifest.added(before, after)
    assert sorted(found) == sorted(Entry(name, grown[name]) for name in grown.keys() - old.keys())


@given(files)
def test_quick_ids_are_those_of_the_entries(listed: dict[str, Oid]) -> None:
    body = manifest.render(Entry(*item) for item in listed.items())
    assert manifest.quick_ids(body) == "".join(entry.oid for entry in manifest.entries(body))


@given(files, st.integers(0, 200), st.integers(0, 255))
def test_quick_ids_pass_nothing_over(listed: dict[str, Oid], place: int, byte: int) -> None:
    body = bytearray(manifest.render(Entry(*item) for item in listed.items()))
    body[place % len(body)] = byte
    found = manifest.quick_ids(bytes(body))
    if found is not None:
        assert len(found) == 32 * len(listed)
        assert set(found) <= set("0123456789abcdef")
