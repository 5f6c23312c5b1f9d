"""Rules of refs: which may move how, what they may be called, and where a release tag points."""

from __future__ import annotations

import re
from collections.abc import Iterator

from dvc_branchflow.channels import Kind, parse_gto_tag
from dvc_branchflow.config import is_branch_name
from dvc_branchflow.flow import BranchSpec
from dvc_branchflow.model import Role, Violation
from dvc_branchflow.policy.facts import RefFacts, TagFacts
from dvc_branchflow.policy.pinned import judge_inputs

MAX_REFS = 500
_HEADS, _TAGS = "refs/heads/", "refs/tags/"
_LASTING = frozenset({Role.MAIN, Role.RAW, Role.CLEAN, Role.SPLIT, Role.STABLE, Role.MONITOR})
# What shells, URLs or file systems act on. Git refuses space, `~^:?*[\\` and `..` by itself.
_TRICK = re.compile(r"[\s$`'\"\\;&|<>(){}!*?\[\]^~:%\x00-\x1f\x7f\u200b-\u200f\u202a-\u202e]|//")
_MAX_NAME = 200


def is_release_tag(ref: str) -> bool:
    """Whether a ref is a tag of GTO's: a version of a model, a channel that got one, their end."""
    name = ref.removeprefix(_TAGS)
    return name != ref and (parse_gto_tag(name) is not None or "#" in name)


def judge_number(refs: int) -> Iterator[Violation]:
    """Judge how many refs move at once."""
    if refs > MAX_REFS:
        found = f"{refs} refs move at once; at most {MAX_REFS} may"
        yield Violation("too-many-refs", "", found, "push in parts")


def judge_ref(facts: RefFacts, spec: BranchSpec | None, owned: list[str]) -> Iterator[Violation]:
    """Judge the move of one ref.

    Args:
        spec: what the branch is for; None for a tag, or a branch without a role.
        owned: the paths that the upstreams of a release tag's stable branch publish.
    """
    name = short_name(facts.ref)
    yield from _name(facts, name, spec)
    if spec is not None and spec.role in _LASTING:
        if facts.new is None:
            yield Violation(
                "ref-deleted", name, f"would be deleted; it is a {spec.role} branch", ""
            )
        elif not facts.is_forward:
            found = "would be rewritten: the new commit does not follow the old one"
            yield Violation("ref-rewritten", name, found, "")
    if is_release_tag(facts.ref):
        if facts.old is not None:
            what = "deleted" if facts.new is None else "moved"
            yield Violation("tag-moved", facts.ref, f"would be {what}", "")
        elif facts.tag is not None and facts.tag.stable:
            yield from _tag(facts, facts.tag, owned)


def short_name(ref: str) -> str:
    """Return a branch's name without `refs/heads/`; any other ref as it is."""
    return ref.removeprefix(_HEADS)


def _name(facts: RefFacts, name: str, spec: BranchSpec | None) -> Iterator[Violation]:
    if facts.new is None:
        return
    parts = name.split("/")
    is_gto = name.startswith(_TAGS) and parse_gto_tag(name.removeprefix(_TAGS)) is not None
    shown = name.replace("!", "") if is_gto else name  # GTO's mark of what is taken back
    plain = not _TRICK.search(shown) and len(name) <= _MAX_NAME
    plain = plain and not any(part.startswith(("-", ".")) for part in parts)
    if (name != facts.ref and name in {"HEAD", "FETCH_HEAD", "ORIG_HEAD"}) or parts[0] == "refs":
        plain = plain and name == facts.ref
    if not plain or (spec is not None and not is_branch_name(name)):
        yield Violation("ref-name", name, "is no plain name", "")
    elif facts.clash:
        found = f"differs only by case from '{facts.clash}', which exists"
        yield Violation("ref-name", name, found, "")


def _tag(facts: RefFacts, tag: TagFacts, owned: list[str]) -> Iterator[Violation]:
    is_release = tag.kind is Kind.REGISTRATION
    found = _form(facts, tag) or (_release(tag) if is_release else _channel(tag))
    if found:
        code = "tag-true" if is_release else "channel-true"
        yield Violation(code, facts.ref, found, "", commit=facts.new)
    elif is_release:
        yield from judge_inputs(facts.ref, tag.held, owned, folders=tag.folders)


def _form(facts: RefFacts, tag: TagFacts) -> str:
    """What is wrong with a tag, whatever it says."""
    if tag.name is None:
        return "is a lightweight tag, which gto and dvc pass over"
    if tag.name != facts.ref.removeprefix(_TAGS):
        return f"is called '{tag.name}' inside"
    return "" if tag.is_of_commit else "points at no commit"


def _release(tag: TagFacts) -> str:
    if tag.name and "#" in tag.name:
        return f"names the version of '{tag.name.partition('#')[0]}' a second time"
    branches = ", ".join(f"'{name}'" for name in tag.stable)
    return "" if tag.is_on_stable else f"points at no commit of {branches}"


def _channel(tag: TagFacts) -> str:
    return "" if tag.is_released else "points at no release of its model"
