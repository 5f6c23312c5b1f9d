"""Libraries that only some verbs need: imported at their first use, so that no other verb pays.

`from dvc_branchflow.lazy import np` costs nothing; `np.mean` then imports numpy.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from dvc_branchflow.errors import ConfigError

__all__ = [
    "Bools", "Floats", "Ints", "csv", "linear_model", "model_selection", "np", "pa", "pc", "pq",
    "sparse", "special",
]  # fmt: skip


class Lazy:
    """Stands for a module until one of its names is asked for."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, attribute: str) -> Any:
        try:
            return getattr(importlib.import_module(self._name), attribute)
        except ImportError as error:
            raise ConfigError(
                f"this needs '{self._name}', which can't be imported: {error}",
                hint="pip install 'dvc-branchflow[monitor]'",
            ) from error


if TYPE_CHECKING:
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
