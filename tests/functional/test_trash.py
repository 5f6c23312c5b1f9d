"""One behaviour of the trash and of small files beside objects, whatever kind a DVC remote is."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from dvc_objects.fs import MemoryFileSystem
from obstore.store import LocalStore, MemoryStore

from dvc_branchflow.dvcio import open_file_system
from dvc_branchflow.model import Oid
from dvc_branchflow.objects import BucketStore, DirectoryStore, FileSystem, FileSystemStore, Store
from dvc_branchflow.objects.aside import Trash
from dvc_branchflow.objects.bucket_trash import BucketTrash
from dvc_branchflow.objects.directory_trash import DirectoryTrash
from dvc_branchflow.objects.doomed import Doomed, condemn
from dvc_branchflow.objects.filesystem_trash import FileSystemTrash
from dvc_branchflow.objects.notes import (
    BucketNotes,
    DirectoryNotes,
    FileSystemNotes,
    Notes,
    read_all,
)

RUN = "0123456789ab"


@dataclass
class Place:
    """A DVC remote of one kind."""

    store: Store
    trash: Trash
    notes: Notes


def directory(root: Path) -> Place:
    root.mkdir()
    return Place(
        DirectoryStore(root, "place"), DirectoryTrash(root, "place"), DirectoryNotes(root, "place")
    )


def bucket(client: object) -> Place:
    return Place(
        BucketStore("place", client),
        BucketTrash("place", client, None),
        BucketNotes(client, "place"),
    )


def file_system(place: FileSystem) -> Place:
    return Place(
        FileSystemStore("place", place),
        FileSystemTrash("place", place),
        FileSystemNotes(place, "place"),
    )


def dvc_in_memory(_: Path) -> Place:
    fs = MemoryFileSystem(global_store=False)
    return file_system(FileSystem(fs, "/remote", home=None, appears_whole=True, can_list=True))


def dvc_local(root: Path) -> Place:
    root.mkdir()
    return file_system(FileSystem(*open_file_system("place", str(root), {})))


KINDS: dict[str, Callable[[Path], Place]] = {
    "directory": directory,
    "bucket in memory": lambda _: bucket(MemoryStore()),
    "bucket on disk": lambda root: bucket(LocalStore(root, mkdir=True)),
    "dvc in memory": dvc_in_memory,
    "dvc local": dvc_local,
}


@pytest.fixture(params=KINDS.values(), ids=KINDS)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    made: Place = request.param(tmp_path / "remote")
    return made


def put(place: Place, folder: Path, *contents: bytes) -> dict[Oid, bytes]:
    """Store objects; what starts with a bracket is a manifest."""
    made: dict[Oid, bytes] = {}
    for content in contents:
        digest = hashlib.md5(content).hexdigest()
        made[Oid(f"{digest}.dir" if content.startswith(b"[") else digest)] = content
    sources = {oid: folder / oid for oid in made}
    for oid, path in sources.items():
        path.write_bytes(made[oid])
    place.store.put(sources)
    return made


def doomed(place: Place) -> Doomed:
    """The proof that all of a place may go."""
    listed = list(place.store.listing())
    plan = {copy.oid: copy for copy in listed}
    return condemn("objects", listed, plan, lambda _: False, time.time() + 60)[0]


def stored(place: Place) -> set[Oid]:
    return {copy.oid for copy in place.store.listing()}


def test_objects_go_aside_and_come_back_and_are_deleted(place: Place, tmp_path: Path) -> None:
    made = put(place, tmp_path, b"one", b"two", b"[manifest]")
    proof = doomed(place)
    assert proof.copies[0].oid.endswith(".dir")
    assert set(place.trash.set_aside(proof, RUN)) == set(made)
    assert not stored(place)
    assert place.trash.set_aside(proof, RUN) == []
    asides = list(place.trash.listing())
    assert {(one.run, one.stored.oid) for one in asides} == {(RUN, oid) for oid in made}
    assert set(place.trash.bring_back(asides)) == set(made)
    assert stored(place) == set(made)
    assert set(place.trash.bring_back(asides)) == set(made)
    digests = place.store.digests(made)
    assert digests == {oid: oid[:32] for oid in made}
    place.trash.set_aside(doomed(place), RUN)
    copies = [one.stored for one in place.trash.listing()]
    plan = {copy.oid: copy for copy in copies}
    gone = condemn("trash", copies, plan, lambda _: False, time.time() + 60)[0]
    assert set(place.trash.delete(gone, RUN).gone) == set(made)
    assert not list(place.trash.listing())


def test_a_copy_that_is_not_the_condemned_one_stays(place: Place, tmp_path: Path) -> None:
    made = put(place, tmp_path, b"one")
    proof = doomed(place)
    grown = [replace(copy, size_bytes=copy.size_bytes + 1) for copy in proof.copies]
    plan = {copy.oid: copy for copy in grown}
    changed = condemn("objects", grown, plan, lambda _: False, time.time() + 60)[0]
    assert place.trash.set_aside(changed, RUN) == []
    assert stored(place) == set(made)
    assert place.trash.set_aside(proof, RUN) == list(made)


def test_what_was_condemned_at_another_place_is_refused(place: Place, tmp_path: Path) -> None:
    put(place, tmp_path, b"one")
    with pytest.raises(TypeError):
        place.trash.delete(doomed(place), RUN)


def test_what_is_there_again_is_not_replaced(place: Place, tmp_path: Path) -> None:
    made = put(place, tmp_path, b"one")
    place.trash.set_aside(doomed(place), RUN)
    asides = list(place.trash.listing())
    put(place, tmp_path, b"one")
    assert place.trash.bring_back(asides) == list(made)
    assert stored(place) == set(made)


def test_small_files_are_written_read_listed_and_removed(place: Place) -> None:
    notes = place.notes
    assert notes.read("branchflow/a.json") is None
    assert list(notes.listing("branchflow")) == []
    for name in ("branchflow/a.json", "branchflow/leases/b.json", "runs/ab/c"):
        notes.write(name, name.encode())
    notes.write("branchflow/a.json", b"again")
    found = {note.name: note.size_bytes for note in notes.listing("branchflow")}
    assert found == {"branchflow/a.json": 5, "branchflow/leases/b.json": 24}
    wanted = ["branchflow/a.json", "runs/ab/c", "runs/nothing"]
    assert [content for _, content in read_all(notes, wanted)] == [b"again", b"runs/ab/c", None]
    notes.remove("branchflow/a.json")
    notes.remove("branchflow/a.json")
    assert notes.read("branchflow/a.json") is None
