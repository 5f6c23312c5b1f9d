"""The commands: what each takes, an example, and the one verb that it calls."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dvc_branchflow import (
    check,
    compare,
    hooks,
    ingest,
    init,
    pins,
    rejects,
    releases,
    runs,
    status,
    switch,
)
from dvc_branchflow.cli import render
from dvc_branchflow.cli.sarif import sarif
from dvc_branchflow.cli.verdict import verdict
from dvc_branchflow.demo import demo
from dvc_branchflow.errors import FlowError, UsageError
from dvc_branchflow.project import Project
from dvc_branchflow.versions import Bump
from dvc_branchflow.work.publish import left_behind
from dvc_branchflow.work.transfer import Report

Arguments = argparse.Namespace


@dataclass(frozen=True, slots=True)
class Result:
    """A verb's value, how it reads, and the exit code that it means."""

    value: object
    text: str
    exit_code: int = 0


@dataclass(frozen=True, slots=True)
class Command:
    """A command of the CLI. `changes`: it takes `--dry-run`."""

    name: str
    summary: str
    description: str
    example: str
    add: Callable[[argparse.ArgumentParser], None]
    call: Callable[[Arguments, Report], Result]
    changes: bool = True


def _open(args: Arguments) -> Project:
    return Project.open(Path(args.directory))


def _tell_left_behind(project: Project, report: Report, *branches: str) -> None:
    for branch in left_behind(project, branches):
        report(f"'{branch}' is checked out here and was left as it is; `git pull` brings it up")


def _init(args: Arguments, report: Report) -> Result:
    request = init.InitRequest(
        remote=args.remote, endpoint_url=args.endpoint_url, model=args.model,
        target=args.target, key=args.key, sample=args.sample, kind=args.kind,
    )  # fmt: skip
    path = Path(args.directory)
    planned = init.plan(path, request)
    if args.dry_run:
        return Result(planned, render.init_plan(planned, applied=False))
    if planned.touches_existing and planned.branches and not args.yes:
        print(render.init_plan(planned, applied=False), file=sys.stderr)
        raise FlowError(
            "the repository has commits already; nothing was changed",
            hint="git branchflow init --yes  # with the same options, to lay what is listed",
        )
    laid = init.init(path, request, report)
    return Result(laid, render.init_plan(laid, applied=True))


def _add_init(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--remote",
        metavar="URL",
        help="DVC remote: a directory, or s3://bucket/prefix (default: a directory beside "
        "the repository)",
    )
    parser.add_argument("--endpoint-url", metavar="URL", help="S3 server, where it is not Amazon's")
    parser.add_argument("--model", default="model", help="name of the first model (default: model)")
    parser.add_argument(
        "--kind",
        choices=init.KINDS,
        default="table",
        help="what a sample is: a row of CSV files, or a file (images, texts)",
    )
    parser.add_argument("--target", default="", help="column to predict (default: the last one)")
    parser.add_argument(
        "--key",
        default="",
        help="columns that identify a sample's group, with commas (default: the whole row)",
    )
    parser.add_argument(
        "--sample",
        type=float,
        default=0.1,
        help="fraction of the data that dev branches hold (default: 0.1)",
    )
    parser.add_argument("--yes", action="store_true", help="go on in a repository that has commits")


def _status(args: Arguments, _: Report) -> Result:
    found = status.status(_open(args))
    return Result(found, render.flow(found))


def _ingest(args: Arguments, report: Report) -> Result:
    project = _open(args)
    request = ingest.IngestRequest(
        paths=_paths(args.paths), source=args.source, branch=args.branch,
        partition=args.partition, license=args.license, message=args.message,
    )  # fmt: skip
    outcome = ingest.ingest(project, request, report, dry_run=args.dry_run)
    _tell_left_behind(project, report, outcome.branch)
    return Result(outcome, render.ingested(outcome, applied=not args.dry_run))


def _paths(given: list[str]) -> list[Path]:
    if given != ["-"]:
        return [Path(path) for path in given]
    data = sys.stdin.buffer.read()
    separator = b"\0" if b"\0" in data else b"\n"
    return [Path(item.decode(errors="surrogateescape")) for item in data.split(separator) if item]


def _add_ingest(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "paths",
        nargs="+",
        metavar="PATH",
        help="files or folders; '-' for a list of paths on stdin (lines, or NUL between)",
    )
    parser.add_argument(
        "--source", required=True, help="where the files come from; stands in the commit"
    )
    parser.add_argument("--license", help="their licence; stands in the commit")
    parser.add_argument("--branch", help="the branch to append to (default: the only raw branch)")
    parser.add_argument(
        "--partition", help="the partition (default: by the branch's rule, this month)"
    )
    parser.add_argument("-m", "--message", help="subject of the commit")


def _pin(args: Arguments, report: Report) -> Result:
    project = _open(args)
    wanted = dict(item.partition("@")[::2] for item in args.upstreams)
    outcome = pins.pin(project, args.branch, wanted, report, dry_run=args.dry_run)
    _tell_left_behind(project, report, args.branch)
    return Result(outcome, render.pinned(outcome, applied=not args.dry_run))


def _add_pin(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("branch", help="the branch whose pins are set")
    parser.add_argument(
        "upstreams",
        nargs="*",
        metavar="UPSTREAM[@REV]",
        help="what to pin (default: all upstreams at their tips)",
    )


def _run(args: Arguments, report: Report) -> Result:
    project = _open(args)
    if args.dry_run:
        planned = runs.plan(project, args.branch)
        return Result(planned, render.run_planned(planned))
    outcome = runs.run(project, args.branch, report, reason=args.reason)
    _tell_left_behind(project, report, args.branch)
    return Result(outcome, render.ran(outcome))


def _add_branch(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("branch", help="the branch")


def _add_run(parser: argparse.ArgumentParser) -> None:
    _add_branch(parser)
    parser.add_argument(
        "--reason", metavar="WHY", help="go past the limit of looks at the test side"
    )


def _sync(args: Arguments, report: Report) -> Result:
    project = _open(args)
    steps = list(runs.sync(project, args.branches, report, every=args.all, dry_run=args.dry_run))
    _tell_left_behind(project, report, *(step.branch for step in steps))
    failed = [step.error for step in steps if step.error]
    return Result(steps, render.synced(steps), failed[0].exit_code if failed else 0)


def _add_sync(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "branches",
        nargs="*",
        metavar="BRANCH",
        help="only these (default: all data and stable branches)",
    )
    parser.add_argument("--all", action="store_true", help="dev branches as well")


def _promote(args: Arguments, report: Report) -> Result:
    project = _open(args)
    outcome = releases.promote(project, args.branch, report, dry_run=args.dry_run)
    _tell_left_behind(project, report, outcome.target)
    return Result(outcome, render.promoted(outcome, applied=not args.dry_run))


def _release(args: Arguments, report: Report) -> Result:
    project = _open(args)
    bump: Bump | None = "major" if args.major else None
    if args.dry_run:
        planned = releases.plan(project, args.branch, bump)
        return Result(planned, render.release_planned(planned))
    outcome = releases.release(project, args.branch, bump, report, reason=args.reason)
    _tell_left_behind(project, report, args.branch, project.config.tracking)
    return Result(outcome, render.released(outcome))


def _add_release(parser: argparse.ArgumentParser) -> None:
    _add_run(parser)
    parser.add_argument("--major", action="store_true", help="make it a major version")


def _runs(args: Arguments, _: Report) -> Result:
    if args.test_looks:
        found = compare.looks(_open(args), args.model)
        return Result(found, render.looks(found))
    records = compare.runs(_open(args), args.model)
    return Result(records, render.run_list(records))


def _add_runs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", help="only this model's")
    parser.add_argument(
        "--test-looks",
        action="store_true",
        help="how often each test side was looked at, and by which code",
    )


def _rejects(args: Arguments, _: Report) -> Result:
    found = rejects.rejects(_open(args), args.branch)
    return Result(found, render.rejects(found, why=args.why))


def _add_rejects(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("branch", nargs="?", help="the clean branch (default: the only one)")
    parser.add_argument("--why", action="store_true", help="with the reasons, most frequent first")


def _compare(args: Arguments, _: Report) -> Result:
    found = compare.compare(_open(args), args.tags)
    return Result(found, render.comparison(found))


def _add_compare(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("tags", nargs="*", metavar="TAG", help="releases (default: the last two)")


def _switch(args: Arguments, report: Report) -> Result:
    project = _open(args)
    outcome = switch.switch(project, args.rev, report, dry_run=args.dry_run)
    text = render.switched(outcome, applied=not args.dry_run, top=project.git.toplevel)
    return Result(outcome, text)


def _add_switch(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("rev", help="a branch, or a release's tag or any commit (detached)")


def _check(args: Arguments, _: Report) -> Result:
    if args.explain:
        rule = check.explain(args.explain)
        return Result(rule, render.rule(rule))
    project = _open(args)
    if args.why_not:
        answer = check.why_not(project, args.why_not, args.branch)
        return Result(answer, render.placement(answer), 0 if answer.may else 1)
    request = check.CheckRequest(args.rev, args.branch, every=args.all, staged=args.staged)
    found = check.check(project, request)
    return Result(found, sarif(found) if args.sarif else verdict(found), int(found.is_refused))


def _add_check(parser: argparse.ArgumentParser) -> None:
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "rev",
        nargs="?",
        metavar="REV|A..B",
        help="a branch, tag or commit, or the commits of B that A lacks (default: what the "
        "current branch has and the git remote has not)",
    )
    what.add_argument("--all", action="store_true", help="the whole history of all refs")
    what.add_argument("--staged", action="store_true", help="what `git commit` would make now")
    what.add_argument("--explain", metavar="CODE", help="say what a rule is, and why")
    what.add_argument("--why-not", metavar="PATH", help="say whether a file may go on the branch")
    parser.add_argument("--branch", metavar="NAME", help="the branch whose rules count")
    parser.add_argument("--sarif", action="store_true", help="print SARIF, for forges")


def _hooks(args: Arguments, _: Report) -> Result:
    if args.action == "ci":
        text = hooks.ci_file(args.forge)
        return Result(text, text.rstrip("\n"))
    project = _open(args)
    if args.action == "install":
        steps = hooks.install(project, server=args.server, dry_run=args.dry_run)
    else:
        steps = hooks.uninstall(project, dry_run=args.dry_run)
    is_partly = any(step.action == "left" for step in steps)
    return Result(steps, render.hook_steps(steps, applied=not args.dry_run), int(is_partly))


def _add_hooks(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "action",
        choices=("install", "uninstall", "ci"),
        help="put the judge into the repository's hooks, take it out, or print a CI file",
    )
    parser.add_argument("forge", nargs="?", choices=hooks.FORGES, help="with ci: for which forge")
    parser.add_argument("--server", action="store_true", help="guard a bare repository's pushes")


def _demo(args: Arguments, report: Report) -> Result:
    if args.dry_run:
        return Result({"path": args.path}, f"would run the whole flow in {args.path}")
    made = demo(Path(args.path), report)
    return Result(made, made.text())


def _add_demo(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("path", metavar="DIR", help="a new folder, or one of an earlier demo")


def _nothing(_: argparse.ArgumentParser) -> None:
    """Add no argument of its own."""


def check_text(args: Mapping[str, Any]) -> None:
    """Refuse arguments that git would take for options of its own."""
    for name in ("branch", "rev", "model", "explain", "why_not"):
        value = args.get(name)
        if isinstance(value, str) and (value.startswith("-") or "\0" in value or "\n" in value):
            raise UsageError(f"{value!r} is no name of a branch or tag")


COMMANDS: tuple[Command, ...] = (
    Command(
        "init",
        "lay the flow over a new or existing repository",
        "Makes the repository where there is none, and the branches main, raw, clean, split "
        "and dev/MODEL with a template on each. What exists is never overwritten; run it "
        "again with another --model to add one.",
        "git branchflow init --remote s3://acme-data/churn --model churn --target left",
        _add_init,
        _init,
    ),
    Command(
        "status",
        "show the whole flow on one screen",
        "Reads local refs and Git objects only: what is newest, who is behind it by how much,"
        " what is released, what is not pushed, and what to do next. Changes nothing.",
        "git branchflow status",
        _nothing,
        _status,
        changes=False,
    ),
    Command(
        "ingest",
        "append files to raw, with provenance",
        "Appends files or folders to a partition of an append-only branch, with nothing "
        "checked out: hashed, stored on the DVC remote and proven there, then committed. What"
        " is there never changes.",
        "git branchflow ingest --source 'ACME CRM export' --partition 2013-01 exports/",
        _add_ingest,
        _ingest,
    ),
    Command(
        "pin",
        "set the upstream commits that a branch is built on",
        "Writes the upstreams' outs as plain .dvc pointers and their commits into pins.yaml, "
        "as a merge commit. Moves the branch's ref only.",
        "git branchflow pin dev/churn split@1f3870be27",
        _add_pin,
        _pin,
    ),
    Command(
        "run",
        "re-pin a branch and reproduce its pipeline",
        "In a worktree of our own: pins the upstreams' tips, runs `dvc repro`, judges the "
        "result, stores its data, proves it on the DVC remote, commits, and moves the ref. A "
        "failing stage moves nothing.",
        "git branchflow run clean",
        _add_run,
        _run,
    ),
    Command(
        "sync",
        "run all that is behind, upstream first",
        "Runs data branches and retrains and releases stable ones that are behind. Stops "
        "below a failure and goes on elsewhere.",
        "git branchflow sync --all",
        _add_sync,
        _sync,
    ),
    Command(
        "promote",
        "move code from dev/x to stable/x",
        "Runs the dev branch's checks on the exact tree, then merges its code, without data "
        "and outs, into the stable branch, which it makes if there is none.",
        "git branchflow promote dev/churn",
        _add_branch,
        _promote,
    ),
    Command(
        "release",
        "train, evaluate, fit finally, and tag",
        "Runs the stable branch's pipeline and checks, then moves branch, annotated tag and "
        "the record on the tracking branch together, or nothing. Patch: new data; minor: new "
        "code; major: asked for.",
        "git branchflow release stable/churn",
        _add_release,
        _release,
    ),
    Command(
        "runs",
        "list the runs on record",
        "Reads the records on the tracking branch and in the tags. Changes nothing.",
        "git branchflow runs --model churn --json",
        _add_runs,
        _runs,
        changes=False,
    ),
    Command(
        "rejects",
        "list what clean threw away, over time",
        "Reads the reports that a clean branch's commits hold: rows and files kept and rejected, "
        "for each partition at each run. The rejects themselves are in its rejects/ outs. Changes "
        "nothing.",
        "git branchflow rejects --why",
        _add_rejects,
        _rejects,
        changes=False,
    ),
    Command(
        "compare",
        "put releases side by side",
        "Metrics, pins, params, code and outs that differ. Releases on different split "
        "certificates are not ranked. Changes nothing.",
        "git branchflow compare churn@v1.0.0 churn@v1.1.0",
        _add_compare,
        _compare,
        changes=False,
    ),
    Command(
        "check",
        "judge commits by the roles' rules",
        "Prints violations grouped by branch, each with its code, what was found and how to "
        "repair it. Runs nothing of what it judges, and changes nothing.",
        "git branchflow check origin/raw..raw",
        _add_check,
        _check,
        changes=False,
    ),
    Command(
        "hooks",
        "have git ask the judge: hooks and CI",
        "Installs client hooks (pre-commit, commit-msg, pre-merge-commit, pre-push), or with "
        "--server a bare repository's pre-receive. They stand beside other hooks and replace "
        "none. `ci` prints a ready file for a forge.",
        "git branchflow hooks install",
        _add_hooks,
        _hooks,
    ),
    Command(
        "switch",
        "check out a branch or release with exactly its data",
        "Brings the data into the cache, then changes the checkout as `git switch` does, and "
        "links the data in place. Refuses where something not committed would be lost.",
        "git branchflow switch churn@v1.1.0",
        _add_switch,
        _switch,
    ),
    Command(
        "demo",
        "go through the whole flow on real data",
        "Makes DIR/repo, DIR/origin.git and DIR/store, and takes 2013's flights from New York"
        " through all of it. Needs the extra: pip install 'dvc-branchflow[demo]'.",
        "git branchflow demo ./demo",
        _add_demo,
        _demo,
    ),
)
