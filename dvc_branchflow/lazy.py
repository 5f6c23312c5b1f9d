"""What only some verbs need: imported at its first use, so that no other verb pays.

`from dvc_branchflow.lazy import np` costs nothing; `np.mean` then imports numpy. So it is with the
modules of a gate: `from dvc_branchflow import objects` costs nothing, `objects.open_store` does.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from dvc_branchflow.errors import ConfigError

__all__ = [
    "Bools", "Floats", "Ints", "csv", "hashlib", "linear_model", "model_selection", "np",
    "on_demand", "pa", "pc", "pq", "sparse", "special",
]  # fmt: skip


class Lazy:
    """Stands for a module until one of its names is asked for."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        try:
            found = getattr(importlib.import_module(self._name), attribute)
        except ImportError as error:
            raise ConfigError(
                f"this needs '{self._name}', which can't be imported: {error}",
                hint="pip install 'dvc-branchflow[monitor]'",
            ) from error
        setattr(self, attribute, found)
        return found


def on_demand(package: str, homes: Mapping[str, str]) -> Callable[[str], Any]:
    """Return the `__getattr__` of a package whose modules are loaded when a name is asked for.

    Args:
        homes: module in the package → the names out of it that the package offers.
    """
    modules = {name: module for module, names in homes.items() for name in names.split()}

    def find(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module '{package}' has no attribute '{name}'")
        found = getattr(importlib.import_module(f"{package}.{modules[name]}"), name)
        setattr(sys.modules[package], name, found)
        return found

    return find


if TYPE_CHECKING:
    import hashlib

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray
    from pyarrow import compute as pc
    from pyarrow import csv
    from pyarrow import parquet as pq
    from scipy import sparse, special
    from sklearn import linear_model, model_selection

    Bools = NDArray[np.bool_]
    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
else:
    hashlib = Lazy("hashlib")  # 2 ms: it loads OpenSSL
    np = Lazy("numpy")
    pa = Lazy("pyarrow")
    pc = Lazy("pyarrow.compute")
    csv = Lazy("pyarrow.csv")
    pq = Lazy("pyarrow.parquet")
    sparse = Lazy("scipy.sparse")
    special = Lazy("scipy.special")
    linear_model = Lazy("sklearn.linear_model")
    model_selection = Lazy("sklearn.model_selection")
    Bools = Floats = Ints = Any
