"""What a logged row has to be: the schema of a monitor branch, and rows held against it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, Literal

from dvc_branchflow.errors import ConfigError
from dvc_branchflow.lazy import hashlib, np, pa, pc
from dvc_branchflow.values import asdict, dataclass, field, replace
from dvc_branchflow.watch.columns import Batch, as_number, as_text, as_time, looks_like_number
from dvc_branchflow.watch.recipe import ColumnKind, Recipe

SCHEMA_FILE = "log-schema.json"
SCHEMA: Literal["branchflow/log/1"] = "branchflow/log/1"
REQUIRED = ("request_id", "time", "tag", "prediction")
OPTIONAL: Mapping[str, ColumnKind] = {
    "score": "number", "unit": "text", "experiment": "text", "group": "text",
}  # fmt: skip
OWN = frozenset({*REQUIRED, *OPTIONAL})
KEPT_HERE = frozenset({"hash", "drop"})
"""How a private column is treated where it is not kept on a DVC remote of its own."""
_SHOWN = 10
RecipeOf = Callable[[str], Recipe | None]
"""Tag → what the release says of its inputs (None: nothing). Raises KeyError: no such release."""


@dataclass(frozen=True, slots=True)
class LogSchema:
    """The columns of a monitor branch, as its first log and the releases' own features fixed them.

    Attributes:
        columns: feature, or other column of the first log → number or text.
        prediction: what predictions are.
        private: column → hash, drop, or the DVC remote that it is kept on.
        key: fingerprint of the key that private columns are hashed with.
    """

    columns: Mapping[str, ColumnKind] = field(default_factory=dict)
    prediction: ColumnKind = "number"
    private: Mapping[str, str] = field(default_factory=dict)
    key: str | None = None
    schema: Literal["branchflow/log/1"] = SCHEMA

    def to_json(self) -> bytes:
        """Return the schema as it stands on the branch."""
        return (
            json.dumps(asdict(self), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        ).encode()

    def kind(self, name: str) -> ColumnKind:
        """Return what a column of ours or theirs holds."""
        return self.prediction if name == "prediction" else OPTIONAL.get(name) or self.columns[name]


def parse_log_schema(content: bytes, where: str) -> LogSchema:
    """Return the schema in a JSON document that may be hostile. Raises: ConfigError: it is none."""
    try:
        document = json.loads(content)
        found = LogSchema(**document)
        kinds = {*found.columns.values(), found.prediction}
        texts = [*found.columns, *found.private, *found.private.values(), found.key or ""]
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise ConfigError(f"'{where}' is no schema of a log: {error}") from error
    if found.schema != SCHEMA or not kinds <= {"number", "text"}:
        raise ConfigError(f"'{where}' is no schema of a log that this version knows")
    if not all(isinstance(text, str) for text in texts):
        raise ConfigError(f"'{where}' is no schema of a log: names have to be text")
    return found


@dataclass
class Problems:
    """What is wrong with the rows of a log: how many rows, and the first of them by name."""

    count: int = 0
    shown: list[str] = field(default_factory=list)

    def add(self, where: str, what: str, count: int = 1) -> None:
        """Note rows that can't go in."""
        self.count += count
        if len(self.shown) < _SHOWN:
            self.shown.append(f"{where}: {what}")

    def rows(self, batch: Batch, bad: Any, what: Callable[[int], str]) -> None:
        """Note the rows of a batch where `bad`, shape (rows,), holds."""
        places = np.flatnonzero(bad)
        for place in places[:_SHOWN]:
            self.add(batch.place(int(place)), what(int(place)))
        self.count += max(0, len(places) - _SHOWN)


@dataclass
class Checker:
    """Holds batches against a schema, which grows by the features of the releases that it meets.

    `may_extend`: columns that neither the schema nor a release knows are taken into the schema.
    """

    schema: LogSchema
    recipe_of: RecipeOf
    is_first: bool
    may_extend: bool = False
    problems: Problems = field(default_factory=Problems)
    _seen: dict[str, Recipe | None] = field(default_factory=dict)

    def check(self, batch: Batch) -> pa.Table | None:
        """Return the rows as typed columns, private ones included; None where they can't be."""
        if not self._has_own_columns(batch):
            return None
        tags = as_text(batch.columns["tag"])[0]
        self._meet(batch, tags)
        self._extend(batch)
        self._require_features(batch, tags)
        columns = {
            "request_id": self._text(batch, "request_id", required=True),
            "time": self._time(batch),
            "tag": tags,
            "prediction": self._column(batch, "prediction"),
        }
        names = [name for name in (*OPTIONAL, *self.schema.columns) if name in batch.columns]
        columns |= {name: self._column(batch, name) for name in names}
        return pa.table(columns)

    def _has_own_columns(self, batch: Batch) -> bool:
        lacking = [name for name in REQUIRED if name not in batch.columns]
        if lacking:
            self.problems.add(batch.where, f"lacks {', '.join(lacking)}", batch.rows)
        for place, names in batch.absent.items():
            gone = [name for name in REQUIRED if name in names]
            if gone and not lacking:
                self.problems.add(batch.place(place), f"lacks {', '.join(gone)}")
        return not lacking

    def _meet(self, batch: Batch, tags: pa.Array) -> None:
        """Look up the releases of a batch; the features of new ones become columns."""
        unknown = []
        for tag in tags.unique().to_pylist():
            if tag in self._seen:
                continue
            try:
                self._seen[tag] = recipe = self.recipe_of(tag or "")
            except KeyError:
                unknown.append(tag)
                continue
            if recipe is not None:
                self._take_features(tag, recipe, batch)
        if unknown:
            bad = pc.is_in(tags, pa.array(unknown, pa.string()))
            self.problems.rows(
                batch,
                bad.to_numpy(zero_copy_only=False),
                lambda place: f"tag {tags[place].as_py()!r} is no release",
            )

    def _take_features(self, tag: str, recipe: Recipe, batch: Batch) -> None:
        clash = OWN & set(recipe.features)
        if clash:
            self.problems.add(batch.where, f"{tag} has a feature called {', '.join(sorted(clash))}")
        known = self.schema.columns
        other = [n for n, kind in recipe.features.items() if known.get(n, kind) != kind]
        if other:
            what = f"{tag} has {', '.join(other)} as another kind than what is logged so far"
            self.problems.add(batch.where, what)
        new = {n: kind for n, kind in recipe.features.items() if n not in known and n not in OWN}
        prediction = (
            recipe.prediction if self.is_first and len(self._seen) == 1 else self.schema.prediction
        )
        self.schema = replace(self.schema, columns={**known, **new}, prediction=prediction)
        if recipe.prediction != prediction:
            self.problems.add(
                batch.where, f"{tag} predicts another kind than what is logged so far"
            )

    def _extend(self, batch: Batch) -> None:
        """Take the columns of the first log into the schema; refuse later what it does not know."""
        new = [
            name for name in batch.columns if name not in OWN and name not in self.schema.columns
        ]
        if self.is_first and not any(self._seen.values()) and not self.schema.columns:
            kind = _guess(batch.columns["prediction"])
            self.schema = replace(self.schema, prediction=kind)
        if new and not (self.is_first or self.may_extend):
            what = f"has columns that are not in {SCHEMA_FILE}: {', '.join(new)}"
            self.problems.add(batch.where, what, batch.rows)
            return
        found = {name: _guess(batch.columns[name]) for name in new}
        self.schema = replace(self.schema, columns={**self.schema.columns, **found})

    def _require_features(self, batch: Batch, tags: pa.Array) -> None:
        """Name the features that rows of a release lack; without a recipe all columns count."""
        for tag in tags.unique().to_pylist():
            recipe = self._seen.get(tag)
            if tag not in self._seen:
                continue
            needed = recipe.features if recipe else self.schema.columns
            lacking = [name for name in needed if name not in batch.columns]
            if lacking:
                count = int(np.sum(np.equal(tags.to_numpy(zero_copy_only=False), tag)))
                self.problems.add(batch.where, f"{tag} needs {', '.join(lacking)}", count)
            for place, names in batch.absent.items():
                gone = [name for name in needed if name in names and name not in lacking]
                if gone and tags[place].as_py() == tag:
                    self.problems.add(batch.place(place), f"lacks {', '.join(gone)}")

    def _column(self, batch: Batch, name: str) -> pa.Array:
        if self.schema.kind(name) == "text":
            return self._text(batch, name)
        found, bad = as_number(batch.columns[name])
        self.problems.rows(batch, bad, lambda at: f"{name} is no number: {batch.shown(name, at)}")
        return found

    def _text(self, batch: Batch, name: str, *, required: bool = False) -> pa.Array:
        found, bad = as_text(batch.columns[name])
        self.problems.rows(batch, bad, lambda at: f"{name} is no text: {batch.shown(name, at)}")
        if required:
            empty = pc.fill_null(pc.equal(found, ""), fill_value=True).to_numpy(
                zero_copy_only=False
            )
            self.problems.rows(batch, empty & ~bad, lambda _: f"{name} is empty")
        return found

    def _time(self, batch: Batch) -> pa.Array:
        found, bad = as_time(batch.columns["time"])
        bad = bad | ~found.is_valid().to_numpy(zero_copy_only=False)
        self.problems.rows(
            batch, bad, lambda at: f"time is no ISO 8601 moment: {batch.shown('time', at)}"
        )
        return found


def protect(table: pa.Table, private: Mapping[str, str], key: bytes) -> tuple[pa.Table, pa.Table]:
    """Return rows without what is private, and what of it is kept apart (with ids and times).

    Args:
        private: column → hash, drop, or the DVC remote's name.
        key: for columns that are hashed.
    """
    apart = [n for n in table.column_names if n in private and private[n] not in KEPT_HERE]
    kept = table.select(["request_id", "time", *apart]) if apart else table.slice(0, 0).select([])
    for name in table.column_names:
        how = private.get(name)
        if how == "hash":
            text = as_text(table[name].combine_chunks())[0]
            at = table.column_names.index(name)
            table = table.set_column(at, name, keyed_hash(text, key))
    gone = [name for name in table.column_names if name in apart or private.get(name) == "drop"]
    return table.drop_columns(gone), kept


def keyed_hash(values: pa.Array, key: bytes) -> pa.Array:
    """Return texts as 128-bit hashes under a key: equal ones stay equal, none can be read back."""
    encoded = values.dictionary_encode()
    hashed = [
        hashlib.blake2b(text.encode("utf-8", "surrogatepass"), key=key, digest_size=16).hexdigest()
        for text in encoded.dictionary.to_pylist()
    ]
    return pa.array(hashed, pa.string()).take(encoded.indices)


def fingerprint(key: bytes) -> str:
    """Return what tells two keys apart and gives neither away."""
    return hashlib.blake2b(b"branchflow", key=key, digest_size=8).hexdigest()


def _guess(values: Any) -> ColumnKind:
    return "number" if looks_like_number(values) else "text"
