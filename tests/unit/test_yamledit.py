"""What people write stays as they wrote it, but for the value that is meant."""

from __future__ import annotations

import pytest

from dvc_branchflow.config import with_remote
from dvc_branchflow.errors import ConfigError
from dvc_branchflow.metafiles.remotes import send_outs, send_pointed, without_remotes

PIPELINE = b"""\
# top
stages:
  a:
    cmd: x
    outs:
    - scanned/${item.partition}   # why
    - 'data/${item}'
    - b:
        persist: true
    - c: {persist: true}
    - kept: {cache: false}
    - mine: {push: false}
    - d: {remote: third}
    metrics:
    - m.json:
        cache: false
  f:
    foreach: [1, 2]
    do:
      cmd: y
      outs: [q, {r: {persist: false}}]
"""
SENT = b"""\
# top
stages:
  a:
    cmd: x
    outs:
    - scanned/${item.partition}: {remote: cold}   # why
    - 'data/${item}': {remote: cold}
    - b:
        remote: cold
        persist: true
    - c: {remote: cold, persist: true}
    - kept: {cache: false}
    - mine: {push: false}
    - d: {remote: third}
    metrics:
    - m.json:
        cache: false
  f:
    foreach: [1, 2]
    do:
      cmd: y
      outs: [q: {remote: cold}, {r: {remote: cold, persist: false}}]
"""


def test_outs_go_to_a_remote_and_back_byte_for_byte() -> None:
    assert send_outs(PIPELINE, "dvc.yaml", "cold", {None}) == SENT
    assert send_outs(SENT, "dvc.yaml", None, {"cold"}) == PIPELINE
    warm = send_outs(SENT, "dvc.yaml", "warm", {"cold"})
    assert warm == SENT.replace(b"cold", b"warm")
    assert without_remotes(warm, "dvc.yaml") == without_remotes(PIPELINE, "dvc.yaml")
    assert send_outs(SENT, "dvc.yaml", "cold", {None, "cold"}) == SENT


def test_outs_in_an_anchor_are_sent_once() -> None:
    text = b"stages:\n  a:\n    cmd: x\n    outs: &o\n    - p\n  b: {cmd: y, outs: *o}\n"
    assert send_outs(text, "x", "cold", {None}) == text.replace(b"- p", b"- p: {remote: cold}")


def test_a_name_that_yaml_would_read_otherwise_is_quoted() -> None:
    text = b"stages: {a: {cmd: x, outs: [p]}}\n"
    assert b'p: {remote: "no"}' in send_outs(text, "x", "no", {None})


def test_what_options_share_is_changed_for_all_or_not_at_all() -> None:
    text = b"stages:\n  a:\n    cmd: x\n    outs:\n    - b: &o {persist: true}\n    - c: *o\n"
    sent = send_outs(text, "x", "cold", {None})
    assert sent == text.replace(b"{persist", b"{remote: cold, persist")
    odd = b"stages:\n  a:\n    cmd: x\n    outs:\n    - b: &o\n    - c: *o\n"
    with pytest.raises(ConfigError, match="can't be changed by a program"):
        send_outs(odd, "dvc.yaml", "cold", {None})


def test_a_pointer_with_more_in_it_keeps_the_rest() -> None:
    text = b"outs:\n- md5: a\n  path: x\n  meta: {a: b}  # mine\n"
    assert send_pointed(text, "x.dvc", "cold", {None}) == text.replace(
        b"- md5", b"- remote: cold\n  md5"
    )


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("raw:\n", "raw: {remote: cold}\n"),
        ("raw: null\n", "raw: {remote: cold}\n"),
        ("raw: {}  # all\n", "raw: {remote: cold}  # all\n"),
        ("raw: {role: raw}\n", "raw: {remote: cold, role: raw}\n"),
        ("raw:\n    role: raw\n", "raw:\n    remote: cold\n    role: raw\n"),
        ("raw: {remote: old, role: raw}\n", "raw: {remote: cold, role: raw}\n"),
    ],
)
def test_an_entry_of_the_config_names_a_remote(before: str, after: str) -> None:
    head, tail = "# mine\nbranches:\n  ", "  clean:\n"
    changed = with_remote((head + before + tail).encode(), ["raw"], "cold")
    assert changed.decode() == head + after + tail
