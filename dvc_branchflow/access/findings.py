"""Holds what a DVC remote turned out to do against what the flow's roles and its users ask for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from dvc_branchflow.access.lifecycle import OBJECTS, OURS, is_hasty, read_rules
from dvc_branchflow.access.policies import User
from dvc_branchflow.config import FlowConfig
from dvc_branchflow.model import Role
from dvc_branchflow.probed import Ability, Answer, Fact, Probed
from dvc_branchflow.values import dataclass

Weight = Literal["missing", "unknown", "advice"]
_SKEW_SECONDS = 60
_FREE_BYTES = 1024**3
_READS = {
    Ability.LIST: "verify, usage and gc list it, and so does the server's hook",
    Ability.GET: "dvc pull, run and the server's hook read it",
}
_WRITES = {
    Ability.PUT: "dvc push, ingest, run and release write",
    Ability.OVERWRITE: "a lease is renewed by writing over it",
    Ability.PARTS: "large files are sent in parts",
    Ability.FOLDERS: "dvc push writes in all of them",
    Ability.RENAME: "files appear whole by a rename",
}
_CLEANS = {
    Ability.DELETE: "gc sets aside, empty-trash deletes",
    Ability.OLD_VERSIONS: "undelete and empty-trash take versions and markers away",
}
_ASKS: Mapping[User, Mapping[Ability, str]] = {
    User.READER: _READS,
    User.WRITER: _READS | _WRITES,
    User.ADMIN: _READS | _WRITES | _CLEANS,
}
_SETTINGS = {
    Ability.VERSIONS: "whether a gc hides objects or copies them",
    Ability.LOCK: "whether what is written can be deleted",
    Ability.LIFECYCLE: "whether a rule deletes data behind everybody's back",
}


@dataclass(frozen=True, slots=True)
class Use:
    """What a DVC remote is for.

    Attributes:
        place: the bucket, or the directory's path.
        base: what its keys begin with: empty, or ending in a slash.
        roles: those whose outs go there. forever: those of them that keep all data.
        scheme: of its URL; empty: a directory.
    """

    place: str
    base: str
    roles: tuple[Role, ...]
    forever: tuple[Role, ...]
    user: User
    scheme: str = "s3"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a DVC remote lacks.

    Attributes:
        code: stable.
        weight: `missing`: something asked for is not so; `unknown`: it could not be found out.
        what: what was found. why: who asks for it, or what it leads to.
        hint: a command that helps; empty: none does alone.
    """

    code: str
    weight: Weight
    what: str
    why: str
    hint: str = ""


def roles_on(config: FlowConfig, remote: str, default: str | None) -> tuple[Role, ...]:
    """Return the roles whose outs go to a DVC remote, in the file's order."""
    found = [
        rule.role
        for rule in config.rules
        if rule.role is not Role.MAIN and (rule.remote or default or "").lower() == remote
    ]
    return tuple(dict.fromkeys(found))


def judge(probed: Probed, use: Use) -> tuple[Finding, ...]:
    """Return all that is wrong, unknown, or could be better, in this order."""
    facts = probed.facts
    if all(fact.answer is Answer.UNKNOWN for fact in facts.values()):
        why = facts[Ability.LIST].said
        return (Finding("unreachable", "unknown", "nothing is known of it", why),)
    found = [
        *_rights(facts, use),
        *_lifecycle(probed, use),
        *_protection(probed, use),
        *_state(probed),
    ]
    order: dict[Weight, int] = {"missing": 0, "unknown": 1, "advice": 2}
    return tuple(sorted(found, key=lambda one: order[one.weight]))


def _rights(facts: Mapping[Ability, Fact], use: Use) -> Iterator[Finding]:
    user = use.user
    asked = dict(_ASKS[user])
    versions = facts.get(Ability.VERSIONS)
    if versions is None or versions.answer is Answer.NO:
        asked.pop(Ability.OLD_VERSIONS, None)
    for ability, why in asked.items():
        fact = facts.get(ability)
        if fact is None or fact.answer is Answer.YES:
            continue
        weight: Weight = "missing" if fact.answer is Answer.NO else "unknown"
        hint = "" if use.scheme else f"chmod -R g+rwX '{use.place}'  # as its owner"
        yield Finding(_code(ability), weight, f"{ability}: {fact.said}", why, hint)
    if user is User.ADMIN:
        for ability, why in _SETTINGS.items():
            fact = facts.get(ability)
            if fact and fact.answer is Answer.UNKNOWN:
                yield Finding(_code(ability), "unknown", f"{ability}: {fact.said}", why)
    yield from _excess(facts, user)


def _excess(facts: Mapping[Ability, Fact], user: User) -> Iterator[Finding]:
    def can(ability: Ability) -> bool:
        fact = facts.get(ability)
        return fact is not None and fact.answer is Answer.YES

    if user is User.READER and can(Ability.PUT):
        why = "a reader needs list and get only"
        yield Finding("reader-can-write", "advice", "put: allowed", why)
    if user is not User.ADMIN and can(Ability.OLD_VERSIONS) and can(Ability.VERSIONS):
        why = f"a {user} that deletes old versions takes away what could be brought back"
        yield Finding("can-delete-versions", "advice", "delete old versions: allowed", why)


def _lifecycle(probed: Probed, use: Use) -> Iterator[Finding]:
    if probed.lifecycle is None:
        return
    rules = read_rules(probed.lifecycle)
    objects, ours = use.base + OBJECTS, use.base + OURS
    for rule in rules:
        name = f"lifecycle rule '{rule.name}'"
        if rule.deletes and rule.meets(objects):
            what = f"{name} deletes DVC's objects {rule.deletes}"
            yield Finding("lifecycle-deletes", "missing", what, _keeps(use))
        elif rule.deletes and rule.meets(ours):
            what = f"{name} deletes '{ours}' {rule.deletes}"
            why = "there lie leases, and what can be brought back"
            yield Finding("lifecycle-deletes", "missing", what, why)
        if rule.archives and rule.meets(objects):
            what = f"{name} moves DVC's objects to {rule.archives}"
            why = "dvc pull can't read them there"
            yield Finding("lifecycle-archives", "missing", what, why)
        if is_hasty(rule, use.base):
            what = f"{name} deletes old versions after {rule.forgets_days} days"
            why = "what gc sets aside lies there, and is deleted without a check"
            yield Finding("lifecycle-empties-trash", "missing", what, why)
    if not any(rule.aborts_days and rule.covers(objects) for rule in rules):
        what = "no lifecycle rule ends unfinished uploads"
        yield Finding("uploads-kept", "advice", what, "they are kept, and paid for, for ever")
    has_versions = probed.facts[Ability.VERSIONS].answer is Answer.YES
    if has_versions and not any(rule.forgets_days and rule.covers(objects) for rule in rules):
        what = "no lifecycle rule takes old versions away"
        yield Finding("versions-kept", "advice", what, "they are kept, and paid for, for ever")


def _keeps(use: Use) -> str:
    if use.forever:
        return f"branchflow.yaml keeps {_all(use.forever)} for ever"
    return (
        f"commits of {_all(use.roles)} need them however old they are"
        if use.roles
        else ("commits need them however old they are")
    )


def _protection(probed: Probed, use: Use) -> Iterator[Finding]:
    facts = probed.facts
    versions, lock = facts.get(Ability.VERSIONS), facts.get(Ability.LOCK)
    if versions and versions.answer is Answer.NO:
        data = _all(use.forever) if use.forever else "data"
        why = f"{data} that somebody deletes or writes over can't be brought back"
        hint = (
            f"aws s3api put-bucket-versioning --bucket {use.place} "
            "--versioning-configuration Status=Enabled"
        )
        yield Finding("no-versions", "advice", f"versioning: {versions.said}", why, hint)
    if lock and lock.answer is Answer.YES and probed.lock_days:
        what = f"object lock: {lock.said}"
        why = "until then empty-trash and erase can't delete it for good"
        yield Finding("locked", "advice", what, why)


def _state(probed: Probed) -> Iterator[Finding]:
    facts = probed.facts
    clock, space = facts.get(Ability.CLOCK), facts.get(Ability.SPACE)
    why = "requests may be refused; grace periods are counted by the earlier clock"
    if clock and clock.answer is Answer.NO:
        yield Finding("clock", "missing", f"clock: {clock.said}", why)
    elif probed.skew_seconds is not None and abs(probed.skew_seconds) > _SKEW_SECONDS:
        what = f"its clock is {probed.skew_seconds:+.0f} s off this machine's"
        yield Finding("clock", "advice", what, why)
    if space and space.answer is Answer.NO:
        yield Finding("full", "missing", f"free space: {space.said}", "nothing can be pushed")
    elif probed.free_bytes is not None and probed.free_bytes < _FREE_BYTES:
        what = f"{probed.free_bytes / 1024**2:,.0f} MiB are free"
        yield Finding("nearly-full", "advice", what, "a push needs room for what it brings")
    for ability, why in (
        (Ability.CREATE, "two pushes at once may write the same object twice"),
        (Ability.FRESH, "verify asks for what a listing lacks by name, which takes longer"),
        (Ability.MD5, "verify --deep reads what it could know from the listing"),
    ):
        fact = facts.get(ability)
        if fact and fact.answer is Answer.NO:
            yield Finding(_code(ability), "advice", f"{ability}: {fact.said or 'no'}", why)
    for name, said in probed.left.items():
        yield Finding("left", "advice", f"the probe's '{name}' is left there", said)


def _code(ability: Ability) -> str:
    return f"no-{ability.value.replace(' ', '-')}"


def _all(roles: Sequence[Role]) -> str:
    return ", ".join(roles)
