"""Trying out the DVC remotes."""

from __future__ import annotations

import argparse

from dvc_branchflow.access.policies import User
from dvc_branchflow.cli.commands.base import Arguments, Command, Result, open_project
from dvc_branchflow.cli.render import doctor as render
from dvc_branchflow.storage.doctor import Diagnosis, doctor
from dvc_branchflow.work.transfer import Report

_MISSING, _UNKNOWN = 1, 3


def _doctor(args: Arguments, report: Report) -> Result:
    found = doctor(
        open_project(args), args.remotes, report, user=User(args.user), dry_run=args.dry_run
    )
    return Result(found, render.diagnosed(found, all_policies=args.policies), _exit_code(found))


def _exit_code(found: tuple[Diagnosis, ...]) -> int:
    weights = {one.weight for diagnosis in found for one in diagnosis.findings}
    return _MISSING if "missing" in weights else _UNKNOWN if "unknown" in weights else 0


def _add_doctor(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "remotes", nargs="*", metavar="REMOTE", help="only these DVC remotes (default: all)"
    )
    parser.add_argument(
        "--as", dest="user", choices=[user.value for user in User], default=User.ADMIN.value,
        help="whose rights to ask for: CI and the server's hook read, people write, an admin runs "
        "gc (default: admin)",
    )  # fmt: skip
    parser.add_argument(
        "--policies", action="store_true", help="print all policies, also those that lack nothing"
    )


DOCTOR = Command(
    "storage doctor",
    "try out what the DVC remotes let this user do",
    "Writes, reads, lists and deletes small files of its own below 'branchflow/doctor', asks a "
    "bucket for versioning, Object Lock and lifecycle rules, and holds that against what the roles "
    "ask for. Prints the policies that close the gap. Ends with 1 if something asked for is "
    "missing, with 3 if it could not be found out.",
    "git branchflow storage doctor --as writer",
    _add_doctor,
    _doctor,
)
