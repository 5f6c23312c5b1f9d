"""What a bucket's lifecycle rules do to DVC's objects, and rules that do no harm.

Source: the S3 API's `LifecycleRule`; an object that a rule's tags ask for is never DVC's.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dvc_branchflow.values import dataclass

OBJECTS, OURS = "files/md5/", "branchflow/"
TRASH_DAYS = 14
"""For how long what was set aside can be brought back, at least."""
_UPLOAD_DAYS, _VERSION_DAYS = 7, 365
_ARCHIVES = frozenset({"GLACIER", "DEEP_ARCHIVE"})


@dataclass(frozen=True, slots=True)
class Rule:
    """A lifecycle rule that is on.

    Attributes:
        prefix: of the keys that it is for.
        deletes: after how many days, or at which date; None: never.
        archives: the storage class that can't be read at once; empty: none.
        forgets_days: after which old versions go. aborts_days: after which unfinished uploads do.
    """

    name: str
    prefix: str
    deletes: str | None = None
    archives: str = ""
    forgets_days: int | None = None
    aborts_days: int | None = None

    def meets(self, prefix: str) -> bool:
        """Whether the rule is for any key below a prefix."""
        return self.prefix.startswith(prefix) or prefix.startswith(self.prefix)

    def covers(self, prefix: str) -> bool:
        """Whether the rule is for all keys below a prefix."""
        return prefix.startswith(self.prefix)


def read_rules(rules: Sequence[Mapping[str, Any]]) -> list[Rule]:
    """Return the rules that are on and could be for objects without tags."""
    found = (_read(rule, number) for number, rule in enumerate(rules, 1))
    return [rule for rule in found if rule is not None]


def harmful(rule: Rule, base: str) -> bool:
    """Whether a rule deletes, or puts out of reach, what nobody said may go.

    Args:
        base: what the DVC remote's keys begin with: empty, or ending in a slash.
    """
    below = [base + OBJECTS, base + OURS]
    deletes = rule.deletes is not None and any(map(rule.meets, below))
    archives = bool(rule.archives) and rule.meets(base + OBJECTS)
    return deletes or archives or is_hasty(rule, base)


def is_hasty(rule: Rule, base: str) -> bool:
    """Whether a rule forgets what was set aside before it may be brought back no more."""
    days = rule.forgets_days
    return days is not None and days < TRASH_DAYS and rule.meets(base + OBJECTS)


def mended(rules: Sequence[Mapping[str, Any]], base: str, *, has_versions: bool) -> dict[str, Any]:
    """Return a whole lifecycle configuration: what is there without what harms, and what lacks.

    A rule that harms is turned off and not cut, so that an admin sees what it was.
    """
    known = read_rules(rules)
    bad = {rule.name for rule in known if harmful(rule, base)}
    kept = [
        {**rule, "Status": "Disabled"} if _name(rule, number) in bad else dict(rule)
        for number, rule in enumerate(rules, 1)
    ]
    good = [rule for rule in known if rule.name not in bad]
    # The API takes the old form and the new one, and not both at once.
    is_old = any("Filter" not in rule for rule in rules)
    chosen: dict[str, Any] = {"Prefix": base} if is_old else {"Filter": {"Prefix": base}}
    return {"Rules": [*kept, *_lacking(good, base, chosen, has_versions=has_versions)]}


def _lacking(
    known: Sequence[Rule], base: str, chosen: Mapping[str, Any], *, has_versions: bool
) -> Iterator[dict[str, Any]]:
    where = base.rstrip("/").replace("/", "-") or "all"
    if not any(rule.aborts_days and rule.covers(base) for rule in known):
        yield {
            "ID": f"branchflow-uploads-{where}",
            "Status": "Enabled",
            **chosen,
            "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": _UPLOAD_DAYS},
        }
    if has_versions and not any(rule.forgets_days and rule.covers(base) for rule in known):
        yield {
            "ID": f"branchflow-versions-{where}",
            "Status": "Enabled",
            **chosen,
            "Expiration": {"ExpiredObjectDeleteMarker": True},
            "NoncurrentVersionExpiration": {"NoncurrentDays": _VERSION_DAYS},
        }


def _read(rule: Mapping[str, Any], number: int) -> Rule | None:
    chosen = rule.get("Filter") or {}
    both = chosen.get("And") or {}
    if rule.get("Status") != "Enabled" or chosen.get("Tag") or both.get("Tags"):
        return None
    expiration = rule.get("Expiration") or {}
    days, date = expiration.get("Days"), expiration.get("Date")
    classes = [step.get("StorageClass") for step in rule.get("Transitions") or ()]
    return Rule(
        name=_name(rule, number),
        prefix=rule.get("Prefix") or chosen.get("Prefix") or both.get("Prefix") or "",
        deletes=f"after {days} days" if days else f"on {str(date)[:10]}" if date else None,
        archives=next((one for one in classes if one in _ARCHIVES), ""),
        forgets_days=(rule.get("NoncurrentVersionExpiration") or {}).get("NoncurrentDays"),
        aborts_days=(rule.get("AbortIncompleteMultipartUpload") or {}).get("DaysAfterInitiation"),
    )


def _name(rule: Mapping[str, Any], number: int) -> str:
    return str(rule.get("ID") or f"number {number}")
