"""Which assignment a roll-back of a channel goes to."""

from __future__ import annotations

import pytest

from dvc_branchflow.channels import parse_channel, read_events, way_back
from dvc_branchflow.errors import UsageError
from dvc_branchflow.model import Sha, TagName

COMMITS = {version: Sha(str(number) * 40) for number, version in enumerate("abc", 1)}


def ways(script: str) -> list[str]:
    """What the channel could be rolled back to, the next one last.

    Args:
        script: `a` assigns version a; `<1` rolls back to the assignment with number 1; `-a`
            unassigns it; `!a` takes the version back.
    """
    tags = [(f"m@v{n}.0.0", commit, 0) for n, commit in enumerate(COMMITS.values(), 1)]
    versions = {commit: name for name, commit in COMMITS.items()}
    numbers = {name: number for number, name in enumerate(COMMITS, 1)}
    returns: dict[TagName, TagName] = {}
    held: dict[int, Sha] = {}
    for number, word in enumerate(script.split(), 1):
        tag = f"m#prod#{number}"
        if word.startswith("<"):
            returns[TagName(tag)] = TagName(f"m#prod#{word[1:]}")
            held[number] = held[int(word[1:])]
        else:
            held[number] = COMMITS[word[-1]]
        if word.startswith("-"):
            tag = f"m#prod!#{number}"
        elif word.startswith("!"):
            tag = f"m@v{numbers[word[1:]]}.0.0!#{number}"
        tags.append((tag, held[number], number))
    found = way_back(read_events(tags)["m"], "prod", returns)
    return [f"{versions[event.commit]}{event.number}" for event in found]


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        ("a", []),
        ("a b", ["a1"]),
        ("a b c", ["a1", "b2"]),
        ("a b c <2", ["a1"]),  # rolled back twice, it goes to a and not to c again
        ("a b c <2 <1", []),
        ("a b c <1", []),
        ("a b <1 c", ["a1"]),  # b was a mistake and is passed over
        ("a b <1 c <1", []),
        ("a b a", ["a1", "b2"]),  # assigned once more, not rolled back: what was before is b
        ("a b a <2", ["a1"]),
        ("a b b", ["a1"]),  # assigned again with force
        ("a a", []),
        ("a b <1 <2", ["a1"]),  # to what is no longer on the way: an assignment like any other
        ("a b c -b", ["a1"]),
        ("a b c <2 -b", ["a1"]),  # gto now shows c, and back from there is a
        ("a b -b", []),
        ("a b c !b", ["a1"]),
        ("a b !b", []),  # a is what counts already
        ("a -a", []),
    ],
)
def test_a_roll_back_goes_back_on_the_way_that_the_channel_came_by(
    script: str, expected: list[str]
) -> None:
    assert ways(script) == expected


@pytest.mark.parametrize("name", ["", "-prod", "prod!", "pr od", "a#b", "prod/", "ä", "a.b", "a\n"])
def test_a_channel_is_named_as_gto_allows(name: str) -> None:
    assert parse_channel("prod/eu-west_1") == "prod/eu-west_1"
    with pytest.raises(UsageError, match="can't name a channel"):
        parse_channel(name)
