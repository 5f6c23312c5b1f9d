"""What the result of a run may look like before it becomes a commit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from dvc_branchflow.model import Branch, Oid, Out, Violation

MAX_GIT_BYTES = 5 * 1024 * 1024


def judge_result(
    branch: Branch,
    *,
    pinned: Mapping[str, Out],
    outs: Mapping[str, Out],
    inputs: Mapping[str, Oid | None],
    upstream_data: Iterable[str],
    git_sizes: Mapping[str, int],
) -> list[Violation]:
    """Return the rules that a run's result breaks.

    Args:
        pinned: path → out, as the pins say.
        outs: path → out, as the new commit would hold them.
        inputs: path → oid of what the stages read, by the lock that the run wrote.
        upstream_data: the paths that upstream branches own.
        git_sizes: path → bytes of what the commit would put into Git.
    """
    return [
        *_pins_true(branch, pinned, outs),
        *_inputs_true(branch, pinned, inputs),
        *_outs_at_home(branch, pinned, outs, upstream_data),
        *_small_in_git(branch, git_sizes),
    ]


def _pins_true(
    branch: Branch, pinned: Mapping[str, Out], outs: Mapping[str, Out]
) -> Iterator[Violation]:
    for path, out in pinned.items():
        held = outs.get(path)
        if held is None or held.oid != out.oid:
            found = "is gone" if held is None else f"holds {held.oid}"
            yield Violation(
                "pins-true", branch, path, f"{found}, not the pinned {out.oid}",
                f"git branchflow pin {branch}",
            )  # fmt: skip


def _inputs_true(
    branch: Branch, pinned: Mapping[str, Out], inputs: Mapping[str, Oid | None]
) -> Iterator[Violation]:
    for path, out in pinned.items():
        read = inputs.get(path)
        if read is not None and read != out.oid:
            yield Violation(
                "inputs-true", branch, path, f"was read as {read}, not as the pinned {out.oid}",
                "let the stage copy what it wants to change",
            )  # fmt: skip


def _outs_at_home(
    branch: Branch,
    pinned: Mapping[str, Out],
    outs: Mapping[str, Out],
    upstream_data: Iterable[str],
) -> Iterator[Violation]:
    owned = [f"{path}/" for path in upstream_data]
    for path in outs.keys() - pinned.keys():
        if f"{path}/".startswith(tuple(owned)):
            yield Violation(
                "outs-at-home", branch, path, "lies where an upstream branch publishes",
                "write the stage's outs below another path",
            )  # fmt: skip


def _small_in_git(branch: Branch, git_sizes: Mapping[str, int]) -> Iterator[Violation]:
    for path, size_bytes in git_sizes.items():
        if size_bytes > MAX_GIT_BYTES:
            yield Violation(
                "big-file-in-git", branch, path, f"has {size_bytes} bytes; Git takes up to 5 MiB",
                "let DVC hold it: drop 'cache: false' of this out",
            )  # fmt: skip
