"""What `check --sarif` prints: a verdict as forges read it, SARIF 2.1.0."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from dvc_branchflow import __version__
from dvc_branchflow.cli.text import count, short
from dvc_branchflow.model import CONFIG_FILE, Severity, Verdict, Violation
from dvc_branchflow.policy.catalog import RULES, Rule

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"  # GitHub asks for one
_LEVELS: Mapping[Severity, str] = {
    Severity.ERROR: "error",
    Severity.WARN: "warning",
    Severity.OFF: "none",
}
_MOST_RESULTS = 25_000  # GitHub refuses a run with more
# Parts that a reader of the URI would act on; doubly encoded they are names like any other.
_INERT: Mapping[str, str] = {"": "%252F", ".": "%252E", "..": "%252E%252E"}

Body = dict[str, Any]


def sarif(verdict: Verdict) -> str:
    """Return a verdict as a SARIF document: ASCII, and the same for the same verdict."""
    found = verdict.violations[:_MOST_RESULTS]
    broken = {violation.code for violation in found}
    rules = [rule for code, rule in RULES.items() if code in broken]
    run = {
        "tool": {
            "driver": {
                "name": "dvc-branchflow",
                "version": __version__,
                "rules": [_rule(rule) for rule in rules],
            }
        },
        "invocations": [_invocation(verdict)],
        "results": list(_results(found, {rule.code: at for at, rule in enumerate(rules)})),
    }
    return json.dumps({"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2)


def _rule(rule: Rule) -> Body:
    return {
        "id": rule.code,
        "shortDescription": {"text": rule.says},
        "fullDescription": {"text": rule.why},
        "help": {"text": rule.repair},
        "defaultConfiguration": {"level": _LEVELS[Severity.ERROR]},
    }


def _invocation(verdict: Verdict) -> Body:
    notes = list(verdict.notes)
    hidden = len(verdict.violations) - _MOST_RESULTS
    if hidden > 0:
        notes.append(f"{count(hidden, 'further violation')} left out; a forge takes no more")
    return {
        "executionSuccessful": True,
        "toolExecutionNotifications": [
            {"level": "note", "message": {"text": _literal(note)}} for note in notes
        ],
    }


def _results(violations: Iterable[Violation], index: Mapping[str, int]) -> Iterable[Body]:
    seen: Counter[str] = Counter()
    for violation in violations:
        digest = _fingerprint(violation)
        seen[digest] += 1
        yield {
            "ruleId": violation.code,
            "ruleIndex": index[violation.code],
            "level": _LEVELS[violation.severity],
            "message": {"text": _literal(_message(violation))},
            "locations": [_location(violation)],
            "partialFingerprints": {
                "branchflow/v1": digest,
                # The only one that GitHub reads. Left to GitHub, it would be a hash of the file's
                # first line, the same for each commit that breaks the rule there.
                "primaryLocationLineHash": f"{digest[:16]}:{seen[digest]}",
            },
            "properties": _properties(violation),
        }


def _message(violation: Violation) -> str:
    where = f"{violation.ref} {short(violation.commit)}".rstrip()
    what = f"{violation.path} {violation.found}".lstrip()
    return f"{where}: {what}. To repair: {violation.repair}"


def _location(violation: Violation) -> Body:
    name = _printable(violation.ref)
    return {
        "physicalLocation": {
            "artifactLocation": {"uri": _uri(violation.path or CONFIG_FILE)},
            "region": {"startLine": 1},  # GitHub shows no result without a line
        },
        "logicalLocations": [{"name": name, "fullyQualifiedName": name}],
    }


def _properties(violation: Violation) -> dict[str, str]:
    known = {
        "commit": violation.commit or "",
        "author": _printable(violation.author),
        "when": violation.when,
    }
    return {key: value for key, value in known.items() if value}


def _fingerprint(violation: Violation) -> str:
    """What makes a violation the same one in the next run: where it is, not how it is told."""
    parts = [violation.code, violation.ref, violation.commit, violation.path]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _uri(path: str) -> str:
    """Return a path as a relative URI that no reader takes for a host, a root or a way out.

    What is no text (file names that are not UTF-8) becomes U+FFFD: one such name must not make a
    forge refuse the whole document.
    """
    text = path.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return "/".join(_INERT.get(part) or quote(part, safe="") for part in text.split("/"))


def _literal(text: str) -> str:
    """Return text for a message, in which a pushed `[name](target)` makes no link."""
    return _printable(text).replace("[", r"\[").replace("]", r"\]")


def _printable(text: str) -> str:
    """Return text with what can't be seen as escapes: controls, text direction, surrogates."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )
