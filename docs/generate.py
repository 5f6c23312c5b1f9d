"""Writes the parts of the documentation that come from the code, so that they can't disagree.

`python docs/generate.py` writes the files; `python docs/generate.py --check` names those that are
not what it would write, and ends with 1 if there are any.
"""

# ruff: noqa: INP001, T201  a script that says what it does

from __future__ import annotations

import argparse
import difflib
import inspect
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from dvc_branchflow import (
    __version__,
    compare,
    errors,
    exchange,
    gating,
    hooks,
    ingest,
    init,
    model,
    pins,
    probed,
    rejects,
    releases,
    reproduce,
    rollout,
    runs,
    status,
    switch,
)
from dvc_branchflow import demo as demo_module
from dvc_branchflow.access import findings as findings_on
from dvc_branchflow.analysis import planning, reporting
from dvc_branchflow.cli.commands import load
from dvc_branchflow.cli.commands.base import Command
from dvc_branchflow.cli.parser import build_parser
from dvc_branchflow.config import config_schema
from dvc_branchflow.drift import judging, thresholds
from dvc_branchflow.experiment import findings, verdict
from dvc_branchflow.monitor import check as monitor_check
from dvc_branchflow.monitor import label, log
from dvc_branchflow.policy import catalog, places
from dvc_branchflow.stats import intervals
from dvc_branchflow.storage import (
    doctor,
    empty_trash,
    erase,
    gc,
    lease,
    mirror,
    move,
    repair,
    trace,
    undelete,
    usage,
    verify,
)
from dvc_branchflow.values import fields
from dvc_branchflow.watch import alerts, quality, settings, verdicts
from dvc_branchflow.work import (
    appending,
    erasing,
    forgetting,
    imported,
    looks,
    mirroring,
    pinning,
    plans,
    records,
    refusing,
    registry,
    release_plan,
    releasing,
    remnants,
    reproductions,
    running,
    touched,
    uses,
    verification,
)

DOCS = Path(__file__).resolve().parent
_NOTE = "<!-- Written by docs/generate.py from the code; edit the code, then run `make docs`. -->\n"
_EXITS = (
    (0, "yes: it ran, and the answer is good"),
    (1, "it ran, and the answer is no (rejected)"),
    (2, "usage: the command line makes no sense"),
    (3, "an expected failure; nothing was left half-done"),
    (4, "a bug; the path of a log is printed"),
    (130, "interrupted"),
)
_ENVIRONMENT = (
    ("BRANCHFLOW_BRANCH", "the branch that runs; set for stages and checks"),
    ("BRANCHFLOW_MODEL", "the model that is released; set for stages and checks of a release"),
    ("BRANCHFLOW_TAG", "the tag that the release will get; set likewise"),
    ("MLFLOW_TRACKING_URI", "the MLflow store of `runs export` and `runs import`"),
    ("BRANCHFLOW_RESULT", "the file that a check may write a JSON object to, for the run record"),
    ("NO_COLOR", "print no colours"),
)
_ERRORS = """\
An error is one line on stderr, `error: …`, and where there is a way out a second one,
`  try: COMMAND`. Under `--json` it is a [document](json.md#failures) on stdout with one of these
codes, which don't change between versions:
"""
_JSON = """\
`schema` ends in a number that grows when a field is removed or changes its meaning; new fields may
come at any time. `result` is the value that the same function of `dvc_branchflow.api` returns.
Sizes are in bytes, times in seconds or ISO 8601 in UTC, commits are full ids. A mapping whose keys
are pairs has them joined by a dot.
"""
_MAN = """\
A repository's branches form a flow. Data branches publish datasets (raw, clean, split).
Others pin an exact commit of each upstream.
dev/* writes code, stable/* runs it on the pinned data and tags releases, and main collects their
records.
branchflow moves pointers and refs; plain DVC runs stages and reads the data."""
_RESULTS: Mapping[str, tuple[str, tuple[type, ...]]] = {
    "init": ("InitPlan", (init.InitPlan, init.LaidBranch)),
    "status": ("FlowStatus", (status.FlowStatus, status.BranchStatus, status.Lag)),
    "ingest": ("IngestOutcome", (ingest.IngestOutcome, appending.Taken)),
    "pin": ("PinOutcome; with a pattern list of PinOutcome", (pins.PinOutcome,)),
    "run": ("RunOutcome; under `--dry-run` RunPlan", (running.RunOutcome, running.RunPlan)),
    "sync": ("list of SyncStep", (runs.SyncStep,)),
    "promote": ("PromoteOutcome", (releases.PromoteOutcome,)),
    "release": (
        "ReleaseOutcome; under `--dry-run` ReleasePlan, or null where nothing is new",
        (
            releasing.ReleaseOutcome,
            release_plan.ReleasePlan,
            pinning.PinPlan,
            gating.Bound,
            refusing.Refusal,
            gating.GateResult,
        ),
    ),
    "runs": (
        "RunList; with `--test-looks` list of Look",
        (compare.RunList, records.RunRecord, looks.Look),
    ),
    "runs export": ("ExportOutcome", (exchange.ExportOutcome,)),
    "runs import": (
        "ImportOutcome",
        (exchange.ImportOutcome, imported.ImportedRun, imported.LoggedMetric, exchange.LeftOut),
    ),
    "assign": ("AssignOutcome", (rollout.AssignOutcome,)),
    "rollback": ("AssignOutcome, as of `assign`", ()),
    "show": (
        "list of ModelChannels; with `--history` list of Happening",
        (rollout.ModelChannels, registry.Happening),
    ),
    "reproduce": (
        "ReproduceOutcome; under `--dry-run` ReproducePlan",
        (
            reproduce.ReproduceOutcome,
            reproductions.Reproduction,
            reproductions.Pair,
            reproduce.ReproducePlan,
        ),
    ),
    "rejects": ("list of Rejects", (rejects.Rejects,)),
    "compare": ("Comparison", (compare.Comparison,)),
    "check": (
        "Verdict; with `--explain` Rule, with `--why-not` Placement",
        (model.Verdict, model.Violation, catalog.Rule, places.Placement),
    ),
    "analysis plan": ("PlanOutcome", (planning.PlanOutcome,)),
    "analysis assign": ("Assigned", (planning.Assigned,)),
    "analysis report": (
        "ReportOutcome",
        (
            reporting.ReportOutcome,
            findings.Findings,
            verdict.Verdict,
            verdict.Effect,
            findings.Segment,
        ),
    ),
    "monitor log": ("LogOutcome", (log.LogOutcome,)),
    "monitor label": ("LabelOutcome", (label.LabelOutcome,)),
    "monitor check": (
        "CheckOutcome",
        (
            monitor_check.CheckOutcome,
            verdicts.Check,
            verdicts.ReleaseCheck,
            verdicts.BaselineRef,
            judging.FeatureDrift,
            judging.Effect,
            quality.Quality,
            intervals.Interval,
            verdicts.Plot,
        ),
    ),
    "monitor alerts": ("list of Alert", (alerts.Alert, alerts.Seen, alerts.Finding, alerts.Answer)),
    "monitor ack": ("Alert", (alerts.Alert,)),
    "hooks": ("list of HookStep; `ci`: the file's text", (hooks.HookStep,)),
    "switch": ("SwitchOutcome", (switch.SwitchOutcome,)),
    "storage usage": (
        "Usage; with `--object` Trace",
        (
            usage.Usage,
            usage.RemoteUse,
            usage.HolderUse,
            usage.RoleUse,
            usage.Amount,
            trace.Trace,
            trace.StoredCopy,
            uses.Use,
            uses.Origin,
        ),
    ),
    "storage verify": (
        "Verification",
        (verify.Verification, verification.Finding, verify.ReleaseProof, verify.CopyCount),
    ),
    "storage repair": ("RepairOutcome", (repair.RepairOutcome, repair.Repaired)),
    "storage mirror": (
        "MirrorOutcome",
        (mirror.MirrorOutcome, mirroring.Filled, verification.Finding),
    ),
    "storage move": ("MoveOutcome", (move.MoveOutcome, move.MovedBranch, mirroring.Filled)),
    "storage gc": (
        "Plan; with `--apply PLAN --yes` GcOutcome",
        (plans.Plan, plans.Group, gc.GcOutcome),
    ),
    "storage undelete": ("UndeleteOutcome", (undelete.UndeleteOutcome, undelete.Batch)),
    "storage empty-trash": (
        "Plan; with `--apply PLAN --yes` EmptyOutcome",
        (plans.Plan, empty_trash.EmptyOutcome),
    ),
    "storage erase": (
        "ErasePlan; with `--yes` EraseOutcome; with `--check` list of ErasureCheck",
        (
            erasing.ErasePlan,
            erase.EraseOutcome,
            erase.ErasureCheck,
            forgetting.Holding,
            touched.Touched,
            touched.Derived,
            remnants.Place,
        ),
    ),
    "storage lease": ("LeaseOutcome", (lease.LeaseOutcome,)),
    "storage doctor": ("list of Diagnosis", (doctor.Diagnosis, probed.Fact, findings_on.Finding)),
    "demo": ("DemoOutcome", (demo_module.DemoOutcome,)),
}


def main() -> int:
    """Write all files, or with `--check` say which differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; 1 if a file differs")
    is_check = parser.parse_args().check
    stale = 0
    for name, write in FILES.items():
        path, wanted = DOCS / name, write()
        old = path.read_text(encoding="utf-8") if path.exists() else ""
        if old == wanted:
            continue
        stale += 1
        if is_check:
            diff = difflib.unified_diff(
                old.splitlines(), wanted.splitlines(), f"docs/{name}", "generated", lineterm=""
            )
            print("\n".join(list(diff)[:40]))
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted, encoding="utf-8")
            print(f"wrote docs/{name}")
    return 1 if is_check and stale else 0


# --- Commands -----------------------------------------------------------------------------------


def cli_page() -> str:
    """The reference of all commands, from the parser."""
    parts = [
        _NOTE,
        "# Commands\n",
        (
            "`git branchflow VERB …`; `git-branchflow` and `dvc-branchflow` are the same program. "
            "Results go to stdout, progress and hints to stderr.\n"
        ),
        "| verb | does |\n|---|---|",
        *(
            f"| [`{command.name}`](#{command.name.replace(' ', '-')}) | {command.summary} |"
            for command in load()
        ),
        "\n## Options of every command\n",
        "They may stand before or after the verb.\n",
        _options_table(_common()),
        "\nThese stand alone:\n",
        _options_table(_alone()),
    ]
    for command in load():
        parser = _subparsers()[command.name]
        parts += [
            f"\n## {command.name}\n",
            f"{_sentence(command.summary)}\n",
            f"```text\n{synopsis(command)}\n```\n",
            f"{command.description}\n",
        ]
        own = list(_own(parser))
        if own:
            parts += [_options_table(own), ""]
        parts.append(f"Example:\n\n```text\n{command.example}\n```")
    parts += [
        "\n## Exit codes\n",
        "| code | meaning |\n|---|---|",
        *(f"| {code} | {meaning} |" for code, meaning in _EXITS),
        "\n`sync` goes on elsewhere; it ends with 3 if a branch failed, or 1 if one was refused.\n",
        "## Errors\n",
        _ERRORS,
        "| code | meaning | exit |\n|---|---|---|",
        *(f"| `{kind.code}` | {_first_line(kind)} | {kind.exit_code} |" for kind in _errors()),
        "\n## Environment\n",
        "| variable | meaning |\n|---|---|",
        *(f"| `{name}` | {meaning} |" for name, meaning in _ENVIRONMENT),
        "\nGit's, DVC's and the cloud SDKs' own variables work as they always do.",
    ]
    return "\n".join(parts).rstrip() + "\n"


def synopsis(command: Command) -> str:
    """One line: the verb, its options and its arguments."""
    words = [f"git branchflow {command.name}"]
    options = [action for action in _own(_subparsers()[command.name]) if action.option_strings]
    arguments = [
        action for action in _own(_subparsers()[command.name]) if not action.option_strings
    ]
    for action in options:
        text = " ".join(filter(None, (max(action.option_strings, key=len), _value(action))))
        words.append(text if action.required else f"[{text}]")
    words += [_argument(action) for action in arguments]
    return " ".join(words)


def _argument(action: argparse.Action) -> str:
    name = _placeholder(action)
    return {"*": f"[{name} …]", "+": f"{name} …", "?": f"[{name}]"}.get(str(action.nargs), name)


def _placeholder(action: argparse.Action) -> str:
    return str(action.metavar or action.dest.upper())


def _value(action: argparse.Action) -> str:
    if action.nargs == 0:
        return ""
    return "|".join(map(str, action.choices)) if action.choices else _placeholder(action)


def _flags(action: argparse.Action) -> str:
    if not action.option_strings:
        return _argument(action)
    return " ".join(filter(None, (", ".join(action.option_strings), _value(action))))


def _options_table(actions: list[argparse.Action]) -> str:
    rows = [
        f"| `{_cell(_flags(a))}` | {'required; ' if a.option_strings and a.required else ''}"
        f"{_cell(a.help or '')} |"
        for a in actions
    ]
    return "\n".join(["| option | meaning |\n|---|---|", *rows])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _subparsers() -> Mapping[str, argparse.ArgumentParser]:
    """The parser of each command, those of a group by their two words."""
    verbs = _choices(build_parser())
    below = {
        f"{name} {word}": p for name, verb in verbs.items() for word, p in _choices(verb).items()
    }
    return {**verbs, **below}


def _choices(parser: argparse.ArgumentParser) -> Mapping[str, argparse.ArgumentParser]:
    for action in parser._actions:  # noqa: SLF001  argparse shows them nowhere else
        if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001
            return action.choices
    return {}


def _common() -> list[argparse.Action]:
    alone = {"version", "print_completion"}
    top = build_parser()._actions  # noqa: SLF001
    return [a for a in top if a.option_strings and a.dest not in alone]


def _alone() -> list[argparse.Action]:
    return [a for a in build_parser()._actions if a.dest in {"version", "print_completion"}]  # noqa: SLF001


def _own(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    shared = {action.dest for action in _common()}
    for action in parser._actions:  # noqa: SLF001
        is_group = isinstance(action, argparse._SubParsersAction)  # noqa: SLF001
        if action.dest not in shared and not is_group:
            yield action


def _errors() -> list[type[errors.BranchflowError]]:
    found = [
        kind
        for kind in vars(errors).values()
        if inspect.isclass(kind) and issubclass(kind, errors.BranchflowError)
    ]
    return [kind for kind in found if kind is not errors.BranchflowError]


def _first_line(thing: object) -> str:
    lines = (inspect.getdoc(thing) or "").splitlines()
    return lines[0] if lines else ""


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:] + "."


# --- branchflow.yaml ----------------------------------------------------------------------------

_DEFAULTS = {
    "role": "the name up to the first `/`",
    "data": "raw, clean, split, monitor: `data/` and the name, without a leading `data/` and `/*`",
    "from": "clean: the raw branches; split: the clean ones; dev and stable: the split ones",
    "code": "stable: the first dev pattern with `{}` for its `*`; needed where there is no `*`",
    "repo": "this one",
    "remote": "DVC's default remote",
    "copies": "1",
    "partition": "`%Y-%m`",
    "sample": "none: all of the data",
    "model": "what `*` matched, else the last part of the name",
    "checks": "none",
    "gates": "none: no metric is compared",
    "test_looks": "no limit",
    "watch": "see [below](#under-watch)",
    "rules": "`error` for every [rule](rules.md) of the role",
}


def config_page() -> str:
    """The reference of `branchflow.yaml`, from its schema."""
    schema = config_schema()
    top = schema["properties"]
    keys = top["branches"]["additionalProperties"]["properties"]
    roles = ", ".join(f"`{role.value}`" for role in model.Role)
    kept = top["retention"]["properties"]
    periods = [f"| `{name}` | {_cell(body['description'])} |" for name, body in kept.items()]
    rows = [
        f"| `{name}` | {_type(body)} | {_cell(body['description'])} | {_DEFAULTS[name]} |"
        for name, body in keys.items()
    ]
    return f"""{_NOTE}
# `branchflow.yaml`

It lies on the branch that collects the records (`main`), and is read from there whatever is checked
out. An unknown key is an error that names the nearest known one. Editors check it with the
[JSON Schema](branchflow.schema.json) if its first line is

```text
# yaml-language-server: $schema=PATH/TO/branchflow.schema.json
```

## At the top

| key | meaning |
|---|---|
| `version` | {top["version"]["description"]} |
| `tracking` | {top["tracking"]["description"]} Default: `main`. |
| `branches` | {top["branches"]["description"]} |
| `mirrors` | {top["mirrors"]["description"]} Default: none. |
| `retention` | {top["retention"]["description"]} Default: `forever` for all. |

## Under a branch

A name holds at most one `*`. A branch gets the entry with its own name, else that with the longest
pattern that fits. `{{}}` in `from` and `code` stands for what `*` matched. A branch that no entry
covers has no role, and branchflow leaves it alone. No two branches may own paths of which one lies
in the other.

| key | type | meaning | default |
|---|---|---|---|
{chr(10).join(rows)}

Roles: {roles}.

## Under `watch`

Of a monitor branch; [how to use it](../how-to/monitor.md).

| key | type | meaning | default |
|---|---|---|---|
{chr(10).join(_watch_rows())}

`limits` may hold, and these are the defaults:

| measure | default |
|---|---|
{chr(10).join(_limit_rows())}

`partition` holds for raw and monitor branches, `sample` for dev, `code` for stable branches.
`gates` holds for stable branches: `{{mae: {{better: lower, margin: "2%"}}}}`; see
[gates and checks](../how-to/gates.md).
`test_looks` holds for dev and stable branches: past it, `run` and `release` need a `--reason`.
`checks` of a dev branch have to pass before `promote`, those of a stable branch before `release`;
each is a command that runs in a shell at the root of the exact tree.

## Under `retention`

How long data is kept that only old commits need: hours, days, weeks or years as `6h`, `30d`, `12w`,
`1y`, or `forever`. A commit on no branch's own line (first parents) keeps its data for ever, and so
does one on the line of a branch without a role.

| key | whose data |
|---|---|
{chr(10).join(periods)}

## What `init` writes

```yaml
{_laid_config()}```
"""


def _watch_rows() -> Iterator[str]:
    defaults = {"window": "`7d`", "private": "nothing", "limits": "below", "sides": "all"}
    for name, body in settings.SCHEMA.items():
        default = defaults.get(name, "`false`" if body["type"] == "boolean" else "none")
        yield f"| `{name}` | {_type(body)} | {_cell(body['description'])} | {default} |"


def _limit_rows() -> Iterator[str]:
    calm = thresholds.Thresholds()
    for item in fields(thresholds.Thresholds):
        yield f"| `{item.name}` | {getattr(calm, item.name):g} |"


def rules_page() -> str:
    """The reference of the rules, from their catalog."""
    parts = [
        _NOTE,
        "# Rules\n",
        (
            "What [`git branchflow check`](cli.md#check), the hooks and every command that moves a "
            "branch judge by; [how to keep them](../how-to/rules.md) says where. The codes don't "
            "change between versions.\n"
        ),
        "| role | a branch for | rules of its own |\n|---|---|---|",
    ]
    for role, purpose in places.PURPOSES.items():
        own = [rule for rule in catalog.rules_for(role) if len(rule.roles) < len(model.Role)]
        codes = ", ".join(f"[`{rule.code}`](#{rule.code})" for rule in own)
        parts.append(f"| {role} | {purpose} | {codes} |")
    parts.append("")
    for rule in catalog.RULES.values():
        everyone = len(rule.roles) == len(model.Role)
        binds = "every branch" if everyone else f"{', '.join(rule.roles)} branches"
        fixed = " It can't be turned down." if rule.is_fixed else ""
        parts += [
            f"## {rule.code}\n",
            f"{rule.says}\n",
            f"{rule.why} Binds {binds}.{fixed}\n",
            f"```text\n{rule.repair}\n```\n",
        ]
    return "\n".join(parts).rstrip() + "\n"


def _laid_config() -> str:
    return init._CONFIG.format(tracking="main", sample="0.1", tests=init._TESTS)  # noqa: SLF001


def _type(body: Mapping[str, Any]) -> str:
    if "enum" in body:
        return "a role"
    kinds = body["type"] if isinstance(body["type"], list) else [body["type"]]
    words = {
        "array": "list of text", "object": "mapping", "string": "text", "number": "number",
        "integer": "whole number", "null": "null", "boolean": "true or false",
    }  # fmt: skip
    return " or ".join(words[kind] for kind in kinds)


def schema_file() -> str:
    """The JSON Schema of `branchflow.yaml`."""
    return json.dumps(config_schema(), indent=2, ensure_ascii=False) + "\n"


# --- JSON documents -----------------------------------------------------------------------------


def json_page() -> str:
    """What `--json` prints, from the values that the verbs return."""
    parts = [
        _NOTE,
        "# JSON documents\n",
        "With `--json` a command prints one document:\n",
        (
            "```json\n"
            '{"schema": "branchflow/status/1", "dry_run": false, "result": {"branches": []}}\n'
            "```\n"
        ),
        _JSON,
        "## Failures\n",
        (
            "```json\n"
            '{"schema": "branchflow/error/1", "verb": "run",\n'
            ' "error": {"code": "run", "message": "…", "hint": "…", "log": "…"}}\n'
            "```\n"
        ),
        "`hint` and `log` may be null. The codes are under [errors](cli.md#errors).",
    ]
    for command in load():
        name, types = _RESULTS[command.name]
        parts += [
            f"\n## {command.name}\n",
            f"`branchflow/{command.name.replace(' ', '-')}/1`: {name}.\n",
        ]
        for kind in types:
            parts += [_type_table(kind), ""]
    return re.sub(r"\n{3,}", "\n\n", "\n".join(parts)).rstrip() + "\n"


def _type_table(kind: type) -> str:
    rows = [f"| `{item.name}` | `{_cell(_annotation(item.type))}` |" for item in fields(kind)]
    return "\n".join(
        [f"**{kind.__name__}**: {_first_line(kind)}\n", "| field | type |\n|---|---|", *rows]
    )


def _annotation(text: object) -> str:
    words = str(text)
    for name in ("Sha", "Oid", "Branch", "TagName", "Path"):
        words = re.sub(rf"\b{name}\b", "str", words)
    words = re.sub(r"\bSequence\b|\btuple\b", "list", words)
    words = re.sub(r"list\[(.+), \.\.\.\]", r"list[\1]", words)
    return words.replace("Mapping[", "dict[").replace("None", "null")


# --- The manual page ----------------------------------------------------------------------------


def man_page() -> str:
    """The manual page, which `git branchflow --help` opens."""
    lines = [
        '.\\" Written by docs/generate.py from the code.',
        f'.TH GIT-BRANCHFLOW 1 "" "dvc-branchflow {__version__}" "Git Manual"',
        ".SH NAME",
        "git-branchflow \\- data, code, models and records as one flow of Git branches on DVC",
        ".SH SYNOPSIS",
        ".B git branchflow",
        "[\\fIOPTIONS\\fR] \\fIVERB\\fR [\\fIARGUMENTS\\fR]",
        ".SH DESCRIPTION",
        _MAN,
        ".SH OPTIONS",
        *_man_options([*_common(), *_alone()]),
        ".SH COMMANDS",
    ]
    for command in load():
        lines += [
            f".SS {_roff(command.name)}",
            f".B {_roff(synopsis(command))}",
            ".PP",
            _roff(command.description),
            *_man_options(list(_own(_subparsers()[command.name]))),
            ".PP",
            "Example:",
            ".PP",
            ".RS 4",
            ".nf",
            _roff(command.example),
            ".fi",
            ".RE",
        ]
    lines += [".SH EXIT STATUS"]
    for code, meaning in _EXITS:
        lines += [".TP", f"\\fB{code}\\fR", _roff(meaning)]
    lines += [".SH ENVIRONMENT"]
    for name, meaning in _ENVIRONMENT:
        lines += [".TP", f"\\fB{name}\\fR", _roff(meaning)]
    lines += [
        ".SH FILES",
        ".TP",
        "\\fBbranchflow.yaml\\fR",
        "on main: which branch is for what, and which feeds which",
        ".TP",
        "\\fBpins.yaml\\fR",
        "on a branch: the upstream commits that it is built on",
        ".TP",
        "\\fBruns/\\fIMODEL\\fB/\\fIVERSION\\fB.json\\fR",
        "on main: the record of a release",
        ".SH SEE ALSO",
        ".BR git (1),",
        ".BR git-switch (1),",
        ".BR git-worktree (1)",
    ]
    return "\n".join(lines) + "\n"


def _man_options(actions: list[argparse.Action]) -> Iterator[str]:
    for action in actions:
        yield from (".TP", f"\\fB{_roff(_flags(action))}\\fR", _roff(action.help or ""))


def _roff(text: str) -> str:
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("…", "...")
    return "\\&" + escaped if escaped.startswith((".", "'")) else escaped


FILES: Mapping[str, Callable[[], str]] = {
    "reference/cli.md": cli_page,
    "reference/config.md": config_page,
    "reference/rules.md": rules_page,
    "reference/json.md": json_page,
    "reference/branchflow.schema.json": schema_file,
    "man/git-branchflow.1": man_page,
}

if __name__ == "__main__":
    sys.exit(main())
