from __future__ import annotations

import pytest

from dvc_branchflow.errors import ConfigError
from dvc_branchflow.work import naming
from dvc_branchflow.work.naming import Named, ids_in_text, named, named_in_run

A, B, C = "a" * 32, "b" * 32 + ".dir", "c" * 32
LOCK = f"""\
schema: '2.0'
stages:
  train:
    cmd: python train.py
    deps:
    - path: data/split
      hash: md5
      md5: {C}
      size: 7
    params:
      params.yaml:
        outs: 3
        train:
          scale: 1.0
    outs:
    - path: models/m.json
      hash: md5
      md5: {A}
      size: 12
  split@2024-01:
    cmd: |-
      python split.py
      outs: none
    outs:
    - path: data/split
      hash: md5
      md5: {B}
      size: 5
      nfiles: 2
    - path: reports/a b.json
      hash: md5
      md5: '{"1" * 32}'
      size: 5
"""
IMPORT = f"""\
md5: {C}
frozen: true
deps:
- path: x
  repo: {{url: u, rev_lock: r}}
outs:
- md5: {A}
  hash: md5
  path: x
"""
CLOUD = f"""\
outs:
- size: 3
  nfiles: 1
  hash: md5
  path: x
  files:
  - relpath: y
    md5: {A}
    size: 3
    cloud: {{store: {{etag: e}}}}
"""
PLAIN_LOCK = LOCK.replace("        outs: 3\n", "").replace("      outs: none\n", "").replace(
    f"    - path: reports/a b.json\n      hash: md5\n      md5: '{'1' * 32}'\n      size: 5\n", ""
)  # fmt: skip


def test_a_lock_is_read_alike_the_quick_way_and_the_slow_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    quick = naming._canonical_lock(PLAIN_LOCK.encode(), "sub")
    assert quick is not None
    monkeypatch.setattr(naming, "_canonical_lock", lambda *_: None)
    assert named(PLAIN_LOCK.encode(), "sub/dvc.lock") == quick
    assert quick == (
        Named(A, "sub/models/m.json", 12),  # type: ignore[arg-type]
        Named(B, "sub/data/split", 5),  # type: ignore[arg-type]
    )


def test_whatever_could_hide_an_out_is_read_the_slow_way() -> None:
    assert naming._canonical_lock(LOCK.encode(), "") is None
    assert {one.oid for one in named(LOCK.encode(), "dvc.lock")} == {A, B, "1" * 32}
    flow = PLAIN_LOCK + f"  other: {{cmd: x, outs: [{{path: o, hash: md5, md5: {C}, size: 1}}]}}\n"
    assert naming._canonical_lock(flow.encode(), "") is None
    assert C in {one.oid for one in named(flow.encode(), "dvc.lock")}


def test_what_only_deps_name_is_not_kept() -> None:
    assert C not in {one.oid for one in named(LOCK.encode(), "dvc.lock")}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"outs:\n- md5: {A}\n  size: 3\n  hash: md5\n  path: x.csv\n", [(A, "d/x.csv", True)]),
        (f"outs:\n- md5: {A}\n  path: x.csv\n", [(A, "d/x.csv", False)]),  # DVC 2
        (f"wdir: ..\nouts:\n- md5: {B}\n  hash: md5\n  path: x\n", [(B, "x", True)]),
        (f"outs:\n- md5: {A}\n  hash: md5\n  path: x\n  push: false\n", [(A, "d/x", False)]),
        (
            IMPORT,
            [(A, "d/x", False)],
        ),
        (
            CLOUD,
            [(A, "d/x/y", False)],
        ),
        (f"cmd: true\nmd5: {C}\n", []),
    ],
)
def test_a_pointer_of_any_dvc_names_its_objects(text: str, expected: list[object]) -> None:
    found = [(one.oid, one.path, one.is_stored) for one in named(text.encode(), "d/x.csv.dvc")]
    assert found == expected


def test_a_lock_of_dvc_1_names_its_objects() -> None:
    text = f"train:\n  cmd: x\n  outs:\n  - path: m\n    md5: {A}\n"
    assert [one.oid for one in named(text.encode(), "dvc.lock")] == [A]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "version https://git-lfs.github.com/spec/v1\n",
        "outs:\n- md5: nonsense\n  path: x\n",
        "outs: {}\n",
        "outs:\n- x\n",
        f"<<<<<<< ours\nouts:\n- md5: {A}\n=======\n",
        "\x00\x01",
    ],
)
def test_what_is_no_pointer_is_an_error_and_never_nothing(text: str) -> None:
    with pytest.raises(ConfigError):
        named(text.encode(), "x.dvc")


@pytest.mark.parametrize("text", ["schema: '2.0'\nstages: []\n", "- x\n", "train: {outs: []}\n"])
def test_what_is_no_lock_is_an_error(text: str) -> None:
    with pytest.raises(ConfigError):
        named(text.encode(), "dvc.lock")


def test_an_entry_of_the_run_cache_names_its_outs() -> None:
    text = f"cmd: x\ndeps:\n- path: d\n  md5: {C}\nouts:\n- path: m\n  hash: md5\n  md5: {A}\n"
    assert [one.oid for one in named_in_run(text.encode(), "runs/x")] == [A]
    with pytest.raises(ConfigError):
        named_in_run(b"outs: []\n", "runs/x")


def test_ids_are_found_in_a_file_that_is_no_yaml() -> None:
    text = f"<<<<<<< ours\n- md5: {A}\n=======\n- md5: '{B}'\n>>>>>>> {'d' * 40}\n"
    assert ids_in_text(text.encode()) == (A, B)
