"""What forges read: the document has the shape of SARIF 2.1.0, whatever a push put into it."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import pytest

from dvc_branchflow import __version__
from dvc_branchflow.cli import sarif as module
from dvc_branchflow.cli.sarif import sarif
from dvc_branchflow.model import Severity, Sha, Verdict, Violation
from dvc_branchflow.policy.catalog import RULES

GONE = Violation(
    code="raw-append-only",
    ref="raw",
    commit=Sha("a" * 40),
    path="data/raw/2013-01",
    found="lacks 2 entries",
    repair="put them back",
    author="Ann Other <ann@example.com>",
    when="2026-01-02T03:04:05+00:00",
)
MOVED = Violation("tag-moved", "refs/tags/m@v1.0.0", "was moved", "release a new version")
SILENT = replace(GONE, code="raw-source", severity=Severity.WARN, path="")

HOSTILE = [
    "../../etc/passwd",
    "/etc/passwd",
    "//host/share",
    "a/../../b",
    "./a/./b",
    "http://host/x",
    "javascript:alert(1)",
    "C:\\Windows\\x",
    "a\nb\r\tc\x1b[31m",
    "nul\x00",
    "Füße/データ/😀",
    "\u202egnp.exe",
    "not utf-8 \udcff\udc80",
    "lone \ud800 surrogate",
    "%2e%2e/%2fx",
    "a?b#c d\"e'<f>",
    "[click](http://host)",
]


def document(*violations: Violation, notes: tuple[str, ...] = ()) -> dict[str, Any]:
    text = sarif(Verdict(("raw",), 1, violations, notes))
    assert text.isascii()
    parsed = json.loads(text)
    check_shape(parsed)
    return parsed


def results(*violations: Violation) -> list[dict[str, Any]]:
    return document(*violations)["runs"][0]["results"]


def uri_of(path: str) -> str:
    place = results(replace(GONE, path=path))[0]["locations"][0]["physicalLocation"]
    return place["artifactLocation"]["uri"]


# --- The published shape, by hand: the schema's required keys, types and vocabularies ------------


def check_shape(log: dict[str, Any]) -> None:
    assert set(log) == {"$schema", "version", "runs"}
    assert urlsplit(log["$schema"]).path.endswith("/sarif-2.1.0.json")
    assert log["version"] == "2.1.0"
    assert len(log["runs"]) == 1
    for run in log["runs"]:
        assert set(run) == {"tool", "invocations", "results"}
        driver = run["tool"]["driver"]
        assert set(driver) == {"name", "version", "rules"}
        assert is_text(driver["name"])
        assert is_text(driver["version"])
        for rule in driver["rules"]:
            check_rule(rule)
        assert len({rule["id"] for rule in driver["rules"]}) == len(driver["rules"])
        for invocation in run["invocations"]:
            check_invocation(invocation)
        for result in run["results"]:
            check_result(result, driver["rules"])


def check_rule(rule: dict[str, Any]) -> None:
    assert set(rule) == {
        "id", "shortDescription", "fullDescription", "help", "defaultConfiguration",
    }  # fmt: skip
    assert is_text(rule["id"])
    for key in ("shortDescription", "fullDescription", "help"):
        assert set(rule[key]) == {"text"}
        assert is_text(rule[key]["text"])
        assert len(rule[key]["text"]) <= 1024  # GitHub cuts there
    assert rule["defaultConfiguration"]["level"] in {"none", "note", "warning", "error"}


def check_invocation(invocation: dict[str, Any]) -> None:
    assert set(invocation) == {"executionSuccessful", "toolExecutionNotifications"}
    assert invocation["executionSuccessful"] is True
    for notification in invocation["toolExecutionNotifications"]:
        assert notification["level"] in {"none", "note", "warning", "error"}
        assert is_text(notification["message"]["text"])


def check_result(result: dict[str, Any], rules: list[dict[str, Any]]) -> None:
    assert set(result) == {
        "ruleId", "ruleIndex", "level", "message", "locations", "partialFingerprints", "properties",
    }  # fmt: skip
    assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
    assert result["level"] in {"none", "note", "warning", "error"}
    assert is_text(result["message"]["text"])
    assert result["message"]["text"].isprintable()
    assert len(result["locations"]) == 1
    location = result["locations"][0]
    place = location["physicalLocation"]
    assert place["region"]["startLine"] >= 1
    check_uri(place["artifactLocation"]["uri"])
    assert all(is_text(item["name"]) for item in location["logicalLocations"])
    assert all(is_text(value) for value in result["partialFingerprints"].values())
    assert all(is_text(value) for value in result["properties"].values())


def check_uri(uri: str) -> None:
    """A relative reference by RFC 3986 that stays below whatever it is resolved against."""
    assert re.fullmatch(r"(?:[A-Za-z0-9._~/-]|%[0-9A-F]{2})+", uri)
    base = "https://forge/repo/blob/"
    assert urljoin(base, uri) == base + uri
    for decoded in (uri, unquote(uri, errors="strict")):
        assert not {"", ".", ".."} & set(decoded.split("/"))
    assert not uri.startswith("/")


def is_text(value: object) -> bool:
    return isinstance(value, str) and bool(value)


# --- Behaviour ----------------------------------------------------------------------------------


def test_an_empty_verdict_is_a_valid_run_without_results() -> None:
    run = document()["runs"][0]
    assert run["results"] == []
    assert run["tool"]["driver"]["rules"] == []
    assert run["tool"]["driver"]["version"] == __version__


def test_only_rules_that_occur_are_listed_in_the_order_of_the_catalog() -> None:
    rules = document(MOVED, SILENT, GONE, GONE)["runs"][0]["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == ["raw-append-only", "raw-source", "tag-moved"]
    known = RULES["raw-append-only"]
    assert rules[0]["shortDescription"]["text"] == known.says
    assert rules[0]["fullDescription"]["text"] == known.why
    assert rules[0]["help"]["text"] == known.repair


@pytest.mark.parametrize("code", RULES)
def test_every_rule_of_the_catalog_has_the_shape(code: str) -> None:
    assert document(replace(GONE, code=code))["runs"][0]["results"][0]["ruleId"] == code


def test_a_result_says_where_what_and_how_to_repair() -> None:
    result = results(GONE)[0]
    assert result["message"]["text"] == (
        "raw aaaaaaaaaa: data/raw/2013-01 lacks 2 entries. To repair: put them back"
    )
    assert result["locations"][0]["logicalLocations"][0]["name"] == "raw"
    assert uri_of("data/raw/2013-01") == "data/raw/2013-01"
    assert result["properties"] == {
        "commit": "a" * 40,
        "author": "Ann Other <ann@example.com>",
        "when": "2026-01-02T03:04:05+00:00",
    }


def test_a_violation_without_commit_and_path_points_at_the_config() -> None:
    result = results(MOVED)[0]
    place = result["locations"][0]["physicalLocation"]["artifactLocation"]
    assert place == {"uri": "branchflow.yaml"}
    assert result["properties"] == {}
    assert result["message"]["text"].startswith("refs/tags/m@v1.0.0: was moved. ")


def test_severities_are_levels() -> None:
    assert [result["level"] for result in results(GONE, SILENT)] == ["error", "warning"]


def test_the_same_verdict_gives_the_same_document() -> None:
    verdict = Verdict(("raw",), 2, (GONE, MOVED), ("a note",))
    assert sarif(verdict) == sarif(verdict)


def test_fingerprints_stay_when_the_words_change() -> None:
    told = replace(
        GONE, found="otherwise", repair="else", author="", when="", severity=Severity.WARN
    )
    assert fingerprints(GONE) == fingerprints(told)


@pytest.mark.parametrize(
    "other",
    [
        replace(GONE, code="raw-source"),
        replace(GONE, ref="raw2"),
        replace(GONE, commit=Sha("b" * 40)),
        replace(GONE, commit=None),
        replace(GONE, path="data/raw/2013-02"),
        replace(GONE, ref="rawdata", path="/raw/2013-01"),
    ],
)
def test_fingerprints_differ_where_the_place_does(other: Violation) -> None:
    mine, theirs = fingerprints(GONE), fingerprints(other)
    assert all(mine[key] != theirs[key] for key in mine)


def test_two_finds_at_one_place_are_two_alerts() -> None:
    found = results(GONE, replace(GONE, found="holds a link"))
    assert len({result["partialFingerprints"]["primaryLocationLineHash"] for result in found}) == 2
    assert len({result["partialFingerprints"]["branchflow/v1"] for result in found}) == 1


def fingerprints(violation: Violation) -> dict[str, str]:
    return results(violation)[0]["partialFingerprints"]


@pytest.mark.parametrize("path", HOSTILE)
def test_hostile_paths_lead_nowhere(path: str) -> None:
    uri_of(path)  # whose shape is checked


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_shown_and_does_nothing(text: str) -> None:
    evil = Violation(
        "ref-name", text, text, text, path=text, author=text, when="2026-01-02T03:04:05+00:00"
    )
    result = document(evil, notes=(text,))["runs"][0]["results"][0]
    strings = json.dumps(result, ensure_ascii=False)
    assert strings.isprintable()
    assert not re.search(r"(?<!\\)[\[\]]", result["message"]["text"])


def test_plain_paths_are_readable_again() -> None:
    for path in ("data/raw/2013-01", "a b/c+d@e", "Füße/データ/😀.csv", "100%.txt"):
        assert unquote(uri_of(path)) == path


def test_different_hostile_paths_are_different_alerts() -> None:
    found = [replace(GONE, path=path) for path in ("x\udcff", "x\udcfe", "x\ufffd")]
    assert len({fingerprints(violation)["branchflow/v1"] for violation in found}) == 3


def test_notes_are_notifications() -> None:
    run = document(notes=("no flow here",))["runs"][0]
    notes = run["invocations"][0]["toolExecutionNotifications"]
    assert [note["message"]["text"] for note in notes] == ["no flow here"]


def test_more_than_a_forge_takes_is_left_out_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_RESULTS", 2)
    run = document(GONE, GONE, GONE, MOVED)["runs"][0]
    assert len(run["results"]) == 2
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["raw-append-only"]
    note = run["invocations"][0]["toolExecutionNotifications"][0]["message"]["text"]
    assert note.startswith("2 further violations ")
