from __future__ import annotations

from dataclasses import replace

import pytest

from dvc_branchflow import manifest
from dvc_branchflow.channels import Kind, parse_gto_tag
from dvc_branchflow.config import parse_config
from dvc_branchflow.errors import ConfigError
from dvc_branchflow.flow import describe_all
from dvc_branchflow.manifest import Entry, manifest_oid, render
from dvc_branchflow.model import (
    Branch,
    LockedStage,
    Oid,
    Out,
    Pins,
    Role,
    Sample,
    Severity,
    Sha,
    Violation,
)
from dvc_branchflow.policy.any_branch import is_hostile, judge_paths
from dvc_branchflow.policy.catalog import RULES
from dvc_branchflow.policy.derived import side_of
from dvc_branchflow.policy.facts import (
    CommitFacts,
    Held,
    PathChange,
    Pinned,
    Promoted,
    RefFacts,
    TagFacts,
)
from dvc_branchflow.policy.judge import judge_commit, needed_manifests, settle
from dvc_branchflow.policy.moves import MAX_REFS, judge_number, judge_ref
from dvc_branchflow.policy.places import place
from dvc_branchflow.sampling import sampled

CONFIG = {
    "branches": {
        "main": {"role": "main"},
        "raw": {"rules": {"raw-source": "warn"}},
        "clean": None,
        "split": None,
        "dev/*": {"sample": 0.5},
        "stable/*": None,
        "monitor/prod": {"role": "monitor", "data": "data/monitor"},
        "analysis/*": {"from": ["raw", "monitor/prod"]},
    }
}
NAMES = ("main", "raw", "clean", "split", "dev/x", "stable/x", "monitor/prod", "analysis/a")
SPECS = describe_all(parse_config(CONFIG), NAMES)
OWNERS = {name: spec.data for name, spec in SPECS.items() if spec.data}
A, B, C = (Oid(letter * 32) for letter in "abc")
SHA, PIN, OTHER = (Sha(letter * 40) for letter in "123")
NONE = {"Source": (), "Reason": ()}
SOURCED = {"Source": ("the CRM",), "Reason": ()}


def folder(path: str, **files: Oid) -> tuple[Out, dict[Oid, bytes]]:
    """A directory out and its manifest; `a__b` stands for `a/b`."""
    body = render(Entry(name.replace("__", "/"), oid) for name, oid in files.items())
    oid = manifest_oid(body)
    return Out(path, oid, 1, len(files)), {oid: body}


def held(*outs: Out, pins: Pins | None = None, **fields: object) -> Held:
    listed = {out.path: out for out in outs}
    return Held(outs=listed, pointed=listed, pins=pins or Pins(), **fields)  # type: ignore[arg-type]


def facts(now: Held, *before: Held, **fields: object) -> CommitFacts:
    base = CommitFacts(
        sha=SHA, parents=tuple(PIN for _ in before), trailers=NONE, changed=(), held=now,
        parents_held=before, follows=bool(before),
    )  # fmt: skip
    return replace(base, **fields)  # type: ignore[arg-type]


def broken(branch: str, one: CommitFacts, manifests: dict[Oid, bytes] | None = None) -> list[str]:
    found = judge_commit(SPECS[Branch(branch)], one, OWNERS, manifests or {})
    return [f"{v.code} {v.path}".strip() for v in found]


# -- raw, monitor ------------------------------------------------------------------------------


def test_raw_takes_new_partitions_and_new_entries() -> None:
    old, m1 = folder("data/raw/1", a=A)
    new, m2 = folder("data/raw/1", a=A, b=B)
    more, m3 = folder("data/raw/2", c=C)
    one = facts(held(new, more), held(old), trailers=SOURCED)
    assert broken("raw", one, {**m1, **m2, **m3}) == []


@pytest.mark.parametrize(
    ("now", "path"),
    [
        ({"b": B}, "data/raw/1/a"),  # gone
        ({"a": B, "b": B}, "data/raw/1/a"),  # changed
        ({"aa": A, "b": B}, "data/raw/1/a"),  # renamed
    ],
)
@pytest.mark.parametrize("branch", ["raw", "monitor/prod"])
def test_an_entry_that_goes_or_changes_is_named(
    branch: str, now: dict[str, Oid], path: str
) -> None:
    data = OWNERS[Branch(branch)]
    old, m1 = folder(f"{data}/1", a=A, b=B)
    new, m2 = folder(f"{data}/1", **now)
    role = SPECS[Branch(branch)].role
    one = facts(held(new), held(old), trailers=SOURCED)
    named = path.replace("data/raw", str(data))
    assert broken(branch, one, m1 | m2)[0] == f"{role}-append-only {named}"


def test_an_entry_cannot_be_hidden_by_a_second_one_of_its_name() -> None:
    old, m1 = folder("data/raw/1", a=A)
    body = render([Entry("a", A)])[:-1] + b', {"md5": "' + B.encode() + b'", "relpath": "a"}]'
    new = Out("data/raw/1", manifest_oid(body))
    one = facts(held(new), held(old), trailers=SOURCED)
    assert broken("raw", one, {**m1, new.oid: body}) == ["raw-append-only data/raw/1/a"]


def test_a_manifest_out_of_order_is_refused() -> None:
    body = (
        b'[{"md5": "'
        + B.encode()
        + b'", "relpath": "b"}, {"md5": "'
        + A.encode()
        + b'", "relpath": "a"}]'
    )
    new = Out("data/raw/1", manifest_oid(body))
    one = facts(held(new), held(), trailers=SOURCED)
    assert broken("raw", one, {new.oid: body}) == ["bad-metadata data/raw/1"]


def test_an_entry_of_a_manifest_may_not_lead_outside() -> None:
    new, m = folder("data/raw/1", **{"..__x": A})
    one = facts(held(new), held(), trailers=SOURCED)
    assert broken("raw", one, m) == ["hostile-path data/raw/1"]


@pytest.mark.parametrize("now", [(), (Out("data/raw/1", B),)])
def test_an_out_that_goes_or_becomes_a_file_is_named(now: tuple[Out, ...]) -> None:
    old, m = folder("data/raw/1", a=A)
    one = facts(held(*now), held(old), trailers=SOURCED)
    assert broken("raw", one, m) == ["raw-append-only data/raw/1"]


def test_data_needs_its_source_and_a_plain_merge_does_not() -> None:
    base, m0 = folder("data/raw/1", a=A)
    mine, m1 = folder("data/raw/1", a=A, b=B)
    theirs, m2 = folder("data/raw/1", a=A, c=C)
    both, m3 = folder("data/raw/1", a=A, b=B, c=C)
    manifests = {**m0, **m1, **m2, **m3}
    assert broken("raw", facts(held(mine), held(base)), manifests) == ["raw-source"]
    assert broken("raw", facts(held(both), held(mine), held(theirs)), manifests) == []
    evil, m4 = folder("data/raw/1", a=A, b=B, c=C, d=A)
    merge = facts(held(evil), held(mine), held(theirs))
    assert broken("raw", merge, manifests | m4) == ["raw-source"]


def test_a_merge_keeps_what_each_parent_has() -> None:
    mine, theirs = Out("data/raw/1", A), Out("data/raw/2", B)
    one = facts(held(mine), held(mine), held(theirs))
    assert broken("raw", one) == ["raw-append-only data/raw/2"]


def test_no_stage_runs_on_raw() -> None:
    now = held(pipelines=("dvc.yaml",))
    one = facts(now, held(), changed=(PathChange("dvc.yaml", "100644"),))
    assert broken("raw", one) == ["raw-no-pipeline dvc.yaml"]


# -- pins --------------------------------------------------------------------------------------

RAW = Out("data/raw/1", A)
PINS = Pins({Branch("raw"): PIN})


def pinned(*outs: Out, **fields: object) -> dict[Branch, Pinned]:
    one = Pinned(PIN, True, True, {out.path: out for out in outs})  # noqa: FBT003
    return {Branch("raw"): replace(one, **fields)}  # type: ignore[arg-type]


def test_a_true_pin_is_accepted() -> None:
    one = facts(held(RAW, pins=PINS), held(), pinned=pinned(RAW))
    assert broken("clean", one) == []


@pytest.mark.parametrize(
    ("now", "behind", "path"),
    [
        (held(RAW), {}, "data/raw/1"),  # data that no pin names
        (held(RAW, pins=PINS), pinned(Out("data/raw/1", B)), "data/raw/1"),
        (held(RAW, pins=PINS), pinned(RAW, Out("data/raw/2", B)), "data/raw/2"),
        (held(RAW, Out("data/raw/2", B), pins=PINS), pinned(RAW), "data/raw/2"),
        (held(RAW, pins=PINS), pinned(RAW, is_on_upstream=False), "pins.yaml"),
        (held(RAW, pins=PINS), pinned(RAW, published=None), "pins.yaml"),
        (held(RAW, pins=PINS), pinned(RAW, is_in_history=False), "pins.yaml"),
        (
            held(RAW, pins=Pins(PINS.commits, {Branch("raw"): Sample(0.5, "k")})),
            pinned(RAW),
            "pins.yaml",
        ),
    ],
)
def test_a_pin_that_lies_is_named(now: Held, behind: dict[Branch, Pinned], path: str) -> None:
    assert broken("clean", facts(now, held(), pinned=behind)) == [f"pins-true {path}"]


def test_what_was_judged_before_is_not_judged_again() -> None:
    now = held(RAW, pins=PINS)
    assert broken("clean", facts(now, now, pinned=pinned(published=None))) == []
    first = facts(now, now, pinned=pinned(published=None), follows=False)
    assert broken("clean", first) == ["pins-true pins.yaml"]


def test_a_sample_has_to_be_the_one_that_its_key_makes() -> None:
    full, m1 = folder("data/split/1", **{f"f{n}": A for n in range(8)})
    sample = Sample(0.5, "dev/x")
    chosen = sampled(manifest.entries(m1[full.oid]), sample)
    part, m2 = folder("data/split/1", **{entry.relpath: entry.oid for entry in chosen})
    wrong, m3 = folder("data/split/1", f0=A, f1=A)
    split = Branch("split")
    pins = Pins({split: PIN}, {split: sample})
    behind = {split: Pinned(PIN, True, True, {full.path: full})}  # noqa: FBT003
    good = facts(held(part, pins=pins), held(), pinned=behind)
    assert [out.oid for _, out in needed_manifests(SPECS[Branch("dev/x")], good, OWNERS)] == [
        full.oid
    ]
    assert broken("dev/x", good, m1 | m2) == []
    assert broken("dev/x", facts(held(wrong, pins=pins), held(), pinned=behind), m1 | m3) == [
        "pins-true data/split/1"
    ]


def test_a_dev_branch_holds_no_more_than_its_sample() -> None:
    full, m = folder("data/split/1", a=A)
    split = Branch("split")
    behind = {split: Pinned(PIN, True, True, {full.path: full})}  # noqa: FBT003
    whole = held(full, pins=Pins({split: PIN}))
    assert broken("dev/x", facts(whole, held(), pinned=behind)) == ["dev-sample data/split"]
    large = held(full, pins=Pins({split: PIN}, {split: Sample(0.9, "k")}))
    assert broken("dev/x", facts(large, held(), pinned=behind), m) == ["dev-sample data/split"]
    copy = replace(full, path="data/mine")
    small = held(full, copy, pins=Pins({split: PIN}, {split: Sample(0.5, "k")}))
    assert broken("dev/x", facts(small, held(), pinned=behind), m) == ["dev-sample data/mine"]


def test_stages_have_read_what_is_pinned() -> None:
    stage = LockedStage("clean", {"data/raw/1": B}, {}, {})
    now = held(RAW, pins=PINS, stages=(stage,))
    assert broken("clean", facts(now, held(), pinned=pinned(RAW))) == ["inputs-true data/raw/1"]
    assert broken("clean", facts(now, held(stages=(stage,)), pinned=pinned(RAW))) == []


# -- outs, clean, split ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("branch", "path"),
    [
        ("dev/x", "data/raw/x"),
        ("raw", "data/clean/x"),
        ("main", "data/split"),
        ("clean", "data/monitor/1"),
    ],
)
def test_an_out_below_another_branchs_path_is_refused(branch: str, path: str) -> None:
    out = Out(path, A)
    found = broken(branch, facts(held(out), held(), trailers=SOURCED))
    assert f"outs-at-home {path}" in found


def test_a_stage_may_not_write_where_an_upstream_publishes() -> None:
    out = Out("data/raw/made", B)
    now = Held(outs={out.path: out, RAW.path: RAW}, pointed={RAW.path: RAW}, pins=PINS)
    found = broken("clean", facts(now, held(), pinned=pinned(RAW)))
    assert "outs-at-home data/raw/made" in found


def clean_facts(report: object) -> CommitFacts:
    raw = Out("data/raw/1", DIR, 1, 2)
    stage = LockedStage(
        "clean",
        {"data/raw/1": DIR},
        {},
        {"data/clean/1": Out("data/clean/1", A), "r.json": Out("r.json", B)},
    )
    now = Held(outs={raw.path: raw}, pointed={raw.path: raw}, pins=PINS, stages=(stage,))
    return facts(now, now, reports={"r.json": report})


DIR = Oid("d" * 32 + ".dir")


@pytest.mark.parametrize(
    "report",
    [
        {"rows": 10, "kept": 8, "rejected": 1},
        {"files": 2, "files_kept": 1, "files_rejected": 0},
        {"files": 3, "files_kept": 3, "files_rejected": 0},  # raw has 2
        {"rejected": 2, "files_rejected": 0, "reasons": {"missing": 1}},
    ],
)
def test_counts_that_do_not_add_up_are_named(report: dict[str, object]) -> None:
    assert broken("clean", clean_facts(report)) == ["clean-accounts r.json"]


@pytest.mark.parametrize(
    "report",
    [
        {},
        {"rows": 10, "kept": 9},
        {
            "rows": 10, "kept": 9, "rejected": 1, "files": 2, "files_kept": 2, "files_rejected": 0,
            "reasons": {"missing": 1},
        },
    ],
)  # fmt: skip
def test_counts_that_add_up_are_accepted(report: dict[str, object]) -> None:
    assert broken("clean", clean_facts(report)) == []


@pytest.mark.parametrize(
    ("path", "side"),
    [
        ("p/train/a.png", "train"), ("test.csv", "test"), ("p/validation.csv", "validation"),
        ("p/other/a", None), ("training/a", None), ("train", "train"),
    ],
)  # fmt: skip
def test_a_side_is_a_folder_or_a_files_stem(path: str, side: str | None) -> None:
    assert side_of(path) == side


def split_facts(now: Out, before: Out, **fields: object) -> CommitFacts:
    return facts(held(now), held(before), **fields)


def test_no_content_stands_on_two_sides() -> None:
    old, m1 = folder("data/split/1", train__a=A)
    new, m2 = folder("data/split/1", train__a=A, test__b=A)
    assert broken("split", split_facts(new, old), m1 | m2) == [
        "split-disjoint data/split/1/train/a"
    ]


def test_no_sample_changes_side() -> None:
    old, m1 = folder("data/split/1", train__a=A, test__b=B)
    new, m2 = folder("data/split/1", train__b=B, train__a=A)
    assert broken("split", split_facts(new, old), m1 | m2) == ["split-stays data/split/1/train/b"]


def test_growth_and_moves_within_a_side_are_accepted() -> None:
    old, m1 = folder("data/split/1", train__a=A)
    new, m2 = folder("data/split/1", train__z=A, test__b=B, validation__c=C)
    assert broken("split", split_facts(new, old), m1 | m2) == []


def test_a_side_without_rows_is_no_content() -> None:
    old, m1 = folder("data/split/1", train__a=A)
    new, m2 = folder("data/split/1", train__a=A, test__0=B, validation__0=B)
    stage = LockedStage("split", {}, {}, {"data/split/1": new, "r.json": Out("r.json", C)})
    now = Held(outs={new.path: new}, pointed={}, stages=(stage,))
    one = facts(now, held(old), reports={"r.json": {"test": {"rows": 0}, "train": {"rows": 3}}})
    assert broken("split", one, m1 | m2) == []


def test_a_leak_that_the_branchs_own_checks_found_stops_it() -> None:
    out, m = folder("data/split/1", train__a=A)
    pair = {
        "check": "near",
        "a": {"side": "train", "id": "p/1"},
        "b": {"side": "test", "id": "p/2"},
    }
    report = {"leaks": 2, "pairs": [pair, "?"]}
    one = facts(held(out), held(out), reports={"reports/leaks.json": report})
    found = judge_commit(SPECS[Branch("split")], one, OWNERS, m)
    assert [(v.code, v.path) for v in found] == [("split-leak-free", "reports/leaks.json")]
    assert "near: train p/1 and test p/2" in found[0].found
    for fine in ({"leaks": 0}, {"leaks": "many"}, {}):
        one = facts(held(out), held(out), reports={"reports/leaks.json": fine})
        assert not judge_commit(SPECS[Branch("split")], one, OWNERS, m)


# -- code --------------------------------------------------------------------------------------


def test_stable_code_is_that_of_the_promoted_commit() -> None:
    good = Promoted(OTHER, is_known=True)
    assert broken("stable/x", facts(held(), held(), promoted=good)) == []
    assert broken("stable/x", facts(held(), held())) == ["stable-code"]
    unknown = Promoted(OTHER, is_known=False)
    assert broken("stable/x", facts(held(), held(), promoted=unknown)) == ["stable-code"]
    edited = Promoted(OTHER, is_known=True, differs=("train.py",), odd=("metrics.json",))
    assert broken("stable/x", facts(held(), held(), promoted=edited)) == [
        "stable-code train.py", "stable-code metrics.json",
    ]  # fmt: skip


def test_main_takes_no_outs_and_is_not_blamed_for_old_ones() -> None:
    out = Out("model.bin", A)
    assert broken("main", facts(held(out), held())) == ["main-no-outs model.bin"]
    assert broken("main", facts(held(out), held(out))) == []


def test_dev_holds_no_model_of_its_own_making_by_hand() -> None:
    out = Out("models/x.bin", A)
    one = facts(held(out), held(), stable_outs=frozenset({"models/x.bin"}))
    assert broken("dev/x", one) == ["dev-stable-outs models/x.bin"]


def test_a_plan_comes_before_its_data_and_stays() -> None:
    data = held(RAW, pins=PINS)
    planned = held(has_plan=True)
    both = held(RAW, pins=PINS, has_plan=True)
    behind = pinned(RAW)
    late = broken("analysis/a", facts(data, held(), pinned=behind))
    together = broken("analysis/a", facts(both, held(), pinned=behind))
    assert late == together == ["analysis-plan experiment.yaml"]
    assert broken("analysis/a", facts(both, planned, pinned=behind)) == []
    changed = (PathChange("experiment.yaml", "100644"),)
    assert broken("analysis/a", facts(both, both, changed=changed, pinned=behind)) == [
        "analysis-plan experiment.yaml"
    ]
    reasoned = {"Source": (), "Reason": ("typo",)}
    one = facts(both, both, changed=changed, pinned=behind, trailers=reasoned)
    assert broken("analysis/a", one) == []


# -- every branch ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (PathChange("big", "100644", 6 * 1024 * 1024), "big-file-in-git"),
        (PathChange("a", "100644", 130, is_lfs=True), "lfs-pointer"),
        (PathChange("a/.GIT/config", "100644"), "hostile-path"),
        (PathChange("a\nb", "100644"), "hostile-path"),
        (PathChange("GIT~1/x", "100644"), "hostile-path"),
        (PathChange(".g\u200cit/x", "100644"), "hostile-path"),
    ],
)
def test_what_no_branch_takes(change: PathChange, code: str) -> None:
    assert [v.code for v in judge_paths([change])] == [code]
    assert not list(judge_paths([replace(change, mode=None)]))


@pytest.mark.parametrize(
    "path", [".github/a", ".gitignore", "a/.gitattributes", "ä ö/ü.py", "x.git"]
)
def test_plain_paths_are_taken(path: str) -> None:
    assert not is_hostile(path)


def test_metadata_that_cannot_be_read_is_named_where_it_changes() -> None:
    now = held(problems={"a.dvc": "no"})
    changed = (PathChange("a.dvc", "100644"),)
    assert broken("clean", facts(now, held(), changed=changed)) == ["bad-metadata a.dvc"]
    assert broken("clean", facts(now, now)) == []


# -- refs --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("branch", "move", "codes"),
    [
        ("raw", RefFacts("refs/heads/raw", PIN, SHA), []),
        ("raw", RefFacts("refs/heads/raw", PIN, SHA, is_forward=False), ["ref-rewritten"]),
        ("raw", RefFacts("refs/heads/raw", PIN, None), ["ref-deleted"]),
        ("stable/x", RefFacts("refs/heads/stable/x", PIN, None), ["ref-deleted"]),
        ("dev/x", RefFacts("refs/heads/dev/x", PIN, None), []),
        ("dev/x", RefFacts("refs/heads/dev/x", PIN, SHA, is_forward=False), []),
        ("dev/x", RefFacts("refs/heads/dev/$(x)", None, SHA), ["ref-name"]),
        (None, RefFacts("refs/heads/a;b", None, SHA), ["ref-name"]),
        (None, RefFacts("refs/heads/-x", None, SHA), ["ref-name"]),
        (None, RefFacts("refs/heads/HEAD", None, SHA), ["ref-name"]),
        (None, RefFacts("refs/heads/Raw", None, SHA, clash="raw"), ["ref-name"]),
        (None, RefFacts("refs/heads/feature/ä-1.2+x@y#3", None, SHA), []),
        (None, RefFacts("refs/heads/a;b", PIN, None), []),
        (None, RefFacts("refs/exps/12/abc/name", None, SHA), []),
        (None, RefFacts("refs/tags/x@v1.0.0", PIN, SHA), ["tag-moved"]),
        (None, RefFacts("refs/tags/x@v1.0.0", PIN, None), ["tag-moved"]),
        (None, RefFacts("refs/tags/x#prod#1", PIN, None), ["tag-moved"]),
        (None, RefFacts("refs/tags/x#prod", PIN, SHA), ["tag-moved"]),
        (None, RefFacts("refs/tags/x#prod!#2", PIN, None), ["tag-moved"]),
        (None, RefFacts("refs/tags/x@deprecated", PIN, None), ["tag-moved"]),
        (None, RefFacts("refs/tags/x@v2.0.0-rc.1", PIN, SHA), ["tag-moved"]),
        (None, RefFacts("refs/tags/x#prod!#2", None, SHA), []),
        (None, RefFacts("refs/tags/x#prod!!#2", None, SHA), ["ref-name"]),
        (None, RefFacts("refs/heads/x#prod!#2", None, SHA), ["ref-name"]),
        (None, RefFacts("refs/tags/nightly", PIN, SHA), []),
    ],
)
def test_which_refs_may_move_how(branch: str | None, move: RefFacts, codes: list[str]) -> None:
    spec = SPECS[Branch(branch)] if branch else None
    assert [v.code for v in judge_ref(move, spec, [])] == codes


@pytest.mark.parametrize(
    ("fields", "is_true"),
    [
        ({}, True),
        ({"name": None}, False),
        ({"name": "y@v1.0.0"}, False),
        ({"is_of_commit": False}, False),
        ({"is_on_stable": False}, False),
        ({"stable": (), "is_on_stable": False, "name": None}, True),  # no model of the flow
        ({"held": held(RAW, stages=(LockedStage("s", {"data/raw/1": B}, {}, {}),))}, False),
    ],
)
def test_a_release_tag_is_annotated_and_on_stable(fields: dict[str, object], is_true: bool) -> None:  # noqa: FBT001
    tag = gto_tag(Kind.REGISTRATION, "x@v1.0.0", is_on_stable=True, held=held(RAW))
    move = RefFacts("refs/tags/x@v1.0.0", None, SHA, tag=replace(tag, **fields))  # type: ignore[arg-type]
    codes = {v.code for v in judge_ref(move, None, ["data/raw"])}
    assert (codes & {"tag-true", "inputs-true"} == set()) is is_true


def test_a_version_is_released_once() -> None:
    """GTO reads it as the same version, and DVC takes the later of the two tags."""
    tag = gto_tag(Kind.REGISTRATION, "x@v1.0.0#2", is_on_stable=True, held=held(RAW))
    found = list(judge_ref(RefFacts("refs/tags/x@v1.0.0#2", None, SHA, tag=tag), None, []))
    assert [(v.code, v.found) for v in found] == [
        ("tag-true", "names the version of 'x@v1.0.0' a second time")
    ]


@pytest.mark.parametrize("name", ["x#prod#1", "x#prod!#2", "x@v1.0.0!#3", "x@deprecated"])
@pytest.mark.parametrize(
    ("fields", "is_true"),
    [
        ({}, True),
        ({"name": None}, False),
        ({"name": "y#prod#1"}, False),
        ({"is_of_commit": False}, False),
        ({"is_released": False}, False),
        ({"stable": (), "is_released": False, "name": None}, True),
    ],
)
def test_what_becomes_of_a_release_is_said_of_a_release(
    name: str, fields: dict[str, object], *, is_true: bool
) -> None:
    parsed = parse_gto_tag(name)
    assert parsed is not None
    tag = replace(gto_tag(parsed.kind, name, is_released=True), **fields)  # type: ignore[arg-type]
    found = [v.code for v in judge_ref(RefFacts(f"refs/tags/{name}", None, SHA, tag=tag), None, [])]
    assert found == ([] if is_true else ["channel-true"])


def gto_tag(kind: Kind, name: str, **fields: object) -> TagFacts:
    return TagFacts(kind, name, True, (Branch("stable/x"),), **fields)  # type: ignore[arg-type]  # noqa: FBT003


def test_a_bounded_number_of_refs_moves_at_once() -> None:
    assert not list(judge_number(MAX_REFS))
    assert [v.code for v in judge_number(MAX_REFS + 1)] == ["too-many-refs"]


# -- severities, catalog -----------------------------------------------------------------------


def test_severity_comes_from_the_config_and_the_first_of_a_kind_is_told() -> None:
    one = Violation("raw-source", "raw", "adds data", "", commit=SHA)
    found = settle([one, replace(one, commit=PIN)], {"raw": SPECS[Branch("raw")]})
    assert [(v.severity, v.commit) for v in found] == [(Severity.WARN, SHA)]
    assert found[0].repair


@pytest.mark.parametrize(
    ("rules", "why"),
    [
        ({"raw-sauce": "off"}, "did you mean 'raw-source'"),
        ({"raw-source": "loud"}, "none of: error, warn, off"),
        ({"bad-metadata": "off"}, "can't be turned down"),
        ({"pins-true": "off"}, "no key that we know"),  # does not bind raw
        (["raw-source"], "has to map"),
    ],
)
def test_a_severity_that_makes_no_sense_is_refused(rules: object, why: str) -> None:
    with pytest.raises(ConfigError, match=why):
        parse_config({"branches": {"raw": {"rules": rules}}})


def test_every_role_has_rules_and_every_rule_is_explained() -> None:
    assert {role for rule in RULES.values() for role in rule.roles} == set(Role)
    assert all(rule.says and rule.why and rule.repair for rule in RULES.values())


@pytest.mark.parametrize(
    ("branch", "path", "code"),
    [
        ("main", "data/raw/x.dvc", "outs-at-home"),
        ("main", "docs/problem.md", ""),
        ("main", "model.dvc", "main-no-outs"),
        ("raw", "data/raw/x.dvc", ""),
        ("raw", "dvc.yaml", "raw-no-pipeline"),
        ("dev/x", "data/split/x", "outs-at-home"),
        ("dev/x", "src/train.py", ""),
        ("stable/x", "src/train.py", "stable-code"),
        ("dev/x", "a/../b", "hostile-path"),
    ],
)
def test_why_a_path_may_not_go_somewhere(branch: str, path: str, code: str) -> None:
    assert place(SPECS[Branch(branch)], path, OWNERS).code == code
