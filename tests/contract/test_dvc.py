"""Our reading and writing of DVC's files, held against the real DVC."""

from __future__ import annotations

from pathlib import Path

import pytest

from dvc_branchflow import manifest
from dvc_branchflow.metafiles import parse_lock, parse_pipeline, parse_pointer, render_pointer
from dvc_branchflow.model import Out
from dvc_branchflow.objects import Cache, parse_dvc_config
from tests.support.isolation import isolated_env
from tests.support.repos import Shell

pytestmark = pytest.mark.slow


@pytest.fixture
def dvc_repo(tmp_path: Path) -> Shell:
    repo = tmp_path / "repo"
    repo.mkdir()
    sh = Shell(repo, isolated_env(tmp_path / "home"))
    sh.git("init", "-q")
    sh.dvc("init", "-q")
    return sh


@pytest.mark.parametrize("name", ["plain", "2013-01", "2013", "1e5", "with space", "é", "true", "a:b", "0x1F"])  # fmt: skip
def test_a_pointer_is_rendered_byte_for_byte_as_dvc_add_does(dvc_repo: Shell, name: str) -> None:
    folder = dvc_repo.cwd / name
    folder.mkdir()
    (folder / "a.csv").write_text("x")
    dvc_repo.dvc("add", "-q", name)
    written = (dvc_repo.cwd / f"{name}.dvc").read_bytes()
    (out,) = parse_pointer(written, f"{name}.dvc")
    assert render_pointer(out) == written
    assert (out.path, out.nfiles, out.size_bytes, out.is_dir) == (name, 1, 1, True)


def test_a_spliced_partition_is_what_a_full_dvc_add_makes(dvc_repo: Shell) -> None:
    folder = dvc_repo.cwd / "data"
    (folder / "sub").mkdir(parents=True)
    for name in ("b.csv", "sub/ü.csv", 'sub/q"uote', "a b"):
        (folder / name).write_text(name)
    dvc_repo.dvc("add", "-q", "data")
    (old,) = parse_pointer((dvc_repo.cwd / "data.dvc").read_bytes(), "data.dvc")
    cache = Cache(dvc_repo.cwd / ".dvc" / "cache")
    new = {"a.csv": "1", "sub/z": "22", "sub/ß": "", "zz": "333"}
    for name, text in new.items():
        (folder / name).write_text(text)
    taken = dict(zip(new, cache.add_files([folder / name for name in new]), strict=True))
    additions = {name: oid for name, (oid, _) in taken.items()}
    spliced = manifest.splice(cache.manifest(old.oid), additions)
    dvc_repo.dvc("add", "-q", "data")
    written = (dvc_repo.cwd / "data.dvc").read_bytes()
    out = Out("data", manifest.manifest_oid(spliced), (old.size_bytes or 0) + 6, 8)
    assert render_pointer(out) == written
    assert cache.manifest(out.oid) == spliced


def test_a_lock_is_read_as_dvc_wrote_it(dvc_repo: Shell) -> None:
    (dvc_repo.cwd / "params.yaml").write_text("p: {x: 1}\n")
    (dvc_repo.cwd / "dvc.yaml").write_text(
        "stages:\n  s:\n    matrix: {n: ['1', '2']}\n"
        "    cmd: mkdir -p out/${item.n}; echo ${item.n} > out/${item.n}/f; echo '{}' > m${item.n}.json\n"
        "    params: [p]\n    outs: [{'out/${item.n}': {remote: big}}]\n"
        "    metrics: [{'m${item.n}.json': {cache: false}}]\n"
    )
    dvc_repo.dvc("remote", "add", "-q", "big", "/nowhere")
    dvc_repo.dvc("repro", "-q")
    stages = parse_lock((dvc_repo.cwd / "dvc.lock").read_bytes())
    assert [stage.name for stage in stages] == ["s@1", "s@2"]
    assert stages[0].params == {"params.yaml": {"p": {"x": 1}}}
    assert stages[0].outs["out/1"].is_dir
    pipeline = parse_pipeline((dvc_repo.cwd / "dvc.yaml").read_bytes())
    options = pipeline.options_for("out/2")
    assert options is not None
    assert (options.remote, options.is_cached) == ("big", True)
    metrics = pipeline.options_for("m1.json")
    assert metrics is not None
    assert not metrics.is_cached


def test_a_config_is_read_as_dvc_reads_it(dvc_repo: Shell) -> None:
    dvc_repo.dvc("remote", "add", "-d", "near", "../store")
    dvc_repo.dvc("remote", "add", "far", "s3://bucket/some/prefix")
    dvc_repo.dvc("remote", "modify", "far", "endpointurl", "http://127.0.0.1:1")
    dvc_repo.dvc("config", "cache.type", "reflink,hardlink,copy")
    folder = dvc_repo.cwd / ".dvc"
    config = parse_dvc_config([((folder / "config").read_text(), folder)])
    assert config.default_remote == "near"
    assert config.remotes["near"].url == str(dvc_repo.cwd / ".." / "store").replace("repo/../", "")
    assert config.remotes["far"].options["endpointurl"] == "http://127.0.0.1:1"
    assert config.cache["type"] == "reflink,hardlink,copy"
