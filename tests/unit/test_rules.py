from __future__ import annotations

import pytest

from dvc_branchflow import manifest
from dvc_branchflow.errors import ConfigError
from dvc_branchflow.manifest import Entry
from dvc_branchflow.metafiles import PathPattern
from dvc_branchflow.model import Oid, Sample, parse_path
from dvc_branchflow.plain import load_yaml
from dvc_branchflow.sampling import sampled
from dvc_branchflow.versions import Version, latest_version, latest_versions, parse_tag, release_tag

A, B = Oid("a" * 32), Oid("b" * 32)
DIR = Oid("c" * 32 + ".dir")


def test_versions_move_by_kind() -> None:
    version = Version(1, 2, 3)
    assert [str(version.bumped(kind)) for kind in ("patch", "minor", "major")] == [
        "v1.2.4", "v1.3.0", "v2.0.0",
    ]  # fmt: skip


def test_the_latest_version_is_by_number_and_by_model() -> None:
    tags = ["churn@v1.9.0", "churn@v1.10.0", "other@v3.0.0", "churn#prod#1", "churn@v01.0.0", "x"]
    assert latest_version(tags, "churn") == Version(1, 10, 0)
    assert latest_version(tags, "none") is None
    newest = {"churn": Version(1, 10, 0), "other": Version(3, 0, 0)}
    assert latest_versions([*tags, "other@v0.1.0"]) == newest
    assert parse_tag(release_tag("a/b", Version(1, 0, 0))) == ("a/b", Version(1, 0, 0))


@pytest.mark.parametrize(
    "damage",
    [b"", b"{}", b"[", b'[{"md5": "x"}]', b'[{"relpath": "a", "md5": "' + b"a" * 32 + b'"}]'],
)
def test_a_manifest_that_dvc_did_not_write_is_refused(damage: bytes) -> None:
    with pytest.raises(ConfigError, match="not what DVC writes"):
        list(manifest.entries(damage))


def test_added_names_new_and_changed_files() -> None:
    old = manifest.render([Entry("a", A), Entry("b", A)])
    new = manifest.render([Entry("a", A), Entry("b", B), Entry("c", A)])
    assert manifest.added(old, new) == [Entry("b", B), Entry("c", A)]


def test_a_folder_is_seen_by_what_is_below_it() -> None:
    body = manifest.render([Entry("a/b", A), Entry("ab", A)])
    assert manifest.has_below(body, "a")
    assert not manifest.has_below(body, "ab")


def test_no_folder_of_a_sample_is_empty() -> None:
    entries = [Entry(f"{side}/{n}", A) for side in ("train", "test") for n in range(5)]
    chosen = sampled(entries, Sample(0.1, "dev/x"))
    assert {entry.relpath.split("/")[0] for entry in chosen} == {"train", "test"}
    assert len(chosen) == 2


@pytest.mark.parametrize(
    "path",
    ["", "/a", "../a", "a/../b", "a//b", ".git/x", ".dvc/cache", "a\nb", "a\\b", "a/.", "\0"],
)
def test_hostile_paths_are_refused(path: str) -> None:
    with pytest.raises(ConfigError, match="plain path"):
        parse_path(path)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (b"a: 1\na: 2\n", "stands twice"),
        (b"a: &x [1]\nb: *x\n", "alias"),
        (b"a: !!python/object:os.system x", "could not determine"),
        (b"\xff", "not valid YAML"),
        (b"[" * 100_000, "nested too deeply"),
        (b"- " * 100_000 + b"x", "nested too deeply"),
        (b"a: " + b"x" * 20_000_000, "too large"),
    ],
)
def test_hostile_yaml_is_refused_with_a_reason(text: bytes, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        load_yaml(text, "t.yaml")


@pytest.mark.parametrize(
    ("written", "path", "fits"),
    [
        ("a/b", "a/b", True),
        ("a/b", "a/bc", False),
        ("out/${item.n}/f", "out/1/f", True),
        ("out/${item.n}/f", "out/f", False),
        ("${a}", "anything/at.all", True),
        ("${a}x${b}x${c}", "oxoxo", True),
        ("${a}x${b}x${c}", "oxo", False),
        ("ab${x}ba", "aba", False),
        ("a" + "${x}a" * 200 + "b", "a" * 5000, False),
    ],
)
def test_a_templated_path_fits_what_it_could_become(written: str, path: str, fits: bool) -> None:  # noqa: FBT001
    assert PathPattern.of(written).matches(path) is fits
