"""Decides how the split becomes samples: which files, which label, what a model sees."""

from __future__ import annotations

import re
import sys
from collections import Counter
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path, PurePosixPath

import numpy as np
from scipy.sparse import csr_matrix, hstack, vstack
from sklearn.feature_extraction.text import HashingVectorizer

from src.recipe import Recipe

SPLIT = Path("@SPLIT_DATA@")
# The extensions of images; every other file is a text.
IMAGES = {".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"}
FORMATS = ["BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP"]  # others can start programs
MAX_PIXELS = 1 << 26  # a small file can hold a huge image
AT_ONCE = 256  # files in memory


@dataclass(frozen=True)
class Samples:
    """Files that have a label: path below the split, label, and a row of features each."""

    names: list[str]
    labels: np.ndarray
    features: csr_matrix

    def __len__(self) -> int:
        return len(self.names)

    def sides(self) -> Counter[str]:
        """Count the files of each side."""
        return Counter(side_of(name) for name in self.names)


def read(*sides: str, recipe: Recipe) -> Samples:
    """Return the files of these sides in a fixed order; those without a label are left out."""
    found = [path for side in sides for path in SPLIT.glob(f"*/{side}/**/*") if path.is_file()]
    names = sorted(path.relative_to(SPLIT).as_posix() for path in found)
    if not names:
        raise FileNotFoundError(f"no file on side {' or '.join(sides)} of {SPLIT}; try `dvc pull`")
    for side in sorted(set(sides) - {side_of(name) for name in names}):
        caution(f"the side {side} is empty")
    labels = [label_of(name, recipe["label"]) for name in names]
    kept = [(name, label) for name, label in zip(names, labels, strict=True) if label]
    if not kept:
        raise ValueError(f"data.label finds a label in none of {len(names)} paths, as {names[0]!r}")
    if len(kept) < len(names):
        caution(f"{len(names) - len(kept)} of {len(names)} files have no label")
    names = [name for name, _ in kept]
    parts = (names[start : start + AT_ONCE] for start in range(0, len(names), AT_ONCE))
    rows = [features([(n, (SPLIT / n).read_bytes()) for n in part], recipe) for part in parts]
    return Samples(names, np.array([label for _, label in kept]), vstack(rows, format="csr"))


def side_of(name: str) -> str:
    """Return the side of a path `<partition>/<side>/<path>`."""
    return name.split("/")[1]


def label_of(name: str, pattern: str) -> str | None:
    """Find the label in what follows the side; None: there is none."""
    found = re.search(pattern, name.split("/", 2)[2])
    return found["label"] if found else None


def features(files: list[tuple[str, bytes]], recipe: Recipe) -> csr_matrix:
    """Return a row for each name and content: counts of hashed words, then what images look like.

    Nothing is learnt here, so that a file has the same features alone and among others.
    Raises: ValueError: a file can't be read as what its extension says.
    """
    sizes = recipe["features"]
    texts = ["" if is_image(name) else text(name, content) for name, content in files]
    images = np.zeros((len(files), sizes["grid"] ** 2 + 3 * sizes["colours"]))
    for row, (name, content) in enumerate(files):
        if is_image(name):
            images[row] = look(name, content, sizes)
    hashed = HashingVectorizer(
        n_features=sizes["words"], ngram_range=(1, 2), alternate_sign=False, norm=None
    )
    return hstack([hashed.transform(texts), images], format="csr")


def is_image(name: str) -> bool:
    """Whether a file's extension says that it is an image."""
    return PurePosixPath(name).suffix.lower() in IMAGES


def text(name: str, content: bytes) -> str:
    """Return a text file's characters."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{name} is no text in UTF-8") from error


def look(name: str, content: bytes, sizes: dict[str, int]) -> np.ndarray:
    """Return an image as a coarse grid of grey and a histogram for each colour, all in 0..1."""
    from PIL import Image

    try:
        with Image.open(BytesIO(content), formats=FORMATS) as image:
            pixels = image.width * image.height
            colour = image.convert("RGB") if pixels <= MAX_PIXELS else None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise ValueError(f"{name} can't be read as an image: {error}") from error
    if colour is None:
        raise ValueError(f"{name} has {pixels} pixels, more than {MAX_PIXELS}")
    grid = (sizes["grid"], sizes["grid"])
    grey = np.asarray(colour.convert("L").resize(grid, Image.Resampling.BOX)) / 255
    shares = np.reshape(colour.histogram(), (3, 256)) / pixels
    bins = np.arange(256) * sizes["colours"] // 256
    colours = [np.bincount(bins, weights=channel) for channel in shares]
    return np.concatenate([grey.ravel(), *colours])


def caution(message: str) -> None:
    """Say what whoever reads the scores should know."""
    print(f"caution: {message}", file=sys.stderr)
