"""Decides which files are good, by their extension and content. Add your own kinds here."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Iterator
from hashlib import blake2b, file_digest
from pathlib import Path
from typing import Any, TextIO

from src.images import IMAGES, image_fault

Verdict = tuple[int, str, bytes]  # row (0: the whole file), fault or '', digest of what is good

TEXTS = {".csv", ".html", ".json", ".jsonl", ".md", ".srt", ".tsv", ".txt", ".xml", ".yaml", ".yml"}
# How a file starts. These extensions are known by it alone ...
STARTS = {
    ".gz": b"\x1f\x8b", ".npy": b"\x93NUMPY", ".parquet": b"PAR1", ".pdf": b"%PDF-",
    ".wav": b"RIFF", ".zip": b"PK",
}  # fmt: skip
# ... and no text and no other image starts so.
SIGNS = {
    "PNG": b"\x89PNG", "JPEG": b"\xff\xd8\xff", "GIF": b"GIF8", "TIFF": b"II*\0", "PDF": b"%PDF-",
    "ZIP": b"PK\x03\x04", "GZIP": b"\x1f\x8b",
}  # fmt: skip


class Files:
    """Judges the files of one partition."""

    def __init__(self, params: dict[str, Any]) -> None:
        self.params = params

    def judge(self, path: Path) -> Iterator[Verdict]:
        """Yield the file as row 0."""
        fault = self.fault(path)
        with path.open("rb") as handle:
            digest = b"" if fault else file_digest(handle, lambda: blake2b(digest_size=16)).digest()
        yield 0, fault, digest

    def fault(self, path: Path) -> str:
        """Why a file is rejected, or ''."""
        suffix = path.suffix.lower()
        with path.open("rb") as handle:
            head = handle.read(16)
        if not head:
            return "empty file"
        if suffix in IMAGES:
            return image_fault(path, IMAGES[suffix], sign(head), self.params["max_pixels"])
        if suffix in TEXTS:
            return f"wrong type: {sign(head)}" if sign(head) else self.text_fault(path, suffix)
        if suffix in STARTS:
            return "" if head.startswith(STARTS[suffix]) else "wrong type"
        return "" if self.params["unknown"] == "accept" else "unknown extension"

    def text_fault(self, path: Path, suffix: str) -> str:
        """Why a text is rejected, or ''. It has to decode, to say something, and to parse."""
        for encoding in self.params["encodings"]:
            try:
                with path.open(encoding=encoding, newline="") as text:
                    is_blank, has_nul = skim(text)
                if is_blank or has_nul:
                    return "blank text" if is_blank else "binary content in a text"
                with path.open(encoding=encoding, newline="") as text:
                    PARSERS.get(suffix, iter)(text)
            except UnicodeError:
                continue
            except (ValueError, csv.Error, RecursionError):
                return f"doesn't parse as {suffix[1:]}"
            return ""
        return f"text is not {' or '.join(self.params['encodings'])}"


def sign(head: bytes) -> str:
    """Return the kind of content that starts so; '' where that can't be told."""
    return next((kind for kind, start in SIGNS.items() if head.startswith(start)), "")


def skim(text: TextIO) -> tuple[bool, bool]:
    """Whether a text is blank, and whether it has a NUL; read to its end, a piece at a time."""
    is_blank, has_nul = True, False
    while piece := text.read(1 << 20):
        is_blank = is_blank and not piece.strip().strip("\ufeff")
        has_nul = has_nul or "\0" in piece
    return is_blank, has_nul


def parse_json(text: TextIO) -> None:
    """Raise ValueError where this is no JSON."""
    json.loads(text.read().lstrip("\ufeff"))


def parse_lines(text: TextIO) -> None:
    """Raise ValueError where a line is no JSON; blank lines are none."""
    for line in text:
        if line.strip("\ufeff \r\n"):
            json.loads(line.lstrip("\ufeff"))


def parse_csv(text: TextIO) -> None:
    """Raise csv.Error or ValueError where this is no CSV, or its rows differ in length."""
    widths = {len(row) for row in csv.reader(text, strict=True) if row}
    if len(widths) > 1:
        raise ValueError("rows of different length")


PARSERS: dict[str, Callable[[TextIO], object]] = {
    ".csv": parse_csv, ".json": parse_json, ".jsonl": parse_lines,
}  # fmt: skip
