"""Tries one thing after the other at a place, and notes what came of each."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable
from typing import Final

from dvc_branchflow.objects.notes import HOME
from dvc_branchflow.probed import Ability, Answer, Fact

FOLDER: Final = f"{HOME}/doctor"
"""Below it lies all that is ever written by a probe."""
STALE_SECONDS: Final = 600.0
"""What is older there was left by a probe that was killed."""
_RUN = re.compile(rf"{FOLDER}/([0-9a-f]{{16}}|kept)(?:-[a-z]+)?")
_CODE = re.compile(r"<Code>(\w+)</Code>|\(code: (\w+)\)|occurred \((\w+)\)")
# Who asks is not known, or the clock is wrong: that says nothing of what the key may do.
_STRANGER = re.compile(
    r"InvalidAccessKeyId|SignatureDoesNotMatch|ExpiredToken|InvalidToken|TokenRefreshRequired"
    r"|RequestTimeTooSkewed|Unauthenticated|\b401\b"
)
_REFUSED = re.compile(
    r"AccessDenied|Access Denied|AllAccessDisabled|lacked the necessary privileges|\b403\b"
    r"|Forbidden|Permission denied|Read-only file system|Operation not permitted"
)
_REFUSES = "it refuses"
_LACKING = re.compile(
    r"NotImplemented|\b501\b|\b405\b|MethodNotAllowed|not supported|NotSupported"
    r"|UnsupportedOperation"
)


class NotSoError(Exception):
    """The place took the request, and did something else."""


class Asking:
    """The answers of one place; what was not asked is unknown."""

    def __init__(self, abilities: Iterable[Ability]) -> None:
        self._abilities = tuple(abilities)
        self._facts: dict[Ability, Fact] = {}

    def ask(self, ability: Ability, act: Callable[[], str | None]) -> bool:
        """Do something; what it returns is noted beside the answer. Return whether it went well."""
        try:
            said = act()
        except Exception as error:  # noqa: BLE001  whatever a client raises is the answer
            self.note(ability, *verdict(error))
            return False
        self.note(ability, Answer.YES, said or "")
        return True

    def learn(self, ability: Ability, act: Callable[[], str | None]) -> bool:
        """Ask for a setting: a refusal to tell leaves it unknown. Return whether it is on."""
        is_so = self.ask(ability, act)
        said = self._facts[ability].said
        if not is_so and said.startswith(_REFUSES):
            self.note(ability, Answer.UNKNOWN, said)
        return is_so

    def note(self, ability: Ability, answer: Answer, said: str = "") -> None:
        """Note an answer."""
        self._facts[ability] = Fact(ability, answer, said)

    def is_known(self, ability: Ability) -> bool:
        """Whether an answer is noted that is none of ignorance."""
        fact = self._facts.get(ability)
        return fact is not None and fact.answer is not Answer.UNKNOWN

    def says(self, ability: Ability) -> bool:
        """Whether the answer is yes."""
        fact = self._facts.get(ability)
        return fact is not None and fact.answer is Answer.YES

    def facts(self, why: str = "not tried") -> dict[Ability, Fact]:
        """Return all answers in order; `why`: what those that were not asked are put down to."""
        return {
            one: self._facts.get(one, Fact(one, Answer.UNKNOWN, why)) for one in self._abilities
        }


def verdict(error: Exception) -> tuple[Answer, str]:
    """Return what an error says of an ability, and in few words why."""
    if isinstance(error, NotSoError):
        return Answer.NO, str(error)
    text = " ".join(str(error).split()) or type(error).__name__
    match = _CODE.search(text)
    why = next(filter(None, match.groups())) if match else text[:160]
    if _STRANGER.search(text):
        return Answer.UNKNOWN, why
    if isinstance(error, PermissionError) or _REFUSED.search(text):
        return Answer.NO, f"{_REFUSES}: {why}" if match else _REFUSES
    if isinstance(error, NotImplementedError) or _LACKING.search(text):
        return Answer.NO, "it knows no such thing"
    return Answer.UNKNOWN, why


def new_key() -> str:
    """Return a name that nobody has, for what a probe writes."""
    return f"{FOLDER}/{os.urandom(8).hex()}"


def is_stale(name: str, modified_seconds: float) -> bool:
    """Whether a file was left by a probe that was killed, by its name and age."""
    is_ours = _RUN.fullmatch(name) is not None
    return is_ours and modified_seconds < time.time() - STALE_SECONDS
