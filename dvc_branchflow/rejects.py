"""Lists what a clean branch threw away, commit by commit, as its committed reports say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dvc_branchflow.errors import FlowError
from dvc_branchflow.flow import BranchSpec
from dvc_branchflow.gitobjects import utc_text
from dvc_branchflow.model import Branch, Role, Sha
from dvc_branchflow.project import Project
from dvc_branchflow.values import dataclass, field, replace
from dvc_branchflow.work.history import History


@dataclass(frozen=True, slots=True)
class Rejects:
    """What one run of the cleaning made of a partition.

    Attributes:
        report: path of the report, in Git.
        is_current: whether the branch's tip still says so.
        rows, kept, rejected: rows of tables; files, files_kept, files_rejected: whole files.
        reasons: why → how many rows and files.
    """

    branch: Branch
    commit: Sha
    when: str
    report: str
    is_current: bool
    rows: int = 0
    kept: int = 0
    rejected: int = 0
    files: int = 0
    files_kept: int = 0
    files_rejected: int = 0
    reasons: Mapping[str, int] = field(default_factory=dict)


def rejects(project: Project, branch: str | None = None) -> list[Rejects]:
    """Return what a clean branch (None: the only one) rejected, oldest first.

    Raises: FlowError: no clean branch, or several and none was named.
    """
    project.require_history("rejects")
    spec = _clean(project, branch)
    tip = project.tip(spec.branch).sha
    line = project.git.reachable([tip], (), first_parent=True)
    history = History(project.git)
    history.load(line)
    parents = [parent for sha in line for parent in history.commits[sha].parents[:1]]
    history.load_held([*line, *parents])
    now = history.reports(tip)
    found = [row for sha in line for row in _of_commit(history, spec.branch, sha)]
    last = {row.report: row.commit for row in found}
    return [
        row if last[row.report] == row.commit and row.report in now else _outdated(row)
        for row in found
    ]


def _clean(project: Project, branch: str | None) -> BranchSpec:
    if branch is not None:
        spec = project.spec(branch)
        if spec.role is not Role.CLEAN:
            raise FlowError(f"'{branch}' is a {spec.role} branch; only clean branches reject")
        return spec
    specs = [spec for spec in project.specs.values() if spec.role is Role.CLEAN]
    if len(specs) != 1:
        names = ", ".join(spec.branch for spec in specs) or "none"
        raise FlowError(f"say which clean branch; there are: {names}",
                        hint="git branchflow rejects BRANCH")  # fmt: skip
    return specs[0]


def _of_commit(history: History, branch: Branch, sha: Sha) -> Iterator[Rejects]:
    """The reports that a commit changes."""
    commit = history.commits[sha]
    made = {path: out.oid for stage in history.held(sha).stages for path, out in stage.outs.items()}
    if commit.parents:
        before = history.held(commit.parents[0]).stages
        made = dict(made.items() - {(p, o.oid) for stage in before for p, o in stage.outs.items()})
    if not made:
        return
    when = utc_text(commit.seconds)
    for path, report in sorted(history.reports(sha, made).items()):
        if "reasons" in report or "rejected" in report:
            yield Rejects(branch, sha, when, path, is_current=True, **_counts(report))


def _counts(report: Mapping[str, Any]) -> dict[str, Any]:
    names = ("rows", "kept", "rejected", "files", "files_kept", "files_rejected")
    counts: dict[str, Any] = {name: report[name] for name in names if type(report.get(name)) is int}
    reasons = report.get("reasons")
    if isinstance(reasons, Mapping):
        numbers = {str(why): count for why, count in reasons.items() if type(count) is int}
        counts["reasons"] = numbers
    return counts


def _outdated(row: Rejects) -> Rejects:
    return replace(row, is_current=False)
