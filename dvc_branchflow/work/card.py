"""Writes the model card of a release: Markdown, with the front matter that Hugging Face reads."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from dvc_branchflow.flow import BranchSpec
from dvc_branchflow.gitobjects import EXECUTABLE_MODE, FILE_MODE
from dvc_branchflow.metafiles import Artifact
from dvc_branchflow.model import Sha
from dvc_branchflow.plain import dump_yaml
from dvc_branchflow.project import Project
from dvc_branchflow.values import dataclass
from dvc_branchflow.work.commits import CommitData
from dvc_branchflow.work.looks import evaluations
from dvc_branchflow.work.records import RunRecord

LIMITS_FILE = "LIMITS.md"
PROBLEM_FILE = "docs/problem.md"
_MAX_LIMITS_BYTES = 64 * 1024
_HEADING = re.compile(r"#{1,4} ")
# What an artifact's `meta` in dvc.yaml may say to the front matter, by Hugging Face's names.
_FROM_META = ("library_name", "pipeline_tag", "license", "license_name", "license_link")
_TWO_SETS = """\
Two sets of weights come out of a release. One was evaluated, once, on the test side; the scores are
its own. The other one ships: the same code, fitted on all data, the test side as well, so that no
score on that side can be its own.
"""
_ONE_SET = "The weights that were evaluated on the test side are those that ship."
_UNKNOWN = """\
No stage says that it evaluates on the test side (`meta: {side: test}` in `dvc.yaml`): the metrics
are what the pipeline wrote, of weights that only its code can tell.
"""


@dataclass(frozen=True, slots=True)
class Stated:
    """What people say of a model, apart from what was measured.

    Attributes:
        artifact: the model's entry under `artifacts:` in `dvc.yaml`.
        limits: the text of `LIMITS.md`, None where there is none.
        problem: the commit of the tracking branch whose `docs/problem.md` holds, None without one.
        evaluated: paths of the weights whose scores the metrics are.
    """

    artifact: Artifact
    limits: str | None
    problem: Sha | None
    evaluated: Collection[str]


def what_is_stated(project: Project, spec: BranchSpec, data: CommitData) -> Stated:
    """Read what a commit, and the tracking branch, say of a model."""
    git = project.git
    artifacts = data.pipeline.artifacts
    only = next(iter(artifacts.values())) if len(artifacts) == 1 else Artifact("")
    entry = data.files.get(LIMITS_FILE)
    limits = None
    if entry is not None and entry.mode in {FILE_MODE, EXECUTABLE_MODE}:
        content = git.read_blobs([entry.sha])[entry.sha][:_MAX_LIMITS_BYTES]
        limits = content.decode(errors="replace").strip() or None
    tracking = project.tracking.as_published().sha
    tree = git.commits([tracking])[tracking].tree
    return Stated(
        artifact=artifacts.get(spec.model, only),
        limits=limits,
        problem=tracking if git.entry(tree, PROBLEM_FILE) else None,
        evaluated={
            path
            for stage in evaluations(data.pipeline, data.stages).values()
            for path in stage.outs
        },
    )


def model_card(record: RunRecord, stated: Stated, tracking: str) -> str:
    """Return the model card of a release.

    Args:
        tracking: the branch that holds the run record.
    """
    shipped = {path for path, fields in record.outs.items() if "sha256" in fields}
    apart = set(stated.evaluated) - shipped
    params = json.dumps(record.params, indent=2, sort_keys=True, ensure_ascii=False)
    sections = [
        f"# {record.model} {record.version}",
        _what_it_is(record, stated, tracking),
        "## Evaluated weights",
        _TWO_SETS if apart else _ONE_SET if stated.evaluated else _UNKNOWN,
        _weights(record, apart),
        _table(("metric", "value"), [(n, f"{v:.6g}") for n, v in record.flat_metrics().items()]),
        _looks(record),
        "## Shipped weights",
        _weights(record, shipped),
        "They carry no test score." if apart else "",
        _gates(record),
        _checks(record),
        f"## Limits\n\n{_limits(stated.limits)}",
        "## Data",
        _table(("pinned branch", "commit"), [(n, f"`{sha}`") for n, sha in record.pins.items()]),
        f"Split certificate: {_certificate(record)}.",
        f"## Params\n\n```json\n{params}\n```",
    ]
    front = dump_yaml(_front_matter(record, stated.artifact)).decode()
    return f"---\n{front}---\n\n" + "\n\n".join(text.strip() for text in sections if text) + "\n"


def _front_matter(record: RunRecord, artifact: Artifact) -> dict[str, Any]:
    named = {key: artifact.meta[key] for key in _FROM_META if artifact.meta.get(key)}
    metrics = record.flat_metrics()
    front: dict[str, Any] = {
        "model_name": record.model,
        "version": record.version,
        **named,
        "tags": list(dict.fromkeys(["dvc-branchflow", *artifact.labels])),
        "datasets": [f"{name}@{sha}" for name, sha in record.pins.items()],
        "metrics": list(metrics),
    }
    if metrics and record.pins:
        task = {"type": named.get("pipeline_tag", "other")}
        scores = [{"name": name, "type": name, "value": value} for name, value in metrics.items()]
        results = [
            {"task": task, "dataset": _dataset(record), "metrics": scores},
        ]
        front["model-index"] = [{"name": record.model, "results": results}]
    return front


def _dataset(record: RunRecord) -> dict[str, Any]:
    """The data that the metrics were measured on, as the model index names it."""
    name, sha = next(iter(record.pins.items()))
    body: dict[str, Any] = {"name": name, "type": name, "split": "test", "revision": sha}
    return {**body, "args": {"certificate": record.certificate}} if record.certificate else body


def _what_it_is(record: RunRecord, stated: Stated, tracking: str) -> str:
    lines = [stated.artifact.desc.strip() or "What it is for: none stated, in `dvc.yaml`."]
    if stated.problem:
        at = f"`{tracking}` at `{stated.problem[:10]}`"
        lines.append(f"The problem that it is to solve: `{PROBLEM_FILE}` on {at}.")
    lines.append(f"All that it came from: `{record.path}` on `{tracking}`, and the tag's message.")
    return "\n\n".join(lines)


def _looks(record: RunRecord) -> str:
    looks = record.test.get("looks", 0)
    return (
        f"Split certificate: {_certificate(record)}. "
        f"Looks at this test side by this model so far: {looks}."
    )


def _certificate(record: RunRecord) -> str:
    return f"`{record.certificate}`" if record.certificate else "none"


def _gates(record: RunRecord) -> str:
    """What the gates said, and why it was released all the same where one refused."""
    results = record.gates.get("results", [])
    if not results:
        return ""
    against = record.gates["against"]
    rows = [
        (one["gate"], _number(one["found"]), one["wanted"], one["reason"] or "passed")
        for one in results
    ]
    lines = [f"## Gates\n\nHeld against {against or 'no release: it is the first'}."]
    if record.gates["same_split"] is False:
        lines.append("The two were evaluated on different test sides.")
    lines.append(_table(("gate", "found", "wanted", "result"), rows))
    if any(one["reason"] for one in results):
        lines.append(f"**Released all the same**: {_cell(record.reason or '')}")
    return "\n\n".join(lines)


def _checks(record: RunRecord) -> str:
    if not record.checks:
        return ""
    rows = [(name, f"`{body['command']}`") for name, body in record.checks.items()]
    said = "They passed on exactly this tree; what they said is in the run record."
    return f"## Checks\n\n{_table(('check', 'command'), rows)}\n\n{said}"


def _limits(text: str | None) -> str:
    """The limits that people stated, with headings below the card's own."""
    if text is None:
        return f"None stated: no `{LIMITS_FILE}` beside the code."
    lines: list[str] = []
    is_code = False
    for line in text.splitlines():
        is_code ^= line.lstrip().startswith("```")
        lines.append(f"##{line}" if _HEADING.match(line) and not is_code else line)
    return "\n".join([*lines, "```"] if is_code else lines)


def _weights(record: RunRecord, paths: Iterable[str]) -> str:
    rows: list[Sequence[str]] = []
    for path in sorted(paths):
        fields: Mapping[str, Any] = record.outs.get(path, {})
        if fields:
            rows.append((f"`{path}`", f"`{fields['md5']}`", str(fields.get("size", ""))))
    return _table(("out", "md5", "bytes"), rows)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    rows = list(rows)
    if not rows:
        return ""
    lines = [header, ["---"] * len(header), *([_cell(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _cell(text: str) -> str:
    """A text that can't end its cell or its line."""
    return " ".join(text.split()).replace("|", "\\|")


def _number(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, int | float) else str(value or "missing")
