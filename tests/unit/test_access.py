from __future__ import annotations

from typing import Any

import pytest

from dvc_branchflow.access.findings import Finding, Use, judge, roles_on
from dvc_branchflow.access.lifecycle import harmful, mended, read_rules
from dvc_branchflow.access.policies import User, bucket_policy, iam_policy
from dvc_branchflow.config import parse_config
from dvc_branchflow.model import Role
from dvc_branchflow.probed import Ability, Answer, Fact, Probed

BASE = "team/dvc/"


def probed(lifecycle: list[dict[str, Any]] | None = None, **answers: Answer) -> Probed:
    """A bucket that can all, but for what is named."""
    facts = {
        ability: Fact(ability, answers.get(ability.name, Answer.YES), "so") for ability in Ability
    }
    return Probed(facts, lifecycle)


def use(user: User = User.ADMIN, *, forever: tuple[Role, ...] = (Role.RAW,)) -> Use:
    return Use("acme", BASE, (Role.RAW, Role.DEV), forever, user)


def codes(found: tuple[Finding, ...], weight: str) -> set[str]:
    return {one.code for one in found if one.weight == weight}


@pytest.mark.parametrize(
    ("user", "missing"),
    [
        (User.READER, {"no-list", "no-get"}),
        (User.WRITER, {"no-list", "no-get", "no-put"}),
        (User.ADMIN, {"no-list", "no-get", "no-put", "no-delete", "no-delete-old-versions"}),
    ],
)
def test_each_user_is_asked_for_just_what_he_needs(user: User, missing: set[str]) -> None:
    no = Answer.NO
    found = judge(probed(LIST=no, GET=no, PUT=no, DELETE=no, OLD_VERSIONS=no), use(user))
    assert codes(found, "missing") == missing
    unknown = Answer.UNKNOWN
    found = judge(probed(LIFECYCLE=unknown, VERSIONS=unknown, LOCK=unknown, GET=unknown), use(user))
    assert not codes(found, "missing")
    settings = {"no-lifecycle", "no-versioning", "no-object-lock"} if user is User.ADMIN else set()
    assert codes(found, "unknown") == {"no-get"} | settings


def test_old_versions_are_nobodys_where_there_are_none() -> None:
    found = judge(probed(VERSIONS=Answer.NO, OLD_VERSIONS=Answer.NO), use())
    assert codes(found, "missing") == set()
    assert "no-versions" in codes(found, "advice")


def test_where_nothing_is_known_one_line_says_so() -> None:
    facts = {ability: Fact(ability, Answer.UNKNOWN, "no way there") for ability in Ability}
    (found,) = judge(Probed(facts), use())
    assert (found.code, found.weight, found.why) == ("unreachable", "unknown", "no way there")


def rule(prefix: str | None = "", **more: Any) -> dict[str, Any]:
    chosen = {} if prefix is None else {"Filter": {"Prefix": prefix}}
    return {"ID": "r", "Status": "Enabled", **chosen, **more}


DELETES = {"Expiration": {"Days": 30}}
HASTY = {"NoncurrentVersionExpiration": {"NoncurrentDays": 3}}


@pytest.mark.parametrize(
    ("told", "harms"),
    [
        (rule(**DELETES), True),
        (rule("team/", **DELETES), True),
        (rule("team/dvc/files/md5/00", **DELETES), True),
        (rule("team/dvc/branchflow/leases/", **DELETES), True),
        (rule(None, Prefix="team/", **DELETES), True),
        (rule(None, Filter={"And": {"Prefix": "team/", "ObjectSizeGreaterThan": 9}}, **DELETES), True),
        (rule("team/dvc-old/", **DELETES), False),
        (rule("team/dvc/runs/", **DELETES), False),
        (rule(None, Filter={"Tag": {"Key": "a", "Value": "b"}}, **DELETES), False),
        (rule(None, Filter={"And": {"Prefix": "", "Tags": [{"Key": "a"}]}}, **DELETES), False),
        (rule(**DELETES) | {"Status": "Disabled"}, False),
        (rule(Expiration={"Date": "2030-01-01T00:00:00Z"}), True),
        (rule(Expiration={"ExpiredObjectDeleteMarker": True}), False),
        (rule(Transitions=[{"Days": 1, "StorageClass": "GLACIER"}]), True),
        (rule(Transitions=[{"Days": 1, "StorageClass": "STANDARD_IA"}]), False),
        (rule(**HASTY), True),
        (rule("logs/", **HASTY), False),
        (rule(NoncurrentVersionExpiration={"NoncurrentDays": 90}), False),
    ],
)  # fmt: skip
def test_rules_that_reach_dvcs_objects_are_told_from_others(
    told: dict[str, Any], *, harms: bool
) -> None:
    assert any(harmful(one, BASE) for one in read_rules([told])) is harms
    found = codes(judge(probed([told]), use()), "missing")
    assert bool(found) is harms
    assert {code.partition("-")[0] for code in found} <= {"lifecycle"}
    after = mended([told], BASE, has_versions=True)["Rules"]
    assert not [one for one in read_rules(after) if harmful(one, BASE)]
    assert not judge(probed(after), use())
    assert mended(after, BASE, has_versions=True)["Rules"] == after
    assert len({"Filter" in one for one in after}) == 1


def test_a_finding_names_the_roles_that_keep_their_data() -> None:
    told = [rule(**DELETES)]
    (first, *_) = judge(probed(told), use())
    assert first.what == "lifecycle rule 'r' deletes DVC's objects after 30 days"
    assert first.why == "branchflow.yaml keeps raw for ever"
    (first, *_) = judge(probed(told), use(forever=()))
    assert first.why == "commits of raw, dev need them however old they are"


def test_roles_are_those_whose_outs_go_there() -> None:
    config = parse_config(
        {"branches": {"raw": {"remote": "Cold"}, "clean": None, "split": None, "dev/*": None}}
    )
    assert roles_on(config, "cold", "store") == (Role.RAW,)
    assert roles_on(config, "store", "store") == (Role.CLEAN, Role.SPLIT, Role.DEV)
    assert roles_on(config, "store", None) == ()


def test_policies_name_the_prefix_and_nothing_outside_of_it() -> None:
    for user in User:
        for statement in iam_policy(user, "acme", BASE)["Statement"]:
            for resource in statement["Resource"]:
                inside = resource.startswith("arn:aws:s3:::acme/team/dvc/")
                assert inside or resource == "arn:aws:s3:::acme"
    actions = {
        action for one in iam_policy(User.WRITER, "acme", "")["Statement"] for action in one["Action"]
    }  # fmt: skip
    assert "s3:DeleteObjectVersion" not in actions
    whole = iam_policy(User.READER, "acme", "")["Statement"]
    assert "Condition" not in whole[0]
    assert whole[1]["Resource"] == ["arn:aws:s3:::acme/*"]
    (deny,) = bucket_policy("acme", BASE)["Statement"]
    assert deny["Effect"] == "Deny"
    assert "arn:aws:s3:::acme/team/dvc/files/md5/*" in deny["Resource"]
