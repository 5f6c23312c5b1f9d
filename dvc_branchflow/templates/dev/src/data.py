"""Decides how the split becomes tables: which rows, which columns, number or text."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from src.recipe import Recipe

SPLIT = Path("@SPLIT_DATA@")


def read(*sides: str, missing: list[str]) -> pd.DataFrame:
    """Return all rows of these sides as text, in a fixed order; missing values are NaN."""
    paths = [path for side in sides for path in sorted(SPLIT.glob(f"*/{side}/*.csv"))]
    if not paths:
        raise FileNotFoundError(f"no {' or '.join(sides)} side in {SPLIT}; try `dvc pull`")
    tables = (
        pd.read_csv(path, dtype=str, keep_default_na=False, na_values=missing) for path in paths
    )
    return pd.concat(tables, ignore_index=True)


def numbers(column: pd.Series) -> pd.Series:
    """Return the column as floats; what is no finite number is NaN."""
    values = pd.to_numeric(column, errors="coerce").astype(float)
    return values.where(np.isfinite(values))


def is_number(column: pd.Series) -> bool:
    """Whether all that is not missing from the column is a number."""
    return bool((column.isna() | numbers(column).notna()).all())


def features(rows: pd.DataFrame, kinds: dict[str, str]) -> pd.DataFrame:
    """Return the columns that `kinds` names, each as the number or text it says."""
    table = {}
    for name, kind in kinds.items():
        column = rows[name]
        is_text = kind == "text"
        table[name] = (
            column.astype(object).where(column.notna(), np.nan) if is_text else numbers(column)
        )
    return pd.DataFrame(table, index=rows.index)


def labelled(rows: pd.DataFrame, recipe: Recipe) -> tuple[pd.DataFrame, pd.Series]:
    """Return features and target of the rows that have one: floats, or labels as text."""
    target = rows[recipe["target"]]
    truth = (numbers(target) if recipe["task"] == "regression" else target.astype(object)).dropna()
    if truth.empty:
        raise ValueError(f"no row has a usable target in column {recipe['target']!r}")
    return features(rows.loc[truth.index], recipe["features"]), truth
