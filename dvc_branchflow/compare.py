"""Lists the runs on record and puts releases side by side; ranks only what can be compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dvc_branchflow.errors import FlowError
from dvc_branchflow.project import Project
from dvc_branchflow.work.looks import Look, all_looks
from dvc_branchflow.work.records import RunRecord, read_records, record_in_tag


@dataclass(frozen=True, slots=True)
class Comparison:
    """Records side by side.

    Attributes:
        rows: section and name → one value a record, None where a record has none.
        is_comparable: whether all were evaluated on the same split certificate.
    """

    records: tuple[RunRecord, ...]
    rows: dict[tuple[str, str], tuple[object, ...]]
    is_comparable: bool


def runs(project: Project, model: str | None = None) -> list[RunRecord]:
    """Return the run records, oldest first, of one model or of all.

    What the tags carry counts as well: a record that a tag has and the tracking branch lacks.
    """
    found = {record.tag: record for record in read_records(project)}
    for tag, ref in project.tags.items():
        if ref.kind == "tag" and tag not in found:
            record = record_in_tag(project.git, ref.sha, tag)
            if record is not None:
                found[tag] = record
    chosen = [record for record in found.values() if model in {None, record.model}]
    return sorted(chosen, key=lambda record: (record.when, record.tag))


def looks(project: Project, model: str | None = None) -> list[Look]:
    """Return every look at a test side, oldest first: by which code, on which split."""
    project.require_history("runs --test-looks")
    return all_looks(project, model)


def compare(project: Project, tags: Sequence[str]) -> Comparison:
    """Put releases side by side; with no tag, the last two of the only model.

    Raises: FlowError: a tag without a record, or no two releases to compare.
    """
    known = {record.tag: record for record in runs(project)}
    if not tags:
        tags = list(known)[-2:]
    if len(tags) < 2:  # noqa: PLR2004  two sides
        raise FlowError("there are no two releases to compare", hint="git branchflow runs")
    for tag in tags:
        if tag not in known:
            names = ", ".join(known) or "none"
            raise FlowError(f"'{tag}' has no run record; there are: {names}")
    records = tuple(known[tag] for tag in tags)
    return Comparison(records, _rows(records), len({r.certificate for r in records}) == 1)


def _rows(records: Sequence[RunRecord]) -> dict[tuple[str, str], tuple[object, ...]]:
    sides: list[dict[tuple[str, str], object]] = []
    for record in records:
        cells: dict[tuple[str, str], object] = {
            ("metrics", name): value for name, value in record.flat_metrics().items()
        }
        cells |= {("pins", name): sha[:10] for name, sha in record.pins.items()}
        cells["split", "certificate"] = (record.certificate or "")[:10] or None
        cells["code", "promoted"] = _short(record.code.get("promoted"))
        cells |= {("params", name): value for name, value in _flat(record.params, "").items()}
        cells |= {("outs", path): fields.get("size") for path, fields in record.outs.items()}
        sides.append(cells)
    keys = dict.fromkeys(key for cells in sides for key in cells)
    return {key: tuple(cells.get(key) for cells in sides) for key in keys}


def _short(promoted: object) -> str | None:
    name, _, sha = str(promoted or "").partition("@")
    return f"{name}@{sha[:10]}" if name else None


def _flat(values: object, prefix: str) -> dict[str, object]:
    if isinstance(values, dict):
        return {
            key: leaf
            for name, value in values.items()
            for key, leaf in _flat(value, f"{prefix}{name}.").items()
        }
    return {prefix.rstrip("."): values}
