"""Decides when two texts or images are nearly the same.

A sketch is a row of small numbers, and two samples are the nearer, the fewer of these differ.
"""

from __future__ import annotations

import json
import re
import unicodedata
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

from src.rule import Refused

WIDTH = {"text": 128, "image": 128}  # numbers in a sketch: MinHashes, bits
NEEDS = {
    "text": ["numpy", "rensa"],
    "image": ["numpy", "imagehash", "PIL"],
}
PACKAGES = {"text": "'numpy>=2' 'rensa==0.5.*'", "image": "'numpy>=2' 'ImageHash>=4.3' Pillow"}
MIX = 0x9E3779B97F4A7C15
CHUNK = 4096


def load(kind: str) -> list[Any]:
    """Import what a kind needs. Raises: Refused: something is not installed."""
    try:
        return [import_module(name) for name in NEEDS[kind]]
    except ImportError as error:
        need = f"leaks.near.kind {kind!r} needs {error.name}"
        raise Refused(f"{need}: pip install {PACKAGES[kind]}") from error


def limit_of(near: dict[str, Any]) -> int:
    """Return how many numbers of two sketches may differ. Raises: Refused: no such threshold."""
    threshold = near["threshold"]
    if near["kind"] == "text":
        if not 0 < threshold <= 1:
            raise Refused(f"leaks.near.threshold is {threshold}: texts need a share from 0 to 1")
        return min(int((1 - threshold) * WIDTH["text"] + 1e-9), WIDTH["text"] - 1)
    if not isinstance(threshold, int) or not 0 <= threshold < WIDTH["image"] // 2:
        raise Refused(f"leaks.near.threshold is {threshold}: images need a number of bits, like 12")
    return threshold


# -- sketches --------------------------------------------------------------------------------------


def shingles(text: str, size: int) -> set[str]:
    """Return the runs of `size` words: case, white space and punctuation don't count."""
    words = re.findall(r"\w+", unicodedata.normalize("NFKC", text).casefold())
    return {" ".join(words[at : at + size]) for at in range(max(len(words) - size + 1, 1))} - {""}


def text_sketcher(near: dict[str, Any]) -> Callable[[Any, Any], bytes | None]:
    """Return what sketches a text: a byte of each of its MinHashes."""
    numpy, rensa = load("text")

    def sketch(kind: Any, sample: Any) -> bytes | None:
        found = shingles(kind.text(sample), near["shingle"])
        if not found:
            return None
        hashes = rensa.RMinHash(num_perm=WIDTH["text"], seed=42)
        hashes.update(list(found))
        return numpy.array(hashes.digest(), dtype=numpy.uint32).astype(numpy.uint8).tobytes()

    return sketch


def image_sketcher(_near: dict[str, Any]) -> Callable[[Any, Any], bytes | None]:
    """Return what sketches an image: the bits of two perceptual hashes.

    Both are coarse: the fine bits of a sky or a blurred background don't survive a re-encoding.
    """
    numpy, imagehash, _ = load("image")
    image = import_module("PIL.Image")

    def sketch(kind: Any, sample: Any) -> bytes | None:
        try:
            with warnings.catch_warnings(), image.open(kind.picture(sample)) as picture:
                warnings.simplefilter("ignore")
                grey = grey_of(numpy, image, picture)
                bits = [imagehash.phash(grey).hash, imagehash.dhash(grey).hash]
        except (OSError, SyntaxError, ValueError, IndexError, image.DecompressionBombError):
            return None
        low, high = grey.getextrema()
        return numpy.concatenate(bits).astype(numpy.uint8).tobytes() if low < high else None

    return sketch


def grey_of(numpy: Any, image: Any, picture: Any) -> Any:
    """Return what an eye sees of a picture, in 256 shades.

    What is transparent is white, as in a JPEG of it. More shades than 256 are spread over them: cut
    off at 255, as Pillow does it, X-rays are white all over, and each one is every other's twin.
    """
    if picture.mode.startswith(("I", "F")):
        values = numpy.nan_to_num(numpy.asarray(picture, dtype=float))
        spread = max(values.max() - values.min(), 1e-9)
        return image.fromarray(((values - values.min()) / spread * 255).astype(numpy.uint8))
    if picture.has_transparency_data:
        colours = picture.convert("RGBA")
        picture = image.alpha_composite(image.new("RGBA", colours.size, "white"), colours)
    return picture.getchannel("L") if picture.mode == "LAB" else picture.convert("L")


SKETCHERS = {"text": text_sketcher, "image": image_sketcher}


class Sketches(ExitStack):
    """The sketches of a partition, and whose they are; nothing where no kind is configured."""

    def __init__(self, out: Path, near: dict[str, Any]) -> None:
        super().__init__()
        self.kind = near.get("kind", "none")
        if self.kind not in {"none", *SKETCHERS}:
            raise Refused(f"leaks.near.kind is {self.kind!r}: it can be none, text or image")
        if self.kind != "none":
            limit_of(near)
            self.sketch = SKETCHERS[self.kind](near)
            made_by = f"rensa {version('rensa')}" if self.kind == "text" else "phash, dhash"
            (out / "near.json").write_text(
                json.dumps({"made by": made_by}) + "\n", encoding="utf-8"
            )
            self.numbers = self.enter_context((out / "near.bin").open("wb"))
            self.names = self.enter_context((out / "near.names").open("w", encoding="ascii"))

    def add(self, kind: Any, sample: Any, *seen: str) -> None:
        """Take note of a sample; what is no text or image is passed over."""
        if self.kind != "none" and (sketch := self.sketch(kind, sample)):
            self.numbers.write(sketch)
            self.names.write(json.dumps(seen) + "\n")


# -- search ----------------------------------------------------------------------------------------


def search(
    sketches: Any, sides: Any, limit: int, is_allowed: Callable[[int, int], bool]
) -> Iterator[tuple[int, int, int]]:
    """Yield each sample that is near one of an earlier side, that one, and how many numbers differ.

    Cut into one more piece than numbers may differ, two near sketches agree in at least one piece:
    only those have to be compared, and no pair is missed.
    """
    numpy = import_module("numpy")
    found: set[int] = set()
    for piece in numpy.array_split(numpy.arange(sketches.shape[1]), limit + 1):
        keys = numpy.zeros(len(sketches), dtype=numpy.uint64)
        for at in piece:
            keys = keys * numpy.uint64(MIX) + sketches[:, at]
        order = numpy.argsort(keys, kind="stable")
        starts = numpy.flatnonzero(numpy.diff(keys[order], prepend=~keys[order[:1]]))
        lows = numpy.minimum.reduceat(sides[order], starts)
        highs = numpy.maximum.reduceat(sides[order], starts)
        ends = numpy.append(starts[1:], len(order))
        for run in numpy.flatnonzero(lows < highs):
            members = order[starts[run] : ends[run]]
            for later in members[sides[members] > lows[run]]:
                if int(later) in found:
                    continue
                earlier = members[sides[members] < sides[later]]
                if pair := nearest(sketches, int(later), earlier, limit, is_allowed):
                    found.add(int(later))
                    yield int(later), *pair


def nearest(
    sketches: Any, later: int, earlier: Any, limit: int, is_allowed: Callable[[int, int], bool]
) -> tuple[int, int] | None:
    """Return a sample that is near, and how many numbers differ; None where there is none."""
    for start in range(0, len(earlier), CHUNK):
        chunk = earlier[start : start + CHUNK]
        differ = (sketches[chunk] != sketches[later]).sum(axis=1)
        for at in differ.argsort(kind="stable"):
            if differ[at] > limit:
                break
            if not is_allowed(later, int(chunk[at])):
                return int(chunk[at]), int(differ[at])
    return None
