"""Changes single values in a YAML text that people write, and leaves every other byte as it is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from dvc_branchflow.plain import load_mapping

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_-]*")
_WORDS = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n"})
Node = Any
"""A node of PyYAML's."""
Pair = tuple[Node, Node]


class YamlText:
    """A YAML document, and the changes to be made in it.

    Raises: ConfigError: it is no mapping, or not what we read.
    """

    def __init__(self, content: bytes, name: str) -> None:
        import yaml

        load_mapping(content, name, aliases=True)  # bounded, whoever wrote it
        self._text = content.decode()
        self._changes: dict[tuple[int, int], str] = {}
        self.root: Node = yaml.compose(self._text, Loader=yaml.SafeLoader)

    def put(self, pair: Pair, key: str, value: str) -> None:
        """Set a text in the mapping that is the value of a pair (which may be empty so far)."""
        _, node = pair
        known = dict_of(node).get(key)
        entry = f"{key}: {scalar(value)}"
        if known is not None:
            self._change(known[1], scalar(value))
        elif not is_mapping(node):
            space = " " if node.start_mark.index == node.end_mark.index else ""
            self._change(node, f"{space}{{{entry}}}")
        elif node.flow_style:
            start = self._text.index("{", node.start_mark.index) + 1  # an anchor may come first
            self._changes[start, start] = f"{entry}, " if node.value else entry
        else:
            first = node.value[0][0].start_mark
            self._changes[first.index, first.index] = f"{entry}\n{' ' * first.column}"

    def make_mapping(self, node: Node, key: str, value: str) -> None:
        """Make the key of a mapping with one text out of a plain entry of a list."""
        end = node.end_mark.index
        self._changes[end, end] = f": {{{key}: {scalar(value)}}}"

    def drop(self, pair: Pair, key: str) -> None:
        """Take a text out of the mapping that is the value of a pair; the reverse of `put`."""
        name, node = pair
        keys = [each.value for each, _ in node.value]
        place = keys.index(key)
        own, value = node.value[place]
        start, end = own.start_mark.index, value.end_mark.index
        if len(keys) == 1 and node.flow_style:
            start, end = name.end_mark.index, node.end_mark.index
        elif place + 1 < len(keys):
            end = node.value[place + 1][0].start_mark.index
        else:
            start = node.value[place - 1][1].end_mark.index if place else start
        self._changes[start, end] = ""

    def result(self) -> bytes:
        """Return the text with its changes."""
        text = self._text
        for (start, end), new in sorted(self._changes.items(), reverse=True):
            text = text[:start] + new + text[end:]
        return text.encode()

    def _change(self, node: Node, new: str) -> None:
        self._changes[node.start_mark.index, node.end_mark.index] = new


def is_mapping(node: Node) -> bool:
    """Whether a node is a mapping."""
    return bool(node.id == "mapping")


def dict_of(node: Node) -> dict[str, Pair]:
    """Return a mapping's pairs by their keys; nothing where the node is none."""
    pairs = node.value if node is not None and is_mapping(node) else []
    return {key.value: (key, value) for key, value in pairs if isinstance(key.value, str)}


def items_of(node: Node) -> Iterator[Node]:
    """Yield the entries of a list; none where the node is none."""
    yield from node.value if node.id == "sequence" else ()


def scalar(text: str) -> str:
    """Return a text as YAML, the same for every reader."""
    return text if _PLAIN.fullmatch(text) and text.lower() not in _WORDS else json.dumps(text)
