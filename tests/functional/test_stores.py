"""One behaviour of all stores of objects, whatever they are made of."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest
from obstore.store import MemoryStore

from dvc_branchflow.errors import StorageError
from dvc_branchflow.model import Oid
from dvc_branchflow.objects import BucketStore, DirectoryStore, Store, object_key

Make = Callable[[Path], Store]


def directory(root: Path) -> Store:
    root.mkdir()
    return DirectoryStore(root, "near")


def bucket(_root: Path) -> Store:
    return BucketStore("far", MemoryStore())


@pytest.fixture(params=[directory, bucket])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    make: Make = request.param
    return make(tmp_path / "store")


def sources(folder: Path, *contents: str) -> dict[Oid, Path]:
    """Files by their oid; what starts with `[` is a directory's manifest."""
    found = {}
    for content in contents:
        digest = hashlib.md5(content.encode()).hexdigest()
        oid = Oid(f"{digest}.dir" if content.startswith("[") else digest)
        path = folder / object_key(oid)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        found[oid] = path
    return found


def test_a_listing_names_every_object_with_its_size(store: Store, tmp_path: Path) -> None:
    assert list(store.listing()) == []
    put = sources(tmp_path / "cache", "one", "three", "[]", "")
    store.put(put)
    found = {one.oid: one.size_bytes for one in store.listing()}
    assert found == {oid: path.stat().st_size for oid, path in put.items()}
    assert found == store.sizes(put)
    assert all(one.modified_seconds > 1e9 for one in store.listing())


def test_a_listing_passes_over_what_is_not_an_object(tmp_path: Path) -> None:
    store = directory(tmp_path / "store")
    put = sources(tmp_path / "cache", "one")
    store.put(put)
    (oid,) = put
    folder = (tmp_path / "store" / object_key(oid)).parent
    (folder / ".branchflow-00.tmp").write_text("half")
    (folder / "é").write_text("odd")
    (folder.parent / "README").write_text("a file among folders")
    (folder / ("0" * 30)).mkdir()
    assert [one.oid for one in store.listing()] == [oid]


def test_a_listing_of_a_place_that_is_gone_is_an_error(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path / "nowhere", "near")
    with pytest.raises(StorageError, match="can't be reached"):
        list(store.listing())
