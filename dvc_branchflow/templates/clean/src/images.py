"""Decides whether an image is whole: all of its pixels decode, and its file has an end."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from io import BytesIO
from mmap import ACCESS_READ, mmap
from pathlib import Path
from re import compile as pattern
from types import ModuleType
from zlib import crc32

# What Pillow may call the content. Phones write MPO, a JPEG with more pictures behind the first.
IMAGES: dict[str, tuple[str, ...]] = {
    ".bmp": ("BMP",), ".gif": ("GIF",), ".jpeg": ("JPEG", "MPO"), ".jpg": ("JPEG", "MPO"),
    ".mpo": ("JPEG", "MPO"), ".pgm": ("PPM",), ".png": ("PNG",), ".ppm": ("PPM",),
    ".tif": ("TIFF",), ".tiff": ("TIFF",), ".webp": ("WEBP",),
}  # fmt: skip
PIXELS = {b"IDAT", b"fdAT"}  # chunks of a PNG
START = b"\xff\xd8\xff"  # of a JPEG
# Start, end, or a marker with a length behind it; those left out have none, and stand among pixels.
MARKER = pattern(rb"\xff([\x02-\xcf\xd8-\xfe])")
SOI, EOI = 0xD8, 0xD9


def image_fault(path: Path, wanted: tuple[str, ...], found: str, max_pixels: int) -> str:
    """Why an image is rejected, or ''; `found` is what the file starts like.

    All pixels are decoded: Pillow's `verify()` passes broken ones. Its decoders stop as soon as
    they have a value for each pixel, and take the zeros of a copy that broke off for some: where
    the format says how a file ends, or has checksums, both are looked at.
    """
    pillow = _pillow(path)
    pillow.MAX_IMAGE_PIXELS = max_pixels
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            warnings.simplefilter("error", pillow.DecompressionBombWarning)
            form = _decode(pillow, path)
            if form not in wanted:
                return f"wrong type: {form}"
            return "" if _is_whole(pillow, path, form) else "image is incomplete"
    except (pillow.DecompressionBombError, pillow.DecompressionBombWarning):
        return "image too large"
    except pillow.UnidentifiedImageError:
        return "image doesn't decode" if found in wanted else f"wrong type: {found or 'no image'}"
    except Exception as error:  # SyntaxError, ValueError, IndexError ...: each format has its own
        if isinstance(error, MemoryError) or getattr(error, "errno", None):
            raise  # this machine's fault, not the file's
        return "image doesn't decode"


def _pillow(path: Path) -> ModuleType:
    try:
        from PIL import Image
    except ImportError:
        sys.exit(f"'{path}' is an image, and that needs Pillow: pip install -r requirements.txt")
    return Image


def _decode(pillow: ModuleType, path: Path) -> str:
    """Decode all frames; return what the content is. Raises: what its decoder raises."""
    from PIL import ImageSequence

    known = sorted({kinds[0] for kinds in IMAGES.values()})  # MPO is found as a JPEG
    with pillow.open(path, formats=known) as image:
        # Phones get the places of an MPO's other pictures wrong: _is_whole finds them itself.
        frames = [image] if image.format == "MPO" else ImageSequence.Iterator(image)
        for frame in frames:
            frame.load()
        return str(image.format)


def _is_whole(pillow: ModuleType, path: Path, form: str) -> bool:
    if form not in {"JPEG", "MPO", "PNG"}:
        return True
    with path.open("rb") as handle, mmap(handle.fileno(), 0, access=ACCESS_READ) as data:
        if form == "PNG":
            return _png_is_whole(data)
        return all(_picture_is_whole(pillow, data, at, end) for at, end in _pictures(data))


def _png_is_whole(data: mmap) -> bool:
    at = 8
    while at + 12 <= len(data):
        body = at + 8
        size, kind = int.from_bytes(data[at : at + 4]), data[at + 4 : body]
        if kind == b"IEND":
            return True
        check = int.from_bytes(data[body + size : body + size + 4])
        if kind in PIXELS and crc32(data[at + 4 : body + size]) != check:
            return False
        at = body + size + 4
    return False


def _pictures(data: mmap) -> Iterator[tuple[int, int]]:
    """Yield where each picture of a JPEG starts and ends, in order; an end of 0 is none.

    What is behind the first one and no picture (padding, a film, a maker's notes) is passed over.
    """
    at = end = 0
    while data[at : at + 3] == START:
        end = _end(data, at)
        yield at, end
        if not end:
            return
        padding = pattern(rb"\0*").match(data, end)
        at = padding.end() if padding else end


def _end(data: mmap, at: int) -> int:
    """Return where the picture that starts here ends, or 0."""
    at += 2
    while found := MARKER.search(data, at):
        if found[1][0] in {SOI, EOI}:  # another one that starts is no end
            return found.end() if found[1][0] == EOI else 0
        at = found.end() + int.from_bytes(data[found.end() : found.end() + 2])
    return 0


def _picture_is_whole(pillow: ModuleType, data: mmap, at: int, end: int) -> bool:
    if at and end:  # the first one is decoded already
        with pillow.open(BytesIO(data[at:end]), formats=["JPEG"]) as picture:
            picture.load()
    return bool(end)
