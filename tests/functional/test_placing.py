"""Outs put in place in a checkout: exactly those files, only what differs, as DVC would have it."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

import pytest

from dvc_branchflow.errors import FlowError, StorageError
from dvc_branchflow.git import Change, Git, NewCommit
from dvc_branchflow.manifest import Entry, manifest_oid, render
from dvc_branchflow.model import Oid, Out, RefUpdate
from dvc_branchflow.project import Project
from dvc_branchflow.work.placing import Checkout, put_in_place

PATH = "data/raw"
FILES = {"a.csv": "one", "sub/b.csv": "two", "sub/deep/c.csv": "three", "é.csv": ""}


def say_nothing(_: str) -> None:
    pass


@pytest.fixture
def project(flow_git: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A repository with a flow and a cache, and the root of its checkout as working directory."""
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(tmp_path / "site"))
    assert flow_git.toplevel is not None
    return Project(flow_git)


@pytest.fixture
def root(project: Project) -> Path:
    assert project.git.toplevel is not None
    return project.git.toplevel


def configure(project: Project, text: str) -> None:
    """Set DVC's own settings, committed on main."""
    git = project.git
    tip = git.resolve("refs/heads/main")
    (new,) = git.write_commits([NewCommit([tip], "x\n", [Change(".dvc/config", text.encode())])])
    git.update_refs([RefUpdate("refs/heads/main", tip, new)], "x")
    project.refresh(fetch=False)


def oid_of(content: str) -> Oid:
    return Oid(hashlib.md5(content.encode()).hexdigest())


def directory(project: Project, files: Mapping[str, str], path: str = PATH) -> Out:
    """A directory out whose objects are in the cache."""
    listed = [Entry(name, oid_of(content)) for name, content in files.items()]
    manifest = render(listed)
    for content in files.values():
        project.cache.add_bytes(oid_of(content), content.encode())
    project.cache.add_bytes(manifest_oid(manifest), manifest)
    return Out(path, manifest_oid(manifest))


def tree(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_text() for path in files}


def inodes(folder: Path) -> dict[str, int]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.lstat().st_ino for path in files}


def put(project: Project, root: Path, *outs: Out) -> None:
    put_in_place(project, root, outs, say_nothing)


def test_files_are_put_in_place_as_writable_copies(project: Project, root: Path) -> None:
    put(project, root, directory(project, FILES))
    assert tree(root / PATH) == FILES
    for path in (root / PATH).rglob("*.csv"):
        assert path.stat().st_mode & stat.S_IWUSR
        assert path.stat().st_nlink == 1
    assert not list(root.rglob("*.tmp"))


def test_only_what_differs_is_touched(project: Project, root: Path) -> None:
    put(project, root, directory(project, FILES))
    before = inodes(root / PATH)
    after = {**FILES, "sub/b.csv": "changed", "new.csv": "new"}
    del after["sub/deep/c.csv"]
    put(project, root, directory(project, after))
    assert tree(root / PATH) == after
    assert not (root / PATH / "sub" / "deep").exists()
    kept = inodes(root / PATH)
    assert {name for name in after if kept[name] == before.get(name)} == {"a.csv", "é.csv"}


def test_nothing_is_read_that_looks_as_it_did(
    project: Project, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = {f"{n}.csv": f"content {n}" for n in range(300)}
    put(project, root, directory(project, many))
    read = count_reads(monkeypatch)
    put(project, root, directory(project, {**many, "7.csv": "other"}))
    assert read == []
    (root / PATH / "8.csv").write_text("edited!!!")
    assert [s.relpath for s in Checkout(project, root).survey(directory(project, many)).replaced] == ["7.csv", "8.csv"]  # fmt: skip
    assert read == [f"{root}/{PATH}/8.csv"]


def count_reads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which files are hashed from now on."""
    from dvc_branchflow.work import placing

    read: list[str] = []

    def digests(paths: Iterable[str]) -> list[Oid]:
        found = list(paths)
        read.extend(found)
        return [Oid(hashlib.md5(Path(path).read_bytes()).hexdigest()) for path in found]

    monkeypatch.setattr(placing, "digests", digests)
    return read


@pytest.mark.parametrize("type_", ["hardlink", "symlink", "reflink,hardlink,copy"])
def test_links_are_as_the_cache_type_says(project: Project, root: Path, type_: str) -> None:
    configure(project, f"[cache]\n    type = {type_}\n")
    out = directory(project, FILES)
    put(project, root, out)
    assert tree(root / PATH) == FILES
    cached = project.cache.path(oid_of("one"))
    placed = root / PATH / "a.csv"
    if type_ == "symlink":
        assert placed.readlink() == cached
    else:
        assert placed.stat().st_ino == cached.stat().st_ino or "reflink" in type_
        assert (root / PATH / "é.csv").stat().st_nlink == 1  # else a file's links run out
    before = inodes(root / PATH)
    put(project, root, directory(project, {**FILES, "a.csv": "other"}))
    assert tree(root / PATH) == {**FILES, "a.csv": "other"}
    assert {name for name, inode in inodes(root / PATH).items() if before[name] != inode} == {"a.csv"}  # fmt: skip
    assert cached.read_text() == "one"


def test_an_executable_is_one_and_its_object_is_not(project: Project, root: Path) -> None:
    configure(project, "[cache]\n    type = hardlink\n")
    project.cache.add_bytes(oid_of("#!"), b"#!")
    put(project, root, Out("bin/tool", oid_of("#!"), is_exec=True))
    assert os.access(root / "bin/tool", os.X_OK)
    assert stat.S_IMODE(project.cache.path(oid_of("#!")).stat().st_mode) == 0o444


def test_a_file_takes_a_folders_place_and_the_other_way_round(project: Project, root: Path) -> None:
    put(project, root, directory(project, {"x/y": "one", "z": "two"}))
    put(project, root, directory(project, {"x": "one", "z/y": "two"}))
    assert tree(root / PATH) == {"x": "one", "z/y": "two"}
    project.cache.add_bytes(oid_of("file"), b"file")
    put(project, root, Out(PATH, oid_of("file")))
    assert (root / PATH).read_text() == "file"
    put(project, root, directory(project, {"x/y": "one"}))
    assert tree(root / PATH) == {"x/y": "one"}
    put(project, root, directory(project, {}))
    assert list((root / PATH).iterdir()) == []


def test_what_lies_there_besides_goes(project: Project, root: Path) -> None:
    out = directory(project, FILES)
    put(project, root, out)
    (root / PATH / "extra").mkdir()
    (root / PATH / "extra" / "stray.csv").write_text("stray")
    (root / PATH / "a.csv").unlink()
    (root / PATH / "a.csv").mkdir()
    put(project, root, out)
    assert tree(root / PATH) == FILES
    assert not (root / PATH / "extra").exists()


def test_no_link_is_followed(project: Project, root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "b.csv").write_text("theirs")
    (outside / "c.csv").write_text("theirs")
    (root / PATH).mkdir(parents=True)
    (root / PATH / "sub").symlink_to(outside)
    out = directory(project, FILES)
    put(project, root, out)
    assert tree(root / PATH) == FILES
    assert tree(outside) == {"b.csv": "theirs", "c.csv": "theirs"}
    (root / "linked").symlink_to(outside)
    with pytest.raises(FlowError, match="'linked/x' lies below 'linked', which is a link"):
        put(project, root, directory(project, FILES, "linked/x"))
    (root / "whole").symlink_to(outside)
    put(project, root, directory(project, FILES, "whole"))
    assert tree(root / "whole") == FILES
    assert tree(outside) == {"b.csv": "theirs", "c.csv": "theirs"}


@pytest.mark.parametrize(
    "name", ["../up", "/etc/passwd", "a/../../up", ".git/hooks/x", "a//b", "."]
)
def test_a_name_that_leads_elsewhere_is_refused(project: Project, root: Path, name: str) -> None:
    out = directory(project, {name: "evil"})
    with pytest.raises(FlowError, match="which is not put in place"):
        put(project, root, out)
    assert not (root / PATH).exists()


def test_a_damaged_object_is_not_put_in_place(project: Project, root: Path) -> None:
    out = directory(project, FILES)
    damaged = project.cache.path(oid_of("one"))
    damaged.chmod(0o644)
    damaged.write_text("eno")
    with pytest.raises(StorageError, match="is damaged"):
        put(project, root, out)
    assert not (root / PATH / "a.csv").exists()


def test_many_files_go_in_parts(project: Project, root: Path) -> None:
    many = {f"{n % 7}/{n}": f"content {n}" for n in range(2500)}
    put(project, root, directory(project, many))
    assert tree(root / PATH) == many
