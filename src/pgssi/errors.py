"""One shape for every refusal: what is wrong, where, and what to do about it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing wrong in an input.

    file: path as the user knows it; key: dotted path inside the file (``site_people[2].leaves``);
    value: what was found there (never a secret); message: what is wrong; remedy: what to write instead.
    """

    file: str
    key: str
    value: object
    message: str
    remedy: str

    def __str__(self) -> str:
        """Return it in one line."""
        where = f"{self.file}: {self.key} = {self.value!r}" if self.key else self.file
        return f"{where}: {self.message}. {self.remedy}"


class PgssiError(Exception):
    """Base of the errors that a command shows to its user, without a traceback."""


class InvalidInput(PgssiError):
    """Input that cannot be used; ``problems`` holds every fault found, not only the first."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        """Keep the problems; the message has a line for each."""
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))
