"""A baseline as plain JSON, and back: a file of a branch, which may be hostile."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from dvc_branchflow.drift.baseline import Baseline
from dvc_branchflow.drift.outliers import Shape
from dvc_branchflow.drift.sketches import MAX_CATEGORIES, Categories, Numbers, Sketch
from dvc_branchflow.drift.texts import BUCKETS, Hashes
from dvc_branchflow.errors import ConfigError
from dvc_branchflow.lazy import Floats, Ints, np

SCHEMA = "branchflow/baseline/1"
MAX_BYTES = 64 * 1024 * 1024
_MOST_BINS = 1_000


def baseline_json(baseline: Baseline, about: Mapping[str, Any]) -> bytes:
    """Return a baseline as it is stored, the same bytes always.

    Args:
        about: what it was made of; for people, never read back.
    """
    sketches = {name: _sketch_json(sketch) for name, sketch in baseline.sketches.items()}
    shape = baseline.shape
    document = {
        "schema": SCHEMA,
        "about": about,
        "rows": baseline.rows,
        "sketches": sketches,
        "texts": baseline.texts,
        "open": baseline.open,
        "shape": shape
        and {
            "columns": shape.columns,
            "weights": shape.weights.tolist(),
            "limit": shape.limit,
        },
    }
    return (json.dumps(document, sort_keys=True, ensure_ascii=False) + "\n").encode()


def parse_baseline(content: bytes, where: str) -> Baseline:
    """Return the baseline in a JSON document. Raises: ConfigError: it is none."""
    if len(content) > MAX_BYTES:
        raise ConfigError(f"'{where}' is too large for a baseline: {len(content)} bytes")
    try:
        document = json.loads(content)
        if document["schema"] != SCHEMA:
            raise ConfigError(f"'{where}' is no baseline: schema {document['schema']!r}")
        sketches = {str(name): _sketch(body) for name, body in document["sketches"].items()}
        return Baseline(
            rows=_count(document["rows"]),
            sketches=sketches,
            texts={str(k): [_hashes(text) for text in v] for k, v in document["texts"].items()},
            open={str(name): _count(n) for name, n in document["open"].items()},
            shape=_shape(document["shape"], sketches) if document["shape"] else None,
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise ConfigError(f"'{where}' is no baseline: {error!r}") from error


def _sketch_json(sketch: Sketch) -> dict[str, Any]:
    if isinstance(sketch, Categories):
        return {"counts": sketch.counts, "missing": sketch.missing}
    return {
        "edges": sketch.edges.tolist(),
        "bins": sketch.counts.tolist(),
        "centres": sketch.centres.tolist(),
        "missing": sketch.missing,
    }


def _sketch(body: Mapping[str, Any]) -> Sketch:
    if "counts" in body:
        counts = {str(name): _count(n) for name, n in body["counts"].items()}
        if len(counts) > MAX_CATEGORIES:
            raise ValueError("too many categories")
        return Categories(counts, _count(body["missing"]))
    edges, centres = _floats(body["edges"]), _floats(body["centres"])
    bins = _counts(body["bins"])
    if not (bins.size == centres.size == edges.size + 1 <= _MOST_BINS):
        raise ValueError("bins and edges don't fit")
    if np.any(np.diff(edges) <= 0) or np.any(np.diff(centres) < 0):
        raise ValueError("edges don't ascend")
    return Numbers(edges, bins, centres, _count(body["missing"]))


def _shape(body: Mapping[str, Any], sketches: Mapping[str, Sketch]) -> Shape:
    columns = tuple(str(name) for name in body["columns"])
    if not all(isinstance(sketches.get(name), Numbers) for name in columns):
        raise ValueError("outliers are told by a column that is no number")
    weights = np.array([_floats(row) for row in body["weights"]], float)
    if weights.shape != (len(columns), len(columns)):
        raise ValueError("weights don't fit")
    return Shape(columns, weights, float(_floats([body["limit"]])[0]))


def _hashes(text: Iterable[Any]) -> Hashes:
    found = tuple(_count(bucket) for bucket in text)
    if any(bucket >= BUCKETS for bucket in found):
        raise ValueError("a hash is out of range")
    return found


def _floats(values: Iterable[Any]) -> Floats:
    listed = list(values)
    plain = (int, float)
    if not all(
        isinstance(v, plain) and not isinstance(v, bool) and math.isfinite(v) for v in listed
    ):
        raise ValueError("not all are finite numbers")
    return np.array(listed, float)


def _counts(values: Iterable[Any]) -> Ints:
    return np.array([_count(value) for value in values], np.int64)


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 1 << 62:
        raise ValueError(f"{value!r} is no count")
    return value
