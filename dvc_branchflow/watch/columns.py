"""Columns of rows from outside as numbers, texts and times, with the rows that can't be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dvc_branchflow.lazy import Bools, np, pa, pc
from dvc_branchflow.values import dataclass, field

_NUMBER = r"^\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*$"
_MOMENT = (
    r"^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?)?"
    r"(Z|[+-]\d\d(:?\d\d)?)?$"
)
_SHOWN = 40
_FLOAT_BITS = 1024
Values = Any
"""An Arrow array, or a list of what JSON knows."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Some rows of a file.

    Attributes:
        where: the file's name; `first` is the number of the first row in it, from 1.
        absent: place of a row in the batch → the columns that other rows have and it lacks.
    """

    where: str
    first: int
    rows: int
    columns: Mapping[str, Values]
    absent: Mapping[int, Sequence[str]] = field(default_factory=dict)

    def place(self, at: int) -> str:
        """Return what to call a row of the batch."""
        return f"{self.where} row {self.first + at}"

    def shown(self, name: str, at: int) -> str:
        """Return a value as an error shows it."""
        value = self.columns[name][at]
        text = repr(value.as_py() if isinstance(value, pa.Scalar) else value)
        return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def as_number(values: Values, missing: Sequence[str] = ("",)) -> tuple[pa.Array, Bools]:
    """Return a column as floats, and which rows hold something else; shapes (rows,).

    Args:
        missing: the texts that mean "no value".
    """
    if isinstance(values, list):
        bad = np.array([not _is_number(value) for value in values], bool)
        return pa.array(
            [None if b else v for v, b in zip(values, bad, strict=True)], pa.float64()
        ), bad
    if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
        held = _without(values, missing)
        is_number = pc.fill_null(pc.match_substring_regex(held, _NUMBER), fill_value=True)
        texts = pc.utf8_trim_whitespace(pc.if_else(is_number, held, None))
        return texts.cast(pa.float64()), ~is_number.to_numpy(zero_copy_only=False)
    if pa.types.is_boolean(values.type) or not _is_plain(values.type):
        return pa.nulls(len(values), pa.float64()), values.is_valid().to_numpy(zero_copy_only=False)
    return values.cast(pa.float64(), safe=False), np.zeros(len(values), bool)


def as_text(values: Values, missing: Sequence[str] = ()) -> tuple[pa.Array, Bools]:
    """Return a column as texts, and which rows hold a list or an object; shapes (rows,)."""
    if isinstance(values, list):
        bad = np.array([isinstance(value, list | dict) for value in values], bool)
        texts = [None if v is None or b else _text(v) for v, b in zip(values, bad, strict=True)]
        return pa.array(texts, pa.string()), bad
    if not _is_plain(values.type) and not pa.types.is_timestamp(values.type):
        return pa.nulls(len(values), pa.string()), values.is_valid().to_numpy(zero_copy_only=False)
    return _without(values.cast(pa.string()), missing), np.zeros(len(values), bool)


def as_time(values: Values) -> tuple[pa.Array, Bools]:
    """Return a column as moments in UTC, and which rows hold none; a time without zone is UTC."""
    kind = pa.timestamp("us", "UTC")
    if isinstance(values, list):
        values = pa.array([v if isinstance(v, str) else None for v in values], pa.string())
    if pa.types.is_timestamp(values.type):
        return values.cast(pa.timestamp("us", values.type.tz), safe=False).cast(kind), np.zeros(
            len(values), bool
        )
    if not pa.types.is_string(values.type):
        return pa.nulls(len(values), kind), np.ones(len(values), bool)
    good = pc.fill_null(pc.match_substring_regex(values, _MOMENT), fill_value=False)
    texts = pc.if_else(good, values, None)
    zoned = pc.match_substring_regex(texts, r"(Z|[T ].*[+-]\d\d(:?\d\d)?)$")
    texts = pc.if_else(zoned, texts, pc.binary_join_element_wise(texts, "Z", ""))
    # Arrow refuses a day alone with a zone, and offsets without minutes.
    texts = pc.replace_substring_regex(texts, r"^(\d{4}-\d\d-\d\d)Z$", r"\1T00:00Z")
    found = _moments(texts)
    return found, ~found.is_valid().to_numpy(zero_copy_only=False)


def looks_like_number(values: Values) -> bool:
    """Whether all values of a column are numbers, and there is one."""
    found, bad = as_number(values)
    return not bad.any() and found.null_count < len(found)


def _moments(texts: pa.Array) -> pa.Array:
    kind = pa.timestamp("us", "UTC")
    try:
        return texts.cast(kind)
    except pa.ArrowInvalid:  # a month 13 somewhere: look at each
        return pa.concat_arrays([_one_moment(texts.slice(n, 1)) for n in range(len(texts))])


def _one_moment(text: pa.Array) -> pa.Array:
    kind = pa.timestamp("us", "UTC")
    try:
        return text.cast(kind)
    except pa.ArrowInvalid:
        return pa.nulls(1, kind)


def _without(texts: pa.Array, missing: Sequence[str]) -> pa.Array:
    if not missing:
        return texts
    is_missing = pc.is_in(texts, pa.array(list(missing), texts.type))
    return pc.if_else(is_missing, None, texts)


def _is_number(value: object) -> bool:
    if isinstance(value, int) and not isinstance(value, bool):
        return value.bit_length() < _FLOAT_BITS
    return value is None or isinstance(value, float)


def _is_plain(kind: Any) -> bool:
    types = pa.types
    return bool(
        types.is_integer(kind) or types.is_floating(kind) or types.is_boolean(kind)
        or types.is_string(kind) or types.is_large_string(kind) or types.is_null(kind)
        or types.is_decimal(kind)
    )  # fmt: skip


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
