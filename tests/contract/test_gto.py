"""Our reading of GTO's tags against GTO itself: what its fold makes of any tags, and real `gto`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest
from gto.base import BaseRegistryState, VersionSort
from gto.tag import TagArtifactManager, TagStageManager, TagVersionManager
from gto.tag import parse_name as gto_parse_name
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scmrepo.git import Git, GitTag

from dvc_branchflow.channels import (
    Kind,
    in_channels,
    is_deprecated,
    next_number,
    parse_gto_tag,
    read_events,
    registered,
)
from dvc_branchflow.model import Sha

VERSIONS = ("v1.0.0", "v1.0.1", "v1.1.0", "v2.0.0-rc.1")
COMMITS = {version: str(n + 1) * 40 for n, version in enumerate(VERSIONS)}
CHANNELS = ("prod", "staging/eu")
MODELS = ("m", "path/to=m", "nlp/churn-2")

Tag = tuple[str, str, int]
"""Name, commit, seconds."""


class Tags(Git):
    """A repository that holds nothing but annotated tags."""

    def __init__(self, tags: Sequence[Tag]) -> None:
        self._tags = {name: (commit, seconds) for name, commit, seconds in tags}

    def list_tags(self) -> list[str]:
        return sorted(self._tags)

    def get_tag(self, name: str) -> GitTag:
        commit, seconds = self._tags[name]
        return GitTag(name, "0" * 40, commit, "A", "a@b", seconds, 0, "a message")


def gto_state(tags: Sequence[Tag]) -> BaseRegistryState:
    """What GTO makes of tags, in the order in which its `GitRegistry.get_state` asks for them."""
    state = BaseRegistryState()
    for manager in (TagArtifactManager, TagVersionManager, TagStageManager):
        state = manager.model_construct(scm=Tags(tags)).update_state(state)
    return state


def gto_show(tags: Sequence[Tag]) -> dict[str, tuple[dict[str, str], set[str], bool]]:
    """Model → what `gto show` says is in each stage, the versions in force, whether it is shown."""
    shown = {}
    for name, artifact in gto_state(tags).get_artifacts().items():
        stages = artifact.get_vstages(sort=VersionSort.Timestamp)
        held = {stage: found[0].version for stage, found in stages.items() if found}
        versions = {version.version for version in artifact.get_versions()}
        shown[name] = (held, versions, artifact.is_active)
    return shown


def our_show(tags: Sequence[Tag]) -> dict[str, tuple[Mapping[str, str | None], set[str], bool]]:
    models = read_events((name, Sha(commit), seconds) for name, commit, seconds in tags)
    return {
        model: (
            {channel: event.version for channel, event in in_channels(events).items()},
            set(registered(events)),
            not is_deprecated(events),
        )
        for model, events in models.items()
    }


@st.composite
def histories(draw: st.DrawFn) -> list[Tag]:
    """Tags of one or two models in any order, several of them in the same second."""
    tags: list[Tag] = []
    for model in draw(st.lists(st.sampled_from(MODELS), min_size=1, max_size=2, unique=True)):
        versions = draw(st.lists(st.sampled_from(VERSIONS), min_size=1, max_size=4, unique=True))
        seconds = st.integers(100, 108)
        tags += [(f"{model}@{version}", COMMITS[version], draw(seconds)) for version in versions]
        deeds = st.tuples(
            st.sampled_from(["#prod", "#prod", "#staging/eu", "#prod!", "@!", "@deprecated"]),
            st.sampled_from(versions),
            seconds,
        )
        for number, (deed, version, at) in enumerate(draw(st.lists(deeds, max_size=9))):
            what = f"@{version}!" if deed == "@!" else deed
            tags.append((f"{model}{what}#{number + 1}", COMMITS[version], at))
    return tags


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(histories())
@example([("m@v1.0.0", "1" * 40, 1), ("m@v1.0.1", "2" * 40, 2), ("m#prod#1", "1" * 40, 9), ("m#prod#2", "2" * 40, 9)])  # fmt: skip
@example([("m@v1.0.0", "1" * 40, 1), ("m#prod#1", "1" * 40, 2), ("m#prod!#2", "1" * 40, 2)])
@example([("m@v1.0.0", "1" * 40, 1), ("m#prod", "1" * 40, 2), ("m@deprecated", "1" * 40, 3)])
def test_every_history_comes_to_what_gto_says(tags: list[Tag]) -> None:
    assert our_show(tags) == gto_show(tags)


@pytest.mark.parametrize(
    "tag",
    [
        "m@v1.0.0", "m@v1.0.0#4", "m@v1.0.0!", "m@v1.0.0!#2", "m@deprecated", "m@deprecated#3",
        "m#prod", "m#prod#1", "m#prod!#2", "m#a/b-c_d#1", "a/b=m@v1.0.0", "a.b/c=m#prod#1",
        "nlp/churn#prod#7", "m@v1.0.0-rc.1+build.5", "m@v0.0.0", "m2#2#2",
        "m@v01.0.0", "m@v1.0", "m@1.0.0", "m#", "m#prod#", "m#prod#x", "#prod#1", "m#-prod", "-m#prod",
        "m-#prod", "m@v1.0.0!!", "m@nothing", "a=b=m@v1.0.0", "m#prod!!#1", "m@v1.0.0 ", "x", "v1.0.0",
    ],
)  # fmt: skip
def test_names_of_tags_are_read_as_gto_reads_them(tag: str) -> None:
    theirs, ours = gto_parse_name(tag, raise_on_fail=False), parse_gto_tag(tag)
    if not theirs or ours is None:
        assert (not theirs, ours) == (True, None)
        return
    words = {
        Kind.DEPRECATION: "deprecate", Kind.REGISTRATION: "register", Kind.ASSIGNMENT: "assign",
        Kind.DEREGISTRATION: "deregister", Kind.UNASSIGNMENT: "unassign",
    }  # fmt: skip
    assert ours.model == theirs["name"]
    assert words[ours.kind] == theirs["action"].value
    parts = [theirs.get(name) for name in ("version", "stage", "counter")]
    assert [ours.version, ours.channel, ours.number] == parts


def test_numbers_are_counted_over_all_of_a_models_tags() -> None:
    tags = ["m@v1.0.0", "m#prod#3", "m#staging!#11", "m2#prod#40", "a=m#prod#50"]
    assert next_number(tags, "m") == 12
    assert next_number(tags, "a:m") == 51
    assert next_number(["m@v1.0.0"], "m") == 1
