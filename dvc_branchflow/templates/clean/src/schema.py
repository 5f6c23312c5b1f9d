"""Decides which rows don't fit `schema.yaml`: a short form, checked by pandera."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import yaml

KEYS = {"dtype", "nullable", "ge", "le", "isin", "regex", "unique"}
DTYPES = {"str", "int", "float", "datetime"}


class Schema:
    """The columns that `schema.yaml` describes; pandera is imported only where there are some."""

    def __init__(self, missing: frozenset[str], path: Path = Path("schema.yaml")) -> None:
        columns = (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get("columns") or {}
        self.columns: dict[str, dict[str, Any]] = {
            name: rule or {} for name, rule in columns.items()
        }
        for name, rule in self.columns.items():
            if unknown := rule.keys() - KEYS:
                sys.exit(f"schema.yaml: '{name}' has unknown keys: {', '.join(sorted(unknown))}")
            if rule.get("dtype", "str") not in DTYPES:
                sys.exit(f"schema.yaml: '{name}' has dtype {rule['dtype']!r}: {sorted(DTYPES)}")
        self.unique = [name for name, rule in self.columns.items() if rule.get("unique")]
        self.missing = missing
        self.checks = self._checks() if self.columns else None

    def _checks(self) -> Any:
        try:
            import pandera.pandas as pa
        except ImportError:
            sys.exit("schema.yaml needs pandera: pip install -r requirements.txt")
        columns = {}
        for name, rule in self.columns.items():
            low, high = (bound(rule, end) for end in ("ge", "le"))
            checks = []
            if low is not None:
                checks.append(pa.Check.ge(low, error=f"below {rule['ge']}"))
            if high is not None:
                checks.append(pa.Check.le(high, error=f"above {rule['le']}"))
            if "isin" in rule:
                allowed = [str(value) for value in rule["isin"]]
                if rule.get("dtype", "str") != "str":
                    allowed = list(rule["isin"])
                checks.append(pa.Check.isin(allowed, error="is not an allowed value"))
            if "regex" in rule:
                whole = rf"(?:{rule['regex']})\Z"
                checks.append(pa.Check.str_matches(whole, error="doesn't match"))
            columns[name] = pa.Column(None, checks, nullable=bool(rule.get("nullable")))
        return pa.DataFrameSchema(columns)

    def faults(self, header: list[str], rows: list[list[str]]) -> dict[int, str]:
        """Return place in `rows` → the first reason why it doesn't fit, in the schema's order."""
        if self.checks is None or not rows:
            return {}
        import pandas as pd
        from pandera.errors import SchemaErrors

        found: dict[int, list[tuple[int, str]]] = {}
        typed = {}
        for order, (name, rule) in enumerate(self.columns.items()):
            at = header.index(name)
            texts = pd.Series([None if r[at] in self.missing else r[at] for r in rows], dtype="str")
            typed[name] = convert(texts, rule.get("dtype", "str"))
            for place in texts.index[texts.notna() & typed[name].isna()]:
                found.setdefault(place, []).append((order, f"is no {rule['dtype']}"))
        try:
            self.checks.validate(pd.DataFrame(typed), lazy=True)
        except SchemaErrors as errors:
            orders = {name: order for order, name in enumerate(self.columns)}
            failed = errors.failure_cases
            for name, check, place in zip(
                failed["column"], failed["check"], failed["index"], strict=True
            ):
                if pd.isna(place):
                    sys.exit(f"schema.yaml: '{name}' can't be checked: {check}")
                text = "is empty" if check == "not_nullable" else str(check)
                found.setdefault(int(place), []).append((orders[name], text))
        names = list(self.columns)
        firsts = {place: min(faults, key=lambda f: f[0]) for place, faults in found.items()}
        return {place: f"schema: {names[order]} {text}" for place, (order, text) in firsts.items()}


def bound(rule: dict[str, Any], end: str) -> Any:
    """Return the smallest or largest value in the column's own type; None where there is none."""
    if end not in rule or rule.get("dtype") != "datetime":
        return rule.get(end)
    import pandas as pd

    moment = pd.Timestamp(rule[end])
    return moment.tz_localize("UTC") if moment.tzinfo is None else moment.tz_convert("UTC")


def convert(texts: Any, dtype: str) -> Any:
    """Return a column in its type, empty where that can't be."""
    import pandas as pd

    if dtype == "str":
        return texts
    if dtype == "datetime":
        return pd.to_datetime(texts, errors="coerce", utc=True, format="ISO8601")
    numbers = pd.to_numeric(texts, errors="coerce").astype("float64")
    return numbers if dtype == "float" else numbers.where(numbers % 1 == 0)
