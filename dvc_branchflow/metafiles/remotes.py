"""Sends the outs of a `dvc.yaml` or `.dvc` file to another DVC remote, and changes nothing else."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from dvc_branchflow.errors import ConfigError
from dvc_branchflow.metafiles import plain_out, render_pointer
from dvc_branchflow.plain import load_mapping
from dvc_branchflow.values import replace
from dvc_branchflow.yamledit import Node, Pair, YamlText, dict_of, is_mapping, items_of

_KINDS = ("outs", "metrics", "plots")
_KEY = "remote"


def send_outs(
    content: bytes, name: str, remote: str | None, instead_of: Collection[str | None] | None
) -> bytes:
    """Return a `dvc.yaml` whose outs go to a DVC remote, but for those that are not pushed at all.

    Args:
        remote: None: to the default one, by naming none.
        instead_of: the DVC remotes that outs name now and shall no more (None: no name); None
            itself: whichever.
    Raises: ConfigError: it is not what DVC reads, or can't be changed by a program.
    """
    if remote is None and _KEY.encode() not in content:
        return content
    text = YamlText(content, name)
    for item in _declared(text.root):
        pair = _only_pair(item)
        options = dict_of(pair[1]) if pair else {}
        if _is_kept(options) or not _is_meant(_remote(options), remote, instead_of):
            continue
        if pair is None:
            text.make_mapping(item, _KEY, str(remote))
        elif remote is not None:
            text.put(pair, _KEY, remote)
        else:
            text.drop(pair, _KEY)
    changed = text.result()
    before = load_mapping(content, name, aliases=True)
    try:
        is_same = _without(load_mapping(changed, name, aliases=True)) == _without(before)
    except ConfigError:
        is_same = False
    if not is_same:
        raise ConfigError(
            f"'{name}' can't be changed by a program",
            hint=f"give each out in it `remote: {remote}` by hand",
        )
    return changed


def without_remotes(content: bytes, name: str) -> bytes:
    """Return a `dvc.yaml` as it would be if its outs named no DVC remote; itself if that fails."""
    try:
        return send_outs(content, name, None, None)
    except ConfigError:
        return content


def send_pointed(
    content: bytes, name: str, remote: str, instead_of: Collection[str | None]
) -> bytes:
    """Return a `.dvc` file whose outs go to a DVC remote. Args, Raises: as of `send_outs`."""
    plain = plain_out(content, name)
    if plain is not None:
        now = plain.remote.lower() if plain.remote else None
        is_meant = _is_meant(now, remote, instead_of)
        return render_pointer(replace(plain, remote=remote)) if is_meant else content
    text = YamlText(content, name)
    outs = dict_of(text.root).get("outs")
    for item in items_of(outs[1]) if outs else ():
        options = dict_of(item)
        if not _is_kept(options) and _is_meant(_remote(options), remote, instead_of):
            text.put((None, item), _KEY, remote)
    return text.result()


def _declared(root: Node) -> Iterator[Node]:
    """The entries of all outs that stages declare, each once however often it is referred to."""
    seen: set[int] = set()
    stages = dict_of(root).get("stages")
    for _, stage in dict_of(stages[1]).values() if stages else ():
        body = dict_of(stage)
        inner = dict_of(body["do"][1]) if "do" in body else body
        for kind in _KINDS:
            for item in items_of(inner[kind][1]) if kind in inner else ():
                if id(item) not in seen:
                    seen.add(id(item))
                    yield item


def _only_pair(item: Node) -> Pair | None:
    return item.value[0] if is_mapping(item) and len(item.value) == 1 else None


def _remote(options: dict[str, Pair]) -> str | None:
    return str(options[_KEY][1].value).lower() if _KEY in options else None


def _is_kept(options: dict[str, Pair]) -> bool:
    """Whether an out stays off all DVC remotes."""
    return any(
        key in options and str(options[key][1].value).lower() == "false"
        for key in ("cache", "push")
    )


def _is_meant(
    now: str | None, remote: str | None, instead_of: Collection[str | None] | None
) -> bool:
    return now != remote and (instead_of is None or now in instead_of)


def _without(document: dict[str, Any]) -> dict[str, Any]:
    """A pipeline as it would be read without any DVC remote."""
    stages = document.get("stages")
    if not isinstance(stages, dict):
        return document
    return {**document, "stages": {name: _stage(body) for name, body in stages.items()}}


def _stage(body: Any) -> Any:
    if not isinstance(body, dict):
        return body
    if "do" in body:
        return {**body, "do": _stage(body["do"])}
    lists = {k: body[k] for k in _KINDS if isinstance(body.get(k), list)}
    return {**body, **{kind: [_item(item) for item in items] for kind, items in lists.items()}}


def _item(item: Any) -> Any:
    if not isinstance(item, dict) or len(item) != 1:
        return item
    ((path, options),) = item.items()
    if not isinstance(options, dict | None):
        return item
    rest = {key: value for key, value in (options or {}).items() if key != _KEY}
    return {path: rest} if rest else path
