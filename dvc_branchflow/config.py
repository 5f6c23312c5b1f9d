"""What `branchflow.yaml` may say, and what it means when it says little."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

from dvc_branchflow.errors import ConfigError
from dvc_branchflow.gating import BETTER, Gate, parse_margin
from dvc_branchflow.model import CONFIG_FILE, Branch, Role, Severity, parse_path, whole_repository
from dvc_branchflow.plain import load_mapping, nearest
from dvc_branchflow.policy.catalog import RULES
from dvc_branchflow.retention import Retention, parse_period
from dvc_branchflow.values import dataclass, field
from dvc_branchflow.watch.settings import SCHEMA as WATCH_KEYS
from dvc_branchflow.watch.settings import Watch, parse_watch
from dvc_branchflow.yamledit import YamlText, dict_of

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]*|\*|[A-Za-z0-9][A-Za-z0-9._/-]*\*[A-Za-z0-9._/-]*")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]i?B|B)")
_UNITS = {"B": 0, "K": 1, "M": 2, "G": 3, "T": 4}

_PERIOD = r"^(\d{1,5}\s*[hdwy]|forever)$"

_TOP_KEYS: Mapping[str, str] = {
    "version": "Version of this file's format: 1.",
    "tracking": "The branch that holds this file and collects the run records.",
    "branches": "Name or pattern (at most one `*`) → what the branch is for.",
    "mirrors": "DVC remotes that `storage mirror` fills; what lies there counts as a copy.",
    "retention": "How long `storage gc` keeps what only old commits need: `30d`, `12w`, `1y`.",
}
_RETENTION_KEYS: Mapping[str, str] = {
    **{
        role.value: f"Commits on the own line of {role.value} branches; tips, tags and pins stay."
        for role in Role
        if role is not Role.MAIN
    },
    "experiments": "DVC experiments.",
    "run-cache": "Entries of DVC's run-cache.",
}
_BRANCH_KEYS: Mapping[str, dict[str, Any]] = {
    "role": {"enum": [role.value for role in Role], "description": "What the branch is for."},
    "data": {"type": "string", "description": "The path that the branch owns and publishes."},
    "from": {
        "type": "array",
        "items": {"type": "string"},
        "description": "Upstream branches, by name or pattern, whose data the branch pins.",
    },
    "code": {
        "type": "string",
        "description": "Where a stable branch gets its code; `{}` is what `*` matched.",
    },
    "remote": {"type": "string", "description": "The DVC remote of the branch's outs."},
    "repo": {
        "type": "string",
        "description": "URL of the repository that a monitor branch lives in, where not in this.",
    },
    "copies": {
        "type": "integer",
        "minimum": 1,
        "description": "On how many DVC remotes, its own and `mirrors`, each object has to lie.",
    },
    "partition": {
        "type": ["string", "null"],
        "description": "strftime format, a size as '50 GiB', or 'none' for one directory.",
    },
    "sample": {
        "type": "number",
        "exclusiveMinimum": 0,
        "maximum": 1,
        "description": "Fraction of each upstream directory that a dev branch pins.",
    },
    "model": {"type": "string", "description": "The model that a stable branch releases."},
    "checks": {
        "type": "object",
        "additionalProperties": {"type": "string"},
        "description": "Named commands that have to pass before code or a release moves on.",
    },
    "gates": {
        "type": "object",
        "additionalProperties": {
            "type": "object",
            "additionalProperties": False,
            "required": ["better"],
            "properties": {
                "better": {"enum": list(BETTER), "description": "Which way the metric is better."},
                "margin": {
                    "type": ["number", "string"],
                    "description": "How much worse is let through: a number, or a share as '2%'.",
                },
            },
        },
        "description": "Metric → how much worse than the current release's a release's may be.",
    },
    "test_looks": {
        "type": "integer",
        "minimum": 1,
        "description": "How often the branch's model may look at one split's test side.",
    },
    "watch": {
        "type": "object",
        "additionalProperties": False,
        "properties": WATCH_KEYS,
        "description": "What a monitor branch keeps private, what is too much, and whom to tell.",
    },
    "rules": {
        "type": "object",
        "additionalProperties": False,
        "properties": {
            code: {"enum": [level.value for level in Severity], "description": rule.says}
            for code, rule in RULES.items()
            if not rule.is_fixed
        },
        "description": "Rule → how much it weighs on this branch: error (the default), warn, off.",
    },
}
_DEFAULT_FROM: Mapping[Role, Role] = {
    Role.CLEAN: Role.RAW,
    Role.SPLIT: Role.CLEAN,
    Role.DEV: Role.SPLIT,
    Role.STABLE: Role.SPLIT,
}
_OWNS_DATA = frozenset({Role.RAW, Role.CLEAN, Role.SPLIT, Role.MONITOR})


@dataclass(frozen=True, slots=True)
class BranchRule:
    """One entry under `branches`: a name or pattern, and what it says, defaults filled in."""

    pattern: str
    role: Role
    data: str | None = None
    upstreams: tuple[str, ...] = ()
    code: str | None = None
    remote: str | None = None
    repo: str | None = None
    copies: int = 1
    partition: str | None = "%Y-%m"
    sample: float | None = None
    model: str | None = None
    checks: Mapping[str, str] = field(default_factory=dict)
    gates: tuple[Gate, ...] = ()
    test_looks: int | None = None
    watch: Watch = field(default_factory=Watch)
    severities: Mapping[str, Severity] = field(default_factory=dict)

    def match(self, branch: str) -> str | None:
        """Return what `*` stands for in `branch` ("" where there is none), or None."""
        if "*" not in self.pattern:
            return "" if branch == self.pattern else None
        head, tail = self.pattern.split("*")
        fits = len(branch) > len(head) + len(tail)
        if fits and branch.startswith(head) and branch.endswith(tail):
            return branch[len(head) : len(branch) - len(tail)]
        return None


@dataclass(frozen=True, slots=True)
class FlowConfig:
    """The whole of `branchflow.yaml`."""

    tracking: Branch
    rules: tuple[BranchRule, ...]
    retention: Retention = field(default_factory=Retention)
    mirrors: tuple[str, ...] = ()

    def rule_for(self, branch: str) -> BranchRule | None:
        """Return the entry for a branch: its own name first, then the longest pattern."""
        found = [rule for rule in self.rules if rule.match(branch) is not None]
        return max(
            found, key=lambda rule: ("*" not in rule.pattern, len(rule.pattern)), default=None
        )

    def with_role(self, role: Role) -> tuple[BranchRule, ...]:
        """Return the entries of one role, in the file's order."""
        return tuple(rule for rule in self.rules if rule.role is role)


def parse_config(document: Mapping[str, Any]) -> FlowConfig:
    """Return the flow that a parsed `branchflow.yaml` describes.

    Raises: ConfigError: unknown key (with the nearest known one), wrong type, or a contradiction.
    """
    _known(document, _TOP_KEYS, "")
    if document.get("version", 1) != 1:
        raise _wrong("version", f"has to be 1, not {document['version']!r}")
    tracking = document.get("tracking", "main")
    branches = document.get("branches")
    if not isinstance(branches, dict) or not branches:
        raise _wrong("branches", "has to map branch names to what they are for")
    if not isinstance(tracking, str) or not is_branch_name(tracking):
        raise _wrong("tracking", f"{tracking!r} is not a branch name")
    entries = {_pattern(name): _entry(name, body) for name, body in branches.items()}
    roles = {name: _role(name, body) for name, body in entries.items()}
    rules = tuple(_rule(name, entries[name], roles) for name in entries)
    _no_shared_data(rules)
    mirrors = _mirrors(document.get("mirrors"))
    for rule in rules:
        _enough_places(rule, mirrors)
    if not any(rule.pattern == tracking for rule in rules):
        rules = (BranchRule(tracking, Role.MAIN), *rules)
    return FlowConfig(Branch(tracking), rules, _retention(document.get("retention")), mirrors)


def with_remote(content: bytes, patterns: Collection[str], remote: str) -> bytes:
    """Return a `branchflow.yaml` whose entries name a DVC remote, and nothing else is changed.

    Args:
        patterns: the entries under `branches`, by their names.
    Raises: ConfigError: it is no config, or can't be changed by a program.
    """
    text = YamlText(content, CONFIG_FILE)
    entries = dict_of(dict_of(text.root)["branches"][1])
    for pattern in patterns:
        text.put(entries[pattern], "remote", remote)
    changed = text.result()
    wanted = load_mapping(content, CONFIG_FILE)
    for pattern in patterns:
        wanted["branches"][pattern] = (wanted["branches"][pattern] or {}) | {"remote": remote}
    if load_mapping(changed, CONFIG_FILE) != wanted:
        raise ConfigError(
            f"'{CONFIG_FILE}' can't be changed by a program",
            hint=f"write `remote: {remote}` into it by hand, and run the command again",
        )
    return changed


def config_schema() -> dict[str, Any]:
    """Return the JSON Schema of `branchflow.yaml`, for editors."""
    branch = {"type": ["object", "null"], "additionalProperties": False, "properties": _BRANCH_KEYS}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": CONFIG_FILE,
        "type": "object",
        "additionalProperties": False,
        "required": ["branches"],
        "properties": {
            "version": {"const": 1, "description": _TOP_KEYS["version"]},
            "tracking": {"type": "string", "description": _TOP_KEYS["tracking"]},
            "branches": {
                "type": "object",
                "description": _TOP_KEYS["branches"],
                "additionalProperties": branch,
            },
            "mirrors": {
                "type": "array",
                "items": {"type": "string"},
                "uniqueItems": True,
                "description": _TOP_KEYS["mirrors"],
            },
            "retention": {
                "type": "object",
                "description": _TOP_KEYS["retention"],
                "additionalProperties": False,
                "properties": {
                    key: {"type": "string", "pattern": _PERIOD, "description": text}
                    for key, text in _RETENTION_KEYS.items()
                },
            },
        },
    }


def is_branch_name(name: str) -> bool:
    """Whether `name` is a branch name that we are willing to pass on to git."""
    return (
        _NAME.fullmatch(name) is not None
        and "*" not in name
        and not any(bad in name for bad in ("..", "//", "/.", ".lock"))
        and not name.endswith(("/", "."))
        and len(name) <= 200  # noqa: PLR2004  leaves room for lock and log names
    )


def partition_size_bytes(partition: str | None) -> int | None:
    """Return the size at which a partition is full, in bytes; None where it goes by time."""
    match = _SIZE.fullmatch(partition or "")
    if match is None:
        return None
    return int(float(match[1]) * 1024 ** _UNITS[match[2][0]])


def _pattern(name: object) -> str:
    if isinstance(name, str) and _NAME.fullmatch(name) and name.count("*") <= 1:
        probe = name.replace("*", "x")
        if is_branch_name(probe):
            return name
    raise _wrong(f"branches.{name}", "is not a branch name or a pattern with at most one '*'")


def _entry(name: str, body: object) -> dict[str, Any]:
    where = f"branches.{name}"
    if body is None:
        return {}
    if not isinstance(body, dict):
        raise _wrong(where, "has to be a mapping")
    _known(body, _BRANCH_KEYS, where + ".")
    for key in ("data", "code", "remote", "model"):
        if not isinstance(body.get(key, ""), str):
            raise _wrong(f"{where}.{key}", "has to be text")
    return body


def _role(name: str, body: Mapping[str, Any]) -> Role:
    text = body.get("role", name.partition("/")[0])
    try:
        return Role(text)
    except ValueError:
        known = ", ".join(role.value for role in Role)
        raise _wrong(f"branches.{name}.role", f"{text!r} is none of: {known}") from None


def _rule(name: str, body: Mapping[str, Any], roles: Mapping[str, Role]) -> BranchRule:
    role = roles[name]
    where = f"branches.{name}"
    return BranchRule(
        pattern=name,
        role=role,
        data=_data(where, name, role, body),
        upstreams=_upstreams(where, role, body, roles),
        code=_code(where, name, role, body, roles),
        remote=body.get("remote"),
        repo=_repo(where, role, body),
        copies=_copies(where, role, body),
        partition=_partition(where, body),
        sample=_sample(where, role, body),
        model=body.get("model"),
        checks=_checks(where, body),
        gates=_gates(where, role, body),
        test_looks=_test_looks(where, role, body),
        watch=_watch(where, role, body),
        severities=_severities(where, role, body),
    )


def _data(where: str, name: str, role: Role, body: Mapping[str, Any]) -> str | None:
    if role not in _OWNS_DATA:
        if "data" in body:
            raise _wrong(f"{where}.data", f"a {role} branch publishes no data")
        return None
    default = f"data/{name.removeprefix('data/')}".replace("/*", "")
    try:
        return parse_path(body.get("data", default).rstrip("/"))
    except ConfigError as error:
        raise _wrong(f"{where}.data", error.message) from None


def _upstreams(
    where: str, role: Role, body: Mapping[str, Any], roles: Mapping[str, Role]
) -> tuple[str, ...]:
    given = body.get("from")
    if given is None:
        wanted = _DEFAULT_FROM.get(role)
        return tuple(name for name, other in roles.items() if other is wanted)
    if not isinstance(given, list) or not all(isinstance(item, str) for item in given):
        raise _wrong(f"{where}.from", "has to be a list of branch names")
    for item in given:
        if item not in roles and not any(
            BranchRule(name, r).match(item) for name, r in roles.items()
        ):
            near = nearest(item, roles)
            raise _wrong(f"{where}.from", f"names '{item}', which is no branch of the flow{near}")
    return tuple(given)


def _repo(where: str, role: Role, body: Mapping[str, Any]) -> str | None:
    url = body.get("repo")
    if url is None:
        return None
    if role is not Role.MONITOR:
        raise _wrong(f"{where}.repo", "only monitor branches may live in another repository")
    if not isinstance(url, str):
        raise _wrong(f"{where}.repo", "has to be text")
    try:
        return whole_repository(url)
    except ConfigError as error:
        raise _wrong(f"{where}.repo", error.message) from None


def _code(
    where: str, name: str, role: Role, body: Mapping[str, Any], roles: Mapping[str, Role]
) -> str | None:
    if role is not Role.STABLE:
        if "code" in body:
            raise _wrong(f"{where}.code", f"a {role} branch gets no code promoted")
        return None
    if "code" in body:
        return str(body["code"])
    if "*" not in name:
        raise _wrong(f"{where}.code", "is needed: from which dev branch does the code come?")
    patterns = [other for other, r in roles.items() if r is Role.DEV and "*" in other]
    return patterns[0].replace("*", "{}") if patterns else "dev/{}"


def _partition(where: str, body: Mapping[str, Any]) -> str | None:
    value = body.get("partition", "%Y-%m")
    if value is None or value == "none":
        return None
    if not isinstance(value, str) or not ("%" in value or _SIZE.fullmatch(value)):
        raise _wrong(f"{where}.partition", f"{value!r} is no time format, size or 'none'")
    return value


def _copies(where: str, role: Role, body: Mapping[str, Any]) -> int:
    value = body.get("copies", 1)
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise _wrong(f"{where}.copies", f"{value!r} is no whole number above 0")
    if role is Role.MAIN and value > 1:
        raise _wrong(f"{where}.copies", "a main branch has no outs")
    return value


def _mirrors(value: object) -> tuple[str, ...]:
    """The names of DVC remotes, lower case as DVC takes them."""
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
        raise _wrong("mirrors", "has to be a list of names of DVC remotes")
    names = tuple(one.lower() for one in value)
    if len(set(names)) < len(names):
        raise _wrong("mirrors", "names a DVC remote twice")
    return names


def _enough_places(rule: BranchRule, mirrors: tuple[str, ...]) -> None:
    others = [name for name in mirrors if name != (rule.remote or "").lower()]
    if rule.copies > 1 + len(others):
        found = f"needs {rule.copies - 1} DVC remotes under 'mirrors', which has {len(others)}"
        raise _wrong(f"branches.{rule.pattern}.copies", found)


def _sample(where: str, role: Role, body: Mapping[str, Any]) -> float | None:
    value = body.get("sample")
    if value is None or value == 1:
        return None
    if role is not Role.DEV:
        raise _wrong(f"{where}.sample", "only dev branches hold samples")
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value <= 1:
        raise _wrong(f"{where}.sample", f"{value!r} is no fraction between 0 and 1")
    return float(value)


def _checks(where: str, body: Mapping[str, Any]) -> dict[str, str]:
    value = body.get("checks", {})
    if not isinstance(value, dict) or not all(
        isinstance(key, str) and isinstance(command, str) for key, command in value.items()
    ):
        raise _wrong(f"{where}.checks", "has to map names to commands")
    return value


def _gates(where: str, role: Role, body: Mapping[str, Any]) -> tuple[Gate, ...]:
    value = body.get("gates") or {}
    if not isinstance(value, dict):
        raise _wrong(f"{where}.gates", "has to map metrics to 'better' and 'margin'")
    if value and role is not Role.STABLE:
        raise _wrong(f"{where}.gates", "only stable branches release")
    return tuple(_gate(f"{where}.gates", metric, given) for metric, given in value.items())


def _gate(where: str, metric: object, body: object) -> Gate:
    if not isinstance(metric, str) or not metric.strip():
        raise _wrong(f"{where}.{metric}", "is no name of a metric")
    where = f"{where}.{metric}"
    if not isinstance(body, dict):
        raise _wrong(where, "has to be a mapping with 'better' and 'margin'")
    _known(body, {"better": "", "margin": ""}, f"{where}.")
    if body.get("better") not in BETTER:
        raise _wrong(f"{where}.better", "is needed: lower or higher")
    margin = parse_margin(body.get("margin", 0))
    if margin is None:
        raise _wrong(f"{where}.margin", f"{body['margin']!r} is no number from 0 on, and no '2%'")
    return Gate(metric, body["better"], margin)


def _test_looks(where: str, role: Role, body: Mapping[str, Any]) -> int | None:
    value = body.get("test_looks")
    if value is None:
        return None
    if role not in {Role.DEV, Role.STABLE}:
        raise _wrong(f"{where}.test_looks", "only dev and stable branches evaluate")
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise _wrong(f"{where}.test_looks", f"{value!r} is no whole number above 0")
    return value


def _watch(where: str, role: Role, body: Mapping[str, Any]) -> Watch:
    if body.get("watch") is None:
        return Watch()
    if role is not Role.MONITOR:
        raise _wrong(f"{where}.watch", "only monitor branches watch")
    try:
        return parse_watch(body["watch"])
    except ConfigError as error:
        raise _wrong(f"{where}.watch", error.message) from None


def _severities(where: str, role: Role, body: Mapping[str, Any]) -> dict[str, Severity]:
    value = body.get("rules") or {}
    if not isinstance(value, dict):
        raise _wrong(f"{where}.rules", "has to map rules to error, warn or off")
    known = {code: rule for code, rule in RULES.items() if role in rule.roles}
    _known(value, known, f"{where}.rules.")
    for code, level in value.items():
        if level not in set(Severity):
            raise _wrong(f"{where}.rules.{code}", f"{level!r} is none of: error, warn, off")
        if known[code].is_fixed:
            raise _wrong(f"{where}.rules.{code}", "can't be turned down: others depend on it")
    return {code: Severity(level) for code, level in value.items()}


def _retention(value: object) -> Retention:
    if value is None:
        return Retention()
    if not isinstance(value, dict):
        raise _wrong("retention", "has to map roles to periods")
    _known(value, _RETENTION_KEYS, "retention.")
    periods: dict[str, float | None] = {}
    for key, text in value.items():
        if not isinstance(text, str):
            raise _wrong(f"retention.{key}", f"{text!r} is no period such as 30d or forever")
        try:
            periods[key] = parse_period(text)
        except ConfigError as error:
            raise _wrong(f"retention.{key}", error.message) from None
    experiments, runs = periods.pop("experiments", None), periods.pop("run-cache", None)
    return Retention({Role(key): length for key, length in periods.items()}, experiments, runs)


def _no_shared_data(rules: tuple[BranchRule, ...]) -> None:
    owned = [(rule.data, rule) for rule in rules if rule.data]
    for index, (path, rule) in enumerate(owned):
        for other_path, other in owned[index + 1 :]:
            if f"{path}/".startswith(f"{other_path}/") or f"{other_path}/".startswith(f"{path}/"):
                raise _wrong(
                    f"branches.{other.pattern}.data",
                    f"'{other_path}' overlaps with '{path}' of '{rule.pattern}'",
                )


def _known(body: Mapping[Any, Any], keys: Mapping[str, Any], where: str) -> None:
    for key in body:
        if key not in keys:
            raise _wrong(f"{where}{key}", f"is no key that we know{nearest(str(key), keys)}")


def _wrong(where: str, why: str) -> ConfigError:
    return ConfigError(
        f"'{CONFIG_FILE}': '{where}' {why}", hint=f"edit {CONFIG_FILE} on the tracking branch"
    )
