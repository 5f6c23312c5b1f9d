"""What the DVC remotes let a user do, and what would close the gap."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence

from dvc_branchflow.access.findings import Finding
from dvc_branchflow.cli.text import colour, count, printable, table
from dvc_branchflow.storage.doctor import Diagnosis

_COLOURS = {"missing": "bad", "unknown": "warn", "advice": "dim"}
_TITLES = {
    "reader": "IAM policy of a reader (CI, the server's hook)",
    "writer": "IAM policy of a writer",
    "admin": "IAM policy of an admin, who runs gc",
    "bucket": "bucket policy; put the admin's ARN in",
    "lifecycle": "the bucket's whole lifecycle configuration",
}


def diagnosed(found: Sequence[Diagnosis], *, all_policies: bool) -> str:
    """What each DVC remote can do, what is wrong with it, and what helps."""
    blocks = ["\n".join(_one(one, all_policies=all_policies)) for one in found]
    return "\n\n".join(blocks)


def _one(found: Diagnosis, *, all_policies: bool) -> Iterator[str]:
    roles = f", for {', '.join(found.roles)}" if found.roles else ""
    yield f"{found.remote}  {printable(found.url)}{roles}; as {found.user}"
    if found.steps is not None:
        yield "would try, and take away again:"
        yield _indented(table(found.steps.items()))
        return
    rows = [(str(fact.ability), str(fact.answer), printable(fact.said)) for fact in found.facts]
    yield _indented(table(rows))
    yield from (line for one in found.findings for line in _finding(one))
    yield _verdict(found)
    for name in found.policies or () if all_policies else found.closing:
        yield from _policy(name, (found.policies or {})[name])


def _finding(one: Finding) -> Iterator[str]:
    yield f"{colour(one.weight, _COLOURS[one.weight])}  {printable(one.what)}"
    yield f"  {printable(one.why)}"
    if one.hint:
        yield f"  try: {printable(one.hint)}"


def _verdict(found: Diagnosis) -> str:
    weights = [one.weight for one in found.findings]
    missing, unknown = weights.count("missing"), weights.count("unknown")
    told = [count(missing, "thing") + " missing"] if missing else []
    told += [f"{count(unknown, 'thing')} unknown"] if unknown else []
    good = f"all that is asked for {_an(found.user)} is there"
    return f"{found.remote}: {', '.join(told) or good}"


def _an(user: str) -> str:
    return f"an {user}" if user[0] == "a" else f"a {user}"


def _policy(name: str, document: Mapping[str, object]) -> Iterator[str]:
    yield f"\n{_TITLES[name]}:"
    yield json.dumps(document, indent=2, default=str)


def _indented(text: str) -> str:
    return "\n".join(f"  {line}" for line in text.splitlines())
