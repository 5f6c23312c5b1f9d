"""The same verbs from Python: `project = open_project(".")`, then `status(project)` and so on.

Every function returns the plain frozen value that `--json` prints and raises BranchflowError.
"""

from __future__ import annotations

from pathlib import Path

from dvc_branchflow.access.policies import User
from dvc_branchflow.analysis.planning import Assigned, PlanOutcome
from dvc_branchflow.analysis.planning import groups as experiment_groups
from dvc_branchflow.analysis.planning import plan as plan_experiment
from dvc_branchflow.analysis.reporting import ReportOutcome
from dvc_branchflow.analysis.reporting import report_on as report_experiment
from dvc_branchflow.check import CheckRequest, check
from dvc_branchflow.compare import Comparison, RunList, RunsRequest, compare, runs
from dvc_branchflow.errors import BranchflowError
from dvc_branchflow.exchange import ExportOutcome, ImportOutcome, export_runs, import_runs
from dvc_branchflow.experiments import ExperimentList, ParamsOutcome, experiments, promote_params
from dvc_branchflow.ingest import (
    IngestOutcome,
    IngestRequest,
    MonitorRequest,
    ingest,
    ingest_from_monitor,
)
from dvc_branchflow.init import InitPlan, InitRequest, init
from dvc_branchflow.model import Verdict, Violation
from dvc_branchflow.monitor.alerts import acknowledge, alerts
from dvc_branchflow.monitor.check import CheckOutcome
from dvc_branchflow.monitor.check import check as monitor_check
from dvc_branchflow.monitor.label import LabelOutcome, LabelRequest
from dvc_branchflow.monitor.label import label as monitor_label
from dvc_branchflow.monitor.log import LogOutcome, LogRequest
from dvc_branchflow.monitor.log import log as monitor_log
from dvc_branchflow.pins import PinOutcome, pin, pin_each
from dvc_branchflow.project import Project
from dvc_branchflow.releases import PromoteOutcome, promote, release
from dvc_branchflow.reproduce import ReproduceOutcome, reproduce
from dvc_branchflow.rollout import (
    AssignOutcome,
    ModelChannels,
    assign,
    history,
    rollback,
    show,
)
from dvc_branchflow.runs import SyncStep, run, sync
from dvc_branchflow.status import FlowStatus, status
from dvc_branchflow.storage.doctor import Diagnosis, doctor
from dvc_branchflow.storage.empty_trash import EmptyOutcome, apply_emptying, plan_emptying
from dvc_branchflow.storage.erase import (
    EraseOutcome,
    ErasureCheck,
    check_erasures,
    erase,
    plan_erasure,
)
from dvc_branchflow.storage.gc import GcOutcome, GcRequest, apply_gc, plan_gc
from dvc_branchflow.storage.lease import LeaseOutcome, lease
from dvc_branchflow.storage.mirror import MirrorOutcome, mirror
from dvc_branchflow.storage.move import MoveOutcome, move
from dvc_branchflow.storage.repair import RepairOutcome, repair
from dvc_branchflow.storage.trace import Trace, trace
from dvc_branchflow.storage.undelete import UndeleteOutcome, undelete
from dvc_branchflow.storage.usage import Usage, usage
from dvc_branchflow.storage.verify import Verification, verify
from dvc_branchflow.switch import SwitchOutcome, switch
from dvc_branchflow.work.erasing import ErasePlan, EraseRequest
from dvc_branchflow.work.plans import Plan
from dvc_branchflow.work.ranking import Choice
from dvc_branchflow.work.verification import VerifyRequest
from dvc_branchflow.work.views import RunView

__all__ = [
    "AssignOutcome", "Assigned", "BranchflowError", "CheckOutcome", "CheckRequest", "Choice",
    "Comparison", "Diagnosis", "EmptyOutcome", "EraseOutcome", "ErasePlan", "EraseRequest",
    "ErasureCheck", "ExperimentList", "ExportOutcome", "FlowStatus", "GcOutcome", "GcRequest",
    "ImportOutcome", "IngestOutcome", "IngestRequest", "InitPlan", "InitRequest", "LabelOutcome",
    "LabelRequest", "LeaseOutcome", "LogOutcome", "LogRequest", "MirrorOutcome", "ModelChannels",
    "MonitorRequest", "MoveOutcome", "ParamsOutcome", "PinOutcome", "Plan", "PlanOutcome",
    "Project", "PromoteOutcome", "RepairOutcome", "ReportOutcome", "ReproduceOutcome", "RunList",
    "RunView", "RunsRequest", "SwitchOutcome", "SyncStep", "Trace", "UndeleteOutcome", "Usage",
    "User", "Verdict", "Verification", "VerifyRequest", "Violation", "acknowledge", "alerts",
    "apply_emptying", "apply_gc", "assign", "check", "check_erasures", "compare", "doctor", "erase",
    "experiment_groups", "experiments", "export_runs", "history", "import_runs", "ingest",
    "ingest_from_monitor", "init", "lease", "mirror", "monitor_check", "monitor_label",
    "monitor_log", "move", "open_project", "pin", "pin_each", "plan_emptying", "plan_erasure",
    "plan_experiment", "plan_gc", "promote", "promote_params", "release", "repair",
    "report_experiment", "reproduce", "rollback", "run", "runs", "show", "status", "switch", "sync",
    "trace", "undelete", "usage", "verify",
]  # fmt: skip


def open_project(path: Path | str) -> Project:
    """Open the repository around `path`. Raises: GitError: there is none."""
    return Project.open(Path(path))
