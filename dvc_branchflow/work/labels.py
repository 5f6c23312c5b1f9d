"""The labels of a window, joined to its rows by the hashes of their ids."""

from __future__ import annotations

from typing import Any

from dvc_branchflow.lazy import np
from dvc_branchflow.values import dataclass
from dvc_branchflow.watch.fingerprints import hash_texts
from dvc_branchflow.watch.windows import Span
from dvc_branchflow.work.environments import Environment
from dvc_branchflow.work.logbook import LABELS, read_log
from dvc_branchflow.work.transfer import Report


@dataclass(frozen=True, slots=True)
class Labels:
    """Hashes of ids in order, and what they are of; shapes (labels,)."""

    ids: Any
    values: Any

    def of(self, table: Any) -> tuple[Any, Any]:
        """Return which rows have a label, shape (rows,), and the labels of those.

        Args:
            table: rows with their `request_id`.
        """
        if not self.ids.size:
            return np.zeros(table.num_rows, bool), self.values
        hashed = hash_texts(table["request_id"].combine_chunks())
        at = np.minimum(np.searchsorted(self.ids, hashed), self.ids.size - 1)
        hit = self.ids[at] == hashed
        return hit, self.values[at[hit]]


def read_labels(env: Environment, span: Span, report: Report) -> Labels:
    """Return the labels of rows in a span: floats, or texts where predictions are texts."""
    ids, values = [np.empty(0, np.uint64)], [np.empty(0, object)]
    for table in read_log(env, LABELS, span, ["request_id", "label"], report):
        ids.append(hash_texts(table["request_id"].combine_chunks()))
        values.append(table["label"].to_numpy())
    every = np.concatenate(ids)
    order = np.argsort(every, kind="stable")
    kind = float if env.schema is None or env.schema.prediction == "number" else object
    return Labels(every[order], np.concatenate(values)[order].astype(kind))
