"""Real images and mails: the part of them in `tests/data`, or what `make proof` fetched."""

from __future__ import annotations

import csv
import io
import os
import re
import zipfile
from collections import defaultdict
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import NamedTuple

DATA = Path(__file__).parents[1] / "data"
FETCHED = Path(os.environ["BRANCHFLOW_PROOF"]) if "BRANCHFLOW_PROOF" in os.environ else None
MONTHS, ROWS = (12, 40_000) if FETCHED else (3, 4000)
ANSWER = re.compile(r"^(?:(?:re|fw|fwd|aw)(?:\[\d+\])?: *)+")


class Mail(NamedTuple):
    """What a team would keep of a mail: lists and days in the other headers give the label away."""

    subject: str
    body: bytes


def packed(name: str) -> dict[str, bytes]:
    with zipfile.ZipFile(DATA / name) as archive:
        return {member: archive.read(member) for member in archive.namelist()}


def unpacked(pattern: str, names: str) -> dict[str, bytes]:
    assert FETCHED
    (folder,) = FETCHED.glob(pattern)
    found = sorted(path for path in folder.rglob(names) if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


@cache
def images() -> dict[str, bytes]:
    """Path → content of the files that Pillow's own tests use."""
    return unpacked("pillow-*/Tests/images", "*") if FETCHED else packed("images.zip")


@cache
def mails() -> dict[str, Mail]:
    """Group and name → mail."""
    found = unpacked("package/data", "*.txt") if FETCHED else packed("mails.zip")
    return {name: mail_of(content) for name, content in found.items()}


def mail_of(content: bytes) -> Mail:
    head, _, body = content.partition(b"\n\n")
    subject = re.search(rb"^Subject: *(.*)$", head, re.MULTILINE | re.IGNORECASE)
    return Mail(subject[1].decode("latin-1") if subject else "", body)


def by_group(found: Iterable[str]) -> dict[str, dict[str, bytes]]:
    """Group → name below it → body: each group is a delivery of its own."""
    groups: defaultdict[str, dict[str, bytes]] = defaultdict(dict)
    for path in found:
        group, name = path.split("/")
        groups[group][name] = mails()[path].body
    return groups


@cache
def threads() -> dict[str, str]:
    """Name → what the answers to a mail have in common with it; its name where it has no subject."""
    found = {}
    for path, mail in mails().items():
        name = path.rpartition("/")[2]
        found[name] = ANSWER.sub("", mail.subject.strip().lower()) or name
    return found


@cache
def broken() -> dict[str, str]:
    """Image → why clean rejects it, of all that are wrong."""
    text = (DATA / "broken.csv").read_text(encoding="utf-8")
    return {row["file"]: row["reason"] for row in csv.DictReader(io.StringIO(text))}


def repeats(parts: dict[str, dict[str, bytes]]) -> dict[tuple[str, str], str]:
    """Partition and name → the first place, in order of both, where the same bytes stand."""
    first: dict[bytes, str] = {}
    found = {}
    for part in sorted(parts):
        for name, content in sorted(parts[part].items()):
            if content in first:
                found[part, name] = first[content]
            else:
                first[content] = f"{part}/{name}"
    return found
